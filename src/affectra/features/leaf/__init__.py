"""LEAF, a learnable front end: Gabor filters, Gaussian pooling, compression, all of them trained or fixed."""

from affectra.features.leaf.leaf import Leaf

__all__ = ["Leaf"]
