"""Comparing two runs: the laws of the paired test over speakers, and what is refused."""

import itertools
import json
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from affectra.errors import CheckpointError
from affectra.evaluation.compare import compare, compare_many
from affectra.files import read_json, write_json
from affectra.metrics import unweighted_average_recall, weighted_accuracy
from affectra.tasks.classes import Classes
from affectra.tasks.evaluation import Conditions, evaluate, speaker_bootstrap
from affectra.tasks.statistics import difference_interval, exchange_test, holm
from affectra.tasks.tables import write_predictions

CLASSES = ("anger", "fear", "neutral")
TASK = Classes("emotion", CLASSES)


def p_of(differences: np.ndarray) -> float:
    """p of a sum of differences, one a speaker."""
    return float(exchange_test(lambda exchanged: (1 - 2 * exchanged) @ differences[:, None], len(differences))[0])


def table(n_speakers: int = 6, n: int = 12, skill: float = 0.6, seed: int = 0, n_seeds: int = 1) -> pd.DataFrame:
    """Predictions of a run; truth is the same for every skill and seed, speakers differ in how hard they are."""
    truth_of = np.random.default_rng(99)
    rng = np.random.default_rng(seed)
    rows = []
    for s in range(n_speakers):
        truth, hard = truth_of.choice(CLASSES, n, p=[0.5, 0.3, 0.2]), truth_of.uniform(-0.2, 0.2)
        for run in range(n_seeds):
            known = rng.random(n) < skill + hard
            answers = np.where(known, truth, rng.choice(CLASSES, n))
            rows += [
                (f"u{s}-{i}", "c", f"s{s:02}", run, s % 2, t, p)
                for i, (t, p) in enumerate(zip(truth, answers, strict=True))
            ]
    return pd.DataFrame(rows, columns=["utterance", "corpus", "speaker", "seed", "fold", "truth", "predicted"])


def write(folder: Path, predictions: pd.DataFrame, **changes: Any) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    arguments: dict[str, Any] = {
        "n_folds": 2, "n_seeds": int(predictions["seed"].nunique()), "paper": None,
        "protocol": {"name": "loso", "version": 1, "hash": "abc", "speaker_independent": True}, "synthetic": False,
        "normalization": {"mode": "none", "transductive": False}, "leaks": [],
    }  # fmt: skip
    task = Classes(changes.pop("task", "emotion"), tuple(changes.pop("classes", CLASSES)))
    write_json(folder / "scores.json", evaluate(predictions, task, Conditions(**{**arguments, **changes})))
    write_predictions(predictions, folder / "predictions.csv")
    return folder


@pytest.fixture
def runs(tmp_path: Path) -> tuple[Path, Path]:
    return write(tmp_path / "a", table(skill=0.8, seed=1)), write(tmp_path / "b", table(skill=0.5, seed=2))


def naive_p(a: pd.DataFrame, b: pd.DataFrame, metric: Any) -> float:
    """Every exchange done on the rows themselves, the metric computed anew from all of them, seed by seed."""

    def effect(a: pd.DataFrame, b: pd.DataFrame) -> float:
        return float(
            np.mean([metric(rows["truth"], rows["predicted"]) for _, rows in a.groupby("seed")])
            - np.mean([metric(rows["truth"], rows["predicted"]) for _, rows in b.groupby("seed")])
        )

    seen, speakers = abs(effect(a, b)), sorted(set(a["speaker"]))
    effects = []
    for turned in itertools.product([False, True], repeat=len(speakers)):
        chosen = {speaker for speaker, turn in zip(speakers, turned, strict=True) if turn}
        from_a, from_b = a["speaker"].isin(chosen), b["speaker"].isin(chosen)
        effects.append(effect(pd.concat([a[~from_a], b[from_b]]), pd.concat([b[~from_b], a[from_a]])))
    return float(np.mean(np.abs(effects) >= seen - 1e-9))


@pytest.mark.parametrize(("seed", "n_seeds"), [(0, 1), (1, 1), (2, 2)])
def test_p_is_that_of_exchanging_the_rows_of_each_speaker(tmp_path: Path, seed: int, n_seeds: int) -> None:
    a = table(5, 8, 0.7, seed=seed, n_seeds=n_seeds)
    b = table(5, 8, 0.5, seed=seed + 50, n_seeds=n_seeds)
    found = compare(write(tmp_path / "a", a), write(tmp_path / "b", b))
    assert found.metrics["ua"].p == pytest.approx(naive_p(a, b, unweighted_average_recall))
    assert found.metrics["wa"].p == pytest.approx(naive_p(a, b, weighted_accuracy))
    assert found.n_exchanges == 32


def test_the_metrics_are_those_of_the_runs(runs: tuple[Path, Path]) -> None:
    found = compare(*runs)
    for name in ("ua", "wa"):
        of_a, of_b = (read_json(run / "scores.json")["metrics"][name] for run in runs)
        difference = found.metrics[name]
        assert (difference.a, difference.b) == pytest.approx((of_a, of_b))
        assert difference.effect == pytest.approx(of_a - of_b) and difference.effect > 0.05
        assert difference.interval is not None and difference.interval[0] < difference.effect < difference.interval[1]
    assert (found.n_utterances, found.n_speakers, found.n_seeds) == (72, 6, (1, 1))


def test_exchanging_the_runs_turns_the_effect_and_keeps_p(runs: tuple[Path, Path]) -> None:
    there, back = compare(*runs), compare(*runs[::-1])
    for name in ("ua", "wa"):
        one, other = there.metrics[name], back.metrics[name]
        assert other.effect == -one.effect and other.p == one.p
        assert one.interval is not None and other.interval is not None
        assert other.interval == pytest.approx([-one.interval[1], -one.interval[0]])


@pytest.mark.parametrize("n_speakers", [5, 20])
def test_a_run_against_itself_has_no_effect_and_p_one(tmp_path: Path, n_speakers: int) -> None:
    a, b = (write(tmp_path / name, table(n_speakers)) for name in "ab")
    for difference in compare(a, b).metrics.values():
        assert difference.effect == 0 and difference.p == 1 and difference.interval == [0, 0]


@pytest.mark.parametrize("n_speakers", [6, 20])
def test_the_order_of_rows_and_of_classes_changes_nothing(tmp_path: Path, n_speakers: int) -> None:
    a, b = table(n_speakers, skill=0.8, seed=1), table(n_speakers, seed=2)
    sorted_ = compare(write(tmp_path / "a", a), write(tmp_path / "b", b))
    shuffled = write(tmp_path / "b", b.sample(frac=1, random_state=0), classes=CLASSES[::-1])
    assert compare(tmp_path / "a", shuffled) == sorted_


def test_seeds_are_averaged_and_need_not_be_as_many(tmp_path: Path) -> None:
    three, one = table(n_seeds=3, seed=5), table(seed=7)
    found = compare(write(tmp_path / "a", three), write(tmp_path / "b", one))
    per_seed = [unweighted_average_recall(rows["truth"], rows["predicted"]) for _, rows in three.groupby("seed")]
    assert found.metrics["ua"].a == pytest.approx(np.mean(per_seed)) and found.n_seeds == (3, 1)
    # A run of three equal seeds is no more certain than one of them.
    tripled = pd.concat([one.assign(seed=k) for k in range(3)], ignore_index=True)
    again = compare(tmp_path / "a", write(tmp_path / "c", tripled))
    assert again.metrics["ua"].p == found.metrics["ua"].p
    assert again.metrics["ua"].effect == pytest.approx(found.metrics["ua"].effect)


@pytest.mark.parametrize("n_speakers", [8, 16])
def test_p_is_uniform_where_two_runs_are_equally_good(n_speakers: int) -> None:
    """Speakers differ and their utterances hang together, which a test over utterances would take for evidence."""
    rng = np.random.default_rng(0)
    p_values = []
    for _ in range(400):
        for_one = rng.normal(0, 1, n_speakers)  # this speaker suits the one run better
        p_values.append(p_of(for_one * rng.lognormal(0, 1, n_speakers)))
    p = np.array(p_values)
    assert 0.45 < p.mean() < 0.55
    for alpha in (0.05, 0.1, 0.5):
        assert np.mean(p <= alpha) == pytest.approx(alpha, abs=3.5 * np.sqrt(alpha / 400))


def test_p_of_whole_runs_is_uniform_under_the_null(tmp_path: Path) -> None:
    folders = [write(tmp_path / name, table(8, 15)) for name in "ab"]
    p_values = []
    for k in range(200):
        for i, folder in enumerate(folders):
            write_predictions(table(8, 15, 0.6, seed=1000 * (1 + i) + k), folder / "predictions.csv")
        p_values.append(compare(*folders).metrics["ua"].p)
    assert 0.42 < np.mean(p_values) < 0.58
    assert np.mean(np.array(p_values) <= 0.1) == pytest.approx(0.1, abs=0.07)


def test_a_difference_that_all_speakers_show_is_found(tmp_path: Path) -> None:
    a, b = write(tmp_path / "a", table(14, 30, 0.85, seed=1)), write(tmp_path / "b", table(14, 30, 0.5, seed=2))
    difference = compare(a, b).metrics["ua"]
    assert difference.p < 0.001 and difference.interval is not None and difference.interval[0] > 0.1


def test_drawn_exchanges_come_close_to_all_of_them() -> None:
    rng = np.random.default_rng(0)
    for shift in (0.0, 0.3, 0.8):
        differences = rng.normal(shift, 1, 13)  # one too many to do all
        patterns = np.array(list(itertools.product([-1, 1], repeat=13)))
        every = np.mean(np.abs(patterns @ differences) >= abs(differences.sum()) - 1e-12)
        assert p_of(differences) == pytest.approx(every, abs=0.02)


def test_p_is_never_zero() -> None:
    assert p_of(np.ones(40)) == 1 / 10_001
    assert p_of(np.ones(12)) == 2 / 4096


def test_the_interval_is_that_of_rows_drawn_by_speaker() -> None:
    """Against a run that is always right the difference is 1 - UA, whose interval is known."""
    predictions = table(9, 20, 0.6, seed=3)
    known = speaker_bootstrap(predictions, TASK)["ua"]
    assert known is not None
    hit = (predictions["truth"] == predictions["predicted"]).to_numpy(dtype=float)
    by = [predictions["speaker"], predictions["truth"]]
    right = pd.Series(hit).groupby([column.to_numpy() for column in by]).sum().unstack(fill_value=0).to_numpy()
    counts = predictions.groupby(by).size().unstack(fill_value=0).to_numpy()
    found = difference_interval(counts.astype(float), right, counts)["ua"]
    assert found == pytest.approx([1 - known[1], 1 - known[0]])


@given(st.lists(st.floats(0.0001, 1), min_size=1, max_size=8))
@settings(max_examples=100, deadline=None)
def test_holm_is_monotone_and_never_below_the_raw_p(p_values: list[float]) -> None:
    corrected = holm(p_values)
    assert all(raw <= new <= 1 for raw, new in zip(p_values, corrected, strict=True))
    order = np.argsort(p_values, kind="stable")
    assert list(np.array(corrected)[order]) == sorted(corrected)
    assert min(corrected) == pytest.approx(min(1, len(p_values) * min(p_values)))
    assert holm(p_values[::-1]) == pytest.approx(corrected[::-1])


def test_holm_keeps_the_family_at_its_level() -> None:
    rng = np.random.default_rng(0)
    false_alarms = [min(holm(list(rng.random(5)))) < 0.05 for _ in range(2000)]
    assert np.mean(false_alarms) == pytest.approx(0.05, abs=0.02)


def test_several_comparisons_are_corrected_for_their_number(tmp_path: Path) -> None:
    reference = write(tmp_path / "ours", table(8, 20, 0.75, seed=1))
    others = [write(tmp_path / f"b{k}", table(8, 20, skill, seed=10 + k)) for k, skill in enumerate((0.3, 0.7, 0.5))]
    found = compare_many(reference, others)
    for name in ("ua", "wa"):
        alone = [compare(reference, other).metrics[name] for other in others]
        assert [c.metrics[name].p for c in found] == [d.p for d in alone]
        assert [c.metrics[name].p_holm for c in found] == holm([d.p for d in alone])
    assert "by Holm" in "\n".join(found[0].lines())
    (single,) = compare_many(reference, others[:1])
    assert single.metrics["ua"].p_holm == single.metrics["ua"].p


def test_a_comparison_is_json_and_lines(runs: tuple[Path, Path]) -> None:
    found = compare(*runs)
    content = json.loads(json.dumps(found.to_json(), allow_nan=False))
    assert content["metrics"]["ua"]["effect"] == found.metrics["ua"].effect
    assert content["metrics"]["wa"]["p_holm"] is None and content["n_exchanges"] == 64
    first, ua, wa, how = found.lines()
    assert "72 utterances of 6 speakers" in first and str(runs[0]) in first
    assert ua.startswith("UA 0.") and f"{found.metrics['ua'].effect:+.3f} [" in ua and wa.startswith("WA 0.")
    assert "all 64 exchanges" in how
    assert "10000 exchanges" not in how


def test_what_a_reader_must_know_is_noted(tmp_path: Path) -> None:
    a = write(tmp_path / "a", table(4), leaks=["speaker"], normalization={"mode": "speaker", "transductive": True})
    protocol = {"name": "random-80-20", "version": 1, "hash": "other", "speaker_independent": False}
    b = write(tmp_path / "b", table(4, seed=3), protocol=protocol, n_folds=3)
    notes = "\n".join(compare(a, b).notes)
    assert "LEAK (speaker), TRANSDUCTIVE" in notes and "PARTIAL (2/3 folds), SPEAKER-DEPENDENT" in notes
    assert "their folds differ (loso and random-80-20)" in notes
    assert "with 4 speakers p cannot fall below 0.125" in notes
    assert compare(write(tmp_path / "c", table(6)), write(tmp_path / "d", table(6, seed=1))).notes == ()


def test_speakers_of_the_same_name_in_two_corpora_are_two(tmp_path: Path) -> None:
    def both(predictions: pd.DataFrame) -> pd.DataFrame:
        other = predictions.assign(corpus="d", utterance="d/" + predictions["utterance"])
        return pd.concat([predictions, other], ignore_index=True)

    found = compare(write(tmp_path / "a", both(table(4))), write(tmp_path / "b", both(table(4, seed=9))))
    assert found.n_speakers == 8 and found.n_exchanges == 256


def some_renamed(predictions: pd.DataFrame) -> pd.DataFrame:
    renamed = predictions.copy()
    renamed.loc[:4, "utterance"] = ["x1", "x2", "x3", "x4", "x5"]
    return renamed


@pytest.mark.parametrize(
    ("change", "options", "words"),
    [
        (lambda t: t[t["speaker"] != "s00"], {}, "60 are shared, 12 of the first and 0 of the second are not"),
        (some_renamed, {}, "67 are shared, 5 of the first and 5 of the second are not"),
        (lambda t: t[t["fold"] == 0], {}, r"36 of the first and 0 of the second \(PARTIAL, 1/2 folds\) are not"),
        (lambda t: t, {"task": "emotion4"}, "tasks emotion and emotion4"),
        (
            lambda t: t,
            {"classes": (*CLASSES, "sadness")},
            "classes anger, fear, neutral and anger, fear, neutral, sadness",
        ),
        (
            lambda t: t.assign(truth=["neutral", *t["truth"][1:]]),
            {},
            "truth of 1 utterances differs, e.g. u0-0 is '.*' and 'neutral'",
        ),
        (lambda t: t.assign(speaker=t["speaker"].replace("s01", "s02")), {}, "speaker of 12 utterances differs"),
    ],
)
def test_runs_that_cannot_be_paired_are_refused(tmp_path: Path, change: Any, options: Any, words: str) -> None:
    a = write(tmp_path / "a", table())
    b = write(tmp_path / "b", change(table(seed=1)), **options)
    with pytest.raises(CheckpointError, match=words) as caught:
        compare(a, b)
    assert "\n" not in str(caught.value) and str(a) in str(caught.value)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda t: t.assign(speaker=t["speaker"].replace("s01", "")), "the speaker of 12 utterances is unknown"),
        (lambda t: t[t["speaker"] == "s01"], "one speaker alone"),
    ],
)
def test_without_speakers_there_is_no_test(tmp_path: Path, change: Any, words: str) -> None:
    with pytest.raises(CheckpointError, match=words):
        compare(write(tmp_path / "a", change(table())), write(tmp_path / "b", change(table(seed=1))))


def test_two_speakers_are_compared_without_an_interval(tmp_path: Path) -> None:
    found = compare(write(tmp_path / "a", table(2)), write(tmp_path / "b", table(2, seed=1)))
    assert found.metrics["ua"].interval is None and found.metrics["ua"].p in (0.5, 1.0)


def test_partial_runs_of_the_same_utterances_are_compared_and_noted(tmp_path: Path) -> None:
    a, b = (write(tmp_path / n, t[t["fold"] == 0]) for n, t in (("a", table()), ("b", table(seed=1))))
    found = compare(a, b)
    assert found.n_utterances == 36 and sum("PARTIAL (1/2 folds)" in note for note in found.notes) == 2


def test_a_run_whose_seeds_tested_different_utterances_is_refused(tmp_path: Path) -> None:
    whole = table(n_seeds=2)
    partial = whole[(whole["seed"] == 0) | (whole["fold"] == 0)]
    with pytest.raises(CheckpointError, match=r"a \(PARTIAL, 3/4 folds\).*seed 0 72, seed 1 36"):
        compare(write(tmp_path / "a", partial), write(tmp_path / "b", table()))


@pytest.mark.parametrize(
    ("damage", "words"),
    [
        (lambda d: (d / "scores.json").unlink(), "no scores.json here; expected a run directory"),
        (lambda d: (d / "scores.json").write_text("{"), "not the scores of a run"),
        (lambda d: (d / "scores.json").write_text("[]"), "not the scores of a run"),
        (lambda d: (d / "predictions.csv").unlink(), "no such file"),
        (lambda d: (d / "predictions.csv").write_text("a,b\n1,2\n"), "column"),
    ],
)
def test_what_is_no_run_is_named(runs: tuple[Path, Path], damage: Any, words: str) -> None:
    damage(runs[1])
    with pytest.raises(CheckpointError, match=words) as caught:
        compare(*runs)
    assert str(runs[1]) in str(caught.value)
