"""Output of a model for a sound, before calibration: windows of the sound, and their outputs averaged."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import NamedTuple, Protocol

import numpy as np
import numpy.typing as npt

from affectra.audio.speech_track import TracksSpeech
from affectra.features.frames.spectral import Array
from affectra.features.specification import Specification, UtteranceOutput

SHORTEST_S = 0.5  # ours: below it there is hardly a syllable to judge by
LEAST_SPEECH_S = 0.3  # ours: about a syllable and a half must be speech, of a very short sound half


class Windowing(NamedTuple):
    """How a whole sound is cut, s: up to `whole_s` not at all, a longer one into windows of a length that overlap."""

    whole_s: float
    length_s: float
    shift_s: float


# Ours (docs/models.md). One vector of a minute of speech and pauses is unlike that of an utterance.
OF_VECTORS = Windowing(6.0, 3.0, 1.5)
# A network over segments cuts its input itself; this bounds its memory.
OF_SEGMENTS = Windowing(30.0, 30.0, 20.0)


class Recognizes(Protocol):
    """Recogniser of samples: an `OnnxRecognizer` or a `TorchRecognizer`."""

    specification: Specification
    sample_rate: int

    def __call__(self, samples: Array) -> UtteranceOutput:
        """Recognise a waveform (sample,) at `sample_rate` as one utterance."""
        ...

    def recognize_batch(self, waveforms: Sequence[Array]) -> list[UtteranceOutput]:
        """Recognise several waveforms, each as one utterance, at less cost than one by one where that is possible."""
        ...


@dataclass(frozen=True)
class Window:
    """A span of a sound that is recognised as an utterance of its own.

    Attributes:
        samples: (sample,) at the model's rate.
        start: where it starts in the sound, s.
        speech_share: how much of it is speech.
        flags: what is known to be wrong with it.
    """

    samples: Array
    start: float
    speech_share: float
    flags: tuple[str, ...] = ()


@dataclass(frozen=True)
class RecordingOutput:
    """Output of a model for a sound.

    Attributes:
        probabilities: (class,), not calibrated.
        embeddings: (window, feature).
        weights: (window,), how much each counts.
        auxiliary: probability of each auxiliary task.
        duration_s: of the sound.
        flags: what the samples themselves tell: too_short, no_speech.
    """

    probabilities: npt.NDArray[np.float64]
    embeddings: npt.NDArray[np.float32]
    weights: npt.NDArray[np.float64]
    auxiliary: dict[str, float]
    duration_s: float
    flags: tuple[str, ...]


def windowing_of(specification: Specification) -> Windowing:
    """How a model of this kind takes whole sounds."""
    return OF_VECTORS if specification.segments is None else OF_SEGMENTS


def recognize_windows(
    recognizer: Recognizes, pieces: Iterable[Array], track: TracksSpeech | None, windowing: Windowing
) -> RecordingOutput:
    """Recognise a whole sound, in windows that are averaged by how long somebody speaks in each.

    Args:
        recognizer: of each window.
        pieces: the sound at the recogniser's rate.
        track: what tells speech from other sound; without it all counts as speech.
        windowing: how the sound is cut.
    """
    rate = recognizer.sample_rate
    outputs, spans, n_tracked = [], [], 0
    for begin, samples in windows(pieces, *(round(s * rate) for s in windowing)):
        end = begin + len(samples)
        outputs.append(recognizer(samples))
        spans.append((begin, end))
        if track is not None:
            track.feed(samples[n_tracked - begin :])
        n_tracked = end
    if track is not None:
        track.finish()
    duration_s = n_tracked / rate
    shares = np.array([1.0 if track is None else track.share(*span) for span in spans])
    # Speech counts, not the pauses between, and a last window as much as it is late.
    later = ((end - before) / (windowing.shift_s * rate) for (_, before), (_, end) in pairwise(spans))
    new_shares = np.array([1.0, *later])
    weights = shares * new_shares if shares.any() else new_shares
    spoken = 1.0 if track is None else track.share(0, n_tracked)
    return RecordingOutput(
        probabilities=np.average([output.probabilities for output in outputs], axis=0, weights=weights),
        embeddings=np.stack([output.embedding for output in outputs]),
        weights=weights,
        auxiliary={
            name: float(np.average([output.auxiliary[name] for output in outputs], weights=weights))
            for name in outputs[0].auxiliary
        },
        duration_s=duration_s,
        flags=length_flags(duration_s, duration_s * spoken),
    )


def window_output(window: Window, output: UtteranceOutput, sample_rate: int) -> RecordingOutput:
    """Give the output for a single window."""
    duration_s = len(window.samples) / sample_rate
    flags = length_flags(duration_s, duration_s * window.speech_share)
    auxiliary = dict(output.auxiliary)
    return RecordingOutput(output.probabilities, output.embedding[None], np.ones(1), auxiliary, duration_s, flags)


def windows(pieces: Iterable[Array], whole: int, length: int, shift: int) -> Iterator[tuple[int, Array]]:
    """Windows of a sound that comes in pieces, and where each begins; all in samples.

    Args:
        pieces: of the sound, at least one sample in all.
        whole: a sound that is not longer is one window.
        length: of the windows of a longer one, at most `whole`.
        shift: from one to the next, at most `length`; the last one ends with the sound.

    Example:
        >>> [(begin, len(window)) for begin, window in windows([np.zeros(9), np.zeros(9)], 12, 10, 5)]
        [(0, 10), (5, 10), (8, 10)]
    """
    kept = np.zeros(0, np.float32)  # from where the last window began
    begin, is_cut = 0, False
    for piece in pieces:
        kept = np.concatenate([kept, piece])
        if not is_cut and len(kept) > whole:
            yield 0, kept[:length]
            is_cut = True
        while is_cut and len(kept) >= shift + length:
            kept, begin = kept[shift:], begin + shift
            yield begin, kept[:length]
    if not is_cut:
        yield 0, kept
    elif len(kept) > length:
        yield begin + len(kept) - length, kept[-length:]


def length_flags(duration_s: float, spoken_s: float) -> tuple[str, ...]:
    """Of too_short and no_speech, what holds for a sound of which so much is speech."""
    return (
        *(["too_short"] if duration_s < SHORTEST_S else []),
        *(["no_speech"] if spoken_s < min(LEAST_SPEECH_S, duration_s / 2) else []),
    )
