"""One model.json for models of every kind: who can take which, and damage that is found on reading."""

from pathlib import Path

import numpy as np
import pytest
import torch

import affectra
from affectra.cli import main
from affectra.errors import CheckpointError
from affectra.features.description import (
    FILE,
    Kind,
    folders_of,
    kind_of,
    kinds_at,
    read_description,
    write_description,
)
from affectra.features.specification import Specification
from affectra.files import read_json, write_json
from affectra.models.frame.frame_network import FrameNetwork, NetworkPlan, load_network, save_network
from affectra.models.recognizer import Recognizer, save_checkpoint
from affectra.predict.conversation import DialogueModel
from affectra.predict.frame_model import TraceModel
from conversations import MEL, SEGMENTS, untrained

EARLIER = Path(__file__).parents[1] / "earlier"
CLASSES = {"utterance": affectra.Model, "dialogue": DialogueModel, "time": TraceModel}


def utterances(folder: Path) -> Path:
    torch.manual_seed(0)
    specification = Specification(
        model={"name": "leaf-cnn", "options": {"channels": [4, 4], "n_embedding": 4}}, front_end=MEL,
        segments=SEGMENTS, normalization="none", task="emotion", classes=("anger", "sadness"), synthetic=True,
    )  # fmt: skip
    save_checkpoint(Recognizer(specification).eval(), folder)
    return folder


def over_time(folder: Path) -> Path:
    torch.manual_seed(0)
    plan = NetworkPlan(
        model={"name": "semantic-paralinguistic", "options": {"n_hidden": 4, "n_stream": 4, "acoustic": "frames"}},
        front_end={"name": "log-mel", "options": {}}, normalization="train", length_s=0.1, n_semantic=0,
        dimensions=("arousal",),
    )  # fmt: skip
    save_network(FrameNetwork(plan).eval(), plan, folder)
    content = {"postprocessing": None, "words": None, "synthetic": True, "provenance": {}, "delay_s": {}}
    write_json(folder / "traces.json", content)
    return folder


def saved(kind: str, folder: Path) -> Path:
    """An untrained model of a kind."""
    if kind == "dialogue":
        return untrained(folder, "audio", "text")
    return utterances(folder) if kind == "utterance" else over_time(folder)


@pytest.mark.parametrize("kind", CLASSES)
def test_a_model_of_any_kind_is_loaded_by_one_function(kind: Kind, tmp_path: Path) -> None:
    folder = saved(kind, tmp_path / "run/seed-0/fold-0")
    assert kind_of(folder) == kind and read_json(folder / FILE)["kind"] == kind
    for place in (folder, tmp_path / "run", EARLIER / kind, EARLIER / kind / "seed-0/fold-1"):
        assert kinds_at(place) == {kind}
        assert type(affectra.load(place)) is CLASSES[kind]
    assert folders_of(kind, tmp_path / "run") == [folder]
    assert not any(folders_of(other, tmp_path / "run") for other in CLASSES if other != kind)  # type: ignore[arg-type]


@pytest.mark.parametrize("kind", CLASSES)
def test_a_bit_that_changed_in_any_file_of_a_model_is_found(kind: str, tmp_path: Path) -> None:
    folder = saved(kind, tmp_path / "fold")
    affectra.load(folder)
    weights = sorted(folder.rglob("model.safetensors"))
    assert len(weights) == {"utterance": 1, "dialogue": 5, "time": 1}[kind]
    for path in weights:
        whole = bytearray(path.read_bytes())
        whole[-1] ^= 1  # the last bit of the last weight: nothing else would notice
        path.write_bytes(whole)
        with pytest.raises(CheckpointError, match=rf"{path}: damaged or not of this model.json"):
            affectra.load(folder)
        whole[-1] ^= 1
        path.write_bytes(whole)
    affectra.load(folder)


def test_parts_of_two_folds_over_dialogues_are_not_mixed(tmp_path: Path) -> None:
    one, other = (
        untrained(tmp_path / "one", "audio", "text"),
        untrained(tmp_path / "other", "audio", "text", causal=True),
    )
    for name in ("model.json", "model.safetensors"):
        (one / "fusion" / name).write_bytes((other / "fusion" / name).read_bytes())
    with pytest.raises(CheckpointError, match=r"fusion/model\.json: damaged or not of this model\.json"):
        affectra.load(one)


def test_a_description_is_read_as_it_was_written_and_for_its_own_kind(tmp_path: Path) -> None:
    (tmp_path / "model.safetensors").write_bytes(b"weights")
    write_description("time", {"one": [1, 2.5], "two": None}, tmp_path, ["model.safetensors"])
    assert read_description("time", tmp_path) == {"one": [1, 2.5], "two": None}
    with pytest.raises(CheckpointError, match="a model of the kind time, expected utterance"):
        read_description("utterance", tmp_path)
    (tmp_path / "model.safetensors").unlink()
    assert read_description("time", tmp_path), "what is not there is not compared"


@pytest.mark.parametrize(
    ("kind", "command", "words"),
    [
        ("dialogue", ["serve", "--port", "0"], "a model of conversations, which recognises no recording by itself"),
        ("dialogue", ["listen", "--stdin"], "a model of conversations, which recognises no recording by itself"),
        ("dialogue", ["export"], "a model of conversations, which is not exported"),
        ("time", ["serve", "--port", "0"], "a model over time, which gives no classes"),
        ("time", ["listen", "--stdin"], "a model over time, which gives no classes"),
        ("time", ["export"], "a model over time, which is not exported"),
    ],
)
def test_a_command_that_cannot_take_a_kind_says_why_in_one_line(
    kind: str, command: list[str], words: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = saved(kind, tmp_path / "fold")
    given = [str(folder), "--out", str(tmp_path / "out")] if command == ["export"] else ["--model", str(folder)]
    assert main([*command, *given]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert words in line and str(folder) in line and "affectra predict" in line


def test_a_network_over_time_answers_the_same_when_it_is_loaded(tmp_path: Path) -> None:
    network, plan = load_network(over_time(tmp_path / "fold"))
    again, _ = load_network(tmp_path / "fold")
    assert plan.reader is not None
    frames = np.random.default_rng(0).standard_normal((30, plan.reader.n_features)).astype(np.float32)
    one, other = (each.predict(lambda a, b: (frames[a:b], None), 30) for each in (network, again))
    np.testing.assert_array_equal(one, other)
