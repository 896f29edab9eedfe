"""Synthetic chest radiographs, as pictures and as a folder of DICOM."""

from sapggan_lib.phantoms.files import Shot, phantom_dataset, write_phantoms
from sapggan_lib.phantoms.image import phantom_image
