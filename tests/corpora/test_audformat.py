"""audformat: round trips of whole corpora, databases as others publish them, and broken or hostile ones."""

import importlib.util
import pickle
import shutil
import warnings
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import audformat
import numpy as np
import pandas as pd
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from affectra.corpora import emodb, meld, synthetic
from affectra.corpora.importers.audformat import read
from affectra.corpora.importers.audformat_export import write
from affectra.corpora.manifest import (
    COLUMNS,
    EMOTIONS,
    GENDERS,
    NUMBER_COLUMNS,
    STYLES,
    Corpus,
    manifest_from_rows,
    validate_manifest,
)
from affectra.errors import ConfigError, CorpusError


@pytest.fixture(scope="module")
def embedded() -> Corpus:
    return synthetic.read(synthetic.render())


@pytest.fixture
def database() -> Any:
    """A database with schemes as audEERING publishes them, without tables."""
    database = audformat.Database("mine", source="here", usage="other")
    database.raters["gold"] = audformat.Rater("human")
    for rater in ("r1", "r2"):
        database.raters[rater] = audformat.Rater("human")
    database.schemes["emotion"] = audformat.Scheme(labels=["angry", "happy", "neutral"])
    database.schemes["arousal"] = audformat.Scheme("float", minimum=0, maximum=1)
    database.schemes["speaker"] = audformat.Scheme(
        labels={"s1": {"gender": "female", "age": 31, "language": "deu"}, "s2": {"gender": "male"}}
    )
    return database


FILES = ("a.wav", "b.wav", "c.wav")


def add(database: Any, table: str, columns: dict[str, Sequence[Any]], index: Any = FILES, **options: Any) -> None:
    """Add a table whose columns are called as their schemes, or "scheme/rater"."""
    quiet(lambda: _add(database, table, columns, index, options))


def _add(database: Any, table: str, columns: dict[str, Sequence[Any]], index: Any, options: dict[str, Any]) -> None:
    index = audformat.filewise_index(list(index)) if isinstance(index, tuple) else index
    database[table] = audformat.Table(index, **options)
    for name, values in columns.items():
        scheme, _, rater = name.partition("/")
        column_id = scheme if rater in ("", "gold") else rater
        known = scheme if scheme in database.schemes else None
        database[table][column_id] = audformat.Column(scheme_id=known, rater_id=rater or None)
        database[table][column_id].set(list(values))


def quiet(call: Callable[[], Any]) -> Any:
    """The library under its own warnings."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return call()


def save(database: Any, root: Path, storage_format: str = "csv") -> Path:
    quiet(lambda: database.save(str(root), storage_format=storage_format))
    for file in database.files:
        (root / file).parent.mkdir(parents=True, exist_ok=True)
        (root / file).touch()
    return root


def load(root: Path) -> Any:
    return quiet(lambda: audformat.Database.load(str(root), load_data=True))


def assert_same(found: Corpus, expected: Corpus) -> None:
    pd.testing.assert_frame_equal(found.manifest, canonical(expected.manifest))
    assert found.name == expected.name and set(found.tables) == set(expected.tables)
    for key, table in expected.tables.items():
        pd.testing.assert_frame_equal(found.tables[key], table)
    validate_manifest(found.manifest, "read", found.name)


def canonical(manifest: pd.DataFrame) -> pd.DataFrame:
    """Starts in the one of two equal ways to say them that a database has."""
    start = manifest["start"].where(manifest["start"].notna() | manifest["end"].isna(), 0.0)
    return manifest.assign(start=start.where((start != 0) | manifest["end"].notna()))


def test_the_embedded_corpus_comes_back_with_its_tables(embedded: Corpus, tmp_path: Path) -> None:
    write(embedded, tmp_path)
    shutil.copytree(embedded.root / "wav", tmp_path / "wav")
    found = read(tmp_path)
    assert_same(found, embedded)
    assert found.faults == () and set(found.tables) == {"words", "continuous"}


def test_an_export_is_a_valid_database_that_the_library_loads(embedded: Corpus, tmp_path: Path) -> None:
    write(embedded, tmp_path)
    database = load(tmp_path)
    assert database.is_portable and database.name == "synthetic" and set(database.languages) == {"deu", "eng"}
    assert set(database.files) == set(embedded.manifest["file"])
    for table in database.tables.values():
        audformat.assert_index(table.df)
        audformat.assert_no_duplicates(table.df)
    emotions = quiet(lambda: database.get("emotion"))["emotion"]
    expected = embedded.manifest.set_index("file")["emotion"]
    assert emotions.to_dict() == expected.to_dict()
    assert set(database.schemes["emotion"].labels) == set(expected)
    shutil.copy(tmp_path / "db.yaml", tmp_path / "old.yaml")
    quiet(lambda: database.save(str(tmp_path), storage_format="csv"))  # nothing is lost in the library's own hands
    assert (tmp_path / "old.yaml").read_text() == (tmp_path / "db.yaml").read_text()


def test_emodb_comes_back(data_dir: Path, tmp_path: Path) -> None:
    corpus = emodb.read(data_dir / "emodb")
    write(corpus, tmp_path)
    assert_same(read(tmp_path), corpus)
    assert len(corpus.manifest) == 535
    assert load(tmp_path).languages == ["deu"]


def test_text_without_audio_comes_back(data_dir: Path, tmp_path: Path) -> None:
    corpus = meld.read(data_dir / "meld")
    write(corpus, tmp_path)
    found = read(tmp_path)
    assert_same(found, corpus)
    assert found.faults == () and len(found.manifest) == 11098
    assert len(load(tmp_path).files) == 0


def make_corpus(rows: list[dict[str, Any]], tables: dict[str, pd.DataFrame] | None = None) -> Corpus:
    manifest = validate_manifest(manifest_from_rows(rows, "mine"), "test", "mine")
    return Corpus("mine", Path("nowhere"), manifest, tables=tables or {})


WORDS = [
    "null",
    "NA",
    "nan",
    "None",
    "",
    " ",
    "no",
    "1",
    "-0.5",
    "a,b",
    'say "x"',
    "two\nlines",
    "cr\rcr",
    "é",
    "e\u0301",
    "\x00",
    "#",
    "'",
    "true",
]
text = st.one_of(st.sampled_from(WORDS), st.text(max_size=8))
name = text.map(str.strip)
number = st.one_of(st.just(np.nan), st.floats(-1e6, 1e6))
seconds = st.one_of(st.just(np.nan), st.integers(0, 10**13).map(lambda ns: ns / 1e9))
CELLS: dict[str, st.SearchStrategy] = {
    **dict.fromkeys(("speaker", "session", "split"), name),
    **dict.fromkeys(("dialogue", "text", "sentence", "intensity"), text),
    **dict.fromkeys(("turn", "arousal", "valence", "dominance", "liking"), number),
    "gender": st.sampled_from(["", *GENDERS]),
    "language": st.sampled_from(["", "de", "en-US", "zh-CN", "x-klingon", "tlh"]),
    "style": st.sampled_from(["", *STYLES]),
    "emotion": st.sampled_from(["", *EMOTIONS, "nostalgia", "null"]),
    "start": seconds,
    "end": seconds,
}


@st.composite
def manifests(draw: st.DrawFn) -> list[dict[str, Any]]:
    rows = []
    for utterance in draw(st.lists(name.filter(bool), min_size=1, max_size=6, unique=True)):
        row = {"utterance": utterance, **{column: draw(cells) for column, cells in CELLS.items()}}
        has_audio = draw(st.booleans())
        row["file"] = f"{draw(st.sampled_from(['', 'x/', 'null/']))}{len(rows)}.wav" if has_audio else ""
        if not has_audio:
            row |= {"text": row["text"] or "x", "start": np.nan, "end": np.nan}
        elif row["end"] <= (0.0 if np.isnan(row["start"]) else row["start"]):
            row["end"] = np.nan
        rows.append(row)
    return rows


def test_the_strategy_fills_every_column() -> None:
    assert {*CELLS, "utterance", "corpus", "file"} == set(COLUMNS)
    assert {column for column, cells in CELLS.items() if cells in (number, seconds)} == set(NUMBER_COLUMNS)


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(rows=manifests(), column=text, numbers=st.lists(number, min_size=2, max_size=2))
def test_any_manifest_and_side_table_come_back(
    tmp_path_factory: pytest.TempPathFactory, rows: list[dict[str, Any]], column: str, numbers: list[float]
) -> None:
    side = pd.DataFrame({"utterance": pd.Series(["u", column], dtype="str"), "time": numbers, "rank": [3, 1]})
    corpus = make_corpus(rows, {"raters": side})
    root = tmp_path_factory.mktemp("database")
    write(corpus, root)
    assert_same(read(root), corpus)
    load(root)


def test_several_stretches_of_one_file_come_back_with_their_times(tmp_path: Path) -> None:
    nan = np.nan
    times = [(0.0, 0.5), (1.001, 1.003), (1.25, nan), (nan, 2.000000001), (nan, nan), (1 / 3, 2 / 3)]
    rows = [{"utterance": f"u{n}", "file": "a.wav", "start": s, "end": e} for n, (s, e) in enumerate(times)]
    write(make_corpus(rows), tmp_path)
    manifest = read(tmp_path).manifest
    assert list(manifest["utterance"]) == [row["utterance"] for row in rows]
    expected = [*times[:3], (0.0, 2.000000001), (nan, nan), (0.333333333, 0.666666667)]
    np.testing.assert_array_equal(manifest[["start", "end"]].to_numpy(), expected)
    assert load(tmp_path)["utterances"].is_segmented


def test_csv_is_written_where_it_is_exact_and_parquet_where_it_is_not(tmp_path: Path) -> None:
    words = pd.DataFrame(
        {"utterance": pd.Series(["u", "u"], dtype="str"), "word": pd.Series(["eins", "null"], dtype="str")}
    )
    corpus = make_corpus([{"utterance": "u", "file": "a.wav", "text": "Eins, null?"}], {"words": words})
    write(corpus, tmp_path)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["db.utterances.csv", "db.words.parquet", "db.yaml"]
    assert_same(read(tmp_path), corpus)


def test_a_database_written_beside_the_audio_is_whole(tmp_path: Path) -> None:
    (tmp_path / "a.wav").touch()
    rows = [
        {"utterance": "u", "file": "a.wav"},
        {"utterance": "v", "file": "b.wav"},
        {"utterance": "w", "file": "c.wav"},
    ]
    write(make_corpus(rows), tmp_path)
    assert read(tmp_path).faults == (f"b.wav: not below {tmp_path}, as 2 of 3 files; kept",)


def test_nothing_is_written_over_or_left_behind(tmp_path: Path) -> None:
    good = make_corpus([{"utterance": "u", "file": "a.wav", "emotion": "anger"}])
    write(good, tmp_path / "x")
    before = (tmp_path / "x" / "db.yaml").read_bytes()
    with pytest.raises(CorpusError, match=r"x/db\.yaml: a database is there already; give another folder or remove it"):
        write(good, tmp_path / "x")
    assert (tmp_path / "x" / "db.yaml").read_bytes() == before
    twice = make_corpus(
        [{"utterance": "u", "file": "a.wav", "end": 1.0}, {"utterance": "v", "file": "a.wav", "end": 1.0}]
    )
    with pytest.raises(CorpusError, match="mine: v is the same segment as another utterance; a database has each once"):
        write(twice, tmp_path / "y")
    assert list((tmp_path / "y").iterdir()) == []


@pytest.mark.parametrize("file", ["../a.wav", "/a.wav", "x\\a.wav", "x/./a.wav"])
def test_files_that_no_database_can_have_are_named(tmp_path: Path, file: str) -> None:
    with pytest.raises(CorpusError, match=r"mine: u: a database cannot have the file .*; rename it"):
        write(make_corpus([{"utterance": "u", "file": file}]), tmp_path)


@pytest.mark.parametrize("storage_format", ["csv", "parquet"])
def test_a_database_as_emodb_is_published(tmp_path: Path, database: Any, storage_format: str) -> None:
    database.languages = ["deu"]
    database.schemes["confidence"] = audformat.Scheme("float")
    database.schemes["transcription"] = audformat.Scheme(labels={"a01": "Der Lappen liegt auf dem Eisschrank."})
    database.splits["train"], database.splits["test"] = audformat.Split("train"), audformat.Split("test")
    emotions = ["angry", "happy", None]
    add(database, "emotion", {"emotion/gold": emotions, "confidence/gold": [0.9, 1, 0.8]})
    add(database, "files", {"speaker": ["s1", "s2", "s2"], "transcription": ["a01", None, "a01"]})
    gold = "emotion.categories.{}.gold_standard"
    add(database, gold.format("train"), {"emotion/gold": emotions[:2]}, ("a.wav", "b.wav"), split_id="train")
    add(database, gold.format("test"), {"emotion/gold": emotions[2:]}, ("c.wav",), split_id="test")
    corpus = read(save(database, tmp_path, storage_format))
    assert corpus.name == "mine" and corpus.faults == ()
    found = corpus.manifest[
        ["utterance", "file", "speaker", "gender", "language", "text", "sentence", "emotion", "split"]
    ]
    line = "Der Lappen liegt auf dem Eisschrank."
    assert found.to_numpy().tolist() == [
        ["a", "a.wav", "s1", "female", "de", line, "a01", "anger", "train"],
        ["b", "b.wav", "s2", "male", "de", "", "", "happiness", "train"],
        ["c", "c.wav", "s2", "male", "de", line, "a01", "", "test"],
    ]
    assert corpus.manifest[["start", "end"]].isna().all(axis=None)


def test_gold_tables_leave_the_others_out_and_say_so(tmp_path: Path, database: Any) -> None:
    add(database, "emotion.desired", {"emotion": ["neutral", "neutral", "neutral"]})
    add(database, "emotion.categories.train.gold_standard", {"emotion": ["angry", "happy"]}, ("a.wav", "b.wav"))
    corpus = read(save(database, tmp_path))
    assert dict(zip(corpus.manifest["file"], corpus.manifest["emotion"], strict=True)) == {
        "a.wav": "anger",
        "b.wav": "happiness",
    }
    assert corpus.faults == ("db.emotion.desired: 1 rows are in no gold table; left out",)
    assert set(corpus.manifest["split"]) == {"train"}  # by the table's name


def test_ratings_without_agreement_are_no_label(tmp_path: Path, database: Any) -> None:
    add(database, "votes", {"emotion/r1": ["angry"] * 3, "emotion/r2": ["happy"] * 3})
    add(database, "dimensions", {"arousal/r1": [0.1, 0.2, None], "arousal/gold": [0.5, None, 0.7]})
    corpus = read(save(database, tmp_path))
    assert list(corpus.manifest["emotion"]) == ["", "", ""]
    np.testing.assert_array_equal(corpus.manifest["arousal"], [0.5, np.nan, 0.7])
    assert corpus.faults == ("db.votes: r1, r2 are all emotion, and none is the gold standard; left out",)


def test_of_equal_tables_the_first_counts_and_contradictions_are_counted(tmp_path: Path, database: Any) -> None:
    add(database, "one", {"emotion": ["angry", "happy", None]})
    add(database, "two", {"emotion": ["angry", "angry", "neutral"]})
    corpus = read(save(database, tmp_path))
    assert list(corpus.manifest["emotion"]) == ["anger", "happiness", "neutral"]
    assert corpus.faults == ("db.two: 1 rows have another emotion than in a table before; ignored",)


def test_segments_have_what_is_said_of_their_file_but_not_its_labels_or_text(tmp_path: Path, database: Any) -> None:
    segments = audformat.segmented_index(["a.wav", "a.wav", "b.wav"], ["0s", "1.5s", "0s"], ["1.5s", "3s", None])
    database.schemes["transcription"] = audformat.Scheme("str")
    add(database, "emotion", {"emotion": ["angry", "happy", "neutral"]}, segments)
    add(database, "files", {"speaker": ["s1", "s2", "s2"], "transcription": ["A", "B", "C"], "arousal": [1, 0.5, 0]})
    corpus = read(save(database, tmp_path))
    found = corpus.manifest[["utterance", "start", "end", "speaker", "text", "arousal"]]
    pd.testing.assert_frame_equal(
        found,
        pd.DataFrame(
            {
                "utterance": ["a.wav#0", "a.wav#1.5", "b"],
                "start": [0.0, 1.5, np.nan],
                "end": [1.5, 3.0, np.nan],
                "speaker": ["s1", "s1", "s2"],
                "text": ["", "", "B"],
                "arousal": [np.nan, np.nan, 0.5],
            }
        ).astype({"utterance": "str", "speaker": "str", "text": "str"}),
    )


def test_dimensions_alone_are_labels_enough(tmp_path: Path, database: Any) -> None:
    database.schemes["activation"] = audformat.Scheme("int")
    add(database, "ratings", {"activation": [1, 5, None], "valence": ["low", "high", "low"]})
    corpus = read(save(database, tmp_path))
    np.testing.assert_array_equal(corpus.manifest["arousal"], [1, 5, np.nan])
    assert corpus.manifest["valence"].isna().all()
    assert corpus.faults == ("db.ratings: valence has no numbers, expected as valence; left out",)


def test_label_codes_are_read_by_what_the_scheme_says_of_them(tmp_path: Path, database: Any) -> None:
    labels = {"W": "anger", "F": "joy", "exc": "happy", "Q": "quark"}
    database.schemes["emotion"] = audformat.Scheme(labels=labels)
    add(database, "emotion", {"emotion": list(labels)}, ("a.wav", "b.wav", "c.wav", "d.wav"))
    corpus = read(save(database, tmp_path))
    assert list(corpus.manifest["emotion"]) == ["anger", "happiness", "excitement", "q"]
    assert len(corpus.faults) == 1 and "unknown emotion 'q'" in corpus.faults[0]


def test_speakers_may_be_described_in_a_misc_table(tmp_path: Path, database: Any) -> None:
    quiet(lambda: _speakers_in_a_table(database))
    add(database, "emotion", {"emotion": ["angry"] * 3})
    add(database, "files", {"speaker": [1, 2, 2]})
    corpus = read(save(database, tmp_path))
    found = corpus.manifest[["speaker", "gender", "language"]].to_numpy().tolist()
    assert found == [["1", "female", "pl"], ["2", "male", "ur"], ["2", "male", "ur"]]


def _speakers_in_a_table(database: Any) -> None:
    database["speakers"] = audformat.MiscTable(pd.Index([1, 2], dtype="Int64", name="speaker"))
    for column, values in (("sex", ["f", "Male"]), ("language", ["polish", "urd"])):
        database["speakers"][column] = audformat.Column()
        database["speakers"][column].set(values)
    database.schemes["speaker"] = audformat.Scheme("int", labels="speakers")


def test_a_row_in_two_splits_is_in_none(tmp_path: Path, database: Any) -> None:
    add(database, "emotion.train", {"emotion": ["angry", "happy"]}, ("a.wav", "b.wav"))
    add(database, "emotion.test", {"emotion": ["happy", "happy"]}, ("b.wav", "c.wav"))
    manifest = read(save(database, tmp_path)).manifest
    assert dict(zip(manifest["file"], manifest["split"], strict=True)) == {
        "a.wav": "train",
        "b.wav": "",
        "c.wav": "test",
    }


def test_a_column_called_utterance_that_repeats_is_no_name(tmp_path: Path, database: Any) -> None:
    add(database, "emotion", {"emotion": ["angry"] * 3, "utterance": ["Hi.", "Hi.", "Bye."]})
    corpus = read(save(database, tmp_path))
    assert list(corpus.manifest["utterance"]) == ["a", "b", "c"]
    assert corpus.faults == ("utterance: not unique, so no names; ignored",)


def test_a_database_without_emotions_names_its_schemes(tmp_path: Path, database: Any) -> None:
    del database.schemes["emotion"], database.schemes["arousal"]
    add(database, "files", {"speaker": ["s1", "s2", "s2"]})
    message = "nor arousal, valence, dominance, liking in the tables of the database 'mine'; its schemes are speaker"
    with pytest.raises(CorpusError, match=message):
        read(save(database, tmp_path))


def test_a_table_that_cannot_be_read_is_a_fault_and_the_rest_is_read(tmp_path: Path, database: Any) -> None:
    add(database, "emotion", {"emotion": ["angry", "happy", "neutral"]})
    add(database, "files", {"speaker": ["s1", "s2", "s2"]})
    add(database, "more", {"arousal": [0.1, 0.2, 0.3]})
    root = save(database, tmp_path)
    (root / "db.files.csv").write_text('file,speaker\n"a.wav,s1\nb.wav')
    (root / "db.more.csv").unlink()
    corpus = read(root)
    assert list(corpus.manifest["emotion"]) == ["anger", "happiness", "neutral"]
    assert set(corpus.manifest["speaker"]) == {""}
    first, second = corpus.faults
    assert first.startswith("db.files: not a table of this database: ") and first.endswith("; left out")
    assert second == "db.more: no such table as csv or parquet, and pickles are not read; left out"


class Bomb:
    """Leaves a file behind when it is unpickled."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[Any, ...]:
        return (Path.touch, (self.path,))


def test_nothing_in_a_database_is_run(tmp_path: Path, database: Any) -> None:
    fuse = tmp_path / "exploded"
    add(database, "emotion", {"emotion": ["angry", "happy", "neutral"]})
    root = save(database, tmp_path / "x")
    (root / "db.emotion.pkl").write_bytes(pickle.dumps(Bomb(fuse)))  # newer than the csv: what the library would take
    assert read(root).faults == ()
    header = (root / "db.yaml").read_text()
    (root / "db.yaml").write_text(f"{header}meta: !!python/object/apply:pathlib.Path.touch [{fuse}]\n")
    with pytest.raises(CorpusError, match=r"db\.yaml: not the header of an audformat database: "):
        read(root)
    assert not fuse.exists()


def no_header(root: Path) -> None:
    (root / "db.yaml").unlink()


def not_yaml(root: Path) -> None:
    (root / "db.yaml").write_text("name: [")


def no_mapping(root: Path) -> None:
    (root / "db.yaml").write_text("just a line\n")


def no_source(root: Path) -> None:
    (root / "db.yaml").write_text("name: x\nusage: other\n")


def not_utf8(root: Path) -> None:
    (root / "db.yaml").write_bytes(b"name: \xff\n")


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (no_header, r"db\.yaml: No such file or directory; expected the folder of an audformat database"),
        (not_yaml, r"db\.yaml: not the header of an audformat database"),
        (no_mapping, r"db\.yaml: not the header of an audformat database"),
        (no_source, r"db\.yaml: not the header of an audformat database: 'source'"),
        (not_utf8, r"db\.yaml: not the header of an audformat database"),
    ],
)
def test_a_broken_header_is_one_clear_line(
    tmp_path: Path, database: Any, damage: Callable[[Path], None], message: str
) -> None:
    add(database, "emotion", {"emotion": ["angry", "happy", "neutral"]})
    root = save(database, tmp_path)
    assert len(read(root).manifest) == 3
    damage(root)
    with pytest.raises(CorpusError, match=message) as caught:
        read(root)
    assert "\n" not in str(caught.value)


def test_without_the_package_both_ways_name_the_extra(
    tmp_path: Path, embedded: Corpus, monkeypatch: pytest.MonkeyPatch
) -> None:
    find = importlib.util.find_spec
    monkeypatch.setattr(
        importlib.util, "find_spec", lambda name, *rest: None if name == "audformat" else find(name, *rest)
    )
    for call in (lambda: read(tmp_path), lambda: write(embedded, tmp_path)):
        with pytest.raises(ConfigError, match=r"needs the package audformat: pip install 'affectra\[audformat\]'"):
            call()
