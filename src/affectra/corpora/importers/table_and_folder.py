"""Anybody's own corpus: a table of files, speakers and emotions, or one folder a class."""

import itertools
import math
import os
import re
from collections import Counter, defaultdict
from pathlib import Path, PurePosixPath

import numpy as np

from affectra.audio import AUDIO_SUFFIXES
from affectra.corpora.channels import ChannelFiles, nowhere_to_write, parse_channel
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
from affectra.corpora.names import normalize_name
from affectra.corpora.tables import Record, find_table, read_records
from affectra.corpora.tree import Fault, Row, condense, find_recording, is_media, list_files
from affectra.errors import ConfigError, CorpusError
from affectra.registry import unknown_name

DIMENSIONS = ("arousal", "valence", "dominance", "liking")
LABELS = ("emotion", *DIMENSIONS)  # a table needs one of them

# Words that corpora use for the manifest's emotions; other forms and abbreviations of the same word, nothing near it.
SYNONYMS = {
    "amusement": ("amused",),
    "anger": ("ang", "angry"),
    "boredom": ("bor", "bored"),
    "calm": ("calmness",),
    "disgust": ("dis", "disgusted"),
    "excitement": ("exc", "excited"),
    "fear": ("fea", "afraid", "fearful", "scared"),
    "frustration": ("fru", "frustrated"),
    "happiness": ("hap", "happy", "joy", "joyful"),
    "neutral": ("neu", "neutrality"),
    "sadness": ("sad",),
    "sleepiness": ("sleepy",),
    "surprise": ("sur", "surprised", "ps", "pleasant surprise", "pleasant surprised"),  # the latter three are TESS's
    "other": ("oth",),
    "none": ("xxx", "no agreement"),
}
EMOTION_OF = {synonym: word for word, synonyms in SYNONYMS.items() for synonym in (word, *synonyms)}
GENDER_OF = {word: word for word in GENDERS} | {"f": "female", "woman": "female", "m": "male", "man": "male"}


def normalize_emotion(word: str) -> str:
    """The manifest's word for an emotion; an unknown word in small letters.

    Example:
        >>> normalize_emotion("Angry"), normalize_emotion("pleasant_surprise"), normalize_emotion("Nostalgia")
        ('anger', 'surprise', 'nostalgia')
    """
    plain = " ".join(re.split(r"[\s_-]+", word.strip().casefold()))
    return EMOTION_OF.get(plain, plain)


def read_csv(
    place: str | Path, root: str | Path | None = None, name: str | None = None, channel_folder: Path | None = None
) -> Corpus:
    """Read a corpus described by a table (.csv, .tsv or .jsonl) with `file`, `emotion` and, if known, `speaker`.

    Any other column of the manifest is taken too, and ratings (`arousal`, `valence`, `dominance`, `liking`) may stand
    in place of `emotion`. An utterance without a name gets its file's stem, or as much of path, start, end and speaker
    as makes it unique. Rows that cannot be used are faults; so are columns that no manifest has and unknown words.

    A row with a `channel` (a number from 0 on, left or right) is of that channel of its recording alone, which is
    written as a mono file; the corpus's root is then a folder above all its files. Where the table says nothing of
    dialogues, the rows with a channel of one recording are one: its speakers talk with each other.

    Args:
        place: the table, or a folder with one table in it.
        root: folder that `file` is relative to; default: the table's.
        name: the corpus's name; default: the table's stem.
        channel_folder: where the files of single channels go; None refuses a table that names channels.

    Raises:
        CorpusError: no table, a column missing, no row that can be used, or channels that have nowhere to go.
    """
    table = find_table(Path(place))
    root = Path(root) if root is not None else table.parent
    records = read_records(table)
    columns = {column for _, record in records if not isinstance(record, str) for column in record}
    missing = "file" if "file" not in columns else "" if columns.intersection(LABELS) else "emotion"
    if columns and missing:
        raise CorpusError(
            f"{table}: the column {missing!r} is missing; expected file, speaker, emotion (or ratings: "
            f"{', '.join(DIMENSIONS)}), found {', '.join(sorted(columns))}"
        )
    if channel_folder is None and any(not isinstance(record, str) and record.get("channel") for _, record in records):
        raise nowhere_to_write(table)
    channels = ChannelFiles(root, channel_folder or root)
    name = name or table.stem
    rows: list[Row] = []
    faults: list[Fault] = []
    for line, record in records:
        row = record if isinstance(record, str) else _row(record, channels)
        if isinstance(row, str):
            faults.append((_place(table, line, record), f"{row}; left out"))
        else:
            rows.append(row)
    _number_turns(rows)
    if not rows:
        raise CorpusError(f"{table}: none of {len(records)} rows can be used; {condense(faults)[0]}")
    for column in sorted(columns - {*COLUMNS, "channel"}):
        faults.append((table.name, f"{unknown_name('column', column, COLUMNS)}; ignored"))
    if "emotion" not in columns:
        rated = ", ".join(column for column in DIMENSIONS if column in columns)
        faults.append((table.name, f"no column 'emotion'; the utterances have ratings alone ({rated})"))
    if "corpus" in columns:
        faults.append((table.name, f"column 'corpus' ignored; all utterances belong to {name!r}"))
    return corpus_from_rows(name, _shared_root(rows), rows, faults, str(table))


def _number_turns(rows: list[Row]) -> None:
    """Number the turns of recordings with a channel a speaker by when they start, unless the table numbers any.

    Their files, one a channel, no longer tell in which order they were spoken.
    """
    by_channel = [row for row in rows if row.pop("is_channel", False)]
    if any(row.get("turn", "") != "" for row in by_channel):
        return
    n_turns: Counter[str] = Counter()
    for row in sorted(by_channel, key=lambda row: row.get("start") or 0.0):
        if row["dialogue"]:
            n_turns[row["dialogue"]] += 1
            row["turn"] = n_turns[row["dialogue"]]


def _shared_root(rows: list[Row]) -> Path:
    """The folder that the files of all rows are relative to from here on; before, each is to its own `root`."""
    roots = {row["root"] for row in rows}
    if len(roots) == 1:
        return Path(roots.pop())
    shared = Path(os.path.commonpath([root.resolve() for root in roots]))
    for row in rows:
        row["file"] = (row["root"].resolve() / row["file"]).relative_to(shared).as_posix()
    return shared


def _place(table: Path, line: int, record: Record) -> str:
    """Table, line and, where the row has one, its file."""
    file = "" if isinstance(record, str) else record.get("file", "")
    return f"{table.name}:{line}" + (f" ({file})" if file else "")


def _row(record: dict[str, str], channels: ChannelFiles) -> Row | str:
    """A manifest row with the file as it is on disk and the folder `root` that it is in, or why there is none."""
    root = channels.root
    row: Row = {column: cell for column, cell in record.items() if column in COLUMNS and column != "corpus"}
    named = row["file"].replace("\\", "/") if row.get("file") else ""
    if not named:
        return "file is empty"
    if PurePosixPath(named).is_absolute():
        homes = [home for home in (root.absolute(), root.resolve()) if Path(named).is_relative_to(home)]
        if not homes:
            return f"not below {root}, and expected as a path relative to it"
        named = Path(named).relative_to(homes[0]).as_posix()
    found = find_recording(root, named, AUDIO_SUFFIXES)
    if found is None:
        return f"no such file below {root}"
    for column in NUMBER_COLUMNS:
        if row.get(column, "") != "":
            number = _number(row[column])
            if number is None:
                return f"{column} is {row[column]!r}, not a number"
            row[column] = number
    start, end = row.get("start") or 0.0, row.get("end")
    if start < 0 or (isinstance(end, float) and end <= start):
        return f"from {start} to {end} s is no span of time"
    row |= {"file": found, "root": root, "emotion": normalize_emotion(row.get("emotion", ""))}
    return _of_channel(row, record["channel"], channels) if record.get("channel") else row


def _of_channel(row: Row, cell: str, channels: ChannelFiles) -> Row | str:
    """The row with the file of its channel, or why there is none."""
    channel = parse_channel(cell)
    if channel is None:
        return f"channel is {cell!r}, expected left, right or a number from 0 on"
    found = channels.find(row["file"], channel)
    if isinstance(found, str):
        return found
    conversation = str(PurePosixPath(row["file"]).with_suffix(""))
    return {"dialogue": conversation, **row, "is_channel": True, "file": str(found), "root": channels.folder}


def _number(text: str) -> float | None:
    try:
        number = float(text)
    except ValueError:
        return None
    return number if math.isfinite(number) else None


def read_folder(root: str | Path, speaker_pattern: str | None = None, name: str | None = None) -> Corpus:
    """Read a folder with one sub-folder a class, each with recordings at any depth.

    Args:
        root: the folder.
        speaker_pattern: regular expression whose first group, searched for in the path relative to the root, is the
            speaker; without it no utterance has a speaker.
        name: the corpus's name; default: the folder's.

    Raises:
        ConfigError: the pattern is not valid or has no group.
        CorpusError: no recording in any sub-folder.

    Example:
        `read_folder("recordings", r"/(S\\d+)_")` takes S07 from `angry/S07_03.wav`.
    """
    root = Path(root)
    pattern = _compile(speaker_pattern) if speaker_pattern is not None else None
    rows: list[Row] = []
    faults: list[Fault] = []
    for file in list_files(root):
        if len(file.parts) == 1:
            if is_media(file):
                faults.append((str(file), "lies in no class's folder; left out"))
        elif file.suffix.lower() not in AUDIO_SUFFIXES:
            faults.append((str(file), f"expected {' '.join(AUDIO_SUFFIXES)}; left out"))
        else:
            match = pattern.search(str(file)) if pattern else None
            speaker = (match[1] or "") if match else ""
            if pattern and not speaker:
                faults.append((str(file), f"{speaker_pattern!r} finds no speaker in it; left empty"))
            rows.append({"file": str(file), "speaker": speaker, "emotion": normalize_emotion(file.parts[0])})
    if not rows:
        raise CorpusError(
            f"{root}: no recording in a sub-folder; expected one sub-folder a class, such as anger/01.wav"
        )
    return corpus_from_rows(name or root.resolve().name, root, rows, faults, str(root))


def _compile(pattern: str) -> re.Pattern[str]:
    try:
        compiled = re.compile(pattern)
    except re.error as error:
        raise ConfigError(
            f"speaker pattern {pattern!r}: {error}; expected a regular expression such as '(S\\d+)_'"
        ) from error
    if not compiled.groups:
        raise ConfigError(f"speaker pattern {pattern!r}: no group; put the part that is the speaker in parentheses")
    return compiled


def corpus_from_rows(name: str, root: Path, rows: list[Row], faults: list[Fault], source: str) -> Corpus:
    """Name the utterances, drop doubles, say which words are unknown."""
    name = normalize_name(name)
    _name_utterances(rows)
    kept: dict[str, Row] = {}
    for row in rows:
        first = kept.setdefault(row["utterance"], row)
        if first is not row:
            others = [column for column in COLUMNS if (row.get(column) or "") != (first.get(column) or "")]
            text = f"the utterance {row['utterance']!r} stands there twice"
            faults.append((row["file"], text + f", with another {', '.join(others)}" * bool(others) + "; left out"))
    for column, known in (("gender", GENDERS), ("style", STYLES)):
        for row in kept.values():
            word = row.get(column, "").lower()
            row[column] = GENDER_OF.get(word, word) if column == "gender" else word
            if row[column] and row[column] not in known:
                faults.append((row["file"], f"{unknown_name(column, row[column], known)}; left empty"))
                row[column] = ""
    words = Counter(row["emotion"] for row in kept.values())
    for word in sorted(words.keys() - {*EMOTIONS, ""}):
        faults.append((f"{words[word]} utterance(s)", f"{unknown_name('emotion', word, EMOTIONS)}; kept as it is"))
    manifest = validate_manifest(manifest_from_rows(kept.values(), name), source, name)
    return Corpus(name, root, manifest, condense(faults))


def _name_utterances(rows: list[Row]) -> None:
    """Give each nameless row the shortest name that no other has; rows of one file, times and speaker share one."""
    taken = {row["utterance"] for row in rows if row.get("utterance")}
    nameless: dict[tuple[str, float, float, str], list[Row]] = defaultdict(list)
    for row in rows:
        if not row.get("utterance"):
            times = row.get("start") or 0.0, row.get("end") or math.inf
            nameless[row["file"], *times, row.get("speaker") or ""].append(row)
    names = {who: _possible_names(*who) for who in nameless}
    for way in range(max(map(len, names.values()), default=0)):
        counts = Counter(names[who][way] for who in nameless)
        for who in [who for who in nameless if counts[names[who][way]] == 1 and names[who][way] not in taken]:
            taken.add(names[who][way])
            for row in nameless.pop(who):
                row["utterance"] = names[who][way]
    for who, same in nameless.items():  # somebody has given this name to another utterance
        number = next(k for k in itertools.count(2) if f"{names[who][-1]}-{k}" not in taken)
        taken.add(f"{names[who][-1]}-{number}")
        for row in same:
            row["utterance"] = f"{names[who][-1]}-{number}"


def _possible_names(file: str, start: float, end: float, speaker: str) -> list[str]:
    """Names from the shortest to the one with all that tells an utterance from others, times with all their digits.

    Example:
        >>> _possible_names("a/talk.wav", 0.0, 2.125, "bob")
        ['talk', 'a/talk', 'a/talk.wav', 'a/talk.wav#0', 'a/talk.wav#0-2.125', 'a/talk.wav#0-2.125-bob']
    """
    path = PurePosixPath(file)
    begin = f"{file}#{np.format_float_positional(start, trim='-')}"
    segment = begin if end == math.inf else f"{begin}-{np.format_float_positional(end, trim='-')}"
    by_speaker = f"{segment}-{speaker}" if speaker else segment
    return [path.stem, str(path.with_suffix("")), file, begin, segment, by_speaker]
