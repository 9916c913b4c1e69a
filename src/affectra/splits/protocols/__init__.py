"""Protocols: named, versioned, hashable rules that say who is in which fold."""

from affectra.splits.protocols.folds import Fold, Splits, read_splits, write_splits
from affectra.splits.protocols.named import PROTOCOLS, Protocol, apply_protocol

__all__ = ["PROTOCOLS", "Fold", "Protocol", "Splits", "apply_protocol", "read_splits", "write_splits"]
