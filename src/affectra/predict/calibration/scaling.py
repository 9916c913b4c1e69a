"""Calibration of a model's probabilities; all that prediction needs of it."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

import numpy as np
import numpy.typing as npt

from affectra.predict.calibration.novelty import TrainingSpace

SMALLEST = 1e-12  # a probability of zero has no logarithm
FARTHEST = 100.0  # by then nothing is left of a score, and powers stay finite
Array = npt.NDArray[np.float64]


@dataclass(frozen=True)
class BinaryCalibration:
    """A logistic curve over the log-odds of one probability (Platt 1999).

    Attributes:
        slope: above 1 sharpens; never negative.
        intercept: added to the log-odds.
        floor: share of the even chance mixed in.
        neutral: mean calibrated probability on neutral utterances of held-out speakers; what enrolment aims at.
    """

    slope: float
    intercept: float
    floor: float = 0.0
    neutral: float | None = None

    def apply(self, probability: npt.ArrayLike) -> Array:
        """Calibrated probabilities, of the same shape.

        Example:
            >>> BinaryCalibration(2.0, 0.0).apply([0.5, 0.25]).round(3).tolist()
            [0.5, 0.1]
        """
        p = np.clip(np.asarray(probability, dtype=np.float64), SMALLEST, 1 - SMALLEST)
        raised = 1 / (1 + np.exp(-(self.slope * np.log(p / (1 - p)) + self.intercept)))
        calibrated: Array = (1 - self.floor) * raised + self.floor / 2
        return calibrated


@dataclass(frozen=True)
class Calibration:
    """Temperature scaling (Guo et al. 2017), then a share of the uniform distribution; and what goes with it.

    Temperature alone lets scores run up to 1, since a network's logits have no bound; the uniform share keeps them
    where errors can be counted. Neither changes which class is first. One temperature cannot serve speakers of the
    corpora trained on and of others, where networks are as sure and less often right; so it may grow as a power of the
    distance from the training embeddings.

    Attributes:
        temperature: above 1 softens, below 1 sharpens; that of an utterance as near as training.
        distance_power: an utterance at `TrainingSpace.distance` d > 1 has `temperature` times d to this power.
        floor: share of the uniform distribution, 0 to 1.
        abstain_below: the model answers where its calibrated confidence is at least this; None: always.
        arousal: of the probability of high arousal.
        valence: of the probability of positive valence.
        space: where the embeddings of training lie.
        neutral: class -> its mean calibrated score on neutral utterances of held-out speakers; what enrolment aims at.
    """

    temperature: float
    distance_power: float = 0.0
    floor: float = 0.0
    abstain_below: float | None = None
    arousal: BinaryCalibration | None = None
    valence: BinaryCalibration | None = None
    space: TrainingSpace | None = None
    neutral: Mapping[str, float] | None = None

    def apply(self, probabilities: npt.NDArray[np.floating], distance: npt.ArrayLike = 1.0) -> Array:
        """Calibrated probabilities (..., class).

        Args:
            probabilities: (..., class).
            distance: (...), of `TrainingSpace.distance`.

        Example:
            >>> Calibration(1.0).apply(np.array([0.25, 0.75])).round(3).tolist()
            [0.25, 0.75]
            >>> Calibration(2.0).apply(np.array([0.1, 0.9])).round(3).tolist()
            [0.25, 0.75]
            >>> Calibration(1.0, floor=0.1).apply(np.array([0.0, 1.0])).round(3).tolist()
            [0.05, 0.95]
        """
        far = np.clip(np.asarray(distance, dtype=np.float64), 1.0, FARTHEST)[..., None]
        logits = np.log(np.maximum(probabilities, SMALLEST)) / (self.temperature * far**self.distance_power)
        exponentials = np.exp(logits - logits.max(-1, keepdims=True))
        tempered = exponentials / exponentials.sum(-1, keepdims=True)
        calibrated: Array = (1 - self.floor) * tempered + self.floor / tempered.shape[-1]
        return calibrated

    def apply_binary(self, dimension: Literal["arousal", "valence"], probability: float) -> float:
        """The calibrated probability of high arousal or positive valence; as it is where none was fitted."""
        fitted: BinaryCalibration | None = getattr(self, dimension)
        return probability if fitted is None else float(fitted.apply(probability))

    def abstains(self, confidence: float) -> bool:
        """Whether an answer with this calibrated confidence had better not be given."""
        return self.abstain_below is not None and confidence < self.abstain_below

    def distance(self, embeddings: npt.ArrayLike, weights: npt.ArrayLike | None = None) -> float:
        """How far a sound is from training; 1, as if in training, where it is not known.

        Args:
            embeddings: (feature,), or (window, feature): the mean of their distances, since the mean of embeddings is
                nearer than any of them.
            weights: (window,).
        """
        if self.space is None:
            return 1.0
        distances = np.atleast_1d(self.space.distance(embeddings))
        return float(np.average(distances, weights=None if weights is None else np.asarray(weights, np.float64)))

    def is_out_of_domain(self, embeddings: npt.ArrayLike, weights: npt.ArrayLike | None = None) -> bool:
        """Whether a sound is unlike what the model was trained on, False if unknown; arguments as of `distance`."""
        return self.space is not None and not self.distance(embeddings, weights) <= self.space.threshold
