"""Audio containers: what of a file libsndfile must be shown, and whether the file is whole.

libsndfile reads the samples; this room mends what its version 1.2 gets wrong: WAV files written to a pipe, ID3 tags in
front of other formats, and lengths that reach beyond the end of the file.
"""

import io
import os
import struct
from bisect import bisect_right
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import accumulate
from typing import Any, BinaryIO

_STREAMING = 0xFFFFFFFF  # size written when the length was not known yet; 0 where the writer never came back


@dataclass(frozen=True)
class Container:
    """How a file's bytes are to be shown to libsndfile: `header`, then the file from `offset` on."""

    header: bytes = b""
    offset: int = 0
    truncated: bool = False  # WAV, AIFF: samples reach beyond the end
    unfinished: bool = False  # Ogg: no last page


@dataclass(frozen=True)
class Link:
    """One of the recordings that follow each other in a file: `header`, then parts of the file, as one."""

    header: bytes
    parts: tuple[tuple[int, int], ...]  # start and end of each
    is_cut: bool = False  # mp3: frames are missing at the end or in between
    n_frames: int | None = None  # samples of each channel, where libsndfile only estimates them


def read_container(file: "Spliced", head: bytes) -> Container:
    """Read the state of a container from a file's first bytes and chunks; `head` is its first 12 bytes or more."""
    if head.startswith((b"RIFF", b"RIFX", b"RF64")) and head[8:12] == b"WAVE":
        return _read_riff(file, head[:4])
    if head.startswith(b"FORM") and head[8:11] == b"AIF":
        reach = [start + length for name, length, start in _chunks(file, 12, ">") if name == b"SSND"]
        return Container(truncated=bool(reach) and reach[0] > file.size)
    if head.startswith(b"OggS"):
        return Container(unfinished=not _has_last_page(file))
    return Container()


def tag_length(head: bytes) -> int:
    """Bytes of an ID3v2 tag in front, which libsndfile would take off the end of the samples."""
    if len(head) < 10 or not head.startswith(b"ID3"):
        return 0
    length = 0
    for byte in head[6:10]:  # 7 bits each
        length = length << 7 | byte & 0x7F
    return 10 + length + (10 if head[5] & 0x10 else 0)


def _chunks(file: "Spliced", offset: int, endian: str) -> Iterator[tuple[bytes, int, int]]:
    """Name, length and start of each chunk from `offset` on, as long as the names look like names."""
    while offset + 8 <= file.size:
        file.seek(offset)
        name, length = struct.unpack(endian + "4sI", file.read(8))
        if not all(32 <= byte < 127 for byte in name):
            return
        yield name, length, offset + 8
        offset += 8 + length + length % 2


def _read_riff(file: "Spliced", kind: bytes) -> Container:
    """Find the samples of a WAV file and compare their length with the file's.

    A writer that could not come back leaves the length 0 or 0xFFFFFFFF. libsndfile takes 0 at its word and reads at
    most 4 GiB of the other, so such a file is given a header with its true length.
    """
    endian = ">" if kind == b"RIFX" else "<"
    form, length_64 = b"", 0
    for name, length, start in _chunks(file, 12, endian):
        if name == b"fmt ":
            file.seek(start)
            form = file.read(min(length, 1024))
        elif name == b"ds64":
            file.seek(start + 8)
            length_64 = int.from_bytes(file.read(8), "little")
        elif name == b"data":
            if kind == b"RF64" and length == _STREAMING:
                length = 0 if length_64 == 2**64 - 1 else length_64
            if length not in (0, _STREAMING):
                return Container(truncated=start + length > file.size)
            if length == 0 and _only_chunks_follow(file, start, endian):
                return Container()  # closed properly, without samples
            return Container(_true_header(kind, endian, form, file.size - start), start)
    return Container()


def _only_chunks_follow(file: "Spliced", offset: int, endian: str) -> bool:
    end = offset
    for _, length, start in _chunks(file, offset, endian):
        end = start + length + length % 2
    return end in (file.size, file.size + 1)


def _true_header(kind: bytes, endian: str, form: bytes, length: int) -> bytes:
    format_chunk = b"fmt " + struct.pack(endian + "I", len(form)) + form
    if length < _STREAMING - 1024:
        riff_length = 4 + len(format_chunk) + 8 + length
        tag = b"RIFX" if kind == b"RIFX" else b"RIFF"
        head = tag + struct.pack(endian + "I", riff_length) + b"WAVE"
        return head + format_chunk + b"data" + struct.pack(endian + "I", length)
    riff_length = 4 + 36 + len(format_chunk) + 8 + length
    head = b"RF64" + struct.pack("<I", _STREAMING) + b"WAVE"
    lengths = b"ds64" + struct.pack("<IQQQI", 28, riff_length, length, 0, 0)
    return head + lengths + format_chunk + b"data" + struct.pack("<I", _STREAMING)


def _has_last_page(file: "Spliced") -> bool:
    """Whether an Ogg file ends with a whole page that is marked as the last of its stream."""
    file.seek(max(0, file.size - 65307))  # the largest page
    tail = file.read()
    page = tail[max(0, tail.rfind(b"OggS")) :]
    if len(page) < 27 or len(page) < 27 + page[26]:
        return False
    return bool(page[5] & 4) and len(page) >= 27 + page[26] + sum(page[27 : 27 + page[26]])


class Spliced(io.RawIOBase):
    """A header in front of parts of a file, as one file.

    Without a name, so that soundfile judges by content alone (it takes *.raw for headerless samples).

    Attributes:
        size: bytes in all.
    """

    _header: bytes
    _starts: list[int]
    _file: "BinaryIO | Spliced"
    size: int

    def __init__(self, header: bytes, file: "BinaryIO | Spliced", *parts: tuple[int, int]) -> None:
        source: BinaryIO | Spliced = file
        if isinstance(file, Spliced) and not file._header and len(file._starts) == 1:  # one step less for each read
            source, first = file._file, file._starts[0]
            parts = tuple((first + start, first + min(end, file.size)) for start, end in parts)
        self._header, self._file = header, source
        self._starts = [start for start, _ in parts]
        self._ends = list(accumulate((max(0, end - start) for start, end in parts), initial=len(header)))[1:]
        self._position = 0
        self.size = self._ends[-1]

    def readable(self) -> bool:
        """Always."""
        return True

    def seekable(self) -> bool:
        """Always."""
        return True

    def readinto(self, buffer: Any) -> int:
        """Fill a buffer as far as the bytes go."""
        view = memoryview(buffer)
        n_filled = n_read = self._read_on(view)
        while n_read and n_filled < len(view):
            n_read = self._read_on(view[n_filled:])
            n_filled += n_read
        return n_filled

    def _read_on(self, view: memoryview) -> int:
        """Fill a buffer from where the position is, to the end of the header or part there at most."""
        position, number = self._position, bisect_right(self._ends, self._position)
        if position < len(self._header):
            part = self._header[position : position + len(view)]
            view[: len(part)] = part
            n_read = len(part)
        elif number == len(self._ends):
            return 0
        else:
            begun = position - (self._ends[number - 1] if number else len(self._header))
            self._file.seek(self._starts[number] + begun)
            n_read = self._file.readinto(view[: self._ends[number] - position])  # type: ignore[union-attr]
        self._position += n_read
        return n_read

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        """Move within all as one."""
        self._position = max(0, (0, self._position, self.size)[whence] + offset)
        return self._position

    def tell(self) -> int:
        """Position within all as one."""
        return self._position
