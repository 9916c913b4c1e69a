"""An output file that grows by whole recordings and is gone on with where an earlier run stopped."""

import hashlib
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any

from filelock import FileLock, Timeout

from affectra.errors import ConfigError
from affectra.files import atomic_path
from affectra.predict.outputs.journal import SUFFIX, Journal, key_of
from affectra.predict.outputs.stream import Layout, Row


class ResumableFile:
    """Rows of many recordings in one file, with a journal beside it (FILE.done).

    The rows of a recording are written first, its journal entry with their hash then: what a crash leaves behind the
    last entry is cut off by the next run, and rows that are not as they were written are written again. The file is
    complete after each recording. A recording that has changed loses its old rows when the next run begins.

    Args:
        path: the file.
        layout: of the file.
        settings: what the rows depend on besides the recordings.
        recordings: those of this run.

    Raises:
        ConfigError: the file is not from an earlier run, or from one with other settings, or another process is
            writing it.
    """

    def __init__(self, path: Path, layout: Layout, settings: Mapping[str, Any], recordings: Sequence[Path]) -> None:
        self.path, self._layout = path, layout
        self._journal = Journal(path.with_name(path.name + SUFFIX), {**settings, "columns": list(layout.columns)})
        self._recordings = recordings
        path.parent.mkdir(parents=True, exist_ok=True)
        self._lock = FileLock(path.with_name(f".{path.name}.lock"))
        self._end = 0

    def __enter__(self) -> "ResumableFile":
        try:
            self._lock.acquire(timeout=0)
        except Timeout as error:
            message = f"{self.path}: another process is writing it; wait for it, or give another --out"
            raise ConfigError(message) from error
        try:
            self._begin()
        except BaseException:
            self._lock.release()
            raise
        return self

    def is_done(self, recording: Path) -> bool:
        """Whether the recording's rows, as it is now, are in the file."""
        return self._journal.holds(recording)

    def write(self, recording: Path, rows: Sequence[Row]) -> None:
        """Add a recording's rows, unless they are there."""
        if self.is_done(recording):
            return
        head = (self._layout.separator if self._journal.entries else self._layout.head).encode()
        block = self._layout.block(rows).encode("utf-8", "backslashreplace")
        with self.path.open("r+b") as file:
            file.seek(self._end)
            file.write(head + block + self._layout.tail.encode())
            file.truncate()
        begin = self._end + len(head)
        self._journal.add(recording, begin=begin, end=begin + len(block), hash=_hash(block))
        self._end = begin + len(block)

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            if error is not None:  # an interrupt or a full disk may have come amidst a recording
                with self.path.open("r+b") as file:
                    file.seek(self._end)
                    file.write((self._layout.tail if self._end else self._layout.empty).encode())
                    file.truncate()
        finally:
            self._lock.release()

    def _begin(self) -> None:
        """Keep the rows of the recordings that have not changed, and nothing else."""
        was_there = self._journal.read()
        content = self.path.read_bytes() if self.path.exists() else b""
        if content and not was_there:
            raise ConfigError(f"{self.path} exists and is of no earlier run; remove it, or give another --out")
        changed = {key_of(recording) for recording in self._recordings if not self._journal.holds(recording)}
        head, separator = self._layout.head.encode(), self._layout.separator.encode()
        blocks: list[bytes] = []
        entries: list[dict[str, Any]] = []
        end = len(head)
        for key, entry in self._journal.entries.items():
            block = content[entry["begin"] : entry["end"]]
            if key not in changed and _hash(block) == entry["hash"]:
                begin = end + (len(separator) if blocks else 0)
                end = begin + len(block)
                blocks.append(block)
                entries.append({**entry, "begin": begin, "end": end})
        self._end = end if blocks else 0
        tail = self._layout.tail.encode()
        text = head + separator.join(blocks) + tail if blocks else self._layout.empty.encode()
        if not was_there or len(entries) != len(self._journal.entries):
            self._journal.rewrite(entries)
        if text != content:
            with atomic_path(self.path) as temporary:
                temporary.write_bytes(text)


def _hash(block: bytes) -> str:
    return hashlib.sha256(block).hexdigest()[:16]
