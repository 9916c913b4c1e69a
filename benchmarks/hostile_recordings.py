"""Recordings to damage, in every format that can be written here, and small files that hold hours of silence."""

import importlib.util
import io
import struct
import zlib
from functools import cache

import numpy as np
import soundfile

RATE = 16_000


@cache
def recordings() -> tuple[bytes, ...]:
    """Half a second of sound in every format that can be written here."""
    sound = 0.2 * np.random.default_rng(0).standard_normal(RATE // 2)
    kinds = [
        ("WAV", "PCM_16"), ("WAV", "FLOAT"), ("WAV", "MS_ADPCM"), ("WAVEX", "PCM_24"), ("RF64", "PCM_16"),
        ("W64", "PCM_16"), ("AIFF", "PCM_16"), ("AU", "ULAW"), ("CAF", "PCM_16"), ("FLAC", "PCM_16"),
        ("OGG", "VORBIS"), ("OGG", "OPUS"), ("MP3", "MPEG_LAYER_III"),
    ]  # fmt: skip
    files = []
    for kind, subtype in kinds:
        file = io.BytesIO()
        soundfile.write(file, sound, RATE, format=kind, subtype=subtype)
        files.append(file.getvalue())
    return (*files, *_phone_recordings(sound))


def _phone_recordings(sound: np.ndarray) -> list[bytes]:
    """The same as phones and browsers write it, where PyAV is installed."""
    if importlib.util.find_spec("av") is None:
        return []
    import av

    files = []
    for container, codec, rate in (("ipod", "aac", RATE), ("adts", "aac", RATE), ("webm", "libopus", 48_000)):
        file = io.BytesIO()
        with av.open(file, "w", format=container) as output:
            stream = output.add_stream(codec, rate=rate, layout="mono")
            samples = np.ascontiguousarray(np.repeat(sound, rate // RATE)[None].astype(np.float32))
            frame = av.AudioFrame.from_ndarray(samples, format="flt", layout="mono")
            frame.sample_rate = rate
            for converted in av.AudioResampler(format=stream.format, layout="mono", rate=rate).resample(frame):
                output.mux(stream.encode(converted))
            output.mux(stream.encode(None))
        files.append(file.getvalue())
    return files


@cache
def bombs() -> tuple[bytes, ...]:
    """Small files that hold, or say that they hold, hours."""
    file = io.BytesIO()
    soundfile.write(file, np.zeros(3 * 3600 * 8000, np.int16), 8000, format="FLAC")
    flac = file.getvalue()
    blind = bytearray(flac)  # its head does not say how long it is
    blind[21] &= 0xF0
    blind[22:26] = bytes(4)
    second = io.BytesIO()
    soundfile.write(second, np.zeros(RATE), RATE, format="MP3", subtype="MPEG_LAYER_III")
    amr = b"#!AMR\n" + b"\x7c" * 1_000_000  # frames without data, a byte for 20 ms
    return (
        flac, bytes(blind), 5000 * second.getvalue(), amr,
        _wave(1, RATE, 0xFFFFFFFF), _wave(1, 1), _wave(1, 0), _wave(65_535, RATE), _wave(1, 0xFFFFFFFF),
    )  # fmt: skip


@cache
def packed_zeros() -> bytes:
    """50 MB of zeros in 50 kB."""
    return zlib.compress(bytes(50_000_000))


def _wave(n_channels: int, rate: int, announced: int = 60_000) -> bytes:
    """A wav of 60,000 zeros whose head may lie."""
    per_s, frame = 2 * rate * n_channels & 0xFFFFFFFF, 2 * n_channels & 0xFFFF
    head = struct.pack("<4sI8sIHHIIHH", b"RIFF", 0xFFFFFFFF, b"WAVEfmt ", 16, 1, n_channels, rate, per_s, frame, 16)
    return head + struct.pack("<4sI", b"data", announced) + bytes(60_000)
