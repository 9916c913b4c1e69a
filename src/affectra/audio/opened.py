"""Files opened for decoding: their container checked, each of the recordings that were joined in them."""

import os
import stat
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from itertools import chain
from pathlib import Path
from typing import BinaryIO

import numpy as np
import soundfile

from affectra.audio.arrays import check_rate
from affectra.audio.containers import Link, Spliced, read_container, tag_length
from affectra.audio.links import find_links
from affectra.audio.media import MediaSound, media_kind, open_media
from affectra.errors import AudioError

NO_END = 1 << 62  # frames where no header says how many; libsndfile gives 2**63 - 1 for such a FLAC file

_FORMATS = {"WAV": "wav", "WAVEX": "wav", "RF64": "wav", "FLAC": "flac", "OGG": "ogg", "MP3": "mp3", "AIFF": "aiff"}
_SEEKABLE = ("wav", "aiff", "flac")  # libsndfile lands on other samples in ogg, and on changed ones in opus and mp3
_EXPECTED = "expected wav, flac, ogg, opus, mp3, aiff, m4a, aac, webm or mp4"
_MAX_BLOCK_VALUES = 1 << 24  # samples times channels held at once: 64 MiB, whatever rate and channels a header claims
_SHORT_S = 0.1  # missing end that counts as cut off
_MOST_LINKS = 2000  # ours; recordings in a file
_MOST_PARTS = 10_000  # ours; of a file, with tags or rubbish between them


@dataclass(frozen=True)
class AudioInfo:
    """Format, rate, channels and length of a recording by its header; of all parts of a file of joined recordings.

    Attributes:
        path: the file.
        sample_rate: Hz; of joined recordings, that of the first.
        n_channels: channels; of joined recordings, those of the first.
        n_frames: samples per channel that are there (of mp4, webm and cut FLAC: that the header announces).
        duration_s: `n_frames / sample_rate`.
        format: wav, flac, ogg, opus, mp3, aiff, mp4 (m4a, mov, 3gp), webm (mkv), aac or amr, by content, not by name.
        truncated: a WAV or AIFF file whose samples reach beyond its end (compressed formats: see `read`).
    """

    path: Path
    sample_rate: int
    n_channels: int
    n_frames: int
    duration_s: float
    format: str
    truncated: bool


class ForwardFile(soundfile.SoundFile):  # type: ignore[misc]
    """A sound file read forwards only.

    soundfile seeks after every read of a seekable file, which in mp3 drops the bit reservoir: the samples after each
    seek come out wrong, by up to their whole amplitude.
    """

    def seekable(self) -> bool:
        """No: see the class."""
        return False


@dataclass(frozen=True)
class OpenedRecording:
    """One of the recordings of a file, open.

    Attributes:
        sound: its samples, forwards.
        info: of it alone; `NO_END` frames where it does not say.
        cut_off: whether its container is.
    """

    sound: ForwardFile | MediaSound
    info: AudioInfo
    cut_off: bool


class FrameRange:
    """Frames `start` to `stop` of one of the recordings of a file, as many of them as there are.

    Attributes:
        end: the frame after the last, once all blocks have been given out.
    """

    def __init__(self, link: OpenedRecording, start: int, stop: int) -> None:
        self._link, self._start = link, start
        self._stop = stop if isinstance(link.sound, MediaSound) else min(stop, link.info.n_frames)
        self.end = 0

    @property
    def is_cut_off(self) -> bool:
        """Whether something is missing, once all blocks have been given out."""
        sound, info = self._link.sound, self._link.info
        if isinstance(sound, MediaSound):
            return self.end < self._stop and sound.is_cut_off
        return self._link.cut_off or (self._stop < NO_END and self._stop - self.end > _SHORT_S * info.sample_rate)

    def blocks(self, block_s: float) -> Iterator[np.ndarray]:
        """Blocks (sample, channel), each of which overwrites the last."""
        sound, info, stop = self._link.sound, self._link.info, self._stop
        if isinstance(sound, ForwardFile) and self._start >= stop:
            self.end = stop
            return
        n_wanted = min(int(block_s * info.sample_rate), _MAX_BLOCK_VALUES // info.n_channels, stop)
        buffer = np.empty((max(1, n_wanted), info.n_channels), np.float32)
        if self._start and info.format in _SEEKABLE and info.n_frames < NO_END and isinstance(sound, ForwardFile):
            try:
                self.end = sound.seek(self._start)
            except soundfile.LibsndfileError as error:  # a cut FLAC file announces frames that are not there
                found = f"nothing can be decoded from {self._start / info.sample_rate:g} s on, it is cut off or damaged"
                raise AudioError(f"{printable(info.path)}: {found}; fetch it again") from error
        whole = True
        while self.end < stop and whole:
            limit = self._start if self.end < self._start else stop
            n_read, whole = fill(sound, buffer[: min(len(buffer), limit - self.end)], self.end)
            self.end += n_read
            if self.end > self._start and n_read:
                yield buffer[:n_read]


@contextmanager
def open_recordings(path: Path, end_s: float | None = None) -> Iterator[tuple[AudioInfo, Iterator[OpenedRecording]]]:
    """A file's header (`NO_END` frames where it does not say), and its recordings, each open in its turn.

    Recordings that begin only after `end_s` need not be among them.
    """
    place = printable(path)
    with _open_bytes(path, place) as file:
        size = os.fstat(file.fileno()).st_size
        view = Spliced(b"", file, (tag_length(file.read(10)), size))
        head = view.read(64) or b""
        if size == 0:
            raise AudioError(f"{place}: is empty (0 bytes); fetch it again")
        if head.startswith(b"version https://git-lfs"):
            raise AudioError(f"{place}: is a git-lfs pointer, not the audio itself; run 'git lfs pull' where it lies")
        if end_s is not None and head.startswith(b"fLaC"):  # all of it would be read to find another one
            with _open_link(path, view, Link(b"", ((0, view.size),))) as whole:
                if end_s <= whole.info.duration_s and whole.info.n_frames < NO_END:
                    yield whole.info, iter([whole])
                    return
        links = _links(view, head, place)
        with _open_link(path, view, links[0]) as first:
            infos, others = [first.info], []
            for link in links[1:]:
                try:
                    with _open_link(path, view, link) as other:
                        infos.append(other.info)
                        others.append(link)
                except AudioError:
                    first = replace(first, cut_off=True)
            yield _joined(infos), chain([first], _each_opened(path, view, others))


def _links(view: Spliced, head: bytes, place: str) -> list[Link]:
    links, n_parts = [], 0
    for link in find_links(view, head):
        links.append(link)
        n_parts += len(link.parts)
        if len(links) > _MOST_LINKS or n_parts > _MOST_PARTS:
            raise AudioError(f"{place}: more than {_MOST_LINKS} recordings are joined in it; cut it into files")
    return links


def _each_opened(path: Path, view: Spliced, links: Iterable[Link]) -> Iterator[OpenedRecording]:
    for link in links:
        with _open_link(path, view, link) as opened:
            yield opened


@contextmanager
def _open_link(path: Path, file: Spliced, link: Link) -> Iterator[OpenedRecording]:
    place = printable(path)
    view = Spliced(link.header, file, *link.parts)
    head = view.read(64) or b""
    if kind := media_kind(head):
        with open_media(view, kind, place) as track:
            n_frames = NO_END if track.n_announced is None else track.n_announced
            yield OpenedRecording(track, _info(path, track.samplerate, track.channels, n_frames, kind), False)
        return
    container = read_container(view, head)
    try:
        sound = ForwardFile(Spliced(container.header, view, (container.offset, view.size)))
    except soundfile.LibsndfileError as error:
        raise AudioError(f"{place}: {_why_not(head, error)}; {_EXPECTED}") from error
    with sound:
        if sound.format not in _FORMATS:
            found = f"{sound.format} is not supported"
            raise AudioError(f"{place}: {found}, {_EXPECTED}; convert it, for instance with sox")
        name = "opus" if sound.subtype == "OPUS" else _FORMATS[sound.format]
        n_frames = min(sound.frames, link.n_frames or NO_END)
        info = replace(_info(path, sound.samplerate, sound.channels, n_frames, name), truncated=container.truncated)
        yield OpenedRecording(sound, info, container.truncated or container.unfinished or link.is_cut)


def _joined(infos: list[AudioInfo]) -> AudioInfo:
    """Combine the headers of recordings that follow each other in a file."""
    first = infos[0]
    if len(infos) == 1:
        return first
    if any(info.n_frames == NO_END for info in infos):
        n_frames = NO_END
    else:
        n_frames = round(sum(info.n_frames * first.sample_rate / info.sample_rate for info in infos))
    joined = replace(first, truncated=any(info.truncated for info in infos))
    return replace(joined, n_frames=n_frames, duration_s=n_frames / first.sample_rate)


def _open_bytes(path: Path, place: str) -> BinaryIO:
    try:
        mode = path.stat().st_mode
        if not stat.S_ISREG(mode):
            kind = "a directory" if stat.S_ISDIR(mode) else "not a regular file"
            raise AudioError(f"{place}: is {kind}, expected an audio file")
        return path.open("rb")
    except FileNotFoundError as error:
        raise AudioError(f"{place}: no such file") from error
    except (OSError, ValueError) as error:  # ValueError: a null character in the name
        raise AudioError(f"{place}: cannot be opened: {getattr(error, 'strerror', None) or error}") from error


def _why_not(head: bytes, error: soundfile.LibsndfileError) -> str:
    known = head.startswith((b"RIFF", b"RIFX", b"RF64", b"FORM", b"fLaC", b"OggS"))
    text = error.error_string.strip().removesuffix(".")
    return f"damaged or of an unknown variety ({text})" if known else "is not audio, or damaged"


def _info(path: Path, sample_rate: int, n_channels: int, n_frames: int, name: str) -> AudioInfo:
    place = printable(path)
    check_rate(sample_rate, place)
    if n_frames == 0:
        raise AudioError(f"{place}: zero-length, the header is there but no samples follow; fetch it again")
    return AudioInfo(path, sample_rate, n_channels, n_frames, n_frames / sample_rate, name, truncated=False)


def with_length(info: AudioInfo, n_frames: int) -> AudioInfo:
    """The header with the number of frames that were counted."""
    if n_frames == 0:
        place = printable(info.path)
        raise AudioError(f"{place}: not one sample can be decoded, it is cut off or damaged; fetch it again")
    return replace(info, n_frames=n_frames, duration_s=n_frames / info.sample_rate)


def count_frames(link: OpenedRecording) -> int:
    """Frames of a recording, decoded to its end where its header does not say."""
    if link.info.n_frames < NO_END:
        return link.info.n_frames
    if isinstance(link.sound, MediaSound):
        return link.sound.count()
    buffer = np.empty((4096, link.sound.channels), np.float32)
    n_frames, whole = 0, True
    while whole:
        n_read, whole = fill(link.sound, buffer, n_frames)
        n_frames += n_read
    return n_frames


def fill(sound: ForwardFile | MediaSound, out: np.ndarray, position: int) -> tuple[int, bool]:
    """Frames decoded into `out`, and whether there may be more."""
    if isinstance(sound, MediaSound):
        n_read = len(sound.read(out))
        return n_read, n_read == len(out)
    try:
        n_read = len(sound.read(out=out))
    except soundfile.LibsndfileError:  # what came before the fault is in `out`
        return min(len(out), max(0, sound.tell() - position)), False
    return n_read, n_read == len(out)


def printable(path: Path) -> str:
    """A file's name for a message of one line, whatever bytes are in it."""
    return "".join(c if c.isprintable() else repr(c)[1:-1] for c in str(path))
