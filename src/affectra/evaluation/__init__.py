"""Evaluation: runs read back and compared; never a model.

Takes run directories; gives differences with intervals and p, probes of embeddings, reliability of probabilities, and
the papers' numbers where a run is like the paper's. Every score can be recomputed from what a run wrote. Open
`compare.py` first; `run_directory.py` reads a run.
"""
