"""What a generator is for: augmentation, anomaly detection, an audit of its privacy."""

from sapggan_lib.uses.anomaly import METHODS, Detector, PaDiM, build_method
