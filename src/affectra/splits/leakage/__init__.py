"""Leakage: which parts of a fold's test data are also in training, by name, by label and by ear."""
