"""A file for each recording in a folder: TextGrids and pictures."""

import os
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from affectra.files import write_text
from affectra.predict.outputs.journal import SUFFIX, Journal
from affectra.predict.outputs.stream import Row
from affectra.reports.prediction_picture import Draw, write_picture
from affectra.reports.textgrid import textgrid


def names_in(folder: Path, recordings: Sequence[Path], suffix: str) -> dict[Path, Path]:
    """A file in the folder for each recording, with its name; as much of its path as it takes to tell them apart.

    Example:
        >>> paths = [Path("a/yes.wav"), Path("b/no.wav"), Path("c/no.wav"), Path("c/no.mp3")]
        >>> [str(path) for path in names_in(Path("out"), paths, ".png").values()]
        ['out/yes.png', 'out/b/no.wav.png', 'out/c/no.wav.png', 'out/c/no.mp3.png']
    """
    absolute = {path: Path(os.path.abspath(path)) for path in recordings}  # noqa: PTH100, resolve() follows links
    stems = Counter(path.stem for path in absolute.values())
    common = Path(os.path.commonpath([path.parent for path in absolute.values()])) if absolute else Path()
    return {
        path: folder / (f"{full.stem}{suffix}" if stems[full.stem] == 1 else f"{full.relative_to(common)}{suffix}")
        for path, full in absolute.items()
    }


class TextGridFolder:
    """A TextGrid for each recording, gone on with as `ResumableFile` is; a journal in the folder says what is there.

    Args:
        folder: made where it is missing.
        settings: what the rows depend on besides the recordings.
        recordings: those of this run.
        text_of: what becomes of a recording's rows.

    Raises:
        ConfigError: what is in the folder was made with other settings.
    """

    def __init__(
        self,
        folder: Path,
        settings: Mapping[str, Any],
        recordings: Sequence[Path],
        text_of: Callable[[Sequence[Row]], str] = textgrid,
    ) -> None:
        self._text_of = text_of
        self._names = names_in(folder, recordings, ".TextGrid")
        self._folder = folder
        self._journal = Journal(folder / f"textgrids{SUFFIX}", settings)

    def __enter__(self) -> "TextGridFolder":
        self._folder.mkdir(parents=True, exist_ok=True)
        if not self._journal.read():
            self._journal.rewrite([])
        return self

    def is_done(self, recording: Path) -> bool:
        """Whether the recording's TextGrid, as it is now, is there."""
        name = self._names[recording]
        entry_holds = self._journal.holds(recording)
        return entry_holds and name.is_file() and self._journal.place_of(recording) == str(name)

    def write(self, recording: Path, rows: Sequence[Row]) -> None:
        """Write a recording's TextGrid."""
        write_text(self._names[recording], self._text_of(rows))
        self._journal.add(recording, place=str(self._names[recording]))

    def __exit__(self, *_: object) -> None:
        """Nothing is left open."""


class PictureFolder:
    """A PNG for each recording.

    Args:
        folder: made where it is missing.
        recordings: those of this run.
        model: its name, for the titles.
        draw: draws a recording's rows.
    """

    def __init__(self, folder: Path, recordings: Sequence[Path], model: str, draw: Draw | None = None) -> None:
        self._names = names_in(folder, recordings, ".png")
        self._model, self._draw = model, draw or write_picture

    def is_done(self, recording: Path) -> bool:
        """Whether there is a picture of it; another output decides whether it is up to date."""
        return self._names[recording].is_file()

    def write(self, recording: Path, rows: Sequence[Row]) -> None:
        """Draw a recording's rows."""
        self._draw(self._names[recording], rows, recording.name, self._model)
