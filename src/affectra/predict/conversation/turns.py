"""Who says what when: the turns of conversations, from a table or from files given in their order."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from affectra.corpora.channels import parse_channel
from affectra.corpora.names import normalize_name
from affectra.corpora.tables import TABLE_SUFFIXES, read_records
from affectra.errors import ConfigError
from affectra.registry import unknown_name


@dataclass(frozen=True)
class Turn:
    """One turn of a conversation.

    Attributes:
        number: its place, as the table has it, else counted from 1 on.
        file: its recording, None where there is text alone.
        start: where it starts in the recording, s.
        end: where it ends, s; None is the end of the recording.
        speaker: who says it, "" if unknown.
        text: the words, "" if unknown.
        channel: of the recording, from 0 on; None is the mean of all.
    """

    number: int
    file: Path | None
    start: float = 0.0
    end: float | None = None
    speaker: str = ""
    text: str = ""
    channel: int | None = None


@dataclass(frozen=True)
class Conversation:
    """Turns in the order in which they were spoken; `name` is "" where a table holds one conversation alone."""

    name: str
    turns: tuple[Turn, ...]


def conversation_of_files(files: Sequence[Path]) -> Conversation:
    """One turn a file, in the order given; nobody knows who speaks."""
    return Conversation("", tuple(Turn(number, file) for number, file in enumerate(files, start=1)))


def read_conversations(
    table: Path, recording: Path | None = None, channels: Mapping[str, int] | None = None
) -> list[Conversation]:
    """Read a table of turns, .csv, .tsv or .jsonl; a manifest of a corpus is one.

    Columns, all of them optional but a file or text: file (relative to the table), start and end (s), speaker, text,
    channel (a number from 0 on, left or right), turn (a number; orders the turns), dialogue (several conversations in
    one table; a row without one stands for itself). Without turn numbers the turns of one recording are in the order
    in which they start, and those of several recordings as the table has them. Others are passed over. A single row
    may lack both file and text.

    Args:
        table: the file.
        recording: of the rows that name no file.
        channels: speaker -> channel, for rows that say none.

    Raises:
        CorpusError: no table, or one without rows.
        ConfigError: a row that cannot be, a recording or speaker that no row is of, or neither a recording nor a text.
    """
    channels = channels or {}
    rows: dict[str, list[tuple[int | None, Turn]]] = {}
    has_material, used, speakers = False, False, set()
    for line, record in read_records(table):
        place = f"{table}:{line}"
        if isinstance(record, str):
            raise ConfigError(f"{place}: {record}")
        number, turn = _turn(record, place, table.parent, recording, channels)
        has_material = has_material or turn.file is not None or "text" in record
        used = used or turn.file == recording
        speakers.add(record.get("speaker", ""))
        name = record.get("dialogue", "")
        alone = "dialogue" in record and not name
        rows.setdefault(f"row {line}" if alone else name, []).append((number, turn))
    if not has_material:
        raise ConfigError(f"{table}: no row names a file, and there is no column text; expected one of the two, or one "
                          "recording beside the table")  # fmt: skip
    if recording is not None and not used:
        raise ConfigError(f"{recording}: every row of {table} names a file of its own; leave one of the two out")
    for speaker in channels:
        if speaker not in speakers:
            raise ConfigError(f"--channel: {unknown_name('speaker', speaker, sorted(speakers - {''}))}")
    return [Conversation(name, _ordered(found, f"{table}{f', dialogue {name}' if name else ''}"))
            for name, found in rows.items()]  # fmt: skip


def _turn(
    record: Mapping[str, str], place: str, folder: Path, recording: Path | None, channels: Mapping[str, int]
) -> tuple[int | None, Turn]:
    """A row's turn, and its number where it has one."""
    named, text = record.get("file", ""), record.get("text", "")
    file = folder / named if named else recording
    start, end = _seconds(record, "start", place), _seconds(record, "end", place)
    if end is not None and end <= (start or 0.0):
        raise ConfigError(f"{place}: ends at {end:g} s and starts at {start or 0.0:g} s; expected a later end")
    speaker = record.get("speaker", "")
    channel = _channel(record["channel"], place) if record.get("channel") else channels.get(speaker)
    if not speaker and channel is not None:
        speaker = f"channel {channel}"  # people on channels of their own are not one person
    number = _number(record["turn"], place) if record.get("turn") else None
    return number, Turn(number or 0, file, start or 0.0, end, speaker, text, channel)


def _ordered(rows: Sequence[tuple[int | None, Turn]], place: str) -> tuple[Turn, ...]:
    """Turns in order, each with a number."""
    turns = [turn for _, turn in rows]
    n_numbered = sum(number is not None for number, _ in rows)
    if n_numbered == len(rows):
        numbers = [turn.number for turn in turns]
        if len(set(numbers)) < len(numbers):
            twice = next(number for number in numbers if numbers.count(number) > 1)
            raise ConfigError(f"{place}: turn {twice} is there twice; several conversations need a column dialogue")
        return tuple(sorted(turns, key=lambda turn: turn.number))
    if n_numbered:
        raise ConfigError(f"{place}: {n_numbered} of {len(rows)} turns have a number; give it to all or to none")
    if len({turn.file for turn in turns}) == 1:
        turns.sort(key=lambda turn: turn.start)
    return tuple(Turn(**{**vars(turn), "number": k}) for k, turn in enumerate(turns, start=1))


def _seconds(record: Mapping[str, str], column: str, place: str) -> float | None:
    cell = record.get(column, "")
    if not cell:
        return None
    try:
        seconds = float(cell)
    except ValueError:
        seconds = math.nan
    if not 0 <= seconds < math.inf:
        raise ConfigError(f"{place}: {column} is {cell!r}, expected seconds from the start of the recording")
    return seconds


def _number(cell: str, place: str) -> int:
    whole, _, rest = cell.partition(".")  # tables with gaps have 1.0 for 1
    if not whole.isdecimal() or rest.strip("0"):
        raise ConfigError(f"{place}: turn is {cell!r}, expected a whole number")
    return int(whole)


def _channel(cell: str, place: str) -> int:
    channel = parse_channel(cell)
    if channel is None:
        raise ConfigError(f"{place}: channel is {cell!r}, expected left, right or a number from 0 on")
    return channel


def parse_channels(given: Sequence[str]) -> dict[str, int]:
    """Channels of speakers as a command line has them.

    Raises:
        ConfigError: not SPEAKER=CHANNEL.

    Example:
        >>> parse_channels(["caller=left", "agent=1"])
        {'caller': 0, 'agent': 1}
    """
    found = {}
    for item in given:
        speaker, sign, cell = item.rpartition("=")
        if not (speaker and sign):
            raise ConfigError(f"--channel {item}: expected SPEAKER=CHANNEL, e.g. caller=left")
        found[normalize_name(speaker)] = _channel(cell, f"--channel {item}")
    return found


def conversations_of(given: Sequence[Path], channels: Mapping[str, int]) -> list[Conversation]:
    """The conversations in what a command line gives: recordings in order, or a table and perhaps one recording.

    Raises:
        CorpusError: no table, or one without rows.
        ConfigError: these do not go together, or a row that cannot be.
    """
    tables = [path for path in given if path.suffix.lower() in TABLE_SUFFIXES]
    recordings = [path for path in given if path not in tables]
    if not tables:
        if channels:
            raise ConfigError("--channel: says which speaker is on which channel, so it needs a table of turns")
        return [conversation_of_files(recordings)]
    if len(tables) > 1 or len(recordings) > 1:
        raise ConfigError(
            f"{len(tables)} tables and {len(recordings)} recordings; expected recordings alone, one turn each, or one "
            "table of turns and at most one recording"
        )
    return read_conversations(tables[0], recordings[0] if recordings else None, channels)
