"""Where in a file one recording ends and the next begins.

Files joined byte by byte are played as one recording by most players, and read by libsndfile and FFmpeg as far as the
first one goes, or worse: with the next one's header as sound.
"""

import re
from collections.abc import Iterator
from itertools import chain, pairwise

from affectra.audio.containers import Link, Spliced
from affectra.audio.media import media_kind
from affectra.audio.mp3 import find_mp3
from affectra.audio.mp4 import boxes

_PIECE = 1 << 20
_LONGEST_HEAD = 64
_LONGEST_AAC = 2 * (1 << 13)  # a frame and the next one
_AAC_HEAD = re.compile(rb"\xff[\xf0\xf1\xf8\xf9]")
_MOST_SEARCHED = 1 << 32  # ours; bytes of a WAV file that does not say its length
_MP4_HEAD = (b"ftyp", rb"ftyp(M4[ABV] |iso[m2-9]|mp4[12]|qt  |3g[p2]|avc1|dash|MSNV|f4v )")
# Ours, against files that are made to keep a reader busy.
_MOST_AAC_FRAMES = 5_000_000  # 29 hours at 48 kHz
_MOST_STREAMS = 100  # that begin together

# First bytes of a file -> what is searched for, and the whole pattern there. Long enough to be no accident.
_HEADS = {
    b"RIFF": (b"RIFF", rb"RIFF....WAVE"),
    b"RIFX": (b"RIFX", rb"RIFX....WAVE"),
    b"RF64": (b"RF64", rb"RF64....WAVE"),
    b"FORM": (b"FORM", rb"FORM....AIF[FC]"),
    b"fLaC": (b"fLaC", rb"fLaC[\x00\x80]\x00\x00\x22"),
    b"\x1a\x45\xdf\xa3": (b"\x1a\x45\xdf\xa3", rb"\x1a\x45\xdf\xa3.{1,48}(webm|matroska)"),
    b"#!AM": (b"#!AMR", rb"#!AMR(-WB)?\n"),
}


def find_links(file: Spliced, head: bytes) -> Iterator[Link]:
    """The recordings of a file, one after the other; what is no recording is one, for others to refuse.

    Args:
        file: its bytes.
        head: the first of them, 12 or more.
    """
    starts: Iterator[int] = iter(())
    if head[:4] in _HEADS:
        if not _is_over(file, head):
            starts = _search(file, *_HEADS[head[:4]], start=4)
    elif head.startswith(b"OggS"):
        starts = _ogg_starts(file)
    elif (kind := media_kind(head)) == "mp4":
        starts = _mp4_starts(file)
    elif kind == "aac":
        starts = _aac_starts(file)
    else:
        links = find_mp3(file)
        if first := next(links, None):
            yield from chain([first], links)
            return
    for start, end in pairwise(chain([0], starts, [file.size])):
        yield Link(b"", ((start, end),))


def _is_over(file: Spliced, head: bytes) -> bool:
    """Whether the recording that begins with `head` says of itself that it goes to the file's end."""
    end = 0
    if head.startswith(b"RF64") and head[12:16] == b"ds64":
        end = 8 + int.from_bytes(head[20:28], "little")
    elif head.startswith((b"RIFF", b"RF64")):
        end = 8 + int.from_bytes(head[4:8], "little")
    elif head.startswith((b"RIFX", b"FORM")):
        end = 8 + int.from_bytes(head[4:8], "big")
    elif head.startswith(b"\x1a\x45\xdf\xa3"):
        end = _matroska_end(file)
    is_too_long = file.size >= _MOST_SEARCHED and head[:4] in (b"RIFF", b"RIFX")
    return is_too_long or abs(file.size - end) <= 1  # with or without a byte that pads


def _matroska_end(file: Spliced) -> int:
    """End of the segment after the first header, 0 where it does not say."""
    at = 0
    for name in (b"\x1a\x45\xdf\xa3", b"\x18\x53\x80\x67"):
        head = _bytes(file, at, 12)
        n_bytes = 9 - (head[4] if len(head) == 12 else 0).bit_length()
        length = int.from_bytes(head[4 : 4 + n_bytes], "big") & (1 << 7 * n_bytes) - 1
        if not head.startswith(name) or n_bytes > 8 or length == (1 << 7 * n_bytes) - 1:
            return 0
        at += 4 + n_bytes + length
    return at


def _search(file: Spliced, name: bytes, pattern: bytes, start: int) -> Iterator[int]:
    """Where the pattern, which begins with this name, is found from `start` on."""
    whole = re.compile(pattern, re.DOTALL)
    for base in range(start, file.size, _PIECE):
        data = _bytes(file, base, _PIECE + _LONGEST_HEAD)
        if name in data:  # quicker than the pattern
            yield from (base + found.start() for found in whole.finditer(data) if found.start() < _PIECE)


def _ogg_starts(file: Spliced) -> Iterator[int]:
    """First pages of streams; where several begin together, as with pictures and sound, the first of them."""
    end = n_streams = 0
    for start in _search(file, b"OggS\0\x02", rb"OggS\x00\x02", 1):
        n_streams += 1
        if start > (end or _ogg_page_end(file, 0)) or n_streams > _MOST_STREAMS:
            yield start
            n_streams = 0
        end = _ogg_page_end(file, start)


def _ogg_page_end(file: Spliced, start: int) -> int:
    page = _bytes(file, start, 27 + 255)
    return start + 27 + page[26] + sum(page[27 : 27 + page[26]]) if len(page) > 26 else start


def _mp4_starts(file: Spliced) -> Iterator[int]:
    """Boxes that begin a file: its type, or where it has none, an index behind another one and its sound."""
    last = reached = 0
    is_indexed = has_sound = False
    for name, start, end in boxes(file, file.size):
        if start and (name == b"ftyp" or (name == b"moov" and has_sound)):
            yield start
            last, is_indexed, has_sound = start, False, False
        is_indexed |= name == b"moov"
        has_sound |= is_indexed and name in (b"mdat", b"moof")
        reached = end
    if reached != file.size:  # the last box is cut off, and what follows may look as if it were in it
        yield from (place - 4 for place in _search(file, *_MP4_HEAD, start=last + 8))


def _aac_starts(file: Spliced) -> Iterator[int]:
    """Frames of AAC from which on the sample rate is another, so that FFmpeg's reader would not go on."""
    base = place = 0
    data, rate_index = b"", None
    for _ in range(_MOST_AAC_FRAMES):
        if place + _LONGEST_AAC > len(data):
            base, place = base + place, 0
            data = _bytes(file, base, _PIECE)
        length, found = _aac_frame(data, place)
        if not length:
            head = _AAC_HEAD.search(data, place + 1)
            if head is None and len(data) < _PIECE:
                return
            place = len(data) if head is None else head.start()
            continue
        if found != rate_index and _aac_frame(data, place + length)[1] == found:
            if rate_index is not None:
                yield base + place
            rate_index = found
        place += length


def _aac_frame(data: bytes, place: int) -> tuple[int, int]:
    """Length of the frame of AAC there, and the index of its sample rate; no length if there is none."""
    if not _AAC_HEAD.match(data, place) or len(data) < place + 7:
        return 0, -1
    length = (data[place + 3] & 3) << 11 | data[place + 4] << 3 | data[place + 5] >> 5
    return (length, data[place + 2] >> 2 & 15) if length >= 7 else (0, -1)


def _bytes(file: Spliced, start: int, length: int) -> bytes:
    file.seek(start)
    return file.read(length) or b""
