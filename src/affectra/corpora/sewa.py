"""SEWA (Kossaifi et al. 2019) as in the challenges AVEC 2017 to 2019: video chats rated continuously in time."""

import math
import re
from collections.abc import Iterator
from pathlib import Path, PurePosixPath

import pandas as pd

from affectra.audio import probe
from affectra.corpora.manifest import Corpus, CorpusInfo, manifest_from_rows
from affectra.corpora.tree import RECORDING_SUFFIXES, Fault, Row, condense, is_media, list_files
from affectra.errors import AudioError, CorpusError

NAME = re.compile(r"(?P<split>Train|Devel|Test)_(?:(?P<culture>DE|HU|CN)_)?\d\d+")
SPLITS = {"Train": "train", "Devel": "dev", "Test": "test"}
LANGUAGES = {None: "de", "DE": "de", "HU": "hu", "CN": "zh-CN"}  # names of 2017 tell no culture: all are German
DIMENSIONS = ("arousal", "valence", "liking")
COLUMNS = {
    "labels": ("name", "time", *DIMENSIONS),
    "turns": ("start", "end"),
    "transcriptions": ("start", "end", "text"),
}
OVERHANG_S = 1.0  # ours: labels may end a little after the audio, by more they belong to another recording

Files = dict[str, PurePosixPath]  # by name of the recording
Cells = dict[str, str]


def read(root: Path) -> Corpus:
    """Read SEWA as AVEC 2017 (`audio/Train_01.wav`) or AVEC 2018 and 2019 (`audio/Train_DE_01.wav`) packed it.

    One utterance is one recording of up to three minutes. Its speaker is the person whom the labels rate, and as each
    recording rates another person, the speaker has the recording's name. The other person of the chat is audible too,
    outside the turns, and no name says who that is. Beside the manifest:

    - "continuous" (utterance, time, arousal, valence, liking) from `labels`, ten a second; the test part may have none,
    - "turns" (file, speaker, start, end) from `turns`: when the rated person speaks,
    - "transcripts" (utterance, start, end, text) from `transcriptions`, joined in the manifest's `text`.

    Labels and audio differ in length. Both are kept as they are; whoever aligns them must cut the longer. Tables have
    semicolons, with a header (2019) or without (2017), and names may stand in single quotes.

    Raises:
        CorpusError: no recording of SEWA below `root`.
    """
    files = list_files(root)
    faults: list[Fault] = []
    audio = _by_name(files, "audio", faults)
    if not audio:
        raise CorpusError(
            f"{root}: no recording of sewa among {len(files)} files; expected audio/Train_01.wav or "
            "audio/Train_DE_01.wav, and the folders labels, turns and transcriptions beside audio"
        )
    german = [name for name in audio if _language(name) == "de"]
    if 0 < sum("_DE_" in name for name in german) < len(german):
        faults.append(("audio", "names of AVEC 2017 and of 2019, which share their German recordings; read one alone"))
    found = {kind: _by_name(files, kind, faults) for kind in COLUMNS}
    for kind, tables in found.items():
        faults += _missing(kind, tables, audio)
    continuous = _read_labels(root, found["labels"], audio, faults)
    turns = [
        {"file": str(audio[name]), "speaker": name, "start": start, "end": end}
        for name, start, end, _ in _read_timed(root, "turns", found["turns"], faults)
    ]
    transcripts = [
        {"utterance": name, "start": start, "end": end, "text": text}
        for name, start, end, text in _read_timed(root, "transcriptions", found["transcriptions"], faults)
    ]
    texts: dict[str, list[str]] = {name: [] for name in audio}
    for part in transcripts:
        texts[str(part["utterance"])].append(str(part["text"]))
    rows = [_row(name, file, " ".join(filter(None, texts[name]))) for name, file in audio.items()]
    beside = {
        "continuous": continuous,
        "turns": pd.DataFrame(turns, columns=["file", "speaker", "start", "end"]),
        "transcripts": pd.DataFrame(transcripts, columns=["utterance", "start", "end", "text"]),
    }
    beside = {kind: table for kind, table in beside.items() if len(table)}
    return Corpus("sewa", root, manifest_from_rows(rows, "sewa"), condense(faults), beside)


def _language(name: str) -> str:
    match = NAME.fullmatch(name)
    assert match is not None, name
    return LANGUAGES[match["culture"]]


def _by_name(files: list[PurePosixPath], kind: str, faults: list[Fault]) -> Files:
    """Files in folders of one kind, by the name of the recording; the first where a name occurs twice."""
    found: Files = {}
    suffixes = RECORDING_SUFFIXES if kind == "audio" else (".csv",)
    for file in (file for file in files if file.parent.name == kind):
        if file.suffix.lower() not in suffixes:
            what = "not a recording" if kind == "audio" and not is_media(file) else f"expected {' or '.join(suffixes)}"
            faults.append((str(file), f"{what}; left out"))
        elif not NAME.fullmatch(file.stem):
            faults.append((str(file), "not a name of SEWA such as Train_01 or Train_DE_01; left out"))
        elif file.stem in found:
            faults.append((str(file), f"the same recording as {found[file.stem]}; left out"))
        else:
            found[file.stem] = file
    return found


def _missing(kind: str, tables: Files, audio: Files) -> Iterator[Fault]:
    """Recordings without a table that others have, and tables without a recording, which are dropped."""
    for name, file in audio.items():
        if name not in tables and (not name.startswith("Test") if kind == "labels" else tables):
            yield str(file), f"no table of its name in {kind}; kept without"
    for name in [name for name in tables if name not in audio]:
        yield str(tables.pop(name)), "no recording of its name in audio; left out"


def _row(name: str, file: PurePosixPath, text: str) -> Row:
    return {
        "utterance": name,
        "file": str(file),
        "speaker": name,
        "language": _language(name),
        "text": text,
        "style": "spontaneous",
        "split": SPLITS[name.split("_")[0]],
    }


def _read_labels(root: Path, tables: Files, audio: Files, faults: list[Fault]) -> pd.DataFrame:
    columns = ("utterance", "time", *DIMENSIONS)
    rows: list[tuple[str | float, ...]] = []
    for name, table in tables.items():
        times: set[float] = set()
        n_before = len(rows)
        for line, cells in _read_table(root, "labels", table, faults):
            numbers = [_number(cells.get(column, "")) for column in columns[1:]]
            if cells["name"].strip("'\"") != name:
                faults.append((f"{table}:{line}", f"a row of {cells['name']}; left out"))
            elif numbers[0] is None or math.isnan(numbers[0]) or None in numbers:
                faults.append((f"{table}:{line}", "time or label is not a number; left out"))
            elif all(math.isnan(number) for number in numbers[1:] if number is not None):
                faults.append((f"{table}:{line}", "no label; left out"))
            elif numbers[0] in times:  # rows in wrong order are kept: `read_traces` sorts them and says so
                faults.append((f"{table}:{line}", "a row before has the same time; left out"))
            else:
                times.add(numbers[0])
                rows.append((name, *(number for number in numbers if number is not None)))
        if len(rows) == n_before:
            faults.append((str(table), "no usable row; its recording has no labels"))
        else:
            faults += _overhang(root, table, audio[name], max(times))
    return pd.DataFrame(rows, columns=list(columns)).astype({"utterance": "str"})


def _overhang(root: Path, table: PurePosixPath, file: PurePosixPath, last_s: float) -> Iterator[Fault]:
    """Whether labels go on long after the audio; a header tells, and what is wrong with it the doctor says."""
    try:
        length_s = probe(root / file).duration_s
    except AudioError:
        return
    if last_s > length_s + OVERHANG_S:
        yield str(table), f"labels up to {last_s:g} s, the recording ends at {length_s:g} s; kept"


def _read_timed(root: Path, kind: str, tables: Files, faults: list[Fault]) -> Iterator[tuple[str, float, float, str]]:
    """Name, start, end and text of each timed line."""
    for name, table in tables.items():
        for line, cells in _read_table(root, kind, table, faults):
            start, end = _number(cells["start"]), _number(cells["end"])
            if start is None or end is None or not 0 <= start < end:  # of an empty cell all comparisons are false
                faults.append((f"{table}:{line}", f"from {cells['start']!r} to {cells['end']!r} s; left out"))
            else:
                yield name, start, end, cells.get("text", "")


def _read_table(root: Path, kind: str, table: PurePosixPath, faults: list[Fault]) -> list[tuple[int, Cells]]:
    """Number and cells of each line; a table that cannot be read is a fault and has none."""
    try:
        text = (root / table).read_text(encoding="utf-8-sig")
    except OSError as error:
        faults.append((str(table), f"cannot be read ({error.strerror}); left out"))
        return []
    except UnicodeDecodeError as error:
        faults.append((str(table), f"not UTF-8 at byte {error.start}; left out"))
        return []
    columns = COLUMNS[kind]
    rows: list[tuple[int, Cells]] = []
    for line, content in enumerate(text.split("\n"), start=1):
        # The text is the last cell, and what has semicolons there is still text.
        cells = [cell.strip() for cell in content.split(";", len(columns) - 1 if kind == "transcriptions" else -1)]
        if line == 1 and (header := _header(cells)):
            columns = header
            missing = [column for column in COLUMNS[kind] if column not in (*columns, "liking")]
            if missing:
                faults.append((str(table), f"column {missing[0]!r} is missing, found {', '.join(columns)}; left out"))
                return []
        elif len(cells) == len(columns):
            rows.append((line, dict(zip(columns, cells, strict=True))))
        elif any(cells):
            faults.append((f"{table}:{line}", f"{len(cells)} cells, expected {len(columns)}; left out"))
    return rows


def _header(cells: list[str]) -> tuple[str, ...]:
    """The columns' names, if a first line has them."""
    names = tuple(cell.strip("'\"").lower() for cell in cells)
    names = tuple("time" if name == "timestamp" else name for name in names)
    return names if {"time", "start"} & set(names) else ()


def _number(cell: str) -> float | None:
    """A finite number, NaN for an empty cell, None for anything else."""
    try:
        number = float(cell) if cell else math.nan
    except ValueError:
        return None
    return number if math.isfinite(number) or not cell else None


INFO = CorpusInfo(
    name="sewa",
    title="SEWA database as in the Audio/Visual Emotion Challenges AVEC 2017, 2018 and 2019",
    languages=("de", "hu", "zh-CN"),
    licence="signed agreement, academic research only",
    access="by a signed agreement: https://db.sewaproject.eu, or from the organisers of the challenges",
    read=read,
)
