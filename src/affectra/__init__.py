"""Affectra: speech emotion recognition, from raw audio to an honest result."""

import importlib
import os
from typing import TYPE_CHECKING, Any

# Left alone, ONNX Runtime reports its use to its maker and writes an identity of the machine into the user's cache, and
# Hugging Face's libraries report theirs. They read these variables when they are imported, and worker processes inherit
# them, so they are set here, before anything else of Affectra. Who sets them differently wants it differently.
os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")
os.environ.setdefault("HF_HUB_DISABLE_TELEMETRY", "1")

__version__ = "0.1.0"
__all__ = ["Model", "load"]

if TYPE_CHECKING:
    from affectra.predict import Model, load


def __getattr__(name: str) -> Any:
    if name in __all__:  # imported on first use: what hears takes time, and lower rooms must not see a higher one
        return getattr(importlib.import_module("affectra.predict"), name)
    raise AttributeError(f"module 'affectra' has no attribute {name!r}")
