"""Semantics: word vectors learnt from speech, and how they are laid over word vectors learnt from text."""
