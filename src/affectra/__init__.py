"""Affectra: speech emotion recognition, from raw audio to an honest result."""

import importlib
from typing import TYPE_CHECKING, Any

__version__ = "0.1.0"
__all__ = ["Model", "load"]

if TYPE_CHECKING:
    from affectra.predict import Model, load


def __getattr__(name: str) -> Any:
    if name in __all__:  # imported on first use: what hears takes time, and lower rooms must not see a higher one
        return getattr(importlib.import_module("affectra.predict"), name)
    raise AttributeError(f"module 'affectra' has no attribute {name!r}")
