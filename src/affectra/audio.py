"""Recordings in: any container, rate, channels and length to mono float32 at one rate, or one clear line why not."""

import math
import os
import stat
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from itertools import chain, groupby, takewhile
from pathlib import Path
from typing import BinaryIO

import numpy as np
import soundfile
import soxr

from affectra.containers import Link, Spliced, read_container, tag_length
from affectra.errors import AudioError
from affectra.links import find_links
from affectra.media import MEDIA_SUFFIXES, MediaSound, media_kind, open_media

AUDIO_SUFFIXES = (".wav", ".flac", ".ogg", ".opus", ".mp3", ".aiff", ".aif", *MEDIA_SUFFIXES)

_FORMATS = {"WAV": "wav", "WAVEX": "wav", "RF64": "wav", "FLAC": "flac", "OGG": "ogg", "MP3": "mp3", "AIFF": "aiff"}
_SEEKABLE = ("wav", "aiff", "flac")  # libsndfile lands on other samples in ogg, and on changed ones in opus and mp3
_EXPECTED = "expected wav, flac, ogg, opus, mp3, aiff, m4a, aac, webm or mp4"

# Ours. Below 1 kHz no speech is left: such a rate is a damaged header, and obeying it would inflate the samples.
_MIN_SAMPLE_RATE = 1000
_BLOCK_S = 10.0
_LOUDEST = 100.0  # floats far beyond full scale are integers that nobody scaled
_MAX_BLOCK_VALUES = 1 << 24  # samples times channels held at once: 64 MiB, whatever rate and channels a header claims
_NO_END = 1 << 62  # frames where no header says how many; libsndfile gives 2**63 - 1 for such a FLAC file
_SHORT_S = 0.1  # missing end that counts as cut off
_MOST_LINKS = 2000  # ours; recordings in a file
_MOST_PARTS = 10_000  # ours; of a file, with tags or rubbish between them

# Ours. -70 dBFS is about 10 steps of 16 bit, under the noise floor of any microphone in a room.
_SILENCE = 10 ** (-70 / 20)
# Ours. The largest value of mu-law is 32124/32768 = 0.9803, of A-law 0.984, of 8 bit 0.992, of 16 bit 0.99997.
_FULL_SCALE = 0.98
_CLIP_S = 50e-6


@dataclass(frozen=True)
class AudioInfo:
    """What a recording's header says; where recordings were joined to one file, all of it.

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


@dataclass(frozen=True)
class Recording:
    """Mono audio and what is wrong with it.

    Attributes:
        samples: float32 (sample,), full scale is 1.
        sample_rate: Hz.
        flags: of "silent", "clipped" and "truncated", in this order.
    """

    samples: np.ndarray
    sample_rate: int
    flags: tuple[str, ...]


def probe(path: str | Path) -> AudioInfo:
    """Read a recording's header and check its container, without decoding it.

    A file that does not say its length, or not that of all that is in it, is read once to count its frames or to find
    the recordings that others joined to it: mp3, aac, amr, ogg, opus, FLAC, and wav and webm written to a pipe.

    Raises:
        AudioError: no such file, not a regular file, not permitted, empty, zero-length, a git-lfs pointer, or not audio
            of a known kind.
    """
    with _open(Path(path)) as (info, links):
        if info.n_frames < _NO_END:
            return info
        counts = [_count_frames(link) * info.sample_rate / link.info.sample_rate for link in links]
        return _with_length(info, round(sum(counts)))


def read(
    path: str | Path,
    sample_rate: int,
    *,
    start_s: float = 0.0,
    end_s: float | None = None,
    channel: int | None = None,
    allow_truncated: bool = False,
    max_duration_s: float = math.inf,
) -> Recording:
    """Read a recording, or a stretch of it, as mono at one sample rate.

    Channels are averaged, or one is taken, then resampled (soxr, high quality) to `n * sample_rate / source_rate`
    samples, rounded. Ogg, opus, mp3 and all that PyAV reads are decoded from the start even for a stretch, since
    seeking in them changes the samples. Of a file with several sound tracks the one is read that its author marked as
    default.

    Recordings that were joined to one file, byte by byte, are read one after the other, each with its own rate and
    channels. One behind the first that cannot be read is left out, and the others are flagged as truncated.

    Args:
        path: file in one of the formats of `AUDIO_SUFFIXES`; the content decides, not the name.
        sample_rate: Hz of the result.
        start_s: where the stretch starts.
        end_s: where it ends; None or beyond the end: the end of the recording.
        channel: this one alone, from 0 on; None: the mean of all.
        allow_truncated: read a WAV or AIFF file that is cut off, and flag it. A file of any other format is always
            read as far as it goes, and flagged where the cut shows.
        max_duration_s: refuse what is longer, as soon as the header or the samples decoded so far show it.

    Raises:
        AudioError: as `probe`; NaN or infinite samples; cut off (see `allow_truncated`); the stretch is empty or starts
            beyond the end; there is no such channel; nothing is left at `sample_rate`; longer than `max_duration_s`.
    """
    stream = Blocks(Path(path), sample_rate, _BLOCK_S, allow_truncated, start_s, end_s, max_duration_s, channel)
    samples = np.concatenate(list(stream))
    return Recording(samples, sample_rate, stream.flags)


def blocks(
    path: str | Path,
    sample_rate: int,
    *,
    block_s: float = _BLOCK_S,
    allow_truncated: bool = False,
    max_duration_s: float = math.inf,
) -> "Blocks":
    """Stream a recording as mono at one sample rate, in memory that does not grow with its length.

    The blocks, one after the other, are the samples of `read`, whatever `block_s` is.

    Args:
        path: as for `read`.
        sample_rate: Hz of the result.
        block_s: audio decoded at a time; the blocks given out vary a little around it (the resampler's delay).
        allow_truncated: as for `read`.
        max_duration_s: as for `read`.

    Returns:
        Iterator over float32 arrays (sample,), none of them empty; its `flags` are known once it is exhausted.

    Raises:
        AudioError: as `read`; header and container are checked at the first block, samples as they come.
    """
    return Blocks(Path(path), sample_rate, block_s, allow_truncated, max_duration_s=max_duration_s)


class Blocks(Iterator[np.ndarray]):
    """What `blocks` returns.

    Attributes:
        flags: as of `Recording`, judged on the original channels; empty until the last block has been given out.
    """

    def __init__(
        self,
        path: Path,
        sample_rate: int,
        block_s: float,
        allow_truncated: bool,
        start_s: float = 0.0,
        end_s: float | None = None,
        max_duration_s: float = math.inf,
        channel: int | None = None,
    ) -> None:
        self.flags: tuple[str, ...] = ()
        self._steps = self._stream(path, sample_rate, block_s, allow_truncated, start_s, end_s, max_duration_s, channel)

    def __next__(self) -> np.ndarray:
        return next(self._steps)

    def _stream(
        self,
        path: Path,
        sample_rate: int,
        block_s: float,
        allow_truncated: bool,
        start_s: float,
        end_s: float | None,
        max_duration_s: float,
        channel: int | None,
    ) -> Iterator[np.ndarray]:
        place = _name(path)
        with _open(path, end_s) as (info, links):
            if info.truncated and not allow_truncated:
                found = f"its header promises more than the {info.duration_s:.2f} s in it"
                raise AudioError(f"{place}: truncated, {found}; fetch it again")
            start, stop = _stretch(info, start_s, end_s)
            most = max_duration_s * info.sample_rate
            if most < stop - start < _NO_END - start:
                raise _too_long(place, max_duration_s)
            if stop == info.n_frames:
                stop = _NO_END  # such headers round, or speak of the first part alone
            meter = _QualityMeter()
            position = decoded = 0.0  # at the rate of the first link
            n_samples, cut_off = 0, False

            def mono_blocks(links: Iterable[_Opened]) -> Iterator[np.ndarray]:
                nonlocal position, decoded, cut_off
                for link in links:
                    taken = slice(None) if channel is None else _channel(link.info, channel)
                    meter.begin(link.info.sample_rate)
                    ratio = link.info.sample_rate / info.sample_rate
                    end = _NO_END if stop == _NO_END else round((stop - position) * ratio)
                    window = _Window(link, round(max(0, start - position) * ratio), end)
                    for framed in window.blocks(block_s):
                        decoded += len(framed) / ratio
                        if decoded > most:
                            raise _too_long(place, max_duration_s)
                        mono = _down_mix(framed[:, taken], place)
                        meter.add(framed[:, taken], mono)
                        yield mono
                    position += window.end / ratio
                    cut_off |= window.is_cut_off

            wanted = takewhile(lambda _: position < stop, links)
            for rate, group in groupby(wanted, lambda link: link.info.sample_rate):
                for block in _resampled(mono_blocks(group), rate, sample_rate, place):
                    n_samples += len(block)
                    yield block
            if not decoded:
                found = f"from {start_s:g} s on, it has ended or" if start else ","
                raise AudioError(
                    f"{place}: not one sample can be decoded{found} it is cut off or damaged; fetch it again"
                )
            if not n_samples:
                raise _too_short(place, sample_rate)
        self.flags = (*meter.flags(), "truncated") if cut_off else meter.flags()


def to_mono(samples: np.ndarray, sample_rate: int, target_rate: int) -> np.ndarray:
    """Down-mix and resample an array exactly as `read` does with a file.

    Args:
        samples: (sample,) or (sample, channel); floats with full scale 1, or integers, which are scaled to it.
        sample_rate: Hz of `samples`.
        target_rate: Hz of the result.

    Returns:
        float32 (sample,), `round(n * target_rate / sample_rate)` long.

    Raises:
        AudioError: another shape or type, no samples, NaN or infinite samples, a rate below 1000 Hz.

    Example:
        >>> to_mono(np.array([[0, 16384], [-32768, 0]], dtype=np.int16), 16000, 16000)
        array([ 0.25, -0.5 ], dtype=float32)
    """
    framed = _framed(samples)
    _check_rate(sample_rate, "samples")
    mono = _down_mix(framed, "samples")
    blocks = list(_resampled([mono], sample_rate, target_rate, "samples"))
    if not blocks:
        raise _too_short("samples", target_rate)
    return np.concatenate(blocks)


def quality_flags(samples: np.ndarray, sample_rate: int) -> tuple[str, ...]:
    """What is wrong with these samples: "silent", "clipped", both or nothing.

    Silent: half the peak-to-peak range of the down-mix is below -70 dB of full scale (around its own level, so that a
    dead microphone with an offset is silent too). Clipped: in one channel, at least three samples in a row, and 50
    microseconds of them, have the same value at 0.98 of full scale or beyond (lossy coding hides that). Judge original
    channels at their original rate: resampling rounds flat tops off.

    Args:
        samples: as for `to_mono`.
        sample_rate: Hz.

    Raises:
        AudioError: as `to_mono`.

    Example:
        >>> quality_flags(np.zeros(100), 16000)
        ('silent',)
    """
    framed = _framed(samples)
    _check_rate(sample_rate, "samples")
    meter = _QualityMeter()
    meter.begin(sample_rate)
    meter.add(framed, _down_mix(framed, "samples"))
    return meter.flags()


class _QualityMeter:
    """The rules of `quality_flags` over blocks that follow each other."""

    def __init__(self) -> None:
        self._low, self._high = math.inf, -math.inf
        self._clipped = False

    def begin(self, sample_rate: int) -> None:
        """Expect blocks of this rate, of a recording of its own."""
        self._run_length = max(3, math.ceil(_CLIP_S * sample_rate))
        self._tail: np.ndarray | None = None  # a run may go on in the next block

    def add(self, framed: np.ndarray, mono: np.ndarray) -> None:
        """Take in a block (sample, channel) and its down-mix (sample,)."""
        self._low, self._high = min(self._low, float(mono.min())), max(self._high, float(mono.max()))
        if self._clipped:
            return
        reach = self._run_length - 1
        seam = framed[:reach] if self._tail is None else np.concatenate([self._tail, framed[:reach]])
        self._clipped = _has_flat_top(seam, self._run_length) or _has_flat_top(framed, self._run_length)
        self._tail = (seam if len(framed) < reach else framed)[-reach:].copy()

    def flags(self) -> tuple[str, ...]:
        """The flags of all that was added."""
        silent = (self._high - self._low) / 2 < _SILENCE
        return tuple(flag for flag, found in (("silent", silent), ("clipped", self._clipped)) if found)


def _has_flat_top(framed: np.ndarray, run_length: int) -> bool:
    if framed.max() < _FULL_SCALE and framed.min() > -_FULL_SCALE:
        return False
    flat = (framed[1:] == framed[:-1]) & (np.abs(framed[1:]) >= _FULL_SCALE)
    for _ in range(run_length - 2):  # each turn asks for one more equal neighbour
        flat = flat[1:] & flat[:-1]
    return bool(flat.any())


def _framed(samples: np.ndarray) -> np.ndarray:
    """A caller's array as float32 (sample, channel) with full scale 1."""
    samples = np.asarray(samples)
    if samples.ndim not in (1, 2) or samples.size == 0:
        raise AudioError(f"samples: shape {samples.shape}, expected (sample,) or (sample, channel), not empty")
    if samples.ndim == 2 and samples.shape[1] > samples.shape[0]:
        raise AudioError(
            f"samples: shape {samples.shape} has more channels than samples; transpose to (sample, channel)"
        )
    if samples.ndim == 1:
        samples = samples[:, np.newaxis]
    if samples.dtype.kind == "f":
        with np.errstate(over="ignore"):  # an overflow becomes infinite and is refused as such
            return samples.astype(np.float32)
    if samples.dtype.kind not in "iu":
        raise AudioError(f"samples: type {samples.dtype}, expected floats within [-1, 1] or integers")
    half = 2.0 ** (8 * samples.dtype.itemsize - 1)
    middle = half if samples.dtype.kind == "u" else 0.0
    return ((samples.astype(np.float64) - middle) / half).astype(np.float32)


def _down_mix(framed: np.ndarray, place: str) -> np.ndarray:
    """Mean over channels, as a new array (sample,), after refusing NaN and infinity."""
    with np.errstate(over="ignore", invalid="ignore"):
        mono: np.ndarray = framed[:, 0].copy() if framed.shape[1] == 1 else framed.mean(axis=1)
    return _finite(mono, place)


def _finite(mono: np.ndarray, place: str) -> np.ndarray:
    if not np.isfinite(mono).all():
        raise AudioError(f"{place}: NaN or infinite samples, expected finite ones; export the recording again")
    if len(mono) and (peak := float(np.abs(mono).max())) > _LOUDEST:
        raise AudioError(f"{place}: samples up to {peak:.0f}, expected within [-1, 1]; divide them by their full scale")
    return mono


def _check_rate(sample_rate: float, place: str) -> None:
    if not sample_rate >= _MIN_SAMPLE_RATE:
        raise AudioError(f"{place}: sample rate {sample_rate} Hz, expected at least {_MIN_SAMPLE_RATE} Hz")


def _resampled(mono: Iterable[np.ndarray], source_rate: int, target_rate: int, place: str) -> Iterator[np.ndarray]:
    """Mono blocks at another rate; soxr's output does not depend on how the input is cut into blocks."""
    assert target_rate > 0, "a target rate is ours to choose"
    stream = None if source_rate == target_rate else soxr.ResampleStream(source_rate, target_rate, 1, dtype="float32")
    for block in mono:
        resampled = block if stream is None else stream.resample_chunk(block)
        if len(resampled):
            yield _finite(resampled, place)
    rest = np.empty(0, np.float32) if stream is None else stream.resample_chunk(np.empty(0, np.float32), last=True)
    if len(rest):
        yield _finite(rest, place)


def _too_short(place: str, sample_rate: int) -> AudioError:
    return AudioError(f"{place}: too short, not one sample is left at {sample_rate} Hz")


def _channel(info: AudioInfo, channel: int) -> slice:
    """One channel, as a slice of all."""
    if not 0 <= channel < info.n_channels:
        there = (
            "is one, number 0" if info.n_channels == 1 else f"are {info.n_channels}, from 0 to {info.n_channels - 1}"
        )
        raise AudioError(f"{_name(info.path)}: no channel {channel}, there {there}")
    return slice(channel, channel + 1)


def _stretch(info: AudioInfo, start_s: float, end_s: float | None) -> tuple[int, int]:
    """First frame and the one after the last."""
    place = _name(info.path)
    if not 0 <= start_s < math.inf:
        raise AudioError(f"{place}: cannot start at {start_s} s, expected seconds from the start of the recording")
    start, stop = round(start_s * info.sample_rate), info.n_frames
    if start >= stop:
        raise AudioError(f"{place}: starting at {start_s:g} s is beyond its end, it lasts {info.duration_s:.2f} s")
    if end_s is not None and end_s < info.duration_s:
        stop = round(end_s * info.sample_rate)
    if start >= stop:
        raise AudioError(f"{place}: the stretch from {start_s:g} s to {end_s} s is empty; its end must come later")
    return start, stop


class _Sequential(soundfile.SoundFile):  # type: ignore[misc]
    """A sound file read forwards only.

    soundfile seeks after every read of a seekable file, which in mp3 drops the bit reservoir: the samples after each
    seek come out wrong, by up to their whole amplitude.
    """

    def seekable(self) -> bool:
        return False


@dataclass(frozen=True)
class _Opened:
    """One of the recordings of a file, open.

    Attributes:
        sound: its samples, forwards.
        info: of it alone; `_NO_END` frames where it does not say.
        cut_off: whether its container is.
    """

    sound: _Sequential | MediaSound
    info: AudioInfo
    cut_off: bool


class _Window:
    """Frames `start` to `stop` of one of the recordings of a file, as many of them as there are.

    Attributes:
        end: the frame after the last, once all blocks have been given out.
    """

    def __init__(self, link: _Opened, start: int, stop: int) -> None:
        self._link, self._start = link, start
        self._stop = stop if isinstance(link.sound, MediaSound) else min(stop, link.info.n_frames)
        self.end = 0

    @property
    def is_cut_off(self) -> bool:
        """Whether something is missing, once all blocks have been given out."""
        sound, info = self._link.sound, self._link.info
        if isinstance(sound, MediaSound):
            return self.end < self._stop and sound.is_cut_off
        return self._link.cut_off or (self._stop < _NO_END and self._stop - self.end > _SHORT_S * info.sample_rate)

    def blocks(self, block_s: float) -> Iterator[np.ndarray]:
        """Blocks (sample, channel), each of which overwrites the last."""
        sound, info, stop = self._link.sound, self._link.info, self._stop
        if isinstance(sound, _Sequential) and self._start >= stop:
            self.end = stop
            return
        n_wanted = min(int(block_s * info.sample_rate), _MAX_BLOCK_VALUES // info.n_channels, stop)
        buffer = np.empty((max(1, n_wanted), info.n_channels), np.float32)
        if self._start and info.format in _SEEKABLE and info.n_frames < _NO_END and isinstance(sound, _Sequential):
            try:
                self.end = sound.seek(self._start)
            except soundfile.LibsndfileError as error:  # a cut FLAC file announces frames that are not there
                found = f"nothing can be decoded from {self._start / info.sample_rate:g} s on, it is cut off or damaged"
                raise AudioError(f"{_name(info.path)}: {found}; fetch it again") from error
        whole = True
        while self.end < stop and whole:
            limit = self._start if self.end < self._start else stop
            n_read, whole = _fill(sound, buffer[: min(len(buffer), limit - self.end)], self.end)
            self.end += n_read
            if self.end > self._start and n_read:
                yield buffer[:n_read]


def _too_long(place: str, max_duration_s: float) -> AudioError:
    return AudioError(f"{place}: longer than {max_duration_s:g} s, the most that is taken here; cut it into parts")


def _fill(sound: _Sequential | MediaSound, out: np.ndarray, position: int) -> tuple[int, bool]:
    """Frames decoded into `out`, and whether there may be more."""
    if isinstance(sound, MediaSound):
        n_read = len(sound.read(out))
        return n_read, n_read == len(out)
    try:
        n_read = len(sound.read(out=out))
    except soundfile.LibsndfileError:  # what came before the fault is in `out`
        return min(len(out), max(0, sound.tell() - position)), False
    return n_read, n_read == len(out)


def _name(path: Path) -> str:
    """A file's name for a message of one line, whatever bytes are in it."""
    return "".join(c if c.isprintable() else repr(c)[1:-1] for c in str(path))


@contextmanager
def _open(path: Path, end_s: float | None = None) -> Iterator[tuple[AudioInfo, Iterator[_Opened]]]:
    """A file's header (`_NO_END` frames where it does not say), and its recordings, each open in its turn.

    Recordings that begin only after `end_s` need not be among them.
    """
    place = _name(path)
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
                if end_s <= whole.info.duration_s and whole.info.n_frames < _NO_END:
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


def _each_opened(path: Path, view: Spliced, links: Iterable[Link]) -> Iterator[_Opened]:
    for link in links:
        with _open_link(path, view, link) as opened:
            yield opened


@contextmanager
def _open_link(path: Path, file: Spliced, link: Link) -> Iterator[_Opened]:
    place = _name(path)
    view = Spliced(link.header, file, *link.parts)
    head = view.read(64) or b""
    if kind := media_kind(head):
        with open_media(view, kind, place) as track:
            n_frames = _NO_END if track.n_announced is None else track.n_announced
            yield _Opened(track, _info(path, track.samplerate, track.channels, n_frames, kind), False)
        return
    container = read_container(view, head)
    try:
        sound = _Sequential(Spliced(container.header, view, (container.offset, view.size)))
    except soundfile.LibsndfileError as error:
        raise AudioError(f"{place}: {_why_not(head, error)}; {_EXPECTED}") from error
    with sound:
        if sound.format not in _FORMATS:
            found = f"{sound.format} is not supported"
            raise AudioError(f"{place}: {found}, {_EXPECTED}; convert it, for instance with sox")
        name = "opus" if sound.subtype == "OPUS" else _FORMATS[sound.format]
        n_frames = min(sound.frames, link.n_frames or _NO_END)
        info = replace(_info(path, sound.samplerate, sound.channels, n_frames, name), truncated=container.truncated)
        yield _Opened(sound, info, container.truncated or container.unfinished or link.is_cut)


def _joined(infos: list[AudioInfo]) -> AudioInfo:
    """What is said of recordings that follow each other in a file."""
    first = infos[0]
    if len(infos) == 1:
        return first
    if any(info.n_frames == _NO_END for info in infos):
        n_frames = _NO_END
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
    place = _name(path)
    _check_rate(sample_rate, place)
    if n_frames == 0:
        raise AudioError(f"{place}: zero-length, the header is there but no samples follow; fetch it again")
    return AudioInfo(path, sample_rate, n_channels, n_frames, n_frames / sample_rate, name, truncated=False)


def _with_length(info: AudioInfo, n_frames: int) -> AudioInfo:
    if n_frames == 0:
        raise AudioError(f"{_name(info.path)}: not one sample can be decoded, it is cut off or damaged; fetch it again")
    return replace(info, n_frames=n_frames, duration_s=n_frames / info.sample_rate)


def _count_frames(link: _Opened) -> int:
    if link.info.n_frames < _NO_END:
        return link.info.n_frames
    if isinstance(link.sound, MediaSound):
        return link.sound.count()
    buffer = np.empty((4096, link.sound.channels), np.float32)
    n_frames, whole = 0, True
    while whole:
        n_read, whole = _fill(link.sound, buffer, n_frames)
        n_frames += n_read
    return n_frames
