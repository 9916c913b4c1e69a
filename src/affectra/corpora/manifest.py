"""The manifest: one row per utterance, its columns and what makes a row valid."""

import csv
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pandas as pd

from affectra.corpora.names import NAME_COLUMNS, normalize_names
from affectra.errors import CorpusError
from affectra.files import atomic_path
from affectra.registry import unknown_name

TEXT_COLUMNS = (
    "utterance",  # unique in the corpus
    "corpus",
    "file",  # relative to the manifest's root, forward slashes; empty where there is text alone
    "speaker",  # unique in the corpus
    "gender",
    "language",  # BCP 47
    "session",
    "dialogue",
    "text",
    "sentence",  # id of the spoken sentence where the corpus has one
    "intensity",
    "emotion",
    "style",
    "split",  # the corpus's own: train, dev, test
)
NUMBER_COLUMNS = ("start", "end", "turn", "arousal", "valence", "dominance", "liking")  # start, end in s
COLUMNS = (
    "utterance", "corpus", "file", "start", "end", "speaker", "gender", "language", "session", "dialogue", "turn",
    "text", "sentence", "intensity", "emotion", "arousal", "valence", "dominance", "liking", "style", "split",
)  # fmt: skip

EMOTIONS = (
    "amusement", "anger", "boredom", "calm", "disgust", "excitement", "fear", "frustration", "happiness", "neutral",
    "sadness", "sleepiness", "surprise", "other", "none",
)  # fmt: skip
GENDERS = ("female", "male")
STYLES = ("acted", "improvised", "scripted", "spontaneous")


@dataclass(frozen=True)
class Corpus:
    """One corpus as read from disk.

    Attributes:
        name: the corpus's name; equal to the manifest's `corpus` column.
        root: folder that the manifest's `file` column is relative to.
        manifest: one row per utterance with exactly `COLUMNS`; empty text is "", an empty number NaN.
        faults: what the reader found and did not understand or had to leave out, one line each.
        tables: side tables where the corpus has them: "words" (utterance, word, start, end), "continuous"
            (utterance, time, arousal, valence, liking), "raters", "turns" (file, speaker, start, end).
    """

    name: str
    root: Path
    manifest: pd.DataFrame
    faults: tuple[str, ...] = ()
    tables: Mapping[str, pd.DataFrame] = field(default_factory=dict)

    def path(self, row: Any) -> Path:
        """Absolute path of the audio of a manifest row (anything with a `file` attribute)."""
        return self.root / str(row.file)


@dataclass(frozen=True)
class CorpusInfo:
    """Facts about a corpus before it is read, and its reader.

    Attributes:
        name: the name used on the command line.
        title: full name.
        languages: BCP 47 tags.
        licence: licence or terms of use.
        access: how to get it, in one sentence.
        read: reader: folder -> `Corpus`, with options of its own where the corpus leaves a choice; a `CorpusError` says
            what was expected there.
        expected: published counts, any of "utterances", "speakers", "sessions", "dialogues" (numbers), "emotion",
            "style", "split" (counts by word), "tasks" (counts by class of a task); and "scale", the least and the
            greatest rating.
        synthetic: whether the speech is synthetic, so that each result on it says so.
    """

    name: str
    title: str
    languages: tuple[str, ...]
    licence: str
    access: str
    read: Callable[..., Corpus]
    expected: Mapping[str, Any] = field(default_factory=dict)
    synthetic: bool = False


def manifest_from_rows(rows: Iterable[Mapping[str, Any]], corpus: str) -> pd.DataFrame:
    """A manifest from a reader's rows; columns a row lacks stay empty.

    Args:
        rows: mappings with any of `COLUMNS`, at least `utterance` and `file`.
        corpus: name put in the `corpus` column.
    """
    frame = pd.DataFrame(list(rows), columns=list(COLUMNS), dtype=object)
    frame["corpus"] = corpus
    return _typed(frame)


def _typed(frame: pd.DataFrame) -> pd.DataFrame:
    """The columns in order: text as `str` with "" for empty, names in one spelling, numbers as float, NaN for empty."""
    columns: dict[str, Any] = {}  # a frame is made of them at once: one by one takes three times as long
    for column in COLUMNS:
        values: Any = frame[column].to_numpy() if column in frame else [None] * len(frame)
        if column in NUMBER_COLUMNS:
            columns[column] = np.array([np.nan if _is_empty(value) else float(value) for value in values], dtype=float)
        else:
            texts = ["" if _is_empty(value) else str(value) for value in values]
            columns[column] = pd.array(normalize_names(texts) if column in NAME_COLUMNS else texts, dtype="str")
    return pd.DataFrame(columns, index=range(len(frame)))


def _is_empty(value: Any) -> bool:
    return value is None or value is pd.NA or value == "" or bool(value != value)


def read_manifest(path: str | Path, corpus: str | None = None) -> pd.DataFrame:
    """Read a manifest (.csv or .parquet) and validate it.

    Args:
        path: the file.
        corpus: name for rows without one; default: the file's stem.

    Raises:
        CorpusError: not a table, a column or value that no manifest has, or a doubled utterance.
    """
    path = Path(path)
    if not path.is_file():
        raise CorpusError(f"{path}: no such manifest; `affectra prepare` writes one")
    try:
        if path.suffix == ".parquet":
            frame = pd.read_parquet(path)
        elif path.suffix == ".csv":
            frame = pd.read_csv(path, dtype=str, keep_default_na=False, encoding="utf-8-sig")
            if len(frame) and not isinstance(frame.index, pd.RangeIndex):  # pandas took the first column for row names
                raise CorpusError(f"{path}: rows have more cells than the header; put cells with commas in quotes")
        else:
            raise CorpusError(f"{path}: a manifest ends in .csv or .parquet")
    except (ValueError, OSError, UnicodeDecodeError) as error:  # pandas' and pyarrow's parser errors are ValueErrors
        raise CorpusError(f"{path}: not a readable table: {str(error).splitlines()[0]}") from error
    return validate_manifest(frame, str(path), corpus or path.stem)


def validate_manifest(frame: pd.DataFrame, source: str, corpus: str) -> pd.DataFrame:
    """Check a table against the manifest's rules and return it typed and complete.

    Args:
        frame: table with at least `utterance` and `file`.
        source: where it comes from, for messages.
        corpus: name for rows without one.

    Raises:
        CorpusError: naming the source, the row and what is wrong with it.
    """
    for column in frame.columns:
        if column not in COLUMNS:
            raise CorpusError(f"{source}: " + unknown_name("column", str(column), COLUMNS))
    for column in ("utterance", "file"):
        if column not in frame:
            raise CorpusError(
                f"{source}: the column {column!r} is missing; `affectra prepare csv` makes a manifest of a table"
            )
    for column in NUMBER_COLUMNS:
        if column in frame:
            _check_numbers(frame[column], column, source)
    manifest = _typed(frame)
    manifest.loc[manifest["corpus"] == "", "corpus"] = corpus
    if manifest.empty:
        raise CorpusError(f"{source}: the manifest has no rows")
    nameless = manifest.index[manifest["utterance"] == ""]
    if len(nameless):
        raise CorpusError(f"{source}: row {nameless[0] + 2}: utterance is empty")
    nothing = manifest.index[(manifest["file"] == "") & (manifest["text"] == "")]
    if len(nothing):
        raise CorpusError(f"{source}: row {nothing[0] + 2}: file is empty, and so is text")
    doubled = manifest.index[manifest.duplicated(["corpus", "utterance"])]
    if len(doubled):
        name = manifest.at[doubled[0], "utterance"]
        raise CorpusError(f"{source}: row {doubled[0] + 2}: the utterance {name!r} stands there twice")
    for column in ("utterance", "split"):  # "train " is no part
        spaced = manifest.index[manifest[column] != manifest[column].str.strip()]
        if len(spaced):
            found = manifest.at[spaced[0], column]
            raise CorpusError(
                f"{source}: row {spaced[0] + 2}: {column} is {found!r}, with space around it; take it off"
            )
    _check_words(manifest, "gender", GENDERS, source)
    _check_words(manifest, "style", STYLES, source)
    backwards = manifest.index[manifest["end"] <= manifest["start"].fillna(0.0)]
    if len(backwards):
        raise CorpusError(f"{source}: row {backwards[0] + 2}: end is not after start")
    if (manifest["start"] < 0).any():
        raise CorpusError(f"{source}: row {manifest.index[manifest['start'] < 0][0] + 2}: start is negative")
    return manifest


def _check_numbers(column: pd.Series, name: str, source: str) -> None:
    for row, value in enumerate(column):
        if _is_empty(value):
            continue
        try:
            finite = np.isfinite(float(value))
        except (TypeError, ValueError):
            finite = False
        if not finite:
            raise CorpusError(f"{source}: row {row + 2}: {name} is {value!r}, not a number")


def _check_words(manifest: pd.DataFrame, column: str, known: Sequence[str], source: str) -> None:
    wrong = manifest.index[~manifest[column].isin(["", *known])]
    if len(wrong):
        found = str(manifest.at[wrong[0], column])
        raise CorpusError(f"{source}: row {wrong[0] + 2}: {unknown_name(column, found, known)}")


def write_manifest(manifest: pd.DataFrame, path: str | Path) -> None:
    """Write a manifest as .csv or .parquet, by its suffix, atomically.

    Raises:
        CorpusError: another suffix.
    """
    path = Path(path)
    if path.suffix not in (".csv", ".parquet"):
        raise CorpusError(f"{path}: a manifest ends in .csv or .parquet")
    with atomic_path(path) as temporary:
        if path.suffix == ".csv":
            # A carriage return alone is not quoted by default, and would begin a row when read.
            returns = any("\r" in text for column in TEXT_COLUMNS if column in manifest for text in manifest[column])
            quoting: Literal[0, 2] = csv.QUOTE_NONNUMERIC if returns else csv.QUOTE_MINIMAL
            manifest.to_csv(temporary, index=False, lineterminator="\n", quoting=quoting)
        else:
            manifest.to_parquet(temporary, index=False)


def join_manifests(manifests: Sequence[pd.DataFrame]) -> pd.DataFrame:
    """Manifests of different corpora as one, in their order.

    Raises:
        CorpusError: two of them have utterances of one corpus.
    """
    names = [name for manifest in manifests for name in manifest["corpus"].unique()]
    if doubled := sorted({name for name in names if names.count(name) > 1}):
        raise CorpusError(f"several manifests say corpus {doubled[0]!r}; their utterances could not be told apart")
    return pd.concat(manifests, ignore_index=True)


def utterance_keys(manifest: pd.DataFrame) -> pd.Series:
    """Each row's name in splits and predictions: the utterance, or corpus/utterance where there are several corpora."""
    if manifest["corpus"].nunique() <= 1:
        return manifest["utterance"]
    return manifest["corpus"] + "/" + manifest["utterance"]
