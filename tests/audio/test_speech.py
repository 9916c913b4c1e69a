"""Voice activity: speech of any level and mood is heard, noise is not, and a stream hears what the whole does."""

import importlib.util
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import scipy.signal
from hypothesis import given
from hypothesis import strategies as st

from affectra.audio import read
from affectra.audio.voice_activity import (
    DETECTORS,
    FRAME_LENGTH,
    speech_detector,
    speech_frames,
    speech_probabilities,
    speech_segments,
)
from affectra.errors import AudioError, ConfigError

RATE = 16000
HAS_SILERO = all(importlib.util.find_spec(package) for package in ("silero_vad", "onnxruntime"))
EACH = pytest.mark.parametrize(
    "detector",
    [
        "energy",
        pytest.param("silero", marks=pytest.mark.skipif(not HAS_SILERO, reason="the extra vad is not installed")),
    ],
)


def recordings(data_dir: Path, pattern: str, every: int = 1) -> list[np.ndarray]:
    paths = sorted(data_dir.glob(pattern))[::every]
    assert len(paths) > 8
    return [read(path, RATE).samples for path in paths]


def has_speech(probabilities: np.ndarray) -> bool:
    """Whether a syllable and a half are heard."""
    return bool(speech_frames(probabilities).sum() * FRAME_LENGTH / RATE >= 0.3)


def share_with_speech(sounds: list[np.ndarray], detector: str) -> float:
    return float(np.mean([has_speech(speech_probabilities(sound, RATE, detector)) for sound in sounds]))


@EACH
@pytest.mark.parametrize("pattern", ["emodb/wav/*.wav", "nemo/samples/*", "ravdess/Actor_1*/*"])
def test_emotional_speech_is_heard_in_every_corpus(pattern: str, detector: str, data_dir: Path) -> None:
    assert share_with_speech(recordings(data_dir, pattern, every=17), detector) > 0.96


def test_shouting_is_speech(data_dir: Path) -> None:
    """Strong anger, fear and sadness of RAVDESS's actor 6, of whom silero hears half."""
    shouts = recordings(data_dir, "ravdess/Actor_06/03-01-0[456]-02-*")
    assert share_with_speech(shouts, "energy") == 1.0


@EACH
def test_noises_nobody_tuned_on_are_not_speech(detector: str, data_dir: Path) -> None:
    """ESC-10, fold 3: rain, waves, clock, helicopter, chainsaw; voices of babies and animals are another matter."""
    noises = [noise for number in (2, 3, 5, 7, 8) for noise in sorted(data_dir.glob(f"esc10/00{number}*/3-*.ogg"))]
    assert len(noises) == 40
    assert share_with_speech([read(path, RATE).samples for path in noises], detector) <= 0.05


TIMES = np.arange(4 * RATE) / RATE
NOISE = np.random.default_rng(0).standard_normal(4 * RATE)
ARTIFICIAL = {
    "silence": np.zeros(4 * RATE),
    "an offset": np.full(4 * RATE, 0.1),
    "white noise": 0.1 * NOISE,
    "brown noise": scipy.signal.lfilter([0.01], [1, -0.99], NOISE),
    "mains hum": sum(0.05 / k * np.sin(2 * np.pi * 50 * k * TIMES) for k in range(1, 12)) + 1e-4 * NOISE,
    "a tone": 0.2 * np.sin(2 * np.pi * 1000 * TIMES),
    "a low tone": 0.2 * np.sin(2 * np.pi * 130 * TIMES),
    "clicks": (np.arange(4 * RATE) % 8000 == 0) * 0.8,
    "noise in bursts": 0.1 * NOISE * (np.sin(2 * np.pi * 4 * TIMES) > 0),
}


@EACH
@pytest.mark.parametrize("kind", ARTIFICIAL)
def test_what_has_no_voice_is_not_speech(kind: str, detector: str) -> None:
    assert speech_segments(ARTIFICIAL[kind], RATE, detector) == []


@EACH
def test_speech_stands_out_of_silence_and_noise_around_it(detector: str, data_dir: Path) -> None:
    speech = read(sorted((data_dir / "emodb" / "wav").glob("*.wav"))[3], RATE).samples  # two seconds without a pause
    for background in (np.zeros(2 * RATE), 0.003 * NOISE[: 2 * RATE]):
        around = background.astype(np.float32)
        segments = speech_segments(np.concatenate([around, speech, around]), RATE, detector)
        assert segments[0][0] == pytest.approx(2.0, abs=0.5)
        assert segments[-1][1] == pytest.approx(2.0 + len(speech) / RATE, abs=0.7)
        assert sum(end - start for start, end in segments) > 0.7 * len(speech) / RATE


def test_faint_speech_is_speech(data_dir: Path) -> None:
    """At -60 dB of full scale, rounded to 16 bit: audio.py does not call it silent, and here it is heard."""
    for speech in recordings(data_dir, "ravdess/Actor_*/03-01-0[14]-01-01-01-*")[::3]:
        faint = np.round(speech * 10 ** (-60 / 20) / speech.std() * 32768) / 32768
        assert has_speech(speech_probabilities(faint, RATE, "energy"))


def test_the_level_does_not_matter_to_the_built_in_detector(data_dir: Path) -> None:
    speech = read(sorted((data_dir / "emodb" / "wav").glob("*.wav"))[0], RATE).samples
    expected = speech_probabilities(speech, RATE, "energy")
    for gain in (1e-2, 0.1, 2.0):
        found = speech_probabilities(np.float32(gain) * speech, RATE, "energy")
        both = (found > 0) & (expected > 0)  # none below -80 dB
        assert both.mean() > 0.5
        np.testing.assert_allclose(found[both], expected[both], atol=0.02)


@EACH
@pytest.mark.parametrize("sizes", [[1600], [1], [511, 1, 513], [7, 5000, 300]])
def test_a_stream_hears_what_the_whole_recording_does(detector: str, sizes: list[int], data_dir: Path) -> None:
    speech = read(sorted((data_dir / "emodb" / "wav").glob("*.wav"))[1], RATE).samples
    speech = speech[: 20000 if sizes != [1] else 2000]
    whole = speech_detector(detector).feed(speech)
    assert len(whole) == len(speech) // FRAME_LENGTH
    stream = speech_detector(detector)
    found, position, turn = [], 0, 0
    while position < len(speech):
        size = sizes[turn % len(sizes)]
        found.append(stream.feed(speech[position : position + size]))
        position, turn = position + size, turn + 1
    np.testing.assert_allclose(np.concatenate(found), whole, atol=1e-5)


@EACH
def test_what_comes_later_changes_nothing_of_what_was_heard(detector: str, data_dir: Path) -> None:
    speech = read(sorted((data_dir / "emodb" / "wav").glob("*.wav"))[2], RATE).samples
    whole = speech_detector(detector).feed(speech)
    start = speech_detector(detector).feed(speech[: 40 * FRAME_LENGTH])
    np.testing.assert_allclose(start, whole[:40], atol=1e-5)


@EACH
def test_a_recording_of_another_rate_and_two_channels_is_heard_the_same(detector: str, data_dir: Path) -> None:
    path = sorted((data_dir / "ravdess" / "Actor_01").glob("*.wav"))[10]
    original = read(path, 48000).samples
    at_48_khz = speech_segments(np.stack([original, original], axis=1), 48000, detector)
    at_16_khz = speech_segments(read(path, RATE).samples, RATE, detector)
    assert at_16_khz
    np.testing.assert_allclose(at_48_khz, at_16_khz, atol=0.04)


@EACH
@given(n_samples=st.integers(1, 3000), seed=st.integers(0, 99))
def test_short_sounds_of_any_length_are_judged(detector: str, n_samples: int, seed: int) -> None:
    samples = np.random.default_rng(seed).uniform(-1, 1, n_samples)
    probabilities = speech_probabilities(samples, RATE, detector)
    assert len(probabilities) == -(-n_samples // FRAME_LENGTH)
    assert ((probabilities >= 0) & (probabilities <= 1)).all()
    for start, end in speech_segments(samples, RATE, detector):
        assert 0 <= start < end <= n_samples / RATE


def naive_frames(probabilities: list[float]) -> list[bool]:
    frames = [p > 0.5 for p in probabilities]
    closed = list(frames)
    for start in range(len(frames)):
        for end in range(start + 1, min(start + 7, len(frames))):
            if frames[start] and frames[end]:
                closed[start:end] = [True] * (end - start)
    kept = []
    for index, is_speech in enumerate(closed):
        first = last = index
        while is_speech and first > 0 and closed[first - 1]:
            first -= 1
        while is_speech and last + 1 < len(closed) and closed[last + 1]:
            last += 1
        kept.append(is_speech and last - first + 1 >= 6)
    return kept


@given(st.lists(st.sampled_from([0.0, 0.2, 0.5, 0.51, 1.0]), max_size=60))
def test_short_pauses_are_closed_and_short_sounds_left_out(probabilities: list[float]) -> None:
    assert speech_frames(np.array(probabilities)).tolist() == naive_frames(probabilities)


def test_an_unknown_detector_is_refused() -> None:
    with pytest.raises(ConfigError, match=r"speech detector.*enrgy.*energy"):
        speech_detector("enrgy")


def test_samples_that_are_no_audio_are_refused() -> None:
    with pytest.raises(AudioError, match="NaN or infinite"):
        speech_segments(np.array([0.0, np.nan]), RATE)


def test_without_its_packages_silero_is_refused_and_the_built_in_detector_is_the_default(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    find = importlib.util.find_spec
    for missing in ("silero_vad", "onnxruntime"):
        monkeypatch.setattr(importlib.util, "find_spec", lambda n, m=missing: None if n == m else find(n))
        assert type(speech_detector()).__name__ == "EnergyDetector"
        if missing == "silero_vad" or find("silero_vad"):
            with pytest.raises(ConfigError, match=r"needs the package .*pip install 'affectra\[vad\]'"):
                speech_detector("silero")


@EACH
def test_no_detector_needs_torch(detector: str) -> None:
    code = f"""
import sys
import numpy as np
from affectra.audio.voice_activity import speech_segments
speech_segments(np.zeros(16000), 16000, {detector!r})
sys.exit(any(name.split(".")[0] in ("torch", "torchaudio", "silero_vad") for name in sys.modules))
"""
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_the_best_detector_there_is_the_default() -> None:
    assert DETECTORS[0] == "silero"
    assert type(speech_detector()).__name__ == ("SileroDetector" if HAS_SILERO else "EnergyDetector")
