"""Agreement of predictions with the truth; all results are fractions, sequences or arrays of one axis come in."""

from collections.abc import Sequence
from typing import Any

import audmetric
import numpy as np
import numpy.typing as npt
from sklearn import metrics as sklearn_metrics

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
    A class that is only predicted does not count, as no recall can be said of it (what is wrongly given to it is
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
    matrix: npt.NDArray[np.int64] = sklearn_metrics.confusion_matrix(truth, predicted, labels=labels)
    return matrix


def concordance_cc(truth: Values, predicted: Values) -> float:
    """Concordance correlation coefficient (CCC) in [-1, 1].

    CCC = 2 cov(t, p) / (var t + var p + (mean t - mean p)^2), with biased (1/N) moments (Lin 1989).

    A constant series has no covariance, so its CCC is 0; the one exception is a prediction equal to the truth
    everywhere, whose agreement is perfect and whose CCC is 1 even where the formula says 0/0.

    Raises:
        ValueError: nothing to compare, different lengths, or a value that is not finite.

    Example:
        >>> round(concordance_cc([0.0, 1.0, 2.0], [0.0, 1.0, 1.0]), 4)
        0.6667
    """
    truth, predicted = (values.astype(float) for values in _pair(truth, predicted))
    for name, values in (("truth", truth), ("predicted", predicted)):
        if not np.isfinite(values).all():
            raise ValueError(f"{name} holds {values[~np.isfinite(values)][0]}; expected finite numbers")
    if np.array_equal(truth, predicted):
        return 1.0
    if np.ptp(truth) == 0 or np.ptp(predicted) == 0:
        return 0.0  # exactly; audmetric leaves a rounding error there
    scale = max(np.abs(truth).max(), np.abs(predicted).max())  # CCC knows no unit; squares of 1e-200 vanish
    return float(audmetric.concordance_cc(truth / scale, predicted / scale))


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
