"""Rows of a model over time: their columns, their TextGrid and their picture."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from affectra.predict.outputs.stream import FLAGS, Row
from affectra.reports.textgrid import Interval, tiers_text
from affectra.reports.trace_files import means_of_seconds
from affectra.reports.trace_pictures import write_traces_picture

FIXED = ("file", "start", "end")


def trace_columns(dimensions: Sequence[str]) -> tuple[str, ...]:
    """The columns, in order.

    Example:
        >>> trace_columns(["arousal", "liking"])
        ('file', 'start', 'end', 'arousal', 'liking', 'flags')
    """
    return (*FIXED, *dimensions, FLAGS)


def rows_textgrid(rows: Sequence[Row]) -> str:
    """One recording's rows as a TextGrid: a tier a dimension, an interval a second with the mean of its frames.

    Args:
        rows: as of `affectra.predict.frame_model.TracePrediction.rows`; a single row is one interval.
    """
    end = rows[-1]["end"]
    times = np.array([row["start"] for row in rows])
    tiers = []
    for name in _dimensions(rows):
        values = np.array([row[name] for row in rows])
        found = [Interval(0.0, end, f"{values[0]:.2f}")] if len(rows) == 1 else means_of_seconds(times, values, end)
        tiers.append((name, found))
    if rows[0][FLAGS]:
        tiers.append((FLAGS, [Interval(0.0, end, str(rows[0][FLAGS]))]))
    return tiers_text(tiers, end)


def write_rows_picture(path: Path, rows: Sequence[Row], title: str, model: str) -> None:
    """Draw one recording's rows, a panel a dimension."""
    times = np.array([row["start"] for row in rows])
    values = {name: np.array([row[name] for row in rows]) for name in _dimensions(rows)}
    write_traces_picture(path, times, {}, values, f"{title}  \N{MIDDLE DOT}  {model}")


def _dimensions(rows: Sequence[Row]) -> list[str]:
    return [name for name in rows[0] if name not in (*FIXED, FLAGS)]
