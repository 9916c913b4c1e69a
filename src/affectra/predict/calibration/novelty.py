"""How far an embedding lies from those of training: what tells a recording unlike anything that was learnt from."""

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

MAX_FEATURES = 160  # of an embedding; wider ones would need more recordings than a corpus has, and a file of megabytes
FAR = 0.99  # ours: of the recordings that a calibration was fitted on, one in a hundred is farther
DIGITS = 7  # kept of each number, as many as a float32 has
Array = npt.NDArray[np.float64]


@dataclass(frozen=True)
class TrainingSpace:
    """Where the embeddings of training lie: a Gaussian a class with one covariance (Lee et al. 2018).

    Attributes:
        means: (class, feature).
        factor: (feature, feature), lower triangular; its product with its transpose is the inverse covariance.
        threshold: distance above which a recording is out of domain.
    """

    means: Array
    factor: Array
    threshold: float

    def distance(self, embeddings: npt.ArrayLike) -> Array:
        """Mahalanobis distance to the nearest class, over the root of the features: about 1 in training.

        Args:
            embeddings: (..., feature).

        Returns:
            (...)
        """
        offsets = np.asarray(embeddings, dtype=np.float64)[..., None, :] - self.means
        squares = np.square(offsets @ self.factor).mean(axis=-1)
        nearest: Array = np.sqrt(squares.min(axis=-1))
        return nearest

    def is_far(self, embedding: npt.ArrayLike) -> bool:
        """Whether an embedding (feature,) is out of domain; one that is no number is."""
        return not float(self.distance(embedding)) <= self.threshold

    def to_json(self) -> dict[str, Any]:
        """As JSON; a row of numbers is one text, so that a person can still read the file."""
        triangle = [row[: k + 1] for k, row in enumerate(self.factor)]
        return {"threshold": self.threshold, "means": _texts(self.means), "factor": _texts(triangle)}

    @classmethod
    def from_json(cls, content: Mapping[str, Any]) -> "TrainingSpace":
        """The inverse of `to_json`.

        Raises:
            ValueError: not numbers of one embedding.
            KeyError: something is missing.
        """
        means = np.array([[float(v) for v in row.split()] for row in content["means"]])
        factor = np.zeros((means.shape[1], means.shape[1]))
        if len(content["factor"]) != len(factor):
            raise ValueError(f"out_of_domain: {len(content['factor'])} rows of factor, expected {len(factor)}")
        for k, row in enumerate(content["factor"]):
            factor[k, : k + 1] = [float(v) for v in row.split()]
        threshold = float(content["threshold"])
        if not (np.isfinite(means).all() and np.isfinite(factor).all() and 0 < threshold < math.inf):
            raise ValueError("out_of_domain: not finite numbers with a threshold above 0")
        return cls(means, factor, threshold)


def fit_space(train: npt.ArrayLike, labels: Sequence[str], threshold: float = math.inf) -> TrainingSpace:
    """Means of the classes and their common covariance, shrunk towards a round one (Ledoit & Wolf 2004).

    Args:
        train: (utterance, feature) embeddings that the model was trained on.
        labels: their classes.
        threshold: see `TrainingSpace`; default: nothing is out of domain.

    Raises:
        ValueError: fewer than two utterances a class on average.
    """
    embeddings = np.asarray(train, dtype=np.float64)
    names, index = np.unique(np.asarray(labels, dtype=str), return_inverse=True)
    if len(embeddings) < 2 * len(names):
        raise ValueError(f"{len(embeddings)} embeddings of {len(names)} classes; expected at least two a class")
    means = np.stack([embeddings[index == k].mean(axis=0) for k in range(len(names))])
    covariance = shrunk_covariance(embeddings - means[index])
    factor = np.linalg.cholesky(np.linalg.inv(covariance))
    return TrainingSpace(means, factor, threshold)


def shrunk_covariance(centred: Array) -> Array:
    """Covariance of rows whose mean is zero, drawn towards a multiple of the identity as far as its noise asks for.

    Args:
        centred: (row, feature).

    Returns:
        (feature, feature), positive definite.
    """
    from sklearn.covariance import ledoit_wolf  # late: predicting needs no scikit-learn

    covariance: Array = ledoit_wolf(centred, assume_centered=True)[0]
    # A network may leave features unused: nothing may vary so little that any other value were infinitely far.
    smallest = 1e-6 * np.trace(covariance) / len(covariance) + 1e-12
    rounded: Array = covariance + smallest * np.eye(len(covariance))
    return rounded


def threshold_of(distances: npt.ArrayLike) -> float:
    """The distance that 99 of 100 held-out utterances do not exceed; (utterance,), each in its own fold's space."""
    return float(np.quantile(np.asarray(distances, dtype=np.float64), FAR))


def _texts(rows: Iterable[Array]) -> list[str]:
    return [" ".join(f"{value:.{DIGITS}g}" for value in row) for row in rows]
