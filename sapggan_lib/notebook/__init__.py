"""What every notebook starts with: parameters, data, results, and where they lie."""

from sapggan_lib.notebook.parameters import parameter_names, resolve_parameters
from sapggan_lib.notebook.places import MARK, PLACES_VARIABLE, Hider, hide, is_place, is_publishable, private_folder
from sapggan_lib.notebook.record import environment, record_path
from sapggan_lib.notebook.workspace import NOTEBOOKS, RUNS, SHIPPED, Notebook, catalogue, start
