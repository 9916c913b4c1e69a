"""Recordings in: any container, rate, channels and length to mono float32 at one rate, or one clear line why not."""

import math
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import groupby, takewhile
from pathlib import Path

import numpy as np

from affectra.audio.arrays import down_mix, resampled, too_short
from affectra.audio.media import MEDIA_SUFFIXES
from affectra.audio.opened import (
    NO_END,
    AudioInfo,
    FrameRange,
    OpenedRecording,
    count_frames,
    open_recordings,
    printable,
    with_length,
)
from affectra.audio.quality import QualityMeter
from affectra.errors import AudioError

AUDIO_SUFFIXES = (".wav", ".flac", ".ogg", ".opus", ".mp3", ".aiff", ".aif", *MEDIA_SUFFIXES)

_BLOCK_S = 10.0


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
    with open_recordings(Path(path)) as (info, links):
        if info.n_frames < NO_END:
            return info
        counts = [count_frames(link) * info.sample_rate / link.info.sample_rate for link in links]
        return with_length(info, round(sum(counts)))


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
    """Read a recording, or a segment of it, as mono at one sample rate.

    Channels are averaged, or one is taken, then resampled (soxr, high quality) to `n * sample_rate / source_rate`
    samples, rounded. Ogg, opus, mp3 and all that PyAV reads are decoded from the start even for a segment, since
    seeking in them changes the samples. Of a file with several sound tracks the one is read that its author marked as
    default.

    Recordings that were joined to one file, byte by byte, are read one after the other, each with its own rate and
    channels. One behind the first that cannot be read is left out, and the others are flagged as truncated.

    Args:
        path: file in one of the formats of `AUDIO_SUFFIXES`; the content decides, not the name.
        sample_rate: Hz of the result.
        start_s: where the segment starts.
        end_s: where it ends; None or beyond the end: the end of the recording.
        channel: this one alone, from 0 on; None: the mean of all.
        allow_truncated: read a WAV or AIFF file that is cut off, and flag it. A file of any other format is always
            read as far as it goes, and flagged where the cut shows.
        max_duration_s: refuse what is longer, as soon as the header or the samples decoded so far show it.

    Raises:
        AudioError: as `probe`; NaN or infinite samples; cut off (see `allow_truncated`); the segment is empty or starts
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
    """Iterator over the blocks of a recording, see `blocks`.

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
        place = printable(path)
        with open_recordings(path, end_s) as (info, links):
            if info.truncated and not allow_truncated:
                found = f"its header promises more than the {info.duration_s:.2f} s in it"
                raise AudioError(f"{place}: truncated, {found}; fetch it again")
            start, stop = _frame_range(info, start_s, end_s)
            most = max_duration_s * info.sample_rate
            if most < stop - start < NO_END - start:
                raise _too_long(place, max_duration_s)
            if stop == info.n_frames:
                stop = NO_END  # such headers round, or speak of the first part alone
            meter = QualityMeter()
            position = decoded = 0.0  # at the rate of the first link
            n_samples, cut_off = 0, False

            def mono_blocks(links: Iterable[OpenedRecording]) -> Iterator[np.ndarray]:
                nonlocal position, decoded, cut_off
                for link in links:
                    taken = slice(None) if channel is None else _channel(link.info, channel)
                    meter.begin(link.info.sample_rate)
                    ratio = link.info.sample_rate / info.sample_rate
                    end = NO_END if stop == NO_END else round((stop - position) * ratio)
                    window = FrameRange(link, round(max(0, start - position) * ratio), end)
                    for framed in window.blocks(block_s):
                        decoded += len(framed) / ratio
                        if decoded > most:
                            raise _too_long(place, max_duration_s)
                        mono = down_mix(framed[:, taken], place)
                        meter.add(framed[:, taken], mono)
                        yield mono
                    position += window.end / ratio
                    cut_off |= window.is_cut_off

            wanted = takewhile(lambda _: position < stop, links)
            for rate, group in groupby(wanted, lambda link: link.info.sample_rate):
                for block in resampled(mono_blocks(group), rate, sample_rate, place):
                    n_samples += len(block)
                    yield block
            if not decoded:
                found = f"from {start_s:g} s on, it has ended or" if start else ","
                raise AudioError(
                    f"{place}: not one sample can be decoded{found} it is cut off or damaged; fetch it again"
                )
            if not n_samples:
                raise too_short(place, sample_rate)
        self.flags = (*meter.flags(), "truncated") if cut_off else meter.flags()


def _channel(info: AudioInfo, channel: int) -> slice:
    """One channel, as a slice of all."""
    if not 0 <= channel < info.n_channels:
        there = (
            "is one, number 0" if info.n_channels == 1 else f"are {info.n_channels}, from 0 to {info.n_channels - 1}"
        )
        raise AudioError(f"{printable(info.path)}: no channel {channel}, there {there}")
    return slice(channel, channel + 1)


def _frame_range(info: AudioInfo, start_s: float, end_s: float | None) -> tuple[int, int]:
    """First frame and the one after the last."""
    place = printable(info.path)
    if not 0 <= start_s < math.inf:
        raise AudioError(f"{place}: cannot start at {start_s} s, expected seconds from the start of the recording")
    start, stop = round(start_s * info.sample_rate), info.n_frames
    if start >= stop:
        raise AudioError(f"{place}: starting at {start_s:g} s is beyond its end, it lasts {info.duration_s:.2f} s")
    if end_s is not None and end_s < info.duration_s:
        stop = round(end_s * info.sample_rate)
    if start >= stop:
        raise AudioError(f"{place}: the segment from {start_s:g} s to {end_s} s is empty; its end must come later")
    return start, stop


def _too_long(place: str, max_duration_s: float) -> AudioError:
    return AudioError(f"{place}: longer than {max_duration_s:g} s, the most that is taken here; cut it into parts")
