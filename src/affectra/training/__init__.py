"""Training: the weights and test predictions of one fold, with Lightning.

Takes a job with its utterances, features and recipe; gives `model.safetensors`, `model.json`, `history.csv` and
predictions, and resumes from the last finished epoch. Open `stage.py` first; `units/` has one fold of each kind.
"""
