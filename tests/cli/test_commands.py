"""The commands listen, export, serve and report --out, as they are typed: rows, exit codes, one line for a mistake."""

import csv
import io
import json
import shutil
import sys
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
import soundfile

from affectra.cli import main
from affectra.files import read_json, write_json
from affectra.predict.calibration import fit_calibration, read_calibration, with_distances
from affectra.predict.model import load
from affectra.recipes.config import parse_assignments
from affectra.runs.plan import plan_run
from affectra.runs.run import execute
from affectra.tasks.tables import read_predictions
from voices import write_voices

MODEL = "affectra-free"
Pipe = Callable[[bytes], None]


@pytest.fixture
def pipe(monkeypatch: pytest.MonkeyPatch) -> Pipe:
    """Bytes on standard input."""
    return lambda content: monkeypatch.setattr(sys, "stdin", SimpleNamespace(buffer=io.BytesIO(content)))


def sound(rate: int, seconds: float) -> np.ndarray:
    """16-bit samples of a voice with syllables, silence, and a loud end that is clipped."""
    time_s = np.arange(round(seconds * rate)) / rate
    phase = 2 * np.pi * 140 * time_s + np.sin(2 * np.pi * 2 * time_s)
    voice = sum(np.sin(k * phase) / k for k in range(1, 12)) * (0.1 + 0.1 * np.sin(2 * np.pi * 4 * time_s))
    voice[(time_s > 2) & (time_s < 2.6)] = 0
    voice[time_s > seconds - 0.5] *= 9
    return (np.clip(voice, -1, 1) * 32767).astype("<i2")


def rows_of(printed: str) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO(printed)))


# --- listen


@pytest.mark.parametrize(("rate", "seconds"), [(16_000, 4.3), (8_000, 2.2), (44_100, 3.5), (16_000, 0.3)])
def test_listening_to_a_pipe_says_what_a_timeline_of_the_file_says(
    rate: int, seconds: float, pipe: Pipe, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    samples = sound(rate, seconds)
    soundfile.write(tmp_path / "a.wav", samples, rate)
    pipe(samples.tobytes())
    assert main(["listen", "--stdin", "--rate", str(rate), "--model", MODEL, "--format", "csv"]) == 0
    live = capsys.readouterr()
    assert main(["predict", str(tmp_path / "a.wav"), "--timeline", "--model", MODEL, "--format", "csv"]) == 0
    offline = capsys.readouterr()
    assert live.err == offline.err, "the model and its licence, once"
    heard, expected = rows_of(live.out), rows_of(offline.out)
    assert {row.pop("file") for row in heard} == {"-"} and len(heard) == len(expected) >= 1
    for row in expected:
        del row["file"]
    assert heard == expected
    ends = [float(row["end"]) for row in heard]
    assert ends[: int(seconds)] == list(range(1, int(seconds) + 1)), "one each second"


def test_a_pipe_may_be_read_as_json_restricted_and_forced_to_answer(
    pipe: Pipe, capsys: pytest.CaptureFixture[str]
) -> None:
    content = np.zeros(32_000, "<i2").tobytes() + b"x"  # silence, and half a sample
    pipe(content)
    arguments = ["listen", "--stdin", "--model", MODEL, "--format", "json", "--classes", "sadness, anger"]
    assert main(arguments) == 0
    unsure = json.loads(capsys.readouterr().out)
    pipe(content)
    assert main([*arguments, "--no-abstain"]) == 0
    forced = json.loads(capsys.readouterr().out)
    assert [row["emotion"] for row in unsure] == ["unknown"] * 2 and "silent" in unsure[0]["flags"]
    for row in forced:
        assert [key for key in row if key.startswith("score_")] == ["score_anger", "score_sadness"]
        assert row["score_anger"] + row["score_sadness"] == pytest.approx(1, abs=2e-6)
        assert row["emotion"] == max(("anger", "sadness"), key=lambda name: row[f"score_{name}"])


@pytest.mark.parametrize(("format_", "text"), [("json", "[]\n"), ("csv", None), ("table", None)])
def test_a_pipe_with_nothing_in_it_gives_no_rows(
    format_: str, text: str | None, pipe: Pipe, capsys: pytest.CaptureFixture[str]
) -> None:
    pipe(b"")
    assert main(["listen", "--stdin", "--model", MODEL, "--format", format_]) == 0
    printed = capsys.readouterr().out
    assert printed == text if text else printed.startswith("file") and printed.count("\n") == 1


def test_ctrl_c_ends_listening_and_what_was_heard_is_answered(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    class Interrupted(io.BytesIO):
        def read1(self, size: int | None = -1, /) -> bytes:
            data = super().read1(size)
            if not data:
                raise KeyboardInterrupt
            return data

    monkeypatch.setattr(sys, "stdin", SimpleNamespace(buffer=Interrupted(sound(16_000, 2.5).tobytes())))
    assert main(["listen", "--stdin", "--model", MODEL, "--format", "json"]) == 0
    assert [row["end"] for row in json.loads(capsys.readouterr().out)] == [1.0, 2.0, 2.5], "JSON is whole"


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--stdin", "--rate", "0"], "standard input: 0 Hz, expected a sample rate between"),
        (["--stdin", "--rate", "-8000"], "-8000 Hz"),
        (["--stdin", "--classes", "joy"], "unknown class 'joy'"),
        (["--rate", "5"], "microphone: 5 Hz"),
    ],
)
def test_what_cannot_be_listened_to_is_one_line_and_no_table(
    arguments: list[str], words: str, pipe: Pipe, capsys: pytest.CaptureFixture[str]
) -> None:
    pipe(bytes(64_000))
    assert main(["listen", "--model", MODEL, *arguments]) == 2
    printed = capsys.readouterr()
    assert printed.out == "" and words in printed.err
    assert [line.partition(":")[0] for line in printed.err.splitlines()] == ["model", "affectra"]


def test_a_microphone_without_its_package_names_the_extra_and_the_way_around(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "sounddevice", None)
    assert main(["listen", "--model", MODEL]) == 2
    printed = capsys.readouterr()
    assert printed.out == "" and "pip install 'affectra[listen]'" in printed.err and "--stdin" in printed.err


# --- a wrong model, for all that take one


@pytest.mark.parametrize("command", [["serve"], ["listen", "--stdin"], ["serve", "--port", "0"]])
@pytest.mark.parametrize(
    ("model", "words"),
    [("nowhere", "no such folder"), ("affectra-bass", "did you mean 'affectra-base'"), (".", "no finished fold here")],
)
def test_a_wrong_model_is_one_line_and_exit_code_2(
    command: list[str], model: str, words: str, pipe: Pipe, tmp_path: Path, monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    monkeypatch.chdir(tmp_path)
    pipe(b"")
    assert main([*command, "--model", model]) == 2
    printed = capsys.readouterr()
    assert printed.out == "" and words in printed.err and printed.err.count("\n") == 1, printed.err


# --- report --out and export


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """The same recipe and voices under two protocols, and with other classes; no pictures are drawn."""
    folder = tmp_path_factory.mktemp("runs")
    sources = [f"{name}={write_voices(folder, name)}" for name in ("green", "red")]
    two = "{name: kfold-speaker, options: {k: 2, dev: false}}"
    kinds = {
        "speakers": ("voice-linear", [f"protocol={two}"]),
        "corpora": ("voice-linear", []),
        "penalty": ("voice-linear", ["model.options.penalty=0.5"]),
        "arousal": ("voice-linear-binary", []),
    }
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("affectra.runs.run.write_report", lambda folder: None)
        patch.setattr("affectra.runs.units.utterances.probe_run", lambda folder: [])
        for name, (recipe, settings) in kinds.items():
            chosen = parse_assignments(["augmentation.copies=1", *settings])
            execute(plan_run(recipe, sources, settings=chosen, out=folder / name))
    return {name: folder / name for name in kinds}


def test_several_runs_are_reported_on_one_page(
    runs: dict[str, Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "page"
    assert main(["report", str(runs["speakers"]), str(runs["corpora"]), "--out", str(out)]) == 0
    assert capsys.readouterr().out == f"{out / 'overview.html'}\n"
    for page in ("overview.html", "overview.md"):
        text = (out / page).read_text(encoding="utf-8")
        for name in ("speakers", "corpora"):
            ua = read_json(runs[name] / "scores.json")["metrics"]["ua"]
            assert name in text and f"{ua:.3f}" in text
    assert not (runs["speakers"] / "report.html").exists(), "the page is instead of theirs"


def test_one_folder_that_is_no_run_is_named_and_no_page_is_written(
    runs: dict[str, Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["report", str(runs["corpora"]), str(tmp_path / "none"), "--out", str(tmp_path / "page")]) == 2
    printed = capsys.readouterr()
    assert printed.out == "" and str(tmp_path / "none") in printed.err and printed.err.count("\n") == 1
    assert not (tmp_path / "page").exists()


@pytest.fixture(scope="module")
def exported(runs: dict[str, Path], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Of the run on all corpora, calibrated on the one that leaves each out too."""
    out = tmp_path_factory.mktemp("exported") / "mine"
    arguments = ["export", str(runs["speakers"]), "--out", str(out), "--calibrate-on", str(runs["corpora"])]
    assert main([*arguments, "--licence", "mine alone"]) == 0
    return out


def test_an_exported_model_predicts_and_says_its_licence(
    exported: Path, runs: dict[str, Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    soundfile.write(tmp_path / "a.wav", sound(16_000, 1.5), 16_000)
    for model in (exported, runs["speakers"]):
        capsys.readouterr()
        arguments = ["predict", str(tmp_path / "a.wav"), "--model", str(model), "--format", "csv"]
        assert main(arguments) == 0
        printed = capsys.readouterr()
        assert printed.err == f"model: {model.name}{', mine alone' if model == exported else ''}\n"
        (row,) = rows_of(printed.out)
        scores = [float(value) for key, value in row.items() if key.startswith("score_")]
        assert sum(scores) == pytest.approx(1, abs=1e-5) and row["arousal"] and row["valence"]
    heard = [load(model).recognizer(np.zeros(16_000, np.float32)) for model in (exported, runs["speakers"])]
    np.testing.assert_allclose(heard[0].probabilities, heard[1].probabilities, atol=1e-4)


def test_a_calibration_on_several_runs_is_fitted_on_the_predictions_of_all(
    exported: Path, runs: dict[str, Path]
) -> None:
    tables, spaces = zip(
        *(with_distances(runs[n], read_predictions(runs[n] / "predictions.csv")) for n in ("speakers", "corpora")),
        strict=True,
    )
    classes = read_json(exported / "model.json")["classes"]
    expected = fit_calibration(pd.concat(tables, ignore_index=True), classes, spaces[0])
    found = read_calibration(exported)
    assert found is not None and found.space is not None and expected.space is not None
    assert found.temperature == pytest.approx(expected.temperature, rel=1e-6)
    assert found.distance_power == pytest.approx(expected.distance_power, abs=1e-6)
    assert found.space.threshold == pytest.approx(expected.space.threshold, rel=1e-5)
    alone = read_calibration(runs["speakers"])
    assert alone is not None and alone.space is not None
    assert alone.space.threshold != pytest.approx(expected.space.threshold, rel=1e-3), "it was fitted on less"
    np.testing.assert_allclose(found.space.means, spaces[0].means, rtol=1e-5, atol=1e-6)
    content = read_json(exported / "calibration.json")
    assert content["fitted_on"] == "out-of-fold predictions under kfold-speaker, loco"


def test_the_card_tells_the_calibration_of_each_protocol_and_corpus(exported: Path) -> None:
    card = (exported / "MODEL_CARD.md").read_text(encoding="utf-8")
    section = card[card.index("## Calibration") :]
    for title in ("a new speaker", "a new corpus"):
        part = section[section.index(f"Calibrated without {title}") :].split("\nCalibrated")[0]
        cells = [line.strip("| ").split(" | ") for line in part.splitlines() if line.startswith("| ")][1:]
        names = [tuple(row[:2]) for row in cells]
        both = ("kfold-speaker", "loco")
        assert names[:2] == [(protocol, "all") for protocol in both]
        assert names[2:] == [(protocol, corpus) for protocol in both for corpus in ("green", "red")]
        for _, corpus, n, *values in cells:
            assert int(n) == (32 if corpus == "all" else 16) and all(0 <= float(value) <= 2 for value in values)
    assert "mine alone" in card


@pytest.fixture
def no_graph(monkeypatch: pytest.MonkeyPatch) -> None:
    """What is refused after the graph was written is refused without it too, which takes a second."""
    monkeypatch.setattr("affectra.predict.export.write_graph", lambda recognizers, path: None)


@pytest.mark.usefixtures("no_graph")
@pytest.mark.parametrize(
    ("run", "more", "words"),
    [
        ("nowhere", [], "no finished fold here"),
        ("speakers", ["nowhere"], "nowhere"),
        ("speakers", ["speakers"], "each once"),
        ("speakers", ["penalty"], "was made with another model than"),
        ("speakers", ["arousal"], "was made with another auxiliary, model than"),
        ("speakers/seed-0/fold-1", ["corpora"], "one fold cannot be calibrated on several runs"),
    ],
)
def test_what_cannot_be_exported_is_one_line_and_nothing_is_left(
    run: str, more: list[str], words: str, runs: dict[str, Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (above := runs["speakers"].parent / "nowhere").mkdir(exist_ok=True)
    arguments = ["export", str(above.parent / run), "--out", str(tmp_path / "out")]
    for name in more:
        arguments += ["--calibrate-on", str(above.parent / name)]
    assert main(arguments) == 2
    printed = capsys.readouterr()
    assert printed.out == "" and words in printed.err and printed.err.count("\n") == 1, printed.err
    assert list(tmp_path.iterdir()) == []


@pytest.mark.usefixtures("no_graph")
def test_runs_of_other_classes_have_no_say(
    runs: dict[str, Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    shutil.copytree(runs["corpora"], tmp_path / "other")
    scores = read_json(tmp_path / "other" / "scores.json")
    write_json(tmp_path / "other" / "scores.json", {**scores, "classes": ["anger", "fear"]})
    arguments = ["export", str(runs["speakers"]), "--out", str(tmp_path / "out")]
    assert main([*arguments, "--calibrate-on", str(tmp_path / "other")]) == 2
    assert "has the classes anger, fear, not anger, happiness" in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


def test_an_exported_folder_is_never_written_over(
    exported: Path, runs: dict[str, Path], capsys: pytest.CaptureFixture[str]
) -> None:
    before = {path.name: path.read_bytes() for path in exported.iterdir()}
    assert main(["export", str(runs["corpora"]), "--out", str(exported)]) == 2
    assert "there is something already" in capsys.readouterr().err
    assert {path.name: path.read_bytes() for path in exported.iterdir()} == before
