"""Functionals: the field's standard hand-made description of a whole utterance, one vector, computed by openSMILE."""

import logging
from functools import cache
from importlib.metadata import version
from multiprocessing import parent_process
from typing import Literal, get_args

import torch
from torch import Tensor, nn

from affectra.errors import ConfigError, require_extra
from affectra.features.frames.spectral import FunctionalsFrames

FeatureSet = Literal["ComParE_2016", "eGeMAPSv02"]
LICENCE = (
    "functionals: by openSMILE, whose licence allows research and private use; a product needs another one from "
    "audEERING, also for models and features made with it"
)


class Functionals(nn.Module):
    """Means, deviations, percentiles, slopes and more of pitch, loudness, voice quality and spectrum over a sound.

    ComParE_2016 has 6373 of them (Schuller et al. 2016), eGeMAPSv02 88 that were chosen for voice and emotion (Eyben et
    al. 2016). They are in units of their own, from 1e-7 to 1e11, so a model needs them scaled. openSMILE's licence is
    non-commercial, also for what is made with it; the log (stderr) says so once.

    Args:
        feature_set: which set.
        sample_rate: of the waveform, Hz.

    Attributes:
        hop_length: None, there is one vector for a sound of any length.
        window_length: None likewise.

    Raises:
        ConfigError: openSMILE is not installed, or an unknown set or rate.
    """

    hop_length = window_length = None
    is_framewise = True  # statistics over a corpus make sense

    def __init__(self, *, feature_set: FeatureSet = "ComParE_2016", sample_rate: int = 16_000) -> None:
        super().__init__()
        if feature_set not in get_args(FeatureSet):
            raise ConfigError(
                f"functionals: feature_set is one of {', '.join(get_args(FeatureSet))}, found {feature_set!r}"
            )
        if sample_rate < 8000:
            raise ConfigError(f"functionals: needs sample_rate >= 8000 Hz, found {sample_rate}")
        require_extra("opensmile", "baselines", "the front end functionals")  # before its licence is shown
        say_licence()
        self.feature_set, self.sample_rate = feature_set, sample_rate
        self._functionals = FunctionalsFrames(feature_set=feature_set, sample_rate=sample_rate)
        self.n_features = self._functionals.n_features
        # Single precision: half ends at 65504. Another openSMILE may compute other numbers.
        self.storage = {"dtype": "float32", "opensmile": version("opensmile")}

    def n_frames(self, n_samples: int) -> int:
        """One, whatever the length."""
        del n_samples
        return 1

    def frames(self, waveform: Tensor) -> Tensor:
        """The functionals of a sound.

        Args:
            waveform: (sample,) at `sample_rate`, in [-1, 1].

        Returns:
            (1, n_features); what openSMILE leaves undefined is 0.
        """
        return torch.from_numpy(self._functionals.frames(waveform.numpy()))

    def forward(self, segments: Tensor) -> Tensor:
        """Nothing is left to do but to turn the axes.

        Shape:
            - segments: (batch, 1, n_features)
            - output: (batch, n_features, 1)
        """
        return segments.transpose(1, 2)


@cache
def say_licence() -> None:
    """On the log, once, and not once more in each process of --jobs."""
    if parent_process() is None:
        logging.getLogger(__name__).warning(LICENCE)
