"""A prediction as a picture: how probable each emotion was when, or bars for a recording as a whole."""

import warnings
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import numpy.typing as npt

from affectra.errors import ConfigError
from affectra.files import atomic_path
from affectra.reports.textgrid import Interval, intervals, merged

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from affectra.reports.figures import Theme

PICTURE_SUFFIXES = (".png", ".svg", ".pdf")
DOTS_PER_INCH = 192
WIDTH = 9.0  # CSS inches of a timeline
LETTER = 0.009  # width of a letter as a share of the timeline's; a name that its span cannot hold is left out
NAME_HEIGHT = 0.17  # CSS inches that a line's name takes
DASHES = ("-", "--", ":")  # of the second and third round through the palette
DIMENSIONS = {"arousal": "high arousal", "valence": "positive valence"}
UNKNOWN = "unknown"
Row = Mapping[str, Any]  # of a table of predictions
Draw = Callable[[Path, Sequence[Row], str, str], None]  # file, rows, title, name of the model


class PictureFile:
    """A picture of the only recording.

    Args:
        path: ends in .png, .svg or .pdf.
        model: its name, for the title.
        draw: draws the recording's rows; default `write_picture`.

    Raises:
        ConfigError: another ending.
    """

    def __init__(self, path: Path, model: str, draw: Draw | None = None) -> None:
        check_suffix(path)
        self._path, self._model, self._draw = path, model, draw or write_picture

    def is_done(self, recording: Path) -> bool:  # noqa: ARG002
        """Whether the picture is there; another output decides whether it is up to date."""
        return self._path.is_file()

    def write(self, recording: Path, rows: Sequence[Row]) -> None:
        """Draw the recording's rows."""
        self._draw(self._path, rows, recording.name, self._model)


def check_suffix(path: Path) -> None:
    """Raise a `ConfigError` where a picture's name has an ending that cannot be drawn."""
    if path.suffix.lower() not in PICTURE_SUFFIXES:
        raise ConfigError(f"--plot {path}: expected a name that ends in {', '.join(PICTURE_SUFFIXES)}")


def write_picture(path: Path, rows: Sequence[Row], title: str, model: str) -> None:
    """Draw rows in the light theme into a PNG, SVG or PDF file.

    Args:
        path: its ending says which.
        rows: of one recording, as of `affectra.predict.model.as_row`.
        title: of the recording.
        model: name of the model.
    """
    from affectra.reports.figures import LIGHT

    check_suffix(path)
    figure = draw_prediction(rows, title, model, LIGHT)
    undated: dict[str, Any] = {".svg": {"Date": None}, ".pdf": {"CreationDate": None}}.get(path.suffix.lower(), {})
    with atomic_path(path) as temporary, warnings.catch_warnings():
        warnings.filterwarnings("ignore", message=r"Glyph .* missing")  # such a letter is drawn as a box
        figure.savefig(temporary, format=path.suffix.lower()[1:], dpi=DOTS_PER_INCH, metadata=undated)


def draw_prediction(rows: Sequence[Row], title: str, model: str, theme: "Theme") -> "Figure":
    """A timeline of several rows, or bars of one.

    A window's probabilities stand at its middle, as in a TextGrid.
    """
    classes = [name.removeprefix("score_") for name in rows[0] if name.startswith("score_")]
    figure = _timeline(rows, classes, theme) if len(rows) > 1 else _bars(rows[0], classes, theme)
    heading = figure.suptitle(f"{title}  \N{MIDDLE DOT}  {model}", color=theme.ink, fontsize=11, x=0.01, ha="left")
    heading.set_parse_math(False)
    return figure


def _timeline(rows: Sequence[Row], classes: Sequence[str], theme: "Theme") -> "Figure":
    from matplotlib.figure import Figure

    dimensions = [name for name in DIMENSIONS if any(row.get(name) is not None for row in rows)]
    flags = [
        found
        for found in merged(intervals(rows, lambda row: str(row.get("flags") or "").replace(";", "\n")))
        if found.text
    ]
    n_lines = max((found.text.count("\n") + 1 for found in flags), default=0)
    heights = [0.35, *([0.16 + 0.14 * n_lines] if flags else []), 3.0, *([1.3] if dimensions else [])]
    figure = Figure(figsize=(WIDTH, sum(heights) + 1.0), facecolor=theme.paper, layout="constrained")
    panels = list(figure.subplots(len(heights), 1, sharex=True, squeeze=False, height_ratios=heights)[:, 0])
    colors = {name: theme.palette[k % len(theme.palette)] for k, name in enumerate(classes)}
    answers = merged(intervals(rows, lambda row: str(row["emotion"])))
    _strip(panels[0], answers, {**colors, UNKNOWN: theme.faint}, "answer", theme)
    if flags:
        _strip(panels[1], flags, {}, "flags", theme)
    middles = np.array([(row["start"] + row["end"]) / 2 for row in rows])
    dashes = {name: DASHES[k // len(theme.palette) % len(DASHES)] for k, name in enumerate(classes)}
    scores = {n: _Line(_values(rows, f"score_{n}"), colors[n], dashes[n]) for n in classes}
    _draw_lines(panels[2 if flags else 1], middles, scores, NAME_HEIGHT / 3.0, theme)
    if dimensions:
        tones = {"arousal": (theme.ink, "-"), "valence": (theme.second, "--")}
        sides = {DIMENSIONS[name]: _Line(_values(rows, name), *tones[name]) for name in dimensions}
        _draw_lines(panels[-1], middles, sides, NAME_HEIGHT / 1.3, theme)
    panels[-1].set_xlabel("time, s")
    panels[-1].set_xlim(0, max(row["end"] for row in rows))
    return figure


class _Line(NamedTuple):
    values: npt.NDArray[np.float64]
    color: str
    dash: str


def _strip(axes: "Axes", found: Sequence[Interval], colors: Mapping[str, str], name: str, theme: "Theme") -> None:
    """Stretches side by side, each with its name where it is long enough."""
    end = found[-1].end
    for interval in found:
        length = interval.end - interval.start
        color = colors.get(interval.text, theme.faint)
        axes.barh(0, length, left=interval.start, height=1, color=color, edgecolor=theme.paper, linewidth=0.8)
        if length / end > LETTER * (max(map(len, interval.text.split("\n"))) + 1):
            axes.text(
                interval.start + length / 2, 0, interval.text, ha="center", va="center", fontsize=8, clip_on=True,
                color=_readable(color, theme), parse_math=False,
            )  # fmt: skip
    axes.set_ylim(-0.5, 0.5)
    axes.set_yticks([0], [name])
    _dress(axes, theme)
    axes.tick_params(length=0, labelbottom=False)
    axes.grid(False)
    axes.spines[:].set_visible(False)


def _draw_lines(
    axes: "Axes", times: npt.NDArray[np.float64], lines: Mapping[str, _Line], gap: float, theme: "Theme"
) -> None:
    """Curves from 0 to 1 with their names at their right ends, at least `gap` from each other, instead of a legend."""
    for line in lines.values():
        dot = "o" if np.isfinite(line.values).sum() < 2 else ""
        axes.plot(times, line.values, color=line.color, linestyle=line.dash, linewidth=1.8, marker=dot)
    for name, height in _spread({name: _last(line.values) for name, line in lines.items()}, gap).items():
        place = axes.get_yaxis_transform()
        axes.plot(
            [1.008, 1.026], [height, height], transform=place, clip_on=False, linewidth=2.5,
            color=lines[name].color, linestyle=lines[name].dash,
        )  # fmt: skip
        axes.text(
            1.036, height, name, transform=place, va="center", color=theme.ink, fontsize=9, parse_math=False
        )  # fmt: skip
    axes.set_ylim(0, 1)
    axes.set_ylabel("probability")
    _dress(axes, theme)


def _bars(row: Row, classes: Sequence[str], theme: "Theme") -> "Figure":
    from matplotlib.figure import Figure

    known = [name for name in DIMENSIONS if row.get(name) is not None]
    names = [*classes, *(DIMENSIONS[name] for name in known)]
    values = [row[f"score_{name}"] for name in classes] + [row[name] for name in known]
    # A gap parts the classes, which sum to 1, from the dimensions, which do not.
    places = [k + (0.6 if k >= len(classes) else 0.0) for k in range(len(names))]
    colors = [theme.first if name == row["emotion"] else theme.faint for name in names]
    figure = Figure(figsize=(5.4, 0.36 * len(names) + 1.5), facecolor=theme.paper, layout="constrained")
    axes = figure.subplots()
    axes.barh(places, values, height=0.72, color=colors)
    for place, value in zip(places, values, strict=True):
        axes.text(value + 0.012, place, f"{value:.2f}", va="center", color=theme.ink, fontsize=9)
    axes.set_yticks(places, names, parse_math=False)
    axes.invert_yaxis()
    axes.set_xlim(0, 1.08)
    axes.set_xticks([0, 0.25, 0.5, 0.75, 1])
    flags = f"  \N{MIDDLE DOT}  {row['flags'].replace(';', ', ')}" if row.get("flags") else ""
    axes.set_xlabel(f"probability  \N{MIDDLE DOT}  answer: {row['emotion']}{flags}")
    _dress(axes, theme)
    axes.grid(False, axis="y")
    axes.tick_params(length=0)
    return figure


def _dress(axes: "Axes", theme: "Theme") -> None:
    axes.set_facecolor(theme.paper)
    axes.tick_params(colors=theme.ink, labelsize=9)
    axes.spines[:].set_color(theme.faint)
    axes.spines[["top", "right"]].set_visible(False)
    axes.xaxis.label.set_color(theme.ink)
    axes.yaxis.label.set_color(theme.ink)
    axes.grid(color=theme.faint, linewidth=0.5)
    axes.set_axisbelow(True)


def _readable(color: str, theme: "Theme") -> str:
    """Paper or ink, whichever is farther from this colour in luminance (Rec. 709)."""
    from matplotlib.colors import to_rgb

    def luminance(name: str) -> float:
        return float(np.dot([0.2126, 0.7152, 0.0722], np.power(to_rgb(name), 2.2)))

    def contrast(other: str) -> float:
        dark, light = sorted((luminance(color), luminance(other)))
        return (light + 0.05) / (dark + 0.05)

    return max((theme.paper, theme.ink), key=contrast)


def _spread(heights: Mapping[str, float], gap: float) -> dict[str, float]:
    """Heights in [0, 1] moved as little as it takes to keep a gap between neighbours, in their order."""
    gap = min(gap, 1 / max(1, len(heights) - 1))
    names = sorted(heights, key=lambda name: heights[name])
    placed: dict[str, float] = {}
    lowest = 0.0
    for name in names:
        placed[name] = max(lowest, heights[name])
        lowest = placed[name] + gap
    highest = 1.0
    for name in reversed(names):
        placed[name] = min(highest, placed[name])
        highest = placed[name] - gap
    return placed


def _values(rows: Sequence[Row], column: str) -> npt.NDArray[np.float64]:
    return np.array([np.nan if row.get(column) is None else row[column] for row in rows], dtype=np.float64)


def _last(values: npt.NDArray[np.float64]) -> float:
    known = values[np.isfinite(values)]
    return float(known[-1]) if len(known) else 0.0
