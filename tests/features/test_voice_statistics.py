"""Statistics of voices: level, silence and length of a recording do not count, pitch and movement are found."""

from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.signal import lfilter

from affectra.audio import read
from affectra.features.frames.spectral import LogMelFrames, mel_filters
from affectra.features.frames.voice_statistics import (
    FLOOR_DB,
    HOP_LENGTH,
    LAGS,
    N_BANDS,
    N_FEATURES,
    N_FFT,
    N_FILTERS,
    PROSODY,
    SAMPLE_RATE,
    VOICED,
    WINDOW_LENGTH,
    VoiceStatisticsFrames,
    pitch,
    prosody,
    spectral_statistics,
    spoken,
)
from affectra.features.front_ends import FRONT_ENDS

RATE = SAMPLE_RATE
STATISTICS = VoiceStatisticsFrames()
LOG_MEL = LogMelFrames(
    sample_rate=RATE, window_length=WINDOW_LENGTH, hop_length=HOP_LENGTH, n_fft=N_FFT, n_filters=N_FILTERS,
    lowest_hz=60.0, highest_hz=7800.0,
)  # fmt: skip


def vector(samples: np.ndarray) -> np.ndarray:
    frames = STATISTICS.frames(samples.astype(np.float32))
    assert frames.shape == (1, N_FEATURES) and frames.dtype == np.float32 and np.isfinite(frames).all()
    return frames[0]


def prosody_of(samples: np.ndarray) -> dict[str, float]:
    return dict(zip(PROSODY, map(float, vector(samples)[-len(PROSODY) :]), strict=True))


def harmonic(pitch_hz: np.ndarray | float, seconds: float = 1.0, first: int = 1) -> np.ndarray:
    """A voice of a pitch, which may move, with harmonics from `first` on below 4 kHz."""
    n_samples = round(seconds * RATE)
    track = np.broadcast_to(np.asarray(pitch_hz, dtype=np.float64), n_samples)
    phase = 2 * np.pi * np.cumsum(track) / RATE
    return 0.1 * sum(np.sin(k * phase + k * k) / k for k in range(first, int(4000 / track.max())))


def noise(n_samples: int, colour: float = 0.0, seed: int = 0) -> np.ndarray:
    """White, or with `colour` up to 1 brown."""
    return 0.05 * lfilter([1.0], [1.0, -colour], np.random.default_rng(seed).standard_normal(n_samples))


def speech_like(seconds: float = 1.5) -> np.ndarray:
    """A voice with a melody and syllables that begins and ends loud."""
    time_s = np.arange(round(seconds * RATE)) / RATE
    voice = harmonic(160 * 2 ** (0.3 * np.sin(2 * np.pi * 1.5 * time_s)), seconds)
    return voice * (0.55 + 0.45 * np.cos(2 * np.pi * 4 * time_s)) + 0.001 * noise(len(time_s))


@pytest.fixture(scope="module")
def recordings(data_dir: Path) -> list[np.ndarray]:
    """Sixteen of EMO-DB, of all speakers."""
    return [read(path, RATE).samples for path in sorted((data_dir / "emodb" / "wav").glob("*.wav"))[::34]]


# --- what does not count


@pytest.mark.parametrize("gain_db", [-40.0, -20.0, 6.0])
def test_the_level_of_a_recording_changes_nothing(gain_db: float, recordings: list[np.ndarray]) -> None:
    for samples in [speech_like(), *recordings[:8]]:
        changed = vector(samples * 10 ** (gain_db / 20))
        np.testing.assert_allclose(changed, vector(samples), atol=1e-3)


@pytest.mark.parametrize("n_frames", [20, 75, 400])
def test_more_silence_before_and_after_changes_nothing(n_frames: int) -> None:
    """To the last digit once there is some, however long; a voice of sharp ends is told from silence at once."""
    samples = speech_like()
    least = np.pad(samples, (10 * HOP_LENGTH, 10 * HOP_LENGTH))
    more = np.pad(samples, (n_frames * HOP_LENGTH, 2 * n_frames * HOP_LENGTH))
    np.testing.assert_allclose(vector(more), vector(least), atol=1e-5)


def test_silence_around_real_speech_changes_little_and_never_makes_it_another_recording(
    recordings: list[np.ndarray],
) -> None:
    vectors = np.array([vector(samples) for samples in recordings])
    scale = vectors.std(0)
    padded = np.array([vector(np.pad(samples, (RATE // 2, RATE))) for samples in recordings])
    assert np.abs((padded - vectors) / scale).mean() < 0.2  # of what tells recordings apart
    distances = np.linalg.norm((padded[:, None] - vectors) / scale, axis=2)
    assert list(distances.argmin(1)) == list(range(len(recordings)))


def test_what_is_far_below_the_voice_does_not_count() -> None:
    """The noise of a quiet room and of a quieter one, in the pauses and around, give nearly the same."""
    voice = np.concatenate([np.zeros(RATE // 2), speech_like(), np.zeros(RATE // 2)])
    level = np.sqrt((speech_like() ** 2).mean())
    quiet, quieter = (vector(voice + 20 * level * 10 ** (db / 20) * noise(len(voice))) for db in (-60, -80))
    loud = vector(voice + 20 * level * 10 ** (-10 / 20) * noise(len(voice)))
    assert np.abs(quiet - quieter).max() < 0.2 * np.abs(loud - quieter).max()


@given(
    length=st.sampled_from([0, 1, 2, 100, 639, 640, 641, 960, 4000]) | st.integers(0, 6000),
    kind=st.sampled_from(["silence", "one value", "noise", "click", "full scale"]),
)
@settings(max_examples=60, deadline=None)
def test_no_recording_is_too_short_or_too_still(length: int, kind: str) -> None:
    samples = {
        "silence": np.zeros(length), "one value": np.ones(length), "noise": noise(length),
        "click": np.eye(1, length, length // 2)[0] if length else np.zeros(0), "full scale": np.sign(noise(length)),
    }[kind]  # fmt: skip
    assert np.abs(vector(samples)).max() < 20  # nepers, octaves and shares


# --- pitch


@given(n_samples=st.integers(0, 20_000))
@settings(max_examples=40, deadline=None)
def test_there_are_as_many_pitch_frames_as_log_mel_frames(n_samples: int) -> None:
    octaves, strengths = pitch(noise(n_samples).astype(np.float32))
    assert len(octaves) == len(strengths) == len(LOG_MEL.frames(noise(n_samples).astype(np.float32)))
    assert ((strengths >= 0) & (strengths <= 1)).all() and (np.abs(octaves) < 2.4).all()


def test_pitch_frames_lie_where_log_mel_frames_do() -> None:
    """A sound that is the same backwards, about the middle of frame 20, is heard the same backwards."""
    samples = np.zeros(40 * HOP_LENGTH + WINDOW_LENGTH, np.float32)
    middle, half = len(samples) // 2, 900
    inside = np.arange(-half, half) + 0.5
    samples[middle - half : middle + half] = 0.1 * np.cos(2 * np.pi * 150 * inside / RATE)
    _, strengths = pitch(samples)
    power = np.exp(LOG_MEL.frames(samples).astype(np.float64)).mean(1)
    assert strengths[20] > VOICED > strengths[0]
    np.testing.assert_allclose(strengths, strengths[::-1], atol=0.02)
    np.testing.assert_allclose(power, power[::-1], atol=0.02 * power.max())


@pytest.mark.parametrize("pitch_hz", [80, 100, 150, 200, 300, 450])
@pytest.mark.parametrize("kind", ["tone", "voice", "voice on a telephone", "voice in noise"])
def test_the_pitch_of_tones_and_voices_is_found(pitch_hz: int, kind: str) -> None:
    """On a telephone the fundamental itself is missing."""
    samples = {
        "tone": 0.2 * np.sin(2 * np.pi * pitch_hz * np.arange(RATE) / RATE),
        "voice": harmonic(pitch_hz),
        "voice on a telephone": harmonic(pitch_hz, first=2),
        "voice in noise": harmonic(pitch_hz) + 0.2 * noise(RATE),
    }[kind]
    octaves, strengths = pitch(samples.astype(np.float32))
    inner = slice(2, -2)  # the window of the others reaches beyond the ends
    assert np.abs(octaves[inner] - np.log2(pitch_hz / 100)).max() < 0.03  # a third of a semitone
    assert (strengths[inner] > VOICED).all()
    found = prosody_of(samples)
    assert found["pitch median"] == pytest.approx(np.log2(pitch_hz / 100), abs=0.03)
    assert found["voiced share"] > 0.9 and found["pitch movement"] < 0.01


@pytest.mark.parametrize(("colour", "most"), [(0.0, 0.02), (0.5, 0.02), (0.9, 0.02), (0.98, 0.1)])
def test_steady_noise_is_not_voiced(colour: float, most: float) -> None:
    """The last is a rumble below 50 Hz, of which a stretch of 50 ms may look like a period."""
    samples = noise(5 * RATE, colour)
    assert prosody_of(samples)["voiced share"] < most
    assert pitch(samples.astype(np.float32))[1].mean() < 0.7 * VOICED


def test_silence_is_not_voiced_and_half_a_voice_is_half_voiced() -> None:
    assert prosody_of(np.zeros(RATE))["voiced share"] < 0.01
    half = np.concatenate([harmonic(150), noise(RATE, seed=1)])
    assert prosody_of(half)["voiced share"] == pytest.approx(0.5, abs=0.05)


def test_a_rising_voice_rises_and_backwards_it_falls() -> None:
    track = 120 * 2 ** np.linspace(0, 1, RATE)
    rising, falling = prosody_of(harmonic(track)), prosody_of(harmonic(track)[::-1])
    assert rising["pitch slope"] == pytest.approx(1, abs=0.2)  # octaves a second, pulled to 0 a little
    assert falling["pitch slope"] == pytest.approx(-rising["pitch slope"], abs=0.03)
    assert rising["pitch movement"] == pytest.approx(HOP_LENGTH / RATE, rel=0.25)
    for name in ("pitch median", "pitch rise", "pitch fall", "voiced share"):
        assert falling[name] == pytest.approx(rising[name], abs=0.05), name
    assert rising["pitch rise"] == pytest.approx(0.4, abs=0.05)  # from the middle to the highest tenth


def test_an_octave_higher_is_an_octave_higher_and_nothing_else_of_the_melody() -> None:
    track = 110 * 2 ** (0.3 * np.sin(2 * np.pi * 2 * np.arange(RATE) / RATE))
    low, high = prosody_of(harmonic(track)), prosody_of(harmonic(2 * track))
    assert high["pitch median"] - low["pitch median"] == pytest.approx(1, abs=0.05)
    for name in ("pitch rise", "pitch fall", "pitch slope"):
        assert high[name] == pytest.approx(low[name], abs=0.08), name


def test_prosody_of_tracks_is_what_counting_gives() -> None:
    """Every frame voiced: quantiles of the pitch by sorting, level against the mean power."""
    rng = np.random.default_rng(0)
    octaves, power = rng.normal(0, 0.05, 200), rng.uniform(0.5, 2, 200)
    found = dict(zip(PROSODY, prosody(power, octaves, np.ones(200)), strict=True))
    low, middle, high = sorted(octaves)[19], sorted(octaves)[99], sorted(octaves)[179]
    level = np.log(power / power.mean())
    changes = [b - a for a, b in pairwise(level)]
    expected = {
        "pitch median": middle, "pitch rise": high - middle, "pitch fall": middle - low,
        "pitch movement": np.mean([abs(b - a) for a, b in pairwise(octaves)]),
        "voiced share": 1.0, "periodicity": 1.0, "level mean": level.mean(), "level deviation": level.std(),
        "level movement": np.mean([abs(change) for change in changes]),
        "level attack": np.mean([max(change, 0) for change in changes]),
    }  # fmt: skip
    for name, value in expected.items():
        assert found[name] == pytest.approx(value, abs=2e-4), name


def test_only_voiced_frames_have_a_say_in_the_pitch() -> None:
    octaves = np.where(np.arange(100) % 4, 0.5, 2.0)
    strengths = np.where(np.arange(100) % 4, 0.9, 0.1)
    found = dict(zip(PROSODY, prosody(np.ones(100), octaves, strengths), strict=True))
    assert found["pitch median"] == 0.5 and found["pitch rise"] == found["pitch fall"] == 0
    assert found["voiced share"] == pytest.approx(0.75, abs=1e-3)
    soft = prosody(np.where(np.arange(100) % 4, 1e-4, 1.0), octaves, np.ones(100))
    assert soft[0] == 2.0, "what is far below the mean level is no voice either"


# --- spectrum


def test_spectral_statistics_are_what_loops_give() -> None:
    log_power = np.random.default_rng(0).normal(-3, 2, (30, N_FILTERS))
    level = np.log(np.exp(log_power).mean())
    floor = 10 ** (-FLOOR_DB / 10)
    columns = []
    for band in range(N_BANDS):
        pair = [[np.log(np.exp(log_power[t, 2 * band + k] - level) + floor) for k in (0, 1)] for t in range(30)]
        track = np.array([sum(both) / 2 for both in pair])
        moved = [np.sqrt(np.mean([(track[t + lag] - track[t]) ** 2 for t in range(30 - lag)])) for lag in LAGS]
        columns.append([track.mean(), track.std(), *moved])
    np.testing.assert_allclose(spectral_statistics(log_power), np.array(columns).T.ravel(), rtol=1e-10)


def test_a_tone_is_loudest_in_its_band_and_a_steady_sound_does_not_move() -> None:
    filters = mel_filters(N_FILTERS, RATE, N_FFT, 60.0, 7800.0)
    peaks_hz = filters.argmax(1) * RATE / N_FFT
    for band in (5, 12, 20, 30):
        bands = vector(0.1 * np.sin(2 * np.pi * peaks_hz[2 * band] * np.arange(RATE) / RATE))[: 4 * N_BANDS]
        means, deviations, *movements = bands.reshape(4, N_BANDS)
        assert means.argmax() == band and np.abs([deviations[band], *(m[band] for m in movements)]).max() < 0.5
    steady, trembling = (
        vector(noise(RATE, seed=2) * (1 + depth * np.sin(2 * np.pi * 6 * np.arange(RATE) / RATE))) for depth in (0, 0.9)
    )
    assert (trembling[N_BANDS : 2 * N_BANDS] > steady[N_BANDS : 2 * N_BANDS]).all(), "deviation of each band"
    assert trembling[-len(PROSODY) :][PROSODY.index("level movement")] > 3 * steady[-len(PROSODY) :][9]


def test_what_is_spoken_lies_between_the_first_and_the_last_loud_frame() -> None:
    power = np.full(100, 1e-6)
    power[40:60] = 1.0
    power[50] = 0.0  # a pause within is part of it
    part = spoken(power)
    assert (part.start, part.stop) == (37, 63)
    assert spoken(power[40:60]).start == 0 and len(power[spoken(np.zeros(7))]) == 7


# --- the same with and without torch


def test_the_front_end_says_what_numpy_says(recordings: list[np.ndarray]) -> None:
    front_end = FRONT_ENDS.build("voice-statistics", {})
    assert front_end.n_features == N_FEATURES and front_end.sample_rate == RATE
    for samples in (speech_like().astype(np.float32), np.zeros(1, np.float32), *recordings[:4]):
        frames = front_end.frames(torch.from_numpy(samples))
        assert len(frames) == front_end.n_frames(len(samples)) == 1
        np.testing.assert_array_equal(frames.numpy(), STATISTICS.frames(samples))
        assert front_end(frames[None]).shape == (1, N_FEATURES, 1)


def test_the_same_recording_gives_the_same_bytes_and_is_left_as_it_was(recordings: list[np.ndarray]) -> None:
    samples = recordings[0].copy()
    assert VoiceStatisticsFrames().frames(samples).tobytes() == STATISTICS.frames(samples).tobytes()
    np.testing.assert_array_equal(samples, recordings[0])
