"""Reliability: whether a probability of 0.8 is right eight times in ten, and what silence in doubt buys."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, NamedTuple

import numpy as np
import numpy.typing as npt
import pandas as pd

from affectra.metrics import unweighted_average_recall
from affectra.tasks.statistics import LEVEL, MIN_SPEAKERS, N_RESAMPLES, Interval

N_BINS = 15  # as in Guo et al. 2017
SMALLEST = 1e-12  # a probability of zero has no logarithm
Binning = Literal["width", "mass"]
Array = npt.NDArray[np.float64]


def expected_calibration_error(
    confidence: npt.ArrayLike, right: npt.ArrayLike, n_bins: int = N_BINS, binning: Binning = "width"
) -> float:
    """Expected calibration error (ECE): the mean distance between confidence and accuracy, over bins of confidence.

    ECE = sum_b n_b/n |accuracy_b - confidence_b|, in [0, 1]. It is above 0 even for perfect calibration, the more so
    the fewer utterances a bin has.

    Args:
        confidence: (utterance,), probability of the class predicted.
        right: (utterance,), whether it is the truth.
        n_bins: number of bins.
        binning: "width": bins of equal width in [0, 1] (Guo et al. 2017); "mass": edges at quantiles, so that each has
            about as many utterances (adaptive; Nixon et al. 2019). Equal confidence never falls into two bins.

    Raises:
        ValueError: nothing to judge, different lengths, or a confidence outside [0, 1].

    Example:
        >>> round(expected_calibration_error([0.9, 0.9, 0.6, 0.6], [True, True, True, False]), 6)
        0.1
    """
    confidence, right = _pair(confidence, right)
    sums = _bin_sums(confidence, right, _bins(confidence, n_bins, binning), n_bins)
    return float(_ece(sums))


def brier_score(probabilities: npt.ArrayLike, targets: npt.ArrayLike) -> float:
    """Mean over utterances of the squared distance between the probabilities and the truth's indicator (Brier 1950).

    In [0, 2]; guessing evenly among K classes gives 1 - 1/K.

    Args:
        probabilities: (utterance, class), rows sum to 1.
        targets: (utterance,), index of the true class.

    Example:
        >>> brier_score([[1.0, 0.0], [0.5, 0.5]], [0, 0])
        0.25
    """
    return float(_briers(np.asarray(probabilities, dtype=np.float64), np.asarray(targets)).mean())


def negative_log_likelihood(probabilities: npt.ArrayLike, targets: npt.ArrayLike) -> float:
    """Mean of -ln p(truth) in nats; guessing evenly among K classes gives ln K.

    Args:
        probabilities: (utterance, class), rows sum to 1; a zero counts as 1e-12.
        targets: (utterance,), index of the true class.

    Example:
        >>> round(negative_log_likelihood([[0.5, 0.5]], [1]), 4)
        0.6931
    """
    return float(_surprises(np.asarray(probabilities, dtype=np.float64), np.asarray(targets)).mean())


class Point(NamedTuple):
    """Answers with at least the confidence `threshold`: what share they are of all, and what share of them is wrong."""

    threshold: float
    coverage: float
    risk: float


@dataclass(frozen=True)
class CoverageRisk:
    """Share of wrong answers when only the more confident ones are given.

    Attributes:
        thresholds: (point,), falling: answers with at least this confidence are given.
        coverage: (point,), share of utterances answered, rising to 1.
        risk: (point,), share of the answers that are wrong.
    """

    thresholds: Array
    coverage: Array
    risk: Array

    @property
    def area(self) -> float:
        """Area under the risk over coverage in [0, 1] (AURC, Geifman & El-Yaniv 2017); each utterance's step is flat.

        Lower is better; confidence that says nothing gives the error rate.
        """
        return float(np.diff(self.coverage, prepend=0.0) @ self.risk)

    def at_coverage(self, least: float) -> Point:
        """Where at least this share is answered, and no more than that takes; equal confidence falls together.

        Raises:
            ValueError: a share outside [0, 1].
        """
        if not 0 <= least <= 1:
            raise ValueError(f"coverage {least} is outside [0, 1]; expected a share of the utterances")
        return self._point(int(np.searchsorted(self.coverage, least - 1e-12)))  # 0.3 is also what 3 / 10 rounds to

    def at_threshold(self, threshold: float) -> Point | None:
        """Where answers with at least this confidence are given; None where no answer has it."""
        n_points = int((self.thresholds >= threshold).sum())
        return self._point(n_points - 1) if n_points else None

    def _point(self, k: int) -> Point:
        return Point(float(self.thresholds[k]), float(self.coverage[k]), float(self.risk[k]))


def coverage_risk(confidence: npt.ArrayLike, right: npt.ArrayLike) -> CoverageRisk:
    """The coverage-risk curve: a point for each confidence there is.

    Args:
        confidence: (utterance,).
        right: (utterance,), whether the class predicted is the truth.

    Example:
        >>> coverage_risk([0.9, 0.6, 0.6, 0.5], [True, True, False, False]).risk.round(2).tolist()
        [0.0, 0.33, 0.5]
    """
    confidence, right = _pair(confidence, right)
    order = np.argsort(-confidence, kind="stable")
    ends = np.append(np.flatnonzero(np.diff(confidence[order])), len(order) - 1)
    n_answered = ends + 1.0
    n_wrong = np.cumsum(1 - right[order])[ends]
    return CoverageRisk(confidence[order[ends]], n_answered / len(order), n_wrong / n_answered)


def curve_of(predictions: pd.DataFrame, classes: Sequence[str]) -> CoverageRisk:
    """The coverage-risk curve of a table with truth and score_<class>; confidence is the highest score.

    Rows whose truth is no class are left out.

    Raises:
        ValueError: nothing to judge, or a score outside [0, 1].
    """
    scores, targets = _scores_and_targets(predictions[predictions["truth"].isin(list(classes))], classes)
    return coverage_risk(scores.max(1), scores.argmax(1) == targets)


def prediction_entropy(predicted: Sequence[Any] | npt.NDArray[Any], n_classes: int) -> float:
    """How evenly classes are predicted: 0 if always the same one, 1 if each is as often; log base K.

    Example:
        >>> prediction_entropy(["anger", "anger", "fear", "fear"], 4)
        0.5
    """
    shares = np.unique(np.asarray(predicted), return_counts=True)[1] / len(predicted)
    return float(max(0.0, -(shares * np.log(shares)).sum() / np.log(n_classes)))  # never -0


def reliability_table(
    predictions: pd.DataFrame, classes: Sequence[str], by: Sequence[str] = ("corpus",), seed: int = 0
) -> pd.DataFrame:
    """A row for all predictions and one for each group: accuracy, calibration, and what abstention buys.

    Args:
        predictions: table with truth, corpus, speaker and calibrated score_<class>, e.g. of `nested_calibration`; with
            `answered`, the coverage and risk of abstention are given too. Rows whose truth is no class are left out.
        classes: in the order of the scores.
        by: columns whose values make a group; the row of all has "all" there.
        seed: of the resampling of speakers.

    Returns:
        Columns `by`, n, accuracy, ua, ece (15 bins of equal width), ece_mass (15 of equal mass), brier, nll, aurc,
        entropy (of the classes predicted), confidence (its mean), coverage and risk (NaN without `answered`), and
        <measure>_low, <measure>_high of accuracy, ece, brier and nll: percentile intervals of the bootstrap over
        speakers, NaN below three speakers. A resample repeats speakers, which makes its ECE larger than the estimate;
        read its interval's upper end.
    """
    known = predictions[predictions["truth"].isin(list(classes))]
    keys = list(by)
    groups = [(("all",) * len(keys), known), *((key, group) for key, group in known.groupby(keys, sort=True))]
    rows = [{**dict(zip(keys, key, strict=True)), **_row(group, classes, seed)} for key, group in groups]
    return pd.DataFrame(rows)


def _row(group: pd.DataFrame, classes: Sequence[str], seed: int) -> dict[str, Any]:
    scores, targets = _scores_and_targets(group, classes)
    predicted, confidence = scores.argmax(1), scores.max(1)
    right = (predicted == targets).astype(np.float64)
    answered = group["answered"].to_numpy(dtype=bool) if "answered" in group else None
    row = {
        "n": len(group),
        "accuracy": float(right.mean()),
        "ua": unweighted_average_recall(targets, predicted),
        "ece": expected_calibration_error(confidence, right),
        "ece_mass": expected_calibration_error(confidence, right, binning="mass"),
        "brier": brier_score(scores, targets),
        "nll": negative_log_likelihood(scores, targets),
        "aurc": coverage_risk(confidence, right).area,
        "entropy": prediction_entropy(predicted, len(classes)),
        "confidence": float(confidence.mean()),
        "coverage": np.nan if answered is None else float(answered.mean()),
        "risk": np.nan if answered is None or not answered.any() else float(1 - right[answered].mean()),
    }
    speakers = group.groupby(["corpus", "speaker"]).ngroup().to_numpy()
    for name, interval in _intervals(scores, targets, right, confidence, speakers, seed).items():
        row |= dict(zip((f"{name}_low", f"{name}_high"), interval or (np.nan, np.nan), strict=True))
    return row


def _scores_and_targets(predictions: pd.DataFrame, classes: Sequence[str]) -> tuple[Array, npt.NDArray[np.intp]]:
    """Scores (utterance, class) and the index of each true class."""
    scores = predictions[[f"score_{name}" for name in classes]].to_numpy(dtype=np.float64)
    places = {name: k for k, name in enumerate(classes)}
    return scores, np.array([places[name] for name in predictions["truth"]], dtype=np.intp)


def _intervals(
    scores: Array, targets: npt.NDArray[np.intp], right: Array, confidence: Array, speakers: npt.NDArray[Any], seed: int
) -> Mapping[str, Interval]:
    """Percentile intervals when speakers are drawn anew; all measures are made of sums over speakers."""
    n_speakers = int(speakers.max()) + 1
    if n_speakers < MIN_SPEAKERS:
        return dict.fromkeys(("accuracy", "ece", "brier", "nll"))
    bins = _bins(confidence, N_BINS, "width")
    gaps = np.zeros((n_speakers, N_BINS))
    np.add.at(gaps, (speakers, bins), right - confidence)
    each = np.stack([np.ones(len(right)), right, _briers(scores, targets), _surprises(scores, targets)], axis=1)
    sums = np.zeros((n_speakers, each.shape[1]))
    np.add.at(sums, speakers, each)
    rng = np.random.default_rng(seed)
    draws = rng.multinomial(n_speakers, np.full(n_speakers, 1 / n_speakers), size=N_RESAMPLES)
    n, n_right, brier, surprise = (draws @ sums).T
    ece = np.abs(draws @ gaps).sum(axis=1) / n
    tails = [(1 - LEVEL) / 2, (1 + LEVEL) / 2]
    resampled = {"accuracy": n_right / n, "ece": ece, "brier": brier / n, "nll": surprise / n}
    return {name: [float(v) for v in np.quantile(values, tails)] for name, values in resampled.items()}


def _bins(confidence: Array, n_bins: int, binning: Binning) -> npt.NDArray[np.intp]:
    """The bin of each confidence; bins hold their upper edge, as in Guo et al. 2017."""
    if binning == "width":
        edges = np.arange(1, n_bins) / n_bins
    else:
        edges = np.quantile(confidence, np.arange(1, n_bins) / n_bins, method="inverted_cdf")
    return np.searchsorted(edges, confidence, side="left")


def _bin_sums(confidence: Array, right: Array, bins: npt.NDArray[np.intp], n_bins: int) -> tuple[Array, Array, Array]:
    """Of each bin: how many, how many right, sum of the confidence."""
    n, n_right, total = np.zeros((3, n_bins))
    np.add.at(n, bins, 1.0)
    np.add.at(n_right, bins, right)
    np.add.at(total, bins, confidence)
    return n, n_right, total


def _ece(sums: tuple[Array, Array, Array]) -> float:
    n, n_right, total = sums
    return float(np.abs(n_right - total).sum() / n.sum())


def _briers(probabilities: Array, targets: npt.NDArray[Any]) -> Array:
    truth = np.eye(probabilities.shape[1])[targets]
    squares: Array = np.square(probabilities - truth).sum(axis=1)
    return squares


def _surprises(probabilities: Array, targets: npt.NDArray[Any]) -> Array:
    surprises: Array = -np.log(np.maximum(probabilities[np.arange(len(targets)), targets], SMALLEST))
    return surprises


def _pair(confidence: npt.ArrayLike, right: npt.ArrayLike) -> tuple[Array, Array]:
    confidence, right = np.asarray(confidence, dtype=np.float64), np.asarray(right, dtype=np.float64)
    if confidence.ndim != 1 or confidence.shape != right.shape or not len(confidence):
        raise ValueError(f"confidence has shape {confidence.shape}, right {right.shape}; expected one axis, as long")
    if not ((confidence >= 0) & (confidence <= 1 + 1e-6)).all():  # scores that were rounded may sum to a little more
        raise ValueError("a confidence is outside [0, 1]; expected probabilities")
    return confidence, right
