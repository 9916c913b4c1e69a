"""Exported models: numpy's frames are torch's, the graph's answers are torch's, and torch is not needed to hear."""

import inspect
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile
import torch

from affectra.audio import read
from affectra.errors import CheckpointError, ConfigError
from affectra.features.frames.registry import NUMPY_FRONT_ENDS, numpy_front_end
from affectra.features.frames.spectral import standardized
from affectra.features.front_ends import FRONT_ENDS
from affectra.features.normalization import Normalization
from affectra.features.specification import Specification
from affectra.files import write_json
from affectra.models.recognizer import Recognizer, load_checkpoint, save_checkpoint
from affectra.predict.calibration import Calibration, TrainingSpace, to_json
from affectra.predict.export import TOLERANCE, check_parity, export
from affectra.predict.model import Model, load
from affectra.predict.onnx import OnnxRecognizer
from affectra.predict.torch_folds import TorchRecognizer
from affectra.recipes.config import load_recipe

CLASSES = ("anger", "happiness", "neutral", "sadness")
LI = load_recipe("li2018-cpu").recipe
SMALL = {**LI.model.options, "channels": [6, 8], "pooled": [True, False]}
SEGMENTS = {"length_s": 1.0, "frames": 100, "train_shift_s": 0.5, "test_shift_s": 0.25}
UNEXPORTABLE = {"leaf", "waveform", "learned-leaf", "hashed-words", "word-vectors", "transformer-text"}
GIVEN: list[tuple[str, dict[str, Any]]] = [
    ("spectrogram", dict(load_recipe("li2018").recipe.front_end.options)),
    ("spectrogram", dict(LI.front_end.options)),
    ("spectrogram", {**LI.front_end.options, "peak": "utterance"}),
    ("spectrogram", {**LI.front_end.options, "compression": "log", "window": "hann", "pool_bins": 1}),
    ("log-mel", {}),
    ("mfcc", {"n_coefficients": 13}),
    ("voice-statistics", {}),
    ("utterance-views", {"views": ["voice-statistics", "cepstral-covariance"]}),
]


def specification(**changes: Any) -> Specification:
    parts: dict[str, Any] = {
        "model": {"name": "attention-cnn", "options": SMALL},
        "front_end": LI.front_end.model_dump(), "normalization": "none",
        "segments": LI.segments.model_dump(), "task": "emotion4", "classes": CLASSES, "synthetic": False,
        "provenance": {"recipe": "li2018-cpu", "corpora": ["emodb", "mine"], "protocol": {"name": "loso"}},
    }  # fmt: skip
    return Specification(**{**parts, **changes})


def untrained(seed: int = 0, **changes: Any) -> Recognizer:
    """Weights large enough for answers that are not all alike, and statistics that are not 0 and 1."""
    torch.manual_seed(seed)
    recognizer = Recognizer(specification(**changes)).eval()
    for name, tensor in recognizer.state_dict().items():
        if name.endswith(("running_mean", "normalization.mean")):
            tensor.normal_()
        elif name.endswith(("running_var", "normalization.std")):
            tensor.uniform_(0.5, 2)
        elif tensor.dtype == torch.float32 and name.endswith("weight") and tensor.ndim > 1:
            tensor *= 3
    return recognizer


def sounds() -> dict[str, np.ndarray]:
    """At 16 kHz: noise with the spectrum and the pace of speech, in lengths that fill segments and do not; silence."""
    rng = np.random.default_rng(0)
    time_s = np.arange(7 * 16_000) / 16_000
    voice = np.cumsum(rng.standard_normal(len(time_s))) % 1.0 - 0.5
    voice = (0.4 * voice * (1 + np.sin(2 * np.pi * 4 * time_s)) ** 2 / 4).astype(np.float32)
    lengths = (1, 399, 640, 5_000, 16_000, 32_000, 32_001, 41_234, len(voice))
    return {**{f"{n} samples": voice[:n] for n in lengths}, "silence": np.zeros(20_000, np.float32)}


def complete(name: str, options: Mapping[str, Any]) -> dict[str, Any]:
    parameters = inspect.signature(FRONT_ENDS[name]).parameters.values()
    return {**{p.name: p.default for p in parameters if p.default is not p.empty}, **options}


def assert_same_frames(name: str, options: Mapping[str, Any], found: np.ndarray, expected: np.ndarray) -> None:
    """Equal but for rounding.

    A transform errs by a share of the strongest bin of its frame, whichever instructions a processor has for it. The
    logarithm of a bin far below the strongest one makes any such error large, so bins are compared before it.
    """
    assert found.dtype == np.float32 and found.shape == expected.shape
    if name == "log-mel" or (name, options.get("compression")) == ("spectrogram", "log"):
        found, expected = np.exp(found.astype(np.float64)), np.exp(expected.astype(np.float64))
        assert (np.abs(found - expected) <= 1e-5 * expected.max(axis=1, keepdims=True)).all()
    else:
        np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-3 if name == "mfcc" else 1e-4)


# --- frames without torch


def test_every_front_end_has_a_form_in_numpy_or_is_known_to_have_none() -> None:
    assert set(NUMPY_FRONT_ENDS) | UNEXPORTABLE == set(FRONT_ENDS)


@pytest.mark.parametrize(("name", "options"), GIVEN)
def test_frames_of_numpy_are_those_of_torch(name: str, options: dict[str, Any]) -> None:
    by_torch, by_numpy = FRONT_ENDS.build(name, options), numpy_front_end(name, complete(name, options))
    for attribute in ("sample_rate", "n_features", "window_length", "hop_length"):
        assert getattr(by_numpy, attribute) == getattr(by_torch, attribute)
    for samples in sounds().values():
        expected = by_torch.frames(torch.from_numpy(samples)).numpy()
        assert_same_frames(name, options, by_numpy.frames(samples), expected)


def test_frames_of_real_speech_are_equal(data_dir: Path) -> None:
    recording = min((data_dir / "emodb" / "wav").iterdir())
    samples = read(recording, 16_000).samples
    for name, options in GIVEN:
        by_torch, by_numpy = FRONT_ENDS.build(name, options), numpy_front_end(name, complete(name, options))
        expected = by_torch.frames(torch.from_numpy(samples)).numpy()
        assert_same_frames(name, options, by_numpy.frames(samples), expected)


@pytest.mark.parametrize("feature_set", ["eGeMAPSv02"])
def test_functionals_need_no_torch_either(feature_set: str) -> None:
    options = {"feature_set": feature_set, "sample_rate": 16_000}
    by_torch, by_numpy = FRONT_ENDS.build("functionals", options), numpy_front_end("functionals", options)
    assert by_numpy.n_features == by_torch.n_features and by_numpy.dtype == by_torch.storage["dtype"]
    for samples in (sounds()["1 samples"], sounds()["41234 samples"]):
        np.testing.assert_allclose(by_numpy.frames(samples), by_torch.frames(torch.from_numpy(samples)), rtol=1e-6)


def test_statistics_of_an_utterance_are_those_of_training() -> None:
    rng = np.random.default_rng(0)
    frames = (rng.standard_normal((50, 6)) * [1, 10, 0.1, 1e-7, 0, 0] + [0, 5, -3, 0, 7, 0]).astype(np.float16)
    expected = Normalization("utterance", 6).of_utterance(frames)
    np.testing.assert_allclose(standardized(frames), expected, atol=1e-6)


# --- graphs

KINDS: dict[str, dict[str, Any]] = {
    "attention CNN, peak of the segment": {},
    "log-mel, statistics of training": {
        "front_end": {"name": "log-mel", "options": {}},
        "normalization": "train",
        "segments": SEGMENTS,
    },
    "sequence of segments, statistics of the utterance": {
        "front_end": {"name": "mfcc", "options": {}},
        "normalization": "utterance",
        "segments": SEGMENTS,
        "model": {
            "name": "cnn-blstm",
            "options": {"channels": [4, 6], "kernels": [[3, 3], [3, 3]], "pooled": [True, True], "n_hidden": 8},
        },
    },
    "one vector an utterance, with arousal and valence": {
        "front_end": {"name": "voice-statistics", "options": {}},
        "normalization": "train",
        "segments": None,
        "model": {"name": "linear", "options": {}},
        "auxiliary": ("arousal", "valence"),
    },
}


@pytest.fixture(scope="module", params=KINDS)
def exported(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """A checkpoint and what it was exported to."""
    folder = tmp_path_factory.mktemp("exported")
    save_checkpoint(untrained(**KINDS[request.param]), folder / "fold")
    return folder / "fold", export(folder / "fold", folder / "model")


def test_a_graph_says_what_torch_says_of_any_length(exported: tuple[Path, Path]) -> None:
    by_torch, by_graph = TorchRecognizer([load_checkpoint(exported[0])]), OnnxRecognizer(exported[1])
    answers = []
    for samples in sounds().values():
        one, other = by_torch(samples), by_graph(samples)
        np.testing.assert_allclose(other.probabilities, one.probabilities, atol=TOLERANCE)
        np.testing.assert_allclose(other.segment_probabilities, one.segment_probabilities, atol=TOLERANCE)
        np.testing.assert_allclose(other.embedding, one.embedding, atol=1e-4 * max(1, np.abs(one.embedding).max()))
        assert other.auxiliary == pytest.approx(one.auxiliary, abs=TOLERANCE)
        assert other.starts == one.starts and other.attention is None
        answers.append(one.probabilities)
    assert np.std(answers, axis=0).max() > 0.01, "a model that always says the same proves nothing"


def test_waveforms_together_are_each_what_it_is_alone(exported: tuple[Path, Path]) -> None:
    recognizer = OnnxRecognizer(exported[1])
    waveforms = [*sounds().values(), *sounds().values()][::-1]
    for samples, output in zip(waveforms, recognizer.recognize_batch(waveforms), strict=True):
        alone = recognizer(samples)
        assert output.starts == alone.starts and output.auxiliary == pytest.approx(alone.auxiliary, abs=1e-5)
        np.testing.assert_allclose(output.segment_probabilities, alone.segment_probabilities, atol=1e-5)
        np.testing.assert_allclose(output.probabilities, alone.probabilities, atol=1e-5)
        np.testing.assert_allclose(output.embedding, alone.embedding, atol=1e-4)
    assert recognizer.recognize_batch([]) == []


def test_segments_of_equal_length_share_runs_of_the_graph(exported: tuple[Path, Path]) -> None:
    recognizer, runs = OnnxRecognizer(exported[1]), []
    session = recognizer._session

    class Counting:
        def run(self, names: None, inputs: dict[str, np.ndarray]) -> list[np.ndarray]:
            runs.append(len(inputs["frames"]))
            return session.run(names, inputs)

    recognizer._session = Counting()
    n_segments = len(recognizer.recognize_batch([sounds()["16000 samples"]] * 20)[0].starts)
    assert sum(runs) == 20 * n_segments
    if recognizer._inputs == ["frames"]:
        assert len(runs) <= 3 * n_segments and max(runs) == 8  # 8 + 8 + 4 of each length
    else:
        assert runs == [n_segments] * 20  # those of an utterance are heard together, and only those


def test_a_long_stretch_in_batches_is_one_utterance(exported: tuple[Path, Path]) -> None:
    samples = np.tile(sounds()["112000 samples"], 4)
    one, other = TorchRecognizer([load_checkpoint(exported[0])])(samples), OnnxRecognizer(exported[1])(samples)
    np.testing.assert_allclose(other.segment_probabilities, one.segment_probabilities, atol=TOLERANCE)


def test_files_and_timelines_are_those_of_torch(exported: tuple[Path, Path], tmp_path: Path) -> None:
    by_torch, by_graph = Model(TorchRecognizer([load_checkpoint(exported[0])]), "torch"), load(exported[1])
    assert isinstance(by_graph.recognizer, OnnxRecognizer)
    soundfile.write(tmp_path / "voice.wav", np.repeat(sounds()["41234 samples"], 3), 48_000)
    file = tmp_path / "voice.wav"
    for one, other in zip(
        [by_torch.recognize_file(file), *by_torch.timeline_of_file(file)],
        [by_graph.recognize_file(file), *by_graph.timeline_of_file(file)],
        strict=True,
    ):
        assert (other.start, other.end) == (one.start, one.end)
        assert set(other.flags) - {"no_speech"} == set(one.flags)  # a loaded model also listens for speech
        assert list(other.scores.values()) == pytest.approx(list(one.scores.values()), abs=TOLERANCE)
        assert (other.arousal, other.valence) == pytest.approx((one.arousal, one.valence), abs=TOLERANCE)


def test_an_exported_folder_is_a_checkpoint_too(exported: tuple[Path, Path]) -> None:
    names = {"model.onnx", "model.json", "model.safetensors", "MODEL_CARD.md"}
    assert {path.name for path in exported[1].iterdir()} == names
    samples = sounds()["32000 samples"]
    again = TorchRecognizer([load_checkpoint(exported[1])])(samples)
    first = TorchRecognizer([load_checkpoint(exported[0])])(samples)
    np.testing.assert_array_equal(again.probabilities, first.probabilities)


def test_nothing_of_the_machine_is_in_a_graph(exported: tuple[Path, Path]) -> None:
    content = (exported[1] / "model.onnx").read_bytes()
    for trace in (b"site-packages", os.fsencode(Path.cwd()), b"attention_cnn.py", b"export.py"):
        assert trace not in content


# --- runs


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run directory of two folds whose networks differ."""
    folder = tmp_path_factory.mktemp("runs") / "run"
    for k in range(2):
        save_checkpoint(untrained(seed=k), folder / "seed-0" / f"fold-{k}")
    metrics = {"wa": 0.612, "ua": 0.587, "recall": {"anger": 0.9, "happiness": 0.25, "neutral": 0.6, "sadness": 0.598}}
    interval = {"wa": [0.5, 0.7], "ua": [0.512, 0.643], "method": "bootstrap over speakers", "level": 0.95}
    corpus = {**metrics, "interval": interval, "n": 300, "n_speakers": 10}
    write_json(
        folder / "scores.json",
        {
            "protocol": {"name": "loso", "version": 2, "hash": "ab", "speaker_independent": True},
            "classes": list(CLASSES), "n_utterances": 400, "n_speakers": 14, "n_folds": 2, "folds_done": "2/2",
            "metrics": metrics, "interval": interval, "leaks": [], "normalization": {"transductive": False},
            "per_corpus": {"emodb": corpus, "mine": {**corpus, "ua": 0.333}},
        },
    )  # fmt: skip
    corpora = {"emodb": {"utterances": 300, "speakers": 10}, "mine": {"utterances": 100, "speakers": 4}}
    described = {"affectra": "0.1.0", "git_revision": "abc123", "command": "affectra run x", "corpora": corpora}
    write_json(folder / "environment.json", described)
    write_json(folder / "calibration.json", {"temperature": 2.0})
    return folder


@pytest.fixture(scope="module")
def ensemble(run: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return export(run, tmp_path_factory.mktemp("ensemble") / "mine-base", licence="CC BY-NC-SA 4.0")


def test_a_run_is_one_graph_that_averages_its_folds(run: Path, ensemble: Path) -> None:
    assert {path.name for path in ensemble.iterdir()} == {
        "model.onnx", "model.json", "model.safetensors", "MODEL_CARD.md", "calibration.json"
    }  # fmt: skip
    samples = sounds()["41234 samples"]
    folds = [TorchRecognizer([load_checkpoint(run / "seed-0" / f"fold-{k}")])(samples) for k in range(2)]
    heard = OnnxRecognizer(ensemble)(samples)
    assert np.abs(folds[0].probabilities - folds[1].probabilities).max() > 0.01
    expected = np.mean([fold.probabilities for fold in folds], axis=0)
    np.testing.assert_allclose(heard.probabilities, expected, atol=TOLERANCE)
    np.testing.assert_allclose(heard.embedding, folds[0].embedding, atol=1e-4)
    assert load(ensemble).calibration == Calibration(2.0)
    by_run, by_graph = load(run)(samples, 16_000), load(ensemble)(samples, 16_000)
    assert list(by_graph.scores.values()) == pytest.approx(list(by_run.scores.values()), abs=TOLERANCE)


def test_the_card_says_what_it_is_what_it_can_and_whose_voices_it_heard(ensemble: Path) -> None:
    card = load(ensemble).card
    assert card is not None and card.startswith("# mine-base\n")
    for words in (
        "anger, happiness, neutral, sadness", "2 networks", "CC BY-NC-SA 4.0", "| emodb | de | 300 | 10 | CC0 |",
        "| mine |  | 100 | 4 | ask its owner |", "protocol loso (version 2, no speaker is in training and test)",
        "| unweighted average recall (UA) | 0.587 | 0.512 to 0.643 |", "| recall of happiness | 0.250 |",
        "| UA on mine | 0.333 |", "Chance of UA: 0.250", 'affectra.load("mine-base")', "abc123", "AI Act",
    ):  # fmt: skip
        assert words in card, words
    assert load(ensemble).licence == "CC BY-NC-SA 4.0"
    assert json.loads((ensemble / "model.json").read_text())["provenance"]["n_networks"] == 2


HEAR = """
import json
import sys

import affectra
early = {"numpy", "pydantic", "soundfile"} & set(sys.modules)
import numpy as np
from affectra.cli import main
from affectra.predict.stream import Stream

folder, file = sys.argv[1:]
model = affectra.load(folder)
scores = model.recognize_file(file).scores
model(np.zeros(16_000), 16_000)
stream = Stream(model, 44_100)
stream.feed(np.zeros(50_000))
stream.finish()
assert main(["predict", file, "--model", folder, "--format", "csv", "--timeline"]) == 0
heavy = {"torch", "lightning", "pandas", "scipy", "sklearn", "matplotlib", "onnx", "onnxscript"} & set(sys.modules)
print(json.dumps([scores, sorted(early), sorted(heavy)]))
"""


def test_torch_is_never_imported_to_hear_an_exported_model(ensemble: Path, tmp_path: Path) -> None:
    soundfile.write(tmp_path / "voice.wav", sounds()["112000 samples"], 16_000)
    arguments = [sys.executable, "-c", HEAR, str(ensemble), str(tmp_path / "voice.wav")]
    done = subprocess.run(arguments, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    scores, early, heavy = json.loads(done.stdout.splitlines()[-1])
    assert early == [], "import affectra alone takes no time"
    assert heavy == []
    assert scores == pytest.approx(load(ensemble).recognize_file(tmp_path / "voice.wav").scores, abs=1e-6)


def test_a_fold_has_the_numbers_of_its_run(run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for what in ("write_graph", "check_parity"):
        monkeypatch.setattr(f"affectra.predict.export.{what}", lambda recognizers, path: None)
    shutil.copytree(run, tmp_path / "run")
    space = TrainingSpace(np.zeros((4, 3)), np.eye(3), 1.0)  # of the first fold's network
    write_json(tmp_path / "run" / "calibration.json", to_json(Calibration(2.0, space=space)))
    first = load(export(tmp_path / "run" / "seed-0" / "fold-0", tmp_path / "first"))
    assert first.calibration.space is not None
    model = load(export(tmp_path / "run" / "seed-0" / "fold-1", tmp_path / "one"))
    assert isinstance(model.recognizer, TorchRecognizer) and model.calibration == Calibration(2.0)
    assert model.card is not None and "0.587" in model.card and "one network" in model.card


# --- what can go wrong


def test_a_front_end_without_a_form_in_numpy_is_named_and_nothing_is_left(tmp_path: Path) -> None:
    leaf = {"front_end": {"name": "leaf", "options": {}}, "segments": SEGMENTS}
    save_checkpoint(untrained(**leaf), tmp_path / "fold")
    with pytest.raises(ConfigError, match=r"front end 'leaf' has no form without torch.* cannot be exported"):
        export(tmp_path / "fold", tmp_path / "out")
    assert {path.name for path in tmp_path.iterdir()} == {"fold"}


def test_a_model_of_conversations_is_not_exported_and_is_told_what_to_do(tmp_path: Path) -> None:
    fold = tmp_path / "run" / "seed-0" / "fold-0"
    save_checkpoint(untrained(), fold / "audio")  # a stage is a recogniser, as the fold is none
    write_json(fold / "model.json", {"format": 2, "kind": "dialogue"})
    for source in (tmp_path / "run", fold):
        with pytest.raises(CheckpointError) as caught:
            export(source, tmp_path / "out")
        assert str(caught.value) == (
            f"{source}: a model of conversations, which is not exported; give the run itself to `affectra predict "
            "--dialogue` or, in Python, affectra.load"
        )
    assert not (tmp_path / "out").exists()


def test_only_an_empty_folder_is_written_to(run: Path, tmp_path: Path) -> None:
    (tmp_path / "notes.txt").touch()
    with pytest.raises(ConfigError, match="there is something already"):
        export(run, tmp_path)
    with pytest.raises(CheckpointError, match="no finished fold here"):
        export(tmp_path, tmp_path / "out")


def test_folds_of_two_kinds_are_not_averaged(tmp_path: Path) -> None:
    for k, classes in enumerate((CLASSES, CLASSES[::-1])):
        save_checkpoint(untrained(classes=classes), tmp_path / "run" / "seed-0" / f"fold-{k}")
    with pytest.raises(CheckpointError, match="its folds are not of one kind"):
        export(tmp_path / "run", tmp_path / "out")


def test_a_graph_that_differs_from_torch_is_not_let_out(exported: tuple[Path, Path]) -> None:
    recognizer = load_checkpoint(exported[0])
    check_parity([recognizer], exported[1])
    for parameter in recognizer.parameters():
        parameter.data *= 1.3
    with pytest.raises(CheckpointError, match=r"model\.onnx: differs from torch by .*please report it"):
        check_parity([recognizer], exported[1])


def _without(key: str) -> Any:
    def damage(folder: Path) -> None:
        content = json.loads((folder / "model.json").read_text())
        del content["front_end"]["options"][key]
        (folder / "model.json").write_text(json.dumps(content))

    return damage


def _with_classes(folder: Path) -> None:
    text = (folder / "model.json").read_text()
    (folder / "model.json").write_text(text.replace('"sadness"', '"sadness", "fear"'))


@pytest.mark.parametrize(
    ("damage", "words"),
    [
        (lambda d: (d / "model.onnx").write_bytes(b"pickle"), r"model\.onnx: damaged or not of this model\.json"),
        (lambda d: (d / "calibration.json").write_text("{}"), r"calibration\.json: damaged or not of this model\.json"),
        (_without("hop_length"), r"model\.json: damaged or not a model: .*hop_length"),
        (_with_classes, r"model\.onnx: not the graph of the model\.json beside it"),
        (lambda d: (d / "model.json").unlink(), r"no model\.json here"),
    ],
)
def test_a_damaged_exported_model_is_named(ensemble: Path, tmp_path: Path, damage: Any, words: str) -> None:
    shutil.copytree(ensemble, tmp_path / "copy")
    damage(tmp_path / "copy")
    with pytest.raises(CheckpointError, match=words) as caught:
        load(tmp_path / "copy")
    assert "copy" in str(caught.value) and "\n" not in str(caught.value)


def test_without_onnx_runtime_torch_hears_or_the_extra_is_named(
    ensemble: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    samples = sounds()["41234 samples"]
    by_graph = load(ensemble)(samples, 16_000)
    shutil.copytree(ensemble, tmp_path / "copy")
    monkeypatch.setattr("affectra.predict.model.find_spec", lambda name: None)
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    model = load(tmp_path / "copy")
    assert isinstance(model.recognizer, TorchRecognizer) and len(model.recognizer.recognizers) == 2
    assert list(model(samples, 16_000).scores.values()) == pytest.approx(list(by_graph.scores.values()), abs=TOLERANCE)
    (tmp_path / "copy" / "model.safetensors").unlink()
    with pytest.raises(ConfigError, match=r"needs the package onnxruntime: pip install 'affectra\[onnx\]'"):
        load(tmp_path / "copy")
