"""Fitting a calibration on predictions for speakers or corpora that the model was not trained on."""

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import numpy.typing as npt

from affectra.predict.calibration.novelty import TrainingSpace, threshold_of
from affectra.predict.calibration.scaling import SMALLEST, BinaryCalibration, Calibration

if TYPE_CHECKING:  # pandas and scipy take longer to import than a recording to recognise
    import pandas as pd

# Ours. Nobody measures an error below one in the number of utterances; and beyond 99 % no label of emotion can be
# trusted: the listeners who chose EMO-DB's recordings agreed with the actor on 80 % at least, not on all.
MOST_CERTAIN = 0.99
TARGET_ERROR = 1 / 3  # ours: of the answers that are given, two in three shall be right
MAX_POWER = 5.0  # ours: at twice the distance 32 times the temperature
LEAST_COVERAGE = 0.5  # ours: a model that answers less than every second recording is of no use
# Ours. What is more likely wrong than right is no answer. A model that is good on all it was calibrated on would reach
# the target without ever abstaining; what it gets elsewhere is not in that sum, but it is in its confidence.
LEAST_CONFIDENCE = 0.5
DIMENSIONS = ("arousal", "valence")
Array = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Abstention:
    """An abstention threshold and how it was chosen.

    Attributes:
        threshold: answer where the confidence is at least this.
        coverage: share of the utterances that are then answered.
        error: share of those answers that are wrong.
        met: whether the goal was met.
    """

    threshold: float
    coverage: float
    error: float
    met: bool


def fit_calibration(
    predictions: "pd.DataFrame", classes: Sequence[str], space: TrainingSpace | None = None
) -> Calibration:
    """Fit all of it on predictions for speakers and corpora that the model was not trained on.

    Each corpus counts as much as any other, as the next one may be like any of them. Rows without a class (an auxiliary
    task's alone) count for arousal and valence only.

    Args:
        predictions: table with truth and score_<class>, and where there are any: corpus, speaker, utterance,
            truth_<dimension> (1, 0 or NaN) and probability_<dimension>, `distance` (in the space of the fold's own
            training). Where it is of several protocols (speakers of the corpora trained on, and other corpora) put
            below each other, the distance tells which kind an utterance is of.
        classes: in the order of the scores.
        space: the model's own, for prediction; it gets its threshold here where there are distances.
    """
    labelled = predictions[predictions["truth"].isin(list(classes))]
    calibration = fit_temperature(labelled, classes)
    scores = calibration.apply(_scores(labelled, classes), _distances(labelled))
    abstention = fit_abstention(labelled, classes, calibration)
    if space is not None and "distance" in predictions:
        space = replace(space, threshold=threshold_of(predictions["distance"]))
    return replace(
        calibration,
        abstain_below=abstention.threshold,
        arousal=_fit_binary(predictions, "arousal"),
        valence=_fit_binary(predictions, "valence"),
        space=space,
        neutral=_neutral_level(labelled, scores, classes),
    )


def fit_abstention(predictions: "pd.DataFrame", classes: Sequence[str], calibration: Calibration) -> "Abstention":
    """`choose_threshold` on predictions as calibrated; as for `fit_calibration`, and each row has a class."""
    scores = calibration.apply(_scores(predictions, classes), _distances(predictions))
    right = scores.argmax(1) == _targets(predictions, classes)
    return choose_threshold(scores.max(1), right, _weights(predictions))


def fit_temperature(predictions: "pd.DataFrame", classes: Sequence[str]) -> Calibration:
    """Temperature, power and floor with the least negative log-likelihood of the truth, corpora counting alike.

    The floor is at least what keeps confidence from exceeding 99 %, and 1 - 1/(n + 2) of n utterances: the error that
    the rule of succession expects where none was seen.

    Args:
        predictions: table with truth, score_<class> and, for the power, `distance`.
        classes: in the order of the scores.
    """
    from scipy.optimize import minimize

    scores, targets, weights = _scores(predictions, classes), _targets(predictions, classes), _weights(predictions)
    least = floor_of(count_utterances(predictions), len(classes))
    distances = _distances(predictions)

    def calibration_of(parameters: Array) -> Calibration:
        log_temperature, power, floor = map(float, parameters)
        return Calibration(math.exp(log_temperature), power, min(1.0, max(least, floor)))

    def loss(parameters: Array) -> float:
        calibrated = calibration_of(parameters).apply(scores, distances)
        return float(-weights @ np.log(np.maximum(calibrated[np.arange(len(targets)), targets], SMALLEST)))

    bounds = [(math.log(0.1), math.log(10.0)), (0.0, MAX_POWER if "distance" in predictions else 0.0), (least, 1.0)]
    # Temperature and floor can stand in for each other, so there may be two valleys.
    starts = [np.array([0.0, 0.0, least]), np.array([0.0, bounds[1][1] / 5, min(1.0, least + 0.2)])]
    found = (minimize(loss, start, bounds=bounds, method="L-BFGS-B") for start in starts)
    return calibration_of(min(found, key=lambda result: result.fun).x)


def floor_of(n_utterances: int, n_classes: int) -> float:
    """The least uniform share that n utterances justify.

    Example:
        >>> round(1 - floor_of(10_000, 4) * 3 / 4, 6)  # the highest confidence
        0.99
    """
    most = min(MOST_CERTAIN, 1 - 1 / (n_utterances + 2))
    return min(1.0, (1 - most) * n_classes / (n_classes - 1))


def choose_threshold(
    confidence: npt.ArrayLike,
    right: npt.ArrayLike,
    weights: npt.ArrayLike | None = None,
    target_error: float = TARGET_ERROR,
    least_coverage: float = LEAST_COVERAGE,
) -> Abstention:
    """The lowest confidence threshold at which the answers given are wrong no more often than the target says.

    It is `LEAST_CONFIDENCE` at least. But every second recording is answered, whatever the error and the confidence; a
    goal missed there is reported.

    Args:
        confidence: (utterance,).
        right: (utterance,), whether the first class is the truth.
        weights: (utterance,); default: alike.
        target_error: the highest share of wrong answers.
        least_coverage: the lowest share of answers.

    Example:
        >>> choose_threshold([0.9, 0.8, 0.6, 0.3], [True, True, False, False])
        Abstention(threshold=0.6, coverage=0.75, error=0.3333333333333333, met=True)
    """
    confidence, right = np.asarray(confidence, dtype=np.float64), np.asarray(right, dtype=np.float64)
    share = np.full(len(confidence), 1.0) if weights is None else np.asarray(weights, dtype=np.float64)
    order = np.argsort(-confidence, kind="stable")
    ends = np.append(np.flatnonzero(np.diff(confidence[order])), len(order) - 1)  # equal confidence falls together
    answered = np.cumsum(share[order])[ends]
    coverage = answered / share.sum()
    error = np.cumsum((share * (1 - right))[order])[ends] / answered
    allowed = coverage >= least_coverage - 1e-12
    good = allowed & (error <= target_error + 1e-12)
    chosen = int(np.flatnonzero(good)[-1]) if good.any() else int(np.flatnonzero(allowed)[0])
    lowest, most = (float(confidence[order[ends[k]]]) for k in (chosen, np.flatnonzero(allowed)[0]))
    threshold = max(0.0 if chosen == len(ends) - 1 else lowest, min(LEAST_CONFIDENCE, most))
    at = int(np.flatnonzero(confidence[order[ends]] >= threshold)[-1])
    return Abstention(threshold, float(coverage[at]), float(error[at]), bool(good[at]))


def nested_calibration(
    predictions: "pd.DataFrame", classes: Sequence[str], by: Literal["corpus", "speaker"] = "corpus"
) -> "pd.DataFrame":
    """Predictions whose calibration was fitted without them: each group's on all the others.

    What is reported of calibration and abstention is measured on these; no utterance has a say in its own.

    Args:
        predictions: as for `fit_calibration`, with corpus and speaker.
        classes: in the order of the scores.
        by: what a group is.

    Returns:
        The table with calibrated score_<class> and probability_<dimension>, `confidence`, `abstain_below`, the
        threshold of the others, and `answered`: whether the confidence reaches it.

    Raises:
        ValueError: fewer than two groups.
    """
    import pandas as pd

    groups = predictions.groupby(["corpus"] if by == "corpus" else ["corpus", "speaker"], sort=True).ngroup().to_numpy()
    if groups.max(initial=0) < 1:
        raise ValueError(f"calibration nested by {by} needs two of them at least; found {len(set(groups))}")
    parts, places = [], []
    for group in range(groups.max() + 1):
        inside = predictions[groups == group]
        places.append(np.flatnonzero(groups == group))
        parts.append(calibrated_table(inside, classes, fit_calibration(predictions[groups != group], classes)))
    return pd.concat(parts).iloc[np.argsort(np.concatenate(places))]


def calibrated_table(predictions: "pd.DataFrame", classes: Sequence[str], calibration: Calibration) -> "pd.DataFrame":
    """Predictions with a calibration applied; columns as of `nested_calibration`."""
    scores = calibration.apply(_scores(predictions, classes), _distances(predictions))
    columns: dict[str, Any] = {f"score_{name}": scores[:, k] for k, name in enumerate(classes)}
    for name in DIMENSIONS:
        fitted = getattr(calibration, name)
        if fitted is not None and f"probability_{name}" in predictions:
            columns[f"probability_{name}"] = fitted.apply(predictions[f"probability_{name}"])
    confidence = scores.max(1)
    columns["confidence"] = confidence
    columns["abstain_below"] = calibration.abstain_below or 0.0
    columns["answered"] = confidence >= columns["abstain_below"]
    return predictions.assign(**columns)


def _fit_binary(predictions: "pd.DataFrame", name: str) -> BinaryCalibration | None:
    """Slope and intercept with the least negative log-likelihood; None without both classes and probabilities."""
    from scipy.optimize import minimize

    if f"truth_{name}" not in predictions or f"probability_{name}" not in predictions:
        return None
    known = predictions[predictions[f"truth_{name}"].notna() & predictions[f"probability_{name}"].notna()]
    truth = known[f"truth_{name}"].to_numpy(dtype=np.float64)
    if len(np.unique(truth)) < 2:
        return None
    p, weights = known[f"probability_{name}"].to_numpy(dtype=np.float64), _weights(known)
    floor = floor_of(count_utterances(known), 2)

    def loss(parameters: Array) -> float:
        high = BinaryCalibration(float(parameters[0]), float(parameters[1]), floor).apply(p)
        return float(-weights @ (truth * np.log(high) + (1 - truth) * np.log(1 - high)))

    best = minimize(loss, np.array([1.0, 0.0]), bounds=[(0.0, 10.0), (-10.0, 10.0)], method="L-BFGS-B")
    fitted = BinaryCalibration(float(best.x[0]), float(best.x[1]), floor)
    level = _neutral_mean(known, fitted.apply(p)[:, None])
    return replace(fitted, neutral=None if level is None else float(level[0]))


def _neutral_level(predictions: "pd.DataFrame", scores: Array, classes: Sequence[str]) -> dict[str, float] | None:
    """Mean calibrated scores on neutral utterances; None where no utterance is neutral."""
    means = _neutral_mean(predictions, scores)
    return None if means is None else {name: float(value) for name, value in zip(classes, means, strict=True)}


def _neutral_mean(predictions: "pd.DataFrame", values: Array) -> Array | None:
    """Mean over neutral utterances of values (utterance, value), each speaker counting alike; None without any."""
    neutral = (predictions["truth"] == "neutral").to_numpy()
    if not neutral.any():
        return None
    columns = [column for column in ("corpus", "speaker") if column in predictions]
    if not columns:
        return np.asarray(values[neutral].mean(0))
    speaker = predictions[neutral].groupby(columns).ngroup().to_numpy()
    means: Array = np.mean([values[neutral][speaker == k].mean(0) for k in range(speaker.max() + 1)], axis=0)
    return means


def _scores(predictions: "pd.DataFrame", classes: Sequence[str]) -> Array:
    scores: Array = predictions[[f"score_{name}" for name in classes]].to_numpy(dtype=np.float64)
    return scores


def _targets(predictions: "pd.DataFrame", classes: Sequence[str]) -> npt.NDArray[np.intp]:
    places = {name: k for k, name in enumerate(classes)}
    return np.array([places[name] for name in predictions["truth"]], dtype=np.intp)


def _weights(predictions: "pd.DataFrame") -> Array:
    """Weights of the rows that sum to 1, each corpus's alike."""
    if "corpus" not in predictions:
        return np.full(len(predictions), 1 / max(1, len(predictions)))
    size = predictions.groupby("corpus")["corpus"].transform("size").to_numpy(dtype=np.float64)
    weights: Array = 1 / size / predictions["corpus"].nunique()
    return weights


def _distances(predictions: "pd.DataFrame") -> Array:
    """How far each row is from its fold's training; 1 where it is not known."""
    if "distance" not in predictions:
        return np.ones(len(predictions))
    distances: Array = predictions["distance"].to_numpy(dtype=np.float64)
    return distances


def count_utterances(predictions: "pd.DataFrame") -> int:
    """How many there are; each has a row a seed."""
    keys = [column for column in ("corpus", "utterance") if column in predictions]
    return len(predictions[keys].drop_duplicates()) if "utterance" in keys else len(predictions)
