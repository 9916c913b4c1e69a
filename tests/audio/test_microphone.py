"""Live sound: pipes of any rhythm, and microphones that are there, odd or missing."""

import io
import math
import os
import sys
import threading
from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from affectra.audio.microphone import microphone_blocks, pcm_blocks
from affectra.errors import AudioError

RATE = 16000


class Drips(io.RawIOBase):
    """A pipe that hands over what it pleases."""

    def __init__(self, content: bytes, sizes: list[int]) -> None:
        self._content, self._sizes = io.BytesIO(content), sizes

    def readable(self) -> bool:
        return True

    def read(self, size: int = -1) -> bytes | None:  # type: ignore[override]
        allowed = self._sizes.pop(0) if self._sizes else size
        return None if allowed == 0 else self._content.read(min(size, allowed))


@given(
    values=st.lists(st.integers(-32768, 32767), max_size=500),
    odd=st.booleans(),
    sizes=st.lists(st.integers(1, 300), max_size=30),
    rate=st.sampled_from([1000, 1005, 2000]),
)
def test_every_sample_of_a_pipe_comes_out_once_and_in_order(
    values: list[int], odd: bool, sizes: list[int], rate: int
) -> None:
    content = np.array(values, "<i2").tobytes() + b"x" * odd
    blocks = list(pcm_blocks(Drips(content, sizes), rate))  # type: ignore[arg-type]
    joined = np.concatenate([np.empty(0, np.float32), *blocks])
    np.testing.assert_array_equal(joined * 32768, values)
    length = math.ceil(0.1 * rate)
    assert [len(block) for block in blocks[:-1]] == [length] * (len(blocks) - 1)
    assert all(0 < len(block) <= length and block.dtype == np.float32 for block in blocks)


def test_a_stream_that_has_nothing_yet_is_waited_for() -> None:
    content = np.arange(100, dtype="<i2").tobytes()
    blocks = list(pcm_blocks(Drips(content, [0, 3, 0, 0, 5]), RATE))  # type: ignore[arg-type]
    np.testing.assert_array_equal(np.concatenate(blocks) * 32768, np.arange(100))


def test_a_block_comes_as_soon_as_it_is_whole_and_not_when_the_pipe_closes() -> None:
    reader, writer = os.pipe()
    received = threading.Event()

    def write() -> None:
        with os.fdopen(writer, "wb") as pipe:
            pipe.write(np.full(1700, 1000, "<i2").tobytes())  # a block and a bit
            pipe.flush()
            assert received.wait(10)

    thread = threading.Thread(target=write)
    thread.start()
    with os.fdopen(reader, "rb") as stream:
        blocks = pcm_blocks(stream, RATE)
        assert len(next(blocks)) == 1600
        received.set()
        assert [len(block) for block in blocks] == [100]
    thread.join()


@pytest.mark.parametrize("rate", [0, -16000, 999, 10**9])
def test_an_impossible_rate_is_refused(rate: int) -> None:
    with pytest.raises(AudioError, match=f"standard input: {rate} Hz, expected a sample rate between 1000"):
        next(pcm_blocks(io.BytesIO(b"xx"), rate))
    with pytest.raises(AudioError, match=f"microphone: {rate} Hz"):
        next(microphone_blocks(rate))


class PortAudioError(Exception):
    pass


class FakeSound(SimpleNamespace):
    """As much of the package sounddevice as is used; records a 440 Hz tone."""

    PortAudioError = PortAudioError

    def __init__(self, rates: tuple[int, ...]) -> None:
        super().__init__(rates=rates, is_open=False)

    def query_devices(self, kind: str) -> dict[str, Any]:
        if not self.rates:
            raise PortAudioError("Error querying device -1")
        return {"name": "fake", "default_samplerate": float(self.rates[-1]), "kind": kind}

    def check_input_settings(self, samplerate: int, channels: int, dtype: str) -> None:
        if samplerate not in self.rates:
            raise PortAudioError("Invalid sample rate [PaErrorCode -9997]")
        assert (channels, dtype) == (1, "float32")

    def InputStream(self, samplerate: int, channels: int, dtype: str) -> "FakeStream":
        self.check_input_settings(samplerate, channels, dtype)
        return FakeStream(self, samplerate)


class FakeStream:
    def __init__(self, owner: FakeSound, rate: int) -> None:
        self.owner, self.rate, self.position = owner, rate, 0

    def __enter__(self) -> "FakeStream":
        self.owner.is_open = True
        return self

    def __exit__(self, *_: object) -> None:
        self.owner.is_open = False

    def read(self, frames: int) -> tuple[np.ndarray, bool]:
        times = np.arange(self.position, self.position + frames) / self.rate
        self.position += frames
        return np.sin(2 * np.pi * 440 * times).astype(np.float32)[:, np.newaxis], False


def taken(blocks: Iterator[np.ndarray], n_samples: int) -> np.ndarray:
    parts: list[np.ndarray] = []
    while sum(map(len, parts)) < n_samples:
        parts.append(next(blocks))
    return np.concatenate(parts)[:n_samples]


@pytest.mark.parametrize("rates", [(RATE,), (44100, 48000)])
def test_a_microphone_gives_its_sound_at_the_rate_asked_for(
    rates: tuple[int, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    fake = FakeSound(rates)
    monkeypatch.setitem(sys.modules, "sounddevice", fake)
    blocks = microphone_blocks(RATE)
    samples = taken(blocks, 2 * RATE)[RATE:]
    assert samples.dtype == np.float32
    spectrum = np.abs(np.fft.rfft(samples)) / (RATE / 2)
    assert spectrum.argmax() == 440
    assert spectrum[440] == pytest.approx(1.0, abs=1e-3)
    assert fake.is_open
    blocks.close()  # type: ignore[attr-defined]
    assert not fake.is_open


def test_without_a_microphone_one_line_says_what_to_do(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "sounddevice", FakeSound(()))
    with pytest.raises(AudioError, match=r"^microphone: cannot be opened \(Error querying.*listen --stdin$"):
        next(microphone_blocks(RATE))


def test_without_the_package_one_line_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "sounddevice", None)
    with pytest.raises(AudioError, match=r"^microphone: .*pip install 'affectra\[listen\]'"):
        next(microphone_blocks(RATE))


def test_without_portaudio_one_line_says_what_to_install(monkeypatch: pytest.MonkeyPatch, tmp_path: Any) -> None:
    (tmp_path / "sounddevice.py").write_text("raise OSError('PortAudio library not found')")
    monkeypatch.delitem(sys.modules, "sounddevice", raising=False)
    monkeypatch.syspath_prepend(tmp_path)
    with pytest.raises(AudioError, match=r"^microphone: the library PortAudio is missing; install it .*libportaudio2"):
        next(microphone_blocks(RATE))
