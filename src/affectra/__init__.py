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
__all__ = ["Model", "compare", "load", "read_corpus", "run"]

if TYPE_CHECKING:
    from affectra.corpora import read_corpus
    from affectra.evaluation.compare import compare
    from affectra.predict.loading import load
    from affectra.predict.model import Model
    from affectra.runs.run import run

# Imported on first use: each takes time, and lower rooms must not see a higher one.
_PLACES = {
    "Model": "predict.model",
    "compare": "evaluation.compare",
    "load": "predict.loading",
    "read_corpus": "corpora",
    "run": "runs.run",
}


def __getattr__(name: str) -> Any:
    if name in _PLACES:
        return getattr(importlib.import_module(f"affectra.{_PLACES[name]}"), name)
    raise AttributeError(f"module 'affectra' has no attribute {name!r}")
