"""Models over time in anyone's recording: what a run predicted comes again from its folder alone."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import soundfile
from safetensors.numpy import load_file

from affectra.audio import read
from affectra.cli import main
from affectra.corpora import synthetic
from affectra.errors import AudioError, CheckpointError, ConfigError
from affectra.files import read_json, write_json
from affectra.predict import frame_stream
from affectra.predict.frame_model import TraceModel, load
from affectra.predict.frame_stream import chunks
from affectra.predict.model import load as load_utterances
from affectra.runs.plan import plan_run
from affectra.tasks.tables import read_predictions
from affectra.text.asr.words import Transcript, Word

DIMENSIONS = ("arousal", "valence", "liking")
ATTENTION = "tzirakis2021-cpu"
OURS = "continuous-log-mel-cpu"
SMALL: dict[str, Any] = {
    "training.epochs": 1, "training.batch_size": 4, "sequence_frames": 60, "model.options.n_hidden": 8,
    "protocol.options": {"k": 3, "dev": True}, "postprocessing": True, "delay_s": 0.5,
    "words.vectors": {"name": "skip-gram", "options": {"n_dimensions": 6, "n_epochs": 2, "min_count": 1}},
}  # fmt: skip
SMALL_CNN = {"model.options.channels": [2, 2, 2], "model.options.n_stream": 8, "model.options.n_projected": 8}
ALONE = {"protocol.options": {"k": 2, "dev": False}, "delay_s": 0.0, "postprocessing": False}


@pytest.fixture(scope="module")
def rendered() -> Path:
    return synthetic.render(n_dialogues=4)


def trained(rendered: Path, folder: Path, name: str, **settings: Any) -> Path:
    """One fold of a run."""
    from affectra.runs.units import frames

    plan = plan_run(name, [f"synthetic={rendered}"], settings=settings, out=folder)
    frames.prepare(plan, 1, lambda _: None).folds[0].run()
    return folder


@pytest.fixture(scope="module")
def voice(rendered: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run that hears the voice alone, with a delay and post-processing."""
    settings = {**SMALL, "words": None}
    del settings["words.vectors"]
    return trained(rendered, tmp_path_factory.mktemp("voice"), OURS, **settings)


@pytest.fixture(scope="module")
def both(rendered: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run that hears raw audio and reads words, fused by attention."""
    return trained(rendered, tmp_path_factory.mktemp("both"), ATTENTION, **{**SMALL, **SMALL_CNN, **ALONE})


class Said:
    """A recogniser that knows what is said when."""

    version = "1"

    def __init__(self, words: list[tuple[str, float, float]]) -> None:
        self.words = [Word(*word) for word in words]

    def transcribe(self, samples: np.ndarray, sample_rate: int) -> Transcript:
        assert sample_rate == 16_000 and len(samples) <= frame_stream.CHUNK_S * sample_rate
        return Transcript(" ".join(word.word for word in self.words), tuple(self.words))


def first_tested(folder: Path) -> tuple[str, pd.DataFrame]:
    """The first turn of a dialogue that the fold tests, before which nothing was heard, and its predictions."""
    rows = read_predictions(folder / "seed-0/fold-0/predictions.csv")
    key = next(name for name in sorted(rows["utterance"].unique()) if name.split("-")[1] == "01")
    return key, rows[rows["utterance"] == key]


def test_a_run_predicts_from_its_folder_alone_what_it_predicted_in_its_test(both: Path, rendered: Path) -> None:
    key, rows = first_tested(both)
    words = pd.read_csv(rendered / "words.csv", keep_default_na=False)
    mine = words[words["utterance"] == key]
    said = Said(list(zip(mine["word"].str.lower(), mine["start"], mine["end"], strict=True)))
    model = load(both)
    found = model.timeline_of_file(rendered / f"wav/{key}.wav", recognizer=said)
    expected = rows[[f"predicted_{name}" for name in DIMENSIONS]].to_numpy()
    assert model.dimensions == DIMENSIONS and model.synthetic and found.flags == ("asr",)
    np.testing.assert_allclose(found.values[: len(expected)], expected, atol=1e-5)
    deaf = model.timeline_of_file(rendered / f"wav/{key}.wav")
    assert deaf.flags == ("no_text",) and np.abs(deaf.values[: len(expected)] - expected).max() > 1e-4


def test_words_by_their_sound_are_recognised_by_when_they_are_said_alone(rendered: Path, tmp_path: Path) -> None:
    """A model of Speech2Vec predicts from its folder what it predicted in its test, however words are spelt."""
    vectors = {
        "name": "speech2vec",
        "options": {
            "n_dimensions": 6, "n_epochs": 1, "text_epochs": 1, "start": "adversarial",
            "adversary": {"n_epochs": 1, "n_steps": 2},
        },
    }  # fmt: skip
    words_alone = {**SMALL, **ALONE, "frames.front_end": None, "model.options.n_stream": 8, "words.vectors": vectors}
    model = load(trained(rendered, tmp_path, "tzirakis2021-semantic-cpu", **words_alone))
    key, rows = first_tested(tmp_path)
    words = pd.read_csv(rendered / "words.csv", keep_default_na=False)
    mine = words[words["utterance"] == key]
    expected = rows[[f"predicted_{name}" for name in DIMENSIONS]].to_numpy()
    for spelling in (mine["word"].str.lower(), ["nothing"] * len(mine)):
        said = Said(list(zip(spelling, mine["start"], mine["end"], strict=True)))
        found = model.timeline_of_file(rendered / f"wav/{key}.wav", recognizer=said)
        np.testing.assert_allclose(found.values[: len(expected)], expected, atol=1e-5)


def test_post_processing_is_applied_and_the_raters_delay_is_not_put_back(voice: Path, rendered: Path) -> None:
    key, rows = first_tested(voice)
    traces = read_json(voice / "seed-0/fold-0/traces.json")
    assert set(traces["delay_s"].values()) == {0.5}
    model = load(voice)
    postprocessing = model.folds[0].postprocessing
    assert postprocessing is not None
    treated = model.timeline_of_file(rendered / f"wav/{key}.wav").values
    bare = TraceModel([type(model.folds[0])(**{**vars(model.folds[0]), "postprocessing": None})], "bare")
    values = bare.timeline_of_file(rendered / f"wav/{key}.wav").values
    np.testing.assert_allclose(treated, postprocessing.apply(values))
    late = values[np.maximum(np.arange(len(values)) - 5, 0)]  # as the raters would have said it
    expected = rows[[f"predicted_{name}" for name in DIMENSIONS]].to_numpy()
    np.testing.assert_allclose(postprocessing.apply(late)[: len(expected)], expected, atol=1e-5)


def test_arrays_and_files_of_any_rate_and_channels_are_heard_alike(voice: Path, rendered: Path, tmp_path: Path) -> None:
    key, _ = first_tested(voice)
    samples, rate = soundfile.read(rendered / f"wav/{key}.wav")
    model = load(voice / "seed-0/fold-0")
    found = model.timeline_of_file(rendered / f"wav/{key}.wav")
    np.testing.assert_allclose(model.timeline(samples, rate).values, found.values, atol=1e-6)
    both_sides = np.stack([samples, samples], axis=1)
    soundfile.write(tmp_path / "two.flac", both_sides, rate)
    np.testing.assert_allclose(model.timeline_of_file(tmp_path / "two.flac").values, found.values, atol=1e-3)


def test_a_long_recording_is_heard_in_stretches_that_are_its_whole(
    both: Path, voice: Path, rendered: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    files = sorted((rendered / "wav").glob("*.wav"))[:12]
    sound = np.concatenate([read(file, 16_000).samples for file in files])
    soundfile.write(tmp_path / "long.wav", sound, 16_000, subtype="PCM_16")
    n_frames = int(np.ceil(len(sound) / 1600 - 1e-6))
    for folder in (voice, both):
        model = load(folder)
        whole = model.timeline_of_file(tmp_path / "long.wav").values
        assert whole.shape == (n_frames, 3)
        in_one = model.timeline(read(tmp_path / "long.wav", 16_000).samples, 16_000).values
        np.testing.assert_allclose(whole, in_one, atol=1e-5)
    monkeypatch.setattr(frame_stream, "CHUNK_S", 8.0)
    silent = load(both).timeline_of_file(tmp_path / "long.wav", recognizer=Said([]))
    np.testing.assert_allclose(silent.values, whole, atol=1e-5)


def test_stretches_are_the_sound_and_end_where_it_is_quiet(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(frame_stream, "CHUNK_S", 4.0)
    monkeypatch.setattr(frame_stream, "SEARCH_S", 2.0)
    rng = np.random.default_rng(0)
    sound = rng.standard_normal(16_000 * 9).astype(np.float32)
    sound[int(2.7 * 16_000) : int(2.9 * 16_000)] = 0  # two frames of silence
    for size in (700, 50_000):
        found = list(chunks((sound[k : k + size] for k in range(0, len(sound), size)), 0.1))
        np.testing.assert_array_equal(np.concatenate(found), sound)
        assert len(found[0]) == int(2.8 * 16_000) and max(map(len, found)) <= 64_000
        assert all(len(part) % 1600 == 0 for part in found[:-1])


def test_what_a_model_cannot_do_is_refused_by_name(both: Path, rendered: Path, tmp_path: Path) -> None:
    words_alone = {**SMALL, **ALONE, "frames.front_end": None, "model.options.n_stream": 8}
    reading = load(trained(rendered, tmp_path / "words", "tzirakis2021-semantic-cpu", **words_alone))
    wav = next((rendered / "wav").glob("*.wav"))
    with pytest.raises(ConfigError, match="reads words alone; name a recogniser"):
        reading.timeline_of_file(wav)
    assert reading.timeline_of_file(wav, recognizer=Said([("so", 0.1, 0.4)])).values.shape[1] == 3
    with pytest.raises(AudioError, match=r"none\.wav"):
        load(both).timeline_of_file(tmp_path / "none.wav")
    with pytest.raises(CheckpointError, match="a model over time, which gives no classes; `affectra predict`"):
        load_utterances(both)
    with pytest.raises(CheckpointError, match="no finished fold over time here"):
        load(tmp_path)
    folder = tmp_path / "words/seed-0/fold-0"
    write_json(folder / "traces.json", {"delay_s": {}})
    with pytest.raises(CheckpointError, match="written by an earlier version"):
        load(folder)


def test_a_fold_keeps_what_reports_draw_from(both: Path, voice: Path) -> None:
    for folder, weighs in ((both, True), (voice, False)):
        fold = folder / "seed-0/fold-0"
        rows = read_predictions(fold / "predictions.csv")
        names = list(dict.fromkeys(rows["utterance"]))
        assert load_file(fold / "embeddings.safetensors")["embedding"].shape == (len(names), 8)
        assert (fold / "attention.safetensors").is_file() == weighs
        assert (read_json(fold / "traces.json")["attention"] is not None) == weighs
        if weighs:
            weights = load_file(fold / "attention.safetensors")
            assert sorted(weights) == sorted(names)
            counts = rows.groupby("utterance").size()
            for name, each in weights.items():
                assert len(each) >= counts[name] and each.shape[1] == 2
                np.testing.assert_allclose(each.sum(1), 1, atol=1e-5)


def predict(*arguments: Any) -> int:
    return main(["predict", *map(str, arguments)])


def test_predict_writes_means_or_a_row_a_frame(
    voice: Path, rendered: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    key, _ = first_tested(voice)
    wav = rendered / f"wav/{key}.wav"
    expected = load(voice).timeline_of_file(wav)
    assert predict(wav, tmp_path / "none.wav", "--model", voice, "--format", "json") == 1
    printed = capsys.readouterr()
    (row,) = json.loads(printed.out)
    assert list(row) == ["file", "start", "end", *DIMENSIONS, "flags"] and "none.wav" in printed.err
    assert "(trained on synthetic speech)" in printed.err
    assert row["arousal"] == pytest.approx(expected.values[:, 0].mean(), abs=1e-6)
    assert predict(wav, "--model", voice, "--timeline", "--out", tmp_path / "trace.csv") == 0
    table = pd.read_csv(tmp_path / "trace.csv")
    np.testing.assert_allclose(table[list(DIMENSIONS)], expected.values, atol=1e-6)
    assert table["start"].tolist() == [round(0.1 * k, 3) for k in range(len(table))]
    assert table["end"].iloc[-1] == pytest.approx(row["end"])


def test_predict_draws_and_writes_textgrids(voice: Path, rendered: Path, tmp_path: Path) -> None:
    wavs = sorted((rendered / "wav").glob("*.wav"))[:2]
    timeline = ["--model", voice, "--timeline"]
    assert (
        predict(*wavs, *timeline, "--format", "textgrid", "--out", tmp_path / "grids", "--plot", tmp_path / "pic") == 0
    )
    grid = (tmp_path / "grids" / f"{wavs[0].stem}.TextGrid").read_text()
    assert [f'name = "{name}"' in grid for name in DIMENSIONS] == [True] * 3
    n_seconds = int(np.ceil(soundfile.info(wavs[0]).duration - 0.05))
    assert grid.count("intervals: size =") == grid.count(f"intervals: size = {n_seconds}") == 3
    assert (tmp_path / "pic" / f"{wavs[1].stem}.png").stat().st_size > 10_000


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (["--classes", "anger"], "--classes does not go with a model over time"),
        (["--no-abstain"], "--no-abstain does not go with a model over time"),
        (["--plot", "x.png"], "--plot draws a timeline and needs --timeline"),
        (["--asr", "pocketsphinx"], "reads no words; leave --asr out"),
    ],
)
def test_options_of_other_models_are_refused(
    options: list[str], words: str, voice: Path, rendered: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    wav = next((rendered / "wav").glob("*.wav"))
    if "pocketsphinx" in options:
        pytest.importorskip("pocketsphinx")
    assert predict(wav, "--model", voice, *options) == 2
    assert words in capsys.readouterr().err


def test_missing_words_are_said_to_be_silence(both: Path, rendered: Path, capsys: pytest.CaptureFixture[str]) -> None:
    wav = next((rendered / "wav").glob("*.wav"))
    assert predict(wav, "--model", both, "--format", "csv") == 0
    printed = capsys.readouterr()
    assert "none are heard: they count as silence; --asr NAME hears them" in printed.err
    assert printed.out.splitlines()[1].endswith(",no_text")
