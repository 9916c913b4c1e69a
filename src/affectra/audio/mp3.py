"""The frames of an MP3 file, counted: where they lie, and which of them are one recording.

An MP3 file has no table of its frames. A first frame without sound (Xing, Info or VBRI) may say how many follow, and it
speaks of one recording alone: where files were joined or cut, it is wrong. Where there is none, libsndfile takes the
first bit rate for the bit rate of all.
"""

import re
import struct
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import lru_cache
from typing import NamedTuple

from affectra.audio.containers import Link, Spliced, tag_length

_PIECE = 1 << 16
_LOOK = 64  # bytes of a frame that are looked at here
_SHORTEST_FREE, _LONGEST_FREE = 24, 1 << 13  # bytes of a frame of free format, whose header does not say
# Ours, against files that are made to keep a reader busy.
_MOST_JUNK = 1 << 16  # bytes before the first frame, such as the rest of one that a recorder cut; mpg123 takes as many
_LONG_ROW = 4  # frames in a row that are no accident, whatever is before them
_MOST_TRIES = 100_000  # places where a row might begin and does not; 100 MB of noise have 30,000
_MOST_TAGS = 16  # in a row
_MOST_RUNS = 1000  # of a recording
_SHORT_S = 0.1  # missing end that counts as cut off; indexes are inexact by a frame or two
_INDEX_NAMES = (b"Xing", b"Info", b"VBRI")
_DECODER_DELAY = 529  # samples that mpg123 cuts off in front, and expects as part of the padding

_THIRDS = bytes(third for third in range(0xF0) if third >> 2 & 3 < 3)  # neither bit rate nor sample rate is reserved
_HEAD = re.compile(rb"\xff[\xe2-\xe7\xf2-\xf7\xfa-\xff][" + re.escape(_THIRDS) + rb"]")

# kbit/s by index (0: free format) of layers I, II and III, first for MPEG 1, then for MPEG 2 and 2.5.
_BIT_RATES = (
    (
        (0, 32, 64, 96, 128, 160, 192, 224, 256, 288, 320, 352, 384, 416, 448),
        (0, 32, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320, 384),
        (0, 32, 40, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320),
    ),
    (
        (0, 32, 48, 56, 64, 80, 96, 112, 128, 144, 160, 176, 192, 224, 256),
        (0, 8, 16, 24, 32, 40, 48, 56, 64, 80, 96, 112, 128, 144, 160),
        (0, 8, 16, 24, 32, 40, 48, 56, 64, 80, 96, 112, 128, 144, 160),
    ),
)


class _Kind(NamedTuple):
    """Header fields that all frames of a recording share.

    Attributes:
        second: the second byte of their headers, with the bit set that says that there is no checksum.
        rate_index: of the sample rate.
        is_mono: whether there is one channel.
    """

    second: int
    rate_index: int
    is_mono: bool

    @property
    def is_mpeg1(self) -> bool:
        return self.second >> 3 & 3 == 3

    @property
    def layer(self) -> int:
        return 4 - (self.second >> 1 & 3)

    @property
    def sample_rate(self) -> int:
        return (44100, 48000, 32000)[self.rate_index] >> (2, 0, 1, 0)[self.second >> 3 & 3]

    @property
    def frame_samples(self) -> int:
        return (384, 1152, 1152 if self.is_mpeg1 else 576)[self.layer - 1]

    @property
    def padding(self) -> int:
        """Bytes by which a padded frame is longer."""
        return 4 if self.layer == 1 else 1

    @property
    def index_offset(self) -> int:
        """Bytes from a frame's start to the word Xing or Info in it."""
        return 4 + ((17 if self.is_mono else 32) if self.is_mpeg1 else (9 if self.is_mono else 17))

    @lru_cache(maxsize=64)  # noqa: B019  (a kind is a few numbers)
    def lengths(self, free_length: int) -> tuple[int, ...]:
        """Bytes of a frame by the third byte of its header, 0 where that is of another sample rate or of none.

        Args:
            free_length: of frames that do not give their bit rate; 0: there are none.
        """
        bit_rates = _BIT_RATES[0 if self.is_mpeg1 else 1][self.layer - 1]
        lengths = [0] * 256
        for third in range(0xF0):
            kbit_s, padding = bit_rates[third >> 4], (third >> 1 & 1) * self.padding
            if third >> 2 & 3 != self.rate_index:
                continue
            if not kbit_s:
                lengths[third] = free_length and free_length + padding
            elif self.layer == 1:
                lengths[third] = 12_000 * kbit_s // self.sample_rate * 4 + padding
            else:
                lengths[third] = 125 * self.frame_samples * kbit_s // self.sample_rate + padding
        return tuple(lengths)


def _kind(head: bytes) -> _Kind | None:
    """The kind of the frame that begins with these four bytes, or nothing where none begins."""
    return _Kind(head[1] | 1, head[2] >> 2 & 3, head[3] >= 0xC0) if len(head) > 3 and _HEAD.match(head) else None


@dataclass
class _Run:
    """Frames of one kind that follow each other without a gap.

    Attributes:
        kind: of its frames.
        start: of the first frame with sound.
        end: of the last whole frame.
        index: the frame before that, if it is one without sound.
        n_frames: frames with sound.
        last: start of the last one.
        bit_rates: their indices.
        is_cut: whether the file ends within a further frame.
        has_gap: whether frames follow it after bytes that are neither frames nor tags.
    """

    kind: _Kind
    start: int
    end: int
    index: bytes
    n_frames: int
    last: int
    bit_rates: set[int]
    is_cut: bool
    has_gap: bool = False


def find_mp3(file: Spliced) -> Iterator[Link]:
    """The recordings of an MP3 file; none where no frames are found.

    One goes on until the next index frame, or a frame of another kind. What lies between its frames is left out, and
    its index frame is given the number of frames that are there; where it has none and needs one, it gets one.
    """
    runs: list[_Run] = []
    for run in _runs(file):
        if runs and (run.index or run.kind != runs[0].kind or len(runs) == _MOST_RUNS):
            yield from _link(runs)
            runs = []
        runs.append(run)
    if runs:
        yield from _link(runs)


def _runs(file: Spliced) -> Iterator[_Run]:
    """All frames of a file, run by run."""
    tries = iter(range(_MOST_TRIES))
    at = _skip_tags(file, 0)
    if not _is_row(file, at, 2):
        at = _find_row(file, at, at + _MOST_JUNK, tries) or file.size
    while _is_row(file, at, 2):
        run = _read_run(file, at)
        at = _skip_tags(file, run.end)
        if at < file.size and not _is_row(file, at, 2):
            found = _find_row(file, run.last + 4, file.size, tries)
            run.has_gap = found is not None
            if (
                found and run.n_frames and found < run.end
            ):  # the file to which another was joined is cut in its last frame
                run.end, run.n_frames = run.last, run.n_frames - 1
            at = found or file.size
        yield run


def _read_run(file: Spliced, start: int) -> _Run:
    """The frames from `start` on, where there is at least one."""
    head = _bytes(file, start, 4)
    kind = _kind(head)
    assert kind is not None, "the caller has looked"
    lengths = _lengths(file, start, kind, head[2])
    known: dict[bytes, int] = {}  # lengths by the headers of frames with sound
    end, n_frames, last, index, is_cut = start, 0, start, b"", False
    while True:
        data, place = _bytes(file, end, _PIECE), 0
        is_last, may_have_index = len(data) < _PIECE, any(name in data for name in _INDEX_NAMES)
        stop = len(data) - (3 if is_last else _LOOK)
        while place < stop:
            head = data[place : place + 4]
            length = known.get(head) or (lengths[head[2]] if _kind(head) == kind else 0)
            is_cut = is_last and place + length > len(data)
            if not length or is_cut:
                break
            if may_have_index and _is_index(kind, data[place : place + _LOOK]):
                if n_frames or index:
                    break
                index = _bytes(file, end + place, length)
            else:
                known[head] = length
                n_frames += 1
                last = end + place
            place += length
        end += place
        if place < stop or is_last:
            bit_rates = {head[2] >> 4 for head in known}
            return _Run(kind, start + len(index), end, index, n_frames, last, bit_rates, is_cut)


def _is_index(kind: _Kind, frame: bytes) -> bool:
    """Whether a frame is one without sound that says how many follow."""
    return frame[kind.index_offset :].startswith((b"Xing", b"Info")) or frame[36:40] == b"VBRI"


def _is_row(file: Spliced, at: int, n_frames: int) -> bool:
    """Whether whole frames of one kind begin there, one behind the other."""
    kind = _kind(_bytes(file, at, 4))
    for _ in range(n_frames):
        head = _bytes(file, at, 4)
        if kind is None or _kind(head) != kind or not (length := _lengths(file, at, kind, head[2])[head[2]]):
            return False
        at += length
    return at <= file.size


def _find_row(file: Spliced, start: int, stop: int, tries: Iterator[int]) -> int | None:
    """Where a long row of frames begins, from `start` on and before `stop`; at the file's end when tries run out."""
    for base in range(start, min(stop, file.size), _PIECE):
        for found in _HEAD.finditer(_bytes(file, base, _PIECE + 2)):
            if next(tries, None) is None:
                return file.size
            if _is_row(file, base + found.start(), _LONG_ROW):
                return base + found.start()
    return None


def _lengths(file: Spliced, at: int, kind: _Kind, third: int) -> tuple[int, ...]:
    """Bytes of the frames from there on by the third byte of their headers, of which the first is given."""
    if third >= 0x10:
        return kind.lengths(0)
    data = _bytes(file, at, _LONGEST_FREE)  # of free format: as long as it is to the next header, as mpg123 sees it
    for found in _HEAD.finditer(data, 4):
        following = _kind(data[found.start() : found.start() + 4])
        if following and following.sample_rate == kind.sample_rate:
            length = found.start() - (third >> 1 & 1) * kind.padding
            return kind.lengths(length if length >= _SHORTEST_FREE else 0)
    return kind.lengths(0)


def _skip_tags(file: Spliced, at: int) -> int:
    """The end of the zeros and tags that lie there."""
    for _ in range(_MOST_TAGS):
        length = _zeros(file, at) or _tag_length(file, at)
        if not 0 < length <= file.size - at:
            break
        at += length
    return at


def _zeros(file: Spliced, at: int) -> int:
    """Zeros that lie there."""
    n_zeros, piece = 0, 16
    while True:
        data = _bytes(file, at + n_zeros, piece)
        n_more = len(data) - len(data.lstrip(b"\0"))
        n_zeros += n_more
        if n_more < piece:
            return n_zeros
        piece = min(2 * piece, _PIECE)


def _tag_length(file: Spliced, at: int) -> int:
    """Bytes of the ID3, APE or Lyrics3 tag that begins there; 0: there is none."""
    head = _bytes(file, at, 32)
    if head.startswith(b"ID3"):
        return tag_length(head)
    if head.startswith(b"TAG"):
        return 227 if head.startswith(b"TAG+") else 128
    if head.startswith(b"APETAGEX") and len(head) == 32:
        return 32 + (int.from_bytes(head[12:16], "little") if head[23] & 0x20 else 0)
    if not head or head[0] == 0xFF:
        return 0
    data = _bytes(file, at, _PIECE)
    if head.startswith(b"LYRICSBEGIN"):
        lyrics = re.search(b"LYRICS200|LYRICSEND", data)
        return lyrics.end() if lyrics else 0
    name = data.find(b"APETAGEX")  # in the first version it stands behind a tag alone
    return name + 32 if name > 0 and int.from_bytes(data[name + 12 : name + 16], "little") == name + 32 else 0


def _link(runs: list[_Run]) -> Iterator[Link]:
    """The recording that these runs are, if there is sound in them."""
    kind, index = runs[0].kind, runs[0].index
    n_frames = sum(run.n_frames for run in runs)
    if not n_frames:
        return
    announced = _announced(kind, index)
    missing_s = (announced - n_frames) * kind.frame_samples / kind.sample_rate
    is_cut = any(run.has_gap for run in runs) or (missing_s > _SHORT_S if announced else runs[-1].is_cut)
    parts = tuple((run.start, run.end) for run in runs)
    has_one_bit_rate = len(set().union(*(run.bit_rates for run in runs))) == 1
    if kind.layer != 3:  # in these libsndfile reads no index
        yield Link(b"", parts, is_cut or not has_one_bit_rate, n_frames * kind.frame_samples)
    elif announced and index[36:40] != b"VBRI" and len(index) >= kind.index_offset + 124:
        yield Link(index if announced == n_frames else _corrected(kind, index, n_frames, parts), parts, is_cut)
    elif has_one_bit_rate:
        yield Link(b"", parts, is_cut, n_frames * kind.frame_samples)
    else:
        yield Link(_made(kind, n_frames), parts, is_cut)


def _announced(kind: _Kind, index: bytes) -> int:
    """Frames that an index frame speaks of; 0: it does not say."""
    if index[36:40] == b"VBRI":
        return int.from_bytes(index[50:54], "big")
    at = kind.index_offset + 4
    return int.from_bytes(index[at + 4 : at + 8], "big") if index[at + 3 : at + 4] and index[at + 3] & 1 else 0


def _corrected(kind: _Kind, index: bytes, n_frames: int, parts: Iterable[tuple[int, int]]) -> bytes:
    """An index frame with the number of frames that are there, and without padding at their end."""
    corrected = bytearray(index)
    at = kind.index_offset + 8
    flags = index[at - 1]
    corrected[at : at + 4] = n_frames.to_bytes(4, "big")
    at += 4
    if flags & 2:  # mpg123 warns of a wrong one
        n_bytes = len(index) + sum(end - start for start, end in parts)
        corrected[at : at + 4] = (n_bytes & 0xFFFFFFFF).to_bytes(4, "big")
        at += 4
    at += (100 if flags & 4 else 0) + (4 if flags & 8 else 0)
    if index[at : at + 1] > b"\0" and len(index) >= at + 24:  # LAME's part: 12 bits of delay, 12 bits of padding
        corrected[at + 22] = corrected[at + 22] & 0xF0 | _DECODER_DELAY >> 8
        corrected[at + 23] = _DECODER_DELAY & 0xFF
    return bytes(corrected)


def _made(kind: _Kind, n_frames: int) -> bytes:
    """An index frame with this number of frames."""
    least = kind.index_offset + 124
    third, length = next((third, length) for third, length in enumerate(kind.lengths(0)) if length >= least)
    head = bytes((0xFF, kind.second, third, 0xC0 if kind.is_mono else 0))
    index = head.ljust(kind.index_offset, b"\0") + b"Xing" + struct.pack(">II", 1, n_frames)
    return index.ljust(length, b"\0")


def _bytes(file: Spliced, start: int, length: int) -> bytes:
    file.seek(start)
    return file.read(length) or b""
