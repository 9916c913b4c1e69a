"""Enrolment: the bias solves its equation, shrinks without clips, and helps speakers whose voices lean."""

import math

import numpy as np
import pandas as pd
import pytest
from scipy.optimize import minimize, minimize_scalar

from affectra.errors import ConfigError
from affectra.predict.enrolment import Enrolment, enrol, fit_bias, fit_shift, measure_gain

CLASSES = ["anger", "happiness", "neutral", "sadness"]
LEVEL = np.array([0.1, 0.1, 0.65, 0.15])


def clips(n: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).dirichlet([3, 1, 1, 0.5], n)


def shifted(p: np.ndarray, bias: np.ndarray) -> np.ndarray:
    raised = p * np.exp(bias)
    return raised / raised.sum(-1, keepdims=True)


@pytest.mark.parametrize(("n", "shrinkage"), [(1, 1.0), (3, 0.1), (20, 5.0)])
def test_the_bias_is_what_a_general_minimiser_finds(n: int, shrinkage: float) -> None:
    p = clips(n)

    def loss(b: np.ndarray) -> float:
        return float(sum((LEVEL * np.log(LEVEL / shifted(row, b))).sum() for row in p) + shrinkage / 2 * b @ b)

    expected = minimize(loss, np.zeros(4), tol=1e-12).x
    np.testing.assert_allclose(fit_bias(p, LEVEL, shrinkage), expected, atol=1e-4)


def test_the_mean_is_at_the_level_but_for_the_pull_of_the_shrinkage() -> None:
    p = clips(7)
    bias = fit_bias(p, LEVEL, 1.0)
    np.testing.assert_allclose(shifted(p, bias).mean(0), LEVEL - bias / 7, atol=1e-8)
    assert bias.sum() == pytest.approx(0, abs=1e-12)


def test_many_clips_reach_the_level_and_none_change_nothing() -> None:
    many = clips(5000)
    np.testing.assert_allclose(shifted(many, fit_bias(many, LEVEL)).mean(0), LEVEL, atol=1e-3)
    assert (fit_bias(np.empty((0, 4)), LEVEL) == 0).all()
    sizes = [np.linalg.norm(fit_bias(np.tile(clips(1), (n, 1)), LEVEL)) for n in (1, 2, 5, 20)]
    assert sizes == sorted(sizes) and sizes[0] < 0.7 * sizes[-1]


def test_a_voice_that_is_as_others_are_stays_as_it_is() -> None:
    np.testing.assert_allclose(fit_bias(np.tile(LEVEL, (4, 1)), LEVEL), 0, atol=1e-9)


def test_the_order_of_classes_and_clips_does_not_matter() -> None:
    p, order = clips(5), [2, 0, 3, 1]
    np.testing.assert_allclose(fit_bias(p[::-1], LEVEL), fit_bias(p, LEVEL), atol=1e-9)
    np.testing.assert_allclose(fit_bias(p[:, order], LEVEL[order]), fit_bias(p, LEVEL)[order], atol=1e-9)


def test_extreme_scores_give_a_finite_bias() -> None:
    certain = np.tile([1.0, 0.0, 0.0, 0.0], (50, 1))
    bias = fit_bias(certain, LEVEL)
    assert np.isfinite(bias).all() and bias.argmin() == 0
    np.testing.assert_allclose(shifted(np.maximum(certain, 1e-12), bias).sum(1), 1)


def test_an_enrolment_keeps_one_number_a_class_and_makes_probabilities() -> None:
    level = dict(zip(CLASSES, LEVEL, strict=True))
    found = enrol(clips(3), level, CLASSES)
    assert found.n_clips == 3 and found.bias.shape == (4,)
    np.testing.assert_allclose(found.apply(clips(6)).sum(1), 1)
    np.testing.assert_allclose(found.apply(clips(6)), shifted(clips(6), found.bias))
    np.testing.assert_allclose(Enrolment(np.zeros(4), 0).apply(LEVEL), LEVEL)


@pytest.mark.parametrize("n", [1, 3, 20])
def test_the_shift_of_a_dimension_is_what_a_general_minimiser_finds(n: int) -> None:
    p = np.random.default_rng(n).beta(4, 2, n)
    log_odds = np.log(p / (1 - p))

    def loss(shift: float) -> float:
        high = 1 / (1 + np.exp(-(log_odds + shift)))
        return float(-(0.2 * np.log(high) + 0.8 * np.log(1 - high)).sum() + (shift / 2) ** 2)  # |b|^2 / 2 of two sides

    assert fit_shift(p, 0.2) == pytest.approx(minimize_scalar(loss).x, abs=1e-4)
    assert fit_shift(1 - p, 0.8) == pytest.approx(-fit_shift(p, 0.2), abs=1e-9)  # low is as good a name as high


def test_arousal_and_valence_move_as_far_as_they_are_known_and_their_order_stays() -> None:
    level = dict(zip(CLASSES, LEVEL, strict=True))
    loud = [0.7, 0.9, 0.8]
    found = enrol(clips(3), level, CLASSES, dimensions={"arousal": (loud, 0.2), "valence": ([0.5, 0.6, 0.4], None)})
    assert found.shifts == {"arousal": fit_shift(loud, 0.2)} and found.shifts["arousal"] < 0
    moved = [found.apply_binary("arousal", p) for p in np.linspace(0, 1, 9)]
    assert moved == sorted(moved) and all(0 <= p <= 1 for p in moved)
    odds = moved[4] / (1 - moved[4])
    assert odds == pytest.approx(math.exp(found.shifts["arousal"]))
    assert found.apply_binary("valence", 0.3) == 0.3  # there is no level of it
    np.testing.assert_allclose(found.bias, enrol(clips(3), level, CLASSES).bias)


def test_what_cannot_be_enrolled_is_said() -> None:
    with pytest.raises(ConfigError, match=r"affectra-x: cannot adapt to a voice, its calibration\.json has no level"):
        enrol(clips(2), None, CLASSES, "affectra-x")
    with pytest.raises(ConfigError, match="not of its classes"):
        enrol(clips(2), {"neutral": 1.0}, CLASSES)
    with pytest.raises(ConfigError, match="no neutral recordings"):
        enrol(np.empty((0, 4)), dict.fromkeys(CLASSES, 0.25), CLASSES)


def leaning(spread: float, seed: int = 0) -> pd.DataFrame:
    """Twelve speakers with 40 utterances, whose log-probabilities lean by a bias of their own."""
    rng = np.random.default_rng(seed)
    rows = []
    for s in range(12):
        bias = spread * rng.standard_normal(4)
        for k in range(40):
            logits = 1.5 * np.eye(4)[k % 4] + 0.5 * rng.standard_normal(4)
            p = shifted(np.exp(logits) / np.exp(logits).sum(), bias)
            scores = {f"score_{name}": p[i] for i, name in enumerate(CLASSES)}
            rows.append({"corpus": "x", "speaker": f"s{s}", "truth": CLASSES[k % 4], **scores})
    return pd.DataFrame(rows)


def test_enrolment_helps_voices_that_lean_and_leaves_the_others_alone() -> None:
    gain = measure_gain(leaning(1.2), CLASSES, 3)
    assert gain.n_speakers == 12 and gain.difference["ua"] == pytest.approx(gain.ua[1] - gain.ua[0])
    assert gain.difference["ua"] > 0.05 and gain.interval["ua"] is not None and gain.interval["ua"][0] > 0
    assert gain.difference["nll"] < 0 and gain.interval["nll"] is not None and gain.interval["nll"][1] < 0
    none = measure_gain(leaning(0.0), CLASSES, 3)
    assert abs(none.difference["ua"]) < 0.03


def test_the_gain_without_a_shift_is_nothing_and_scores_what_was_not_enrolled() -> None:
    table = leaning(0.5)
    gain = measure_gain(table, CLASSES, 2, shrinkage=1e9)
    assert gain.difference["ua"] == pytest.approx(0, abs=1e-12)
    scores = table[[f"score_{name}" for name in CLASSES]].to_numpy()
    right = scores.argmax(1) == np.array([CLASSES.index(name) for name in table["truth"]])
    neutral = (table["truth"] == "neutral").to_numpy()
    recalls = [right[table["truth"] == name].mean() for name in CLASSES if name != "neutral"]
    # Of the neutral ones two a speaker are enrolled, another two each time; the others' mean recall is about theirs.
    assert gain.ua[0] == pytest.approx(np.mean([*recalls, right[neutral].mean()]), abs=0.01)


def test_the_gain_of_a_dimension_is_that_of_its_two_sides() -> None:
    rng = np.random.default_rng(0)
    table = leaning(0.0)
    aroused = table["truth"].isin(["anger", "happiness"]).to_numpy()
    lean = 2.5 * rng.standard_normal(12).repeat(40)
    high = 1 / (1 + np.exp(-(3 * aroused - 1.5 + 0.5 * rng.standard_normal(480) + lean)))
    table = table.assign(truth_arousal=aroused.astype(float), probability_arousal=high)
    gain = measure_gain(table, CLASSES, 3, dimension="arousal")
    assert gain.n_speakers == 12 and gain.difference["ua"] > 0.1 and gain.difference["nll"] < 0
    assert gain.interval["ua"] is not None and gain.interval["ua"][0] > 0
    none = measure_gain(table, CLASSES, 3, shrinkage=1e9, dimension="arousal")
    assert none.difference["ua"] == pytest.approx(0, abs=1e-12)
    right = (high > 0.5) == aroused
    sides = [right[aroused].mean(), right[~aroused].mean()]
    assert none.ua[0] == pytest.approx(np.mean(sides), abs=0.02)  # some of the neutral ones are enrolled, not judged
    unknown = table.copy()
    unknown.loc[table["truth"] == "happiness", "truth_arousal"] = np.nan
    assert measure_gain(unknown, CLASSES, 3, dimension="arousal").n_speakers == 12


def test_no_label_of_a_speaker_but_the_enrolled_neutral_ones_changes_its_scores() -> None:
    table = leaning(1.0)
    alone = table["speaker"] == "s0"
    before = measure_gain(table, CLASSES, 10 - 1)
    # Neutral levels come from the other speakers: s0's own other utterances may be anything.
    changed = table.copy()
    columns = [f"score_{name}" for name in CLASSES]
    changed.loc[alone & (table["truth"] == "sadness"), columns] = 0.25
    after = measure_gain(changed, CLASSES, 10 - 1)
    assert math.isfinite(before.ua[1]) and after.n_speakers == before.n_speakers
    with pytest.raises(ValueError, match="0 speakers have more than 10 neutral utterances"):
        measure_gain(table, CLASSES, 10)
