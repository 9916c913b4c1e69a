"""Codes of sound: for each moment 32 signs of how neighbouring bands change, at a recording's speed or a faster one."""

import functools

import numpy as np
import numpy.typing as npt

# Ours, chosen on EMO-DB, RAVDESS and nEMO (experiments/near_duplicates.py); bands and signs are those of Haitsma and
# Kalker 2002, with shorter frames since utterances are short.
SAMPLE_RATE = 8000  # so that a copy at telephone rate has lost nothing
HOP_LENGTH = 64  # 8 ms; a cut shifts the frames by at most half of it
HOP_S = HOP_LENGTH / SAMPLE_RATE
FRAME_LENGTH = 1536  # 192 ms; long beside the hop, so that a shift changes little
FFT_LENGTH = 2048
N_BITS = 32
LOW_HZ, HIGH_HZ = 300.0, 3000.0  # what telephones and codecs leave
STEP = 4  # frames between which the change is looked at, 32 ms
FLOOR = 1e-3  # of a frame's mean band power: what is 30 dB below is leakage and quantisation
LOUD = 10 ** (-30 / 10)  # of the loudest frame's power; below it is silence, which is the same in all, or noise
CHANGE = 0.02  # of log power; less in half of the bands is a steady tone, which is the same in all recordings

# How many times as fast the faster one of two recordings is: an original and its copies at 0.9 and 1.1 (or 0.95 and
# 1.05) of its speed, or two such copies. The slower one is the one that is sped up, which brings lower bands into the
# range above and needs none that a telephone cuts off. 1.05 / 0.95 is near enough to 1.1.
SPEEDS = (1.05, 1 / 0.95, 1.1, 1 / 0.9, 1.1 / 0.9)
STRIDE = 4  # hops; the other recording has frames at every hop, so alignment loses nothing and three quarters are saved


class Coder:
    """Codes of samples at `SAMPLE_RATE` that come in blocks; zeros in front and behind make the first frame centred.

    To play a recording faster by resampling is to look at it with frames and hops longer, and at bands lower, by the
    same factor; so it need not be resampled.

    Args:
        speed: how many times as fast as it is.
        stride: hops from frame to frame; divides `STEP`.
    """

    def __init__(self, speed: float = 1.0, stride: int = 1) -> None:
        self._speed, self._hop, self._step = speed, HOP_LENGTH * speed * stride, STEP // stride
        self._window, _, _ = _analysis(speed)
        self._samples = np.zeros(len(self._window) // 2, np.float32)
        self._begin, self._frame = 0, 0  # of the first sample kept and the first frame to come
        self._log_power = np.zeros((0, N_BITS + 1), np.float32)  # of the last frames, as many as a step
        self._power = np.zeros(0, np.float32)
        self._parts: list[tuple[npt.NDArray[np.uint32], npt.NDArray[np.float32]]] = []

    def add(self, samples: npt.NDArray[np.float32]) -> None:
        """Take in more samples (sample,)."""
        self._samples = np.concatenate([self._samples, samples])
        power = self._next_power()
        total = power.sum(axis=1)
        floor = FLOOR * total[:, None] / power.shape[1] + np.float32(1e-20)
        self._log_power = np.concatenate([self._log_power, np.log(power + floor)])
        self._power = np.concatenate([self._power, total])
        step = self._step
        if len(self._power) > step:
            contrast = np.diff(self._log_power, axis=1)  # (frame, bit)
            change = contrast[step:] - contrast[:-step]
            codes = np.packbits(change > 0, axis=1).view(">u4").ravel().astype(np.uint32)
            codes[(np.abs(change) > CHANGE).mean(axis=1) < 0.5] = 0
            self._parts.append((codes, np.minimum(self._power[step:], self._power[:-step])))
            self._log_power, self._power = self._log_power[-step:], self._power[-step:]

    def codes(self) -> npt.NDArray[np.uint32]:
        """The codes of all that was added."""
        self.add(np.zeros(len(self._window) // 2, np.float32))
        if not self._parts:
            return np.zeros(0, np.uint32)
        codes, power = (np.concatenate(part) for part in zip(*self._parts, strict=True))
        codes[power < LOUD * power.max()] = 0
        return codes

    def _next_power(self) -> npt.NDArray[np.float32]:
        """(frame, band) of the frames that are whole by now; samples that no later frame needs are let go."""
        from scipy import fft  # takes a third of a second

        window, bins, weights = _analysis(self._speed)
        last = self._begin + len(self._samples) - len(window)  # where a frame may begin
        begins = np.rint(np.arange(self._frame, last / self._hop + 1) * self._hop).astype(np.int64)
        begins = begins[begins <= last]
        if len(begins) == 0:
            return np.zeros((0, N_BITS + 1), np.float32)
        frames = np.lib.stride_tricks.sliding_window_view(self._samples, len(window))[begins - self._begin]
        frames *= window
        spectrum = fft.rfft(frames, FFT_LENGTH, axis=1)[:, bins]
        power: npt.NDArray[np.float32] = (np.square(spectrum.real) + np.square(spectrum.imag)) @ weights
        self._frame += len(begins)
        done = round(self._frame * self._hop) - self._begin
        self._samples, self._begin = self._samples[done:], self._begin + done
        return power


@functools.cache
def _analysis(speed: float) -> tuple[npt.NDArray[np.float32], slice, npt.NDArray[np.float32]]:
    """Window (sample,), bins that matter, and how much of each belongs to each band (bin, band), evenly in pitch."""
    edges = np.geomspace(LOW_HZ, HIGH_HZ, N_BITS + 2) / speed * FFT_LENGTH / SAMPLE_RATE
    bins = np.arange(FFT_LENGTH // 2 + 1)[:, None]
    weights = np.clip(np.minimum(bins - edges[:-1], edges[1:] - bins) + 0.5, 0, 1).astype(np.float32)
    first, last = np.flatnonzero(weights.any(axis=1))[[0, -1]].tolist()
    used = slice(first, last + 1)
    return np.hanning(round(FRAME_LENGTH * speed)).astype(np.float32), used, weights[used]
