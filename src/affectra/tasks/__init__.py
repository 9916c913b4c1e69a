"""Tasks: what is asked of an utterance, a turn or a moment, and how an answer is scored.

Takes a manifest's labels, or labels over time; gives targets, and from a table of predictions the scores with their
intervals. It knows no models and no files of a run. Open `labels.py` first, then `evaluation.py`; `traces/` has labels
over time.
"""
