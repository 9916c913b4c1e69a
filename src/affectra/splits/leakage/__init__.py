"""Leakage: what of a fold's test part has been heard in training, by name, by label and by ear."""
