"""The track of speech: what it says of a whole sound, that pieces and forgetting change nothing, other rates."""

from pathlib import Path

import numpy as np
import pytest
import soundfile
import soxr
from hypothesis import given, settings
from hypothesis import strategies as st

from affectra.audio.speech_track import SpeechTrack, speech_share
from affectra.audio.voice_activity import FRAME_LENGTH, available_detectors, speech_frames, speech_probabilities

RATE = 16_000


@pytest.fixture(scope="module")
def speech(data_dir: Path) -> np.ndarray:
    """A second of silence, an utterance, two seconds of silence, another one."""
    paths = sorted((data_dir / "emodb" / "wav").glob("*.wav"))[:2]
    one, other = (soundfile.read(path, dtype="float32")[0] for path in paths)
    return np.concatenate([np.zeros(RATE, "f4"), one, np.zeros(2 * RATE, "f4"), other])


def tracked(samples: np.ndarray, rate: int, cuts: list[int]) -> SpeechTrack:
    track = SpeechTrack(rate)
    for piece in np.split(samples, sorted({min(cut, len(samples)) for cut in cuts})):
        track.feed(piece)
    track.finish()
    return track


def test_of_a_whole_sound_it_is_the_share_of_the_detector_that_hears_most(speech: np.ndarray) -> None:
    expected = [speech_frames(speech_probabilities(speech, RATE, name)).mean() for name in available_detectors()]
    assert speech_share(speech, RATE) == pytest.approx(max(expected)) and 0.3 < max(expected) < 0.9


@settings(max_examples=20, deadline=None)
@given(cuts=st.lists(st.integers(0, 200_000), max_size=20), begin=st.integers(0, 60_000), length=st.integers(1, 60_000))
def test_pieces_and_forgetting_change_no_share(speech: np.ndarray, cuts: list[int], begin: int, length: int) -> None:
    whole, track = tracked(speech, RATE, []), tracked(speech, RATE, cuts)
    assert track.share(begin, begin + length) == whole.share(begin, begin + length)
    track.forget(begin)
    assert track.share(begin, begin + length) == whole.share(begin, begin + length)


def test_a_stretch_has_the_speech_that_lies_in_it(speech: np.ndarray) -> None:
    track = tracked(speech, RATE, [])
    quiet_until = RATE - RATE // 4
    assert track.share(0, quiet_until) == 0.0
    loud = np.flatnonzero(np.abs(speech[RATE:-1]) > 0.1)[0] + RATE
    assert track.share(loud, loud + RATE) > 0.5


def test_another_rate_hears_the_same(speech: np.ndarray) -> None:
    at_44_khz = soxr.resample(speech, RATE, 44_100)
    track = tracked(at_44_khz, 44_100, [10_000, 10_001, 77_777])
    for second in range(5):
        expected = tracked(speech, RATE, []).share(second * RATE, (second + 1) * RATE)
        assert track.share(second * 44_100, (second + 1) * 44_100) == pytest.approx(expected, abs=0.1)


def test_frames_that_are_not_whole_yet_are_not_counted_and_the_last_is_filled_up() -> None:
    track = SpeechTrack(RATE)
    track.feed(np.zeros(FRAME_LENGTH - 1, "f4"))
    assert track.share(0, FRAME_LENGTH - 1) == 0.0
    track.finish()
    assert track.share(0, 1) == 0.0 and speech_share(np.zeros(1, "f4"), RATE) == 0.0


def test_memory_is_what_was_not_forgotten() -> None:
    track = SpeechTrack(RATE)
    for second in range(20):
        track.feed(np.zeros(RATE, "f4"))
        track.forget(second * RATE)
        assert track._is_speech.shape[1] <= 2 * RATE // FRAME_LENGTH + 2
