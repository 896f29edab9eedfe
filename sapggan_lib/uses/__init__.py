"""What a generator is for: augmentation, anomaly detection, and an audit of what it gives away."""

from sapggan_lib.uses.anomaly import METHODS, build_method
from sapggan_lib.uses.audit import Audit, Membership, Share, Side, audit_samples, belonging, card_sentence, realness
from sapggan_lib.uses.augmentation import REAL, Cases, arm_scores, class_consistency, classical, compare_arms
from sapggan_lib.uses.copies import local_norm, nearest, plant
from sapggan_lib.uses.fanogan import FAnoGAN
from sapggan_lib.uses.places import PaDiM, feature_maps
from sapggan_lib.uses.ranking import auroc, resample
