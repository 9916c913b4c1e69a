"""Convolutional autoencoder of the spectrogram of one segment."""

from collections.abc import Sequence

from torch import Tensor, nn

from affectra.errors import ConfigError
from affectra.models.layers import time_mask
from affectra.models.utterance.convolutions import convolution, divided, masked

SIZE, STRIDE = 3, 2  # ours: kernels of 3x3, each layer halves the map


class ConvAutoencoder(nn.Module):
    """Compress the spectrogram of a segment into one latent vector, and draw it again.

    Gao et al. 2021 say "convolutional autoencoder" and no more. Ours: 3x3 convolutions with stride 2, each with batch
    normalisation and ReLU, and a fully connected layer to the latent R_l, without activation; the decoder mirrors this
    with transposed convolutions, the last one plain, since log magnitudes have any sign.

        129x32 -> 65x16 -> 33x8 -> 17x4 -> R_l -> 17x4 -> 33x8 -> 65x16 -> 129x32

    Padded frames are set to zero before each layer of the encoder: what stands there never changes the latent.

    Args:
        n_features: frequency bins of the input.
        n_columns: frames of the padded input; a narrower one is padded to this.
        channels: of the encoder's convolutions, the decoder's in reverse.
        n_latent: size of R_l.

    Raises:
        ConfigError: sizes below 1, and later segments wider than `n_columns`.
    """

    def __init__(self, n_features: int, n_columns: int, *, channels: Sequence[int], n_latent: int) -> None:
        super().__init__()
        if min(n_features, n_columns, n_latent, *channels, len(channels)) < 1:
            raise ConfigError("autoencoder: channels, columns and latent size are numbers from 1 on")
        self.n_features, self.n_columns, self.n_latent = n_features, n_columns, n_latent
        sizes = [(n_features, n_columns)]
        for _ in channels:
            sizes.append((-(-sizes[-1][0] // STRIDE), -(-sizes[-1][1] // STRIDE)))
        self.smallest = (channels[-1], *sizes[-1])
        n_flat = channels[-1] * sizes[-1][0] * sizes[-1][1]
        kernel = (SIZE, SIZE)
        self.encoder = nn.ModuleList(
            convolution(i, o, kernel, STRIDE) for i, o in zip([1, *channels[:-1]], channels, strict=True)
        )
        self.compress = nn.Linear(n_flat, n_latent)
        self.expand = nn.Sequential(nn.Linear(n_latent, n_flat), nn.ReLU())
        layers: list[nn.Module] = []
        for level in range(len(channels), 0, -1):
            n_out = channels[level - 2] if level > 1 else 1
            layers.append(_enlarge(channels[level - 1], n_out, sizes[level], sizes[level - 1], is_last=level == 1))
        self.decoder = nn.Sequential(*layers)

    def encode(self, features: Tensor, n_frames: Tensor | None = None) -> Tensor:
        """The latent R_l.

        Shape:
            - features: (segment, n_features, time), time at most `n_columns`
            - n_frames: (segment,), real frames, the rest is padding; None: all are real
            - output: (segment, n_latent), unbounded
        """
        n_missing = self.n_columns - features.shape[2]
        if n_missing < 0:
            raise ConfigError(
                f"autoencoder: built for {self.n_columns} frames, found segments of {features.shape[2]}; "
                "set the model's n_columns to the frames of a segment"
            )
        if n_frames is None:
            n_frames = features.new_full((len(features),), features.shape[2]).long()
        x, n = nn.functional.pad(features, (0, n_missing))[:, None], n_frames
        for layer in self.encoder:
            x, n = layer(masked(x, n)), divided(n, STRIDE)  # type: ignore[assignment]
        latent: Tensor = self.compress(masked(x, n).flatten(1))
        return latent

    def reconstruct(self, latent: Tensor) -> Tensor:
        """The spectrogram P'(X) that a latent stands for: (segment, n_latent) -> (segment, n_features, n_columns)."""
        drawn: Tensor = self.decoder(self.expand(latent).unflatten(1, self.smallest))
        return drawn[:, 0]

    def forward(self, features: Tensor, n_frames: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """Latent and reconstruction."""
        latent = self.encode(features, n_frames)
        return latent, self.reconstruct(latent)


def reconstruction_error(features: Tensor, reconstruction: Tensor, n_frames: Tensor) -> Tensor:
    """Mean squared error of each segment over its real frames.

    L_AE = ||P(X) - P'(X)||^2 (Gao et al. 2021) divided by the number of values (ours): a short last segment weighs as
    much as a full one, and the error stands beside a cross-entropy without drowning it.

    Args:
        features: (segment, feature, time), P(X).
        reconstruction: (segment, feature, at least as many columns), P'(X).
        n_frames: (segment,), real frames, at least 1; what lies behind does not count.

    Returns:
        (segment,) errors, in single precision.
    """
    n_columns = features.shape[2]
    squares = (features.float() - reconstruction[..., :n_columns].float()) ** 2
    real = squares * time_mask(n_frames, n_columns)[:, 0]
    return real.sum(dim=(1, 2)) / (features.shape[1] * n_frames)


def _enlarge(n_in: int, n_out: int, small: tuple[int, int], large: tuple[int, int], is_last: bool) -> nn.Sequential:
    """Transposed convolution from exactly `small` to exactly `large`; but for the last, normalised and with ReLU."""
    # Two sizes halve to the same one; which of them it was is what `output_padding` says.
    missing = (large[0] - STRIDE * (small[0] - 1) - 1, large[1] - STRIDE * (small[1] - 1) - 1)
    layer = nn.ConvTranspose2d(n_in, n_out, SIZE, STRIDE, padding=SIZE // 2, output_padding=missing, bias=is_last)
    return nn.Sequential(layer) if is_last else nn.Sequential(layer, nn.BatchNorm2d(n_out), nn.ReLU(inplace=True))
