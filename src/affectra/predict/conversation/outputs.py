"""Predictions of conversations out: rows as they come to standard output, a file at the end, TextGrids a recording."""

import sys
from collections import defaultdict
from collections.abc import Mapping, Sequence
from io import StringIO
from pathlib import Path
from types import TracebackType
from typing import Any

from affectra.audio import probe
from affectra.errors import ConfigError
from affectra.files import write_text
from affectra.predict.outputs.choice import TEXTGRID, chosen_format
from affectra.predict.outputs.folders import names_in
from affectra.predict.outputs.stream import Printer, columns_of, layout_of
from affectra.reports.textgrid import SHORTEST_S, Interval, intervals, tiers_text

Row = Mapping[str, Any]


class ConversationOutput:
    """Where rows of turns go; as a context manager, a file is written whole when it ends without an error.

    Args:
        classes: those offered.
        recordings: all that turns are of.
        has_names: whether there are several conversations, each with a name.
        format_: table, csv, json or textgrid; default: what `out` ends in, else a table.
        out: a file, or a folder of TextGrids; default: standard output.

    Raises:
        ConfigError: these do not go together.
    """

    def __init__(
        self,
        classes: Sequence[str],
        recordings: Sequence[Path],
        *,
        has_names: bool,
        format_: str | None,
        out: Path | None,
    ) -> None:
        self._format, self._out = chosen_format(format_, out), out
        self._by_file: dict[Path, list[Row]] = defaultdict(list)
        self._text = StringIO()
        if self._format == TEXTGRID:
            if not recordings:
                raise ConfigError("--format textgrid: none of the turns has a recording")
            if len(recordings) > 1 and (out is None or out.suffix):
                raise ConfigError(
                    f"a TextGrid is of one recording and the turns are of {len(recordings)}; give --out FOLDER"
                )
            return
        columns = (*columns_of(classes), "speaker", "turn", "text", *(["dialogue"] if has_names else []))
        layout = layout_of(self._format, columns)
        self._printer = Printer(sys.stdout if out is None else self._text, layout, recordings)

    def write(self, rows: Sequence[Row]) -> None:
        """Take the rows of turns, as of `TurnPrediction.as_row`."""
        if self._format == TEXTGRID:
            for row in rows:
                if row["file"]:
                    self._by_file[Path(row["file"])].append(row)
        elif rows:
            self._printer.write(Path(), rows)

    def __enter__(self) -> "ConversationOutput":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._format == TEXTGRID:
            if error is None:
                self._write_textgrids()
            return
        self._printer.__exit__(kind, error, trace)
        if error is None and self._out is not None:
            write_text(self._out, self._text.getvalue())

    def _write_textgrids(self) -> None:
        is_folder = self._out is not None and not self._out.suffix
        names = names_in(self._out, list(self._by_file), ".TextGrid") if is_folder and self._out else {}
        for file, rows in self._by_file.items():
            text = conversation_textgrid(rows, probe(file).duration_s)
            if self._out is None:
                sys.stdout.write(text)
            else:
                write_text(names.get(file, self._out), text)


def conversation_textgrid(rows: Sequence[Row], duration_s: float) -> str:
    """One recording's turns as a TextGrid with a tier a speaker, in which the emotions stand.

    Speakers may talk at a time; where turns of one speaker overlap, each moment belongs to the turn whose middle is
    nearest.

    Args:
        rows: as of `TurnPrediction.as_row`, at least one.
        duration_s: of the recording.
    """
    by_speaker: dict[str, list[Row]] = defaultdict(list)
    for row in rows:
        by_speaker[row["speaker"] or "speaker unknown"].append(row)
    end = max(duration_s, *(row["end"] for row in rows))
    tiers = []
    for speaker, of_speaker in by_speaker.items():
        found = intervals(of_speaker, lambda row: str(row["emotion"]))
        if end - found[-1].end > SHORTEST_S:
            found.append(Interval(found[-1].end, end, ""))
        else:
            found[-1] = found[-1]._replace(end=end)
        tiers.append((speaker, found))
    return tiers_text(tiers, end)
