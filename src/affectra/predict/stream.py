"""Emotion while somebody speaks: blocks of samples in, a prediction for each second out."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt
import soxr

from affectra.audio import quality_flags, to_mono
from affectra.features.frames.spectral import Array
from affectra.features.specification import UtteranceOutput
from affectra.predict.windows import Window

if TYPE_CHECKING:
    from affectra.predict.model import Model, Prediction

# Ours. Emotion shows in about 3 s of speech; a window each second follows its changes.
WINDOW_S, SHIFT_S = 3.0, 1.0
LEAST_REST_S = 0.25  # ours: less than this at the end of a recording adds nothing to the window before


class Stream:
    """Recognises a sound that is still going on.

    Window k ends at k times `SHIFT_S` and is at most `WINDOW_S` long, so the first ones are shorter; each is recognised
    on its own, as a recording would be, but for what tells speech, which remembers. What is left at the end gives one
    more window if it is `LEAST_REST_S` or longer or if there is no other. How the sound is cut into blocks changes
    nothing.

    Args:
        model: what recognises.
        sample_rate: of the samples to come, Hz.
        classes: offer these alone; default all.
        abstain: answer "unknown" where there is no speech.

    Raises:
        ConfigError: a class the model does not have.
    """

    def __init__(self, model: "Model", sample_rate: int, *, classes: Sequence[str] = (), abstain: bool = True) -> None:
        self._model, self._sample_rate = model, sample_rate
        self._classes, self._abstain = model.offered(classes), abstain
        rate = model.sample_rate
        self._resampler = None if rate == sample_rate else soxr.ResampleStream(sample_rate, rate, 1, dtype="float32")
        self._source, self._samples = _Tail(), _Tail()  # at its own rate, where clipping shows, and at the model's
        self._length, self._shift, self._rest = (round(s * rate) for s in (WINDOW_S, SHIFT_S, LEAST_REST_S))
        self._track = model.track_speech()
        self._n_tracked = 0
        self._answered = 0  # where the last window ended, in samples at the model's rate

    def feed(self, samples: npt.NDArray[np.generic]) -> "list[Prediction]":
        """Predictions for the windows that these samples complete, in order.

        Args:
            samples: (sample,) or (sample, channel), floats in [-1, 1] or integers; any number of them.

        Raises:
            AudioError: another shape or type, NaN or infinite samples.
        """
        return self._recognize(self.take(samples))

    def finish(self) -> "list[Prediction]":
        """Predictions for what is left; the stream is over."""
        return self._recognize(self.take_rest())

    def take(self, samples: npt.NDArray[np.generic]) -> list[Window]:
        """As `feed`, the windows themselves, for whoever recognises those of several streams together."""
        if samples.size == 0:
            return []
        # Channels in a row: `to_mono` would take a block with fewer samples than channels for a slip.
        flat = samples.reshape(-1) if samples.ndim == 2 else samples
        mono = to_mono(flat, self._sample_rate, self._sample_rate)
        if samples.ndim == 2:
            mono = mono.reshape(samples.shape).mean(axis=1)
        self._source.append(mono)
        self._samples.append(mono if self._resampler is None else self._resampler.resample_chunk(mono))
        return self._complete()

    def take_rest(self) -> list[Window]:
        """As `finish`, the windows themselves."""
        if self._resampler is not None:
            self._samples.append(self._resampler.resample_chunk(np.empty(0, np.float32), last=True))
        windows = self._complete()
        rest = self._samples.end - self._answered
        if rest >= self._rest or (rest and not self._answered):
            windows.append(self._window(self._samples.end, is_last=True))
        return windows

    def tell(self, windows: Sequence[Window], outputs: Sequence[UtteranceOutput]) -> "list[Prediction]":
        """Predictions for windows that were taken and recognised."""
        return [
            self._model.predict_window(window, output, offered=self._classes, abstain=self._abstain)
            for window, output in zip(windows, outputs, strict=True)
        ]

    def _recognize(self, windows: list[Window]) -> "list[Prediction]":
        return self.tell(windows, self._model.recognizer.recognize_batch([window.samples for window in windows]))

    def _complete(self) -> list[Window]:
        windows = []
        while self._samples.end >= self._answered + self._shift:
            windows.append(self._window(self._answered + self._shift))
        return windows

    def _window(self, end: int, is_last: bool = False) -> Window:
        """The window that ends here."""
        begin = max(0, end - self._length)
        rate, source_rate = self._model.sample_rate, self._sample_rate
        first, last = (round(position * source_rate / rate) for position in (begin, end))
        flags = quality_flags(self._source.cut(first, max(last, first + 1)), source_rate)
        samples, share = self._samples.cut(begin, end).copy(), self._speech_share(begin, end, is_last)
        self._answered = end
        keep = max(0, end - self._length)  # the last window may end anywhere after this one
        self._samples.forget(keep)
        self._source.forget(int(keep * source_rate / rate) - 1)
        return Window(samples, begin / rate, share, tuple(flags))

    def _speech_share(self, begin: int, end: int, is_last: bool) -> float:
        if self._track is None:
            return 1.0
        self._track.feed(self._samples.cut(self._n_tracked, end))
        self._n_tracked = end
        if is_last:
            self._track.finish()
        share = self._track.share(begin, end)
        self._track.forget(begin)
        return share


class _Tail:
    """The last samples of a sound, by their position in it."""

    def __init__(self) -> None:
        self._chunks: list[Array] = []
        self._begin = self.end = 0

    def append(self, chunk: Array) -> None:
        """Add what comes next."""
        self._chunks.append(chunk)
        self.end += len(chunk)

    def cut(self, begin: int, end: int) -> Array:
        """The samples from `begin` to `end`, as far as they are there."""
        if len(self._chunks) > 1:
            self._chunks = [np.concatenate(self._chunks)]
        return self._chunks[0][begin - self._begin : end - self._begin]

    def forget(self, begin: int) -> None:
        """Keep nothing before `begin`."""
        begin = min(begin, self.end)
        if begin > self._begin:
            kept = self.cut(begin, self.end)
            self._chunks = [kept.copy()]  # a view would hold the whole
            self._begin = begin
