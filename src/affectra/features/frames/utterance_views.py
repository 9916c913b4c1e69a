"""Several descriptions of a recording beside each other, as one vector; numpy and openSMILE."""

from collections.abc import Callable, Mapping, Sequence

import numpy as np

from affectra.errors import ConfigError
from affectra.features.frames.cepstral_covariance import CepstralCovarianceFrames
from affectra.features.frames.spectral import Array, FunctionalsFrames, NumpyFrontEnd
from affectra.features.frames.voice_statistics import SAMPLE_RATE, VoiceStatisticsFrames
from affectra.registry import unknown_name

VIEWS: Mapping[str, Callable[[], NumpyFrontEnd]] = {
    "functionals": lambda: FunctionalsFrames(feature_set="ComParE_2016", sample_rate=SAMPLE_RATE),
    "voice-statistics": VoiceStatisticsFrames,
    "cepstral-covariance": CepstralCovarianceFrames,
}


class UtteranceViewsFrames:
    """The one vector of `features.views.UtteranceViews`, whose options these are.

    Raises:
        ConfigError: an unknown view, one named twice, or none; openSMILE is asked for and not installed.
    """

    dtype = "float32"  # half precision ends at 65504
    window_length: int | None = None
    hop_length: int | None = None
    sample_rate = SAMPLE_RATE

    def __init__(self, *, views: Sequence[str]) -> None:
        for view in views:
            if view not in VIEWS:
                raise ConfigError(unknown_name("view", view, VIEWS))
        if not views or len(set(views)) < len(views):
            raise ConfigError(f"utterance-views: views are one or more of {', '.join(VIEWS)}, each once; found {views}")
        self.views = {view: VIEWS[view]() for view in views}
        self.n_features = sum(view.n_features for view in self.views.values())

    def frames(self, waveform: Array) -> Array:
        """(1, n_features), the views in their order."""
        return np.concatenate([view.frames(waveform) for view in self.views.values()], 1).astype(np.float32)
