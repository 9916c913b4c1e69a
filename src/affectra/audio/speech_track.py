"""How much of a sound is speech, in any window, while it is still going on."""

from typing import Protocol

import numpy as np
import numpy.typing as npt
import soxr

from affectra.audio.voice_activity import FRAME_LENGTH, SAMPLE_RATE, available_detectors, speech_detector, speech_frames

Array = npt.NDArray[np.float32]


class TracksSpeech(Protocol):
    """A running measure of how much of a sound is speech; sound arrives in pieces, windows over it may overlap."""

    def feed(self, samples: Array) -> None:
        """Take the samples that come next, (sample,)."""
        ...

    def finish(self) -> None:
        """The sound is over."""
        ...

    def share(self, begin: int, end: int) -> float:
        """The share of speech between two samples that were fed."""
        ...

    def forget(self, begin: int) -> None:
        """Nothing before this sample will be asked for any more."""
        ...


class SpeechTrack:
    """Speech to any installed detector: Silero misses screams. Each sample is processed once, by detectors with memory.

    Args:
        sample_rate: of the samples to come, Hz.
    """

    def __init__(self, sample_rate: int) -> None:
        self._sample_rate = sample_rate
        self._resampler = (
            None if sample_rate == SAMPLE_RATE else soxr.ResampleStream(sample_rate, SAMPLE_RATE, 1, dtype="float32")
        )
        self._detectors = [speech_detector(name) for name in available_detectors()]
        self._is_speech = np.zeros((len(self._detectors), 0), dtype=np.bool_)  # (detector, frame)
        self._first = 0  # number of the first frame that is kept
        self._n_fed = 0  # samples that the detectors got

    def feed(self, samples: Array) -> None:
        """As `TracksSpeech.feed`."""
        self._detect(samples if self._resampler is None else self._resampler.resample_chunk(samples))

    def finish(self) -> None:
        """As `TracksSpeech.finish`; the last frame is filled up with silence."""
        if self._resampler is not None:
            self._detect(self._resampler.resample_chunk(np.empty(0, np.float32), last=True))
        self._detect(np.zeros(-self._n_fed % FRAME_LENGTH, np.float32))

    def _detect(self, samples: Array) -> None:
        self._n_fed += len(samples)
        is_speech = np.stack([detector.feed(samples) for detector in self._detectors]) > 0.5
        self._is_speech = np.concatenate([self._is_speech, is_speech], axis=1)

    def share(self, begin: int, end: int) -> float:
        """As `TracksSpeech.share`; of the frames that have become whole, 0 if there is none."""
        first, last = self._frame(begin), max(self._frame(begin) + 1, -(-self._at_16_khz(end) // FRAME_LENGTH))
        window = self._is_speech[:, first - self._first : last - self._first]
        return max(float(speech_frames(one).mean()) for one in window) if window.shape[1] else 0.0

    def forget(self, begin: int) -> None:
        """As `TracksSpeech.forget`."""
        n_frames = min(max(0, self._frame(begin) - self._first), self._is_speech.shape[1])
        self._is_speech = self._is_speech[:, n_frames:].copy()  # a view would hold the whole
        self._first += n_frames

    def _frame(self, position: int) -> int:
        """The frame that a sample lies in."""
        return self._at_16_khz(position) // FRAME_LENGTH

    def _at_16_khz(self, position: int) -> int:
        return position * SAMPLE_RATE // self._sample_rate


def speech_share(samples: Array, sample_rate: int) -> float:
    """The share of a whole sound (sample,) that is speech.

    Example:
        >>> speech_share(np.zeros(16_000, np.float32), 16_000)
        0.0
    """
    track = SpeechTrack(sample_rate)
    track.feed(np.asarray(samples, np.float32))
    track.finish()
    return track.share(0, len(samples))
