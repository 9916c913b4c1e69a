"""Voice activity: where in a recording or a stream somebody speaks.

Two detectors with one interface, both causal, so that a stream and the whole recording give the same: `energy` is built
in, `silero` is a small neural network (extra `vad`, run by ONNX Runtime without torch).
"""

import importlib
import importlib.util
from functools import cache
from itertools import pairwise
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from affectra.audio.arrays import to_mono
from affectra.errors import ConfigError, require_extra
from affectra.registry import unknown_name

SAMPLE_RATE = 16_000
FRAME_LENGTH = 512  # samples; 32 ms, as silero-vad was trained
FRAME_S = FRAME_LENGTH / SAMPLE_RATE
DETECTORS = ("silero", "energy")

# Ours. Shorter sounds are clicks and coughs; shorter pauses are plosives and breath within an utterance.
_SHORTEST_RUN = 6  # frames, 0.19 s
_SHORTEST_PAUSE = 6

_SILERO_MODEL = "data/silero_vad_16k_sequence.onnx"  # the one that takes many frames at once and gives its state back
_SILERO_CONTEXT = 64  # samples before each frame that the network also takes

Probabilities = npt.NDArray[np.float64]


class SpeechDetector(Protocol):
    """A voice activity detector for a stream of 16 kHz samples, block by block."""

    def feed(self, samples: npt.NDArray[np.float32]) -> Probabilities:
        """Probability of speech in each 32 ms frame that has become whole, (frame,); the rest is kept for the next."""


def speech_detector(name: str | None = None) -> SpeechDetector:
    """A detector at the start of a stream.

    Args:
        name: of `DETECTORS`; default silero where its packages are installed, else energy.

    Raises:
        ConfigError: unknown, or its packages are missing.
    """
    if name is None:
        name = "silero" if _silero_model() is not None else "energy"
    if name not in DETECTORS:
        raise ConfigError(unknown_name("speech detector", name, DETECTORS))
    return SileroDetector() if name == "silero" else EnergyDetector()


def available_detectors() -> tuple[str, ...]:
    """Of `DETECTORS` those whose packages are installed."""
    return DETECTORS if _silero_model() is not None else ("energy",)


def speech_probabilities(
    samples: npt.NDArray[np.floating], sample_rate: int, detector: str | None = None
) -> Probabilities:
    """Probability of speech in each 32 ms frame of a recording, (frame,); the last one is filled up with silence.

    Args:
        samples: (sample,) or (sample, channel).
        sample_rate: Hz.
        detector: as for `speech_detector`.

    Raises:
        AudioError: samples that are no audio, see `affectra.audio.to_mono`.
    """
    mono = to_mono(samples, sample_rate, SAMPLE_RATE)
    whole = np.zeros(-(-len(mono) // FRAME_LENGTH) * FRAME_LENGTH, np.float32)
    whole[: len(mono)] = mono
    return speech_detector(detector).feed(whole)


def speech_segments(
    samples: npt.NDArray[np.floating], sample_rate: int, detector: str | None = None
) -> list[tuple[float, float]]:
    """Start and end, s, of each segment of speech in a recording; arguments as of `speech_probabilities`.

    Example:
        >>> speech_segments(np.zeros(16000), 16000, "energy")
        []
    """
    frames = speech_frames(speech_probabilities(samples, sample_rate, detector)).astype(np.int8)
    edges = np.diff(frames, prepend=0, append=0)
    end_s = len(samples) / sample_rate
    starts, ends = np.flatnonzero(edges == 1), np.flatnonzero(edges == -1)
    return [(float(a * FRAME_S), min(float(b * FRAME_S), end_s)) for a, b in zip(starts, ends, strict=True)]


def speech_frames(probabilities: Probabilities) -> npt.NDArray[np.bool_]:
    """Which frames of a recording or a window are speech: pauses under 0.2 s closed, sounds under 0.2 s left out.

    Their mean is the share of speech.

    Example:
        >>> speech_frames(np.array([0, 1, 0, 0] + [0.9, 0.1] * 4)).astype(int).tolist()
        [0, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 0]
    """
    frames: npt.NDArray[np.bool_] = np.asarray(probabilities) > 0.5
    spoken = np.flatnonzero(frames)
    for last, following in pairwise(spoken):
        if following - last <= _SHORTEST_PAUSE:
            frames[last:following] = True
    edges = np.diff(frames.astype(np.int8), prepend=0, append=0)
    for start, end in zip(np.flatnonzero(edges == 1), np.flatnonzero(edges == -1), strict=True):
        if end - start < _SHORTEST_RUN:
            frames[start:end] = False
    return frames


class EnergyDetector:
    """Speech by how sound changes within a second, from nine cues and a logistic regression.

    Speech comes and goes: within a second it has periodic and aperiodic parts, its spectrum has formants and moves, and
    most of its energy lies below 1 kHz. Steady noise, hum, tones, clicks and silence lack one or the other. Nothing
    depends on the level, down to -80 dB of full scale. Cries, barks and songs may pass for speech. The detector
    remembers a second, so it finds the beginning and the end of speech up to half a second late.

    The weights are fitted on EMO-DB, with and without ESC-10's noises (folds 1 and 2), against these noises, tones and
    coloured noise by `benchmarks/speech_detection.py`, which also tells how well it does elsewhere.
    """

    def __init__(self) -> None:
        self._held = np.zeros(FRAME_LENGTH, np.float32)  # a window is two frames long, the second one new
        self._bands: npt.NDArray[np.float64] | None = None
        self._past = np.full((_LONG - 1, 5), np.nan)  # cues of the frames before; NaN before the start

    def feed(self, samples: npt.NDArray[np.float32]) -> Probabilities:
        """As `SpeechDetector.feed`."""
        cues, levels_db = self.cues(samples)
        evidence = cues @ np.array([weight for weight, _ in _CUES.values()]) + _BIAS
        probabilities: Probabilities = np.where(levels_db > _FAINTEST_DB, 1 / (1 + np.exp(-evidence)), 0.0)
        return probabilities

    def cues(self, samples: npt.NDArray[np.float32]) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]:
        """Of each frame that has become whole: its cues (frame, cue), and its level in the voice band (frame,), dB."""
        held = np.concatenate([self._held, np.asarray(samples, np.float32)])
        n_frames = len(held) // FRAME_LENGTH - 1
        self._held = held[n_frames * FRAME_LENGTH :]
        if n_frames == 0:
            return np.zeros((0, len(_CUES))), np.zeros(0)
        windows = np.lib.stride_tricks.sliding_window_view(held, 2 * FRAME_LENGTH)[::FRAME_LENGTH][:n_frames]
        power = np.abs(np.fft.rfft(windows * _WINDOW, _FFT_LENGTH, axis=1)) ** 2
        present = self._present(power)
        past = np.concatenate([self._past, present])
        self._past = past[len(past) - _LONG + 1 :]
        long = np.lib.stride_tricks.sliding_window_view(past, _LONG, axis=0)  # (frame, cue, past frame)
        means, deviations = _spread(long[..., -_SHORT:])
        level, voicing, flux, flatness, tilt = range(5)
        rise = np.minimum(present[:, level] - np.fmin.reduce(long[:, level], axis=1), _MOST_RISE_DB)
        chosen = {
            "flatness": present[:, flatness],
            "treble": _decibel(power[:, _BINS_HZ >= 4000].sum(axis=1)) - _decibel(power[:, _VOICE].sum(axis=1)),
            "voicing": means[:, voicing],
            "voicing changes": deviations[:, voicing],
            "flux": means[:, flux],
            "flatness, mean": means[:, flatness],
            "tilt": means[:, tilt],
            "tilt changes": deviations[:, tilt],
            "rise": rise,
        }
        limited = [np.clip(chosen[name], *limits) for name, (_, limits) in _CUES.items()]
        return np.stack(limited, axis=1), present[:, level]

    def _present(self, power: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
        """Level, dB; periodicity; change of the spectrum since the frame before, dB; its flatness and tilt."""
        voice = power[:, _VOICE]
        scale = 2 / (_FFT_LENGTH * np.square(_WINDOW).sum())
        level = np.maximum(_decibel(voice.sum(axis=1) * scale), -100.0)
        correlation = np.fft.irfft(power * _PITCH_RANGE, axis=1)[:, : _LAGS.stop]
        correlation /= np.maximum(correlation[:, :1], 1e-12) * _WINDOW_CORRELATION
        voicing = np.clip(correlation[:, _LAGS].max(axis=1), 0.0, 1.0)
        bands = np.stack([_decibel(power[:, band].mean(axis=1)) for band in _FLUX_BANDS], axis=1)
        bands -= bands.mean(axis=1, keepdims=True)
        before = np.concatenate([bands[:1] if self._bands is None else self._bands, bands[:-1]])
        self._bands = bands[-1:]
        flux = np.sqrt(np.square(bands - before).mean(axis=1))
        flatness = np.log(voice + _TINY).mean(axis=1) - np.log((voice + _TINY).mean(axis=1))
        tilt = _decibel(power[:, _LOW].sum(axis=1)) - _decibel(power[:, _MIDDLE].sum(axis=1))
        return np.stack([level, voicing, flux, flatness, tilt], axis=1)


def _spread(values: npt.NDArray[np.float64]) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]:
    """Mean and standard deviation along the last axis without its NaN; numpy's own take four times as long."""
    there = ~np.isnan(values)
    n = there.sum(axis=-1)
    means = np.where(there, values, 0.0).sum(axis=-1) / n
    variances = np.where(there, np.square(values - means[..., np.newaxis]), 0.0).sum(axis=-1) / n
    return means, np.sqrt(variances)


def _decibel(power: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    decibel: npt.NDArray[np.float64] = 10 * np.log10(power + _TINY)
    return decibel


_TINY = 1e-12
_FAINTEST_DB = -80.0  # ours: below the rounding of 16 bit
_MOST_RISE_DB = 20.0
_SHORT = 31  # frames, 1 s: some four syllables
_LONG = 94  # frames, 3 s: a pause for breath falls into it
_FFT_LENGTH = 1280  # a window and the longest lag, so that the correlation does not come round
_WINDOW = np.hanning(2 * FRAME_LENGTH).astype(np.float32)
_BINS_HZ = np.fft.rfftfreq(_FFT_LENGTH, 1 / SAMPLE_RATE)
_VOICE = (_BINS_HZ >= 100) & (_BINS_HZ < 4000)
_LOW, _MIDDLE = (_BINS_HZ >= 100) & (_BINS_HZ < 1000), (_BINS_HZ >= 1000) & (_BINS_HZ < 4000)
_FLUX_BANDS = [(low <= _BINS_HZ) & (low + 325 > _BINS_HZ) for low in range(100, 4000, 325)]
_PITCH_RANGE = ((_BINS_HZ >= 70) & (_BINS_HZ < 1500)).astype(np.float64)
_LAGS = slice(SAMPLE_RATE // 400, SAMPLE_RATE // 70)  # voices between 70 and 400 Hz
# A windowed frame's correlation falls with the lag even for a steady tone.
_WINDOW_CORRELATION = np.fft.irfft(np.abs(np.fft.rfft(_WINDOW, _FFT_LENGTH)) ** 2)[: _LAGS.stop]
_WINDOW_CORRELATION /= _WINDOW_CORRELATION[0]

# Weight and limits of each cue.
_CUES: dict[str, tuple[float, tuple[float, float]]] = {
    "flatness": (0.1506, (-12.0, 0.0)),
    "treble": (-0.0421, (-40.0, 10.0)),
    "voicing": (11.15, (0.0, 1.0)),
    "voicing changes": (19.68, (0.0, 1.0)),
    "flux": (1.606, (0.0, 20.0)),
    "flatness, mean": (2.543, (-12.0, 0.0)),
    "tilt": (0.286, (-40.0, 40.0)),
    "tilt changes": (0.1111, (0.0, 40.0)),
    "rise": (0.1549, (0.0, _MOST_RISE_DB)),
}
_BIAS = -15.0  # half a unit stricter than the fit


class SileroDetector:
    """Speech by the network of the package silero-vad (MIT licence), run by ONNX Runtime on one thread.

    Raises:
        ConfigError: the packages of the extra `vad` are missing or too old.
    """

    def __init__(self) -> None:
        for package in ("silero_vad", "onnxruntime"):
            require_extra(package, "vad", "the speech detector silero")
        model = _silero_model()
        if model is None:
            raise ConfigError(f"silero-vad: {_SILERO_MODEL} is not in it, expected 6.2.3 or later; pip install -U it")
        self._session = _session(model)
        self._held = np.zeros(_SILERO_CONTEXT, np.float32)
        self._state = (np.zeros((1, 1, 128), np.float32), np.zeros((1, 1, 128), np.float32))

    def feed(self, samples: npt.NDArray[np.float32]) -> Probabilities:
        """As `SpeechDetector.feed`."""
        held = np.concatenate([self._held, np.asarray(samples, np.float32)])
        n_frames = (len(held) - _SILERO_CONTEXT) // FRAME_LENGTH
        self._held = held[n_frames * FRAME_LENGTH :]
        if n_frames == 0:
            return np.zeros(0)
        width = _SILERO_CONTEXT + FRAME_LENGTH
        frames = np.lib.stride_tricks.sliding_window_view(held, width)[::FRAME_LENGTH][:n_frames]
        inputs = {"input": np.ascontiguousarray(frames), "h": self._state[0], "c": self._state[1]}
        probabilities, *state = self._session.run(None, inputs)
        self._state = (state[0], state[1])
        return np.asarray(probabilities, np.float64)


def _silero_model() -> Path | None:
    """Where the network's file is; importing its package would import torch."""
    if any(importlib.util.find_spec(package) is None for package in ("silero_vad", "onnxruntime")):
        return None
    package = importlib.util.find_spec("silero_vad")
    folders = [] if package is None else package.submodule_search_locations or []
    found = [Path(folder) / _SILERO_MODEL for folder in folders]
    return next((path for path in found if path.is_file()), None)


@cache
def _session(model: Path) -> Any:
    runtime = importlib.import_module("onnxruntime")
    options = runtime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    options.log_severity_level = 3  # it warns of unused weights in silero's file
    return runtime.InferenceSession(str(model), options, providers=["CPUExecutionProvider"])
