"""audformat, the format of many published emotion databases: any of them read as a corpus."""

import re
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from affectra.corpora.importers.audformat_store import ROW, TEXT_ALONE, is_number, load, quietly
from affectra.corpora.importers.table_and_folder import corpus_from_rows, normalize_emotion
from affectra.corpora.manifest import COLUMNS, EMOTIONS, NUMBER_COLUMNS, Corpus
from affectra.corpora.tree import Fault, Row
from affectra.errors import CorpusError, require_extra

DIMENSIONS = ("arousal", "valence", "dominance", "liking")
SYNONYMS = {
    "activation": "arousal",
    "emotions": "emotion",
    "sex": "gender",
    "transcript": "text",
    "transcription": "text",
}
MEANINGS = [column for column in COLUMNS if column not in ("corpus", "file", "start", "end")]
# What holds for a whole file holds for its segments, unless it is a label, a text, a name or a number.
OF_FILES = ("speaker", "gender", "language", "session", "dialogue", "style", "split")
SPLITS = ("train", "dev", "test")
_NOTHING = np.iinfo(np.int64).min  # NaT as a number

Segment = tuple[str, float | None, float | None]  # file, start and end in s; both None for the whole file
Labels = Mapping[Any, Any]  # what a scheme says of each label: another word, or fields; empty if nothing
Columns = Mapping[str, Mapping[Segment, tuple[Any, Labels]]]  # values by the manifest's column and segment


@dataclass(frozen=True)
class Source:
    """A column of a table that says something of the manifest.

    Attributes:
        column: of the manifest.
        table: where it stands.
        gold: whether it is what raters agreed on.
        values: of each row of the table, None where empty.
        labels: of its scheme.
    """

    column: str
    table: str
    gold: bool
    values: Mapping[Segment, Any]
    labels: Labels


def read(root: Path, name: str | None = None) -> Corpus:
    """Read a database: a folder with `db.yaml` and its tables as csv or parquet.

    What a column means is given by its scheme or else by its own name, whatever the case: a column of the manifest, or
    activation, emotions, sex, transcript or transcription. The rules:

    - Utterances are the rows of the tables with emotions; if there are none, of those with arousal, valence, dominance
      or liking. Where tables have "gold" in their name, or in their column's rater, the others' rows are left out.
    - Of several columns of one meaning in a table the one so named counts, else the gold one, else none.
    - Of several tables a gold one counts first, then the one that stands first in the header.
    - An emotion is the manifest's word for the label; if the label is none, for the word that the scheme maps it to.
    - Gender and language may be fields of the speaker's labels; a language that the header names alone is everyone's.
    - A transcription whose labels are codes of sentences gives text and sentence.
    - What holds for a file holds for its segments, but for labels, texts, names and numbers.
    - The split is that of the table: its own, or a train, dev or test in its name. What is in several has none.

    Pickled tables are not read, since unpickling runs what is in them. Misc tables with the index `row` are what the
    export makes of tables beside a manifest, and become them again.

    Args:
        root: the database's folder, to which its files are relative.
        name: the corpus's name; default: the database's.

    Raises:
        ConfigError: the package audformat is missing.
        CorpusError: no database, or neither emotions nor dimensions in it.
    """
    require_extra("audformat", "audformat", "reading an audformat database")
    faults: list[Fault] = []
    with quietly():
        database = load(root, faults)
        rows = _read_rows(database, faults)
        beside = {key: _plain(table.df) for key, table in database.misc_tables.items() if table.index.names == [ROW]}
        schemes = ", ".join(sorted(database.schemes)) or "none"
    alone = beside.pop(TEXT_ALONE, pd.DataFrame())
    for position, row in zip(alone.index, alone.to_dict("records"), strict=True):
        rows.insert(int(position), {"file": "", **{str(column): value for column, value in row.items()}})
    if not rows:
        raise CorpusError(
            f"{root}: neither emotion nor {', '.join(DIMENSIONS)} in the tables of the database {database.name!r}; its "
            f"schemes are {schemes}"
        )
    files = dict.fromkeys(row["file"] for row in rows if row["file"])
    absent = [file for file in files if not (root / file).is_file()]
    if absent:
        faults.append((absent[0], f"not below {root}, as {len(absent)} of {len(files)} files; kept"))
    corpus = corpus_from_rows(name or str(database.name), root, rows, faults, str(root))
    tables = {key: table.reset_index(drop=True) for key, table in beside.items()}
    return Corpus(corpus.name, root, corpus.manifest, corpus.faults, tables)


def _read_rows(database: Any, faults: list[Fault]) -> list[Row]:
    sources = list(_find_sources(database, faults))
    segments = _find_utterances(sources, faults)
    columns = {column: _merge(column, sources, faults) for column in MEANINGS}
    columns["split"] = _find_splits(database) | columns["split"]
    languages = list(database.languages)
    rows = [_row(segment, columns, languages[0] if len(languages) == 1 else "") for segment in segments]
    names = [row["utterance"] for row in rows if row.get("utterance")]
    if len(set(names)) < len(names):
        faults.append(("utterance", "not unique, so no names; ignored"))
        for row in rows:
            row.pop("utterance", None)
    return rows


def _find_sources(database: Any, faults: list[Fault]) -> Iterator[Source]:
    for table_id, table in database.tables.items():
        segments = _segments(table.index)
        if len(set(segments)) < len(segments):
            faults.append((f"db.{table_id}", "has rows twice; the last counts"))
        by_meaning: dict[str, list[str]] = defaultdict(list)
        for column_id, column in table.columns.items():
            by_meaning[_meaning(column.scheme_id) or _meaning(column_id)].append(column_id)
        by_meaning.pop("", None)
        for meaning, column_ids in by_meaning.items():
            gold = [column_id for column_id in column_ids if "gold" in str(table.columns[column_id].rater_id).lower()]
            named = [column_id for column_id in column_ids if _meaning(column_id) == meaning]
            chosen = next((ids[0] for ids in (column_ids, named, gold) if len(ids) == 1), None)
            if chosen is None:
                text = f"{', '.join(column_ids)} are all {meaning}, and none is the gold standard; left out"
                faults.append((f"db.{table_id}", text))
                continue
            cells = table.df[chosen]
            if meaning in NUMBER_COLUMNS and not is_number(cells):
                faults.append((f"db.{table_id}", f"{chosen} has no numbers, expected as {meaning}; left out"))
                continue
            values = [None if pd.isna(cell) else cell for cell in cells.astype(object)]
            labels = _labels(database, table.columns[chosen].scheme)
            is_gold = chosen in gold or "gold" in table_id.lower()
            yield Source(meaning, table_id, is_gold, dict(zip(segments, values, strict=True)), labels)


def _meaning(name: str | None) -> str:
    """The manifest's column that a name means, "" if none."""
    word = (name or "").lower()
    word = SYNONYMS.get(word, word)
    return word if word in MEANINGS else ""


def _segments(index: pd.Index) -> list[Segment]:
    """The rows of a table, a segment over the whole file as the file."""
    files = [str(file) for file in index.get_level_values("file")]
    if index.nlevels == 1:
        return [(file, None, None) for file in files]
    levels = [index.get_level_values(level).to_numpy("timedelta64[ns]").astype(np.int64) for level in ("start", "end")]
    starts, ends = ([None if time == _NOTHING else int(time) / 1e9 for time in level] for level in levels)
    return [
        (file, None if not start and end is None else start or 0.0, end)
        for file, start, end in zip(files, starts, ends, strict=True)
    ]


def _labels(database: Any, scheme: Any) -> Labels:
    """Facts of a scheme's labels, from the scheme itself or from a misc table."""
    labels = None if scheme is None else scheme.labels
    if isinstance(labels, str) and labels in database.misc_tables:
        return dict(database.misc_tables[labels].df.to_dict("index"))
    return labels if isinstance(labels, Mapping) else {}


def _find_utterances(sources: Iterable[Source], faults: list[Fault]) -> list[Segment]:
    """The rows of the gold tables with emotions or else with dimensions; of all such tables if none is gold."""
    for meanings in (("emotion",), DIMENSIONS):
        labelled = [source for source in sources if source.column in meanings]
        chosen = [source for source in labelled if source.gold] or labelled
        segments = dict.fromkeys(segment for source in chosen for segment in source.values)
        if segments:
            rest = {segment for source in labelled for segment in source.values} - segments.keys()
            if rest:
                tables = sorted({source.table for source in labelled} - {source.table for source in chosen})
                faults.append((f"db.{tables[0]}", f"{len(rest)} rows are in no gold table; left out"))
            return list(segments)
    return []


def _merge(column: str, sources: Iterable[Source], faults: list[Fault]) -> dict[Segment, tuple[Any, Labels]]:
    """The values of a column by segment, each from the source that counts first."""
    merged: dict[Segment, tuple[Any, Labels]] = {}
    given_by: dict[Segment, bool] = {}
    for source in sorted((source for source in sources if source.column == column), key=lambda source: not source.gold):
        n_others = 0
        for segment, value in source.values.items():
            if value is None:
                continue
            if segment not in merged:
                merged[segment], given_by[segment] = (value, source.labels), source.gold
            elif merged[segment][0] != value and given_by[segment] == source.gold:
                n_others += 1
        if n_others:
            text = f"{n_others} rows have another {column} than in a table before; ignored"
            faults.append((f"db.{source.table}", text))
    return merged


def _find_splits(database: Any) -> dict[Segment, tuple[str, Labels]]:
    """The split of each row of tables that are of one; rows in several have none."""
    splits: dict[Segment, set[str]] = defaultdict(set)
    for table_id, table in database.tables.items():
        named = [part for part in re.split(r"[._-]", table_id.lower()) if part in SPLITS]
        split = table.split.type if table.split else named[0] if len(named) == 1 else ""
        if split in SPLITS:
            for segment in _segments(table.index):
                splits[segment].add(split)
    return {segment: (min(found), {}) for segment, found in splits.items() if len(found) == 1}


def _row(segment: Segment, columns: Columns, language: str) -> Row:
    file, start, end = segment
    row: Row = {"file": file, "start": start, "end": end, "emotion": ""}
    for column, values in columns.items():
        value, labels = values.get(segment) or (column in OF_FILES and values.get((file, None, None))) or (None, {})
        if value is None:
            continue
        row[column] = value if column in NUMBER_COLUMNS else str(value)
        meaning = labels.get(value)
        if column == "emotion":
            word, mapped = normalize_emotion(str(value)), normalize_emotion(meaning if isinstance(meaning, str) else "")
            row["emotion"] = mapped if word not in EMOTIONS and mapped in EMOTIONS else word
        elif column == "text" and isinstance(meaning, str):
            row["text"] = meaning
            row.setdefault("sentence", str(value))
        elif column == "speaker" and isinstance(meaning, Mapping):
            for field, content in meaning.items():
                if _meaning(str(field)) in ("gender", "language") and isinstance(content, str):
                    row.setdefault(_meaning(str(field)), content)
    row["language"] = _bcp47(row.get("language") or language)
    return row


def _bcp47(language: str) -> str:
    """The tag of a language that may be given by its name or by three letters; as it is if unknown."""
    from iso639 import Lang
    from iso639.exceptions import DeprecatedLanguageValue, InvalidLanguageValue

    if re.fullmatch(r"(?:[A-Za-z]{2}(?:-.+)?)?", language):
        return language
    try:
        found = Lang(language.lower() if len(language) == 3 else language.capitalize())
    except (DeprecatedLanguageValue, InvalidLanguageValue):
        return language
    return str(found.pt1 or found.pt3)


def _plain(frame: pd.DataFrame) -> pd.DataFrame:
    """A table as the manifest's are: text is `str` and "" where empty, numbers are NaN where empty."""
    plain = pd.DataFrame(index=frame.index.astype("int64"))
    for column, values in frame.items():
        if not is_number(values):
            plain[column] = values.astype(object).where(values.notna(), "").astype("str").to_numpy()
        elif pd.api.types.is_integer_dtype(values.dtype) and values.notna().all():
            plain[column] = values.to_numpy("int64")
        else:
            plain[column] = values.to_numpy("float64", na_value=np.nan)
    return plain
