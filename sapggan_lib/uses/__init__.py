"""What a generator is for: augmentation, anomaly detection, and an audit of what it gives away."""

from sapggan_lib.uses.anomaly import METHODS, Detector, FAnoGAN, PaDiM, build_method, feature_maps
