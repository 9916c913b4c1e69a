"""Checkpoints as `predict` uses them: the networks of a run's folds, their answers averaged."""

from collections.abc import Sequence

import numpy as np
import torch

from affectra.audio.loudness import at_loudness
from affectra.features.cache import HALF, storage_of
from affectra.features.frames.spectral import Array
from affectra.features.specification import UtteranceOutput
from affectra.models.recognizer import Recognizer


class TorchRecognizer:
    """A waveform in, probabilities out.

    Args:
        recognizers: one or more, with equal front ends, segments and classes.

    Attributes:
        specification: that of the first one.
        sample_rate: of the waveforms, Hz.
    """

    def __init__(self, recognizers: Sequence[Recognizer]) -> None:
        self.recognizers = list(recognizers)
        self.specification = self.recognizers[0].specification
        self.sample_rate: int = self.recognizers[0].front_end.sample_rate

    def __call__(self, samples: Array) -> UtteranceOutput:
        """Recognise a waveform (sample,) as one utterance; of several networks the first gives the embedding."""
        front_end = self.recognizers[0].front_end
        if self.specification.loudness is not None:
            samples = at_loudness(samples, self.sample_rate, self.specification.loudness)
        frames = front_end.frames(torch.from_numpy(samples)).numpy()
        frames = frames.astype(storage_of(front_end).get("dtype", HALF))  # as cached for training
        outputs = [recognizer.recognize(frames) for recognizer in self.recognizers]
        return UtteranceOutput(
            probabilities=np.mean([output.probabilities for output in outputs], axis=0),
            embedding=outputs[0].embedding,  # whose space the calibration knows
            attention=outputs[0].attention if len(outputs) == 1 else None,
            starts=outputs[0].starts,
            segment_probabilities=np.mean([output.segment_probabilities for output in outputs], axis=0),
            auxiliary={
                name: float(np.mean([output.auxiliary[name] for output in outputs])) for name in outputs[0].auxiliary
            },
        )

    def recognize_batch(self, waveforms: Sequence[Array]) -> list[UtteranceOutput]:
        """Recognise several waveforms, one after the other: eager torch gains nothing from more at once."""
        return [self(samples) for samples in waveforms]
