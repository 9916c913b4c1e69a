"""Traces: the time-continuous labels of each recording on a regular grid of frames, with a mask for gaps."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pandas as pd

from affectra.errors import CorpusError
from affectra.registry import unknown_name

STEP_S = 0.1  # of SEWA and of the embedded corpus: a label every 100 ms
MAX_GAP_S = 1.0  # ours: nothing is interpolated across more, whatever the rate of the labels
MAX_STEPS = 1.5  # ours: neighbours farther apart than this, in steps of their own, have a row missing between them
SAME_TIME_S = 1e-6  # times of tables are decimals, which floats only come near to
Array = npt.NDArray[np.float64]
Mask = npt.NDArray[np.bool_]


@dataclass(frozen=True)
class Trace:
    """The labels of one recording, a row a frame; frame k begins at `times[k]` = k * step.

    Attributes:
        times: (frame,), s.
        values: (frame, dimension); 0 where not known, so that a masked loss never meets NaN.
        known: (frame, dimension), false in gaps.
    """

    times: Array
    values: Array
    known: Mask

    def __len__(self) -> int:
        return len(self.times)

    @property
    def with_gaps(self) -> Array:
        """(frame, dimension); NaN where not known."""
        return np.where(self.known, self.values, np.nan)

    def cut(self, n_frames: int) -> "Trace":
        """The first frames alone."""
        return Trace(self.times[:n_frames], self.values[:n_frames], self.known[:n_frames])


@dataclass(frozen=True)
class Traces:
    """The labels of a corpus.

    Attributes:
        dimensions: what the columns of a trace are.
        step_s: from frame to frame, s.
        by_utterance: the recordings that have labels.
        warnings: what was put right, a line each, by the recording's name.
    """

    dimensions: tuple[str, ...]
    step_s: float
    by_utterance: Mapping[str, Trace]
    warnings: tuple[str, ...] = ()


def read_traces(
    table: pd.DataFrame,
    dimensions: Sequence[str],
    *,
    step_s: float = STEP_S,
    durations_s: Mapping[str, float] | None = None,
    source: str = "continuous",
) -> Traces:
    """Traces from a corpus's table of time-continuous labels.

    Labels of another rate are interpolated linearly. A frame is known where labels lie on both its sides (or on it)
    and are neighbours: no farther apart than 1.5 of the recording's own steps, and never more than `MAX_GAP_S`. So a
    missing row or an empty cell is a gap, and nothing is made up before the first and after the last label.

    The grid ends with the labels. Where the audio and the labels differ by more than the last, partial frame there is
    one warning; whatever is computed from the audio is then cut to the labels by `common_length`.

    Args:
        table: columns utterance, time (s) and one a dimension; NaN where a dimension is not known.
        dimensions: which columns, in which order.
        step_s: from frame to frame, s.
        durations_s: lengths of the recordings, s, where they are to be compared.
        source: what messages call the table.

    Raises:
        CorpusError: a column is missing, or a recording's times are negative, not numbers or doubled.

    Example:
        >>> rows = [("a", 0.0, 0.1), ("a", 0.1, 0.3), ("a", 0.3, 0.7)]  # 0.2 is missing
        >>> traces = read_traces(pd.DataFrame(rows, columns=["utterance", "time", "arousal"]), ["arousal"])
        >>> traces.by_utterance["a"].with_gaps[:, 0]
        array([0.1, 0.3, nan, 0.7])
    """
    for column in ("utterance", "time", *dimensions):
        if column not in table:
            raise CorpusError(f"{source}: " + unknown_name("column", column, map(str, table.columns)))
    traces: dict[str, Trace] = {}
    warnings: list[str] = []
    for name, rows in table.groupby("utterance", sort=False):
        utterance = str(name)
        times, values, is_sorted = _in_order(rows, dimensions, f"{source}: {utterance}")
        if not is_sorted:
            warnings.append(f"{utterance}: labels in wrong order; sorted by time")
        trace = _on_grid(times, values, step_s)
        if durations_s is not None and utterance in durations_s:
            n_frames = math.ceil(durations_s[utterance] / step_s - SAME_TIME_S)
            length, warning = common_length(len(trace), n_frames, utterance, step_s)
            trace = trace.cut(length)
            warnings += [warning] if warning else []
        traces[utterance] = trace
    return Traces(tuple(dimensions), step_s, traces, tuple(warnings))


def common_length(n_labels: int, n_frames: int, utterance: str, step_s: float = STEP_S) -> tuple[int, str | None]:
    """How many frames to keep of labels and of what is computed from the audio, and a warning where it is many fewer.

    The longer of both is cut to the shorter, never stretched. One frame more or less is how rounding falls at the end
    of a recording and no reason to warn.

    Example:
        >>> common_length(n_labels=20, n_frames=50, utterance="Train_01")
        (20, 'Train_01: labels for 2 s, audio for 5 s; cut to the labels')
    """
    length = min(n_labels, n_frames)
    if abs(n_labels - n_frames) <= 1:
        return length, None
    rest = "the labels" if n_labels < n_frames else "the audio"
    return length, (
        f"{utterance}: labels for {n_labels * step_s:g} s, audio for {n_frames * step_s:g} s; cut to {rest}"
    )


def _in_order(rows: pd.DataFrame, dimensions: Sequence[str], where: str) -> tuple[Array, Array, bool]:
    """Times and values of a recording by time, and whether the table had them so."""
    times = pd.to_numeric(rows["time"], errors="coerce").to_numpy(dtype=float)
    strange = np.flatnonzero(~(np.isfinite(times) & (times >= 0)))
    if len(strange):
        found = rows["time"].iloc[strange[0]]
        raise CorpusError(f"{where}: time {found} in its row {strange[0] + 1}; expected seconds from 0 on")
    order = np.argsort(times, kind="stable")
    doubled = np.flatnonzero(np.diff(times[order]) <= SAME_TIME_S)
    if len(doubled):
        raise CorpusError(
            f"{where}: time {times[order][doubled[0]]:g} s stands there twice; expected one row a time "
            "(several raters are joined by affectra.tasks.traces.gold_table first)"
        )
    columns = []
    for dimension in dimensions:
        column = pd.to_numeric(rows[dimension], errors="coerce")
        wrong = np.flatnonzero(column.isna() & rows[dimension].notna() & (rows[dimension].astype(str) != ""))
        infinite = np.flatnonzero(np.isinf(column))
        if len(wrong) or len(infinite):
            found = rows[dimension].iloc[wrong[0] if len(wrong) else infinite[0]]
            raise CorpusError(f"{where}: {dimension} {found}; expected a finite number, or nothing where not known")
        columns.append(column.to_numpy(dtype=float)[order])
    return times[order], np.stack(columns, axis=1), bool((np.diff(order) == 1).all())


def _on_grid(times: Array, values: Array, step_s: float) -> Trace:
    """Interpolate each dimension where its neighbouring labels are near enough."""
    own_step_s = float(np.quantile(np.diff(times), 0.5, method="lower")) if len(times) > 1 else step_s
    # Neighbours within one frame are near, however unevenly the rows of a joystick come.
    near_s = min(MAX_GAP_S, max(MAX_STEPS * own_step_s, step_s)) + SAME_TIME_S
    grid = np.round(np.arange(math.floor((times[-1] + SAME_TIME_S) / step_s) + 1) * step_s, 9)  # 0.3, not 0.300...04
    on_grid = np.zeros((len(grid), values.shape[1]))
    known = np.zeros(on_grid.shape, dtype=bool)
    for k in range(values.shape[1]):
        there = ~np.isnan(values[:, k])
        at, what = times[there], values[there, k]
        if not len(at):
            continue
        right = np.searchsorted(at, grid - SAME_TIME_S)  # the first label that is not before the frame
        left = np.searchsorted(at, grid + SAME_TIME_S) - 1  # the last one that is not after it
        inside = (left >= 0) & (right < len(at))
        known[inside, k] = at[right[inside]] - at[left[inside]] <= near_s
        on_grid[:, k] = np.where(known[:, k], np.interp(grid, at, what), 0.0)
    return Trace(grid, on_grid, known)
