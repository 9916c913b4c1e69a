"""One recording out of a request into a private temporary file, within limits, and away again."""

import asyncio
import os
import secrets
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path, PureWindowsPath
from typing import TYPE_CHECKING, BinaryIO

from fastapi import Request
from python_multipart.exceptions import FormParserError
from python_multipart.multipart import MultipartParser, parse_options_header

from affectra.serve.limits import Limits
from affectra.serve.refusal import Busy, Refusal

if TYPE_CHECKING:
    from python_multipart.multipart import MultipartCallbacks

_LONGEST_NAME = 100  # characters of a file's name that are sent back
_HOW = 'send multipart/form-data with the recording in the field "file"'


@dataclass(frozen=True)
class Upload:
    """A recording that was sent.

    Attributes:
        path: where its bytes are; a name of ours, since audio is known by its content.
        name: what the client calls it, for messages and tables only.
    """

    path: Path
    name: str


@asynccontextmanager
async def received(request: Request, folder: Path, limits: Limits) -> AsyncIterator[Upload]:
    """The recording of a request, removed when the block is left.

    Args:
        request: multipart/form-data with one file in it.
        folder: a private one.
        limits: its bytes and how long it may take to come.

    Raises:
        Refusal: another type, no file or several, too large, too slow, broken off.
        Busy: no room to keep it.
    """
    path = folder / secrets.token_hex(16)
    try:
        try:
            with open(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
                name = await _receive(request, file, limits)
        except OSError as error:  # the disk is full, or the folder is gone
            raise Busy(f"the recording cannot be kept: {error.strerror}") from error
        yield Upload(path, name)
    finally:
        path.unlink(missing_ok=True)


async def _receive(request: Request, file: BinaryIO, limits: Limits) -> str:
    try:
        boundary = _boundary(request)
        part = _FilePart(file)
        parser = MultipartParser(boundary, part.callbacks())
        _check_length(request, limits)
        async for chunk in _chunks(request, limits):
            parser.write(chunk)
        parser.finalize()
    except (FormParserError, ValueError) as error:
        raise Refusal(400, f"the upload is not well-formed; {_HOW}") from error
    if part.name is None or not part.complete:
        raise Refusal(400, f"no whole file in the upload; {_HOW}")
    return part.name


def _boundary(request: Request) -> bytes:
    kind, options = parse_options_header(request.headers.get("content-type", ""))
    if kind != b"multipart/form-data" or not options.get(b"boundary"):
        raise Refusal(415, f"not an upload of a file; {_HOW}")
    return options[b"boundary"]


def _check_length(request: Request, limits: Limits) -> None:
    announced = request.headers.get("content-length", "0")
    if not (announced.isascii() and announced.isdigit()) or int(announced) > limits.upload_bytes:
        raise _too_large(limits)


def _too_large(limits: Limits) -> Refusal:
    return Refusal(413, f"larger than {limits.upload_bytes >> 20} MiB; send a shorter recording, or compress it")


async def _chunks(request: Request, limits: Limits) -> AsyncIterator[bytes]:
    """The body as it comes, as long as it comes fast enough and is not too large."""
    n_bytes, deadline, more = 0, time.monotonic() + limits.upload_s, True
    while more:
        patience_s = min(limits.upload_idle_s, deadline - time.monotonic())
        try:
            message = await asyncio.wait_for(request.receive(), max(patience_s, 0.0))
        except TimeoutError as error:
            raise Refusal(408, "the recording came too slowly; send it again", {"Connection": "close"}) from error
        if message["type"] == "http.disconnect":
            raise Refusal(400, "the connection was cut before the recording was whole")
        chunk = message.get("body", b"")
        n_bytes += len(chunk)
        if n_bytes > limits.upload_bytes:
            raise _too_large(limits)
        more = message.get("more_body", False)
        yield chunk


class _FilePart:
    """Writes the one file among the parts of a form; other fields are read over."""

    def __init__(self, file: BinaryIO) -> None:
        self.name: str | None = None
        self.complete = False
        self._file = file
        self._is_file = False
        self._field = self._value = b""
        self._disposition = b""

    def callbacks(self) -> "MultipartCallbacks":
        """Give the functions that the parser calls."""
        return {
            "on_part_begin": self._part_begin,
            "on_header_field": self._header_field,
            "on_header_value": self._header_value,
            "on_header_end": self._header_end,
            "on_headers_finished": self._headers_finished,
            "on_part_data": self._part_data,
            "on_part_end": self._part_end,
        }

    def _part_begin(self) -> None:
        self._field = self._value = self._disposition = b""

    def _header_field(self, data: bytes, start: int, end: int) -> None:
        self._field += data[start:end]

    def _header_value(self, data: bytes, start: int, end: int) -> None:
        self._value += data[start:end]

    def _header_end(self) -> None:
        if self._field.lower() == b"content-disposition":
            self._disposition = self._value
        self._field = self._value = b""

    def _headers_finished(self) -> None:
        _, options = parse_options_header(self._disposition)
        self._is_file = b"filename" in options
        if not self._is_file:
            return
        if self.name is not None:
            raise Refusal(400, "several files in one upload; send them one by one")
        self.name = shown_name(options[b"filename"])

    def _part_data(self, data: bytes, start: int, end: int) -> None:
        if self._is_file:
            self._file.write(data[start:end])

    def _part_end(self) -> None:
        self.complete |= self._is_file
        self._is_file = False


def shown_name(sent: bytes) -> str:
    """A file's name as it may be sent back: its last part, printable, not too long.

    Example:
        >>> shown_name(b"../../etc/passwd"), shown_name(rb"C:\\voices\\anna.wav"), shown_name(b"..")
        ('passwd', 'anna.wav', 'recording')
    """
    name = PureWindowsPath(sent.decode("utf-8", "replace")).name  # takes both / and \ as separators
    name = "".join(c if c.isprintable() else "?" for c in name)[:_LONGEST_NAME].strip()
    return name if name.strip(".") else "recording"
