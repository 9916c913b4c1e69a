"""Features: what the network sees, by name.

A front end is a module with `sample_rate`, `n_features`, `n_frames(n_samples)`, `frames(waveform)` (computed once per
utterance and cached) and `forward(segments, n_frames)` (what is done per segment, on the training device).
"""

from affectra.features.spectrogram import Spectrogram
from affectra.registry import Registry

FRONT_ENDS: Registry = Registry("front end")
FRONT_ENDS.register("spectrogram")(Spectrogram)

__all__ = ["FRONT_ENDS", "Spectrogram"]
