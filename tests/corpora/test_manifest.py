"""The manifest: what makes a table one, and that writing and reading changes nothing."""

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from affectra.corpora.manifest import (
    COLUMNS,
    NUMBER_COLUMNS,
    TEXT_COLUMNS,
    manifest_from_rows,
    read_manifest,
    utterance_keys,
    validate_manifest,
    write_manifest,
)
from affectra.errors import CorpusError

ROW: dict[str, Any] = {"utterance": "u1", "file": "a/1.wav"}


def test_text_and_numbers_are_all_the_columns() -> None:
    assert sorted((*TEXT_COLUMNS, *NUMBER_COLUMNS)) == sorted(COLUMNS)


def test_a_readers_rows_become_a_complete_manifest() -> None:
    manifest = manifest_from_rows([ROW, {**ROW, "utterance": "u2", "start": 1, "speaker": None}], "mine")
    assert list(manifest.columns) == list(COLUMNS)
    assert list(manifest["corpus"]) == ["mine", "mine"]
    assert list(manifest["speaker"]) == ["", ""]
    assert np.isnan(manifest["start"][0]) and manifest["start"][1] == 1.0
    assert all(manifest[column].dtype == float for column in NUMBER_COLUMNS)


texts = st.text(st.characters(exclude_categories=("Cs",), exclude_characters="\0"), max_size=12)
words = st.sampled_from(
    ["none", "NA", "null", "nan", "None", "N/A", "", "01", "1e5", "True", " x ", '"', "a\rb", "a\r\nb"]
)
numbers = st.one_of(st.none(), st.floats(allow_nan=False, allow_infinity=False))
rows = st.fixed_dictionaries(
    {
        "text": texts | words,
        "speaker": words.filter(lambda word: word == word.strip()),
        "emotion": words,
        "sentence": texts,
        "valence": numbers,
        "turn": numbers,
    }
)


@pytest.mark.parametrize("suffix", [".csv", ".parquet"])
@given(table=st.lists(rows, min_size=1, max_size=4))
@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_written_and_read_again_nothing_has_changed(suffix: str, table: list[dict[str, Any]], tmp_path: Path) -> None:
    named = [{**row, "utterance": f"u{k}", "file": f"{k}.wav"} for k, row in enumerate(table)]
    manifest = manifest_from_rows(named, "none")
    write_manifest(manifest, tmp_path / f"m{suffix}")
    pd.testing.assert_frame_equal(read_manifest(tmp_path / f"m{suffix}"), manifest)


def test_rows_without_a_corpus_take_the_name_given_or_the_files(tmp_path: Path) -> None:
    (tmp_path / "mine.csv").write_text("utterance,file,corpus\nu1,1.wav,\nu2,2.wav,theirs\n")
    assert list(read_manifest(tmp_path / "mine.csv")["corpus"]) == ["mine", "theirs"]
    assert list(read_manifest(tmp_path / "mine.csv", "ours")["corpus"]) == ["ours", "theirs"]


def test_windows_tables_are_read(tmp_path: Path) -> None:
    (tmp_path / "m.csv").write_bytes("\ufeffutterance,file\r\nü,1.wav\r\n".encode())
    assert list(read_manifest(tmp_path / "m.csv")["utterance"]) == ["ü"]


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        ([{**ROW, "emotoin": "sad"}], "unknown column 'emotoin'; did you mean 'emotion'"),
        ([{"utterance": "u1"}], "the column 'file' is missing"),
        ([{"file": "1.wav"}], "the column 'utterance' is missing"),
        ([{**ROW, "start": "soon"}], "row 2: start is 'soon', not a number"),
        ([{**ROW, "arousal": "inf"}], "row 2: arousal is 'inf', not a number"),
        ([{**ROW, "arousal": "nan"}], "row 2: arousal is 'nan', not a number"),
        ([{**ROW, "utterance": ""}], "row 2: utterance is empty"),
        ([ROW, {"utterance": "u2", "file": ""}], "row 3: file is empty"),
        ([ROW, ROW], "row 3: the utterance 'u1' stands there twice"),
        ([{**ROW, "gender": "femal"}], "row 2: unknown gender 'femal'; did you mean 'female'"),
        ([{**ROW, "style": "loud"}], "row 2: unknown style 'loud'. Known: acted, improvised"),
        ([{**ROW, "start": "2", "end": "2"}], "row 2: end is not after start"),
        ([{**ROW, "end": "0"}], "row 2: end is not after start"),
        ([{**ROW, "start": "-0.5"}], "row 2: start is negative"),
    ],
)
def test_what_is_no_manifest_is_refused_with_row_and_reason(rows: list[dict[str, str]], message: str) -> None:
    with pytest.raises(CorpusError) as refused:
        validate_manifest(pd.DataFrame(rows), "mine.csv", "mine")
    assert str(refused.value).startswith("mine.csv: ")
    assert message in str(refused.value)


def test_the_same_utterance_in_two_corpora_is_no_double() -> None:
    manifest = validate_manifest(pd.DataFrame([{**ROW, "corpus": "a"}, {**ROW, "corpus": "b"}]), "it", "it")
    assert list(utterance_keys(manifest)) == ["a/u1", "b/u1"]
    assert list(utterance_keys(manifest[:1])) == ["u1"]


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("m.csv", b"", "not a readable table"),
        ("m.csv", b"utterance,file\n", "the manifest has no rows"),
        ("m.csv", b"utterance,file\n\xff,1.wav\n", "not a readable table"),
        ("m.csv", b"utterance,file\nu1,1.wav\nu2,2.wav,3\n", "not a readable table"),
        ("m.csv", b"utterance,file\nu1,1.wav,3\n", "rows have more cells than the header"),
        ("m.csv", b"utterance;file\nu1;1.wav\n", "unknown column 'utterance;file'"),
        ("m.parquet", b"utterance,file\n", "not a readable table"),
        ("m.txt", b"utterance,file\n", "a manifest ends in .csv or .parquet"),
    ],
)
def test_files_that_hold_no_manifest_are_refused_in_one_line(
    name: str, content: bytes, message: str, tmp_path: Path
) -> None:
    (tmp_path / name).write_bytes(content)
    with pytest.raises(CorpusError) as refused:
        read_manifest(tmp_path / name)
    assert message in str(refused.value) and str(tmp_path / name) in str(refused.value)
    assert "\n" not in str(refused.value)


def test_a_missing_manifest_says_how_to_make_one(tmp_path: Path) -> None:
    with pytest.raises(CorpusError, match="no such manifest; `affectra prepare` writes one"):
        read_manifest(tmp_path / "m.csv")


def test_another_suffix_is_not_written(tmp_path: Path) -> None:
    with pytest.raises(CorpusError, match=r"ends in \.csv or \.parquet"):
        write_manifest(manifest_from_rows([ROW], "mine"), tmp_path / "m.json")
    assert list(tmp_path.iterdir()) == []
