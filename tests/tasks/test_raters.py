"""Gold standards: who is noisy counts less, who contradicts does not count, and gaps are nobody's vote."""

import numpy as np
import pandas as pd
import pytest

from affectra import metrics
from affectra.errors import ConfigError, CorpusError
from affectra.tasks.traces import gold_standard, gold_table, read_traces
from affectra.tasks.traces.raters import pairwise_agreement


def ratings(noises, n_frames=2000, seed=0):
    rng = np.random.default_rng(seed)
    truth = np.cumsum(rng.normal(0, 0.05, n_frames))
    return truth, np.stack([truth + rng.normal(0, noise, n_frames) for noise in noises])


def naive_weights(table):
    """EWE by its definition, a rater at a time."""
    weights = []
    for k in range(len(table)):
        others = np.mean([row for i, row in enumerate(table) if i != k], axis=0)
        weights.append(max(0.0, np.corrcoef(table[k], others)[0, 1]))
    return np.array(weights) / np.sum(weights)


def test_a_noisy_rater_counts_less_and_ewe_is_nearer_to_the_truth_than_the_mean():
    truth, table = ratings([0.1, 0.1, 0.1, 4.0])
    gold = gold_standard(table)
    assert gold.weights.sum() == pytest.approx(1)
    assert gold.weights[3] < 0.75 * gold.weights[:3].min()
    near, far = (metrics.concordance_cc(truth, gold_standard(table, method).values) for method in ("ewe", "mean"))
    assert near > far


def test_weights_and_values_equal_their_formula():
    _, table = ratings([0.2, 0.5, 1.0])
    gold = gold_standard(table)
    np.testing.assert_allclose(gold.weights, naive_weights(table))
    np.testing.assert_allclose(gold.values, gold.weights @ table)
    np.testing.assert_allclose(gold_standard(table, "mean").values, table.mean(axis=0))


def test_a_rater_who_contradicts_the_others_does_not_count():
    truth, table = ratings([0.1, 0.1, 0.1])
    table[2] = -truth
    gold = gold_standard(table)
    assert gold.weights[2] == 0
    np.testing.assert_allclose(gold.values, gold.weights[:2] @ table[:2])


def test_frames_that_a_rater_left_out_are_the_others():
    _, table = ratings([0.1, 0.2, 0.3])
    table[0, :500], table[:, 900] = np.nan, np.nan
    gold = gold_standard(table, "mean")
    np.testing.assert_allclose(gold.values[:500], table[1:, :500].mean(axis=0))
    assert np.flatnonzero(np.isnan(gold.values)).tolist() == [900]
    assert np.isfinite(gold_standard(table).weights).all()


def test_agreement_is_the_mean_over_pairs():
    _, table = ratings([0.1, 0.3, 0.5])
    pairs = [(0, 1), (0, 2), (1, 2)]
    agreement = pairwise_agreement(table)
    assert agreement["ccc"] == pytest.approx(np.mean([metrics.concordance_cc(table[i], table[k]) for i, k in pairs]))
    assert agreement["pearson"] == pytest.approx(np.mean([np.corrcoef(table[i], table[k])[0, 1] for i, k in pairs]))
    assert agreement["ccc"] < agreement["pearson"] + 1e-12


def test_one_rater_and_raters_who_all_disagree_give_the_mean():
    _, table = ratings([0.1])
    gold = gold_standard(table)
    assert gold.weights.tolist() == [1.0] and np.isnan(gold.agreement["ccc"])
    np.testing.assert_array_equal(gold.values, table[0])
    opposed = np.stack([np.arange(5.0), -np.arange(5.0)])
    np.testing.assert_array_equal(gold_standard(opposed).values, np.zeros(5))


def test_a_table_of_raters_becomes_a_table_of_labels_with_a_grid_of_its_own():
    truth, table = ratings([0.02, 0.02, 0.3], n_frames=100)
    rows = []
    for k, name in enumerate(("A", "B", "C")):
        times = np.arange(100) / 10
        rows.append(pd.DataFrame({"utterance": "Train_01", "rater": name, "time": times, "arousal": table[k]}))
    half = rows[1].iloc[::2]  # the second rates at 5 Hz
    labels, agreement = gold_table(pd.concat([rows[0], half, rows[2]]), ["arousal"])
    assert list(labels.columns) == ["utterance", "time", "arousal"]
    trace = read_traces(labels, ["arousal"]).by_utterance["Train_01"]
    assert trace.known.all() and len(trace) == 100
    assert metrics.concordance_cc(truth, trace.values[:, 0]) > 0.9
    (row,) = agreement.to_dict("records")
    assert (row["utterance"], row["dimension"], row["n_raters"]) == ("Train_01", "arousal", 3)
    assert row["weights"]["C"] < row["weights"]["A"]
    assert -1 <= row["ccc"] <= row["pearson"] <= 1


def test_tables_and_methods_that_are_none_are_refused():
    with pytest.raises(CorpusError, match="unknown column 'rater'"):
        gold_table(pd.DataFrame({"utterance": ["a"], "time": [0.0], "arousal": [1.0]}), ["arousal"])
    with pytest.raises(CorpusError, match="raters: no rows"):
        gold_table(pd.DataFrame(columns=["utterance", "rater", "time", "arousal"]), ["arousal"])
    doubled = pd.DataFrame({"utterance": "a", "rater": "A", "time": [0.0, 0.0], "arousal": [1.0, 2.0]})
    with pytest.raises(CorpusError, match="raters: A: a: time 0 s stands there twice"):
        gold_table(doubled, ["arousal"])
    with pytest.raises(ConfigError, match="unknown method 'median'"):
        gold_standard(np.zeros((2, 3)), "median")
    with pytest.raises(CorpusError, match=r"expected \(rater, frame\)"):
        gold_standard(np.zeros(3))
