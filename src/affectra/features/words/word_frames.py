"""The word that is spoken in each frame."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from affectra.features.words.spoken_words import SpokenWord

SILENCE = -1


def words_on_frames(words: Sequence[SpokenWord], n_frames: int, length_s: float) -> npt.NDArray[np.int64]:
    """The word of each frame: the one that is spoken in its middle.

    Of words that overlap the later one is taken, which is the one that comes in (ours). A word so short that it is
    spoken in no frame's middle has the frame in which its own middle lies, if no other word is there.

    Args:
        words: of an utterance.
        n_frames: of the utterance.
        length_s: of a frame.

    Returns:
        (frame,), index of a word, `SILENCE` where none is spoken.

    Example:
        >>> words = [SpokenWord("u", "so", 0.1, 0.3), SpokenWord("u", "a", 0.41, 0.44)]
        >>> words_on_frames(words, 6, 0.1)
        array([-1,  0,  0, -1,  1, -1])
    """
    middles = (np.arange(n_frames) + 0.5) * length_s
    owners = np.full(n_frames, SILENCE)
    order = sorted(range(len(words)), key=lambda i: (words[i].start_s, words[i].end_s))
    spans = {i: np.searchsorted(middles, (words[i].start_s - 1e-9, words[i].end_s - 1e-9)) for i in order}
    for i, (first, behind) in spans.items():
        owners[first:behind] = i
    for i, (first, behind) in spans.items():
        nearest = int((words[i].start_s + words[i].end_s) / 2 / length_s)
        if first == behind and nearest < n_frames and owners[nearest] == SILENCE:
            owners[nearest] = i
    return owners


class WordFeatures(NamedTuple):
    """The words of an utterance on its frames.

    Attributes:
        owners: (frame,), index of a word or `SILENCE`.
        vectors: (word, n_semantic).
    """

    owners: npt.NDArray[np.int64]
    vectors: npt.NDArray[np.float32]

    def read(self, start: int, stop: int) -> npt.NDArray[np.float32]:
        """(stop - start, n_semantic), zeros in silence."""
        padded = np.concatenate([self.vectors, np.zeros((1, self.vectors.shape[1]), np.float32)])
        return padded[self.owners[start:stop]]  # SILENCE is -1, the row behind the last
