"""Live sound as blocks: raw samples from a pipe, or a microphone through the extra `listen`."""

import importlib
import math
import time
from collections.abc import Iterator
from typing import Any, BinaryIO

import numpy as np
import numpy.typing as npt
import soxr

from affectra.errors import AudioError

BLOCK_S = 0.1  # ours: far below the second between two updates, and few enough wake-ups for a small computer
_LOWEST_RATE = 1000
_HIGHEST_RATE = 768_000
_WAIT_S = 0.01


def pcm_blocks(stream: BinaryIO, rate: int) -> Iterator[npt.NDArray[np.float32]]:
    """Blocks of raw 16-bit little-endian mono samples, as `arecord -t raw -f S16_LE` or FFmpeg's `-f s16le` write them.

    A pipe may hand over any number of bytes at a time, half samples too. Half a sample at the end is dropped.

    Args:
        stream: open for reading bytes, such as `sys.stdin.buffer`.
        rate: Hz; a block is 0.1 s, the last one may be shorter.

    Returns:
        Samples (sample,), full scale 1, as they come.

    Raises:
        AudioError: an impossible rate; raised before anything is read.

    Example:
        >>> import io
        >>> [block.tolist() for block in pcm_blocks(io.BytesIO(bytes([0, 64, 0, 192, 7])), 16000)]
        [[0.5, -0.5]]
    """
    _check_rate(rate, "standard input")
    return _pcm_blocks(stream, rate)


def _pcm_blocks(stream: BinaryIO, rate: int) -> Iterator[npt.NDArray[np.float32]]:
    length = 2 * math.ceil(BLOCK_S * rate)
    read = getattr(stream, "read1", stream.read)  # what is there, instead of waiting for all that was asked for
    held = bytearray()
    while (data := read(length - len(held))) != b"":
        if data is None:  # a stream that does not block has nothing yet
            time.sleep(_WAIT_S)
            continue
        held += data
        if len(held) == length:
            yield _scaled(held)
            held.clear()
    if len(held) > 1:
        yield _scaled(held[: len(held) // 2 * 2])


def microphone_blocks(rate: int) -> Iterator[npt.NDArray[np.float32]]:
    """Blocks of about 0.1 s from the system's microphone, until the caller stops asking.

    A microphone that cannot record at `rate` is recorded at its own and resampled. What the caller is too slow to fetch
    is lost.

    Args:
        rate: Hz.

    Returns:
        Mono samples (sample,), full scale 1, as they come.

    Raises:
        AudioError: an impossible rate, or a package or library is missing: at once; no microphone that can be opened:
            with the first block.
    """
    _check_rate(rate, "microphone")
    return _microphone_blocks(_library(), rate)


def _microphone_blocks(sounddevice: Any, rate: int) -> Iterator[npt.NDArray[np.float32]]:
    try:
        device = sounddevice.query_devices(kind="input")
        own_rate = rate if _can_record(sounddevice, rate) else round(device["default_samplerate"])
        resampler = None if own_rate == rate else soxr.ResampleStream(own_rate, rate, 1, dtype="float32")
        with sounddevice.InputStream(samplerate=own_rate, channels=1, dtype="float32") as source:
            while True:
                samples, _ = source.read(math.ceil(BLOCK_S * own_rate))
                block: npt.NDArray[np.float32] = np.array(samples[:, 0], dtype=np.float32)
                block = block if resampler is None else resampler.resample_chunk(block)
                if len(block):
                    yield block
    except sounddevice.PortAudioError as error:
        reason = " ".join(str(error).split())
        raise AudioError(
            f"microphone: cannot be opened ({reason}); plug one in or allow its use, or pipe samples in: listen --stdin"
        ) from error


def _library() -> Any:
    try:
        return importlib.import_module("sounddevice")
    except ImportError as error:
        found = "needs the package sounddevice"
        raise AudioError(f"microphone: {found}: pip install 'affectra[listen]'; or use listen --stdin") from error
    except OSError as error:  # its wheels for Linux come without PortAudio
        found = "the library PortAudio is missing"
        raise AudioError(f"microphone: {found}; install it (Debian: libportaudio2), or use listen --stdin") from error


def _can_record(sounddevice: Any, rate: int) -> bool:
    try:
        sounddevice.check_input_settings(samplerate=rate, channels=1, dtype="float32")
    except sounddevice.PortAudioError:
        return False
    return True


def _check_rate(rate: int, place: str) -> None:
    if not _LOWEST_RATE <= rate <= _HIGHEST_RATE:
        raise AudioError(f"{place}: {rate} Hz, expected a sample rate between {_LOWEST_RATE} and {_HIGHEST_RATE} Hz")


def _scaled(data: bytearray) -> npt.NDArray[np.float32]:
    return np.frombuffer(bytes(data), "<i2").astype(np.float32) / np.float32(32768)
