"""Segments: which parts of an utterance a model sees, and how their scores become the utterance's."""

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt


def n_frames(n_samples: int, window_length: int, hop_length: int) -> int:
    """Frames that cover all samples, the last one padded with zeros where need be.

    `1 + ceil((n_samples - window_length) / hop_length)`, at least 1.

    Example:
        >>> n_frames(32_000, 640, 160)  # 2 s at 16 kHz, 40 ms windows, 10 ms hop
        197
    """
    return 1 + max(0, -(-(n_samples - window_length) // hop_length))


def segment_starts(n_frames: int, segment_frames: int, shift_frames: int) -> list[int]:
    """First frames of the segments of an utterance.

    The segments cover every frame: the last one may reach beyond the end and is padded, and an utterance shorter than
    a segment gives one padded segment, so nothing is ever dropped.

    Args:
        n_frames: frames of the utterance, at least 1.
        segment_frames: frames of a segment.
        shift_frames: frames between the starts of neighbouring segments, at most `segment_frames`.

    Example:
        >>> segment_starts(n_frames=450, segment_frames=200, shift_frames=100)
        [0, 100, 200, 300]
    """
    assert n_frames >= 1 and 1 <= shift_frames <= segment_frames
    n_segments = 1 + max(0, -(-(n_frames - segment_frames) // shift_frames))
    return [i * shift_frames for i in range(n_segments)]


def pool_segments(
    scores: npt.NDArray[np.floating], owners: Sequence[int] | npt.NDArray[np.integer]
) -> npt.NDArray[np.float64]:
    """Mean of the segments' scores for each utterance (Li et al. 2018).

    Args:
        scores: (segment, class) scores, e.g. class probabilities.
        owners: index of the utterance each segment belongs to; every index from 0 to the largest occurs.

    Returns:
        (utterance, class) means.

    Example:
        >>> pool_segments(np.array([[0.2, 0.8], [0.4, 0.6], [1.0, 0.0]]), [0, 0, 1])
        array([[0.3, 0.7],
               [1. , 0. ]])
    """
    owners = np.asarray(owners)
    counts = np.bincount(owners)
    assert counts.all(), "an utterance without a segment"
    sums = np.zeros((len(counts), scores.shape[1]))
    np.add.at(sums, owners, scores.astype(np.float64))
    return sums / counts[:, None]
