"""Own recordings: any format and length, the printed fields, damaged checkpoints."""

import csv
import io
import json
import shutil
from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
import soundfile
from hypothesis import given
from hypothesis import strategies as st

import affectra
from affectra.cli import main
from affectra.errors import CheckpointError, ConfigError
from affectra.features.specification import Specification
from affectra.models.recognizer import Recognizer, load_checkpoint, save_checkpoint
from affectra.predict.calibration import BinaryCalibration, Calibration, TrainingSpace, fit_temperature
from affectra.predict.enrolment import fit_bias
from affectra.predict.model import Model, load, shipped_models
from affectra.predict.windows import windows
from affectra.recipes.config import load_recipe
from hearing import Ear, Shares, hearing

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
    answer = model(samples, 16_000, abstain=False)
    assert answer.emotion in CLASSES and list(answer.scores) == list(CLASSES)
    assert sum(answer.scores.values()) == pytest.approx(1) and answer.flags == ("no_speech",)
    assert model(samples, 16_000).emotion == "unknown"  # noise has none
    assert answer.arousal is None and answer.valence is None
    windows = model.timeline(samples, 16_000)
    assert windows[0].start == 0 and windows[-1].end == pytest.approx(3.0)
    assert all(a.end < b.end for a, b in pairwise(windows))
    assert affectra.Model.from_pretrained(model_dir)(samples, 16_000, abstain=False) == answer


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


def test_a_timeline_has_a_row_for_each_second(
    model_dir: Path, recording: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["predict", str(recording), "--model", str(model_dir), "--format", "json", "--timeline"]) == 0
    rows = json.loads(capsys.readouterr().out)
    assert [(row["start"], row["end"]) for row in rows] == [(0, 1), (0, 2), (0, 3)]


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
    assert quiet.emotion == "unknown" and quiet.flags == ("no_speech", "silent")
    assert model.recognize_file(tmp_path / "silence.wav", abstain=False).emotion in CLASSES


def test_a_very_short_recording_is_flagged(model_dir: Path) -> None:
    answer = load(model_dir)(0.1 * np.random.default_rng(0).standard_normal(800), 16_000)
    assert "too_short" in answer.flags


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


@pytest.mark.parametrize(
    ("seconds", "begins"),
    [
        (0.3, [0]),
        (6.0, [0]),
        (6.01, [0, 1.5, 3, 3.01]),
        (6.25, [0, 1.5, 3, 3.25]),
        (7.5, [0, 1.5, 3, 4.5]),
        (33.0, [1.5 * k for k in range(21)]),
    ],
)
def test_a_long_recording_is_the_mean_of_windows_that_overlap(seconds: float, begins: list[float]) -> None:
    model, ear = hearing()
    samples = wandering(seconds)
    answer = model(samples, 16_000)
    length = 48_000 if len(begins) > 1 else len(samples)
    expected = [samples[round(16_000 * begin) :][:length] for begin in begins]
    assert len(ear.heard) == len(expected)
    for heard, cut in zip(ear.heard, expected, strict=True):
        np.testing.assert_array_equal(heard, cut)
    rows = [ear(cut).probabilities for cut in expected]
    late = 1.0 if len(begins) == 1 else (begins[-1] - begins[-2]) / 1.5  # the last window brings less that is new
    mean = np.average(rows, axis=0, weights=[1.0] * (len(rows) - 1) + [late])
    assert list(answer.scores.values()) == pytest.approx(mean, abs=1e-9)
    assert (answer.start, answer.end) == (0.0, pytest.approx(seconds))


@given(
    pieces=st.lists(st.integers(1, 40), min_size=1, max_size=12),
    length=st.integers(1, 20),
    more=st.integers(0, 20),
    shift=st.integers(1, 20),
)
def test_windows_cover_a_sound_however_it_comes(pieces: list[int], length: int, more: int, shift: int) -> None:
    n, shift = sum(pieces), min(shift, length)
    samples = np.arange(n, dtype=np.float32)
    found = list(windows(np.split(samples, np.cumsum(pieces)[:-1]), length + more, length, shift))
    for begin, window in found:
        np.testing.assert_array_equal(window, samples[begin : begin + len(window)])
    ends = [begin + len(window) for begin, window in found]
    if n <= length + more:
        assert [(begin, len(window)) for begin, window in found] == [(0, n)]
    else:
        assert {len(window) for _, window in found} == {length}
        assert [begin for begin, _ in found[:-1]] == [k * shift for k in range(len(found) - 1)]
        assert all(b <= e for (b, _), e in zip(found[1:], ends, strict=False)), "a gap"
        assert ends[-1] == n


def test_what_hears_segments_hears_half_a_minute_at_once() -> None:
    ear = Ear()
    plan = {"length_s": 2.0, "frames": None, "train_shift_s": 1.0, "test_shift_s": 0.4}
    ear.specification = replace(ear.specification, segments=plan)
    model = Model(ear, "ear")
    for seconds, lengths in ((30.0, [30.0]), (31.0, [30.0, 30.0]), (72.0, [30.0, 30.0, 30.0, 30.0])):
        ear.heard.clear()
        model(wandering(seconds), 16_000)
        assert [len(heard) / 16_000 for heard in ear.heard] == lengths


def wandering(seconds: float) -> np.ndarray:
    n = round(seconds * 16_000)
    return (0.2 * np.random.default_rng(0).standard_normal(n) * (1 + np.arange(n) / n)).clip(-0.9, 0.9).astype("f4")


def test_a_file_in_blocks_is_the_array_at_once(tmp_path: Path) -> None:
    samples = wandering(71.3)
    soundfile.write(tmp_path / "long.wav", samples, 16_000, subtype="FLOAT")
    assert hearing()[0].recognize_file(tmp_path / "long.wav") == hearing()[0](samples, 16_000)


def test_an_utterance_is_heard_as_in_training(model_dir: Path) -> None:
    import torch

    samples = wandering(7.3)
    recognizer = load_checkpoint(model_dir)
    frames = recognizer.front_end.frames(torch.from_numpy(samples)).numpy().astype(np.float16)
    scores = load(model_dir)(samples, 16_000).scores
    assert list(scores.values()) == pytest.approx(recognizer.recognize(frames).probabilities, abs=1e-9)


# --- knowing when not to answer


def test_too_little_confidence_is_unknown_and_the_scores_stay() -> None:
    samples = wandering(3.0)
    sure, _ = hearing()
    confidence = sure(samples, 16_000).confidence
    for threshold, expected in ((confidence - 1e-6, False), (confidence + 1e-6, True)):
        doubtful, _ = hearing(calibration=Calibration(1.0, abstain_below=threshold))
        answer = doubtful(samples, 16_000)
        assert (answer.emotion == "unknown") is expected and answer.flags == ()
        assert answer.scores == sure(samples, 16_000).scores
        assert doubtful(samples, 16_000, abstain=False).emotion != "unknown"


def test_a_sound_without_speech_is_unknown() -> None:
    shares = {"speech": 0.16, "music": 0.14}  # of 2 s, about 0.3 s
    for sound, share in shares.items():
        model, _ = hearing(track_speech=lambda rate, share=share: Shares(lambda begin, end: share))
        answer = model(wandering(2.0), 16_000)
        assert (answer.emotion == "unknown", answer.flags) == ((sound == "music"), ("no_speech",) * (sound == "music"))


def test_speech_in_a_part_of_a_long_recording_counts_by_length() -> None:
    """Half a minute of speech among minutes of none: it is answered by that half minute alone."""
    samples = wandering(5 * 30.0)
    model, _ = hearing(track_speech=lambda rate: Shares(lambda begin, end: float(end <= 480_000) or 0.2 * (begin == 0)))
    answer = model(samples, 16_000)
    assert "no_speech" not in answer.flags
    expected = hearing()[0](samples[:480_000], 16_000)
    assert answer.scores == pytest.approx(expected.scores)
    silent, _ = hearing(track_speech=lambda rate: Shares(lambda begin, end: 0.001))
    assert "no_speech" in silent(samples, 16_000).flags  # 0.15 s of 150


def test_a_word_counts_as_speech_wherever_it_is_in_a_long_recording() -> None:
    for word in (0, 10 * 16_000, 20 * 16_000 - 6_400):  # 0.4 s of 20

        def share(begin: int, end: int, word: int = word) -> float:
            return max(0, min(end, word + 6_400) - max(begin, word)) / (end - begin)

        model, _ = hearing(track_speech=lambda rate, share=share: Shares(share))
        assert model(wandering(20.0), 16_000).flags == ()


def test_a_long_recording_is_as_unlike_training_as_its_windows() -> None:
    model, ear = hearing()
    samples = wandering(3.0)
    loud, soft = samples, 0.5 * samples
    embeddings = [ear(one).embedding.astype(np.float64) for one in (loud, soft)]
    space = TrainingSpace(np.mean(embeddings, axis=0)[None], 100 * np.eye(2), threshold=1.0)  # between the two
    model, _ = hearing(calibration=Calibration(1.0, space=space))
    assert model(loud, 16_000).flags == model(soft, 16_000).flags == ("out_of_domain",)
    assert model(np.concatenate([loud, soft] * 3), 16_000).flags == ("out_of_domain",)


def test_what_is_unlike_training_is_flagged_and_its_scores_are_softer() -> None:
    samples = wandering(3.0)
    plain, ear = hearing()
    embedding = ear(samples).embedding.astype(np.float64)
    near = TrainingSpace(embedding[None] + 0.01, np.eye(2), threshold=1.0)
    far = TrainingSpace(embedding[None] + 4.0, np.eye(2), threshold=1.0)
    answers = {}
    for name, space in (("near", near), ("far", far)):
        model, _ = hearing(calibration=Calibration(1.0, distance_power=1.0, space=space))
        answers[name] = model(samples, 16_000)
    assert answers["near"].flags == () and answers["near"].scores == plain(samples, 16_000).scores
    assert answers["far"].flags == ("out_of_domain",) and answers["far"].confidence < answers["near"].confidence
    assert answers["far"].emotion == answers["near"].emotion


def test_a_calibration_of_another_model_is_named() -> None:
    space = TrainingSpace(np.zeros((4, 7)), np.eye(7), threshold=1.0)
    model, _ = hearing(calibration=Calibration(1.0, space=space))
    with pytest.raises(CheckpointError, match=r"model ear: its calibration\.json belongs to another model"):
        model(wandering(1.0), 16_000)


def test_arousal_and_valence_are_calibrated_and_averaged() -> None:
    ear = Ear({"arousal": 0.25, "valence": 0.6})
    model = Model(ear, "ear", Calibration(1.0, arousal=BinaryCalibration(2.0, 0.0)))
    for seconds in (1.0, 40.0):
        answer = model(wandering(seconds), 16_000)
        assert (answer.arousal, answer.valence) == (pytest.approx(0.1), pytest.approx(0.6))


def test_a_voice_is_enrolled_from_its_neutral_recordings(tmp_path: Path) -> None:
    level = {"anger": 0.1, "happiness": 0.1, "neutral": 0.6, "sadness": 0.2}
    model, _ = hearing(calibration=Calibration(1.0, neutral=level))
    clips = []
    for k in range(3):
        clips.append(tmp_path / f"{k}.wav")
        soundfile.write(clips[-1], wandering(1.0 + k), 16_000, subtype="FLOAT")
    mine = model.enrolled(clips)
    bias = fit_bias([list(model.recognize_file(clip).scores.values()) for clip in clips], list(level.values()))
    assert np.abs(bias).max() > 0.1
    shifted = np.array(list(model.recognize_file(clips[0]).scores.values())) * np.exp(bias)
    assert list(mine.recognize_file(clips[0]).scores.values()) == pytest.approx(shifted / shifted.sum())
    assert mine.timeline_of_file(clips[0])[0].scores["neutral"] == pytest.approx((shifted / shifted.sum())[2])
    assert model.enrolment is None
    with pytest.raises(ConfigError, match="no level for neutral speech"):
        hearing()[0].enrolled(clips)


# --- where models come from


def test_a_shipped_model_is_found_by_its_name(model_dir: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    shutil.copytree(model_dir, tmp_path / "affectra-base")
    (tmp_path / "affectra-base" / "MODEL_CARD.md").write_text("# affectra-base\n")
    (tmp_path / "unfinished").mkdir()
    monkeypatch.setattr("affectra.predict.model.SHIPPED", tmp_path)
    assert shipped_models() == ["affectra-base"]
    model = load("affectra-base")
    assert (model.name, model.card, model.licence) == ("affectra-base", "# affectra-base\n", None)
    with pytest.raises(CheckpointError, match=r"unknown model 'afectra-base'; did you mean 'affectra-base'\?"):
        load("afectra-base")
    with pytest.raises(CheckpointError, match=r"some/where: no such folder; give a run directory or .*model\.json$"):
        load("some/where")


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
