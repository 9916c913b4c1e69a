"""Affectra: speech emotion recognition, from raw audio to an honest result."""

import importlib
from typing import TYPE_CHECKING, Any

__version__ = "0.1.0"
__all__ = ["load"]

if TYPE_CHECKING:
    from affectra.predict import load


def __getattr__(name: str) -> Any:
    if name == "load":  # imported on first use: torch takes seconds, and lower rooms must not see a higher one
        return importlib.import_module("affectra.predict").load
    raise AttributeError(f"module 'affectra' has no attribute {name!r}")
