"""Runs over time beside each other: differences of CCC by exchanging speakers, and their overview."""

import json
import shutil
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from affectra.cli import main
from affectra.errors import CheckpointError
from affectra.evaluation.compare import Comparison, compare, compare_many
from affectra.files import write_json
from affectra.metrics import concordance_cc
from affectra.reports.overview import write_overview
from affectra.tasks.classes import Classes
from affectra.tasks.dimensions import Dimensions
from affectra.tasks.evaluation import Conditions, evaluate
from affectra.tasks.statistics import holm
from affectra.tasks.tables import write_predictions
from affectra.tasks.task import Task

DIMENSIONS = ("arousal", "valence")
N_FRAMES = 30


def predictions(noise: float, *, n_speakers: int = 4, n_seeds: int = 1, seed: int = 0) -> pd.DataFrame:
    """Two recordings a speaker; the truth is the same whatever the noise."""
    truths, errors = np.random.default_rng(0), np.random.default_rng([1, seed, round(100 * noise)])
    rows = []
    for s, k in product(range(n_speakers), range(2)):
        truth = np.round(truths.standard_normal((N_FRAMES, 2)).cumsum(0) / 5, 6)
        truth[3] = np.nan
        for run_seed in range(n_seeds):
            guess = np.nan_to_num(truth) + noise * (1 + s) * errors.standard_normal(truth.shape)
            table = pd.DataFrame({"utterance": f"s{s}-{k}", "corpus": "c", "speaker": f"s{s}", "seed": run_seed,
                                  "fold": s % 2, "time": 0.1 * np.arange(N_FRAMES)})  # fmt: skip
            for d, name in enumerate(DIMENSIONS):
                table[f"truth_{name}"] = truth[:, d]
            for d, name in enumerate(DIMENSIONS):
                table[f"predicted_{name}"] = guess[:, d]
            rows.append(table)
    return pd.concat(rows, ignore_index=True)


def finished(folder: Path, table: pd.DataFrame, task: Task) -> Path:
    """A run directory with these predictions."""
    folder.mkdir()
    write_predictions(table, folder / "predictions.csv")
    conditions = Conditions(
        protocol={"name": "kfold-speaker", "version": 1, "hash": "h", "speaker_independent": True}, n_folds=2,
        n_seeds=int(table["seed"].nunique()), paper=None, synthetic=True,
        normalization={"mode": "none", "transductive": False}, leaks=[],
    )  # fmt: skip
    write_json(folder / "scores.json", evaluate(table, task, conditions))
    write_json(folder / "environment.json", {"corpora": {"c": {}}, "labels": {}, "audit": {}, "command": ""})
    (folder / "recipe.yaml").write_text(f"name: {folder.name}\ndescription: a run\npaper: null\nseeds: 1\n")
    return folder


def run_of(folder: Path, table: pd.DataFrame, dimensions: tuple[str, ...] = DIMENSIONS) -> Path:
    """A run over time with some of these dimensions."""
    kept = [column for column in table if "_" not in column or column.split("_")[1] in dimensions]
    return finished(folder, table[kept], Dimensions("continuous", dimensions))


def ccc_of(table: pd.DataFrame, name: str) -> float:
    return concordance_cc(table[f"truth_{name}"], table[f"predicted_{name}"], known=table[f"truth_{name}"].notna())


def naive_p(a: pd.DataFrame, b: pd.DataFrame, name: str) -> float:
    """Frames exchanged one speaker after the other, and all CCCs computed anew."""
    speakers = sorted(a["speaker"].unique())
    effects = []
    for swapped in product([False, True], repeat=len(speakers)):
        moved = a["speaker"].map(dict(zip(speakers, swapped, strict=True)))
        effects.append(ccc_of(a.where(~moved, b), name) - ccc_of(b.where(~moved, a), name))
    return float(np.mean(np.abs(effects) >= abs(effects[0]) - 1e-12))


def test_p_is_that_of_frames_exchanged_by_hand(tmp_path: Path) -> None:
    tables = [predictions(0.1), predictions(0.35)]
    found = compare(run_of(tmp_path / "a", tables[0]), run_of(tmp_path / "b", tables[1]))
    for name in DIMENSIONS:
        got = found.metrics[name]
        assert (got.a, got.b) == pytest.approx([ccc_of(table, name) for table in tables])
        assert got.effect == pytest.approx(got.a - got.b) and got.p == naive_p(*tables, name)
        assert got.interval is not None and got.interval[0] < got.effect < got.interval[1]
    mean = found.metrics["mean"]
    assert mean.effect == pytest.approx(np.mean([found.metrics[name].effect for name in DIMENSIONS]))
    assert found.n_exchanges == 16 and any("p cannot fall below 0.125" in note for note in found.notes)


def test_a_run_against_itself_has_no_effect_and_turning_the_pair_turns_the_sign(tmp_path: Path) -> None:
    a, b = run_of(tmp_path / "a", predictions(0.1)), run_of(tmp_path / "b", predictions(0.4))
    same = compare(a, a)
    assert {d.effect for d in same.metrics.values()} == {0.0} and {d.p for d in same.metrics.values()} == {1.0}
    one, other = compare(a, b), compare(b, a)
    for name, difference in one.metrics.items():
        assert difference.effect == pytest.approx(-other.metrics[name].effect)
        assert difference.p == other.metrics[name].p


def test_runs_of_several_seeds_have_the_mean_over_seeds(tmp_path: Path) -> None:
    several, single = predictions(0.1, n_seeds=3), predictions(0.3, n_seeds=2)
    found = compare(run_of(tmp_path / "a", several), run_of(tmp_path / "b", single))
    for table, got in ((several, found.metrics["arousal"].a), (single, found.metrics["arousal"].b)):
        assert got == pytest.approx(np.mean([ccc_of(rows, "arousal") for _, rows in table.groupby("seed")]))
    assert found.n_seeds == (3, 2)


def test_many_speakers_are_exchanged_at_random_and_a_clear_difference_is_found(tmp_path: Path) -> None:
    a, b = (run_of(tmp_path / str(noise), predictions(noise, n_speakers=14)) for noise in (0.02, 0.3))
    clear = compare(a, b)
    assert clear.n_exchanges == 10_000 and clear.metrics["mean"].p < 0.01
    c = run_of(tmp_path / "c", predictions(0.3, n_speakers=14, seed=5))
    alike = compare(b, c)
    assert alike.metrics["mean"].p > 0.05


def test_only_dimensions_that_both_have_are_compared_and_several_runs_are_corrected(tmp_path: Path) -> None:
    both = run_of(tmp_path / "both", predictions(0.1))
    alone = run_of(tmp_path / "alone", predictions(0.3), ("valence",))
    found = compare(both, alone)
    assert list(found.metrics) == ["valence"] and any("predicts arousal too" in note for note in found.notes)
    third = run_of(tmp_path / "third", predictions(0.5))
    many = compare_many(both, [alone, third])
    corrected = holm([one.metrics["valence"].p for one in many])
    assert [one.metrics["valence"].p_holm for one in many] == corrected
    assert many[1].metrics["arousal"].p_holm == many[1].metrics["arousal"].p
    arousal = run_of(tmp_path / "arousal", predictions(0.3), ("arousal",))
    with pytest.raises(CheckpointError, match="the one is of valence, the other of arousal"):
        compare(alone, arousal)


def test_recordings_are_exchanged_where_nobody_knows_who_speaks(tmp_path: Path) -> None:
    tables = [predictions(noise).assign(speaker="") for noise in (0.1, 0.3)]
    found = compare(run_of(tmp_path / "a", tables[0]), run_of(tmp_path / "b", tables[1]))
    assert (found.by, found.n_groups) == ("recording", 8)
    assert any("taken for independent" in note for note in found.notes)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda rows: rows[rows["utterance"] != "s0-0"], r"different recordings, 7 are shared, 1 of the first"),
        (lambda rows: rows.assign(truth_arousal=rows["truth_arousal"] + 1), "truth_arousal of 232 frames differs"),
        (lambda rows: rows.assign(time=rows["time"] + 1), "their labels are at other times"),
        (lambda rows: rows.assign(speaker=rows["speaker"] + "x"), "speaker of 240 frames differs"),
    ],
)
def test_runs_of_other_data_are_refused(change: Any, words: str, tmp_path: Path) -> None:
    a, b = run_of(tmp_path / "a", predictions(0.1)), run_of(tmp_path / "b", change(predictions(0.3)))
    with pytest.raises(CheckpointError, match=words):
        compare(a, b)


def run_of_classes(folder: Path) -> Path:
    rows = [(f"u{k}", "c", f"s{k % 4}", 0, 0, "fear", "fear") for k in range(8)]
    table = pd.DataFrame(rows, columns=["utterance", "corpus", "speaker", "seed", "fold", "truth", "predicted"])
    return finished(folder, table, Classes("emotion", ("anger", "fear")))


def test_a_run_of_classes_is_not_compared_with_one_over_time(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    over_time, classes = run_of(tmp_path / "a", predictions(0.1)), run_of_classes(tmp_path / "classes")
    for pair in ([over_time, classes], [classes, over_time]):
        assert main(["compare", *map(str, pair)]) == 2
        (line,) = capsys.readouterr().err.splitlines()
        assert "tasks " in line and "continuous" in line and "emotion" in line and "needs the same one" in line
    with pytest.raises(CheckpointError, match=r"none: no scores\.json here"):
        compare(over_time, tmp_path / "none")
    shutil.copytree(over_time, tmp_path / "damaged")
    (tmp_path / "damaged" / "scores.json").write_text("no json")
    with pytest.raises(CheckpointError, match="not the scores of a run"):
        compare(over_time, tmp_path / "damaged")


def test_one_overview_has_runs_of_classes_and_runs_over_time(tmp_path: Path) -> None:
    over_time, classes = run_of(tmp_path / "a", predictions(0.1)), run_of_classes(tmp_path / "classes")
    html = write_overview([over_time, classes], tmp_path / "out").read_text()
    markdown = (tmp_path / "out" / "overview.md").read_text()
    for text in (html, markdown):
        assert "2 runs" in text and "Runs over time" in text
        assert f"{ccc_of(predictions(0.1), 'arousal'):.3f}" in text and "weighted F1" in text


def test_compare_and_report_are_commands(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folders = [str(run_of(tmp_path / name, predictions(noise))) for name, noise in (("one", 0.1), ("two", 0.3))]
    assert main(["compare", *folders]) == 0
    text = capsys.readouterr().out
    assert "8 recordings of 4 speakers" in text and "CCC arousal" in text and "speaker by speaker" in text
    assert main(["compare", *folders, "--json"]) == 0
    (told,) = json.loads(capsys.readouterr().out)
    assert set(told) == set(Comparison.__dataclass_fields__)
    assert main(["report", *folders, "--out", str(tmp_path / "out")]) == 0
    assert (tmp_path / "out" / "overview.html").is_file()


def test_an_overview_has_a_line_a_run_with_what_each_predicts(tmp_path: Path) -> None:
    both = run_of(tmp_path / "both", predictions(0.1))
    alone = run_of(tmp_path / "alone", predictions(0.3), ("valence",))
    page = write_overview([both, alone], tmp_path / "out")
    lines = (tmp_path / "out" / "overview.md").read_text().splitlines()
    table = [line.split("|") for line in lines if line.startswith("| ")]
    assert [cell.strip() for cell in table[0][5:7]] == ["arousal", "valence"]
    arousal = f"{ccc_of(predictions(0.1), 'arousal'):.3f}"
    assert arousal in table[1][5] and not table[2][5].strip() and table[2][6].strip()
    assert "synthetic" in table[1][1] and arousal in page.read_text()
