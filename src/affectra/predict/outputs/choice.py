"""Which outputs a user asked for: standard output or a file, text or pictures, one recording or many."""

import sys
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from affectra.errors import ConfigError
from affectra.files import write_text
from affectra.predict.outputs.batch import Output
from affectra.predict.outputs.folders import PictureFolder, TextGridFolder
from affectra.predict.outputs.resumable import ResumableFile
from affectra.predict.outputs.stream import Printer, Row, columns_of, layout_of
from affectra.reports.prediction_picture import PictureFile, write_picture
from affectra.reports.textgrid import textgrid

TEXTGRID = "textgrid"
ENDINGS = {".csv": "csv", ".json": "json", ".tsv": "table", ".textgrid": TEXTGRID}


class OneTextGrid:
    """The only recording's TextGrid, into a file or to standard output.

    Args:
        path: None for standard output.
        text_of: what becomes of its rows.
    """

    def __init__(self, path: Path | None, text_of: Callable[[Sequence[Row]], str] = textgrid) -> None:
        self._path, self._text_of = path, text_of

    def is_done(self, recording: Path) -> bool:  # noqa: ARG002
        """Never: one recording is quickly done again."""
        return False

    def write(self, recording: Path, rows: Sequence[Row]) -> None:  # noqa: ARG002
        """Write the recording's rows."""
        if self._path is None:
            sys.stdout.write(self._text_of(rows))
        else:
            write_text(self._path, self._text_of(rows))


def open_outputs(
    stack: ExitStack,
    recordings: Sequence[Path],
    classes: Sequence[str],
    model: str,
    *,
    format_: str | None,
    out: Path | None,
    plot: Path | None,
    settings: Mapping[str, Any],
    dimensions: Sequence[str] = (),
) -> list[Output]:
    """The outputs for what was asked, opened.

    Args:
        stack: closes them.
        recordings: all that will be predicted.
        classes: those offered.
        model: its name, for titles.
        format_: table, csv, json or textgrid; default: what `out` ends in, else a table.
        out: a file, or a folder of TextGrids; default: standard output.
        plot: a picture, or a folder of them.
        settings: what the rows depend on besides the recordings; an earlier run's must be the same to go on with it.
        dimensions: of a model over time, which has no classes.

    Raises:
        ConfigError: these do not go together, or the output is of something else.
    """
    chosen = chosen_format(format_, out)
    outputs: list[Output] = []
    columns, text_of, draw = columns_of(classes), textgrid, write_picture
    if dimensions:
        from affectra.predict.outputs.traces_rows import (  # takes pandas
            rows_textgrid,
            trace_columns,
            write_rows_picture,
        )

        columns, text_of, draw = trace_columns(dimensions), rows_textgrid, write_rows_picture
    if plot is not None and plot.suffix:
        _only_one(recordings, f"--plot {plot} draws one recording", "a folder")
        outputs.append(PictureFile(plot, model, draw))
    elif plot is not None:
        outputs.append(PictureFolder(plot, recordings, model, draw))
    if chosen == TEXTGRID:
        if out is not None and not out.suffix:
            settings = {**settings, "classes": list(classes)}
            outputs.append(stack.enter_context(TextGridFolder(out, settings, recordings, text_of)))
        else:
            _only_one(recordings, "a TextGrid is of one recording", "--out FOLDER")
            outputs.append(OneTextGrid(out, text_of))
    else:
        layout = layout_of(chosen, columns)
        if out is None:
            outputs.append(stack.enter_context(Printer(sys.stdout, layout, recordings)))
        else:
            outputs.append(stack.enter_context(ResumableFile(out, layout, settings, recordings)))
    return outputs


def chosen_format(format_: str | None, out: Path | None) -> str:
    """table, csv, json or textgrid: what is asked for, else what `out` ends in, else a table.

    Raises:
        ConfigError: these do not go together.
    """
    if out is None:
        return format_ or "table"
    if not out.suffix or out.is_dir():
        if format_ != TEXTGRID:
            raise ConfigError(f"--out {out}: expected a name that ends in .csv, .json or .tsv, or --format textgrid")
        return TEXTGRID
    of_ending = ENDINGS.get(out.suffix.lower())
    if of_ending is None:
        raise ConfigError(f"--out {out}: expected a name that ends in {', '.join(ENDINGS)}")
    if format_ not in (None, of_ending):
        raise ConfigError(f"--out {out} is not of --format {format_}; leave one of them out")
    return of_ending


def _only_one(recordings: Sequence[Path], what: str, remedy: str) -> None:
    if len(recordings) > 1:
        raise ConfigError(f"{what} and {len(recordings)} are given; give {remedy} for several")
