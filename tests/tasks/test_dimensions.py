"""Scores of traces: the laws of CCC, naive references, and everything recomputed from predictions.csv alone."""

import math

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from affectra import metrics
from affectra.errors import CheckpointError
from affectra.files import read_json, write_json
from affectra.tasks.dimensions import Dimensions, recording_scores
from affectra.tasks.evaluation import Conditions, evaluate
from affectra.tasks.tables import dimensions_of, read_predictions, recording_rows, write_predictions
from affectra.tasks.traces import Trace

DIMENSIONS = ["arousal", "valence"]
TASK = Dimensions("continuous", tuple(DIMENSIONS))
PROTOCOL = {"name": "loso", "version": 1, "hash": "ab" * 32, "speaker_independent": True}
NUMBERS = st.floats(-10, 10).map(lambda x: round(x, 3))
SERIES = st.lists(st.tuples(NUMBERS, NUMBERS), min_size=2, max_size=40)
EXACT = {
    "ccc": metrics.concordance_cc,
    "ccc_avec": metrics.concordance_cc_avec,
    "pearson": metrics.pearson_cc,
    "rmse": metrics.root_mean_squared_error,
}


def avec_formula(x, y):
    """The organisers' script in words: covariance over N, variances over N - 1."""
    n = len(x)
    mean_x, mean_y = math.fsum(x) / n, math.fsum(y) / n
    covariance = math.fsum((a - mean_x) * (b - mean_y) for a, b in zip(x, y, strict=True)) / n
    var_x = math.fsum((a - mean_x) ** 2 for a in x) / (n - 1)
    var_y = math.fsum((b - mean_y) ** 2 for b in y) / (n - 1)
    return 2 * covariance / (var_x + var_y + (mean_x - mean_y) ** 2)


@settings(deadline=None)
@given(SERIES)
def test_the_avec_variant_equals_its_formula_and_lies_nearer_to_zero(pairs):
    x, y = (list(values) for values in zip(*pairs, strict=True))
    ours, theirs = metrics.concordance_cc(x, y), metrics.concordance_cc_avec(x, y)
    if min(np.ptp(x), np.ptp(y)) > 0:
        assert theirs == pytest.approx(avec_formula(x, y), abs=1e-9)
        assert abs(theirs) <= abs(ours) + 1e-12 and theirs <= 1 - 1 / len(x) + 1e-12
    assert theirs == pytest.approx(metrics.concordance_cc_avec(y, x), abs=1e-12), "it is symmetric"


def test_the_two_definitions_agree_over_many_frames_and_not_over_few():
    rng = np.random.default_rng(0)
    truth = rng.normal(size=30_000)
    guess = truth + rng.normal(0, 0.5, 30_000)
    assert metrics.concordance_cc(truth, guess) == pytest.approx(metrics.concordance_cc_avec(truth, guess), abs=1e-4)
    assert metrics.concordance_cc(truth[:5], truth[:5]) == 1.0
    assert metrics.concordance_cc_avec(truth[:5], truth[:5]) == pytest.approx(0.8)


@settings(deadline=None, max_examples=40)
@given(SERIES, st.floats(0.1, 5), st.floats(-3, 3))
def test_ccc_does_not_change_when_both_are_scaled_and_shifted_alike(pairs, scale, shift):
    x, y = (np.array(values) for values in zip(*pairs, strict=True))
    if min(np.ptp(x), np.ptp(y)) < 0.01:
        return
    for name in ("ccc", "ccc_avec", "pearson"):
        assert EXACT[name](scale * x + shift, scale * y + shift) == pytest.approx(EXACT[name](x, y), abs=1e-9)
    assert abs(EXACT["ccc"](x, y)) <= abs(EXACT["pearson"](x, y)) + 1e-9, "a shift or a scale can only cost"


def test_a_shift_or_a_scale_of_the_prediction_alone_costs_as_the_formula_says():
    x = np.random.default_rng(0).normal(size=1000)
    for shift in (0.5, 2.0):
        assert metrics.concordance_cc(x, x + shift) == pytest.approx(2 * x.var() / (2 * x.var() + shift**2))
    for scale in (0.2, 3.0):
        y = scale * (x - x.mean()) + x.mean()
        assert metrics.concordance_cc(x, y) == pytest.approx(2 * scale / (1 + scale**2))


@pytest.mark.parametrize("function", list(EXACT.values()))
def test_frames_that_are_not_known_do_not_count(function):
    rng = np.random.default_rng(0)
    x, y = rng.normal(size=(2, 50))
    known = rng.random(50) < 0.6
    padded = np.where(known, x, np.nan), np.where(known, y, 1e9)
    assert function(*padded, known=known) == function(x[known], y[known])
    with pytest.raises(ValueError, match="true 0 times"):
        function(x, y, known=np.zeros(50, dtype=bool))
    with pytest.raises(ValueError, match=r"known has shape \(49,\)"):
        function(x, y, known=known[1:])


@pytest.mark.parametrize("constant", [0.0, 0.1, -0.3, 1e9])
def test_a_constant_prediction_scores_zero_and_not_nan(constant):
    truth = np.random.default_rng(0).normal(0.1, 1, 333)
    guess = np.full(333, constant)
    for name in ("ccc", "ccc_avec", "pearson"):
        assert EXACT[name](truth, guess) == 0.0
        assert EXACT[name](guess, truth) == 0.0
    sums = metrics.moment_sums(truth, guess).sum(axis=0)
    assert [float(metrics.agreement_of_sums(sums)[name]) for name in ("ccc", "ccc_avec", "pearson")] == [0, 0, 0]


@settings(deadline=None)
@given(st.lists(st.tuples(NUMBERS | st.just(math.nan), NUMBERS), min_size=1, max_size=40), st.integers(0, 39))
def test_sums_of_parts_give_the_metrics_of_the_whole(pairs, cut):
    x, y = (np.array(values, dtype=float) for values in zip(*pairs, strict=True))
    sums = metrics.moment_sums(x[:cut], y[:cut]).sum(axis=0) + metrics.moment_sums(x[cut:], y[cut:]).sum(axis=0)
    found = metrics.agreement_of_sums(sums)
    known = ~np.isnan(x)
    for name, exact in EXACT.items():
        if known.any():
            assert float(found[name]) == pytest.approx(exact(x, y, known=known), abs=1e-6)
        else:
            assert np.isnan(found[name])


def predictions(n_seeds=2, n_speakers=5, n_recordings=2, n_frames=40, corpora=("sewa",), seed=0):
    """Leave one speaker out; a good prediction of arousal, a poor one of valence, and gaps."""
    rng = np.random.default_rng(seed)
    tables = []
    speakers = [(corpus, f"{k:02}") for corpus in corpora for k in range(n_speakers)]
    for fold, (corpus, speaker) in enumerate(speakers):
        for k in range(n_recordings):
            truth = np.cumsum(rng.normal(0, 0.2, (n_frames, 2)), axis=0) + rng.normal(0, 0.3, 2)
            known = rng.random(truth.shape) < 0.9
            trace = Trace(np.round(np.arange(n_frames) / 10, 9), np.where(known, truth, 0.0), known)
            for run in range(n_seeds):
                guess = truth + rng.normal(0, [0.2, 1.0], truth.shape)
                place = {"utterance": f"{corpus}/{speaker}-{k}", "corpus": corpus, "speaker": speaker}
                tables.append(recording_rows(trace, guess, DIMENSIONS, **place, seed=run, fold=fold))
    return pd.concat(tables, ignore_index=True)


def scores_of(table, n_folds=5, n_seeds=2, **changes):
    arguments = {"protocol": PROTOCOL, "paper": None, "synthetic": False, **changes}
    arguments = {"normalization": {"mode": "none", "transductive": False}, "leaks": [], **arguments}
    return evaluate(table, TASK, Conditions(n_folds=n_folds, n_seeds=n_seeds, **arguments))


def naive(rows, name, metric="ccc"):
    """A metric of one group of rows of one seed, by its definition."""
    truth, guess = rows[f"truth_{name}"].to_numpy(), rows[f"predicted_{name}"].to_numpy()
    return EXACT[metric](truth, guess, known=~np.isnan(truth))


def test_metrics_are_of_all_frames_together_and_averaged_over_seeds():
    table = predictions()
    scores = scores_of(table)
    for metric in EXACT:
        for name in DIMENSIONS:
            expected = [naive(rows, name, metric) for _, rows in table.groupby("seed")]
            assert scores["metrics"][metric][name] == pytest.approx(np.mean(expected))
            assert [entry[metric][name] for entry in scores["per_seed"]] == pytest.approx(expected)
    assert scores["metrics"]["mean_ccc"] == pytest.approx(np.mean(list(scores["metrics"]["ccc"].values())))
    assert scores["metrics"]["ccc"]["arousal"] > scores["metrics"]["ccc"]["valence"]


def test_ccc_per_recording_is_the_mean_over_recordings_and_not_that_of_all_frames():
    table = predictions()
    scores = scores_of(table)
    for name in DIMENSIONS:
        expected = table.groupby(["seed", "utterance"])[list(table)].apply(lambda rows, name=name: naive(rows, name))
        assert scores["metrics"]["ccc_per_recording"][name] == pytest.approx(expected.mean())
        assert scores["metrics"]["ccc_per_recording"][name] != pytest.approx(scores["metrics"]["ccc"][name], abs=1e-3)
    of_recordings = recording_scores(TASK, table)
    one = table[table["utterance"] == "sewa/03-1"]
    expected = np.mean([naive(rows, "valence") for _, rows in one.groupby("seed")])
    assert of_recordings["sewa/03-1"]["valence"] == pytest.approx(expected)


def test_folds_speakers_and_corpora_are_scored_on_their_own_rows():
    table = predictions(corpora=("sewa", "synthetic"))
    scores = scores_of(table, n_folds=10)
    assert scores["n_speakers"] == 10 and scores["n_utterances"] == 20 and len(scores["per_fold"]) == 20
    for entry in scores["per_fold"]:
        rows = table[(table["seed"] == entry["seed"]) & (table["fold"] == entry["fold"])]
        assert entry["n"] == 2
        assert entry["ccc"]["arousal"] == pytest.approx(naive(rows, "arousal"))
    means = pd.DataFrame([{"seed": e["seed"], **e["ccc"]} for e in scores["per_fold"]]).groupby("seed").mean().mean()
    assert scores["mean_over_folds"]["ccc"] == pytest.approx(means.to_dict())
    rows = table[(table["corpus"] == "synthetic") & (table["speaker"] == "02")]
    entry = scores["per_speaker"]["synthetic/02"]
    assert entry["ccc"]["valence"] == pytest.approx(np.mean([naive(r, "valence") for _, r in rows.groupby("seed")]))
    rows = table[table["corpus"] == "sewa"]
    entry = scores["per_corpus"]["sewa"]
    assert (entry["n"], entry["n_speakers"]) == (10, 5)
    assert entry["ccc"]["arousal"] == pytest.approx(np.mean([naive(r, "arousal") for _, r in rows.groupby("seed")]))
    assert entry["interval"]["mean_ccc"] == pytest.approx(scores_of(rows, n_folds=10)["interval"]["mean_ccc"])


def naive_interval(table, name, n_resamples=400):
    """Speakers drawn anew, their rows put together, scored, a resample at a time."""
    speakers = sorted(set(table["speaker"]))
    draws = np.random.default_rng(0).multinomial(len(speakers), np.full(len(speakers), 1 / len(speakers)), n_resamples)
    values = []
    for draw in draws:
        rows = pd.concat([table[table["speaker"] == s] for s, n in zip(speakers, draw, strict=True) for _ in range(n)])
        values.append(np.mean([naive(part, name) for _, part in rows.groupby("seed")]))
    return np.quantile(values, [0.025, 0.975])


def test_intervals_hold_the_estimates_and_equal_a_naive_bootstrap():
    table = predictions(n_speakers=6)
    scores = scores_of(table, n_folds=6)
    for metric in (*EXACT, "ccc_per_recording"):
        for name in DIMENSIONS:
            low, high = scores["interval"][metric][name]
            assert low < scores["metrics"][metric][name] < high
    low, high = scores["interval"]["mean_ccc"]
    assert low < scores["metrics"]["mean_ccc"] < high
    assert (scores["interval"]["method"], scores["interval"]["level"]) == ("bootstrap over speakers", 0.95)
    np.testing.assert_allclose(scores["interval"]["ccc"]["valence"], naive_interval(table, "valence"), atol=0.03)


def test_there_is_no_interval_of_two_speakers_or_of_unknown_ones():
    few = scores_of(predictions(n_speakers=2), n_folds=2)
    unknown = predictions()
    unknown.loc[unknown["speaker"] == "03", "speaker"] = ""
    nobody = scores_of(unknown)
    for scores in (few, nobody):
        assert scores["interval"]["ccc"] == {"arousal": None, "valence": None}
        assert scores["interval"]["mean_ccc"] is None
    assert "03" not in nobody["per_speaker"] and nobody["n_speakers"] == 4


@settings(deadline=None, max_examples=8)
@given(st.integers(0, 1000))
def test_the_order_of_the_rows_does_not_matter(seed):
    table = predictions()
    shuffled = table.sample(frac=1, random_state=seed, ignore_index=True)
    ours, theirs = scores_of(table), scores_of(shuffled)
    assert ours["metrics"]["ccc"] == pytest.approx(theirs["metrics"]["ccc"], abs=1e-12)
    assert ours["interval"]["mean_ccc"] == pytest.approx(theirs["interval"]["mean_ccc"], abs=1e-12)


def test_everything_is_recomputed_from_the_file_alone(tmp_path):
    table = predictions()
    write_predictions(table, tmp_path / "predictions.csv")
    back = read_predictions(tmp_path / "predictions.csv")
    pd.testing.assert_frame_equal(back, table, check_dtype=False)
    write_json(tmp_path / "scores.json", scores_of(table))
    assert read_json(tmp_path / "scores.json") == scores_of(back)
    write_predictions(back, tmp_path / "again.csv")
    assert (tmp_path / "again.csv").read_bytes() == (tmp_path / "predictions.csv").read_bytes()
    assert dimensions_of(back) == DIMENSIONS


def test_a_dimension_that_is_known_nowhere_has_no_score():
    table = predictions()
    table["truth_valence"] = np.nan
    scores = scores_of(table)
    assert scores["metrics"]["ccc"]["valence"] is None and scores["interval"]["ccc"]["valence"] is None
    assert scores["metrics"]["mean_ccc"] == scores["metrics"]["ccc"]["arousal"]
    write_free = scores["per_speaker"]["00"]["ccc"]
    assert write_free["valence"] is None and write_free["arousal"] is not None


def test_recordings_whose_truth_never_varies_do_not_count_in_the_mean_over_recordings():
    table = predictions(n_seeds=1)
    first = table["utterance"] == "sewa/00-0"
    table.loc[first, "truth_arousal"] = 0.25
    scores = scores_of(table, n_seeds=1)
    others = [naive(rows, "arousal") for name, rows in table.groupby("utterance") if name != "sewa/00-0"]
    assert scores["metrics"]["ccc_per_recording"]["arousal"] == pytest.approx(np.mean(others))
    assert recording_scores(TASK, table)["sewa/00-0"]["arousal"] is None


def test_a_run_that_is_cut_off_says_so_and_the_papers_number_is_carried():
    table = predictions()
    scores = scores_of(table[table["fold"] < 3], paper={"results": {"ccc_valence": 0.5}})
    assert (scores["complete"], scores["folds_done"]) == (False, "6/10")
    assert scores["paper"] == {"ccc": {"arousal": None, "valence": 0.5}}
    with pytest.raises(CheckpointError, match="10 folds over all seeds, expected 2 or fewer"):
        scores_of(table, n_folds=1)


def test_unusual_names_and_an_open_truth_survive_the_file(tmp_path):
    table = predictions(n_speakers=3)
    table["speaker"] = table["speaker"].map({"00": "NA", "01": "007", "02": 'a,"b"'})
    table["truth_arousal"] = np.nan
    write_predictions(table, tmp_path / "p.csv")
    back = read_predictions(tmp_path / "p.csv")
    assert back["speaker"].tolist() == table["speaker"].tolist()
    assert back["truth_arousal"].isna().all()


def broken(change):
    table = predictions(n_seeds=1)
    return change(table.copy())


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda t: t.drop(columns="time"), r"column\(s\) missing: time; expected utterance, corpus"),
        (lambda t: t.drop(columns="predicted_valence"), r"column\(s\) missing: predicted_valence"),
        (lambda t: t.rename(columns=lambda c: c.replace("valence", "liking")), "of arousal, liking; expected arousal"),
        (lambda t: t.iloc[:0], "no rows; expected one for each frame"),
        (lambda t: t.assign(predicted_arousal=t["predicted_arousal"].where(t.index != 7)), "row 9: predicted_arousal"),
        (lambda t: t.assign(truth_valence=t["truth_valence"].where(t.index != 2, np.inf)), "row 4: truth_valence is"),
        (lambda t: pd.concat([t, t.iloc[[5]]], ignore_index=True), "row 402: the same time of the same recording"),
        (lambda t: t.assign(fold=t["fold"].where(t.index != 0, 4)), "sewa/00-0: of two folds"),
        (lambda t: t.assign(speaker=t["speaker"].where(t.index != 3, None)), "row 5: speaker is empty"),
    ],
)  # fmt: skip
def test_tables_that_cannot_be_evaluated_are_refused_by_row(change, message):
    with pytest.raises(CheckpointError, match=message):
        TASK.check(broken(change))


def test_files_that_are_none_are_refused_by_name(tmp_path):
    with pytest.raises(CheckpointError, match=r"p\.csv: no such file"):
        read_predictions(tmp_path / "p.csv")
    write_predictions(predictions(), tmp_path / "p.csv")
    text = (tmp_path / "p.csv").read_text()
    (tmp_path / "p.csv").write_text(text.replace("sewa/00-0,sewa,00,0,0,0.1", "sewa/00-0,sewa,00,0,0,soon", 1))
    with pytest.raises(CheckpointError, match=r"p\.csv: not a readable table: .*soon"):
        read_predictions(tmp_path / "p.csv")
    (tmp_path / "p.csv").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(CheckpointError, match=r"p\.csv"):
        read_predictions(tmp_path / "p.csv")


def test_fewer_predictions_than_labels_are_refused_and_more_are_cut_to_the_labels():
    trace = Trace(np.arange(3) / 10, np.zeros((3, 2)), np.ones((3, 2), dtype=bool))
    place = {"utterance": "Train_01", "corpus": "sewa", "speaker": "a", "seed": 0, "fold": 0}
    assert len(recording_rows(trace, np.zeros((9, 2)), DIMENSIONS, **place)) == 3
    with pytest.raises(CheckpointError, match="Train_01: 2 frames predicted, labels for 3"):
        recording_rows(trace, np.zeros((2, 2)), DIMENSIONS, **place)
