"""Interface of a model as the server needs it, and the facts the server gives about a model."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from affectra.features.specification import UtteranceOutput
from affectra.predict import windows
from affectra.predict.model import Prediction
from affectra.predict.windows import Window


class Recognizes(Protocol):
    """A model, as far as the server uses it."""

    name: str
    classes: tuple[str, ...]
    sample_rate: int
    licence: str | None
    synthetic: bool
    card: str | None
    recognizer: windows.Recognizes

    def recognize_file(self, path: Path, *, classes: Sequence[str], abstain: bool) -> Prediction:
        """The answer for a recording."""
        ...

    def timeline_of_file(self, path: Path, *, classes: Sequence[str], abstain: bool) -> list[Prediction]:
        """The answer for each of its windows."""
        ...

    def offered(self, classes: Sequence[str]) -> tuple[str, ...]:
        """The classes asked for; a `ConfigError` for one it does not have."""
        ...


class Listens(Protocol):
    """A live stream: blocks of samples in, windows to recognise out, and answers for those."""

    def take(self, samples: npt.NDArray[np.float32]) -> list[Window]:
        """The windows that these samples (sample,), in [-1, 1], complete."""
        ...

    def take_rest(self) -> list[Window]:
        """Windows of what is left."""
        ...

    def tell(self, windows: Sequence[Window], outputs: Sequence[UtteranceOutput]) -> list[Prediction]:
        """Answers for windows that were taken and recognised."""
        ...


OpenStream = Callable[[Any, int], Listens]  # of a model and a sample rate, Hz


def facts(model: Recognizes) -> dict[str, Any]:
    """Name, classes, licence and card of a model, and whether it knows synthetic speech alone."""
    return {
        "name": model.name,
        "classes": list(model.classes),
        "licence": model.licence,
        "synthetic": model.synthetic,
        "card": model.card,
    }
