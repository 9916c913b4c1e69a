"""The embedded corpus: synthetic speech whose emotions are known because they were put there."""

from affectra.corpora.synthetic.corpus import INFO, read, render

__all__ = ["INFO", "read", "render"]
