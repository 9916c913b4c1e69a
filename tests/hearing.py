"""A recogniser whose answers follow from the samples in a way tests know, at no cost."""

from collections.abc import Callable, Mapping, Sequence

import numpy as np

from affectra.features.specification import Specification, UtteranceOutput
from affectra.predict.model import Model

CLASSES = ("anger", "happiness", "neutral", "sadness")


class Ear:
    """Probabilities from loudness and roughness, smooth in both, at 16 kHz; keeps what it was given."""

    sample_rate = 16_000

    def __init__(self, sides: Mapping[str, float] | None = None) -> None:
        self.specification = Specification(
            model={"name": "ear", "options": {}}, front_end={"name": "ear", "options": {}}, normalization="none",
            segments=None, task="emotion4", classes=CLASSES, synthetic=False,
        )  # fmt: skip
        self.sides = dict(sides or {})
        self.heard: list[np.ndarray] = []

    def __call__(self, samples: np.ndarray) -> UtteranceOutput:
        self.heard.append(samples.copy())
        loudness = np.sqrt(np.mean(np.square(samples, dtype=np.float64)))
        roughness = np.mean(np.abs(np.diff(samples, prepend=0.0)))
        raised = np.exp([5 * loudness, 3 * roughness, 0.5, 1 - loudness])
        probabilities = raised / raised.sum()
        return UtteranceOutput(
            probabilities, np.array([loudness, roughness], np.float32), None, [0], probabilities[None], self.sides
        )

    def recognize_batch(self, waveforms: Sequence[np.ndarray]) -> list[UtteranceOutput]:
        return [self(samples) for samples in waveforms]


class Shares:
    """A track of speech that knows the share of each stretch (begin, end)."""

    def __init__(self, share: Callable[[int, int], float]) -> None:
        self.share = share

    def feed(self, samples: np.ndarray) -> None: ...

    def finish(self) -> None: ...

    def forget(self, begin: int) -> None: ...


def hearing(**options: object) -> tuple[Model, Ear]:
    ear = Ear()
    return Model(ear, "ear", **options), ear  # type: ignore[arg-type]
