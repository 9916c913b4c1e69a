"""Front ends that need no torch, by name; those that an exported model uses."""

from collections.abc import Callable, Mapping
from typing import Any

from affectra.errors import ConfigError
from affectra.features.frames.spectral import (
    FunctionalsFrames,
    LogMelFrames,
    MfccFrames,
    NumpyFrontEnd,
    SpectrogramFrames,
)
from affectra.features.frames.utterance_views import UtteranceViewsFrames
from affectra.features.frames.voice_statistics import VoiceStatisticsFrames
from affectra.registry import check_options

NUMPY_FRONT_ENDS: Mapping[str, Callable[..., NumpyFrontEnd]] = {
    "spectrogram": SpectrogramFrames,
    "log-mel": LogMelFrames,
    "mfcc": MfccFrames,
    "functionals": FunctionalsFrames,
    "voice-statistics": VoiceStatisticsFrames,
    "utterance-views": UtteranceViewsFrames,
}


def numpy_front_end(name: str, options: Mapping[str, Any]) -> NumpyFrontEnd:
    """The front end called `name`, with all its options given: defaults are the business of its torch form.

    Raises:
        ConfigError: it has no numpy form, or the options are not its own.
    """
    if name not in NUMPY_FRONT_ENDS:
        raise ConfigError(
            f"front end {name!r} has no form without torch, so a model with it cannot be exported; "
            f"expected {', '.join(sorted(NUMPY_FRONT_ENDS))}"
        )
    check_options(f"front end {name!r}", NUMPY_FRONT_ENDS[name], options)
    return NUMPY_FRONT_ENDS[name](**options)
