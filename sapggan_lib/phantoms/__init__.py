"""Synthetic chest radiographs, healthy or with a drawn finding, as pictures and as a folder of DICOM."""

from sapggan_lib.phantoms.files import Shot, phantom_dataset, write_phantoms
from sapggan_lib.phantoms.image import finding_boxes, phantom_image
