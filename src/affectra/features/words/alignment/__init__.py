"""Two spaces of word vectors laid over each other: adversary, Procrustes, nearest neighbours, translation."""
