"""Where a run's utterances come from: NAME=FOLDER of a known corpus, or NAME=MANIFEST."""

from pathlib import Path
from typing import Any

import pandas as pd

from affectra.corpora import find_corpus, read_corpus
from affectra.corpora.channels import nowhere_to_write
from affectra.corpora.manifest import Corpus, read_manifest, write_manifest
from affectra.corpora.names import normalize_names
from affectra.errors import CorpusError
from affectra.files import read_json, write_json

TABLE_TEXT = ("utterance", "file", "speaker", "rater", "emotion", "word", "text")  # columns of side tables
TABLE_NAMES = ("speaker", "rater")
MANIFEST_SUFFIXES = (".csv", ".parquet")


def open_corpus(source: str) -> Corpus:
    """Open what a user gave as `--corpus`.

    Args:
        source: `NAME=FOLDER`, `NAME=MANIFEST`, `MANIFEST`, or the name of the embedded corpus.

    Raises:
        CorpusError: unknown corpus, nothing there, or audio files that are not where the manifest says.
    """
    name, equals, place = source.partition("=")
    if not equals and source.endswith(MANIFEST_SUFFIXES):
        name, place = Path(source).stem, source
    if not place:
        info = find_corpus(name)
        if not info.synthetic:
            raise CorpusError(f"corpus {name}: say where it lies, --corpus {name}=FOLDER. {info.access}")
        from affectra.corpora.synthetic import render

        return read_corpus(name, render())
    path = Path(place).expanduser()
    if path.suffix in MANIFEST_SUFFIXES and path.is_file():
        return _from_manifest(path, name)
    if not path.is_dir():
        raise CorpusError(f"corpus {name}: {path} is neither a folder nor a manifest (.csv, .parquet)")
    try:
        find_corpus(name)
    except CorpusError as error:
        raise CorpusError(
            f"{error}; for your own folder run "
            f"`affectra prepare folder --root {path} --out {path / 'manifest.csv'}` and give that file"
        ) from error
    return read_corpus(name, path)


def _from_manifest(path: Path, name: str) -> Corpus:
    if path.suffix == ".csv" and _has_channels(path):
        raise nowhere_to_write(path)
    manifest = read_manifest(path, name)
    root = find_root(path, manifest)
    if root is None:
        first = next(file for file in manifest["file"] if file)
        raise CorpusError(
            f"{path}: {first} is not below {' or '.join(map(str, _roots(path)))}; move the manifest into the folder "
            "that its file column is relative to, or prepare it again"
        )
    beside = {table.name[len(path.stem) + 1 : -4]: table for table in sorted(path.parent.glob(f"{path.stem}.*.csv"))}
    return Corpus(name, root, manifest, tables={kind: _read_table(table) for kind, table in beside.items()})


def _has_channels(path: Path) -> bool:
    """Whether this is no manifest, but a table of turns that names channels of recordings."""
    with path.open(encoding="utf-8-sig", errors="replace") as file:
        return "channel" in (column.strip(' "\n').lower() for column in file.readline().split(","))


def _read_table(path: Path) -> pd.DataFrame:
    """A table beside a manifest, as `write_corpus` writes it; "NA" is a word there, not a number."""
    try:
        columns = pd.read_csv(path, nrows=0).columns
        numbers = {column: [""] for column in columns if column not in TABLE_TEXT}
        dtypes = {column: "str" for column in columns if column in TABLE_TEXT}
        table = pd.read_csv(path, dtype=dtypes, keep_default_na=False, na_values=numbers)
    except (ValueError, UnicodeDecodeError) as error:  # pandas' parser errors are ValueErrors
        raise CorpusError(f"{path}: not a readable table: {str(error).splitlines()[0]}") from error
    for column in (name for name in TABLE_NAMES if name in table):
        table[column] = pd.array(normalize_names(table[column]), dtype="str")
    return table


def find_root(path: Path, manifest: pd.DataFrame) -> Path | None:
    """The folder that a manifest's `file` column is relative to: its own, or the one it was prepared from.

    Args:
        path: where the manifest lies.
        manifest: its content.

    Returns:
        None if its first recording is in neither.
    """
    first = next((file for file in manifest["file"] if file), "")
    return next((root for root in _roots(path) if (root / first).exists()), None)


def _roots(path: Path) -> list[Path]:
    origin = _origin_file(path)
    origins: dict[str, Any] = read_json(origin) if origin.is_file() else {}
    return [path.parent, *([Path(origins["root"])] if "root" in origins else [])]


def write_corpus(corpus: Corpus, path: str | Path) -> None:
    """Write a corpus's manifest, its side tables beside it (`<stem>.<table>.csv`) and where its audio lies.

    The `file` column stays relative to the corpus's root, which `<stem>.origin.json` remembers, so that a manifest may
    lie outside it.
    """
    path = Path(path)
    if path.suffix not in MANIFEST_SUFFIXES:
        raise CorpusError(f"{path}: a manifest ends in .csv or .parquet")
    for table, content in corpus.tables.items():
        _write_table(content, path.with_name(f"{path.stem}.{table}.csv"))
    write_json(_origin_file(path), {"corpus": corpus.name, "root": str(corpus.root.resolve())})
    write_manifest(corpus.manifest, path)


def _write_table(table: pd.DataFrame, path: Path) -> None:
    from affectra.files import atomic_path

    with atomic_path(path) as temporary:
        table.to_csv(temporary, index=False, lineterminator="\n")


def _origin_file(path: Path) -> Path:
    return path.with_name(f"{path.stem}.origin.json")
