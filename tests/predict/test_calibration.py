"""Calibration and reliability: known temperatures come back, measures equal naive references, nothing sees its own."""

import json
import math
import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from safetensors.numpy import load_file, save_file
from sklearn import metrics as sklearn_metrics

from affectra.errors import CheckpointError
from affectra.evaluation.reliability import (
    brier_score,
    coverage_risk,
    expected_calibration_error,
    negative_log_likelihood,
    prediction_entropy,
    reliability_table,
)
from affectra.predict.calibration import (
    BinaryCalibration,
    Calibration,
    TrainingSpace,
    calibrated_table,
    choose_threshold,
    fit_calibration,
    fit_space,
    fit_temperature,
    nested_calibration,
    read_calibration,
    threshold_of,
    to_json,
    with_distances,
    write_calibration,
)
from affectra.predict.calibration.novelty import shrunk_covariance
from affectra.reports.coverage_picture import draw_coverage_risk
from affectra.reports.figures import LIGHT

CLASSES = ["anger", "happiness", "neutral", "sadness"]


def drawn(n: int = 4000, seed: int = 0, corpora: int = 2) -> tuple[pd.DataFrame, np.ndarray]:
    """Predictions that are honest: the truth is drawn from the scores; and the scores."""
    rng = np.random.default_rng(seed)
    honest = rng.dirichlet(np.full(len(CLASSES), 0.5), n)
    honest = 0.96 * honest + 0.01
    truth = (honest.cumsum(1) > rng.random((n, 1))).argmax(1)
    return table_of(honest, truth, corpora), honest


def table_of(scores: np.ndarray, truth: np.ndarray, corpora: int = 2) -> pd.DataFrame:
    n = len(scores)
    return pd.DataFrame(
        {
            "utterance": [f"u{k}" for k in range(n)],
            "corpus": [f"c{k % corpora}" for k in range(n)],
            "speaker": [f"s{k % 12}" for k in range(n)],
            "seed": 0,
            "fold": 0,
            "truth": [CLASSES[k] for k in truth],
            **{f"score_{name}": scores[:, k] for k, name in enumerate(CLASSES)},
        }
    )


def scores_of(table: pd.DataFrame) -> np.ndarray:
    return table[[f"score_{name}" for name in CLASSES]].to_numpy()


# Scaling


def test_temperature_and_floor_of_known_size_come_back() -> None:
    table, honest = drawn(20_000)
    # Undo "temperature 2, then a fifth of the uniform": the fit must find just that.
    softened = Calibration(2.0, floor=0.2).apply(honest)
    rng = np.random.default_rng(1)
    truth = (softened.cumsum(1) > rng.random((len(softened), 1))).argmax(1)
    fitted = fit_temperature(table_of(honest, truth), CLASSES)
    assert fitted.temperature == pytest.approx(2.0, rel=0.15) and fitted.floor == pytest.approx(0.2, abs=0.04)
    assert fit_temperature(table, CLASSES).temperature == pytest.approx(1.0, rel=0.05)


def test_a_temperature_that_grows_with_the_distance_comes_back() -> None:
    table, honest = drawn(20_000)
    distance = np.random.default_rng(2).uniform(0.5, 4.0, len(table))
    sharpened = np.stack([Calibration(1 / max(1.0, d) ** 1.5).apply(p) for d, p in zip(distance, honest, strict=True)])
    scores = {f"score_{name}": sharpened[:, k] for k, name in enumerate(CLASSES)}
    fitted = fit_temperature(table.assign(**scores, distance=distance), CLASSES)
    assert fitted.distance_power == pytest.approx(1.5, abs=0.1) and fitted.temperature == pytest.approx(1.0, rel=0.1)
    assert fit_temperature(table.assign(**scores), CLASSES).distance_power == 0


def test_calibration_never_changes_the_answer_nor_saturates() -> None:
    table, _ = drawn(500)
    rng = np.random.default_rng(3)
    certain = np.eye(4)[rng.integers(0, 4, 500)] * (1 - 1e-13) + 1e-14 * rng.random((500, 4))
    # Even where every answer was right, a hundred per cent is more than can be known.
    fitted = fit_temperature(table_of(certain, certain.argmax(1)), CLASSES)
    calibrated = fitted.apply(certain)
    assert (calibrated.argmax(1) == certain.argmax(1)).all()
    np.testing.assert_allclose(calibrated.sum(1), 1, atol=1e-12)
    assert calibrated.max() <= 0.99 + 1e-9
    few = fit_temperature(table_of(certain[:8], certain[:8].argmax(1)), CLASSES)
    assert few.apply(certain).max() <= 0.9 + 1e-9  # 1 - 1/(8 + 2): the rule of succession
    assert (fitted.apply(scores_of(table)).argmax(1) == scores_of(table).argmax(1)).all()


def test_each_corpus_has_the_same_say_however_large() -> None:
    table, honest = drawn(6000)
    sharp = pd.concat([table, table.assign(corpus="c9", **_columns(Calibration(1 / 3).apply(honest)))])
    few_sharp = pd.concat([sharp[sharp["corpus"] != "c9"], sharp[sharp["corpus"] == "c9"].iloc[:1500]])
    both = fit_temperature(sharp, CLASSES).temperature
    assert fit_temperature(few_sharp, CLASSES).temperature == pytest.approx(both, rel=0.06)
    assert 1.05 < both < 3


def _columns(scores: np.ndarray) -> dict[str, np.ndarray]:
    return {f"score_{name}": scores[:, k] for k, name in enumerate(CLASSES)}


def test_the_binary_curve_is_the_logistic_regression_of_the_log_odds() -> None:
    from sklearn.linear_model import LogisticRegression

    rng = np.random.default_rng(0)
    p = rng.uniform(0.02, 0.98, 4000)
    log_odds = np.log(p / (1 - p))
    truth = (rng.random(4000) < 1 / (1 + np.exp(-(0.6 * log_odds + 0.4)))).astype(float)
    table, _ = drawn(4000, corpora=1)
    truth[:100] = np.nan  # utterances whose arousal nobody knows
    fitted = fit_calibration(table.assign(truth_arousal=truth, probability_arousal=p), CLASSES)
    assert fitted.arousal is not None and fitted.valence is None
    reference = LogisticRegression(C=np.inf).fit(log_odds[100:, None], truth[100:])
    # The floor that keeps it from certainty makes it a little steeper than the plain regression.
    assert fitted.arousal.slope == pytest.approx(reference.coef_[0, 0], rel=0.1)
    assert fitted.arousal.intercept == pytest.approx(reference.intercept_[0], rel=0.1)
    assert fitted.apply_binary("arousal", 0.0) >= 0.005 and fitted.apply_binary("arousal", 1.0) <= 0.99 + 1e-9
    assert fitted.apply_binary("valence", 0.3) == 0.3
    risen = [fitted.apply_binary("arousal", v) for v in np.linspace(0, 1, 30)]
    assert risen == sorted(risen)
    known = table.assign(high=fitted.arousal.apply(p))[~np.isnan(truth)]
    by_speaker = known[known["truth"] == "neutral"].groupby(["corpus", "speaker"])["high"].mean()
    assert fitted.arousal.neutral == pytest.approx(by_speaker.mean())


# Abstention


def naive_threshold(confidence: np.ndarray, right: np.ndarray, weights: np.ndarray, target: float) -> float:
    """The lowest of all thresholds that meets the goal, tried one by one."""
    best = None
    for threshold in sorted({0.0, *confidence}, reverse=True):
        answered = confidence >= threshold
        if answered.any() and weights[answered].sum() / weights.sum() >= 0.5:
            if (weights * ~right)[answered].sum() / weights[answered].sum() <= target:
                best = threshold
            elif best is None and threshold == 0.0:
                return -1.0
    return -1.0 if best is None else best


@pytest.mark.parametrize("seed", range(8))
def test_the_threshold_answers_as_much_as_the_goal_allows(seed: int) -> None:
    rng = np.random.default_rng(seed)
    confidence = rng.integers(1, 12, 60) / 12  # with ties
    right = rng.random(60) < confidence
    weights = rng.uniform(0.5, 2, 60)
    chosen = choose_threshold(confidence, right, weights)
    answered = confidence >= chosen.threshold
    assert chosen.coverage == pytest.approx(weights[answered].sum() / weights.sum())
    assert chosen.error == pytest.approx((weights * ~right)[answered].sum() / weights[answered].sum())
    reference = naive_threshold(confidence, right, weights, 1 / 3)
    if reference >= 0:
        half = max(c for c in confidence if weights[confidence >= c].sum() >= 0.5 * weights.sum())
        assert (answered == (confidence >= max(reference, min(0.5, half)))).all()
        assert chosen.met == (chosen.error <= 1 / 3)
    else:
        assert not chosen.met
        assert chosen.coverage >= 0.5 and (confidence > chosen.threshold) @ weights < 0.5 * weights.sum()


def test_a_good_model_answers_what_is_likelier_right_than_wrong_and_a_bad_one_every_second_time() -> None:
    confidence = np.linspace(0.3, 0.9, 100)
    good = choose_threshold(confidence, np.ones(100))
    assert good.threshold == 0.5 and good.met  # elsewhere it may be less sure with reason, though here it never errs
    assert good.coverage == pytest.approx((confidence >= 0.5).mean())
    unsure = choose_threshold(0.6 * confidence, np.ones(100))
    assert unsure.met and unsure.coverage == pytest.approx(0.5) and unsure.threshold < 0.5
    never = choose_threshold(confidence, np.zeros(100))
    assert never.coverage == pytest.approx(0.5) and not never.met
    assert Calibration(1.0, abstain_below=0.5).abstains(0.49) and not Calibration(1.0, abstain_below=0.5).abstains(0.5)
    assert not Calibration(1.0).abstains(0.0)


# Nesting


@pytest.mark.parametrize("by", ["corpus", "speaker"])
def test_no_group_has_a_say_in_its_own_calibration(by: str) -> None:
    table, _ = drawn(600, corpora=3)
    nested = nested_calibration(table, CLASSES, by)
    keys = ["corpus"] if by == "corpus" else ["corpus", "speaker"]
    inside = (table[keys] == table[keys].iloc[0]).all(axis=1).to_numpy()
    by_hand = calibrated_table(table[inside], CLASSES, fit_calibration(table[~inside], CLASSES))
    pd.testing.assert_frame_equal(nested[inside], by_hand)
    # Other labels in the group leave its own scores as they are and change those of the others.
    lied = table.assign(truth=np.where(inside, "anger", table["truth"]))
    again = nested_calibration(lied, CLASSES, by)
    np.testing.assert_array_equal(scores_of(again)[inside], scores_of(nested)[inside])
    assert (scores_of(again)[~inside] != scores_of(nested)[~inside]).any(axis=1).all()
    assert list(nested["utterance"]) == list(table["utterance"])


def test_nesting_needs_two_groups() -> None:
    with pytest.raises(ValueError, match="needs two of them at least; found 1"):
        nested_calibration(drawn(100, corpora=1)[0], CLASSES, "corpus")


# Distance


def test_the_distance_is_mahalanobis_to_the_nearest_class() -> None:
    rng = np.random.default_rng(0)
    mixing = rng.standard_normal((5, 5))
    labels = rng.integers(0, 3, 900)
    centres = 4 * rng.standard_normal((3, 5))
    train = centres[labels] + rng.standard_normal((900, 5)) @ mixing
    space = fit_space(train, [CLASSES[k] for k in labels])
    means = np.stack([train[labels == k].mean(0) for k in range(3)])
    precision = np.linalg.inv(shrunk_covariance(train - means[labels]))
    for x in (train[0], 10 * rng.standard_normal(5)):
        naive = min(math.sqrt((x - m) @ precision @ (x - m) / 5) for m in means)
        assert space.distance(x) == pytest.approx(naive)
    assert np.sqrt(np.mean(np.square(space.distance(train)))) == pytest.approx(1, abs=0.05)


def test_an_embedding_unlike_training_is_far_and_one_in_a_hundred_of_its_own_is() -> None:
    rng = np.random.default_rng(0)
    space = fit_space(rng.standard_normal((2000, 16)), ["one"] * 2000)
    held_out = rng.standard_normal((3000, 16))
    known = TrainingSpace(space.means, space.factor, threshold_of(space.distance(held_out)))
    assert np.mean([known.is_far(x) for x in held_out]) == pytest.approx(0.01, abs=0.002)
    assert np.mean([known.is_far(x) for x in 3 + rng.standard_normal((100, 16))]) == 1
    assert known.is_far(np.full(16, np.nan))
    assert Calibration(1.0).distance(held_out[0]) == 1 and not Calibration(1.0).is_out_of_domain(held_out[0])


def test_features_that_never_vary_do_not_make_everything_far() -> None:
    rng = np.random.default_rng(0)
    train = np.concatenate([rng.standard_normal((300, 6)), np.zeros((300, 4))], axis=1)
    space = fit_space(train, ["one"] * 300)
    assert np.isfinite(space.distance(train)).all() and space.distance(train).max() < 5


# Files


def run_directory(folder: Path, n: int = 240) -> pd.DataFrame:
    """Two folds whose embeddings lie in different spaces."""
    table, _ = drawn(n)
    table["fold"] = np.arange(n) % 2
    table["predicted"] = [CLASSES[k] for k in scores_of(table).argmax(1)]
    for fold in range(2):
        rng = np.random.default_rng(fold)
        embedding = 10 * fold + (1 + fold) * rng.standard_normal((n, 6)) @ rng.standard_normal((6, 6))
        place = folder / "seed-0" / f"fold-{fold}"
        place.mkdir(parents=True)
        test = (table["fold"] == fold).to_numpy()
        table[test].to_csv(place / "predictions.csv", index=False)
        (place / "split.json").write_text(json.dumps({"train": [*table["utterance"][~test], "of-no-class"]}))
        train = np.concatenate([embedding[~test], np.full((1, 6), 1e6)])
        tables = {"embedding": embedding[test].astype("f4"), "train_embedding": train.astype("f4")}
        save_file(tables, place / "embeddings.safetensors")
    return table


def test_a_run_gets_distances_each_in_the_space_of_its_own_fold(tmp_path: Path) -> None:
    table = run_directory(tmp_path)
    found, space = with_distances(tmp_path, table.sample(frac=1, random_state=0))
    assert space is not None and list(found["utterance"]) == list(table.sample(frac=1, random_state=0)["utterance"])
    medians = found.groupby("fold")["distance"].median()
    assert medians.between(0.6, 1.3).all()
    other = load_file(tmp_path / "seed-0" / "fold-1" / "embeddings.safetensors")["embedding"]
    assert np.median(space.distance(other)) > 3  # in the space of the first fold they would be far
    write_calibration(tmp_path, table, CLASSES)
    calibration = read_calibration(tmp_path)
    assert calibration is not None and calibration.space is not None and calibration.neutral is not None
    assert calibration.space.threshold == pytest.approx(np.quantile(found["distance"], 0.99), rel=1e-6)
    assert calibration.abstain_below is not None and sum(calibration.neutral.values()) == pytest.approx(1)
    content = json.loads((tmp_path / "calibration.json").read_text())
    assert content["n_utterances"] == len(table) and 0.5 <= content["abstention"]["coverage"] <= 1


def test_what_is_written_is_what_is_read(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    space = fit_space(rng.standard_normal((50, 4)), ["one", "two"] * 25, threshold=2.5)
    whole = Calibration(
        1.7, 0.6, 0.03, 0.45, BinaryCalibration(0.7, -0.2, 0.02, 0.3), BinaryCalibration(1.1, 0.3, 0.02), space,
        dict.fromkeys(CLASSES, 0.25),
    )  # fmt: skip
    (tmp_path / "calibration.json").write_text(json.dumps(to_json(whole)))
    read = read_calibration(tmp_path)
    assert read is not None and read.space is not None
    x = rng.standard_normal((9, 4))
    np.testing.assert_allclose(read.space.distance(x), space.distance(x), rtol=1e-5)
    assert to_json(read) == to_json(whole)


def test_the_file_of_an_older_version_is_a_temperature_alone(tmp_path: Path) -> None:
    content = {"temperature": 1.5, "fitted_on": "out-of-fold predictions", "n_utterances": 3}
    (tmp_path / "calibration.json").write_text(json.dumps(content))
    assert read_calibration(tmp_path) == Calibration(1.5)
    assert read_calibration(tmp_path / "nowhere") is None


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"temperature": 0}, "temperature is 0"),
        ({"temperature": float("inf")}, "temperature is inf"),
        ({"temperature": None}, "damaged"),
        ({"floor": 1.5}, "floor is 1.5"),
        ({"abstain_below": -1}, "abstain_below is -1"),
        ({"distance_power": 50}, "distance_power is 50"),
        ({"arousal": {"slope": 1}}, "damaged"),
        ({"arousal": {"slope": float("nan"), "intercept": 0, "floor": 0}}, "slope and intercept must be finite"),
        ({"neutral": [1]}, "damaged"),
        ({"arousal": {"slope": 1.0, "intercept": 0.0, "floor": 0.0, "neutral": 1.0}}, "level of neutral speech"),
        ({"out_of_domain": {"means": ["1 2"], "factor": ["1"], "threshold": 2}}, "1 rows of factor, expected 2"),
        ({"out_of_domain": {"means": [], "factor": [], "threshold": 2}}, "damaged"),
        ({"out_of_domain": {"means": ["1"], "factor": ["x"], "threshold": 2}}, "damaged"),
        ({"out_of_domain": {"means": ["1"], "factor": ["1"], "threshold": 0}}, "threshold above 0"),
    ],
)
def test_a_damaged_file_is_named(tmp_path: Path, change: dict[str, object], words: str) -> None:
    (tmp_path / "calibration.json").write_text(json.dumps({"temperature": 1.0, **change}))
    with pytest.raises(CheckpointError, match=words) as caught:
        read_calibration(tmp_path)
    assert "calibration.json" in str(caught.value) and "\n" not in str(caught.value)


def test_reading_a_calibration_imports_nothing_heavy() -> None:
    heavy = "{'torch', 'pandas', 'scipy', 'sklearn', 'matplotlib', 'safetensors'}"
    modules = "affectra.predict.calibration, affectra.predict.enrolment"
    code = f"import sys, {modules}; print(sorted({heavy} & set(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


# Measures against naive references


def naive_ece(confidence: np.ndarray, right: np.ndarray, n_bins: int = 15) -> float:
    total = 0.0
    for b in range(n_bins):
        low, high = b / n_bins, (b + 1) / n_bins
        inside = (confidence > low) & (confidence <= high) if b else confidence <= high
        if inside.any():
            total += inside.mean() * abs(right[inside].mean() - confidence[inside].mean())
    return total


def test_the_calibration_error_is_the_loop_over_bins() -> None:
    rng = np.random.default_rng(0)
    confidence = np.concatenate([rng.random(400), np.arange(16) / 15])  # with values on the edges
    right = rng.random(416) < confidence**2
    assert expected_calibration_error(confidence, right) == pytest.approx(naive_ece(confidence, right))


def test_bins_of_equal_mass_are_parts_of_the_sorted_utterances() -> None:
    rng = np.random.default_rng(0)
    confidence = rng.permutation(np.linspace(0.2, 0.99, 300))  # no ties, 15 x 20
    right = (rng.random(300) < confidence).astype(float)
    order = np.argsort(confidence)
    parts = [order[k : k + 20] for k in range(0, 300, 20)]
    expected = np.mean([abs(right[part].mean() - confidence[part].mean()) for part in parts])
    assert expected_calibration_error(confidence, right, binning="mass") == pytest.approx(expected)
    same = np.full(50, 0.7)
    assert expected_calibration_error(same, np.arange(50) < 20, binning="mass") == pytest.approx(0.3)


def test_honest_scores_have_a_small_error_and_boastful_ones_a_large_one() -> None:
    table, honest = drawn(20_000)
    targets = np.array([CLASSES.index(name) for name in table["truth"]])
    right = honest.argmax(1) == targets
    assert expected_calibration_error(honest.max(1), right) < 0.015
    boastful = Calibration(0.3).apply(honest)
    assert expected_calibration_error(boastful.max(1), right) > 0.1
    assert brier_score(honest, targets) < brier_score(boastful, targets)
    assert negative_log_likelihood(honest, targets) < negative_log_likelihood(boastful, targets)


def test_scores_equal_those_of_scikit_learn() -> None:
    table, honest = drawn(300)
    targets = np.array([CLASSES.index(name) for name in table["truth"]])
    expected = sklearn_metrics.log_loss(targets, honest, labels=range(4))
    assert negative_log_likelihood(honest, targets) == pytest.approx(expected)
    binary = np.stack([1 - honest[:, 0], honest[:, 0]], axis=1)
    once = sklearn_metrics.brier_score_loss(targets == 0, honest[:, 0])  # counts one of two classes
    assert brier_score(binary, (targets == 0).astype(int)) == pytest.approx(2 * once)
    naive = np.mean(
        [sum((p - (k == t)) ** 2 for k, p in enumerate(row)) for row, t in zip(honest, targets, strict=True)]
    )
    assert brier_score(honest, targets) == pytest.approx(naive)


def test_the_coverage_risk_curve_is_abstaining_at_each_threshold() -> None:
    rng = np.random.default_rng(0)
    confidence = rng.integers(1, 20, 100) / 20
    right = rng.random(100) < confidence
    curve = coverage_risk(confidence, right)
    assert list(curve.thresholds) == sorted(set(confidence), reverse=True)
    for threshold, coverage, risk in zip(curve.thresholds, curve.coverage, curve.risk, strict=True):
        answered = confidence >= threshold
        assert coverage == pytest.approx(answered.mean()) and risk == pytest.approx(1 - right[answered].mean())
    assert curve.risk[-1] == pytest.approx(1 - right.mean()) and curve.coverage[-1] == 1
    assert coverage_risk(np.ones(100), right).area == pytest.approx(1 - right.mean())
    assert coverage_risk(right + 0.0, right).area < curve.area < coverage_risk(1.0 - right, right).area


def test_entropy_says_whether_one_class_is_always_predicted() -> None:
    assert prediction_entropy(["anger"] * 9, 4) == 0
    assert prediction_entropy(CLASSES * 5, 4) == pytest.approx(1)
    assert 0 < prediction_entropy(["anger"] * 9 + ["fear"], 4) < prediction_entropy(["anger"] * 5 + ["fear"] * 5, 4)


def test_ill_formed_confidence_is_refused() -> None:
    for confidence, right in (([], []), ([0.5], [1, 0]), ([1.5], [1]), ([float("nan")], [1]), ([[0.5]], [[1]])):
        with pytest.raises(ValueError, match="confidence"):
            expected_calibration_error(confidence, right)


def test_the_table_has_a_row_for_all_and_each_corpus_with_intervals_that_hold_the_estimate() -> None:
    table, _ = drawn(1200)
    found = reliability_table(nested_calibration(table, CLASSES), CLASSES, by=("corpus",))
    assert list(found["corpus"]) == ["all", "c0", "c1"] and list(found["n"]) == [1200, 600, 600]
    for name in ("accuracy", "brier", "nll"):
        assert (found[f"{name}_low"] < found[name]).all() and (found[name] < found[f"{name}_high"]).all()
    assert (found["ece"] < found["ece_high"]).all() and (found["risk"] <= 1 - found["accuracy"]).all()
    alone = reliability_table(table[table["speaker"] == "s0"], CLASSES)
    assert alone["ece_low"].isna().all() and alone["coverage"].isna().all()


def test_an_interval_is_that_of_drawing_speakers_one_by_one() -> None:
    table, _ = drawn(240, corpora=1)
    row = reliability_table(table, CLASSES).iloc[0]
    rng = np.random.default_rng(5)
    parts = [part for _, part in table.groupby("speaker")]
    accuracies, errors = [], []
    for _ in range(600):
        again = pd.concat([parts[k] for k in rng.integers(0, len(parts), len(parts))])
        scores = scores_of(again)
        right = scores.argmax(1) == np.array([CLASSES.index(name) for name in again["truth"]])
        accuracies.append(right.mean())
        errors.append(naive_ece(scores.max(1), right))
    for name, values in (("accuracy", accuracies), ("ece", errors)):
        low, high = np.quantile(values, [0.025, 0.975])
        assert row[f"{name}_low"] == pytest.approx(low, abs=0.015)
        assert row[f"{name}_high"] == pytest.approx(high, abs=0.015)


def test_the_drawing_shows_the_numbers() -> None:
    table, honest = drawn(400)
    right = honest.argmax(1) == np.array([CLASSES.index(name) for name in table["truth"]])
    curve = coverage_risk(honest.max(1), right)
    axes = draw_coverage_risk({"new speakers": curve}, 0.6, LIGHT).axes[0]
    (dot,) = (line for line in axes.lines if len(line.get_xdata()) == 1)
    assert dot.get_xdata()[0] == pytest.approx((honest.max(1) >= 0.6).mean())
