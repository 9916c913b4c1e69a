"""Metrics against their formulas written out, and their decided degenerate cases."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn import metrics as sklearn_metrics

from affectra import metrics

CLASSES = ("anger", "fear", "happiness", "neutral")
PAIRS = st.lists(st.tuples(st.sampled_from(CLASSES), st.sampled_from(CLASSES)), min_size=1, max_size=60)
NUMBERS = st.floats(-1e6, 1e6, allow_nan=False)
FUNCTIONS = (
    metrics.weighted_accuracy,
    metrics.unweighted_average_recall,
    metrics.recall_per_class,
    metrics.macro_f1,
    metrics.weighted_f1,
    metrics.confusion_matrix,
    metrics.concordance_cc,
)


def naive_recall(pairs, name):
    answers = [p for t, p in pairs if t == name]
    return sum(p == name for p in answers) / len(answers) if answers else None


def naive_f1(pairs, name):
    right = sum(t == p == name for t, p in pairs)
    told, given_ = sum(t == name for t, _ in pairs), sum(p == name for _, p in pairs)
    precision, recall = right / given_ if given_ else 0.0, right / told if told else 0.0
    return 2 * precision * recall / (precision + recall) if precision + recall else 0.0


def naive_ccc(truth, predicted):
    n = len(truth)
    mean_t, mean_p = math.fsum(truth) / n, math.fsum(predicted) / n
    covariance = math.fsum((t - mean_t) * (p - mean_p) for t, p in zip(truth, predicted, strict=True)) / n
    var_t = math.fsum((t - mean_t) ** 2 for t in truth) / n
    var_p = math.fsum((p - mean_p) ** 2 for p in predicted) / n
    return 2 * covariance / (var_t + var_p + (mean_t - mean_p) ** 2)


@settings(deadline=None)
@given(PAIRS)
def test_metrics_equal_their_formulas(pairs):
    truth, predicted = zip(*pairs, strict=True)
    recalls = [r for r in (naive_recall(pairs, name) for name in CLASSES) if r is not None]
    f1 = {name: naive_f1(pairs, name) for name in {*truth, *predicted}}
    assert metrics.weighted_accuracy(truth, predicted) == pytest.approx(np.mean([t == p for t, p in pairs]))
    assert metrics.unweighted_average_recall(truth, predicted) == pytest.approx(np.mean(recalls))
    assert metrics.macro_f1(truth, predicted) == pytest.approx(np.mean(list(f1.values())))
    assert metrics.weighted_f1(truth, predicted) == pytest.approx(np.mean([f1[t] for t in truth]))


@settings(deadline=None)
@given(PAIRS)
def test_many_confusion_matrices_at_once_give_the_same_metrics(pairs):
    truth, predicted = zip(*pairs, strict=True)
    matrix = metrics.confusion_matrix(truth, predicted, CLASSES)
    stacked = metrics.confusion_metrics(np.stack([np.zeros_like(matrix), matrix]))
    for name, function in (
        ("wa", metrics.weighted_accuracy),
        ("ua", metrics.unweighted_average_recall),
        ("macro_f1", metrics.macro_f1),
        ("weighted_f1", metrics.weighted_f1),
    ):
        assert np.isnan(stacked[name][0]), "nothing counted, nothing measured"
        assert stacked[name][1] == pytest.approx(function(truth, predicted))
    recall = metrics.recall_per_class(truth, predicted, CLASSES)
    np.testing.assert_allclose(metrics.confusion_recall(matrix), list(recall.values()))


@settings(deadline=None)
@given(PAIRS, st.randoms())
def test_the_order_of_utterances_does_not_matter(pairs, random):
    shuffled = random.sample(pairs, len(pairs))
    for function in FUNCTIONS[:5]:
        before, after = (function(*zip(*rows, strict=True)) for rows in (pairs, shuffled))
        assert before == pytest.approx(after)


def test_ua_is_balanced_accuracy_when_every_prediction_is_a_true_class():
    rng = np.random.default_rng(0)
    truth, predicted = rng.choice(CLASSES, 200), rng.choice(CLASSES, 200)
    ua = metrics.unweighted_average_recall(truth, predicted)
    assert ua == pytest.approx(sklearn_metrics.balanced_accuracy_score(truth, predicted))


def test_wa_follows_the_frequent_class_and_ua_does_not():
    truth, predicted = ["neutral"] * 90 + ["fear"] * 10, ["neutral"] * 100
    assert metrics.weighted_accuracy(truth, predicted) == pytest.approx(0.9)
    assert metrics.unweighted_average_recall(truth, predicted) == pytest.approx(0.5)


def test_a_class_absent_from_the_truth_does_not_count_in_ua():
    truth, predicted = ["anger", "anger", "fear"], ["anger", "neutral", "fear"]
    assert metrics.unweighted_average_recall(truth, predicted) == pytest.approx(0.75)
    assert list(metrics.recall_per_class(truth, predicted)) == ["anger", "fear"]
    assert math.isnan(metrics.recall_per_class(truth, predicted, CLASSES)["neutral"])


def test_rows_of_the_confusion_matrix_are_the_truth_in_the_order_given():
    matrix = metrics.confusion_matrix(["fear", "fear", "anger"], ["anger", "fear", "anger"], ["fear", "anger", "calm"])
    assert matrix.tolist() == [[1, 1, 0], [0, 1, 0], [0, 0, 0]]


def test_a_value_outside_the_classes_is_refused():
    with pytest.raises(ValueError, match="'angry' is not one of the classes: anger, fear"):
        metrics.confusion_matrix(["anger"], ["angry"], ["anger", "fear"])


@pytest.mark.parametrize("function", FUNCTIONS)
def test_ill_formed_input_is_refused_by_its_shape(function):
    with pytest.raises(ValueError, match="truth and predicted are empty; expected at least one value each"):
        function([], [])
    with pytest.raises(ValueError, match="truth has 2 values, predicted 1; expected as many"):
        function([0.0, 1.0], [0.0])
    with pytest.raises(ValueError, match=r"truth has shape \(1, 2\), predicted \(2,\); expected one axis each"):
        function([[0.0, 1.0]], [0.0, 1.0])


@settings(deadline=None)
@given(st.lists(st.tuples(NUMBERS, NUMBERS), min_size=2, max_size=40))
def test_ccc_equals_its_formula_with_biased_moments(pairs):
    truth, predicted = (list(values) for values in zip(*pairs, strict=True))
    ccc = metrics.concordance_cc(truth, predicted)
    assert -1.0 - 1e-9 <= ccc <= 1.0 + 1e-9
    if max(np.ptp(truth), np.ptp(predicted)) > 1e-3:  # below, rounding decides
        assert ccc == pytest.approx(naive_ccc(truth, predicted), abs=1e-6)
    assert ccc == pytest.approx(metrics.concordance_cc(predicted, truth), abs=1e-12), "it is symmetric"


def test_ccc_punishes_what_correlation_forgives():
    truth = np.arange(10.0)
    assert metrics.concordance_cc(truth, truth + 3.0) == pytest.approx(2 * 8.25 / (2 * 8.25 + 9))  # var of 0..9 is 8.25
    assert metrics.concordance_cc(truth, -truth) < 0


def test_ccc_knows_no_unit_however_small():
    truth, predicted = np.array([0.0, 1.0, 2.0]), np.array([0.0, 1.0, 1.0])
    for scale in (1e-200, 1e200):
        assert metrics.concordance_cc(truth * scale, predicted * scale) == pytest.approx(2 / 3)


@pytest.mark.parametrize(
    ("truth", "predicted", "expected"),
    [
        ([0.1, 0.1, 0.1], [0.1, 0.1, 0.1], 1.0),
        ([0.1, 0.1, 0.1], [0.3, 0.3, 0.3], 0.0),
        ([0.1, 0.1, 0.1], [0.1, 0.2, 0.3], 0.0),
        ([0.1, 0.2, 0.3], [0.2, 0.2, 0.2], 0.0),
        ([0.5], [0.5], 1.0),
        ([0.5], [0.4], 0.0),
        ([1, 2, 3], [1, 2, 3], 1.0),
    ],
)
def test_ccc_of_constant_series_is_decided(truth, predicted, expected):
    assert metrics.concordance_cc(truth, predicted) == expected


def test_ccc_of_numbers_that_are_none_is_refused():
    with pytest.raises(ValueError, match="predicted holds nan; expected finite numbers"):
        metrics.concordance_cc([0.0, 1.0], [0.0, math.nan])
    with pytest.raises(ValueError, match="truth holds inf"):
        metrics.concordance_cc([0.0, math.inf], [0.0, 1.0])
