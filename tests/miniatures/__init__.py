"""Miniature corpora: the embedded corpus's speech under other corpora's names and tables, a layout a file.

Each file has `write(root, corpus, ...)`: it lays a tree with exactly the published layout below `root`, with the
utterances of the embedded corpus as its audio, so that whole runs on it mean something.
"""
