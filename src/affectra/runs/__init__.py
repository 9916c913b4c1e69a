"""Runs: from a recipe and corpora to a run directory that `affectra report` can read.

Takes a recipe, corpora and options; gives planned folds, trains what is missing, and scores what is there. `units/` has
what differs between utterances, dialogues and labels over time. Open `plan.py` first, then `run.py`.
"""
