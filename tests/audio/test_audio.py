"""Recordings: odd and broken ones, formats, rates, stretches, streaming."""

import io
import os
import re
import struct
import tracemalloc
import warnings
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import scipy.signal
import soundfile
import soxr
from hypothesis import given, settings
from hypothesis import strategies as st

from affectra.audio import AUDIO_SUFFIXES, blocks, probe, quality_flags, read, to_mono
from affectra.corpora.recordings import inspect, probe_whole
from affectra.errors import AudioError

RATE = 16000
PCM = (np.random.default_rng(0).standard_normal(8000) * 3000).astype("<i2")


def tone(frequency_hz: float, sample_rate: int, duration_s: float = 1.0, amplitude: float = 0.5) -> np.ndarray:
    times = np.arange(round(duration_s * sample_rate)) / sample_rate
    return (amplitude * np.sin(2 * np.pi * frequency_hz * times)).astype(np.float32)


def speechlike(n_samples: int, n_channels: int = 1) -> np.ndarray:
    """Low-pass noise in bursts: it makes every codec work, and no two places are alike."""
    noise = scipy.signal.lfilter(
        [1.0], [1.0, -0.97], np.random.default_rng(1).standard_normal((n_samples, n_channels)), 0
    )
    envelope = 0.5 + 0.5 * np.sin(np.arange(n_samples) / 3000)
    return (0.05 * noise * envelope[:, np.newaxis]).astype(np.float32)


def encode(samples: np.ndarray, sample_rate: int, container: str, subtype: str | None = None) -> bytes:
    buffer = io.BytesIO()
    n_channels = 1 if samples.ndim == 1 else samples.shape[1]
    with soundfile.SoundFile(buffer, "w", sample_rate, n_channels, subtype, format=container) as file:
        for start in range(0, len(samples), sample_rate):  # libsndfile crashes on long Vorbis writes
            file.write(samples[start : start + sample_rate])
    return buffer.getvalue()


def chunk(name: bytes, payload: bytes, length: int | None = None, endian: str = "<") -> bytes:
    padding = b"\0" * (len(payload) % 2)
    return name + struct.pack(endian + "I", len(payload) if length is None else length) + payload + padding


def form(code: int = 1, n_channels: int = 1, rate: int = RATE, bits: int = 16, endian: str = "<") -> bytes:
    align = n_channels * bits // 8
    return chunk(
        b"fmt ", struct.pack(endian + "HHIIHH", code, n_channels, rate, rate * align, align, bits), None, endian
    )


def riff(*chunks: bytes, length: int | None = None, kind: bytes = b"RIFF", endian: str = "<") -> bytes:
    body = b"WAVE" + b"".join(chunks)
    return kind + struct.pack(endian + "I", len(body) if length is None else length) + body


def data(length: int | None = None, payload: bytes = PCM.tobytes()) -> bytes:
    return chunk(b"data", payload, length)


def ds64(length: int) -> bytes:
    return chunk(b"ds64", struct.pack("<QQQI", (length + 80) % 2**64, length, 0, 0))


def floats(*values: float) -> bytes:
    return riff(form(3, bits=32), data(payload=np.array([0.1, *values, -0.1] * 50, "<f4").tobytes()))


def flac_of_unknown_length() -> bytes:
    """As a FLAC encoder writes to a pipe: the 36-bit count of samples in STREAMINFO is zero."""
    content = bytearray(encode(PCM, RATE, "FLAC"))
    content[21] &= 0xF0
    content[22:26] = bytes(4)
    return bytes(content)


LIST = chunk(b"LIST", b"INFOISFT\x06\0\0\0Lavf58")
UUID = bytes.fromhex("0100000000001000800000aa00389b71")
EXTENSIBLE = chunk(b"fmt ", struct.pack("<HHIIHHHHI", 0xFFFE, 1, RATE, 32000, 2, 16, 22, 16, 4) + UUID)
WHOLE = riff(form(), data())
ID3 = b"ID3\x04\0\0\0\0\x01\x48" + bytes(200)
LFS = b"version https://git-lfs.github.com/spec/v1\noid sha256:4d7a21\nsize 12345\n"
BIG = speechlike(3 * RATE)
AIFF = encode(PCM, RATE, "AIFF", "PCM_16")
FLAC = encode(BIG, RATE, "FLAC")
OGG = encode(BIG, RATE, "OGG", "VORBIS")
OPUS = encode(BIG, RATE, "OGG", "OPUS")
MP3 = encode(BIG, RATE, "MP3")
RANDOM = np.random.default_rng(2).bytes(5000)

NOT_AUDIO = "not audio"
DAMAGED = "damaged or of an unknown variety"

# Kind of file -> its bytes, and what the one line says about it.
REFUSED: dict[str, tuple[bytes, str]] = {
    "floats of integer scale": (floats(30000.0), "samples up to 30000"),
    "nothing at all": (b"", r"empty \(0 bytes\)"),
    "one byte": (b"R", NOT_AUDIO),
    "a git-lfs pointer": (LFS, "git-lfs pointer.*git lfs pull"),
    "text": (b"she said it happily\n" * 100, NOT_AUDIO),
    "a web page": (b"<!DOCTYPE html><html>404</html>", NOT_AUDIO),
    "zeros": (bytes(5000), NOT_AUDIO),
    "ones": (b"\xff" * 5000, NOT_AUDIO),
    "noise": (RANDOM, NOT_AUDIO),
    "gzip": (b"\x1f\x8b\x08" + RANDOM, NOT_AUDIO),
    "mac resource fork": (b"\0\x05\x16\x07\0\x02\0\0Mac OS X" + bytes(4000), NOT_AUDIO),
    "an ID3 tag alone": (ID3, NOT_AUDIO),
    "video in RIFF": (b"RIFF" + struct.pack("<I", 100) + b"AVI " + bytes(96), DAMAGED),
    "m4a": (b"\0\0\0\x20ftypM4A " + RANDOM, r"index \(moov\) is missing"),
    "webm": (b"\x1a\x45\xdf\xa3" + RANDOM, "webm or Matroska file is damaged"),
    "aac": (b"\xff\xf1\x50\x80" + RANDOM, "aac file .*damaged"),
    "au": (encode(PCM, RATE, "AU"), "AU is not supported"),
    "caf": (encode(PCM, RATE, "CAF"), "CAF is not supported"),
    "wav cut before its form": (WHOLE[:12], DAMAGED),
    "wav cut inside fmt": (WHOLE[:28], DAMAGED),
    "wav cut before data": (WHOLE[:36], DAMAGED),
    "wav cut in the data header": (WHOLE[:42], "zero-length"),
    "wav cut after the data header": (WHOLE[:44], "truncated|zero-length"),
    "wav without data": (riff(form()), DAMAGED),
    "wav without fmt": (riff(data()), DAMAGED),
    "wav with fmt after data": (riff(data(), form()), DAMAGED),
    "wav without samples": (riff(form(), data(payload=b"")), "zero-length"),
    "wav without samples, then a chunk": (riff(form(), data(payload=b""), LIST), "zero-length"),
    "wav of no channels": (riff(form(n_channels=0), data()), DAMAGED),
    "wav of 2000 channels": (riff(form(n_channels=2000), data()), DAMAGED),
    "wav of no bits": (riff(form(bits=0), data()), DAMAGED),
    "wav at 0 Hz": (riff(form(rate=0), data()), DAMAGED),
    "wav at 3 Hz": (riff(form(rate=3), data()), "sample rate 3 Hz, expected at least 1000 Hz"),
    "wav at 2 GHz": (riff(form(rate=2**31 - 1), data()), "too short"),
    "wav of an unknown codec": (riff(form(code=0x1234), data()), DAMAGED),
    "wav with a missing half": (riff(form(), data(length=32000)), "truncated.*0.50 s"),
    "wav with one missing byte": (WHOLE[:-1], "truncated"),
    "wav of 2 GiB announced": (riff(form(), data(length=0x7FFFF000)), "truncated"),
    "RF64 with a missing half": (riff(ds64(32000), form(), data(2**32 - 1), kind=b"RF64"), "truncated"),
    "big-endian wav with a missing end": (
        riff(form(endian=">"), chunk(b"data", PCM.tobytes(), 32000, ">"), kind=b"RIFX", endian=">"),
        "truncated",
    ),
    "aiff with a missing end": (AIFF[:-1000], "truncated"),
    "aiff header alone": (AIFF[:20], DAMAGED),
    "NaN": (floats(np.nan), "NaN or infinite"),
    "infinity": (floats(np.inf), "NaN or infinite"),
    "minus infinity": (floats(-np.inf), "NaN or infinite"),
    "doubles beyond float32": (
        riff(form(3, bits=64), data(payload=np.full(100, 1e300).tobytes())),
        "NaN or infinite",
    ),
    "flac header alone": (FLAC[:60], "decoded|damaged"),
    "ogg header alone": (OGG[:50], DAMAGED),
    "opus header alone": (OPUS[:50], DAMAGED),
    "mp3 cut in its first frame": (MP3[:40], NOT_AUDIO),
}

# Ways to pack the samples of PCM without loss.
PACKED: dict[str, bytes] = {
    "plain wav": WHOLE,
    "streamed wav, 0": riff(form(), data(0), length=0),
    "streamed wav, 0 in a riff of 36": riff(form(), data(0), length=36),
    "streamed wav, 0xFFFFFFFF": riff(form(), data(2**32 - 1), length=2**32 - 1),
    "streamed wav after LIST": riff(form(), LIST, data(2**32 - 1), length=2**32 - 1),
    "streamed wav, 0 after LIST": riff(form(), LIST, data(0), length=0),
    "streamed WAVE_FORMAT_EXTENSIBLE": riff(EXTENSIBLE, data(0), length=0),
    "streamed RF64, 0": riff(ds64(0), form(), data(2**32 - 1), kind=b"RF64"),
    "streamed RF64, all ones": riff(ds64(2**64 - 1), form(), data(2**32 - 1), kind=b"RF64"),
    "RF64": riff(ds64(16000), form(), data(2**32 - 1), length=2**32 - 1, kind=b"RF64"),
    "RF64 with a plain length": riff(ds64(16000), form(), data(), kind=b"RF64"),
    "WAVE_FORMAT_EXTENSIBLE": riff(EXTENSIBLE, data()),
    "chunks before and after": riff(LIST, form(), LIST, data(), LIST),
    "a padded odd chunk": riff(form(), chunk(b"junk", b"abc"), data()),
    "a byte over a whole frame": riff(form(), data(payload=PCM.tobytes() + b"x")),
    "riff length too small": riff(form(), data(), length=1000),
    "riff length too large": riff(form(), data(), length=100000),
    "rubbish after the end": WHOLE + RANDOM,
    "block alignment wrong": WHOLE[:32] + b"\x07" + WHOLE[33:],
    "big-endian wav": riff(
        form(endian=">"), chunk(b"data", PCM.astype(">i2").tobytes(), None, ">"), kind=b"RIFX", endian=">"
    ),
    "big-endian streamed wav": riff(
        form(endian=">"), chunk(b"data", PCM.astype(">i2").tobytes(), 0, ">"), kind=b"RIFX", endian=">"
    ),
    "ID3 before wav": ID3 + WHOLE,
    "ID3 before flac": ID3 + encode(PCM, RATE, "FLAC"),
    "flac of unknown length": flac_of_unknown_length(),
    "aiff": AIFF,
    "24 bit wav": encode(PCM.astype(np.float32) / 32768, RATE, "WAV", "PCM_24"),
    "double wav": encode(PCM.astype(np.float64) / 32768, RATE, "WAV", "DOUBLE"),
}

# Kind of file -> its bytes, how many samples come out of it (None: some) and the flags.
READ: dict[str, tuple[bytes, int | None, tuple[str, ...]]] = {
    "odd data without padding": (riff(form(bits=8), data(payload=b"\x80\x90\x70" * 333))[:-1], 999, ()),
    "ID3 before mp3": (ID3 + MP3, 48000, ()),
    "one sample": (riff(form(), data(payload=b"\x00\x10")), 1, ("silent",)),
    "mu-law wav": (encode(PCM, RATE, "WAV", "ULAW"), 8000, ()),
    "ADPCM wav": (encode(PCM, RATE, "WAV", "MS_ADPCM"), None, ()),
    "silence": (riff(form(), data(payload=bytes(16000))), 8000, ("silent",)),
    "near silence": (riff(form(), data(payload=np.tile([9, -9], 4000).astype("<i2").tobytes())), 8000, ("silent",)),
    "a whisper": (riff(form(), data(payload=np.tile([99, -99], 4000).astype("<i2").tobytes())), 8000, ()),
    "a dead microphone's offset": (riff(form(), data(payload=np.full(8000, 900, "<i2").tobytes())), 8000, ("silent",)),
    "clipped noise": (encode(np.clip(PCM * 9e-4, -1, 1), RATE, "WAV"), 8000, ("clipped",)),
    "clipped tone": (encode(np.clip(tone(200, RATE, amplitude=2.0), -1, 1), RATE, "WAV"), 16000, ("clipped",)),
    "clipped mu-law": (
        encode(np.clip(tone(200, RATE, amplitude=2.0), -1, 1), RATE, "WAV", "ULAW"),
        16000,
        ("clipped",),
    ),
    "full-scale tone": (encode(tone(200, RATE, amplitude=0.9999), RATE, "WAV"), 16000, ()),
    "wav with a missing half": (riff(form(), data(length=32000)), 8000, ("truncated",)),
    "RF64 with a missing half": (riff(ds64(32000), form(), data(2**32 - 1), kind=b"RF64"), 8000, ("truncated",)),
    "aiff with a missing end": (AIFF[:-1000], 7500, ("truncated",)),
    "flac with a missing half": (FLAC[: len(FLAC) // 2], None, ("truncated",)),
    "flac with a hole": (FLAC[: len(FLAC) // 2] + RANDOM[:500] + FLAC[len(FLAC) // 2 + 500 :], None, ("truncated",)),
    "ogg with a missing half": (OGG[: len(OGG) // 2], None, ("truncated",)),
    "opus with a missing half": (OPUS[: len(OPUS) // 2], None, ("truncated",)),
    "mp3 with a missing half": (MP3[: len(MP3) // 2], None, ("truncated",)),
}


def written(folder: Path, content: bytes, name: str = "odd file.wav") -> Path:
    path = folder / name
    path.write_bytes(content)
    return path


def only_line(path: Path, error: pytest.ExceptionInfo[AudioError]) -> str:
    message = str(error.value)
    assert message.startswith(f"{path}: ")
    assert "\n" not in message
    return message


@pytest.mark.parametrize("kind", REFUSED)
def test_a_file_that_cannot_be_used_is_refused_with_one_line_that_names_it(kind: str, tmp_path: Path) -> None:
    content, expected = REFUSED[kind]
    path = written(tmp_path, content)
    with pytest.raises(AudioError) as error:
        read(path, RATE)
    assert re.search(expected, only_line(path, error))
    with pytest.raises(AudioError) as streamed:
        list(blocks(path, RATE))
    assert str(streamed.value) == str(error.value)


@pytest.mark.parametrize("kind", READ)
def test_an_odd_file_is_read_whole_and_flagged(kind: str, tmp_path: Path) -> None:
    content, n_samples, flags = READ[kind]
    recording = read(written(tmp_path, content), RATE, allow_truncated=True)
    assert recording.flags == flags
    assert recording.samples.dtype == np.float32
    assert recording.samples.ndim == 1
    assert n_samples is None or len(recording.samples) == n_samples
    assert len(recording.samples) > 0


@pytest.mark.parametrize("kind", PACKED)
def test_an_oddly_packed_file_gives_exactly_the_samples_that_were_packed(kind: str, tmp_path: Path) -> None:
    path = written(tmp_path, PACKED[kind])
    recording = read(path, RATE)
    np.testing.assert_array_equal(recording.samples, PCM.astype(np.float32) / 32768)
    assert recording.flags == ()
    assert probe(path).n_frames == 8000
    assert not probe(path).truncated


def test_the_table_of_odd_files_is_long() -> None:
    assert len({*REFUSED, *PACKED, *READ}) >= 90


@pytest.mark.parametrize("name", ["flac", "ogg", "opus", "mp3"])
def test_a_cut_compressed_file_is_read_as_far_as_it_goes(name: str, tmp_path: Path) -> None:
    content = {"flac": FLAC, "ogg": OGG, "opus": OPUS, "mp3": MP3}[name]
    whole = read(written(tmp_path, content, "whole"), RATE).samples
    cut = read(written(tmp_path, content[: len(content) // 2], "cut"), RATE)
    assert 0.2 * len(whole) < len(cut.samples) < 0.8 * len(whole)
    n_same = len(cut.samples) - 2000  # a lossy codec's last frame fades
    np.testing.assert_allclose(cut.samples[:n_same], whole[:n_same], atol=1e-6)


def test_a_stretch_after_the_cut_of_a_flac_file_is_refused(tmp_path: Path) -> None:
    path = written(tmp_path, FLAC[: len(FLAC) // 2])
    with pytest.raises(AudioError, match=r"decoded.*cut off or damaged") as error:
        read(path, RATE, start_s=2.5)
    only_line(path, error)


def test_probe_of_a_cut_wav_tells_what_is_there(tmp_path: Path) -> None:
    info = probe(written(tmp_path, riff(form(), data(length=32000))))
    assert (info.n_frames, info.duration_s, info.truncated, info.format) == (8000, 0.5, True, "wav")


def test_a_streamed_wav_beyond_4_gib_is_seen_whole(tmp_path: Path) -> None:
    path = written(tmp_path, riff(form(), data(2**32 - 1, b""), length=2**32 - 1))
    os.truncate(path, 44 + 5 * 2**30)  # sparse
    assert probe(path).n_frames == 5 * 2**29
    assert len(read(path, RATE, start_s=160_000.0, end_s=160_001.0).samples) == RATE


def test_what_is_no_file_is_refused(tmp_path: Path) -> None:
    named_pipe = tmp_path / "pipe.wav"
    os.mkfifo(named_pipe)
    for path, expected in (
        (tmp_path / "missing.wav", "no such file"),
        (tmp_path, "is a directory"),
        (named_pipe, "not a regular file"),
        (tmp_path / ("long" * 100), "cannot be opened: File name too long"),
        (tmp_path / "a.wav" / "b.wav", "no such file"),
    ):
        with pytest.raises(AudioError, match=expected) as error:
            read(path, RATE)
        only_line(path, error)
    with pytest.raises(AudioError, match="cannot be opened: embedded null"):
        probe("a\0b.wav")


@pytest.mark.skipif(os.name == "nt" or os.geteuid() == 0, reason="this user may read every file")
def test_a_file_one_may_not_read_is_refused(tmp_path: Path) -> None:
    path = written(tmp_path, WHOLE)
    path.chmod(0)
    with pytest.raises(AudioError, match="cannot be opened: Permission denied") as error:
        read(path, RATE)
    only_line(path, error)


@pytest.mark.parametrize(
    "name", ["line\nbreak.wav", "samples.raw", "no suffix", "Zähler 名前.wav", os.fsdecode(b"\xff.wav")]
)
def test_the_name_of_a_file_does_not_matter(name: str, tmp_path: Path) -> None:
    assert len(read(written(tmp_path, WHOLE, name), RATE).samples) == 8000
    with pytest.raises(AudioError) as error:
        read(written(tmp_path, b"text", name), RATE)
    assert str(error.value).isprintable()


@settings(max_examples=200, deadline=None)
@given(st.binary(max_size=400))
def test_random_bytes_are_refused(tmp_path_factory: pytest.TempPathFactory, content: bytes) -> None:
    with pytest.raises(AudioError):
        read(written(tmp_path_factory.getbasetemp(), content, "random"), RATE)


@settings(max_examples=300, deadline=None)
@given(
    content=st.sampled_from(
        [WHOLE, AIFF, PACKED["RF64"], FLAC, OGG, OPUS, MP3, MP3[3000:] + MP3, PACKED["WAVE_FORMAT_EXTENSIBLE"]]
    ),
    changes=st.lists(st.tuples(st.integers(0, 120), st.integers(0, 255)), max_size=6),
    length=st.none() | st.integers(0, 20000),
)
def test_a_damaged_header_is_refused_or_read_but_never_crashes(
    tmp_path_factory: pytest.TempPathFactory, content: bytes, changes: list[tuple[int, int]], length: int | None
) -> None:
    damaged = bytearray(content)
    for place, value in changes:
        damaged[place] = value
    path = written(tmp_path_factory.getbasetemp(), bytes(damaged[:length]), "damaged")
    try:
        recording = read(path, RATE, allow_truncated=True)
    except AudioError as error:
        assert str(error).startswith(f"{path}: ")
        assert "\n" not in str(error)
    else:
        assert np.isfinite(recording.samples).all()
        assert len(recording.samples)


# Formats and rates

CODECS = {
    "wav": ("WAV", "PCM_16"),
    "flac": ("FLAC", "PCM_16"),
    "aiff": ("AIFF", "PCM_16"),
    "ogg": ("OGG", "VORBIS"),
    "opus": ("OGG", "OPUS"),
    "mp3": ("MP3", "MPEG_LAYER_III"),
}
OPUS_RATES = (8000, 12000, 16000, 24000, 48000)
FORMATS_AND_RATES = [
    (name, sample_rate)
    for name in CODECS
    for sample_rate in (8000, 11025, 16000, 22050, 44100, 48000)
    if name != "opus" or sample_rate in OPUS_RATES
]


@pytest.mark.parametrize(("name", "sample_rate"), FORMATS_AND_RATES)
def test_a_format_is_told_by_its_content_and_keeps_its_samples(name: str, sample_rate: int, tmp_path: Path) -> None:
    samples = speechlike(2 * sample_rate, 2)
    path = written(tmp_path, encode(samples, sample_rate, *CODECS[name]), "any.name")
    info = probe(path)
    assert (info.format, info.sample_rate, info.n_channels) == (name, sample_rate, 2)
    assert (info.n_frames, info.duration_s, info.truncated) == (2 * sample_rate, 2.0, False)
    recording = read(path, sample_rate)
    mono = samples.mean(axis=1)
    assert recording.flags == ()
    assert len(recording.samples) == len(mono)
    if name in ("wav", "flac", "aiff"):
        np.testing.assert_allclose(recording.samples, mono, atol=2**-15)
    else:
        assert np.corrcoef(recording.samples, mono)[0, 1] > 0.9


@pytest.mark.parametrize(("name", "sample_rate"), FORMATS_AND_RATES)
def test_blocks_one_after_the_other_are_what_read_gives(name: str, sample_rate: int, tmp_path: Path) -> None:
    samples = speechlike(round(4.321 * sample_rate), 2)
    path = written(tmp_path, encode(samples, sample_rate, *CODECS[name]))
    for target_rate in {RATE, sample_rate}:
        whole = read(path, target_rate).samples
        assert len(whole) == pytest.approx(len(samples) * target_rate / sample_rate, abs=0.5)
        for block_s in (0.013, 1.0, 60.0):
            pieces = list(blocks(path, target_rate, block_s=block_s))
            np.testing.assert_array_equal(np.concatenate(pieces), whole)
            assert all(len(piece) for piece in pieces)
            assert len({id(piece) for piece in pieces}) == len(pieces)


@pytest.mark.parametrize(("name", "sample_rate"), FORMATS_AND_RATES)
def test_decoding_in_blocks_is_decoding_at_once(name: str, sample_rate: int, tmp_path: Path) -> None:
    path = written(tmp_path, encode(speechlike(13 * sample_rate), sample_rate, *CODECS[name]))
    with soundfile.SoundFile(path) as file:
        at_once = file.read(dtype="float32")
    np.testing.assert_array_equal(read(path, sample_rate).samples, at_once)


@pytest.mark.parametrize(("name", "sample_rate"), FORMATS_AND_RATES)
def test_a_stretch_is_the_same_part_of_the_whole(name: str, sample_rate: int, tmp_path: Path) -> None:
    path = written(tmp_path, encode(speechlike(5 * sample_rate), sample_rate, *CODECS[name]))
    whole = read(path, sample_rate).samples
    for start_s, end_s in ((0.0, 0.5), (0.25, 0.75), (1.0, 2.0), (2.7, 4.9), (3.123, 3.2), (4.5, None), (4.9, 100.0)):
        start, stop = round(start_s * sample_rate), round(min(5.0, end_s or 5.0) * sample_rate)
        stretch = read(path, sample_rate, start_s=start_s, end_s=end_s)
        np.testing.assert_allclose(stretch.samples, whole[start:stop], atol=1e-6, strict=True)
        assert stretch.flags == ()


@pytest.mark.parametrize(
    ("start_s", "end_s", "expected"),
    [
        (0.5, None, "starting at 0.5 s is beyond its end, it lasts 0.50 s"),
        (7.0, 8.0, "beyond its end"),
        (0.3, 0.2, "the segment from 0.3 s to 0.2 s is empty"),
        (0.3, 0.3, "is empty"),
        (0.1, -1.0, "is empty"),
        (-0.1, None, "cannot start at -0.1 s"),
        (float("nan"), None, "cannot start at nan s"),
    ],
)
def test_an_impossible_stretch_is_refused(start_s: float, end_s: float | None, expected: str, tmp_path: Path) -> None:
    path = written(tmp_path, WHOLE)
    with pytest.raises(AudioError, match=expected) as error:
        read(path, RATE, start_s=start_s, end_s=end_s)
    only_line(path, error)


@pytest.mark.parametrize("sample_rate", [8000, 11025, 22050, 44100, 48000, 96000, 192000])
def test_a_tone_keeps_its_frequency_and_level_at_another_rate(sample_rate: int, tmp_path: Path) -> None:
    path = written(tmp_path, encode(tone(1000, sample_rate, 2.0), sample_rate, "WAV", "FLOAT"))
    samples = read(path, RATE).samples
    assert len(samples) == 2 * RATE
    inner = samples[RATE // 2 : RATE // 2 + RATE]  # 1 s: bins of 1 Hz
    spectrum = np.abs(np.fft.rfft(inner)) / (RATE / 2)
    assert spectrum.argmax() == 1000
    assert spectrum[1000] == pytest.approx(0.5, abs=1e-4)
    np.testing.assert_allclose(inner, tone(1000, RATE, 2.0)[RATE // 2 : RATE // 2 + RATE], atol=1e-4)  # no delay


@pytest.mark.parametrize(("sample_rate", "frequency_hz"), [(48000, 12000), (44100, 9000), (22050, 9500)])
def test_a_tone_above_half_the_rate_vanishes(sample_rate: int, frequency_hz: float, tmp_path: Path) -> None:
    path = written(tmp_path, encode(tone(frequency_hz, sample_rate), sample_rate, "WAV", "FLOAT"))
    inner = read(path, RATE).samples[1000:-1000]
    assert np.abs(inner).max() < 1e-4


def test_channels_are_averaged(tmp_path: Path) -> None:
    low, high = tone(300, RATE), tone(2000, RATE)
    for n_channels in (2, 3, 8):
        channels = np.stack([low] + [high] * (n_channels - 1), axis=1)
        path = written(tmp_path, encode(channels, RATE, "WAV", "FLOAT"))
        np.testing.assert_allclose(read(path, RATE).samples, (low + (n_channels - 1) * high) / n_channels, atol=1e-6)


@pytest.mark.parametrize("name", CODECS)
def test_a_recording_longer_than_allowed_is_refused_and_one_as_long_is_read(name: str, tmp_path: Path) -> None:
    path = written(tmp_path, encode(speechlike(3 * RATE), RATE, *CODECS[name]))
    assert len(read(path, RATE, max_duration_s=3.0).samples) == 3 * RATE
    for attempt in (lambda: read(path, RATE, max_duration_s=2.9), lambda: list(blocks(path, RATE, max_duration_s=2.9))):
        with pytest.raises(AudioError, match=r"longer than 2.9 s, the most that is taken here; cut it") as error:
            attempt()
        only_line(path, error)


def test_a_recording_of_unknown_length_is_refused_while_it_is_decoded(tmp_path: Path) -> None:
    path = written(tmp_path, flac_of_unknown_length())
    stream = blocks(path, RATE, block_s=0.05, max_duration_s=0.3)
    assert sum(len(next(stream)) for _ in range(6)) == 0.3 * RATE
    with pytest.raises(AudioError, match=r"longer than 0\.3 s"):
        next(stream)


# Recordings joined byte by byte, as `cat a.mp3 b.mp3 > both.mp3` does

ID3V1 = b"TAG" + b"a".ljust(125, b"\0")
APE_ITEMS = b"\x05\0\0\0\0\0\0\0Title\0voice"
APE_END = b"APETAGEX" + struct.pack("<IIII", 2000, 32 + len(APE_ITEMS), 1, 1 << 31) + bytes(8)
APE = b"APETAGEX" + struct.pack("<IIII", 2000, 32 + len(APE_ITEMS), 1, 5 << 29) + bytes(8) + APE_ITEMS + APE_END
APE_1 = APE_ITEMS + b"APETAGEX" + struct.pack("<IIII", 1000, 32 + len(APE_ITEMS), 1, 0) + bytes(8)
LYRICS = b"LYRICSBEGIN" + b"IND0000200" + b"000021LYRICS200"
TAGS = {
    "nothing": b"",
    "zeros": bytes(3000),
    "ID3v1": ID3V1,
    "ID3v2": ID3,
    "APE": APE,
    "APE of the first version": APE_1,
    "Lyrics3 and ID3v1": LYRICS + ID3V1,
    "all of them": LYRICS + APE + ID3V1 + ID3 + bytes(10),
}


def without_index(content: bytes) -> bytes:
    """An MP3 file without its first frame, which has no sound and says how many follow."""
    return content[content.index(content[:2], 180) :]


def pulses(duration_s: float, sample_rate: int = RATE) -> np.ndarray:
    """Noise, a long silence, noise: a bit rate that varies as much as it can."""
    samples = np.random.default_rng(3).standard_normal(round(duration_s * sample_rate)).astype(np.float32) * 0.2
    samples[len(samples) // 5 : 4 * len(samples) // 5] = 0
    return samples


@pytest.mark.parametrize("name", CODECS)
@pytest.mark.parametrize("n_channels", [1, 2])
def test_joined_recordings_are_read_one_after_the_other(name: str, n_channels: int, tmp_path: Path) -> None:
    first = encode(speechlike(2 * RATE, n_channels), RATE, *CODECS[name])
    second = encode(tone(440, RATE, 1.5), RATE, *CODECS[name])
    parts = [read(written(tmp_path, content), RATE).samples for content in (first, second)]
    path = written(tmp_path, first + second)
    info = probe(path)
    assert (info.sample_rate, info.n_channels, info.n_frames) == (RATE, n_channels, 3.5 * RATE)
    recording = read(path, RATE)
    np.testing.assert_array_equal(recording.samples, np.concatenate(parts))
    assert recording.flags == ()
    assert probe_whole(path).duration_s == inspect(path).info.duration_s == 3.5
    for block_s in (0.013, 1.0):
        np.testing.assert_array_equal(np.concatenate(list(blocks(path, RATE, block_s=block_s))), recording.samples)
    for start_s, end_s in ((0.5, 1.0), (1.9, 2.1), (2.0, 3.0), (3.25, None)):
        stretch = read(path, RATE, start_s=start_s, end_s=end_s).samples
        stop = None if end_s is None else round(end_s * RATE)
        np.testing.assert_allclose(stretch, recording.samples[round(start_s * RATE) : stop], atol=1e-6, strict=True)
    with pytest.raises(AudioError, match=r"it lasts 3\.50 s"):
        read(path, RATE, start_s=3.5)
    with pytest.raises(AudioError, match=r"longer than 3\.4 s"):
        read(path, RATE, max_duration_s=3.4)


@pytest.mark.parametrize("name", CODECS)
def test_joined_recordings_of_other_rates_keep_their_tones(name: str, tmp_path: Path) -> None:
    """What comes later, at whatever rate, sounds as if it had been resampled to the rate that is asked for."""
    rates = (48000, 24000, 8000) if name == "opus" else (44100, 16000, 48000)
    pitches = (400, 700, 1000)
    path = written(
        tmp_path,
        b"".join(encode(tone(f, r, 2.0), r, *CODECS[name]) for f, r in zip(pitches, rates, strict=True)),
    )
    assert (probe(path).sample_rate, probe(path).n_frames) == (rates[0], 6 * rates[0])
    recording = read(path, RATE)
    assert (len(recording.samples), recording.flags) == (6 * RATE, ())
    for number, pitch in enumerate(pitches):
        inner = recording.samples[round((2 * number + 0.5) * RATE) :][:RATE]  # 1 s: bins of 1 Hz
        assert np.abs(np.fft.rfft(inner)).argmax() == pitch
        stretch = read(path, RATE, start_s=2 * number + 0.5, end_s=2 * number + 1.5).samples
        assert np.corrcoef(stretch, inner)[0, 1] > 0.999


@pytest.mark.parametrize("tag", TAGS)
@pytest.mark.parametrize("name", [*CODECS, "mp3 without index"])
def test_a_tag_or_zeros_are_no_recording_and_hide_none(name: str, tag: str, tmp_path: Path) -> None:
    codec = name.split()[0]
    content = encode(pulses(2), RATE, *CODECS[codec])
    content = without_index(content) if codec != name else content
    alone = read(written(tmp_path, content), RATE)
    behind = read(written(tmp_path, content + TAGS[tag]), RATE)
    np.testing.assert_array_equal(behind.samples, alone.samples)
    assert behind.flags == ()
    between = written(tmp_path, content + TAGS[tag] + content)
    assert probe(between).n_frames == len(read(between, RATE).samples)
    assert probe(between).n_frames == pytest.approx(2 * len(alone.samples), abs=1200)
    assert read(between, RATE).flags == ()


@pytest.mark.parametrize("sample_rate", [8000, 16000, 22050, 44100])
def test_mp3_of_variable_bit_rate_without_an_index_is_read_whole(sample_rate: int, tmp_path: Path) -> None:
    content = encode(pulses(10, sample_rate), sample_rate, "MP3")
    whole = read(written(tmp_path, content), sample_rate).samples
    for junk in (b"", b"rest of a frame" * 40, ID3):
        path = written(tmp_path, junk + without_index(content))
        recording = read(path, sample_rate)
        assert probe(path).n_frames == len(recording.samples)
        assert 0 <= len(recording.samples) - len(whole) < 2500  # the encoder's delay and padding, which none tells
        delay = scipy.signal.correlate(recording.samples, whole[: len(whole) // 5]).argmax() - len(whole) // 5 + 1
        np.testing.assert_allclose(recording.samples[delay:][: len(whole)], whole, atol=1e-6)
        assert recording.flags == ()


def test_mp3_of_free_format_is_read_whole(tmp_path: Path) -> None:
    """Its headers do not say how long a frame is; at 48 kHz and a constant bit rate all are equally long."""
    buffer = io.BytesIO()
    soundfile.write(buffer, speechlike(96000), 48000, format="MP3", bitrate_mode="CONSTANT", compression_level=0.5)
    content = without_index(buffer.getvalue())
    length = content.index(content[:2], 4)
    free = bytearray(content)
    free[2::length] = bytes(value & 0x0F for value in free[2::length])
    expected = read(written(tmp_path, content), 48000).samples
    assert len(expected) > 2 * 48000
    np.testing.assert_array_equal(read(written(tmp_path, bytes(free)), 48000).samples, expected)
    joined = read(written(tmp_path, bytes(free) + ID3V1 + bytes(free)), 48000)
    assert (len(joined.samples), joined.flags) == (2 * len(expected), ())


def test_an_mp3_whose_index_speaks_of_fewer_or_more_frames_is_read_as_far_as_it_goes(tmp_path: Path) -> None:
    content = encode(pulses(4), RATE, "MP3")
    at = content.index(b"Xing") + 8
    n_frames = int.from_bytes(content[at : at + 4], "big")
    whole = read(written(tmp_path, content), RATE).samples
    for announced, flags in ((n_frames // 2, ()), (n_frames + 1, ()), (2 * n_frames, ("truncated",))):
        path = written(tmp_path, content[:at] + announced.to_bytes(4, "big") + content[at + 4 :])
        recording = read(path, RATE)
        np.testing.assert_allclose(recording.samples[: len(whole)], whole, atol=1e-6)
        assert probe(path).n_frames == len(recording.samples) < len(whole) + 1200
        assert recording.flags == flags


@pytest.mark.parametrize("name", CODECS)
def test_a_recording_that_is_cut_is_flagged_whatever_follows_it(name: str, tmp_path: Path) -> None:
    content = encode(speechlike(4 * RATE), RATE, *CODECS[name])
    path = written(tmp_path, content[: len(content) // 2] + content)
    recording = read(path, RATE, allow_truncated=True)
    assert len(recording.samples) > 4.4 * RATE
    assert recording.flags == ("truncated",)


def test_a_later_recording_that_cannot_be_read_is_flagged(tmp_path: Path) -> None:
    for content, damaged in (
        (WHOLE, WHOLE[:20] + b"\x34\x12" + WHOLE[22:]),
        (OGG, OGG[:4000].replace(b"vorbis", b"tremor")),
    ):
        recording = read(written(tmp_path, content + damaged), RATE)
        np.testing.assert_array_equal(recording.samples, read(written(tmp_path, content), RATE).samples)
        assert recording.flags == ("truncated",)


def test_thousands_of_joined_recordings_are_refused(tmp_path: Path) -> None:
    path = written(tmp_path, 2001 * encode(PCM[:100], RATE, "WAV"))
    with pytest.raises(AudioError, match="more than 2000 recordings are joined in it; cut it into files") as error:
        probe(path)
    only_line(path, error)


@pytest.mark.parametrize("silent", [True, False])
def test_flags_are_of_all_that_is_joined(silent: bool, tmp_path: Path) -> None:
    quiet = encode(np.zeros(8000, np.float32), 8000, "WAV")
    loud = encode(np.clip(tone(200, RATE, amplitude=2.0), -1, 1), RATE, "WAV")
    assert read(written(tmp_path, quiet + (quiet if silent else loud)), RATE).flags == (
        ("silent",) if silent else ("clipped",)
    )


@pytest.mark.parametrize("length", [0, 2**32 - 1])
def test_joined_wav_files_from_a_pipe_are_read_one_after_the_other(length: int, tmp_path: Path) -> None:
    streamed = riff(form(), data(length), length=length)
    samples = read(written(tmp_path, streamed + streamed), RATE).samples
    np.testing.assert_array_equal(samples * 32768, np.concatenate([PCM, PCM]))


def test_clipping_is_seen_in_one_channel_before_mixing_and_resampling(tmp_path: Path) -> None:
    clipped = np.clip(tone(150, 48000, amplitude=2.0), -1, 1)
    path = written(tmp_path, encode(np.stack([clipped, tone(150, 48000, amplitude=0.1)], axis=1), 48000, "WAV"))
    recording = read(path, RATE)
    assert np.abs(recording.samples).max() < 0.8
    assert recording.flags == ("clipped",)


def test_channels_that_cancel_are_silent(tmp_path: Path) -> None:
    left = tone(150, RATE)
    path = written(tmp_path, encode(np.stack([left, -left], axis=1), RATE, "WAV"))
    assert read(path, RATE).flags == ("silent",)


@pytest.mark.parametrize("position", range(95, 106))
def test_the_flags_of_a_stream_do_not_depend_on_the_blocks(position: int, tmp_path: Path) -> None:
    samples = tone(440, RATE, 0.05)
    samples[position : position + 3] = 0.999
    path = written(tmp_path, encode(samples, RATE, "WAV", "FLOAT"))
    for block_s in (1 / RATE, 2 / RATE, 100 / RATE, 1.0):
        stream = blocks(path, RATE, block_s=block_s)
        assert stream.flags == ()
        assert sum(len(block) for block in stream) == 800
        assert stream.flags == ("clipped",)


def test_the_suffixes_are_those_of_the_formats_that_can_be_read() -> None:
    media = {"m4a", "mp4", "mov", "3gp", "aac", "webm", "mkv", "amr"}  # see test_media.py
    assert {suffix.strip(".") for suffix in AUDIO_SUFFIXES} == {*CODECS, "aif", *media}


# Memory


def peak_bytes(action: Callable[[], object]) -> int:
    tracemalloc.start()
    try:
        action()
        return tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


def long_wav(folder: Path, duration_s: int) -> Path:
    """Stereo at 48 kHz, sparse on disk."""
    path = written(folder, riff(form(n_channels=2, rate=48000), data(duration_s * 192000, b"")), f"{duration_s}.wav")
    os.truncate(path, 44 + duration_s * 192000)
    return path


def test_memory_of_a_stream_does_not_grow_with_the_recording(tmp_path: Path) -> None:
    def drain(path: Path) -> None:
        for _ in blocks(path, RATE, block_s=2.0):
            pass

    short_path, long_path = long_wav(tmp_path, 10), long_wav(tmp_path, 600)
    short, long = peak_bytes(lambda: drain(short_path)), peak_bytes(lambda: drain(long_path))
    assert long < 1.05 * short + 100_000
    assert long < 4_000_000  # 600 s decoded are 230 MB


def test_reading_never_holds_all_channels(tmp_path: Path) -> None:
    path = long_wav(tmp_path, 600)
    result_bytes = 600 * RATE * 4
    assert peak_bytes(lambda: read(path, RATE)) < 2.1 * result_bytes + 12_000_000


def test_a_stream_that_is_left_half_way_closes_its_file(tmp_path: Path) -> None:
    path = written(tmp_path, WHOLE)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        stream = blocks(path, RATE, block_s=0.1)
        next(stream)
        del stream


# Arrays


@pytest.mark.parametrize("sample_rate", [8000, 11025, 16000, 44100])
def test_an_array_becomes_what_the_same_file_becomes(sample_rate: int, tmp_path: Path) -> None:
    samples = speechlike(3 * sample_rate, 2)
    path = written(tmp_path, encode(samples, sample_rate, "WAV", "FLOAT"))
    np.testing.assert_array_equal(to_mono(samples, sample_rate, RATE), read(path, RATE).samples)


@given(n_samples=st.integers(2, 5000), sample_rate=st.sampled_from([8000, 11025, 22050, 44100, 48000, 12345]))
@settings(max_examples=100, deadline=None)
def test_the_length_is_that_of_the_duration(n_samples: int, sample_rate: int) -> None:
    samples = np.ones(n_samples, np.float32)
    resampled = to_mono(samples, sample_rate, RATE)
    assert len(resampled) == pytest.approx(n_samples * RATE / sample_rate, abs=0.5)
    np.testing.assert_array_equal(
        resampled, samples if sample_rate == RATE else soxr.resample(samples, sample_rate, RATE)
    )


@pytest.mark.parametrize("kind", ["int16", "int32", "uint8", "float64"])
def test_arrays_of_any_sample_type_have_full_scale_one(kind: str) -> None:
    wave = tone(100, RATE, 0.1)
    scaled = {"int16": wave * 2**15, "int32": wave * 2.0**31, "uint8": wave * 128 + 128, "float64": wave}[kind]
    tolerance = {"int16": 1e-4, "int32": 1e-6, "uint8": 1e-2, "float64": 0}[kind]
    np.testing.assert_allclose(to_mono(scaled.astype(kind), RATE, RATE), wave, atol=tolerance)


@pytest.mark.parametrize(
    ("samples", "expected"),
    [
        (np.zeros(0), "not empty"),
        (np.zeros((0, 2)), "not empty"),
        (np.zeros((2, 2, 2)), "expected .sample,. or .sample, channel."),
        (np.float32(1.0), "expected .sample,."),
        (np.zeros((2, 16000)), "transpose"),
        (np.zeros(9, complex), "type complex128"),
        (np.array(["a"]), "type <U1"),
        (np.array([0.0, np.nan]), "NaN or infinite"),
        (np.array([0.0, 1e300]), "NaN or infinite"),
    ],
)
def test_an_array_that_is_no_audio_is_refused(samples: np.ndarray, expected: str) -> None:
    for judge in (lambda: to_mono(samples, RATE, RATE), lambda: quality_flags(samples, RATE)):
        with pytest.raises(AudioError, match=expected):
            judge()


def test_a_caller_s_array_is_never_changed_or_shared() -> None:
    samples = speechlike(1000)[:, 0]
    before = samples.copy()
    to_mono(samples, RATE, RATE)[:] = 0
    np.testing.assert_array_equal(samples, before)


@pytest.mark.parametrize("sample_rate", [0, -1, 999, float("nan")])
def test_an_impossible_rate_is_refused(sample_rate: float) -> None:
    with pytest.raises(AudioError, match="expected at least 1000 Hz"):
        to_mono(np.ones(100), sample_rate, RATE)  # type: ignore[arg-type]


def test_three_equal_samples_at_full_scale_are_clipped_and_two_are_not() -> None:
    for level, n_equal, sample_rate, flags in (
        (1.0, 3, RATE, ("clipped",)),
        (-1.0, 3, RATE, ("clipped",)),
        (1.3, 3, RATE, ("clipped",)),
        (1.0, 2, RATE, ()),
        (0.97, 50, RATE, ()),
        (1.0, 4, 96000, ()),  # 50 microseconds are 4.8 samples
        (1.0, 5, 96000, ("clipped",)),
    ):
        samples = 0.1 * np.sin(np.arange(1000.0))
        samples[500 : 500 + n_equal] = level
        assert quality_flags(samples, sample_rate) == flags, (level, n_equal, sample_rate)


# Real recordings


def test_emodb_is_read_sample_for_sample_and_nothing_is_flagged(data_dir: Path) -> None:
    paths = sorted((data_dir / "emodb").rglob("*.wav"))[::10]
    assert paths
    for path in paths:
        info = probe(path)
        assert (info.format, info.sample_rate, info.n_channels, info.truncated) == ("wav", 16000, 1, False)
        recording = read(path, RATE)
        assert recording.flags == ()
        np.testing.assert_array_equal(recording.samples * 32768, soundfile.read(path, dtype="int16")[0])


def test_the_stereo_files_of_ravdess_are_mixed_down(data_dir: Path) -> None:
    infos = [probe(path) for path in sorted((data_dir / "ravdess").rglob("*.wav"))]
    stereo = [info for info in infos if info.n_channels == 2]
    assert len(stereo) == 2
    for info in stereo:
        channels, sample_rate = soundfile.read(info.path, dtype="float32")
        recording = read(info.path, RATE)
        np.testing.assert_allclose(
            recording.samples, soxr.resample(channels.mean(axis=1), sample_rate, RATE), atol=1e-6
        )
        assert recording.flags == ()


def test_real_noises_in_ogg_are_streamed_as_they_are_read(data_dir: Path) -> None:
    paths = sorted((data_dir / "esc10").rglob("*.ogg"))[::24]
    assert paths
    for path in paths:
        np.testing.assert_array_equal(np.concatenate(list(blocks(path, RATE, block_s=0.7))), read(path, RATE).samples)
