"""Enrolment: a few neutral recordings of one person shift the class probabilities to that person's voice.

A voice that is high, loud or hoarse by nature sounds like an emotion to a model that was not trained on it. The mean
scores of the person's own neutral recordings show that lean; a bias on the log-probabilities takes it back, for arousal
and valence as for the classes. It needs nothing of the model but its probabilities, and what is kept is one number a
class and one a dimension: nothing of the voice.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from affectra.errors import ConfigError

if TYPE_CHECKING:
    import pandas as pd

NEUTRAL = "neutral"
SHRINKAGE = 1.0  # ours, see `fit_bias`; of 0.3, 1, 3 and 10 the best for new speakers of EMO-DB and RAVDESS
SMALLEST = 1e-12  # a probability of zero has no logarithm
Array = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Enrolment:
    """Adaptation to one person's voice, fitted on neutral recordings.

    Attributes:
        bias: (class,), added to the log of calibrated probabilities; sums to 0.
        n_clips: neutral recordings it comes from.
        shifts: dimension -> what is added to the log-odds of its calibrated probability.
    """

    bias: Array
    n_clips: int
    shifts: Mapping[str, float] = field(default_factory=dict)

    def apply(self, probabilities: npt.ArrayLike) -> Array:
        """Probabilities (..., class) for this person.

        Example:
            >>> Enrolment(np.log([2.0, 0.5]), 3).apply([0.2, 0.8]).round(3).tolist()
            [0.5, 0.5]
        """
        return _shifted(np.log(np.maximum(np.asarray(probabilities, dtype=np.float64), SMALLEST)), self.bias)

    def apply_binary(self, dimension: str, probability: float) -> float:
        """The calibrated probability of a dimension for this person; as it is where nothing is known of that.

        Example:
            >>> round(Enrolment(np.zeros(4), 3, {"arousal": np.log(3.0)}).apply_binary("arousal", 0.25), 3)
            0.5
        """
        shift = self.shifts.get(dimension)
        if shift is None:
            return probability
        return float(Enrolment(np.array([-shift, shift]) / 2, self.n_clips).apply([1 - probability, probability])[1])


def enrol(
    probabilities: npt.ArrayLike,
    level: Mapping[str, float] | None,
    classes: Sequence[str],
    model: str = "this model",
    dimensions: Mapping[str, tuple[npt.ArrayLike, float | None]] | None = None,
) -> Enrolment:
    """Enrol a person from calibrated probabilities of neutral recordings.

    Args:
        probabilities: (recording, class), calibrated.
        level: class -> mean score on other people's neutral recordings; `Calibration.neutral`.
        classes: in the order of the scores.
        model: its name, for messages.
        dimensions: name -> calibrated probabilities of the same recordings, and the mean of other people's neutral ones
            (`BinaryCalibration.neutral`); where that is None, nothing is shifted.

    Raises:
        ConfigError: no recordings, or the model has no neutral level.
    """
    scores = np.asarray(probabilities, dtype=np.float64).reshape(-1, len(classes))
    if level is None or NEUTRAL not in classes:
        raise ConfigError(
            f"{model}: cannot adapt to a voice, its calibration.json has no level for neutral speech; use a model with "
            "the class neutral, or fit its calibration again"
        )
    if set(level) != set(classes):
        raise ConfigError(f"{model}: calibration.json has neutral levels of {', '.join(level)}, not of its classes")
    if not len(scores):
        raise ConfigError("no neutral recordings to adapt to; expected one at least, three or more are better")
    shifts = {name: fit_shift(found, mean) for name, (found, mean) in (dimensions or {}).items() if mean is not None}
    return Enrolment(fit_bias(scores, [level[name] for name in classes]), len(scores), shifts)


def fit_shift(probabilities: npt.ArrayLike, level: float, shrinkage: float = SHRINKAGE) -> float:
    """Fit the number that is added to the log-odds of a dimension: `fit_bias` of its two sides.

    Args:
        probabilities: (recording,), of the high side.
        level: its mean on neutral speech.
        shrinkage: see `fit_bias`.

    Example:
        >>> round(fit_shift([0.8, 0.7, 0.9], 0.2), 2)
        -1.61
    """
    low, high = fit_bias(_two_classes(probabilities), [1 - level, level], shrinkage)
    return float(high - low)


def fit_bias(probabilities: npt.ArrayLike, level: npt.ArrayLike, shrinkage: float = SHRINKAGE) -> Array:
    """The bias on log-probabilities that brings the mean scores of neutral recordings to the level of neutral speech.

    b = argmin sum_i KL(level || softmax(log p_i + b)) + shrinkage/2 |b|^2, which is convex: the clips' mean score is
    at the level but for a pull of `shrinkage * b / n_clips`. It is the most probable bias of a person where biases of
    people are normal with variance 1/shrinkage; without clips it is 0, with many the level is met.

    Args:
        probabilities: (recording, class).
        level: (class,), sums to 1.
        shrinkage: see above.

    Returns:
        (class,), sums to 0.

    Example:
        >>> fit_bias([[0.8, 0.2]], [0.2, 0.8]).round(2).tolist()
        [-0.43, 0.43]
    """
    logs = np.log(np.maximum(np.asarray(probabilities, dtype=np.float64), SMALLEST))
    target = np.asarray(level, dtype=np.float64) / np.sum(level)
    n_clips, n_classes = logs.shape

    def loss(b: Array) -> tuple[float, Array]:
        shifted = _shifted(logs, b)
        value = -(target @ np.log(shifted).T).sum() + shrinkage / 2 * b @ b
        return float(value), shifted.sum(0) - n_clips * target + shrinkage * b

    def curvature(b: Array) -> Array:
        shifted = _shifted(logs, b)
        matrix: Array = np.diag(shifted.sum(0)) - shifted.T @ shifted + shrinkage * np.eye(n_classes)
        return matrix

    from scipy.optimize import minimize  # late: only adapting to a voice needs SciPy

    smallest = 1e-9 * (n_clips + shrinkage)  # of the gradient
    found = minimize(loss, np.zeros(n_classes), jac=True, hess=curvature, method="trust-exact", tol=smallest)
    centred: Array = found.x - found.x.mean()
    return centred


@dataclass(frozen=True)
class EnrolmentGain:
    """Gain from enrolment for speakers whose neutral recordings it was given.

    Attributes:
        n_clips: enrolled of each speaker.
        n_speakers: with more neutral recordings than that.
        ua: without and with enrolment: mean recall, each speaker's utterances that were not enrolled pooled.
        nll: without and with: negative log-likelihood, each speaker counting alike.
        difference: "ua", "wa" and "nll" with less without.
        interval: the same names -> [low, high], 95 %, speakers drawn anew; None below three speakers.
    """

    n_clips: int
    n_speakers: int
    ua: tuple[float, float]
    nll: tuple[float, float]
    difference: Mapping[str, float]
    interval: Mapping[str, list[float] | None]


def measure_gain(
    predictions: "pd.DataFrame",
    classes: Sequence[str],
    n_clips: int,
    n_draws: int = 20,
    seed: int = 0,
    shrinkage: float = SHRINKAGE,
    dimension: str | None = None,
) -> EnrolmentGain:
    """Enrol every speaker on some of their neutral utterances, judge the others with and without: a paired difference.

    The level of neutral speech is that of the other speakers' neutral utterances, so no speaker's own labels but
    "this is neutral" of the enrolled ones are used. Which are enrolled is drawn anew several times and averaged.

    Args:
        predictions: one seed's table with truth, corpus, speaker and calibrated score_<class>, or truth_<dimension> and
            calibrated probability_<dimension>, as of `nested_calibration`; e.g. of one corpus.
        classes: in the order of the scores.
        n_clips: neutral utterances to enrol; speakers without more than these are left out.
        n_draws: how many times they are drawn.
        seed: of the drawing.
        shrinkage: of `fit_bias`.
        dimension: "arousal" or "valence", judged by its two sides instead of the classes; rows that have no truth of it
            are left out.

    Raises:
        ValueError: fewer than two speakers have enough neutral utterances.
    """
    from affectra.tasks.statistics import difference_interval

    if dimension is not None:
        predictions = predictions[predictions[f"truth_{dimension}"].notna()]
    scores, targets = _judged(predictions, classes, dimension)
    speaker = predictions.groupby(["corpus", "speaker"]).ngroup().to_numpy()
    neutral = (predictions["truth"] == NEUTRAL).to_numpy()
    means = {s: scores[neutral & (speaker == s)].mean(0) for s in np.unique(speaker[neutral])}
    able = [s for s in means if (neutral & (speaker == s)).sum() > n_clips]
    if len(able) < 2:
        raise ValueError(f"{len(able)} speakers have more than {n_clips} neutral utterances; expected two at least")
    rng = np.random.default_rng(seed)
    sums = [
        _gain_of_speaker(
            scores[speaker == s],
            targets[speaker == s],
            np.flatnonzero(neutral[speaker == s]),
            np.mean([mean for other, mean in means.items() if other != s], axis=0),
            n_clips,
            n_draws,
            shrinkage,
            rng,
        )
        for s in able
    ]
    right, counts, surprise = (np.stack(parts) for parts in zip(*sums, strict=True))
    interval: dict[str, Any] = difference_interval(right[:, 1], right[:, 0], counts, seed)
    interval["nll"] = _mean_interval(surprise[:, 1] - surprise[:, 0], rng)
    there = counts.sum(0) > 0
    ua = tuple(float((right[:, k].sum(0)[there] / counts.sum(0)[there]).mean()) for k in (0, 1))
    wa = [float(right[:, k].sum() / counts.sum()) for k in (0, 1)]
    nll = tuple(float(value) for value in surprise.mean(0))
    difference = {"ua": ua[1] - ua[0], "wa": wa[1] - wa[0], "nll": nll[1] - nll[0]}
    return EnrolmentGain(n_clips, len(able), (ua[0], ua[1]), (nll[0], nll[1]), difference, interval)


def _judged(
    predictions: "pd.DataFrame", classes: Sequence[str], dimension: str | None
) -> tuple[Array, npt.NDArray[np.intp]]:
    """Calibrated probabilities (utterance, class), or of the two sides of a dimension, and the place of the truth."""
    if dimension is not None:
        truth = predictions[f"truth_{dimension}"].to_numpy(dtype=np.float64)
        return _two_classes(predictions[f"probability_{dimension}"]), truth.astype(np.intp)
    scores = predictions[[f"score_{name}" for name in classes]].to_numpy(dtype=np.float64)
    places = {name: k for k, name in enumerate(classes)}
    return scores, np.array([places[name] for name in predictions["truth"]], dtype=np.intp)


def _gain_of_speaker(
    scores: Array,
    targets: npt.NDArray[np.intp],
    own: npt.NDArray[np.intp],
    level: Array,
    n_clips: int,
    n_draws: int,
    shrinkage: float,
    rng: np.random.Generator,
) -> tuple[Array, npt.NDArray[np.intp], Array]:
    """Right answers (without/with, class) averaged over draws, how many there could be, and mean surprise."""
    n_classes = scores.shape[1]
    right, surprise = np.zeros((2, n_classes)), np.zeros(2)
    for _ in range(n_draws):
        enrolled = rng.choice(own, n_clips, replace=False)
        rest = np.setdiff1d(np.arange(len(targets)), enrolled)
        shifted = Enrolment(fit_bias(scores[enrolled], level, shrinkage), n_clips).apply(scores[rest])
        for k, table in enumerate((scores[rest], shifted)):
            np.add.at(right[k], targets[rest], (table.argmax(1) == targets[rest]) / n_draws)
            surprise[k] -= np.log(np.maximum(table[np.arange(len(rest)), targets[rest]], SMALLEST)).mean() / n_draws
    counts = np.bincount(targets, minlength=n_classes)
    counts -= np.bincount(targets[own[:n_clips]], minlength=n_classes)  # neutral ones are all of one class
    return right, counts, surprise


def _mean_interval(differences: Array, rng: np.random.Generator) -> list[float] | None:
    from affectra.tasks.statistics import LEVEL, MIN_SPEAKERS, N_RESAMPLES

    if len(differences) < MIN_SPEAKERS:
        return None
    drawn = rng.choice(differences, (N_RESAMPLES, len(differences))).mean(axis=1)
    return [float(value) for value in np.quantile(drawn, [(1 - LEVEL) / 2, (1 + LEVEL) / 2])]


def _two_classes(probabilities: npt.ArrayLike) -> Array:
    """Probabilities (..., 2) of the low and the high side."""
    high = np.asarray(probabilities, dtype=np.float64)
    return np.stack([1 - high, high], axis=-1)


def _shifted(logs: Array, bias: Array) -> Array:
    """Softmax of logs + bias over the last axis."""
    moved = logs + bias
    exponentials = np.exp(moved - moved.max(-1, keepdims=True))
    shifted: Array = exponentials / exponentials.sum(-1, keepdims=True)
    return shifted
