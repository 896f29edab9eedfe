"""What a generator is for: augmentation, anomaly detection, and an audit of what it gives away."""
