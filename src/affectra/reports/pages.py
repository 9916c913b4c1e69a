"""Pages from templates: what is inserted is escaped, and figures stand in the page itself, for light and dark paper."""

import base64
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from jinja2 import Environment, PackageLoader, StrictUndefined

from affectra.files import atomic_path, write_text
from affectra.reports.figures import DARK, LIGHT, Theme, png, png_width
from affectra.tasks.statistics import score_text

if TYPE_CHECKING:
    from matplotlib.figure import Figure


@dataclass(frozen=True)
class Picture:
    """One drawing of a report.

    Attributes:
        name: its file is figures/<name>.png.
        alt: what it shows, in words.
        draw: gives the figure in the colours of a theme.
        caption: stands below it, if anything.
    """

    name: str
    alt: str
    draw: Callable[[Theme], "Figure"]
    caption: str = ""


@dataclass(frozen=True)
class Section:
    """Pictures of a report that belong together.

    Attributes:
        title: the heading.
        note: how to read them.
        pictures: one or several, side by side where there is room.
    """

    title: str
    note: str
    pictures: Sequence[Picture]


def write_pages(
    folder: Path, name: str, facts: dict[str, Any], sections: Sequence[Section], template: str | None = None
) -> Path:
    """Write <name>.html, with its figures inside, and <name>.md with figures/*.png beside it, each atomically.

    Args:
        folder: where.
        name: of the files.
        facts: everything the templates show, besides the `sections`.
        sections: the figures.
        template: name of the templates; default: that of the files.

    Returns:
        The path of the HTML page.
    """
    drawn = [
        {"title": section.title, "note": section.note, "pictures": [_drawn(folder, p) for p in section.pictures]}
        for section in sections
    ]
    for suffix in ("html", "md"):
        page = _templates(html=suffix == "html").get_template(f"{template or name}.{suffix}.j2")
        write_text(folder / f"{name}.{suffix}", page.render(**facts, sections=drawn))
    return folder / f"{name}.html"


def _drawn(folder: Path, picture: Picture) -> dict[str, Any]:
    """A picture in both themes; the light one is also written as a file, which Markdown shows."""
    light, dark = (png(picture.draw(theme)) for theme in (LIGHT, DARK))
    with atomic_path(folder / "figures" / f"{picture.name}.png") as temporary:
        temporary.write_bytes(light)
    return {
        "name": picture.name,
        "alt": picture.alt,
        "caption": picture.caption,
        "width": png_width(light),
        "light": _data_url(light),
        "dark": _data_url(dark),
    }


def _data_url(content: bytes) -> str:
    return "data:image/png;base64," + base64.b64encode(content).decode()


class _Verbatim(str):
    """Text that goes into Markdown as it is."""


def _templates(html: bool) -> Environment:
    """Templates whose inserted text is escaped for HTML or for Markdown."""
    environment = Environment(
        loader=PackageLoader("affectra.reports"),
        autoescape=html,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
        finalize=None if html else _escape_markdown,
    )
    environment.filters |= {"fraction": score_text, "interval": _interval, "duration": _duration, "block": _block}
    return environment


def _escape_markdown(value: object) -> object:
    """Inserted text as plain text inside a Markdown table or line."""
    if isinstance(value, _Verbatim):
        return value
    text = " ".join(str(value).splitlines())
    return "".join(f"&#{ord(letter)};" if letter in "<>&|`*[]\\" else letter for letter in text)


def _block(text: str) -> _Verbatim:
    """Text as an indented Markdown code block, in which nothing needs escaping."""
    return _Verbatim("".join(f"    {line}\n" for line in text.splitlines()))


def _interval(value: Sequence[float] | None) -> _Verbatim:
    return _Verbatim("n/a" if value is None else f"[{value[0]:.3f}, {value[1]:.3f}]")


def _duration(seconds: float) -> str:
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours} h {minutes} min" if hours else f"{minutes} min {rest} s" if minutes else f"{rest} s"
