"""The stream: its windows, that live equals offline however the sound is cut, and what it keeps."""

import tracemalloc
from pathlib import Path

import numpy as np
import pytest
import soundfile
from hypothesis import given, settings
from hypothesis import strategies as st

from affectra.audio import read
from affectra.errors import AudioError, ConfigError
from affectra.predict.model import Prediction
from affectra.predict.stream import Stream
from hearing import CLASSES, hearing

RATES = (8_000, 11_025, 16_000, 22_050, 44_100, 48_000)


def noise(seconds: float, rate: int = 16_000, seed: int = 0) -> np.ndarray:
    """Noise whose loudness wanders, so that no two windows are alike."""
    rng = np.random.default_rng(seed)
    n = round(seconds * rate)
    return (0.2 * rng.standard_normal(n) * (1.2 + np.sin(np.arange(n) / rate))).clip(-0.9, 0.9).astype(np.float32)


def live(samples: np.ndarray, rate: int, cuts: list[int], **options: object) -> list[Prediction]:
    stream = Stream(hearing()[0], rate, **options)
    found = [p for block in np.split(samples, sorted({min(c, len(samples)) for c in cuts})) for p in stream.feed(block)]
    return found + stream.finish()


def same(one: list[Prediction], other: list[Prediction]) -> bool:
    assert [(p.start, p.end, p.flags, p.emotion) for p in one] == [(p.start, p.end, p.flags, p.emotion) for p in other]
    gaps = [abs(p.scores[name] - q.scores[name]) for p, q in zip(one, other, strict=True) for name in CLASSES]
    return max(gaps) < 1e-4


@settings(max_examples=60, deadline=None)
@given(
    rate=st.sampled_from(RATES),
    seconds=st.floats(0.01, 6.5),
    cuts=st.lists(st.integers(0, 300_000), max_size=30),
)
def test_live_equals_offline_for_any_blocks_and_rate(rate: int, seconds: float, cuts: list[int]) -> None:
    samples = noise(seconds, rate)
    assert same(live(samples, rate, cuts), hearing()[0].timeline(samples, rate))


def test_single_samples_give_what_the_whole_gives() -> None:
    samples = noise(1.6, 8_000)
    assert same(live(samples, 8_000, list(range(len(samples)))), hearing()[0].timeline(samples, 8_000))


@pytest.mark.parametrize(
    ("seconds", "ends"),
    [
        (0.001, [0.001]),
        (0.24, [0.24]),
        (0.999, [0.999]),
        (1.0, [1.0]),
        (1.24, [1.0]),
        (1.25, [1.0, 1.25]),
        (3.0, [1.0, 2.0, 3.0]),
        (5.5, [1.0, 2.0, 3.0, 4.0, 5.0, 5.5]),
    ],
)
def test_window_k_ends_at_second_k_and_is_at_most_three_seconds_long(seconds: float, ends: list[float]) -> None:
    windows = hearing()[0].timeline(noise(seconds), 16_000)
    assert [w.end for w in windows] == pytest.approx(ends)
    assert [w.start for w in windows] == pytest.approx([max(0.0, end - 3.0) for end in ends])


def test_each_window_is_recognised_as_a_recording_of_its_own() -> None:
    samples = noise(5.5)
    model, ear = hearing()
    windows = model.timeline(samples, 16_000)
    for window, heard in zip(windows, ear.heard, strict=True):
        cut = samples[round(16_000 * window.start) : round(16_000 * window.end)]
        np.testing.assert_array_equal(heard, cut)
        assert hearing()[0](cut, 16_000).scores == pytest.approx(window.scores, abs=1e-12)


def test_predictions_come_as_soon_as_their_second_is_over() -> None:
    stream = Stream(hearing()[0], 16_000)
    counts = [len(stream.feed(block)) for block in np.split(noise(3.5), 7)]
    assert counts == [0, 1, 0, 1, 0, 1, 0] and [p.end for p in stream.finish()] == [3.5]


@pytest.mark.parametrize("rate", [16_000, 44_100])
def test_a_file_is_the_stream_fed_with_it(tmp_path: Path, rate: int) -> None:
    samples = np.stack([noise(5.3, rate), noise(5.3, rate, seed=1)], axis=1)
    soundfile.write(tmp_path / "voice.flac", samples, rate, subtype="PCM_24")
    samples, _ = soundfile.read(tmp_path / "voice.flac", dtype="float32")
    from_file = hearing()[0].timeline_of_file(tmp_path / "voice.flac")
    assert len(from_file) == 6 and same(from_file, live(samples, rate, [7, 9_999, 80_001]))
    offline = read(tmp_path / "voice.flac", 16_000).samples
    assert hearing()[0](offline[-48_000:], 16_000).scores["anger"] == pytest.approx(
        from_file[-1].scores["anger"], abs=1e-4
    )


def test_integers_and_channels_count_as_in_files() -> None:
    samples = noise(2.5)
    as_integers = np.round(samples * 32768).astype(np.int16)
    assert same(live(as_integers, 16_000, [77]), live(samples, 16_000, []))
    two = np.stack([samples + 0.05, samples - 0.05], axis=1)
    assert same(live(two, 16_000, [1, 2, 30_000]), live(samples, 16_000, []))


def test_flags_belong_to_the_window_they_are_true_of() -> None:
    samples = noise(9.0)
    samples[3 * 16_000 : 7 * 16_000] = 0
    samples[8 * 16_000 + 100 : 8 * 16_000 + 200] = 1.0
    windows = live(samples, 16_000, [5_000, 131_300, 139_000])
    flags = {round(w.end): w.flags for w in windows}
    assert flags == {1: (), 2: (), 3: (), 4: (), 5: (), 6: ("silent",), 7: ("silent",), 8: (), 9: ("clipped",)}
    assert [w.emotion for w in windows if w.flags == ("silent",)] == ["unknown"] * 2
    assert all(w.emotion != "unknown" for w in live(samples, 16_000, [], abstain=False))


def test_clipping_is_heard_before_resampling_and_across_blocks() -> None:
    samples = noise(1.0, 44_100)
    samples[20_000:20_010] = 1.0
    assert live(samples, 44_100, [20_005])[0].flags == ("clipped",)


def test_the_end_of_a_file_that_is_cut_off_is_flagged(tmp_path: Path) -> None:
    soundfile.write(tmp_path / "voice.wav", noise(4.0), 16_000)
    (tmp_path / "voice.wav").write_bytes((tmp_path / "voice.wav").read_bytes()[:90_000])
    windows = hearing()[0].timeline_of_file(tmp_path / "voice.wav")
    assert [w.flags for w in windows] == [(), (), ("truncated",)]


def test_classes_restrict_a_stream() -> None:
    for window in live(noise(2.0), 16_000, [], classes=["sadness", "anger"]):
        assert list(window.scores) == ["anger", "sadness"] and sum(window.scores.values()) == pytest.approx(1)
    with pytest.raises(ConfigError, match="unknown class 'angry'"):
        Stream(hearing()[0], 16_000, classes=["angry"])


@pytest.mark.parametrize(
    ("block", "words"),
    [
        (np.array([0.0, np.nan]), "NaN or infinite"),
        (np.zeros((2, 2, 2)), "expected .sample,. or .sample, channel."),
        (np.array(["a"]), "expected floats"),
    ],
)
def test_what_is_no_sound_is_refused(block: np.ndarray, words: str) -> None:
    with pytest.raises(AudioError, match=words):
        Stream(hearing()[0], 16_000).feed(block)


def test_nothing_gives_nothing_live_and_an_error_offline() -> None:
    stream = Stream(hearing()[0], 44_100)
    assert stream.feed(np.zeros(0)) == [] and stream.finish() == []
    with pytest.raises(AudioError, match="not empty"):
        hearing()[0].timeline(np.zeros(0), 16_000)
    with pytest.raises(AudioError, match="too short"):
        hearing()[0].timeline(np.zeros(1), 48_000)
    with pytest.raises(AudioError, match="transpose"):
        hearing()[0].timeline(np.zeros((2, 16_000)), 16_000)


def test_memory_does_not_grow_with_the_stream() -> None:
    model, _ = hearing()
    stream = Stream(model, 48_000)
    block = noise(1.0, 48_000)
    peaks = []
    tracemalloc.start()
    for _ in range(2):
        tracemalloc.reset_peak()
        for _ in range(60):
            stream.feed(block)
            model.recognizer.heard.clear()
        peaks.append(tracemalloc.get_traced_memory()[1])
    tracemalloc.stop()
    assert peaks[1] < 1.1 * peaks[0] and peaks[1] < 20e6
