"""Training data of a model that is fitted without epochs: one vector an utterance."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import numpy.typing as npt


class Vectors(NamedTuple):
    """A training part.

    Attributes:
        features: (utterance, feature), normalised.
        targets: (utterance,), index of the class, -1 where there is none.
        groups: (utterance,), corpus and speaker, "" if unknown: what stays on one side when options are chosen.
        corpora: (utterance,), the corpus.
        auxiliary: (utterance, task), 1 or 0 for each binary task beside the classes, -1 if unknown.
    """

    features: npt.NDArray[np.float32]
    targets: npt.NDArray[np.int64]
    groups: Sequence[str] = ()
    corpora: Sequence[str] = ()
    auxiliary: npt.NDArray[np.int64] = np.zeros((0, 0), dtype=np.int64)
