"""Emotion in one's own recordings, from a checkpoint alone."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch

from affectra.audio import blocks, quality_flags, to_mono
from affectra.calibration import Calibration, read_calibration
from affectra.errors import CheckpointError, ConfigError
from affectra.features.cache import HALF, storage_of
from affectra.models.recognizer import Recognizer, checkpoint_folders, load_checkpoint
from affectra.registry import unknown_name

SHORTEST_S = 0.5  # ours: below it there is hardly a syllable to judge by
STRETCH_S = 60.0  # a long recording is recognised in stretches of this length, so memory stays bounded
WINDOW_S, WINDOW_SHIFT_S = 3.0, 1.0  # ours: a timeline's windows where a stretch of any length gives one vector
UNKNOWN = "unknown"


@dataclass(frozen=True)
class Prediction:
    """What a model says of a recording or a window of it.

    Attributes:
        start: where it starts, s.
        end: where it ends, s.
        emotion: the most probable class, or "unknown" where the model abstains.
        confidence: that class's probability.
        scores: probability of each class offered; they sum to 1.
        flags: of too_short, silent, clipped, truncated.
        arousal: probability of high arousal, None if the model has none.
        valence: probability of positive valence, None if the model has none.
    """

    start: float
    end: float
    emotion: str
    confidence: float
    scores: dict[str, float]
    flags: tuple[str, ...]
    arousal: float | None = field(default=None)
    valence: float | None = field(default=None)


class Model:
    """Recognisers of one training, e.g. all folds of a run, whose probabilities are averaged and calibrated.

    Args:
        recognizers: with equal front ends, segments and classes.
        name: what it is called in messages.
        calibration: fitted on out-of-fold predictions, if any.
    """

    def __init__(self, recognizers: Sequence[Recognizer], name: str, calibration: Calibration | None = None) -> None:
        self.recognizers = list(recognizers)
        self.name = name
        self.calibration = calibration or Calibration(1.0)
        self.classes = self.recognizers[0].specification.classes
        self.sample_rate: int = self.recognizers[0].front_end.sample_rate
        self.is_whole = self.recognizers[0].is_whole
        self.synthetic = self.recognizers[0].specification.synthetic

    def __call__(
        self, audio: npt.NDArray[np.floating], sample_rate: int, *, classes: Sequence[str] = (), abstain: bool = True
    ) -> Prediction:
        """Recognise a waveform (sample,) or (sample, channel), in [-1, 1].

        Args:
            audio: the samples.
            sample_rate: theirs, Hz.
            classes: offer these alone; default all.
            abstain: answer "unknown" for silence.
        """
        return self._whole(self._windows_of(audio, sample_rate), classes, abstain)

    def timeline(
        self, audio: npt.NDArray[np.floating], sample_rate: int, *, classes: Sequence[str] = (), abstain: bool = True
    ) -> list[Prediction]:
        """One prediction a window, in order.

        Windows overlap as the recipe's test segments do; a model of whole utterances, whose recipe has no segments,
        hears 3 s of every second, about as long as what it learnt from.
        """
        return self._each(self._windows_of(audio, sample_rate, timeline=True), classes, abstain)

    def recognize_file(self, path: str | Path, *, classes: Sequence[str] = (), abstain: bool = True) -> Prediction:
        """Recognise a recording of any format, rate, channels and length, in bounded memory.

        Raises:
            AudioError: it cannot be read.
        """
        return self._whole(self._windows_in(path), classes, abstain)

    def timeline_of_file(
        self, path: str | Path, *, classes: Sequence[str] = (), abstain: bool = True
    ) -> list[Prediction]:
        """As `timeline`, of a recording.

        Raises:
            AudioError: it cannot be read.
        """
        return self._each(self._windows_in(path, timeline=True), classes, abstain)

    def _windows_in(self, path: str | Path, timeline: bool = False) -> "_Windows":
        stream = blocks(path, self.sample_rate, allow_truncated=True)
        windows = _Windows(self, stream, timeline)
        windows.add_flags(stream.flags)
        return windows

    def _windows_of(self, audio: npt.NDArray[np.floating], sample_rate: int, timeline: bool = False) -> "_Windows":
        audio = np.asarray(audio)
        windows = _Windows(self, iter([to_mono(audio, sample_rate, self.sample_rate)]), timeline)
        windows.add_flags(quality_flags(audio, sample_rate))
        return windows

    def _each(self, windows: "_Windows", classes: Sequence[str], abstain: bool) -> list[Prediction]:
        return [self._prediction(p, s, e, windows.flags, classes, abstain) for p, s, e in windows.rows]

    def _whole(self, windows: "_Windows", classes: Sequence[str], abstain: bool) -> Prediction:
        # By length, so that the rest of a long recording, shorter than its other stretches, counts for less.
        weights = [end - start if self.is_whole else 1.0 for _, start, end in windows.rows]
        probabilities = np.average([row[0] for row in windows.rows], axis=0, weights=weights)
        return self._prediction(probabilities, 0.0, windows.duration_s, windows.flags, classes, abstain)

    def _prediction(
        self,
        probabilities: npt.NDArray[np.float64],
        start: float,
        end: float,
        flags: tuple[str, ...],
        classes: Sequence[str],
        abstain: bool,
    ) -> Prediction:
        if not np.isfinite(probabilities).all():
            raise CheckpointError(f"model {self.name}: its scores are no numbers; the weights are damaged")
        offered = self.offered(classes)
        calibrated = self.calibration.apply(probabilities)[[self.classes.index(name) for name in offered]]
        calibrated = calibrated / calibrated.sum()
        best = int(calibrated.argmax())
        unknown = abstain and "silent" in flags
        scores = {name: float(p) for name, p in zip(offered, calibrated, strict=True)}
        return Prediction(start, end, UNKNOWN if unknown else offered[best], float(calibrated[best]), scores, flags)

    def offered(self, classes: Sequence[str]) -> tuple[str, ...]:
        """The classes asked for, in the model's order; all when none is named.

        Raises:
            ConfigError: one the model does not have.
        """
        for name in classes:
            if name not in self.classes:
                raise ConfigError(f"model {self.name}: " + unknown_name("class", name, self.classes))
        return tuple(name for name in self.classes if not classes or name in classes)


class _Windows:
    """Windows of a stream: (probabilities, start_s, end_s) rows, duration and flags, never holding the whole recording.

    The stream is cut into stretches at window starts, so the windows are those of the whole recording. A normalisation
    or peak over the utterance is then one over the stretch. For a model of whole utterances the stretch is the window:
    of a timeline 3 s every second, else the recording itself up to about a minute.

    Args:
        model: what recognises.
        stream: blocks of samples at the model's rate.
        timeline: whether the windows are to be shown one by one.
    """

    def __init__(self, model: Model, stream: Iterator[npt.NDArray[np.float32]], timeline: bool) -> None:
        self.rows: list[tuple[npt.NDArray[np.float64], float, float]] = []
        self._model = model
        rate = model.sample_rate
        advance, overlap, least = _stretches(model.recognizers[0], timeline)
        kept = np.zeros(0, dtype=np.float32)
        begun = n_samples = 0
        for block in stream:
            n_samples += len(block)
            kept = np.concatenate([kept, block])
            # A stretch is cut only when enough is left after it: the last one is padded as in training.
            while len(kept) >= advance + overlap + least:
                self._recognize(kept[: advance + overlap], begun, None)
                kept = kept[advance:]
                begun += advance
        self.duration_s = n_samples / rate
        self._recognize(kept, begun, n_samples)
        self.flags: tuple[str, ...] = ("too_short",) if self.duration_s < SHORTEST_S else ()

    def add_flags(self, flags: Sequence[str]) -> None:
        """Add what the audio room found wrong."""
        self.flags = tuple(sorted({*self.flags, *flags}))

    def _recognize(self, samples: npt.NDArray[np.float32], begun: int, n_samples: int | None) -> None:
        first = self._model.recognizers[0]
        frames = first.front_end.frames(torch.from_numpy(samples)).numpy()
        frames = frames.astype(storage_of(first.front_end).get("dtype", HALF))  # as cached for training
        outputs = [recognizer.recognize(frames) for recognizer in self._model.recognizers]
        probabilities = np.mean([output.segment_probabilities for output in outputs], axis=0)
        rate = self._model.sample_rate
        hop, length = (0, len(samples)) if first.is_whole else (first.front_end.hop_length, _window_length(first))
        for start, row in zip(outputs[0].starts, probabilities, strict=True):
            begin = begun + start * hop
            end = begin + length if n_samples is None else min(begin + length, n_samples)
            self.rows.append((row, begin / rate, end / rate))


def _stretches(recognizer: Recognizer, timeline: bool) -> tuple[int, int, int]:
    """How a stream is cut, in samples: from one stretch to the next, how much they share, what is left at least."""
    rate = recognizer.front_end.sample_rate
    if not recognizer.is_whole:
        shift = recognizer.test_shift_frames * recognizer.front_end.hop_length
        advance = max(1, round(STRETCH_S * rate / shift)) * shift
        return advance, _window_length(recognizer) - shift, shift
    if timeline:
        shift = round(WINDOW_SHIFT_S * rate)
        return shift, round(WINDOW_S * rate) - shift, 1
    return round(STRETCH_S * rate), 0, round(WINDOW_S * rate)


def _window_length(recognizer: Recognizer) -> int:
    """Samples of a segment."""
    front_end = recognizer.front_end
    length: int = (recognizer.segment_frames - 1) * front_end.hop_length + front_end.window_length
    return length


def load(name_or_dir: str | Path) -> Model:
    """Load a model: a run directory (all its finished folds are averaged), a fold of one, or an exported model.

    Raises:
        CheckpointError: no checkpoint there, or a damaged one.
    """
    path = Path(name_or_dir)
    if not path.is_dir():
        raise CheckpointError(f"{path}: no such folder; give a run directory or a folder with model.json")
    recognizers = [load_checkpoint(folder) for folder in checkpoint_folders(path)]
    if not recognizers:
        raise CheckpointError(f"{path}: no finished fold here; expected seed-*/fold-*/model.json or model.json")
    return Model(recognizers, path.name, read_calibration(path))


def as_row(file: str, prediction: Prediction) -> dict[str, Any]:
    """The fields that `affectra predict` prints for a prediction."""
    scores = {f"score_{name}": round(p, 6) for name, p in prediction.scores.items()}
    return {
        "file": file,
        "start": round(prediction.start, 3),
        "end": round(prediction.end, 3),
        "emotion": prediction.emotion,
        "confidence": round(prediction.confidence, 6),
        **scores,
        "arousal": prediction.arousal,
        "valence": prediction.valence,
        "flags": ";".join(prediction.flags),
    }
