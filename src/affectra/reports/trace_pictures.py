"""Traces as a picture: prediction over truth, a panel a dimension, with the gaps of the truth shown."""

import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from affectra.files import atomic_path
from affectra.reports.figures import DOTS_PER_INCH, LIGHT, Theme
from affectra.reports.prediction_picture import check_suffix

if TYPE_CHECKING:
    from matplotlib.figure import Figure

WIDTH = 8.2  # CSS inches; fills the page of a report
PANEL_HEIGHT = 1.35
MARGIN = 0.06  # above and below the curves, as a share of their range
Array = npt.NDArray[np.floating]


def draw_traces(
    times: Array,
    truth: Mapping[str, Array],
    predicted: Mapping[str, Array],
    theme: Theme,
    spread: Mapping[str, Array] | None = None,
) -> "Figure":
    """Prediction over truth of one recording, a panel a dimension on one time axis.

    A line breaks where a value is not known, and where the truth is not known the ground is shaded.

    Args:
        times: (frame,), s.
        truth: dimension -> (frame,), NaN in gaps; empty where none is known.
        predicted: dimension -> (frame,); where there are several seeds their mean.
        theme: the colours.
        spread: dimension -> (2, frame), lowest and highest prediction of the seeds, a band; default: none.
    """
    from matplotlib.figure import Figure

    n_rows = len(predicted)
    figure = Figure(
        figsize=(WIDTH, PANEL_HEIGHT * n_rows + 0.7), dpi=DOTS_PER_INCH, facecolor=theme.paper, layout="constrained"
    )
    panels = figure.subplots(n_rows, 1, sharex=True, squeeze=False)[:, 0]
    for axes, (name, values) in zip(panels, predicted.items(), strict=True):
        gold = truth.get(name)
        for start, end in [] if gold is None else _gaps(times, gold):
            axes.axvspan(start, end, color=theme.faint, alpha=0.5, linewidth=0)
        if spread is not None:
            axes.fill_between(times, *spread[name], color=theme.second, alpha=0.25, linewidth=0)
        if gold is not None:
            axes.plot(times, gold, color=theme.first, linewidth=1.8, label="truth", marker=_dot(gold))
        axes.plot(times, values, color=theme.second, linewidth=1.4, label="prediction", marker=_dot(values))
        axes.set_ylabel(name, parse_math=False)
        axes.set_facecolor(theme.paper)
        axes.tick_params(colors=theme.ink, labelsize=9)
        axes.spines[:].set_color(theme.faint)
        axes.spines[["top", "right"]].set_visible(False)
        axes.yaxis.label.set_color(theme.ink)
        axes.grid(color=theme.faint, linewidth=0.5)
        axes.margins(x=0, y=MARGIN)
        if gold is None:  # without a truth to be seen beside, small changes should look small
            axes.set_ylim(min(-1.0, float(np.nanmin(values))), max(1.0, float(np.nanmax(values))))
    panels[-1].set_xlabel("time, s", color=theme.ink)
    if truth:
        figure.legend(
            *panels[0].get_legend_handles_labels(), loc="outside upper left", ncols=2, fontsize=9, frameon=False,
            labelcolor=theme.ink,
        )  # fmt: skip
    return figure


def write_traces_picture(
    path: Path, times: Array, truth: Mapping[str, Array], predicted: Mapping[str, Array], title: str
) -> None:
    """Draw a recording in the light theme into a PNG, SVG or PDF file, atomically.

    Args:
        path: its ending says which.
        times: (frame,), s.
        truth: dimension -> (frame,), NaN where not known; empty where there is none.
        predicted: the same of the predictions.
        title: of the recording.

    Raises:
        ConfigError: another ending.
    """
    check_suffix(path)
    figure = draw_traces(times, truth, predicted, LIGHT)
    heading = figure.suptitle(title, color=LIGHT.ink, fontsize=11, x=0.99, ha="right")
    heading.set_parse_math(False)
    undated: dict[str, Any] = {".svg": {"Date": None}, ".pdf": {"CreationDate": None}}.get(path.suffix.lower(), {})
    with atomic_path(path) as temporary, warnings.catch_warnings():
        warnings.filterwarnings("ignore", message=r"Glyph .* missing")  # such a letter is drawn as a box
        figure.savefig(temporary, format=path.suffix.lower()[1:], dpi=DOTS_PER_INCH, metadata=undated)


def _gaps(times: Array, gold: Array) -> list[tuple[float, float]]:
    """From and to where the truth is not known, s."""
    step_s = float(np.median(np.diff(times))) if len(times) > 1 else 0.1
    edges = np.flatnonzero(np.diff(np.concatenate([[False], np.isnan(gold), [False]]).astype(int)))
    ends = np.append(times, times[-1] + step_s)
    return [(float(ends[start]), float(ends[end])) for start, end in zip(edges[::2], edges[1::2], strict=True)]


def _dot(values: Array) -> str:
    """A marker where a line of one point would not be seen."""
    return "o" if np.isfinite(values).sum() < 2 else ""
