"""Own recordings: any format and length, the printed fields, damaged checkpoints."""

import csv
import io
import json
import shutil
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
import soundfile

import affectra
from affectra.calibration import Calibration, fit_temperature
from affectra.cli import main
from affectra.config import load_recipe
from affectra.errors import CheckpointError, ConfigError
from affectra.models.recognizer import Recognizer, Specification, save_checkpoint
from affectra.predict import STRETCH_S, load

CLASSES = ("anger", "happiness", "neutral", "sadness")


def build(recipe_name: str, **changes: object) -> Recognizer:
    import torch

    recipe = load_recipe(recipe_name).recipe
    parts = {
        "model": recipe.model.model_dump(), "front_end": recipe.front_end.model_dump(), "normalization": "none",
        "segments": recipe.segments.model_dump(), "task": "emotion4", "classes": CLASSES, "synthetic": True,
    }  # fmt: skip
    torch.manual_seed(0)
    return Recognizer(Specification(**{**parts, **changes})).eval()


@pytest.fixture(scope="module")
def model_dir(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An untrained model: what is tested here does not depend on what it knows."""
    folder = tmp_path_factory.mktemp("model")
    save_checkpoint(build("li2018-cpu"), folder)
    return folder


@pytest.fixture
def recording(tmp_path: Path) -> Path:
    path = tmp_path / "voice.wav"
    rng = np.random.default_rng(0)
    soundfile.write(path, 0.2 * rng.standard_normal((44_100 * 3, 2)), 44_100)
    return path


def test_python_names_of_the_contract(model_dir: Path) -> None:
    model = affectra.load(model_dir)
    samples = 0.1 * np.random.default_rng(0).standard_normal(48_000)
    answer = model(samples, 16_000)
    assert answer.emotion in CLASSES and list(answer.scores) == list(CLASSES)
    assert sum(answer.scores.values()) == pytest.approx(1) and answer.flags == ()
    assert answer.arousal is None and answer.valence is None
    windows = model.timeline(samples, 16_000)
    assert windows[0].start == 0 and windows[-1].end == pytest.approx(3.0)
    assert all(a.start < b.start for a, b in pairwise(windows))


def test_the_csv_has_the_columns_of_the_contract(
    model_dir: Path, recording: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["predict", str(recording), "--model", str(model_dir), "--format", "csv"]) == 0
    printed = capsys.readouterr()
    (row,) = csv.DictReader(io.StringIO(printed.out))
    assert list(row) == [
        "file", "start", "end", "emotion", "confidence", *(f"score_{name}" for name in CLASSES),
        "arousal", "valence", "flags",
    ]  # fmt: skip
    assert float(row["end"]) == pytest.approx(3.0, abs=1e-3) and row["arousal"] == ""
    assert "synthetic" in printed.err


def test_json_says_the_same_and_classes_restrict(
    model_dir: Path, recording: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    arguments = ["predict", str(recording), "--model", str(model_dir), "--format", "json"]
    assert main([*arguments, "--classes", "sadness,anger"]) == 0
    (row,) = json.loads(capsys.readouterr().out)
    assert {key for key in row if key.startswith("score_")} == {"score_anger", "score_sadness"}
    assert row["score_anger"] + row["score_sadness"] == pytest.approx(1, abs=1e-5)
    assert main([*arguments, "--classes", "joy"]) == 2
    assert "unknown class 'joy'" in capsys.readouterr().err


def test_a_timeline_has_a_row_for_each_window(
    model_dir: Path, recording: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["predict", str(recording), "--model", str(model_dir), "--format", "json", "--timeline"]) == 0
    rows = json.loads(capsys.readouterr().out)
    starts = [row["start"] for row in rows]
    assert starts == pytest.approx([0.4 * i for i in range(len(rows))]) and rows[-1]["end"] == pytest.approx(3.0)
    assert len(rows) > 2 and all(row["start"] < row["end"] for row in rows)


def test_one_bad_file_never_stops_the_rest(
    model_dir: Path, recording: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "broken.wav").write_bytes(b"RIFF")
    code = main(["predict", str(tmp_path), str(tmp_path / "gone.wav"), "--model", str(model_dir), "--format", "csv"])
    printed = capsys.readouterr()
    assert code == 1 and "broken.wav" in printed.err and "gone.wav" in printed.err
    assert [row["file"] for row in csv.DictReader(io.StringIO(printed.out))] == [str(recording)]


def test_a_folder_without_recordings_is_named(
    model_dir: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["predict", str(tmp_path), "--model", str(model_dir)]) == 1
    assert "no recordings below it" in capsys.readouterr().err


def test_silence_is_unknown_unless_an_answer_is_forced(model_dir: Path, tmp_path: Path) -> None:
    soundfile.write(tmp_path / "silence.wav", np.zeros(16_000), 16_000)
    model = load(model_dir)
    quiet = model.recognize_file(tmp_path / "silence.wav")
    assert quiet.emotion == "unknown" and quiet.flags == ("silent",)
    assert model.recognize_file(tmp_path / "silence.wav", abstain=False).emotion in CLASSES


def test_a_very_short_recording_is_flagged(model_dir: Path) -> None:
    answer = load(model_dir)(0.1 * np.random.default_rng(0).standard_normal(800), 16_000)
    assert answer.flags == ("too_short",)


def test_a_truncated_recording_is_read_and_flagged(model_dir: Path, recording: Path) -> None:
    recording.write_bytes(recording.read_bytes()[:200_000])
    assert "truncated" in load(model_dir).recognize_file(recording).flags


def test_rate_and_channels_do_not_matter(model_dir: Path, tmp_path: Path) -> None:
    time_s = np.arange(48_000 * 2) / 48_000
    tone = 0.3 * np.sin(2 * np.pi * 300 * time_s) * (1 + np.sin(2 * np.pi * 3 * time_s))
    model = load(model_dir)
    soundfile.write(tmp_path / "stereo48.wav", np.stack([tone, tone], axis=1), 48_000, subtype="FLOAT")
    stereo = model.recognize_file(tmp_path / "stereo48.wav")
    mono = model(tone, 48_000)
    assert [stereo.scores[name] for name in CLASSES] == pytest.approx([mono.scores[name] for name in CLASSES], abs=1e-4)


def test_a_long_recording_in_stretches_gives_the_windows_of_the_whole(model_dir: Path) -> None:
    rng = np.random.default_rng(0)
    n_samples = int(16_000 * (2.2 * STRETCH_S + 1.234))
    samples = (0.1 * rng.standard_normal(n_samples)).astype(np.float32)
    model = load(model_dir)
    recognizer = model.recognizers[0]
    import torch

    frames = recognizer.front_end.frames(torch.from_numpy(samples)).numpy().astype(np.float16)
    whole = recognizer.recognize(frames)
    windows = model.timeline(samples, 16_000)
    assert len(windows) == len(whole.starts)
    np.testing.assert_allclose([w.start for w in windows], [s * 0.02 for s in whole.starts], atol=1e-9)
    np.testing.assert_allclose([w.scores["anger"] for w in windows], whole.segment_probabilities[:, 0], atol=1e-5)


def test_a_run_directory_is_the_mean_of_its_folds(tmp_path: Path) -> None:
    import torch

    for k in range(2):
        recognizer = build("li2018-cpu")
        for parameter in recognizer.parameters():
            parameter.data += 0.05 * k * torch.randn_like(parameter)
        save_checkpoint(recognizer, tmp_path / "run" / "seed-0" / f"fold-{k}")
    samples = 0.1 * np.random.default_rng(0).standard_normal(40_000)
    folds = [load(tmp_path / "run" / "seed-0" / f"fold-{k}")(samples, 16_000).scores["anger"] for k in range(2)]
    assert folds[0] != folds[1]
    assert load(tmp_path / "run")(samples, 16_000).scores["anger"] == pytest.approx(np.mean(folds))


@pytest.mark.parametrize(
    ("damage", "words"),
    [
        (lambda d: (d / "model.json").unlink(), "no finished fold here"),
        (lambda d: (d / "model.safetensors").unlink(), "no model.safetensors here"),
        (lambda d: (d / "model.json").write_text("{"), "damaged or not a model"),
        (lambda d: (d / "model.json").write_text("[]"), "damaged or not a model"),
        (lambda d: (d / "model.json").write_text('{"format": 99, "affectra": "9"}'), "another version of Affectra"),
        (lambda d: (d / "model.safetensors").write_bytes(b"\x80\x04pickle"), "damaged or not of this model.json"),
        (lambda d: _replace(d, '"attention-cnn"', '"os.system"'), "unknown model 'os.system'"),
        (lambda d: _replace(d, '"hop_length": 320', '"hop_length": 0'), "damaged or not a model"),
        (lambda d: _replace(d, '"length_s": 2.0', '"length_s": Infinity'), "damaged or not a model"),
        (lambda d: _replace(d, '"anger"', '"neutral"'), "classes with different names"),
        (lambda d: _replace(d, '"n_filters": 8', '"n_filters": 9'), "damaged or not of this model.json"),
    ],
)
def test_a_damaged_checkpoint_is_named(model_dir: Path, tmp_path: Path, damage, words: str) -> None:
    shutil.copytree(model_dir, tmp_path / "copy")
    damage(tmp_path / "copy")
    with pytest.raises(CheckpointError, match=words) as caught:
        load(tmp_path / "copy")
    assert "copy" in str(caught.value) and "\n" not in str(caught.value)


def _replace(folder: Path, old: str, new: str) -> None:
    text = (folder / "model.json").read_text()
    assert old in text
    (folder / "model.json").write_text(text.replace(old, new))


@pytest.mark.parametrize("content", ["{}", "{", '{"temperature": 0}', '{"temperature": -1}', "[]"])
def test_a_damaged_calibration_is_named(model_dir: Path, tmp_path: Path, content: str) -> None:
    shutil.copytree(model_dir, tmp_path / "copy")
    (tmp_path / "copy" / "calibration.json").write_text(content)
    with pytest.raises(CheckpointError, match=r"calibration\.json"):
        load(tmp_path / "copy")


def test_a_folder_without_a_model_is_named(tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match="no such folder"):
        load(tmp_path / "nowhere")
    with pytest.raises(CheckpointError, match="no finished fold here"):
        load(tmp_path)


def test_offering_a_class_that_the_model_lacks_is_an_error(model_dir: Path) -> None:
    with pytest.raises(ConfigError, match="unknown class 'angry'; did you mean 'anger'"):
        load(model_dir).offered(["angry"])


def test_calibration_recovers_a_known_temperature() -> None:
    import pandas as pd

    rng = np.random.default_rng(0)
    honest = rng.dirichlet([1, 1, 1], 20_000)
    truth = [rng.choice(3, p=p) for p in honest]
    overconfident = Calibration(0.5).apply(honest)
    table = pd.DataFrame(overconfident, columns=["score_a", "score_b", "score_c"])
    table["truth"] = np.array(list("abc"))[truth]
    assert fit_temperature(table, list("abc")).temperature == pytest.approx(2.0, rel=0.1)
    np.testing.assert_allclose(Calibration(2.0).apply(overconfident), honest, atol=1e-9)
