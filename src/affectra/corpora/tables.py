"""Tables as people keep them (.csv, .tsv, .jsonl), read row by row so that one bad row is a fault and not the end."""

import csv
import json
from collections.abc import Iterator
from io import StringIO
from pathlib import Path

from affectra.corpora.names import NAME_COLUMNS, normalize_names
from affectra.errors import CorpusError

TABLE_SUFFIXES = (".csv", ".tsv", ".jsonl")

Record = dict[str, str] | str  # cells by column, "" where empty; or what is wrong with the row


def find_table(place: Path) -> Path:
    """The table itself, or the only one in a folder.

    Raises:
        CorpusError: no table, or several.
    """
    if place.is_file():
        if place.suffix.lower() not in TABLE_SUFFIXES:
            raise CorpusError(f"{place}: expected a table, {' or '.join(TABLE_SUFFIXES)}")
        return place
    if not place.is_dir():
        raise CorpusError(f"{place}: no such file or folder; expected a table, {' or '.join(TABLE_SUFFIXES)}")
    found = sorted(path for path in place.iterdir() if path.suffix.lower() in TABLE_SUFFIXES and path.name[:2] != "._")
    if len(found) != 1:
        names = f"{len(found)} tables ({', '.join(path.name for path in found)})" if found else "no table"
        raise CorpusError(f"{place}: {names}, expected one {' or '.join(TABLE_SUFFIXES)}; give the file itself")
    return found[0]


def read_records(path: Path) -> list[tuple[int, Record]]:
    """Each row of a table with the number of its (last) line.

    Column names are trimmed and put into small letters, cells trimmed, names of people and the like in one spelling.
    Commas, semicolons or tabs separate, whichever the header has most of; a .tsv file has tabs.

    Raises:
        CorpusError: not UTF-8, not a table, or without rows.
    """
    try:
        text = path.read_text(encoding="utf-8-sig")
    except OSError as error:
        raise CorpusError(f"{path}: cannot be read ({error.strerror})") from error
    except UnicodeDecodeError as error:
        raise CorpusError(f"{path}: not UTF-8 at byte {error.start}; save it as UTF-8") from error
    records = list(_json_lines(text) if path.suffix.lower() == ".jsonl" else _separated(text, path))
    if not records:
        raise CorpusError(f"{path}: the table has no rows")
    for column in NAME_COLUMNS:
        named = [record for _, record in records if isinstance(record, dict) and column in record]
        for record, name in zip(named, normalize_names(record[column] for record in named), strict=True):
            record[column] = name
    return records


def _separated(text: str, path: Path) -> Iterator[tuple[int, Record]]:
    header = text.partition("\n")[0]
    delimiter = "\t" if path.suffix.lower() == ".tsv" else max(",;\t", key=header.count)
    reader = csv.reader(StringIO(text, newline=""), delimiter=delimiter, strict=True)
    columns: list[str] = []
    try:
        for cells in reader:
            if not columns:
                columns = [name.strip().lower() for name in cells]
                doubled = {name for name in columns if columns.count(name) > 1}
                if doubled:
                    raise CorpusError(f"{path}: the column {min(doubled)!r} stands there twice")
            elif len(cells) == len(columns):
                yield reader.line_num, {name: cell.strip() for name, cell in zip(columns, cells, strict=True)}
            elif any(cells):
                yield reader.line_num, f"{len(cells)} cells, expected {len(columns)}"
    except csv.Error as error:
        raise CorpusError(f"{path}:{reader.line_num}: not a table: {error}") from error


def _json_lines(text: str) -> Iterator[tuple[int, Record]]:
    for number, line in enumerate(text.split("\n"), start=1):
        if line.strip():
            yield number, _json_record(line)


def _json_record(line: str) -> Record:
    try:
        value = json.loads(line)
    except json.JSONDecodeError as error:
        return f"not JSON ({error.msg})"
    if not isinstance(value, dict):
        return "expected a JSON object"
    record = {}
    for name, cell in value.items():
        if isinstance(cell, (dict, list, bool)):
            return f"{name} is {json.dumps(cell)[:40]}, expected text or a number"
        record[name.strip().lower()] = "" if cell is None else str(cell).strip()
    return record
