"""Agreement of predictions with the truth; all results are fractions, sequences or arrays of one axis come in."""

from collections.abc import Sequence
from typing import Any

import audmetric
import numpy as np
import numpy.typing as npt

Values = Sequence[Any] | npt.NDArray[Any]


def weighted_accuracy(truth: Values, predicted: Values) -> float:
    """Weighted accuracy (WA): the share of utterances that are right, that is, recall weighted by class frequency.

    WA = (number of correct predictions) / (number of predictions), in [0, 1]; what other fields call accuracy.

    Raises:
        ValueError: nothing to compare, or different lengths.

    Example:
        >>> weighted_accuracy(["anger", "anger", "anger", "fear"], ["anger", "anger", "fear", "fear"])
        0.75
    """
    truth, predicted = _pair(truth, predicted)
    return float(np.mean(truth == predicted))


def unweighted_average_recall(truth: Values, predicted: Values) -> float:
    """Unweighted average recall (UA, UAR): the mean over classes of the share of the class that is found.

    UA = 1/K sum_k TP_k / (TP_k + FN_k), in [0, 1], over the K classes that occur in the truth; guessing gives 1/K.
    A class that is only predicted does not count, as it has no recall (what is wrongly given to it is
    missing elsewhere).

    Raises:
        ValueError: nothing to compare, or different lengths.

    Example:
        >>> unweighted_average_recall(["anger", "anger", "anger", "fear"], ["anger", "anger", "fear", "sadness"])
        0.3333333333333333
    """
    return float(np.mean(list(recall_per_class(truth, predicted).values())))


def recall_per_class(truth: Values, predicted: Values, classes: Sequence[Any] | None = None) -> dict[Any, float]:
    """Recall of each class: TP_k / (TP_k + FN_k), in [0, 1].

    Args:
        truth: true classes.
        predicted: predicted classes.
        classes: which classes and in what order; default: those of the truth, sorted. NaN for one not in the truth.

    Raises:
        ValueError: nothing to compare, or different lengths.

    Example:
        >>> recall_per_class(["anger", "anger", "fear"], ["anger", "fear", "fear"])
        {'anger': 0.5, 'fear': 1.0}
    """
    truth, predicted = _pair(truth, predicted)
    labels = np.unique(truth).tolist() if classes is None else list(classes)
    # not labels=: audmetric would forget the utterances predicted as another class
    recall = audmetric.recall_per_class(truth, predicted, zero_division=np.nan)
    return {label: recall.get(label, np.nan) for label in labels}


def macro_f1(truth: Values, predicted: Values) -> float:
    """Mean over classes of F1_k = 2 TP_k / (2 TP_k + FP_k + FN_k), in [0, 1].

    Over the classes that occur in the truth or among the predictions: one that is only predicted counts with 0.

    Raises:
        ValueError: nothing to compare, or different lengths.

    Example:
        >>> macro_f1(["anger", "anger", "fear"], ["anger", "fear", "fear"])
        0.6666666666666666
    """
    truth, predicted = _pair(truth, predicted)
    from sklearn import metrics as sklearn_metrics  # late, it takes a second to import

    return float(sklearn_metrics.f1_score(truth, predicted, average="macro", zero_division=0.0))


def weighted_f1(truth: Values, predicted: Values) -> float:
    """Mean of F1_k = 2 TP_k / (2 TP_k + FP_k + FN_k) weighted by how often class k is the truth, in [0, 1].

    Raises:
        ValueError: nothing to compare, or different lengths.

    Example:
        >>> weighted_f1(["anger", "anger", "anger", "fear"], ["anger", "anger", "anger", "anger"])
        0.6428571428571428
    """
    truth, predicted = _pair(truth, predicted)
    from sklearn import metrics as sklearn_metrics  # late, it takes a second to import

    return float(sklearn_metrics.f1_score(truth, predicted, average="weighted", zero_division=0.0))


def confusion_matrix(truth: Values, predicted: Values, classes: Sequence[Any] | None = None) -> npt.NDArray[np.int64]:
    """Counts by true and predicted class.

    Args:
        truth: true classes.
        predicted: predicted classes.
        classes: order of rows and columns; default: all classes of either, sorted.

    Returns:
        (class, class); row = truth, column = predicted.

    Raises:
        ValueError: nothing to compare, different lengths, or a value outside `classes`.

    Example:
        >>> confusion_matrix(["anger", "anger", "fear"], ["anger", "fear", "fear"])
        array([[1, 1],
               [0, 1]])
    """
    truth, predicted = _pair(truth, predicted)
    found = sorted({*truth.tolist(), *predicted.tolist()})
    labels = found if classes is None else list(classes)
    strange = [value for value in found if value not in labels]
    if strange:
        raise ValueError(f"{strange[0]!r} is not one of the classes: {', '.join(map(str, labels))}")
    from sklearn import metrics as sklearn_metrics  # late, see `macro_f1`

    matrix: npt.NDArray[np.int64] = sklearn_metrics.confusion_matrix(truth, predicted, labels=labels)
    return matrix


def concordance_cc(truth: Values, predicted: Values, *, known: Values | None = None) -> float:
    """Concordance correlation coefficient (CCC) in [-1, 1].

    CCC = 2 cov(t, p) / (var t + var p + (mean t - mean p)^2), with biased (1/N) moments (Lin 1989).

    A constant series has no covariance, so its CCC is 0; the one exception is a prediction equal to the truth
    everywhere, whose agreement is perfect and whose CCC is 1 even where the formula says 0/0.

    Args:
        truth: true values.
        predicted: predicted values.
        known: which frames count, false for gaps and padding, where both may hold anything; default: all.

    Raises:
        ValueError: nothing to compare, different lengths, or a value that counts and is not finite.

    Example:
        >>> round(concordance_cc([0.0, 1.0, 2.0], [0.0, 1.0, 1.0]), 4)
        0.6667
    """
    truth, predicted = _frames(truth, predicted, known)
    if np.array_equal(truth, predicted):
        return 1.0
    if _is_constant_pair(truth, predicted):
        return 0.0  # exactly; audmetric leaves a rounding error there
    truth, predicted = _without_unit(truth, predicted)
    return float(audmetric.concordance_cc(truth, predicted))


def concordance_cc_avec(truth: Values, predicted: Values, *, known: Values | None = None) -> float:
    """CCC as the organisers of the Audio/Visual Emotion Challenges compute it: variances over N - 1, covariance over N.

    CCC = 2 cov_N(t, p) / (var_{N-1} t + var_{N-1} p + (mean t - mean p)^2), as in `calc_scores.py` of the baseline
    systems of AVEC 2018 and 2019 (Ringeval et al.). It is nearer to 0 than `concordance_cc`, and never more than
    1 - 1/N; over the ten thousands of frames of a partition the two agree to four digits, over one short recording
    they do not. Their script divides by the number of all frames where some are NaN; here gaps do not count.

    Constant series as in `concordance_cc`.

    Args:
        truth: true values.
        predicted: predicted values.
        known: which frames count; default: all.

    Raises:
        ValueError: nothing to compare, different lengths, or a value that counts and is not finite.

    Example:
        >>> round(concordance_cc_avec([0.0, 1.0, 2.0], [0.0, 1.0, 1.0]), 4)
        0.4615
    """
    truth, predicted = _frames(truth, predicted, known)
    if _is_constant_pair(truth, predicted):
        return float(np.array_equal(truth, predicted))
    truth, predicted = _without_unit(truth, predicted)
    covariance = np.mean((truth - truth.mean()) * (predicted - predicted.mean()))
    apart = truth.var(ddof=1) + predicted.var(ddof=1) + (truth.mean() - predicted.mean()) ** 2
    return float(2 * covariance / apart)


def pearson_cc(truth: Values, predicted: Values, *, known: Values | None = None) -> float:
    """Pearson's correlation in [-1, 1]; 0 where either series is constant, which has no covariance.

    Args:
        truth: true values.
        predicted: predicted values.
        known: which frames count; default: all.

    Raises:
        ValueError: nothing to compare, different lengths, or a value that counts and is not finite.

    Example:
        >>> round(pearson_cc([0.0, 1.0, 2.0], [5.0, 6.0, 7.0]), 4)
        1.0
    """
    truth, predicted = _frames(truth, predicted, known)
    if _is_constant_pair(truth, predicted):
        return 0.0
    truth, predicted = _without_unit(truth, predicted)
    deviations = (truth - truth.mean(), predicted - predicted.mean())
    norms = [np.linalg.norm(values) for values in deviations]
    # Values may differ in their last digit alone and be their mean to rounding.
    return float(np.clip(deviations[0] @ deviations[1] / (norms[0] * norms[1]), -1, 1)) if all(norms) else 0.0


def root_mean_squared_error(truth: Values, predicted: Values, *, known: Values | None = None) -> float:
    """Root of the mean squared error, in the unit of the labels.

    Args:
        truth: true values.
        predicted: predicted values.
        known: which frames count; default: all.

    Raises:
        ValueError: nothing to compare, different lengths, or a value that counts and is not finite.

    Example:
        >>> root_mean_squared_error([0.0, 0.0], [3.0, -3.0])
        3.0
    """
    truth, predicted = _frames(truth, predicted, known)
    return float(np.sqrt(np.mean((truth - predicted) ** 2)))


def moment_sums(truth: npt.NDArray[np.floating], predicted: npt.NDArray[np.floating]) -> npt.NDArray[np.float64]:
    """Compute each frame's terms of the sums `agreement_of_sums` reads; a frame of unknown truth (NaN) adds nothing.

    Sums of groups of frames may be added, so that the agreement over any union of groups costs a few additions.
    Shift both series by the same number towards a mean of 0 before, for precision: agreement does not change by it.

    Args:
        truth: (frame,), NaN where it is not known.
        predicted: (frame,), finite.

    Returns:
        (frame, 6): 1, t, p, t^2, p^2 and t p.
    """
    known = ~np.isnan(truth)
    t, p = np.where(known, truth, 0.0).astype(float), np.where(known, predicted, 0.0).astype(float)
    return np.stack([known.astype(float), t, p, t * t, p * p, t * p], axis=-1)


def agreement_of_sums(sums: npt.NDArray[np.floating]) -> dict[str, npt.NDArray[np.float64]]:
    """`ccc`, `ccc_avec`, `pearson` and `rmse` of many groups of frames at once; NaN for a group without frames.

    They equal `concordance_cc`, `concordance_cc_avec`, `pearson_cc` and `root_mean_squared_error` on the same frames.
    What varies by less than a millionth of its size is constant here, since sums round.

    Args:
        sums: (..., 6), sums over frames of `moment_sums`.

    Returns:
        name -> (...)
    """
    n = sums[..., 0]
    mean_t, mean_p, square_t, square_p, product = (_ratio(sums[..., k], n) for k in range(1, 6))
    size = np.maximum(square_t, square_p)
    var_t, var_p = np.maximum(square_t - mean_t**2, 0), np.maximum(square_p - mean_p**2, 0)
    covariance, offset = product - mean_t * mean_p, (mean_t - mean_p) ** 2
    is_constant = np.minimum(var_t, var_p) <= 1e-12 * size
    is_equal = np.maximum(np.maximum(var_t, var_p), offset) <= 1e-12 * size
    unbiased = _ratio(n, n - 1)  # NaN where there is one frame, which is constant

    def concordance(spread: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
        ccc = np.where(is_constant, is_equal.astype(float), _ratio(2 * covariance, spread + offset))
        return np.where(n > 0, ccc, np.nan)

    pearson = np.where(is_constant, 0.0, _ratio(covariance, np.sqrt(var_t * var_p)))
    return {
        "ccc": concordance(var_t + var_p),
        "ccc_avec": concordance((var_t + var_p) * unbiased),
        "pearson": np.where(n > 0, np.clip(pearson, -1, 1), np.nan),
        "rmse": np.sqrt(np.maximum(var_t + var_p - 2 * covariance + offset, 0)),
    }


def confusion_recall(matrices: npt.NDArray[Any]) -> npt.NDArray[np.float64]:
    """Recall of each class from confusion matrices; NaN for a class that is not in the truth.

    Args:
        matrices: (..., class, class), counts; row = truth, column = predicted.

    Returns:
        (..., class)
    """
    return _ratio(np.diagonal(matrices, axis1=-2, axis2=-1), matrices.sum(axis=-1))


def confusion_metrics(matrices: npt.NDArray[Any]) -> dict[str, npt.NDArray[np.float64]]:
    """`wa`, `ua`, `macro_f1` and `weighted_f1` of many confusion matrices at once; NaN for one without counts.

    They equal `weighted_accuracy`, `unweighted_average_recall`, `macro_f1` and `weighted_f1` on the same utterances.

    Args:
        matrices: (..., class, class), counts; row = truth, column = predicted.

    Returns:
        name -> (...)

    Example:
        >>> {name: round(float(value), 3) for name, value in confusion_metrics(np.array([[3, 1], [0, 4]])).items()}
        {'wa': 0.875, 'ua': 0.875, 'macro_f1': 0.873, 'weighted_f1': 0.873}
    """
    right = np.diagonal(matrices, axis1=-2, axis2=-1)
    true_counts, predicted_counts = matrices.sum(axis=-1), matrices.sum(axis=-2)
    totals = true_counts.sum(axis=-1)
    recall = confusion_recall(matrices)
    f1 = _ratio(2 * right, true_counts + predicted_counts)
    return {
        "wa": _ratio(right.sum(axis=-1), totals),
        "ua": mean_of_defined(recall),
        "macro_f1": mean_of_defined(f1),
        "weighted_f1": _ratio((np.nan_to_num(f1) * true_counts).sum(axis=-1), totals),
    }


def mean_of_defined(values: npt.NDArray[Any]) -> npt.NDArray[np.float64]:
    """Mean over the last axis of what is not NaN; NaN where nothing is left (`np.nanmean` warns there).

    Example:
        >>> mean_of_defined(np.array([[1.0, np.nan], [np.nan, np.nan]]))
        array([ 1., nan])
    """
    defined = ~np.isnan(values)
    return _ratio(np.where(defined, values, 0.0).sum(axis=-1), defined.sum(axis=-1))


def _ratio(part: npt.NDArray[Any], whole: npt.NDArray[Any]) -> npt.NDArray[np.float64]:
    """part / whole, NaN where whole is 0."""
    part, whole = np.asarray(part, dtype=float), np.asarray(whole, dtype=float)
    ratio: npt.NDArray[np.float64] = np.divide(part, whole, out=np.full(whole.shape, np.nan), where=whole > 0)
    return ratio


def _pair(truth: Values, predicted: Values) -> tuple[npt.NDArray[Any], npt.NDArray[Any]]:
    """Both as arrays of one axis and equal, non-zero length."""
    truth, predicted = np.asarray(truth), np.asarray(predicted)
    if truth.ndim != 1 or predicted.ndim != 1:
        raise ValueError(f"truth has shape {truth.shape}, predicted {predicted.shape}; expected one axis each")
    if len(truth) != len(predicted):
        raise ValueError(f"truth has {len(truth)} values, predicted {len(predicted)}; expected as many")
    if len(truth) == 0:
        raise ValueError("truth and predicted are empty; expected at least one value each")
    return truth, predicted


def _frames(
    truth: Values, predicted: Values, known: Values | None
) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]:
    """The frames that count, all of them finite numbers."""
    true, guess = (values.astype(float) for values in _pair(truth, predicted))
    if known is not None:
        mask = np.asarray(known, dtype=bool)
        if mask.shape != true.shape or not mask.any():
            raise ValueError(f"known has shape {mask.shape}, true {mask.sum()} times; expected {true.shape}, some true")
        true, guess = true[mask], guess[mask]
    for name, values in (("truth", true), ("predicted", guess)):
        if not np.isfinite(values).all():
            raise ValueError(f"{name} holds {values[~np.isfinite(values)][0]}; expected finite numbers")
    return true, guess


def _is_constant_pair(truth: npt.NDArray[np.float64], predicted: npt.NDArray[np.float64]) -> bool:
    """Whether there is no agreement to measure: one of both is constant."""
    return bool(np.ptp(truth) == 0 or np.ptp(predicted) == 0)


def _without_unit(
    truth: npt.NDArray[np.float64], predicted: npt.NDArray[np.float64]
) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]:
    """Both in the unit of the larger; CCC knows none, and squares of 1e-200 vanish."""
    scale = max(np.abs(truth).max(), np.abs(predicted).max())
    return truth / scale, predicted / scale
