"""The index of an MP4 file against its size, before FFmpeg builds that index in memory.

A table of equal frames takes 20 bytes in the file and up to 36 bytes a frame in memory: 19 KB can ask for gigabytes.
FFmpeg looks for tables almost anywhere, so their names are searched for in all bytes that are not sound.
"""

import re
import struct
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Protocol

# Ours. A frame takes 4 bytes and more in a true file; 5 million of them are 29 hours of AAC at 48 kHz.
_BYTES_A_FRAME = 4
_MOST_FRAMES = 5_000_000
_LARGEST_INDEX = 1 << 27  # bytes
_PIECE = 1 << 24

_NAMES = (
    *(b"ftyp", b"moov", b"mdat", b"moof", b"mfra", b"free", b"skip", b"wide", b"uuid", b"meta", b"udta", b"pdin"),
    *(b"styp", b"sidx", b"ssix", b"emsg", b"prft", b"pnot"),
)  # of boxes that a file consists of; after others it is over

_COUNT_AT = {b"stsz": 12, b"stz2": 12, b"trun": 8}  # bytes from a table's name to its number of frames


class Readable(Protocol):
    """An open file."""

    def seek(self, offset: int) -> int:
        """Move to a byte."""

    def read(self, size: int) -> bytes | None:
        """The bytes from there on."""


@dataclass(frozen=True)
class Mp4:
    """State of an MP4, M4A, MOV or 3GP file, read from its boxes.

    Attributes:
        fault: why it must not be decoded, or nothing.
        usable_size: bytes up to the end, or to the part of an index that the file's end cuts in two.
        unfinished: whether the file ends within a box.
    """

    fault: str
    usable_size: int
    unfinished: bool = False


def check_mp4(file: Readable, size: int) -> Mp4:
    """Compare an MP4 file's index with the file's size.

    Args:
        file: open for reading.
        size: its bytes.
    """
    n_frames = held = 0
    is_indexed = has_references = False
    end = 0
    for name, start, end in boxes(file, size):
        if name == b"mdat":
            continue
        if end > size:  # FFmpeg refuses a whole file for an index it has begun to read
            return Mp4("" if is_indexed else _missing(), start, unfinished=True)
        held += end - start
        if held > _LARGEST_INDEX:
            return Mp4(f"its index is larger than {_LARGEST_INDEX >> 20} MiB", size)
        content = _bytes(file, start, end)
        if b"cmov" in content:
            return Mp4("its index is compressed, as QuickTime did before 2001", size)
        n_frames += _n_frames(content)
        is_indexed |= name == b"moov"
        has_references |= b"sidx" in content or b"tfra" in content
    if not is_indexed:
        return Mp4(_missing(), size)
    if n_frames > min(_MOST_FRAMES, size // _BYTES_A_FRAME + 64):
        return Mp4(f"its index announces {n_frames} frames in {size} bytes", size)
    if has_references and _hides_an_index(file, size):
        return Mp4("it hides an index among its sound", size)
    return Mp4("", min(end, size), unfinished=end > size)


def _missing() -> str:
    return "its index (moov) is missing, it is cut off or the recorder never finished"


def boxes(file: Readable, size: int) -> Iterator[tuple[bytes, int, int]]:
    """Name, start and end of each box of the file, as far as they follow each other; the last may end beyond it.

    Args:
        file: open for reading.
        size: its bytes.
    """
    offset = 0
    while offset + 8 <= size:
        head = _bytes(file, offset, offset + 16)
        length, name, header = int.from_bytes(head[:4], "big"), head[4:8], 8
        if length == 1:
            length, header = int.from_bytes(head[8:16], "big"), 16
        elif length == 0:
            length = size - offset
        if length < header or (name not in _NAMES and offset + length > size):
            return
        yield name, offset, offset + length
        offset += length


def _n_frames(content: bytes) -> int:
    """Entries that FFmpeg makes of the tables in these bytes."""
    n_frames = 0
    for found in re.finditer(b"stsz|stz2|trun", content):
        place = found.start() + _COUNT_AT[found.group()]
        n_frames += int.from_bytes(content[place : place + 4], "big")
    return n_frames - _n_merged(content)


def _n_merged(content: bytes) -> int:
    """Samples of plain PCM tracks, a frame each in the table, for which FFmpeg makes one entry per 1024."""
    tracks = [content[place : place + length] for place, length in _tracks(content)]
    for name in (b"stts", b"vide"):  # elsewhere they would change what the last track is
        if content.count(name) != sum(track.count(name) for track in tracks):
            return 0
    n_merged = 0
    for track in tracks:
        durations, sizes = track.find(b"stts"), track.find(b"stsz")
        single = all(track.count(name) == 1 for name in (b"trak", b"stts", b"stsz"))
        if not single or b"soun" not in track or b"vide" in track or len(track) < max(durations, sizes) + 20:
            continue
        n_entries, _, duration = struct.unpack_from(">III", track, durations + 8)
        if (n_entries, duration) == (1, 1):
            n_merged += struct.unpack_from(">I", track, sizes + 12)[0] * 1023 // 1024
    return n_merged


def _tracks(content: bytes) -> Iterator[tuple[int, int]]:
    """Place and length of each track in the box `content`."""
    offset = 8
    while offset + 8 <= len(content):
        length, name = struct.unpack_from(">I4s", content, offset)
        if length < 8:
            return
        if name == b"trak":
            yield offset, length
        offset += length


def _hides_an_index(file: Readable, size: int) -> bool:
    """Whether there may be a fragment's index where `sidx` or `tfra` could send FFmpeg: within an mdat."""
    for name, start, end in boxes(file, size):
        missing = [b"moof", b"traf", b"trun"]
        for place in range(start, min(end, size) if name == b"mdat" else start, _PIECE):
            piece = _bytes(file, place, min(end, place + _PIECE + 3))
            missing = [tag for tag in missing if tag not in piece]
        if not missing:
            return True
    return False


def _bytes(file: Readable, start: int, end: int) -> bytes:
    file.seek(start)
    return file.read(end - start) or b""
