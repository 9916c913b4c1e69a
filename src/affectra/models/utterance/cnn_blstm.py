"""CNN and BLSTM over the segments of an utterance (Gao et al. 2022)."""

from collections.abc import Sequence

from torch import Tensor, nn

from affectra.models.layers import Output
from affectra.models.utterance.segment_cnn import SegmentCnn
from affectra.models.utterance.sequence import SegmentBlstm, pad_segments


class CnnBlstm(nn.Module):
    """Convolutional features of each segment, a BLSTM over the segments, and two fully connected layers.

    Gao et al. 2022, the feature extractor G and the emotion classifier. For an utterance of T segments X_1 ... X_T:

        v_t = CNN(X_t)                          SegmentCnn
        h_t = [forward LSTM; backward LSTM](v_1 ... v_T)
        h   = (h_1 + ... + h_T) / T
        s   = ReLU(W_1 h + b_1)                 FC_1, shared: the domain heads leave here
        e   = W_2 s + b_2                       FC_2, embedding: the center loss sees this
        scores = W e + b

    The paper fixes the order of the layers and where the branches leave. Left open, and ours: the BLSTM runs over the
    segments of an utterance (not within a segment), the mean over segments, all sizes, and that FC_1 has a ReLU while
    FC_2 has none, so that the centers of the classes may lie on all sides of the origin. Domain heads and centers
    belong to the training: prediction does not need them.

    Args:
        n_features: frequency bins of the input.
        n_classes: scores per utterance.
        channels: of the CNN; see `SegmentCnn` for these four.
        kernels: of the CNN.
        pooled: of the CNN.
        first_stride: of the CNN.
        n_vector: size of a segment's vector.
        n_hidden: size of each direction of the BLSTM.
        n_shared: size of FC_1.
        n_embedding: size of FC_2.

    Shape:
        - features: (segment of all utterances, n_features, time), utterance after utterance, any time
        - n_frames: (segment of all utterances,), real frames of each segment, the rest is padding
        - n_segments: (batch,), segments of each utterance, at least 1
        - output: see `Output`; one row an utterance, no attention
    """

    is_sequence = True

    def __init__(
        self,
        n_features: int,
        n_classes: int,
        *,
        channels: Sequence[int],
        kernels: Sequence[Sequence[int]],
        pooled: Sequence[bool],
        first_stride: int = 1,
        n_vector: int = 128,
        n_hidden: int = 128,
        n_shared: int = 128,
        n_embedding: int = 64,
    ) -> None:
        super().__init__()
        self.n_features = n_features
        self.cnn = SegmentCnn(
            n_features, n_vector, channels=channels, kernels=kernels, pooled=pooled, first_stride=first_stride
        )
        self.sequence = SegmentBlstm(n_vector, n_hidden)
        self.share = nn.Sequential(nn.Linear(self.sequence.n_outputs, n_shared), nn.ReLU())
        self.embed = nn.Linear(n_shared, n_embedding)
        self.classify = nn.Linear(n_embedding, n_classes)

    def forward(self, features: Tensor, n_frames: Tensor, n_segments: Tensor) -> Output:
        """Scores, embedding and shared features of each utterance."""
        return self.recognize(self.represent(features, n_frames), n_segments)

    def represent(self, features: Tensor, n_frames: Tensor) -> Tensor:
        """Compute the vector of each segment on its own: (segment, n_vector). A long recording may come in pieces."""
        vectors: Tensor = self.cnn(features, n_frames)
        return vectors

    def recognize(self, vectors: Tensor, n_segments: Tensor) -> Output:
        """Classify each utterance from all its segments together."""
        shared = self.share(self.sequence(pad_segments(vectors, n_segments), n_segments))
        embedding = self.embed(shared)
        return Output(self.classify(embedding), embedding, None, shared)
