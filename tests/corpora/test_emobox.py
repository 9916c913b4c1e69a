"""EmoBox's JSON lines: its published layout, broken lines, and corpora written and read again."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import soundfile
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from affectra.corpora import emodb, synthetic
from affectra.corpora.importers.emobox import read, write
from affectra.corpora.manifest import EMOTIONS, GENDERS, STYLES, Corpus, manifest_from_rows, validate_manifest
from affectra.errors import AudioError, CorpusError

EMOTION_CODES = {"a01": "anger", "b01": "boredem", "h01": "happy", "n01": "Neutral"}  # EmoBox's for EMO-DB, so spelt


def line(key: str, emo: str = "anger", **changed: Any) -> dict[str, Any]:
    """A line as EmoBox publishes it; None takes a field away."""
    fields = {
        "key": f"emodb-{key}", "dataset": "emodb", "wav": f"downloads/emodb/wav/{key}.wav", "type": "raw",
        "sample_rate": 16000, "num_frame": 16000.0, "task": "category", "length": 1.0, "emo": emo, "channel": 1,
    } | changed  # fmt: skip
    return {field: value for field, value in fields.items() if value is not None}


def write_lines(path: Path, *lines: dict[str, Any] | str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join((row if isinstance(row, str) else json.dumps(row)) + "\n" for row in lines))


@pytest.fixture
def emobox(tmp_path: Path) -> Path:
    """A checkout of EmoBox with EMO-DB in its layout: all utterances, two folds of them, and the audio."""
    data = tmp_path / "data" / "emodb"
    lines = [line(key, emo) for key, emo in EMOTION_CODES.items()]
    write_lines(data / "emodb.jsonl", *lines)
    for fold in (1, 2):
        write_lines(data / f"fold_{fold}/emodb_train_fold_{fold}.jsonl", *lines[fold - 1 :: 2])
        write_lines(data / f"fold_{fold}/emodb_test_fold_{fold}.jsonl", *lines[2 - fold :: 2])
    labels = {"anger": "Angry", "boredem": "Boredom", "happy": "Happy", "Neutral": "Neutral"}
    (data / "label_map.json").write_text(json.dumps(labels))
    (tmp_path / "downloads/emodb/wav").mkdir(parents=True)
    for key in EMOTION_CODES:
        (tmp_path / f"downloads/emodb/wav/{key}.wav").touch()
    return tmp_path


def test_a_corpus_in_the_published_layout_is_read_from_its_folder(emobox: Path) -> None:
    corpus = read(emobox / "data" / "emodb")
    assert (corpus.name, corpus.root, corpus.faults) == ("emodb", emobox, ())
    manifest = corpus.manifest
    assert list(manifest["utterance"]) == [f"emodb-{key}" for key in EMOTION_CODES]
    assert list(manifest["emotion"]) == ["anger", "boredom", "happiness", "neutral"]
    assert all((corpus.root / file).is_file() for file in manifest["file"])
    assert set(manifest["speaker"]) == {""}  # no field says it
    validate_manifest(manifest, "emobox", "emodb")


@pytest.mark.parametrize("place", ["data/emodb/emodb.jsonl", "data/emodb/fold_1", "data/emodb/fold_2"])
def test_a_file_and_a_fold_give_the_same_utterances(emobox: Path, place: str) -> None:
    whole, part = read(emobox / "data" / "emodb"), read(emobox / place)
    assert part.faults == () and part.root == emobox
    assert part.manifest.sort_values("utterance", ignore_index=True).equals(whole.manifest)


def test_where_there_are_folds_alone_each_utterance_is_read_once(emobox: Path) -> None:
    whole = read(emobox / "data" / "emodb")
    (emobox / "data/emodb/emodb.jsonl").unlink()
    folds = read(emobox / "data" / "emodb")
    assert folds.faults == ()
    assert folds.manifest.sort_values("utterance", ignore_index=True).equals(whole.manifest)


def test_folds_that_contradict_each_other_are_said(emobox: Path) -> None:
    (emobox / "data/emodb/emodb.jsonl").unlink()
    write_lines(emobox / "data/emodb/fold_3/emodb_test_fold_3.jsonl", line("a01", "fear"))
    corpus = read(emobox / "data" / "emodb")
    assert corpus.manifest.set_index("utterance").at["emodb-a01", "emotion"] == "anger"
    assert corpus.faults == (
        "emodb_test_fold_3.jsonl:1: emodb-a01 is another utterance than in a table before; left out",
    )


def test_the_label_map_explains_codes_and_merges_no_emotions(emobox: Path) -> None:
    codes = {"exc": "Happy", "hap": "Happy", "W": "Angry", "Q": "Quark"}
    (emobox / "data/emodb/label_map.json").write_text(json.dumps(codes))
    keys = list(EMOTION_CODES)
    write_lines(emobox / "data/emodb/emodb.jsonl", *(line(key, code) for key, code in zip(keys, codes, strict=True)))
    corpus = read(emobox / "data" / "emodb")
    assert list(corpus.manifest["emotion"]) == ["excitement", "happiness", "anger", "q"]
    assert len(corpus.faults) == 1 and "unknown emotion 'q'" in corpus.faults[0]


def test_a_broken_label_map_is_ignored_and_said(emobox: Path) -> None:
    for broken in ('{"boredem": ', '["Boredom"]', "\udcff"):
        (emobox / "data/emodb/label_map.json").write_bytes(broken.encode("utf-8", "surrogateescape"))
        corpus = read(emobox / "data" / "emodb")
        assert corpus.manifest["emotion"][1] == "boredem"
        assert "emodb/label_map.json: not a JSON object of words by code; ignored" in corpus.faults


def test_the_folder_of_the_audio_may_be_given(emobox: Path, tmp_path_factory: pytest.TempPathFactory) -> None:
    elsewhere = tmp_path_factory.mktemp("audio")
    (emobox / "downloads").rename(elsewhere / "downloads")
    corpus = read(emobox / "data/emodb", elsewhere, "mine")
    assert (corpus.root, corpus.name, len(corpus.manifest), corpus.faults) == (elsewhere, "mine", 4, ())
    with pytest.raises(CorpusError, match=r"no utterance of EmoBox in 1 table\(s\), audio below .*no such file below"):
        read(emobox / "data/emodb")


def test_paths_may_be_absolute_and_audio_may_be_flac(emobox: Path) -> None:
    wav = emobox / "downloads/emodb/wav"
    (wav / "h01.wav").rename(wav / "h01.flac")
    write_lines(
        emobox / "data/emodb/emodb.jsonl",
        line("a01", wav=str(wav / "a01.wav")),
        line("h01"),
        line("n01", wav="/elsewhere/n01.wav"),
    )
    corpus = read(emobox / "data/emodb", emobox)
    assert list(corpus.manifest["file"]) == ["downloads/emodb/wav/a01.wav", "downloads/emodb/wav/h01.flac"]
    assert corpus.faults == (f"emodb.jsonl:3 (emodb-n01): no such file below {emobox}; left out",)


def test_stretches_of_one_recording_are_utterances(emobox: Path) -> None:
    wav = "downloads/emodb/wav/a01.wav"
    write_lines(
        emobox / "data/emodb/emodb.jsonl",
        line("1", wav=wav, start_time=0.0, end_time=1.5),
        line("2", wav=wav, start_time=1.5, end_time=2),
    )
    manifest = read(emobox / "data/emodb").manifest
    assert manifest[["start", "end"]].to_numpy().tolist() == [[0, 1.5], [1.5, 2]]


BROKEN: dict[str, tuple[dict[str, Any] | str, str]] = {
    "not JSON": ('{"key": "emodb-a01", ', "not JSON"),
    "not an object": ("[1, 2]", "expected a JSON object"),
    "no key": ({**line("a01"), "key": None}, "no key; left out"),
    "an empty path": (line("a01", wav=""), "no wav; left out"),
    "no emotion": (line("a01", emo=None), "no emo; left out"),
    "a list for an emotion": (line("a01", emo=[]), "emo is []"),
    "features": (line("a01", type="feature"), "(emodb-a01): type is 'feature', expected raw; left out"),
    "another task": (line("a01", task="valence"), "(emodb-a01): task is 'valence', expected category; left out"),
    "no audio": (line("a02"), "(emodb-a02): no such file below "),
    "a word as time": (line("a01", end_time="late"), "(emodb-a01): end is not a number; left out"),
    "nan as time": (line("a01", end_time=float("nan")), "(emodb-a01): end is not a number; left out"),
    "backwards": (line("a01", start_time=2, end_time=1), "(emodb-a01): from 2.0 to 1.0 s is no span of time"),
    "a twin": (line("b01"), "emodb-b01 stands there twice; left out"),
}


@pytest.mark.parametrize("kind", BROKEN)
def test_a_broken_line_is_named_and_costs_no_other(emobox: Path, kind: str) -> None:
    broken, message = BROKEN[kind]
    write_lines(emobox / "data/emodb/emodb.jsonl", line("b01"), broken, line("n01"))
    corpus = read(emobox / "data/emodb")
    assert list(corpus.manifest["utterance"]) == ["emodb-b01", "emodb-n01"]
    (fault,) = corpus.faults
    assert fault.startswith("emodb.jsonl:2") and message in fault


def nothing(root: Path) -> None:
    (root / "data").mkdir()


def all_of_emobox(root: Path) -> None:
    for corpus in ("aesdd", "emodb"):
        write_lines(root / f"data/{corpus}/{corpus}.jsonl", line("a01", dataset=corpus))


def two_corpora(root: Path) -> None:
    write_lines(root / "data/x.jsonl", line("a01"), line("b01", dataset="aesdd"))


def empty(root: Path) -> None:
    write_lines(root / "data/x.jsonl")


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (lambda root: None, r"data: no such file or folder; expected EmoBox's metadata such as data/emodb"),
        (nothing, r"data: no \.jsonl file in it or in fold folders; expected EmoBox's metadata such as data/emodb"),
        (all_of_emobox, r"data: no \.jsonl file in it or in fold folders; give one of aesdd, emodb"),
        (two_corpora, r"data: lines of several corpora \(aesdd, emodb\); give the folder of one"),
        (empty, r"x\.jsonl: the table has no rows"),
    ],
)
def test_what_is_not_one_corpus_of_emobox_says_what_was_expected(
    tmp_path: Path, damage: Callable[[Path], None], message: str
) -> None:
    damage(tmp_path)
    with pytest.raises(CorpusError, match=message):
        read(tmp_path / "data")


def test_the_embedded_corpus_comes_back(tmp_path: Path) -> None:
    corpus = synthetic.read(synthetic.render())
    write(corpus, tmp_path / "synthetic.jsonl")
    found = read(tmp_path / "synthetic.jsonl", corpus.root)
    assert found.faults == () and found.name == "synthetic"
    pd.testing.assert_frame_equal(found.manifest, corpus.manifest)


def test_emodb_comes_back(data_dir: Path, tmp_path: Path) -> None:
    corpus = emodb.read(data_dir / "emodb")
    write(corpus, tmp_path / "emodb.jsonl")
    pd.testing.assert_frame_equal(read(tmp_path / "emodb.jsonl", corpus.root).manifest, corpus.manifest)


def make_corpus(root: Path, *rows: dict[str, Any]) -> Corpus:
    """A corpus over two recordings, of a second at 8 kHz and of half a second at 16 kHz with two channels."""
    if not (root / "x").exists():
        (root / "x").mkdir()
        soundfile.write(root / "a.wav", np.zeros(8000), 8000)
        soundfile.write(root / "x/b.flac", np.zeros((8000, 2)), 16000)
    manifest = validate_manifest(manifest_from_rows(rows, "mine"), "test", "mine")
    return Corpus("mine", root, manifest)


def test_what_is_written_has_emobox_fields_with_the_audio_own_numbers(tmp_path: Path) -> None:
    corpus = make_corpus(
        tmp_path,
        {"utterance": "u", "file": "a.wav", "emotion": "anger", "speaker": "s"},
        {"utterance": "v", "file": "x/b.flac", "emotion": "fear", "start": 0.125},
    )
    write(corpus, tmp_path / "mine.jsonl")
    first, second = (json.loads(text) for text in (tmp_path / "mine.jsonl").read_text().splitlines())
    assert first == {
        "key": "u", "dataset": "mine", "wav": "a.wav", "type": "raw", "sample_rate": 8000, "num_frame": 8000.0,
        "task": "category", "length": 1.0, "emo": "anger", "channel": 1, "speaker": "s",
    }  # fmt: skip
    assert second["sample_rate"] == 16000 and second["length"] == 0.375 and second["num_frame"] == 6000
    assert (second["start_time"], second["end_time"]) == (0.125, 0.5)


word = st.text(max_size=8).map(str.strip)
CELLS = {
    **dict.fromkeys(("speaker", "session", "dialogue", "text", "sentence", "intensity", "language", "split"), word),
    **dict.fromkeys(("turn", "arousal", "valence", "dominance", "liking"), st.just(np.nan) | st.floats(-1e6, 1e6)),
    "gender": st.sampled_from(["", *GENDERS]),
    "style": st.sampled_from(["", *STYLES]),
    "emotion": st.sampled_from(["", *EMOTIONS, "nostalgia"]),
    "file": st.sampled_from(["a.wav", "x/b.flac"]),
}
times = st.sampled_from([(np.nan, np.nan), (0.0, 0.25), (0.1, 0.4), (1 / 3, 0.5)])


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    names=st.lists(word.filter(bool), min_size=1, max_size=5, unique=True),
    rows=st.lists(st.tuples(st.fixed_dictionaries(CELLS), times), min_size=5, max_size=5),
)
def test_any_manifest_with_audio_comes_back(tmp_path: Path, names: list[str], rows: list[tuple[dict, tuple]]) -> None:
    made = [
        {"utterance": name, "start": start, "end": end, **row}
        for name, (row, (start, end)) in zip(names, rows, strict=False)
    ]
    corpus = make_corpus(tmp_path, *made)
    write(corpus, tmp_path / "mine.jsonl")
    pd.testing.assert_frame_equal(read(tmp_path / "mine.jsonl").manifest, corpus.manifest)


def test_what_cannot_be_written_is_named_and_nothing_is_written(tmp_path: Path) -> None:
    text_alone = make_corpus(tmp_path, {"utterance": "u", "file": "a.wav"}, {"utterance": "v", "text": "Hi."})
    with pytest.raises(CorpusError, match="mine: 1 utterances have no recording, the first is v; EmoBox describes"):
        write(text_alone, tmp_path / "mine.jsonl")
    (tmp_path / "c.wav").write_bytes(b"no audio")
    with pytest.raises(AudioError, match=r"c\.wav"):
        write(make_corpus(tmp_path, {"utterance": "u", "file": "c.wav"}), tmp_path / "mine.jsonl")
    assert not (tmp_path / "mine.jsonl").exists()
