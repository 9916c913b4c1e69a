"""Autoencoder and CNN fused by attention over the segments of an utterance (Gao et al. 2021)."""

from collections.abc import Sequence
from typing import Literal, get_args

import torch
from torch import Tensor, nn

from affectra.errors import ConfigError
from affectra.models.layers import Output
from affectra.models.utterance.autoencoder import ConvAutoencoder
from affectra.models.utterance.segment_cnn import SegmentCnn
from affectra.models.utterance.sequence import SegmentBlstm, pad_segments, segment_mask

Fusion = Literal["attention", "concatenation"]


class FusionAttention(nn.Module):
    """Multi-head attention over the segments of an utterance whose queries, keys and values are different features.

    Gao et al. 2021, attention based feature level fusion; n heads of d_i = d / n features:

        Q_i = R_d W_i^Q      K_i = R_l W_i^K      V_i = R_f W_i^V
        Head_i = softmax(Q_i K_i^T / sqrt(d_i)) V_i
        M(Q, K, V) = [Head_1; ...; Head_n]

    The softmax runs over the real segments of the utterance. As printed, the projections have no bias and none follows
    the heads.

    Args:
        n_features: d, of queries, keys, values and output.
        n_heads: divides d.

    Shape:
        - queries, keys, values: (batch, segment, n_features)
        - is_real: (batch, segment), False for padding, which nothing attends to
        - output: (batch, segment, n_features); what stands in padded rows means nothing
    """

    def __init__(self, n_features: int, n_heads: int) -> None:
        super().__init__()
        if n_heads < 1 or n_features % n_heads:
            raise ConfigError(f"autoencoder-fusion: n_heads={n_heads} does not divide n_vector={n_features}")
        self.n_heads = n_heads
        # Column block i of each is W_i.
        self.query = nn.Linear(n_features, n_features, bias=False)
        self.key = nn.Linear(n_features, n_features, bias=False)
        self.value = nn.Linear(n_features, n_features, bias=False)

    def forward(self, queries: Tensor, keys: Tensor, values: Tensor, is_real: Tensor) -> Tensor:
        """The heads side by side."""
        q, k, v = (
            projection(x).unflatten(2, (self.n_heads, -1)).transpose(1, 2)  # (batch, head, segment, d_i)
            for projection, x in ((self.query, queries), (self.key, keys), (self.value, values))
        )
        heads = nn.functional.scaled_dot_product_attention(q, k, v, attn_mask=is_real[:, None, None])
        return heads.transpose(1, 2).flatten(2)


class AutoencoderFusion(nn.Module):
    """Convolutional features and an autoencoder's latent of each segment, fused and classified over the utterance.

    Gao et al. 2021. For an utterance of T segments X_1 ... X_T, with rows t of R_d, R_l, R_f in R^(T x d):

        R_d,t = CNN(X_t)                                 SegmentCnn, the deep representation
        R_l,t = encoder(X_t)                             ConvAutoencoder, the latent
        R_f,t = ReLU(W_f [R_d,t; R_l,t] + b_f)           the common representation (R_c elsewhere in the paper)
        F     = M(R_d W^Q, R_l W^K, R_f W^V)             FusionAttention; F = R_f with fusion "concatenation"
        h_t   = [forward LSTM; backward LSTM](F_1 ... F_T)
        e     = ReLU(W_e (h_1 + ... + h_T) / T + b_e)    the embedding
        scores = W e + b

    The paper gives the parts and the attention. Left open, and ours: attention and BLSTM run over the sequence of
    segments of an utterance (over the one vector of a segment the softmax would always be 1), all sizes (d = 128, 4
    heads), the ReLUs, the mean over segments and the layer behind it, and whether classification trains the encoder
    too: here it does, unless training freezes `autoencoder`.

    Scores do not depend on the decoder (`autoencoder.expand` and `autoencoder.decoder`), which therefore gets no
    gradient from classification.

    Args:
        n_features: frequency bins of the input.
        n_classes: scores per utterance.
        channels: of the CNN; see `SegmentCnn` for these four.
        kernels: of the CNN.
        pooled: of the CNN.
        first_stride: of the CNN.
        n_columns: frames of a padded segment.
        autoencoder_channels: see `ConvAutoencoder`.
        n_vector: d, size of R_d, R_l and R_f.
        fusion: "attention" or "concatenation" (R_f goes straight to the BLSTM).
        n_heads: of the attention.
        n_hidden: size of each direction of the BLSTM.
        n_embedding: size of the embedding.

    Attributes:
        autoencoder: the `ConvAutoencoder`, which is first trained alone.

    Shape:
        - features: (segment of all utterances, n_features, time), utterance after utterance, time at most `n_columns`
        - n_frames: (segment of all utterances,), real frames of each segment, the rest is padding
        - n_segments: (batch,), segments of each utterance, at least 1
        - output: see `Output`; one row an utterance, no maps
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
        n_columns: int,
        autoencoder_channels: Sequence[int],
        n_vector: int = 128,
        fusion: Fusion = "attention",
        n_heads: int = 4,
        n_hidden: int = 128,
        n_embedding: int = 128,
    ) -> None:
        super().__init__()
        if fusion not in get_args(Fusion):
            raise ConfigError(f"autoencoder-fusion: fusion is one of {', '.join(get_args(Fusion))}, found {fusion!r}")
        self.n_features = n_features
        self.cnn = SegmentCnn(
            n_features, n_vector, channels=channels, kernels=kernels, pooled=pooled, first_stride=first_stride
        )
        self.autoencoder = ConvAutoencoder(n_features, n_columns, channels=autoencoder_channels, n_latent=n_vector)
        self.join = nn.Sequential(nn.Linear(2 * n_vector, n_vector), nn.ReLU())
        self.attention = FusionAttention(n_vector, n_heads) if fusion == "attention" else None
        self.sequence = SegmentBlstm(n_vector, n_hidden)
        self.embed = nn.Sequential(nn.Linear(self.sequence.n_outputs, n_embedding), nn.ReLU())
        self.classify = nn.Linear(n_embedding, n_classes)

    def forward(self, features: Tensor, n_frames: Tensor, n_segments: Tensor) -> Output:
        """Scores and embedding of each utterance."""
        return self.recognize(self.represent(features, n_frames), n_segments)

    def represent(self, features: Tensor, n_frames: Tensor) -> Tensor:
        """[R_d; R_l], what each segment gives on its own: (segment, 2 n_vector). A long recording may be split."""
        return torch.cat([self.cnn(features, n_frames), self.autoencoder.encode(features, n_frames)], dim=1)

    def recognize(self, vectors: Tensor, n_segments: Tensor) -> Output:
        """Classify each utterance from all its segments together."""
        vectors = pad_segments(vectors, n_segments)
        fused = self.join(vectors)
        if self.attention is not None:
            deep, latent = vectors.chunk(2, dim=2)
            fused = self.attention(deep, latent, fused, segment_mask(n_segments, vectors.shape[1]))
        embedding = self.embed(self.sequence(fused, n_segments))
        return Output(self.classify(embedding), embedding, None)
