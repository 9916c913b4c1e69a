"""Rows of predictions as text that is complete after each recording: CSV, JSON, and tables for eyes and pipes."""

import csv
import io
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, TextIO

from affectra.errors import ConfigError
from affectra.registry import unknown_name

Row = Mapping[str, Any]
FORMATS = ("table", "csv", "json")
LONGEST_FILE = 40  # letters of a file's name in a table on a terminal
FLAGS = "flags"
WORDS = (FLAGS, "text")  # columns that are never cut


@dataclass(frozen=True)
class Layout:
    """How rows become a file: head, blocks with a separator between them, tail.

    Attributes:
        format: of `FORMATS`.
        columns: in order; others are not written.
        head: before the first block.
        separator: between blocks.
        tail: after the last block.
        empty: the whole, where there is no block.
    """

    format: str
    columns: tuple[str, ...]
    head: str
    separator: str
    tail: str
    empty: str

    def block(self, rows: Sequence[Row]) -> str:
        """The rows of one recording."""
        if self.format == "json":
            chosen = ({name: row.get(name) for name in self.columns} for row in rows)
            return ",\n".join("  " + json.dumps(row, ensure_ascii=False, allow_nan=False) for row in chosen)
        if self.format == "csv":
            return _csv_lines([[row.get(name) for name in self.columns] for row in rows])
        return "".join("\t".join(_cell(row.get(name)) for name in self.columns) + "\n" for row in rows)


def layout_of(format_: str, columns: Sequence[str]) -> Layout:
    """The layout of a format.

    Raises:
        ConfigError: an unknown format.

    Example:
        >>> layout = layout_of("json", ["file", "emotion"])
        >>> print(layout.head + layout.block([{"file": "a.wav", "emotion": "anger"}]) + layout.tail, end="")
        [
          {"file": "a.wav", "emotion": "anger"}
        ]
    """
    columns = tuple(columns)
    if format_ == "json":
        return Layout(format_, columns, "[\n", ",\n", "\n]\n", "[]\n")
    if format_ == "csv":
        head = _csv_lines([columns])
    elif format_ == "table":
        head = "\t".join(columns) + "\n"
    else:
        raise ConfigError(unknown_name("format", format_, FORMATS))
    return Layout(format_, columns, head, "", "", head)


def columns_of(classes: Sequence[str]) -> tuple[str, ...]:
    """The columns of a prediction, in order.

    Example:
        >>> columns_of(["anger"])
        ('file', 'start', 'end', 'emotion', 'confidence', 'score_anger', 'arousal', 'valence', 'flags')
    """
    scores = (f"score_{name}" for name in classes)
    return ("file", "start", "end", "emotion", "confidence", *scores, "arousal", "valence", FLAGS)


class Printer:
    """Rows to a stream as they come; as a context manager, whatever ends it, what was printed is complete.

    Args:
        stream: e.g. standard output.
        layout: how; a table on a terminal gets aligned columns.
        recordings: all that will be printed, for the width of the first column of such a table.
    """

    def __init__(self, stream: TextIO, layout: Layout, recordings: Sequence[Path] = ()) -> None:
        self._stream, self._layout = stream, layout
        is_seen = layout.format == "table" and stream.isatty()
        self._widths = _widths(layout.columns, recordings) if is_seen else None
        self._n_blocks = 0

    def __enter__(self) -> "Printer":
        return self

    def is_done(self, recording: Path) -> bool:  # noqa: ARG002, what was printed once is wanted again
        """Never: nobody can tell what a stream has seen before."""
        return False

    def write(self, recording: Path, rows: Sequence[Row]) -> None:  # noqa: ARG002, the rows name it
        """Print a recording's rows at once."""
        before = self._layout.separator if self._n_blocks else self._head()
        self._print(before + (self._aligned(rows) if self._widths else self._layout.block(rows)))
        self._n_blocks += 1

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if isinstance(error, BrokenPipeError):
            return  # nobody is reading any more
        if self._n_blocks:
            self._print(self._layout.tail)
        else:
            self._print(self._head() if self._widths else self._layout.empty)

    def _head(self) -> str:
        if self._widths is None:
            return self._layout.head
        return self._line([name.removeprefix("score_") for name in self._widths])

    def _aligned(self, rows: Sequence[Row]) -> str:
        return "".join(self._line([_cell(row.get(name)) for name in self._widths or ()]) for row in rows)

    def _line(self, cells: Sequence[str]) -> str:
        """Text to the left, numbers to the right; of a long file name the end, which tells files apart."""
        parts = []
        for cell, (name, width) in zip(cells, (self._widths or {}).items(), strict=True):
            shown = cell if name in WORDS or len(cell) <= width else "…" + cell[1 - width :]
            parts.append(shown.ljust(width) if name in ("file", "emotion", "speaker", *WORDS) else shown.rjust(width))
        return "  ".join(parts).rstrip() + "\n"

    def _print(self, text: str) -> None:
        self._stream.write(text)
        self._stream.flush()


def _widths(columns: Sequence[str], recordings: Sequence[Path]) -> dict[str, int]:
    scores = [name.removeprefix("score_") for name in columns if name.startswith("score_")]
    longest = max((len(str(path)) for path in recordings), default=LONGEST_FILE)
    widths = {name: max(7, len(name.removeprefix("score_"))) for name in columns}
    return widths | {"file": min(LONGEST_FILE, max(4, longest)), "emotion": max(map(len, ["emotion", *scores]))}


def _csv_lines(rows: Sequence[Sequence[Any]]) -> str:
    text = io.StringIO()
    csv.writer(text, lineterminator="\n").writerows(rows)
    return text.getvalue()


def _cell(value: Any) -> str:
    """A value in a table: three digits of a number; what would break a line or column is a space."""
    if value is None:
        return ""
    text = f"{value:.3f}" if isinstance(value, float) else str(value)
    return " ".join(text.split()) if any(letter in text for letter in "\t\r\n") else text
