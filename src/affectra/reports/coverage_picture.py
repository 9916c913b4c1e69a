"""How often a model is wrong, over how much it answers."""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from affectra.evaluation.reliability import CoverageRisk
from affectra.reports.figures import Theme

if TYPE_CHECKING:
    from matplotlib.figure import Figure


def draw_coverage_risk(curves: Mapping[str, CoverageRisk], threshold: float | None, theme: Theme) -> "Figure":
    """Share of wrong answers over the share answered, a curve a name; dots where the abstention threshold puts it.

    The steps are those whose area is `CoverageRisk.area`, so a single confidence is a level line.

    Args:
        curves: name -> its curve, the most important first.
        threshold: answers with less confidence are withheld; None: no dots.
        theme: the colours.
    """
    from matplotlib.figure import Figure

    figure = Figure(figsize=(4.8, 3.4), dpi=192, facecolor=theme.paper, layout="constrained")
    axes = figure.subplots()
    _dress(axes, theme)
    lines = []
    for k, curve in enumerate(curves.values()):
        color = theme.palette[k % len(theme.palette)]
        coverage, risk = np.append(0.0, curve.coverage), np.append(curve.risk[0], curve.risk)
        width, order = (1.3, 2.0) if k else (2.2, 2.1)
        lines += axes.plot(  # 0 is drawn whole
            coverage, risk, color=color, linewidth=width, zorder=order, drawstyle="steps-pre", clip_on=False
        )
        at = None if threshold is None else curve.at_threshold(threshold)
        if at is not None:
            axes.plot(at.coverage, at.risk, "o", color=color, markersize=6, zorder=order, clip_on=False)
    axes.set_xlim(0, 1)
    axes.set_ylim(0, max(0.1, *(1.05 * float(curve.risk.max()) for curve in curves.values())))
    axes.set_xlabel("share of recordings answered")
    axes.set_ylabel("share of the answers that are wrong")
    if len(curves) > 1:
        names = [f"\N{NO-BREAK SPACE}{name}" for name in curves]  # else a leading _ would hide one
        style: dict[str, Any] = {
            "facecolor": theme.paper,
            "edgecolor": theme.faint,
            "labelcolor": theme.ink,
            "fontsize": 9,
        }
        for text in axes.legend(lines, names, **style).get_texts():
            text.set_parse_math(False)
    return figure


def _dress(axes: Any, theme: Theme) -> None:
    axes.set_facecolor(theme.paper)
    axes.tick_params(colors=theme.ink, labelsize=9)
    axes.spines[:].set_color(theme.faint)
    axes.xaxis.label.set_color(theme.ink)
    axes.yaxis.label.set_color(theme.ink)
    axes.grid(color=theme.faint, linewidth=0.5)
    axes.set_axisbelow(True)
