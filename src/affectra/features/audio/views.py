"""Several descriptions of a whole utterance beside each other, for a linear model that gives each the same say."""

from collections.abc import Sequence
from importlib.metadata import version

import torch
from torch import Tensor, nn

from affectra.features.audio.functionals import say_licence
from affectra.features.frames.utterance_views import UtteranceViewsFrames
from affectra.features.frames.voice_statistics import SAMPLE_RATE


class UtteranceViews(nn.Module):
    """One vector an utterance, of descriptions that fail on different utterances.

    Ours. "functionals" are the 6373 of ComParE 2016 (Schuller et al.), with openSMILE and its non-commercial licence;
    "voice-statistics" the 139 of `features.voice`; "cepstral-covariance" the 496 of how cepstra and their changes move
    together. A model gets their sizes as its `groups`, else the largest decides alone.

    Args:
        views: which, in this order.

    Attributes:
        hop_length: None, there is one vector for a sound of any length.
        window_length: None likewise.

    Raises:
        ConfigError: an unknown view, one named twice, or none; openSMILE is asked for and not installed.
    """

    hop_length = window_length = None
    is_framewise = True  # statistics over a corpus make sense
    sample_rate = SAMPLE_RATE

    def __init__(self, *, views: Sequence[str] = ("functionals", "voice-statistics", "cepstral-covariance")) -> None:
        super().__init__()
        self._views = UtteranceViewsFrames(views=views)
        self.n_features = self._views.n_features
        self.storage = {"dtype": self._views.dtype}
        if "functionals" in views:
            say_licence()
            self.storage["opensmile"] = version("opensmile")  # another one may compute other numbers

    def n_frames(self, n_samples: int) -> int:
        """One, whatever the length."""
        del n_samples
        return 1

    def frames(self, waveform: Tensor) -> Tensor:
        """The vector (1, n_features) of a waveform (sample,) at `sample_rate`."""
        return torch.from_numpy(self._views.frames(waveform.numpy()))

    def forward(self, segments: Tensor) -> Tensor:
        """Segments (batch, 1, n_features) as (batch, n_features, 1)."""
        return segments.transpose(1, 2)
