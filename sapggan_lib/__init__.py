"""Self Attention PGGAN for 512x512 chest radiographs: from DICOM to the paper's tables and figures."""

__version__ = "0.1.0"
