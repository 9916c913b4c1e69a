"""A journal beside an output: which recordings, as they were then, are in it, and with what settings it was made."""

import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from affectra.errors import ConfigError
from affectra.files import write_text

SUFFIX = ".done"


def key_of(recording: Path) -> str:
    """Give the name that a recording is known by: its absolute path."""
    return str(recording.absolute())


def state_of(recording: Path) -> list[int] | None:
    """Size and time of last change, which tell a changed recording; None where there is none."""
    try:
        status = recording.stat()
    except (OSError, ValueError):
        return None
    return [status.st_size, status.st_mtime_ns]


class Journal:
    """Lines of JSON: the settings, then an entry a recording; a line that a crash cut off does not count.

    Args:
        path: of the journal.
        settings: what the output depends on besides the recordings: model, timeline, classes.
        entries: recording's key -> its entry, which has "state".
    """

    def __init__(self, path: Path, settings: Mapping[str, Any]) -> None:
        self.path, self.settings = path, json.loads(json.dumps(settings))
        self.entries: dict[str, dict[str, Any]] = {}

    def read(self) -> bool:
        """Read the entries of an earlier run; False where there was none.

        Raises:
            ConfigError: it had other settings, or is no journal.
        """
        if not self.path.is_file():
            return False
        lines = self.path.read_text(encoding="utf-8", errors="replace").split("\n")
        found = [_parsed(line) for line in lines]
        if not found[0] or "settings" not in found[0]:
            raise ConfigError(f"{self.path}: no record of an output; remove it, or give another --out")
        if found[0]["settings"] != self.settings:
            different = sorted(
                key
                for key in {*self.settings, *found[0]["settings"]}
                if self.settings.get(key) != found[0]["settings"].get(key)
            )
            raise ConfigError(
                f"{self.path}: the output beside it was made with another {', '.join(different)}; give another --out, "
                "or remove both"
            )
        self.entries = {entry["recording"]: entry for entry in found[1:] if entry and "recording" in entry}
        return True

    def holds(self, recording: Path) -> bool:
        """Whether the recording, as it is now, is in the output."""
        entry = self.entries.get(key_of(recording))
        return entry is not None and entry["state"] == state_of(recording)

    def place_of(self, recording: Path) -> str | None:
        """The file of its own that the recording's entry names."""
        return self.entries.get(key_of(recording), {}).get("place")

    def rewrite(self, entries: Iterable[dict[str, Any]]) -> None:
        """Replace all entries, at once."""
        self.entries = {entry["recording"]: entry for entry in entries}
        write_text(self.path, "".join(_line(v) for v in ({"settings": self.settings}, *self.entries.values())))

    def add(self, recording: Path, **place: Any) -> None:
        """Add a recording whose rows are written."""
        entry = {"recording": key_of(recording), "state": state_of(recording), **place}
        self.entries[entry["recording"]] = entry
        with self.path.open("a", encoding="utf-8") as file:
            file.write(_line(entry))


def _line(value: Mapping[str, Any]) -> str:
    return json.dumps(value) + "\n"  # ASCII: a name that is no Unicode goes through unharmed


def _parsed(line: str) -> dict[str, Any] | None:
    try:
        value = json.loads(line)
    except ValueError:
        return None
    return value if isinstance(value, dict) else None
