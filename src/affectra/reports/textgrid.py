"""Predictions as a Praat TextGrid: what was recognised when, to be seen and edited below the waveform."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import partial
from itertools import pairwise
from typing import Any, NamedTuple

DIGITS = 6  # of a time, s; Praat keeps as many as it is given
SHORTEST_S = 1e-5
Row = Mapping[str, Any]


class Interval(NamedTuple):
    """A labelled span, s."""

    start: float
    end: float
    text: str


def textgrid(rows: Sequence[Row]) -> str:
    """One recording's rows as a TextGrid in Praat's long text format.

    Windows of a timeline overlap and intervals of a tier must not, so each moment belongs to the window whose middle
    is nearest: an answer stands where its speech is, not at the end of it as live. What no window covers has no text.

    Tiers: emotion and flags, where equal neighbours are one interval; confidence and, where the model has them, arousal
    and valence, an interval a window with the number as its text.

    Args:
        rows: as of `affectra.predict.model.as_row`, at least one; no window inside another.

    Returns:
        The file's text, to be written as UTF-8.
    """
    tiers: list[tuple[str, list[Interval]]] = [
        ("emotion", merged(intervals(rows, lambda row: str(row["emotion"])))),
        ("confidence", intervals(rows, partial(_number_of, "confidence"))),
    ]
    for name in ("arousal", "valence"):
        if any(row.get(name) is not None for row in rows):
            tiers.append((name, intervals(rows, partial(_number_of, name))))
    tiers.append(("flags", merged(intervals(rows, lambda row: str(row.get("flags") or "")))))
    return tiers_text(tiers, max(row["end"] for row in rows))


def tiers_text(tiers: Sequence[tuple[str, Sequence[Interval]]], end: float) -> str:
    """A TextGrid of interval tiers from 0 to `end` s, in Praat's long text format.

    Args:
        tiers: name and intervals of each, which touch from 0 to the end and never overlap.
        end: of the recording, s.
    """
    return "\n".join(_lines(tiers, end)) + "\n"


def intervals(rows: Sequence[Row], text_of: Callable[[Row], str]) -> list[Interval]:
    """Intervals from 0 to the end of the last window that touch and never overlap, one a window and one a gap."""
    ordered = sorted(rows, key=lambda row: (row["start"] + row["end"], row["start"]))
    cuts: list[tuple[float, float]] = []  # where one window's interval ends and the next one's begins
    for one, other in pairwise(ordered):
        if other["start"] > one["end"]:
            cuts.append((one["end"], other["start"]))
        else:
            middle = (one["start"] + one["end"] + other["start"] + other["end"]) / 4
            cuts.append((min(max(middle, other["start"]), one["end"]),) * 2)
    begins = [ordered[0]["start"], *(begin for _, begin in cuts)]
    ends = [*(end for end, _ in cuts), max(row["end"] for row in rows)]
    found: list[Interval] = []
    reached = 0.0
    for row, begin, end in zip(ordered, begins, ends, strict=True):
        if begin - reached > SHORTEST_S:
            found.append(Interval(reached, begin, ""))
            reached = begin
        if end - reached > SHORTEST_S:
            found.append(Interval(reached, end, text_of(row)))
            reached = end
    # A recording of a few samples is shorter than an interval may be; it has one all the same.
    return found or [Interval(0.0, max(ends[-1], SHORTEST_S), text_of(ordered[0]))]


def merged(found: Iterable[Interval]) -> list[Interval]:
    """Neighbours with the same text as one."""
    result: list[Interval] = []
    for interval in found:
        if result and result[-1].text == interval.text:
            result[-1] = result[-1]._replace(end=interval.end)
        else:
            result.append(interval)
    return result


def _lines(tiers: Sequence[tuple[str, Sequence[Interval]]], end: float) -> Iterable[str]:
    end = max(end, SHORTEST_S)
    yield from ('File type = "ooTextFile"', 'Object class = "TextGrid"', "")
    yield from ("xmin = 0", f"xmax = {_time(end)}", "tiers? <exists>", f"size = {len(tiers)}", "item []:")
    for k, (name, found) in enumerate(tiers, start=1):
        yield from (f"    item [{k}]:", '        class = "IntervalTier"', f"        name = {_quoted(name)}")
        yield from ("        xmin = 0", f"        xmax = {_time(end)}", f"        intervals: size = {len(found)}")
        for i, interval in enumerate(found, start=1):
            yield f"        intervals [{i}]:"
            yield f"            xmin = {_time(interval.start)}"
            yield f"            xmax = {_time(interval.end)}"
            yield f"            text = {_quoted(interval.text)}"


def _quoted(text: str) -> str:
    """A text of Praat: in quotes, quotes in it doubled, on one line."""
    return '"' + " ".join(text.splitlines()).replace('"', '""') + '"'


def _time(seconds: float) -> str:
    return f"{seconds:.{DIGITS}f}".rstrip("0").rstrip(".")


def _number_of(column: str, row: Row) -> str:
    value = row.get(column)
    return "" if value is None else f"{value:.3f}"
