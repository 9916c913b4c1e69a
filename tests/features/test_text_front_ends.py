"""Front ends of text: hashed words, word vectors of a file, and transformer encoders built from a configuration."""

import json
import logging
import shutil
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from threading import Thread
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file
from torch import Tensor
from torch.nn.utils.rnn import pad_sequence

from affectra.errors import CheckpointError, ConfigError
from affectra.features.specification import Specification
from affectra.features.text.hashed_words import HashedWords
from affectra.features.text.transformer_text import TransformerText
from affectra.features.text.word_vector_frames import WordVectorFrames
from affectra.files import read_json, write_json
from affectra.models.recognizer import Recognizer, load_checkpoint, save_checkpoint
from affectra.text.hub import is_reachable
from affectra.text.word_vectors import WordVectors, write_word_vectors

TEXTS = ["I don't know what you mean!", "Oh!", "", "Größe, Zażółć and supercalifragilisticexpialidocious <laughter>..."]
HIDDEN, LAYERS = 32, 5


def as_batch(frames: list[Tensor]) -> Tensor:
    """Frames of several texts as the networks get them: float32, zeros behind."""
    return pad_sequence([one.float() for one in frames], batch_first=True)


@pytest.fixture(scope="module")
def bert(data_dir: Path, tmp_path_factory: pytest.TempPathFactory) -> str:
    """A tiny random BERT with a real vocabulary."""
    return save_tiny(data_dir, tmp_path_factory.mktemp("bert"), "bert")


@pytest.fixture(scope="module")
def roberta(data_dir: Path, tmp_path_factory: pytest.TempPathFactory) -> str:
    """The same as RoBERTa, whose positions begin behind that of padding."""
    return save_tiny(data_dir, tmp_path_factory.mktemp("roberta"), "roberta")


def save_tiny(data_dir: Path, folder: Path, kind: str) -> str:
    transformers = pytest.importorskip("transformers", reason="needs the extra text")
    config, model = {
        "bert": (transformers.BertConfig, transformers.BertModel),
        "roberta": (transformers.RobertaConfig, transformers.RobertaModel),
    }[kind]
    words = (data_dir / "text" / "vocab.txt").read_text(encoding="utf-8").splitlines()
    tokenizer = transformers.BertTokenizer(vocab={word: i for i, word in enumerate(words)}, do_lower_case=True)
    sizes = {"hidden_size": HIDDEN, "num_hidden_layers": LAYERS, "num_attention_heads": 4, "intermediate_size": 64}
    with torch.random.fork_rng():
        torch.manual_seed(0)
        encoder = model(
            config(vocab_size=len(words), max_position_embeddings=48, pad_token_id=tokenizer.pad_token_id, **sizes)
        )
    encoder.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return str(folder)


@pytest.fixture(autouse=True)
def _no_hub(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")


# Hashed words


def test_ids_are_the_same_for_the_same_word_on_every_machine() -> None:
    front_end = HashedWords(n_dimensions=4, n_buckets=1000, n_grams=[3])
    ids = front_end.frames("Again and AGAIN!")
    assert ids.dtype == torch.int32 and ids.shape == (4, 16)
    assert torch.equal(ids[0], ids[2])
    assert (ids[0] > 0).sum() == 1 + len("<again>") - 2, "the word and its trigrams"
    assert (ids[3] > 0).sum() == 1, "a mark has no n-grams"
    assert ids[0, :3].tolist() == [762, 644, 148], "CRC-32 of '=again', '<ag', 'aga' modulo 1000, plus one"
    assert ids.min() >= 0 and ids.max() <= 1000


def test_a_text_of_no_words_is_one_token_of_zeros() -> None:
    front_end = HashedWords(n_dimensions=4)
    ids = front_end.frames("--")
    assert ids.shape == (1, 1) and not ids.any()
    assert not front_end.train()(as_batch([ids])).any()


@pytest.mark.parametrize("n_grams", [[], [3, 4]])
def test_a_words_vector_is_the_mean_of_known_rows(n_grams: list[int]) -> None:
    front_end = HashedWords(n_dimensions=8, n_grams=n_grams, word_dropout=0.0)
    torch.nn.init.normal_(front_end.table)
    frames = [front_end.frames(text) for text in TEXTS]
    output = front_end.train()(as_batch(frames))
    assert output.shape == (4, 8, max(map(len, frames)))
    for of_text, ids in zip(output, frames, strict=True):
        for t, row in enumerate(ids):
            known = row[row > 0].long() - 1
            expected = front_end.table[known].mean(0) if len(known) else torch.zeros(8)
            torch.testing.assert_close(of_text[:, t], expected)
        assert not of_text[:, len(ids) :].any(), "zero where padded"


def test_a_new_word_is_the_mean_of_its_known_n_grams_and_zero_without_any() -> None:
    front_end = HashedWords(n_dimensions=8, n_buckets=1_000_000, n_grams=[3], word_dropout=0.0)
    torch.nn.init.normal_(front_end.table)
    front_end.train()(as_batch([front_end.frames("laughing")]))
    front_end.eval()
    seen = set(front_end._ids("laughing"))
    new, strange = front_end.frames("laughed"), front_end.frames("xyz")
    shared = [i - 1 for i in new[0].tolist() if i in seen]
    assert len(shared) == 4, "<la lau aug ugh"
    torch.testing.assert_close(front_end(as_batch([new]))[0, :, 0], front_end.table[shared].mean(0))
    assert not front_end(as_batch([strange])).any()


def test_what_is_known_is_learnt_in_training_alone_and_kept_with_the_weights() -> None:
    front_end = HashedWords(n_dimensions=8, word_dropout=0.0)
    torch.nn.init.normal_(front_end.table)
    ids = as_batch([front_end.frames("hello")])
    assert not front_end.eval()(ids).any() and not front_end.is_known.any()
    front_end.table.requires_grad_(False)
    front_end.train()(ids)
    assert not front_end.is_known.any(), "a frozen front end learns no words"
    front_end.table.requires_grad_(True)
    front_end(ids)
    copy = HashedWords(n_dimensions=8, word_dropout=0.0)
    copy.load_state_dict(front_end.state_dict())
    assert torch.equal(copy.eval()(ids), front_end.eval()(ids)) and copy(ids).any()


def test_learning_reaches_the_rows_that_were_said_and_no_others() -> None:
    front_end = HashedWords(n_dimensions=8, n_buckets=500, n_grams=[2], word_dropout=0.0)
    frames = [front_end.frames(text) for text in TEXTS]
    front_end.train()(as_batch(frames)).sum().backward()
    assert front_end.table.grad is not None
    said = {int(i) - 1 for ids in frames for i in ids.flatten() if i}
    assert set(front_end.table.grad.abs().sum(1).nonzero().flatten().tolist()) == said
    assert set(front_end.is_known.nonzero().flatten().tolist()) == said


def test_word_dropout_blanks_its_share_of_tokens_in_training_alone() -> None:
    front_end = HashedWords(n_dimensions=4, word_dropout=0.3)
    torch.nn.init.normal_(front_end.table)
    ids = as_batch([front_end.frames("well " * 2000)])
    torch.manual_seed(0)
    blank = (front_end.train()(ids) == 0).all(1).float().mean()
    assert abs(blank - 0.3) < 0.05
    assert (front_end.eval()(ids) != 0).any(1).all()


def test_hashed_words_of_no_sense_are_refused() -> None:
    for options in ({"n_dimensions": 0}, {"n_buckets": 0}, {"n_buckets": 2**25}, {"n_grams": [0]}):
        with pytest.raises(ConfigError, match="hashed-words: needs n_dimensions >= 1"):
            HashedWords(**options)
    with pytest.raises(ConfigError, match=r"0 <= word_dropout < 1, found 1\.0"):
        HashedWords(word_dropout=1.0)


# Word vectors


@pytest.fixture
def vector_file(tmp_path: Path) -> Path:
    table = WordVectors(("good", "Monday", "!"), np.arange(1, 7, dtype=np.float32).reshape(3, 2))
    write_word_vectors(table, tmp_path / "vectors.vec")
    return tmp_path / "vectors.vec"


def test_each_word_has_its_vector_and_an_unknown_one_zeros(vector_file: Path) -> None:
    front_end = WordVectorFrames(file=str(vector_file))
    assert front_end.n_features == 2
    frames = front_end.frames("GOOD new monday!")
    assert frames.dtype == torch.float32 and frames.tolist() == [[1, 2], [0, 0], [3, 4]]
    assert WordVectorFrames(file=str(vector_file), punctuation=True).frames("!!  !").tolist() == [[0, 0], [5, 6]]
    assert front_end.frames("").tolist() == [[0, 0]]
    assert torch.equal(front_end(as_batch([frames])), frames.T[None])
    assert front_end.coverage(["good new", "Monday news", ""]) == 0.5 and front_end.coverage([]) == 0
    assert WordVectorFrames(file=str(vector_file), limit=1).coverage(["good monday"]) == 0.5


def test_another_file_of_the_same_name_is_another_key_of_the_cache(vector_file: Path) -> None:
    before = WordVectorFrames(file=str(vector_file)).storage
    vector_file.write_text(vector_file.read_text().replace("good", "fine"))
    after = WordVectorFrames(file=str(vector_file)).storage
    assert before["dtype"] == after["dtype"] == "float32" and before != after


def test_word_vectors_are_rebuilt_from_what_lies_beside_the_checkpoint(vector_file: Path, tmp_path: Path) -> None:
    front_end = WordVectorFrames(file=str(vector_file))
    replaced = front_end.write_assets(tmp_path / "fold")
    vector_file.unlink()
    again = WordVectorFrames(**{name: str(tmp_path / "fold" / value) for name, value in replaced.items()})
    assert torch.equal(again.frames("good Monday"), front_end.frames("good Monday"))


# Transformers


@pytest.fixture(params=["bert", "roberta"])
def encoder_folder(request: pytest.FixtureRequest) -> str:
    folder: str = request.getfixturevalue(request.param)
    return folder


def test_frozen_frames_are_the_last_four_layers_side_by_side(encoder_folder: str) -> None:
    from transformers import AutoModel, AutoTokenizer

    front_end = TransformerText(model=encoder_folder)
    model, tokenizer = AutoModel.from_pretrained(encoder_folder).eval(), AutoTokenizer.from_pretrained(encoder_folder)
    assert front_end.n_features == 4 * HIDDEN and front_end.storage["dtype"] == "float16"
    for text in TEXTS:
        with torch.no_grad():
            states = model(**tokenizer(text, return_tensors="pt"), output_hidden_states=True).hidden_states
        assert len(states) == LAYERS + 1
        expected = torch.cat([states[2], states[3], states[4], states[5]], dim=-1)[0]
        torch.testing.assert_close(front_end.frames(text), expected)
    assert front_end.frames("").shape == (2, 4 * HIDDEN), "[CLS] and [SEP]"


def test_fine_tuned_starts_where_frozen_is_and_padding_never_changes_it(encoder_folder: str) -> None:
    frozen = TransformerText(model=encoder_folder)
    tuned = TransformerText(model=encoder_folder, fine_tune=True).eval()
    assert tuned.storage["dtype"] == "int32" and tuned.storage != frozen.storage
    ids = [tuned.frames(text) for text in TEXTS]
    assert all(one.dtype == torch.int32 and one.min() > 0 for one in ids)
    output = tuned(as_batch(ids))
    assert output.shape == (4, 4 * HIDDEN, max(map(len, ids)))
    wider = tuned(torch.nn.functional.pad(as_batch(ids), (0, 0, 0, 30)))  # wider than its positions
    for text, one, row, wide in zip(TEXTS, ids, output, wider, strict=True):
        torch.testing.assert_close(row[:, : len(one)].T, frozen.frames(text), rtol=1e-4, atol=1e-5)
        torch.testing.assert_close(wide[:, : row.shape[1]], row, rtol=1e-4, atol=1e-5)
        assert not row[:, len(one) :].any() and not wide[:, len(one) :].any()


def test_fine_tuning_reaches_all_weights_of_the_encoder_and_frozen_has_none(encoder_folder: str) -> None:
    frozen = TransformerText(model=encoder_folder)
    assert not list(frozen.parameters()) and not frozen.state_dict()
    assert not frozen.train().frames(TEXTS[0]).requires_grad
    assert torch.equal(frozen.frames(TEXTS[0]), frozen.frames(TEXTS[0])), "no dropout, though the network trains"
    tuned = TransformerText(model=encoder_folder, fine_tune=True)
    tuned.eval()(as_batch([tuned.frames(TEXTS[0])])).square().sum().backward()
    for name, weights in tuned.named_parameters():
        assert weights.grad is not None and weights.grad.isfinite().all(), name
        if not name.endswith("key.bias"):  # softmax takes it out
            assert weights.grad.any(), name


def test_a_fine_tuned_encoder_is_rebuilt_from_the_folder_alone(bert: str, tmp_path: Path) -> None:
    tuned = TransformerText(model=bert, n_layers=2, fine_tune=True).eval()
    with torch.no_grad():
        for weights in tuned.parameters():
            weights.add_(0.01)
    replaced = tuned.write_assets(tmp_path)
    save_file(tuned.state_dict(), tmp_path / "model.safetensors")
    assert not list((tmp_path / "encoder").glob("*.safetensors")), "the weights are stored once"
    options: dict[str, Any] = {name: str(tmp_path / value) for name, value in replaced.items()}
    again = TransformerText(**options, n_layers=2, fine_tune=True).eval()
    again.load_state_dict(load_file(tmp_path / "model.safetensors"))
    ids = tuned.frames(TEXTS[0])
    assert torch.equal(again.frames(TEXTS[0]), ids) and again.storage == tuned.storage
    torch.testing.assert_close(again(as_batch([ids])), tuned(as_batch([ids])))
    with pytest.raises(ConfigError, match="in its checkpoint; needs fine_tune: true"):
        TransformerText(**options)
    assert TransformerText(model=bert).write_assets(tmp_path / "none") == {}


def test_a_long_text_is_cut_behind_and_the_log_says_so(encoder_folder: str, caplog: pytest.LogCaptureFixture) -> None:
    front_end = TransformerText(model=encoder_folder, fine_tune=True)
    n_positions = 48 if "roberta" not in encoder_folder else 48 - 1  # its padding is token 0
    with caplog.at_level(logging.WARNING):
        short = front_end.frames("well " * (n_positions - 2))
        assert not caplog.records
        long = front_end.frames("well " * 60)
    assert f"a text of 62 tokens is cut to the encoder's {n_positions}" in caplog.text
    assert torch.equal(long, short) and len(long) == n_positions
    assert front_end.eval()(as_batch([long])).isfinite().all()


def test_other_weights_under_the_same_name_are_another_key_of_the_cache(bert: str, tmp_path: Path) -> None:
    import shutil

    shutil.copytree(bert, tmp_path / "copy")
    first = TransformerText(model=bert).storage
    assert TransformerText(model=str(tmp_path / "copy")).storage == first
    weights = load_file(tmp_path / "copy" / "model.safetensors")
    name = next(name for name in weights if name.endswith("encoder.layer.0.output.dense.bias"))
    weights[name][0] += 1
    save_file(weights, tmp_path / "copy" / "model.safetensors", {"format": "pt"})
    assert TransformerText(model=str(tmp_path / "copy")).storage != first


@pytest.fixture
def damaged(bert: str, tmp_path: Path) -> Iterator[Path]:
    import shutil

    shutil.copytree(bert, tmp_path / "damaged")
    yield tmp_path / "damaged"


def test_what_is_no_encoder_is_refused_by_name(bert: str, damaged: Path) -> None:
    with pytest.raises(ConfigError, match="has 5 layers, found n_layers=6"):
        TransformerText(model=bert, n_layers=6)
    with pytest.raises(ConfigError, match="'no/such-model' is neither a directory nor a hub name"):
        TransformerText(model="no/such-model")
    weights = load_file(damaged / "model.safetensors")
    gone = next(name for name in weights if "layer.3" in name)
    save_file({k: v for k, v in weights.items() if k != gone}, damaged / "model.safetensors", {"format": "pt"})
    with pytest.raises(ConfigError, match="lacks 1 of its weights, such as "):
        TransformerText(model=str(damaged))
    (damaged / "model.safetensors").unlink()
    torch.save(weights, damaged / "pytorch_model.bin")
    with pytest.raises(ConfigError, match="neither a directory nor a hub name with a model in safetensors"):
        TransformerText(model=str(damaged))


NOBODY = "http://127.0.0.1:9"  # the port of a service that throws all away, and is nowhere on


def without_a_hub(monkeypatch: pytest.MonkeyPatch, cache: Path) -> None:
    monkeypatch.setattr("huggingface_hub.constants.ENDPOINT", NOBODY)
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(cache))
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")


def cached(folder: str, cache: Path, without: str = "") -> None:
    """A model as huggingface_hub keeps one of the name tiny/bert."""
    place = cache / "models--tiny--bert"
    shutil.copytree(folder, place / "snapshots" / "0", ignore=shutil.ignore_patterns(without))
    (place / "refs").mkdir()
    (place / "refs" / "main").write_text("0")


def test_without_a_hub_a_model_that_is_not_at_hand_is_refused_at_once_in_one_line(
    bert: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    without_a_hub(monkeypatch, tmp_path)
    cached(bert, tmp_path, without="model.safetensors")  # as a download that was cut off leaves it
    for model in ("google-bert/bert-base-cased", "tiny/bert"):
        begun = time.monotonic()
        with pytest.raises(ConfigError) as caught:
            TransformerText(model=model)
        message = str(caught.value)
        assert time.monotonic() - begun < 10, "a retry alone takes longer"
        assert message.startswith(f"transformer-text: '{model}' ") and "\n" not in message
        assert all(part in message for part in ("not in the cache", f"{NOBODY} cannot be reached", "local directory"))
    assert not caplog.records


def test_a_model_that_is_in_the_cache_is_read_without_asking_the_hub(
    bert: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    without_a_hub(monkeypatch, tmp_path)
    monkeypatch.setattr("affectra.text.hub.urlopen", None)
    cached(bert, tmp_path)
    torch.testing.assert_close(
        TransformerText(model="tiny/bert").frames("so"), TransformerText(model=bert).frames("so")
    )


def test_a_hub_is_reachable_when_it_answers_whatever_it_says(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    with HTTPServer(("127.0.0.1", 0), BaseHTTPRequestHandler) as server:  # which knows no method: 501
        thread = Thread(target=server.handle_request)
        thread.start()
        assert is_reachable(f"http://127.0.0.1:{server.server_port}")
        thread.join()
    assert not is_reachable(NOBODY)


def test_a_missing_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(ConfigError, match=r"pip install 'affectra\[text\]'"):
        TransformerText(model="bert-base-uncased")


# Checkpoints of whole recognisers


def names_in(folder: Path) -> list[str]:
    return [path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()]


@pytest.mark.parametrize("name", ["word-vectors", "transformer-text"])
def test_a_checkpoint_needs_nothing_but_its_folder(name: str, bert: str, tmp_path: Path) -> None:
    source = tmp_path / "source"
    if name == "word-vectors":
        source.mkdir()
        write_word_vectors(WordVectors(("good", "day"), np.eye(2, 6, dtype=np.float32)), source / "words.vec")
        front_end: dict[str, Any] = {"name": name, "options": {"file": str(source / "words.vec")}}
    else:
        shutil.copytree(bert, source)
        front_end = {"name": name, "options": {"model": str(source), "n_layers": 2, "fine_tune": True}}
    segments = {"length_s": 0.02, "frames": None, "train_shift_s": 0.02, "test_shift_s": 0.02}
    model = {"name": "text-gru", "options": {"n_hidden": 4, "n_embedding": 5}}
    torch.manual_seed(0)
    recognizer = Recognizer(Specification(model, front_end, "none", segments, "emotion", ("a", "b"), False)).eval()
    frames = recognizer.front_end.frames("good day").numpy()
    save_checkpoint(recognizer, tmp_path / "fold")
    shutil.rmtree(source)
    (tmp_path / "fold").rename(tmp_path / "moved")
    again = load_checkpoint(tmp_path / "moved")
    np.testing.assert_array_equal(again.front_end.frames("good day").numpy(), frames)
    np.testing.assert_allclose(again.recognize(frames).probabilities, recognizer.recognize(frames).probabilities)
    content = read_json(tmp_path / "moved" / "model.json")
    assert set(content["files"]) == set(names_in(tmp_path / "moved")) - {"model.json"}
    assert str(tmp_path) not in json.dumps(content["front_end"]["assets"])
    content["front_end"]["assets"] = {key: "../" + value for key, value in content["front_end"]["assets"].items()}
    write_json(tmp_path / "moved" / "model.json", content)
    with pytest.raises(CheckpointError, match="names files outside of its folder"):
        load_checkpoint(tmp_path / "moved")
