"""Quality flags: silent and clipped recordings."""

import math

import numpy as np

from affectra.audio.arrays import check_rate, down_mix, with_channels

# Ours. -70 dBFS is about 10 steps of 16 bit, under the noise floor of any microphone in a room.
_SILENCE = 10 ** (-70 / 20)
# Ours. The largest value of mu-law is 32124/32768 = 0.9803, of A-law 0.984, of 8 bit 0.992, of 16 bit 0.99997.
_FULL_SCALE = 0.98
_CLIP_S = 50e-6


def quality_flags(samples: np.ndarray, sample_rate: int) -> tuple[str, ...]:
    """Quality flags of samples: "silent", "clipped", both or none.

    Silent: half the peak-to-peak range of the down-mix is below -70 dB of full scale (around its own level, so that a
    dead microphone with an offset is silent too). Clipped: in one channel, at least three samples in a row, and 50
    microseconds of them, have the same value at 0.98 of full scale or beyond (lossy coding hides that). Judge original
    channels at their original rate: resampling rounds flat tops off.

    Args:
        samples: as for `to_mono`.
        sample_rate: Hz.

    Raises:
        AudioError: as `to_mono`.

    Example:
        >>> quality_flags(np.zeros(100), 16000)
        ('silent',)
    """
    framed = with_channels(samples)
    check_rate(sample_rate, "samples")
    meter = QualityMeter()
    meter.begin(sample_rate)
    meter.add(framed, down_mix(framed, "samples"))
    return meter.flags()


class QualityMeter:
    """The rules of `quality_flags` over blocks that follow each other."""

    def __init__(self) -> None:
        self._low, self._high = math.inf, -math.inf
        self._clipped = False

    def begin(self, sample_rate: int) -> None:
        """Expect blocks of this rate, of a recording of its own."""
        self._run_length = max(3, math.ceil(_CLIP_S * sample_rate))
        self._tail: np.ndarray | None = None  # a run may go on in the next block

    def add(self, framed: np.ndarray, mono: np.ndarray) -> None:
        """Take in a block (sample, channel) and its down-mix (sample,)."""
        self._low, self._high = min(self._low, float(mono.min())), max(self._high, float(mono.max()))
        if self._clipped:
            return
        reach = self._run_length - 1
        seam = framed[:reach] if self._tail is None else np.concatenate([self._tail, framed[:reach]])
        self._clipped = _has_flat_top(seam, self._run_length) or _has_flat_top(framed, self._run_length)
        self._tail = (seam if len(framed) < reach else framed)[-reach:].copy()

    def flags(self) -> tuple[str, ...]:
        """The flags of all that was added."""
        silent = (self._high - self._low) / 2 < _SILENCE
        return tuple(flag for flag, found in (("silent", silent), ("clipped", self._clipped)) if found)


def _has_flat_top(framed: np.ndarray, run_length: int) -> bool:
    if framed.max() < _FULL_SCALE and framed.min() > -_FULL_SCALE:
        return False
    flat = (framed[1:] == framed[:-1]) & (np.abs(framed[1:]) >= _FULL_SCALE)
    for _ in range(run_length - 2):  # each turn asks for one more equal neighbour
        flat = flat[1:] & flat[:-1]
    return bool(flat.any())
