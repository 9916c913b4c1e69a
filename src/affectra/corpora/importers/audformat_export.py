"""A corpus written as an audformat database, so that the field's tools can use it and reading it gives it back."""

import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pandas as pd

from affectra.corpora.importers.audformat import MEANINGS
from affectra.corpora.importers.audformat_store import ROW, TEXT_ALONE, is_number, load, quietly
from affectra.corpora.manifest import EMOTIONS, NUMBER_COLUMNS, Corpus
from affectra.errors import CorpusError, require_extra
from affectra.recipes.domains import primary_language

UTTERANCES = "utterances"  # the table of those with audio


def write(corpus: Corpus, folder: Path) -> None:
    """Write a corpus as a database: `db.yaml` and tables as csv; a table that csv would change is parquet.

    The table "utterances" has the manifest; utterances without audio are in the misc table "text_alone", side tables in
    misc tables of their names. Audio is not copied: files are relative to the corpus's root, so write into that folder
    or put the audio beside the database. Reading it gives the same corpus again, with these exceptions: an empty start
    before an end becomes 0, a start of 0 without an end becomes empty, times are rounded to nanoseconds, and emotions
    are the manifest's words.

    Raises:
        ConfigError: the package audformat is missing.
        CorpusError: there is a database in the folder, two utterances are the same segment, or a file's path would lead
            out of any folder.
    """
    require_extra("audformat", "audformat", "writing an audformat database")
    if (folder / "db.yaml").exists():
        raise CorpusError(f"{folder / 'db.yaml'}: a database is there already; give another folder or remove it")
    folder.mkdir(parents=True, exist_ok=True)
    with quietly(), tempfile.TemporaryDirectory(prefix=".audformat-", dir=folder) as temporary:
        made = Path(temporary)
        database = _make_database(corpus)
        database.save(str(made), storage_format="csv")
        again = load(made, [])
        for table_id in [*database.tables, *database.misc_tables]:  # csv has no way to say that the word is "null"
            if table_id not in again or not again[table_id].df.equals(database[table_id].df):
                database[table_id].save(str(made / f"db.{table_id}"), storage_format="parquet")
                (made / f"db.{table_id}.csv").unlink()
        for file in sorted(made.iterdir(), key=lambda file: file.suffix == ".yaml"):  # half a database has no header
            file.replace(folder / file.name)


def _make_database(corpus: Corpus) -> Any:
    import audformat

    manifest = corpus.manifest.reset_index(drop=True)
    database = audformat.Database(
        corpus.name,
        source="exported by Affectra",
        usage="other",
        languages=_languages(manifest["language"]),
        description="The licence is the corpus's own. Files are relative to the corpus's folder.",
    )
    columns = [column for column in MEANINGS if column == "emotion" or _has_any(manifest[column])]
    for column in columns:
        words = set(manifest[column]) - {""} if column == "emotion" else set()
        labels = sorted(words) if words <= set(EMOTIONS) else None
        dtype = "float" if column in NUMBER_COLUMNS else "str"
        database.schemes[column] = audformat.Scheme(dtype, labels=labels or None)
    spoken, silent = (manifest[(manifest["file"] != "") == has_audio] for has_audio in (True, False))
    if len(spoken):
        database[UTTERANCES] = audformat.Table(_index(spoken, corpus.name))
        _fill(database[UTTERANCES], spoken, {column: column for column in columns})
    if len(silent):
        database[TEXT_ALONE] = audformat.MiscTable(pd.Index(silent.index, dtype="int64", name=ROW))
        _fill(database[TEXT_ALONE], silent, {column: column for column in columns})
    for table_id, table in corpus.tables.items():
        schemes = {str(column): _kind(table[column]) for column in table}
        for dtype in set(schemes.values()):
            database.schemes[dtype] = audformat.Scheme(dtype)
        database[table_id] = audformat.MiscTable(pd.RangeIndex(len(table), name=ROW))
        _fill(database[table_id], table, schemes)
    return database


def _languages(languages: pd.Series) -> list[str]:
    """The header's languages; none if an utterance has none, since what the header says holds for all."""
    import audformat

    found = []
    for language in sorted(set(languages)):
        try:
            found.append(audformat.utils.map_language(primary_language(language)))
        except ValueError:
            return []
    return sorted(set(found))


def _has_any(values: pd.Series) -> bool:
    return bool((values.notna() & (values != "")).any())


def _kind(values: pd.Series) -> str:
    """The data type, and in the export the scheme, of a column of a side table."""
    if pd.api.types.is_integer_dtype(values.dtype):
        return "int"
    return "float" if is_number(values) else "str"


def _index(spoken: pd.DataFrame, corpus: str) -> pd.Index:
    """The files, or their segments if any utterance is a part of its file."""
    import audformat

    for name, file in zip(spoken["utterance"], spoken["file"], strict=True):
        if file.startswith("/") or "\\" in file or {".", ".."} & set(file.split("/")):
            raise CorpusError(f"{corpus}: {name}: a database cannot have the file {file!r}; rename it")
    starts, ends = (pd.to_timedelta((spoken[column] * 1e9).round(), unit="ns") for column in ("start", "end"))
    files = list(spoken["file"])
    index: pd.Index = audformat.segmented_index(files, list(starts.fillna(pd.Timedelta(0))), list(ends))
    if index.has_duplicates:
        name = spoken["utterance"].iloc[int(index.duplicated().argmax())]
        raise CorpusError(f"{corpus}: {name} is the same segment as another utterance; a database has each once")
    if spoken[["start", "end"]].isna().all(axis=None):
        index = audformat.filewise_index(files)
    return index


def _fill(table: Any, frame: pd.DataFrame, schemes: Mapping[str, str]) -> None:
    import audformat

    for column, scheme in schemes.items():
        table[column] = audformat.Column(scheme_id=scheme)
        values = frame[column]
        table[column].set(list(values) if is_number(values) else [None if value == "" else value for value in values])
