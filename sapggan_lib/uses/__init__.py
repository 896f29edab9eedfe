"""What a generator is for: augmentation, anomaly detection, and an audit of what it gives away."""

from sapggan_lib.uses.audit import Audit, Membership, Share, Side, audit_samples, belonging, card_sentence, realness
from sapggan_lib.uses.copies import local_norm, nearest, plant, windows
