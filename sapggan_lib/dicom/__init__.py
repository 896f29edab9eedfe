"""DICOM: radiographs as a viewer would show them, the view they were taken in, and files that say synthetic."""

from sapggan_lib.dicom.gray import stretch
from sapggan_lib.dicom.read import burned_in, header_facts, read_header, read_pixels, read_radiograph, require_pixels
from sapggan_lib.dicom.view import VIEW_POSITION, decide_view
from sapggan_lib.dicom.write import write_secondary_capture
