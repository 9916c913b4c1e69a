"""EmoBox (Ma et al. 2024): the JSON lines in which that benchmark describes its corpora, read and written."""

import json
import math
from collections.abc import Iterable
from pathlib import Path, PurePosixPath
from typing import Any

from affectra.audio import AUDIO_SUFFIXES, AudioInfo, probe
from affectra.corpora.importers.table_and_folder import corpus_from_rows, normalize_emotion
from affectra.corpora.manifest import COLUMNS, EMOTIONS, NUMBER_COLUMNS, Corpus
from affectra.corpora.tables import read_records
from affectra.corpora.tree import Fault, Row, condense, find_recording
from affectra.errors import CorpusError
from affectra.files import read_json, write_text

NEEDED = ("key", "wav", "emo")
FIELDS = {"key": "utterance", "wav": "file", "emo": "emotion", "start_time": "start", "end_time": "end"}
ALSO_READ = [column for column in COLUMNS if column not in ("corpus", *FIELDS.values())]
N_FOLDERS_UP = 3  # data/emodb/fold_1 lies three below the folder that has downloads/

Labels = dict[str, str]
Line = tuple[Path, int, Row]  # table, line, what stands there


def read(place: Path, root: Path | None = None, name: str | None = None) -> Corpus:
    """Read the utterances of one corpus from EmoBox's metadata, not its folds.

    The utterance is `key`, the file `wav`, the emotion `emo`. A code that is no emotion of the manifest is looked up in
    `label_map.json` beside the table or above its fold; what that map merges (IEMOCAP's excitement) stays apart.
    `start` and `end` are `start_time` and `end_time`. Speakers are in no published field and are not guessed from keys;
    fields that are named as the manifest's columns, as `write` adds them, are read. Sample rate, length and channel are
    the audio's own affair. An utterance in several folds is read once.

    Args:
        place: a .jsonl file, or a folder with .jsonl files in it or, if none, in its fold folders (`data/emodb`).
        root: folder that `wav` is relative to; default: the nearest folder from the table's upwards below which one of
            the recordings is, which in EmoBox's own layout is the folder of `data` and `downloads`.
        name: the corpus's name; default: the field `dataset`.

    Raises:
        CorpusError: no table, tables of several corpora, or no utterance whose recording is there.
    """
    tables = _find_tables(place)
    faults: list[Fault] = []
    lines = [line for table in tables for line in _read_table(table, faults)]
    datasets = sorted({str(row.get("dataset", "")) for _, _, row in lines} - {""})
    if len(datasets) > 1:
        raise CorpusError(f"{place}: lines of several corpora ({', '.join(datasets)}); give the folder of one")
    root = root or _find_root(tables[0], [row["wav"] for _, _, row in lines])
    labels = {table: _labels(table, faults) for table in tables}
    rows: dict[str, Row] = {}
    seen: set[tuple[Path, str]] = set()
    for table, line, fields in lines:
        key = fields["key"]
        row = _row(fields, root, labels[table])
        if isinstance(row, str):
            faults.append((f"{table.name}:{line} ({key})", f"{row}; left out"))
        elif (table, key) in seen:
            faults.append((f"{table.name}:{line}", f"{key} stands there twice; left out"))
        elif rows.setdefault(key, row) != row:
            faults.append((f"{table.name}:{line}", f"{key} is another utterance than in a table before; left out"))
        seen.add((table, key))
    if not rows:
        reason = f"; {condense(faults)[0]}" if faults else ""
        raise CorpusError(f"{place}: no utterance of EmoBox in {len(tables)} table(s), audio below {root}{reason}")
    dataset = name or (datasets[0] if datasets else tables[0].stem)
    return corpus_from_rows(dataset, root, list(rows.values()), faults, str(place))


def _find_tables(place: Path) -> list[Path]:
    if place.is_file():
        return [place]
    if not place.is_dir():
        raise CorpusError(f"{place}: no such file or folder; expected EmoBox's metadata such as data/emodb")
    for pattern in ("*.jsonl", "fold*/*.jsonl"):
        found = [path for path in sorted(place.glob(pattern)) if not path.name.startswith("._")]
        if found:
            return found
    below = sorted({path.parent.name for path in place.glob("*/*.jsonl")})
    hint = f"; give one of {', '.join(below)}" if below else "; expected EmoBox's metadata such as data/emodb"
    raise CorpusError(f"{place}: no .jsonl file in it or in fold folders{hint}")


def _read_table(table: Path, faults: list[Fault]) -> list[Line]:
    lines: list[Line] = []
    for line, record in read_records(table):
        if isinstance(record, str):
            faults.append((f"{table.name}:{line}", f"{record}; left out"))
        elif missing := [field for field in NEEDED if field not in record or not (record[field] or field == "emo")]:
            faults.append((f"{table.name}:{line}", f"no {missing[0]}; left out"))
        else:
            lines.append((table, line, record))
    return lines


def _find_root(table: Path, files: Iterable[str]) -> Path:
    """The nearest folder from the table's upwards with one of the recordings; if there is none, the table's own."""
    folders = [table.absolute().parent, *table.absolute().parent.parents[:N_FOLDERS_UP]]
    files = list(files)
    return next((folder for folder in folders if any(_find(file, folder) for file in files)), folders[0])


def _find(wav: str, root: Path) -> str | None:
    """Where a recording is, relative to the root."""
    named = wav.replace("\\", "/")
    if PurePosixPath(named).is_absolute():
        if not Path(named).is_relative_to(root.absolute()):
            return None
        named = Path(named).relative_to(root.absolute()).as_posix()
    return find_recording(root, named, AUDIO_SUFFIXES)


def _row(fields: Row, root: Path, labels: Labels) -> Row | str:
    """A manifest row, or why there is none."""
    for field, expected in (("type", "raw"), ("task", "category")):
        if (fields.get(field) or expected) != expected:
            return f"{field} is {fields[field]!r}, expected {expected}"
    found = _find(fields["wav"], root)
    if found is None:
        return f"no such file below {root}"
    row: Row = {column: fields[column] for column in ALSO_READ if fields.get(column)}
    row |= {column: fields[field] for field, column in FIELDS.items() if fields.get(field)}
    for column in NUMBER_COLUMNS:
        if column in row:
            try:
                row[column] = float(row[column])
            except ValueError:
                row[column] = math.nan
            if not math.isfinite(row[column]):
                return f"{column} is not a number"
    start, end = row.get("start", 0.0), row.get("end", math.inf)
    if not 0 <= start < end:
        return f"from {start} to {end} s is no span of time"
    return {**row, "file": found, "emotion": _emotion(fields["emo"], labels)}


def _emotion(code: str, labels: Labels) -> str:
    """The manifest's word for a corpus's code, by the label map only if the code is none itself."""
    word, mapped = normalize_emotion(code), normalize_emotion(labels.get(code, ""))
    return mapped if word not in EMOTIONS and mapped in EMOTIONS else word


def _labels(table: Path, faults: list[Fault]) -> Labels:
    """The nearest `label_map.json`: words by code."""
    for folder in (table.parent, table.parent.parent):
        path = folder / "label_map.json"
        if not path.is_file():
            continue
        try:
            labels = read_json(path)
        except ValueError:  # not JSON, or not UTF-8
            labels = None
        if isinstance(labels, dict):
            return {str(code): str(word) for code, word in labels.items()}
        faults.append((f"{folder.name}/{path.name}", "not a JSON object of words by code; ignored"))
        return {}
    return {}


def write(corpus: Corpus, path: Path) -> None:
    """Write a corpus as EmoBox's JSON lines, whose `wav` is relative to the corpus's root.

    Other columns of the manifest than EmoBox has fields for are added under their own names where they are not empty,
    so that `read(path, corpus.root)` gives the same manifest. What it does not keep: side tables, space around texts,
    and an empty start or end where the other is given, which becomes the file's own.

    Raises:
        CorpusError: an utterance without a recording; EmoBox describes recordings alone.
        AudioError: a recording that cannot be read, since its sample rate and length are written.
    """
    silent = corpus.manifest.loc[corpus.manifest["file"] == "", "utterance"]
    if len(silent):
        raise CorpusError(
            f"{corpus.name}: {len(silent)} utterances have no recording, the first is {silent.iloc[0]}; EmoBox "
            "describes recordings alone, so leave them out"
        )
    infos = {file: probe(corpus.root / file) for file in dict.fromkeys(corpus.manifest["file"])}
    records = [_record(row, corpus.name, infos[row["file"]]) for row in corpus.manifest.to_dict("records")]
    write_text(path, "".join(json.dumps(record, ensure_ascii=False, allow_nan=False) + "\n" for record in records))


def _record(row: dict[Any, Any], dataset: str, info: AudioInfo) -> dict[str, Any]:
    whole = math.isnan(row["start"]) and math.isnan(row["end"])
    start = 0.0 if math.isnan(row["start"]) else row["start"]
    end = info.duration_s if math.isnan(row["end"]) else row["end"]
    record = {
        "key": row["utterance"],
        "dataset": dataset,
        "wav": row["file"],
        "type": "raw",
        "sample_rate": info.sample_rate,
        "num_frame": (end - start) * info.sample_rate,
        "task": "category",
        "length": end - start,
        "emo": row["emotion"],
        "channel": 1,  # the first, as in all that EmoBox publishes
    }
    times = {} if whole else {"start_time": start, "end_time": end}
    others = {column: row[column] for column in ALSO_READ if row[column] != "" and row[column] == row[column]}
    return record | times | others
