"""CNN over the filterbank map of an utterance (Dutta & Ganapathy 2022, audio)."""

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from affectra.errors import ConfigError
from affectra.models.layers import Output, time_mask
from affectra.models.utterance.convolutions import divided, masked


class MaskedBatchNorm2d(nn.BatchNorm2d):
    """Batch normalisation whose statistics leave padding out.

    Utterances of a batch differ much in length; with the usual one, what a network learns would depend on which of them
    share a batch, and its running statistics would be those of speech and padding mixed, which no lone recording has.

    Shape:
        - x: (batch, channel, freq, time)
        - n_frames: (batch,), real columns; None: all are real
        - output: as x; in training zeros where padded
    """

    def forward(self, x: Tensor, n_frames: Tensor | None = None) -> Tensor:
        """Normalised maps."""
        if n_frames is None or not self.training:
            normalized: Tensor = super().forward(x)
            return normalized
        lengths: list[int] = n_frames.tolist()
        real = torch.cat([example[..., :n] for example, n in zip(x, lengths, strict=True)], dim=2)
        pieces = torch.split(super().forward(real[None])[0], lengths, dim=2)
        return torch.stack([nn.functional.pad(piece, (0, x.shape[3] - piece.shape[2])) for piece in pieces])


class _Convolution(nn.Module):
    """Convolution 3x3 that keeps the size, masked batch normalisation, ReLU."""

    def __init__(self, n_in: int, n_out: int) -> None:
        super().__init__()
        self.convolve = nn.Conv2d(n_in, n_out, 3, padding=1, bias=False)  # the normalisation has a bias
        self.normalize = MaskedBatchNorm2d(n_out)

    def forward(self, x: Tensor, n_frames: Tensor | None) -> Tensor:
        x = self.normalize(self.convolve(masked(x, n_frames)), n_frames)
        return nn.functional.relu(x, inplace=True)


def halved(x: Tensor, n_frames: Tensor | None) -> Tensor:
    """Means of 2x2 cells (batch, channel, freq, time), over what is real of each; a last odd row or column counts.

    Example:
        >>> x = torch.tensor([[[[1.0, 3.0, 5.0, 9.0]]]])  # the 9 is padding
        >>> halved(x, torch.tensor([3]))
        tensor([[[[2., 5.]]]])
    """
    pooled = nn.functional.avg_pool2d(masked(x, n_frames), 2, ceil_mode=True)
    if n_frames is None:
        return pooled
    share = nn.functional.avg_pool2d(time_mask(n_frames, x.shape[3]), (1, 2), ceil_mode=True)  # 0, 1/2 or 1
    return pooled / share.clamp_min(0.5).to(pooled.dtype)


class LeafCnn(nn.Module):
    """Six 3x3 convolutions with means between, the mean over time and frequency, and two linear layers.

    For a map x of LEAF's energies:

        z      = CNN(x)                  pairs of convolution, batch normalisation, ReLU; a 2x2 mean after each pair
        e      = W_1 mean(z) + b_1       embedding, what the dialogue's network reads
        scores = W_2 ReLU(e) + b_2

    - The paper (Dutta & Ganapathy 2022): LEAF into a CNN, average pooling, a fully connected layer whose 100 features
      are the utterance's embedding; trained with LEAF and with utterance labels.
    - The released code (iiscleap/multimodal_emotion_recognition): channels, kernels, and AvgPool2d(2) after each pair.
      There the embedding is the pooled map itself, and the output has 8 classes.
    - Ours: padded convolutions, where the code's need 36 frames for one column, so that a turn of any length has a
      score; the mean over what is then left of the frequency axis (5 rows of 40); the ReLU before the scores; dropout;
      masks, so that padding is seen neither in a score nor in the batch statistics of training.

    Args:
        n_features: filters of the front end.
        n_classes: scores per utterance.
        channels: of the convolutions; an even number of them, a mean follows each pair.
        n_embedding: size of the embedding.
        dropout: of the embedding before the scores, in training.

    Shape:
        - features: (batch, n_features, time), any time
        - n_frames: (batch,), real frames of each utterance, the rest is padding; None: all are real
        - output: see `Output`; no attention
    """

    def __init__(
        self,
        n_features: int,
        n_classes: int,
        *,
        channels: Sequence[int] = (32, 32, 64, 64, 128, 100),
        n_embedding: int = 100,
        dropout: float = 0.0,
    ) -> None:
        super().__init__()
        if not channels or len(channels) % 2 or min(n_embedding, *channels) < 1:
            raise ConfigError(
                "leaf-cnn: channels are pairs of numbers from 1 on, and so is n_embedding, found "
                f"channels {list(channels)} and n_embedding {n_embedding}"
            )
        if not 0 <= dropout < 1:
            raise ConfigError(f"leaf-cnn: dropout is a share from 0 to below 1, found {dropout}")
        self.n_features = n_features
        inputs = [1, *channels[:-1]]
        self.convolutions = nn.ModuleList(map(_Convolution, inputs, channels))
        self.embed = nn.Linear(channels[-1], n_embedding)
        self.dropout = nn.Dropout(dropout)
        self.classify = nn.Linear(n_embedding, n_classes)

    def forward(self, features: Tensor, n_frames: Tensor | None = None) -> Output:
        """Scores and embedding of each utterance."""
        x = features[:, None]
        for i, layer in enumerate(self.convolutions):
            x = layer(x, n_frames)
            if i % 2:
                x, n_frames = halved(x, n_frames), divided(n_frames, 2)
        n_columns = x.shape[3] if n_frames is None else n_frames[:, None]
        pooled = masked(x, n_frames).float().mean(2).sum(2) / n_columns
        embedding = self.embed(pooled)
        return Output(self.classify(self.dropout(torch.relu(embedding))), embedding, None)
