"""From the segments of utterances, one after the other, to one vector an utterance."""

import torch
from torch import Tensor, nn
from torch.nn.utils.rnn import pack_padded_sequence, pad_packed_sequence, pad_sequence


def pad_segments(vectors: Tensor, n_segments: Tensor) -> Tensor:
    """Give each utterance a row of its own, the shorter ones with zeros behind.

    Args:
        vectors: (segment of all utterances, feature), utterance after utterance.
        n_segments: (batch,), segments of each utterance, at least 1; they add up to the segments.

    Returns:
        (batch, segment, feature), as long as the longest utterance.

    Example:
        >>> pad_segments(torch.tensor([[1.0], [2.0], [3.0]]), torch.tensor([1, 2]))[..., 0]
        tensor([[1., 0.],
                [2., 3.]])
    """
    if len(n_segments) == 1:  # the same without reading n_segments, which an exporter cannot follow
        return vectors[None]
    return pad_sequence(list(torch.split(vectors, n_segments.tolist())), batch_first=True)


def segment_mask(n_segments: Tensor, n_padded: int) -> Tensor:
    """Which segments are real: (batch, segment), False for padding.

    Example:
        >>> segment_mask(torch.tensor([1, 2]), 2)
        tensor([[ True, False],
                [ True,  True]])
    """
    return torch.arange(n_padded, device=n_segments.device) < n_segments[:, None]


class SegmentBlstm(nn.Module):
    """A bidirectional LSTM over the segments of an utterance, and the mean of its states.

    Sequences are packed, so the backward direction starts at an utterance's own last segment and neither padding nor
    the rest of a batch changes a state. The mean is ours: the papers with a BLSTM over segments (Gao et al. 2021, 2022)
    do not say how its states become one vector.

    Args:
        n_inputs: features of a segment.
        n_hidden: size of each direction.

    Shape:
        - segments: (batch, segment, n_inputs), padded behind; a batch of one has no padding
        - n_segments: (batch,), real segments of each utterance, the largest is the padded length
        - output: (batch, 2 n_hidden), in single precision
    """

    def __init__(self, n_inputs: int, n_hidden: int) -> None:
        super().__init__()
        self.n_outputs = 2 * n_hidden
        self.blstm = nn.LSTM(n_inputs, n_hidden, batch_first=True, bidirectional=True)

    def forward(self, segments: Tensor, n_segments: Tensor) -> Tensor:
        """One vector an utterance."""
        segments = segments.float()
        if len(segments) == 1:
            states: Tensor = self.blstm(segments)[0]
            return states.float().mean(1)
        packed = pack_padded_sequence(segments, n_segments.cpu(), batch_first=True, enforce_sorted=False)
        states, _ = pad_packed_sequence(self.blstm(packed)[0], batch_first=True)  # zeros where padded
        return states.float().sum(1) / n_segments[:, None]
