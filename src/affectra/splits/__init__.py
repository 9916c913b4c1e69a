"""Splits: who is in which fold, and whether anything of a fold's test part was in its training part.

Takes a manifest; gives folds of utterance names with the protocol's name, version and hash, and a verdict on leakage.
`protocols/` has the named protocols, `leakage/` judges any split by names, labels and sound. Open
`protocols/named.py` first.
"""
