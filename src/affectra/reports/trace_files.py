"""Predicted traces as files: a CSV and a Praat TextGrid for each recording."""

import io
from collections.abc import Sequence
from pathlib import Path
from urllib.parse import quote

import numpy as np
import numpy.typing as npt
import pandas as pd

from affectra.files import write_text
from affectra.reports.textgrid import Interval, tiers_text
from affectra.tasks.tables import PREDICTED, TRUTH, dimensions_of

INTERVAL_S = 1.0  # ours: a number that can be read at the usual zoom; the CSV has every frame
Array = npt.NDArray[np.floating]


def export_traces(predictions: pd.DataFrame, folder: str | Path) -> list[Path]:
    """Write <recording>.csv and <recording>.TextGrid for each recording of a run, predictions averaged over seeds.

    In names of recordings what cannot stand in a file's name, such as a slash, is written as %2F.

    Args:
        predictions: a table of predictions over time, see `affectra.tasks.tables`.
        folder: made where it is missing.

    Returns:
        The paths of the files.
    """
    dimensions = dimensions_of(predictions)
    numbers = [prefix + name for name in dimensions for prefix in (PREDICTED, TRUTH)]
    paths = []
    for utterance, rows in predictions.groupby("utterance", sort=False):
        mean = rows.groupby("time")[numbers].mean()  # the truth is the same for each seed
        values = {name.removeprefix(PREDICTED): mean[name].to_numpy() for name in numbers if name.startswith(PREDICTED)}
        truth = {name.removeprefix(TRUTH): mean[name].to_numpy() for name in numbers if name.startswith(TRUTH)}
        times = mean.index.to_numpy(dtype=float)
        stem = Path(folder) / quote(str(utterance), safe=" ")
        for suffix, text in (
            (".csv", trace_csv(times, values, truth)),
            (".TextGrid", trace_textgrid(times, values, truth)),
        ):
            paths.append(stem.with_name(stem.name + suffix))
            write_text(paths[-1], text)
    return paths


def trace_csv(times: Array, values: dict[str, Array], truth: dict[str, Array] | None = None) -> str:
    """One recording as CSV: time, a column a dimension, and truth_<dimension> where a truth is given; gaps are empty.

    Args:
        times: (frame,), s.
        values: dimension -> (frame,), NaN in gaps.
        truth: the same of the labels.
    """
    columns = {"time": times, **values, **{TRUTH + name: gold for name, gold in (truth or {}).items()}}
    stream = io.StringIO()
    pd.DataFrame(columns).to_csv(stream, index=False, lineterminator="\n", float_format="%.6g")
    return stream.getvalue()


def trace_textgrid(times: Array, values: dict[str, Array], truth: dict[str, Array] | None = None) -> str:
    """One recording as a TextGrid: a tier a dimension, and one a dimension of the truth, an interval a second.

    An interval holds the mean of the second's frames with two digits; it is empty where none is known. (Frames are too
    many to be read below a waveform, and points too many to be clicked on.)

    Args:
        times: (frame,), s, ascending.
        values: dimension -> (frame,), NaN in gaps.
        truth: the same of the labels.
    """
    step_s = float(np.median(np.diff(times))) if len(times) > 1 else INTERVAL_S
    end = float(times[-1]) + step_s
    tiers = [(name, means_of_seconds(times, trace, end)) for name, trace in values.items()]
    known = {name: gold for name, gold in (truth or {}).items() if not np.isnan(gold).all()}
    tiers += [(f"{name} (truth)", means_of_seconds(times, trace, end)) for name, trace in known.items()]
    return tiers_text(tiers, end)


def means_of_seconds(times: Array, trace: Array, end: float) -> Sequence[Interval]:
    """The means of a trace over seconds, from 0 to the end; empty text where no frame is known."""
    starts = np.arange(0.0, end - 1e-6, INTERVAL_S)
    second = np.minimum(((times + 1e-6) // INTERVAL_S).astype(int), len(starts) - 1)
    known = ~np.isnan(trace)
    counts = np.bincount(second[known], minlength=len(starts))
    sums = np.bincount(second[known], weights=trace[known], minlength=len(starts))
    return [
        Interval(float(start), min(float(start) + INTERVAL_S, end), f"{total / n:.2f}" if n else "")
        for start, total, n in zip(starts, sums, counts, strict=True)
    ]
