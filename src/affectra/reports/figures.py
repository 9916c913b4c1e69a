"""Drawings of reports: each takes numbers and a theme and gives a figure; none reads a file."""

import io
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
import pandas as pd

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.colors import Colormap
    from matplotlib.figure import Figure

DOTS_PER_INCH = 192  # twice the 96 of CSS, for fine screens
PANEL_WIDTH = 3.9  # CSS inches: two stand side by side on a desk, one fills a phone
N_NAMED = 12  # values with a colour and a marker of their own; more could not be distinguished
MARKERS = "os^Dv<PX>ph*"
DEV_CCC = "dev_ccc"  # a column of history.csv, or the beginning of one for each dimension
LONGEST_NAME = 22  # letters of a name beside a drawing
N_BAR_NAMES = 40  # more bars are drawn thin, without names


@dataclass(frozen=True)
class Theme:
    """Colours of a figure.

    Attributes:
        paper: the ground.
        ink: text.
        faint: lines that only help the eye.
        first: one of two things; distinct from `second` with any colour vision (Okabe & Ito 2008).
        second: the other.
        palette: many things (Okabe & Ito 2008, without what the paper swallows); each also has a marker of its own.
    """

    paper: str
    ink: str
    faint: str
    first: str
    second: str
    palette: tuple[str, ...]


LIGHT = Theme(
    paper="#ffffff", ink="#1f2328", faint="#d0d7de", first="#0072b2", second="#d55e00",
    palette=("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#1f2328", "#e69f00", "#56b4e9"),
)  # fmt: skip
DARK = Theme(
    paper="#16191d", ink="#e4e7eb", faint="#3a4048", first="#56b4e9", second="#e69f00",
    palette=("#56b4e9", "#d55e00", "#009e73", "#cc79a7", "#e4e7eb", "#f0e442", "#0072b2"),
)  # fmt: skip


def png(figure: "Figure") -> bytes:
    """A figure as the bytes of a PNG file; a letter that the font lacks is drawn as a box, without complaint."""
    stream = io.BytesIO()
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="Glyph .* missing from")
        figure.savefig(stream, format="png", dpi=DOTS_PER_INCH)
    return stream.getvalue()


def png_width(content: bytes) -> int:
    """The width of a PNG file in CSS pixels."""
    return int.from_bytes(content[16:20], "big") * 96 // DOTS_PER_INCH  # in its header, after the first 16 bytes


def draw_confusion(confusion: Mapping[str, Any], theme: Theme) -> "Figure":
    """Counts and shares of the true class; the more colour, the larger the share."""
    classes, counts = confusion["classes"], np.array(confusion["matrix"])
    shares = counts / np.maximum(counts.sum(axis=1, keepdims=True), 1)
    figure, (axes,) = _panels(theme, 1, width=1.5 + 0.66 * len(classes), height=1.2 + 0.58 * len(classes))
    colors = _blend(theme.paper, theme.first)(shares)
    axes.imshow(colors)
    for (i, j), count in np.ndenumerate(counts):
        text = f"{count}\n{shares[i, j]:.2f}"
        axes.text(j, i, text, ha="center", va="center", color=_readable(colors[i, j], theme), fontsize=9)
    _name_cells(axes, columns=classes, rows=classes)
    axes.set_xlabel("predicted")
    axes.set_ylabel("truth")
    return figure


def draw_matrix(
    values: npt.NDArray[np.floating],
    texts: Sequence[Sequence[str]],
    rows: Sequence[str],
    columns: Sequence[str],
    chance: float,
    theme: Theme,
) -> "Figure":
    """A heat map of fractions: one colour above chance, the other below, none at it; NaN stays blank.

    Args:
        values: (row, column).
        texts: what is written into each cell.
        rows: their names (what was trained on).
        columns: their names (what was tested on).
        chance: the value without colour.
        theme: the colours.
    """
    from matplotlib.colors import TwoSlopeNorm

    n_lines = max(text.count("\n") + 1 for row in texts for text in row)
    height = 0.9 + (0.17 + 0.15 * n_lines) * len(rows)
    figure, (axes,) = _panels(theme, 1, width=1.8 + 0.92 * len(columns), height=height)
    scale = TwoSlopeNorm(chance, vmin=0, vmax=1)
    colors = _blend(theme.second, theme.paper, theme.first)(np.asarray(scale(np.nan_to_num(values, nan=chance))))
    axes.imshow(colors, aspect="auto")
    for (i, j), value in np.ndenumerate(values):
        if not np.isnan(value):
            color = _readable(colors[i, j], theme)
            axes.text(j, i, texts[i][j], ha="center", va="center", color=color, fontsize=9, parse_math=False)
    _name_cells(axes, columns=columns, rows=rows)
    for axis, names in ((axes.xaxis, columns), (axes.yaxis, rows)):  # a grid, so that blank cells are seen to be cells
        axis.set_ticks(np.arange(len(names) + 1) - 0.5, minor=True)
    axes.grid(which="minor", color=theme.faint, linewidth=0.8)
    axes.tick_params(which="minor", length=0)
    axes.set_xlabel("tested on")
    axes.set_ylabel("trained on")
    return figure


def draw_scan(
    values: Sequence[float],
    wa: Sequence[float],
    intervals: Sequence[Sequence[float] | None],
    recalls: Mapping[str, Sequence[float | None]],
    name: str,
    theme: Theme,
) -> "Figure":
    """WA, thick with its intervals, and the recall of each class, over a number; a class not tested leaves a gap.

    Args:
        values: the number, rising.
        wa: at each.
        intervals: [low, high] of each WA; None for none.
        recalls: class -> at each value.
        name: what the number is.
        theme: the colours.
    """
    n_rows = -(-(len(recalls) + 1) // 3)
    figure, (axes,) = _panels(theme, 1, width=4.8, height=3.2 + 0.19 * n_rows)
    for k, recall in enumerate(recalls.values()):
        color, marker = theme.palette[k % len(theme.palette)], MARKERS[k % len(MARKERS)]
        points = np.array(recall, dtype=float)  # None becomes NaN
        axes.plot(values, points, color=color, marker=marker, markersize=6, linewidth=1.1, clip_on=False)
    axes.plot(values, wa, color=theme.ink, linewidth=2.6, clip_on=False)  # 1.0 is drawn whole
    for value, interval in zip(values, intervals, strict=True):
        if interval:
            axes.plot([value, value], interval, color=theme.ink, linewidth=1)
    axes.set_xticks(values, [f"{value:g}" for value in values])
    axes.set_ylim(0, 1)
    axes.grid(color=theme.faint, linewidth=0.5)
    axes.set_xlabel(name, parse_math=False)
    axes.set_ylabel("fraction")
    lines = axes.get_lines()
    _legend_below(figure, [lines[len(recalls)], *lines[: len(recalls)]], ["WA", *recalls], theme, n_columns=3)
    return figure


def draw_curves(history: pd.DataFrame, theme: Theme) -> "Figure":
    """Loss above, and below what else was logged an epoch: accuracy and dev UA, or the dev CCC of each dimension.

    Args:
        history: rows of history.csv of several trainings, which of them in `part`.
        theme: the colours.
    """
    figure, panels = _panels(theme, 2, width=4.8, height=5.2)
    losses, fractions = {"train_loss": "train loss", "dev_loss": "dev loss"}, {}
    for column in (column for column in map(str, history) if column.startswith(DEV_CCC)):
        fractions[column] = column.removeprefix(DEV_CCC).strip("_") or "mean"
    is_ccc = bool(fractions)
    if not is_ccc:
        fractions = {"train_accuracy": "train accuracy", "dev_ua": "dev UA"}
    n_parts = history["part"].nunique()
    for axes, labels in zip(panels, (losses, fractions), strict=True):
        for k, (column, label) in enumerate(labels.items()):
            if history[column].isna().all():
                continue
            color = theme.palette[k % len(theme.palette)]
            table = history.pivot(index="epoch", columns="part", values=column)
            mean = table.mean(axis=1)[table.notna().sum(axis=1) == n_parts]  # else it jumps where a fold stops early
            axes.plot(table.index, table, color=color, linewidth=0.7, alpha=0.35)
            axes.plot(mean.index, mean, color=color, linewidth=2, label=label, marker="o" if len(mean) == 1 else "")
    panels[0].set_ylabel("loss")
    panels[1].set_ylabel("dev CCC" if is_ccc else "fraction")
    if not is_ccc:
        panels[1].set_ylim(0, 1)
    panels[1].set_xlabel("epoch")
    for axes in panels:
        axes.grid(color=theme.faint, linewidth=0.5)
        axes.locator_params(axis="x", integer=True)
        if axes.get_lines():
            axes.legend(facecolor=theme.paper, edgecolor=theme.faint, labelcolor=theme.ink, fontsize=9)
    return figure


def draw_bars(
    values: Mapping[str, float], mean: float, interval: Sequence[float] | None, chance: float, theme: Theme
) -> "Figure":
    """A horizontal bar per name, the first on top, with the mean of all, its interval as a band, and chance.

    Args:
        values: name -> fraction.
        mean: a line.
        interval: [low, high] of the mean, a band; None for none.
        chance: a dotted line.
        theme: the colours.
    """
    is_named = len(values) <= N_BAR_NAMES
    height = 0.95 + len(values) * (0.21 if is_named else 0.06)
    figure, (axes,) = _panels(theme, 1, width=4.6, height=height)
    places = np.arange(len(values))
    axes.barh(places, list(values.values()), height=0.72 if is_named else 0.9, color=theme.first, zorder=2)
    axes.set_yticks(places if is_named else [], [_short(name) for name in values] if is_named else [], parse_math=False)
    axes.set_ylim(len(values) - 0.4, -0.6)
    axes.set_xlim(0, 1)
    axes.tick_params(axis="y", length=0, labelsize=9)
    axes.set_xlabel("UA")
    if interval:
        axes.axvspan(*interval, color=theme.second, alpha=0.3, linewidth=0, label="interval of UA", zorder=1)
    axes.axvline(mean, color=theme.second, linewidth=1.8, label="UA of all", zorder=3)
    axes.axvline(chance, color=theme.ink, linewidth=1.6, linestyle=":", label="chance", zorder=3)
    _legend_below(figure, *axes.get_legend_handles_labels(), theme, n_columns=3)
    return figure


def draw_points(
    places: npt.NDArray[np.floating], values: Sequence[str], order: Sequence[str], title: str, theme: Theme
) -> "Figure":
    """Points of a plane, each with the colour and the marker of its value.

    Args:
        places: (point, 2); the axes have no unit and no numbers.
        values: of each point.
        order: all values, the most important first; those after `N_NAMED` become "others".
        title: what the values are.
        theme: the colours.
    """
    named = list(order[:N_NAMED])
    n_rows = -(-(len(named) + (len(order) > N_NAMED)) // 2)
    figure, (axes,) = _panels(theme, 1, width=PANEL_WIDTH, height=3.4 + 0.19 * n_rows)
    handles = []
    texts = np.asarray(values, dtype=object)
    if len(order) > N_NAMED:
        rest = places[~np.isin(texts, named)]
        handles.append(axes.scatter(rest[:, 0], rest[:, 1], s=10, color=theme.faint, marker="o", linewidths=0))
    size = 30 if len(places) < 200 else 20 if len(places) < 600 else 13
    style: dict[str, Any] = {"s": size, "linewidths": 0.3, "edgecolors": theme.paper}
    for k, name in enumerate(named):
        mine = places[texts == name]
        color, marker = theme.palette[k % len(theme.palette)], MARKERS[k % len(MARKERS)]
        handles.append(axes.scatter(mine[:, 0], mine[:, 1], color=color, marker=marker, **style))
    if len(order) > N_NAMED:
        handles, named = [*handles[1:], handles[0]], [*named, f"{len(order) - N_NAMED} others"]
    axes.set_xticks([])
    axes.set_yticks([])
    axes.margins(0.03)
    axes.set_title(title, color=theme.ink, fontsize=10, loc="left")
    _legend_below(figure, handles, named, theme, n_columns=2, scale=(30 / size) ** 0.5)
    return figure


def draw_maps(
    features: npt.NDArray[np.floating] | None,
    bottom_up: npt.NDArray[np.floating],
    top_down: npt.NDArray[np.floating],
    frames_per_column: float,
    hop_s: float | None,
    theme: Theme,
) -> "Figure":
    """Draw a segment, where the model looked, and what it saw there, below each other on one time axis.

    Each panel has its own scale; where a map has two signs, zero has no colour.

    Args:
        features: (freq, time) of the segment, a column a frame, without padding; None where they are not known.
        bottom_up: (freq, time), weights.
        top_down: (freq, time) of one class; what speaks for it is positive.
        frames_per_column: of the two maps.
        hop_s: from frame to frame; None where it is not known, then the axis has no numbers.
        theme: the colours.
    """
    unit = hop_s or 1.0
    shown = [("bottom-up: where it looks", bottom_up), ("top-down: for or against the class", top_down)]
    length = bottom_up.shape[1] * frames_per_column * unit
    if features is not None:
        shown.insert(0, ("input of the network", features))
        length = features.shape[1] * unit
    figure, panels = _panels(theme, len(shown), width=PANEL_WIDTH, height=0.45 + 1.15 * len(shown))
    for axes, (title, values) in zip(panels, shown, strict=True):
        is_map = values is not features
        style = _map_scale(values, theme) if is_map else {"cmap": _blend(theme.paper, theme.ink)}
        extent = (0, values.shape[1] * unit * (frames_per_column if is_map else 1), 0, 1)
        axes.imshow(values, origin="lower", aspect="auto", extent=extent, interpolation="nearest", **style)
        axes.set_title(title, color=theme.ink, fontsize=9, loc="left", pad=3)
        axes.set_yticks([])
        axes.set_ylabel("frequency", fontsize=8)
        axes.set_xlim(0, length)
    panels[-1].tick_params(labelsize=8)
    panels[-1].set_xlabel("time in s" if hop_s else "time", fontsize=8)
    if not hop_s:
        panels[-1].set_xticks([])
    return figure


def _map_scale(values: npt.NDArray[np.floating], theme: Theme) -> dict[str, Any]:
    """One colour from zero up where nothing is negative, else two with none at zero."""
    top = float(np.abs(values).max()) or 1.0
    if (values >= 0).all():
        return {"cmap": _blend(theme.paper, theme.first), "vmin": 0.0, "vmax": top}
    return {"cmap": _blend(theme.second, theme.paper, theme.first), "vmin": -top, "vmax": top}


def _panels(theme: Theme, n_rows: int, width: float, height: float) -> "tuple[Figure, list[Axes]]":
    """A figure of `n_rows` axes below each other in the theme's colours; width and height in CSS inches (96 pixels)."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(width, height), dpi=DOTS_PER_INCH, facecolor=theme.paper, layout="constrained")
    panels = list(figure.subplots(n_rows, 1, sharex=True, squeeze=False)[:, 0])
    for axes in panels:
        axes.set_facecolor(theme.paper)
        axes.tick_params(colors=theme.ink, labelsize=10)
        axes.spines[:].set_color(theme.faint)
        axes.xaxis.label.set_color(theme.ink)
        axes.yaxis.label.set_color(theme.ink)
    return figure, panels


def _blend(*colors: str) -> "Colormap":
    """A scale of colours through these, with 256 steps."""
    from matplotlib.colors import LinearSegmentedColormap

    return LinearSegmentedColormap.from_list("blend", list(colors))


def _readable(color: Sequence[float], theme: Theme) -> str:
    """Paper or ink, whichever stands out more from a ground of this colour (contrast ratio of WCAG 2)."""
    from matplotlib.colors import to_rgb

    def luminance(rgb: Sequence[float]) -> float:
        linear = [v / 12.92 if v <= 0.04045 else ((v + 0.055) / 1.055) ** 2.4 for v in rgb[:3]]
        return float(np.dot([0.2126, 0.7152, 0.0722], linear))

    def contrast(other: str) -> float:
        dark, light = sorted((luminance(color), luminance(to_rgb(other))))
        return (light + 0.05) / (dark + 0.05)

    return max((theme.paper, theme.ink), key=contrast)


def _name_cells(axes: "Axes", columns: Sequence[str], rows: Sequence[str]) -> None:
    """Names beside the columns and rows of a matrix, instead of numbers and a frame."""
    slant: dict[str, Any] = {"rotation": 40, "ha": "right", "rotation_mode": "anchor"}
    axes.set_xticks(range(len(columns)), [_short(name) for name in columns], parse_math=False, **slant)
    axes.set_yticks(range(len(rows)), [_short(name) for name in rows], parse_math=False)
    axes.tick_params(length=0)
    axes.spines[:].set_visible(False)


def _legend_below(
    figure: "Figure", handles: Sequence[Any], names: Sequence[str], theme: Theme, n_columns: int, scale: float = 1.0
) -> None:
    legend = figure.legend(
        handles, [f"\N{NO-BREAK SPACE}{_short(name)}" for name in names],  # else a leading _ would hide one
        loc="outside lower left", ncols=n_columns, fontsize=9, frameon=False, labelcolor=theme.ink,
        handletextpad=0.2, columnspacing=1.2, borderpad=0.2, markerscale=scale,
    )  # fmt: skip
    for text in legend.get_texts():
        text.set_parse_math(False)


def _short(name: str) -> str:
    return name if len(name) <= LONGEST_NAME else f"{name[: LONGEST_NAME - 1]}…"
