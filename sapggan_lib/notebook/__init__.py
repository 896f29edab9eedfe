"""What every notebook starts with: parameters, data, results, and where they lie."""

from sapggan_lib.notebook.places import (
    MARK,
    PLACES_VARIABLE,
    Hider,
    hide,
    is_place,
    is_publishable,
    private_folder,
    record_path,
)
from sapggan_lib.notebook.workspace import (
    NOTEBOOKS,
    RUNS,
    SHIPPED,
    Notebook,
    environment,
    example_file,
    parameter_class,
    radiographs,
    resolve_parameters,
    shown_radiographs,
    start,
    trained_generator,
)
