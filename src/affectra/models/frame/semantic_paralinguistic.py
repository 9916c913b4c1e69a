"""Continuous emotion from words and voice, frame by frame (Tzirakis et al. 2021)."""

from collections.abc import Sequence
from typing import Literal, get_args

import torch
from torch import Tensor, nn

from affectra.errors import ConfigError
from affectra.models.frame.recurrence import RecurrenceKind, State, recurrence
from affectra.models.frame.registry import ContinuousOutput
from affectra.models.frame.waveform_cnn import CnnCompat, WaveformCnn
from affectra.models.utterance.attention_fusion import AttentionFusion, HierarchicalFusion, StreamOrder

Streams = Literal["both", "semantic", "paralinguistic"]
Fusion = Literal["attention", "concat"]
Acoustic = Literal["waveform-cnn", "frames"]
AT_ONCE = 4096  # frames that are fused together: 16 MiB a projected stream


class SemanticParalinguistic(nn.Module):
    """Samples and word vectors of frames of 100 ms, fused, through an LSTM to arousal, valence, liking.

        x_p = CNN(samples),  x_s = vector of the word that is spoken (zeros between words)
        fusion="concat":     x = [x_p, x_s]
        fusion="attention":  x_sp = Attention(x_p, x_s)                      AttentionFusion
                             x = Attention(Attention(a, l), v)               HierarchicalFusion
                             with a, l, v = ReLU layers of x_sp
        prediction = tanh(W LSTM(x) + b)

    Sizes and activations are those of the released code where the paper gives none; see `WaveformCnn`,
    `AttentionFusion` and `Recurrence` for what differs. All of it looks back only, so a recording may come block by
    block (`forward_stream`) and nothing behind a frame changes its prediction.

    Ours: with one stream alone, "attention" is its hierarchy of three without the fusion of two; acoustic="frames",
    where the acoustic stream is not samples but features of each frame, taken through a layer with ReLU and dropout;
    "gru" and "transformer"; `fusion_dropout`.

    Args:
        n_samples: of a frame, or with acoustic="frames" its features.
        n_semantic: size of a word vector.
        n_dimensions: predictions a frame.
        streams: "both", or one alone; what a model does not use may be given as None.
        fusion: "attention" or "concat".
        recurrent: "lstm", "gru" or "transformer".
        n_hidden: of the recurrent network, and of the layer of acoustic="frames".
        acoustic: what the acoustic stream is, "waveform-cnn" for samples or "frames" for features.
        dropout: of the CNN or the acoustic layer, and of the transformer.
        fusion_dropout: of what enters the recurrent network.
        n_projected: size at which two streams are fused by attention.
        n_stream: size of each of the three streams.
        channels: of the CNN; see `WaveformCnn` for these four.
        kernels: of the CNN.
        pools: of the CNN.
        n_positions: of the CNN.
        compat: None, or "glam-imperial" for the CNN and the order of the three streams of the released code.

    Shape:
        - acoustic: (batch, frame, n_samples); semantic: (batch, frame, n_semantic); padded behind
        - n_frames: (batch,), real frames of each recording
        - output: see `ContinuousOutput`

    Raises:
        ConfigError: unknown names, sizes that cannot be, a stream that is missing or of another size.
    """

    def __init__(
        self,
        n_samples: int,
        n_semantic: int,
        n_dimensions: int,
        *,
        streams: Streams = "both",
        fusion: Fusion = "attention",
        recurrent: RecurrenceKind = "lstm",
        n_hidden: int = 256,
        acoustic: Acoustic = "waveform-cnn",
        dropout: float = 0.5,
        fusion_dropout: float = 0.0,
        n_projected: int = 1024,
        n_stream: int = 512,
        channels: Sequence[int] = (50, 125, 250),
        kernels: Sequence[int] = (8, 6, 6),
        pools: Sequence[int] = (10, 5, 5),
        n_positions: int = 3,
        compat: CnnCompat | None = None,
    ) -> None:
        super().__init__()
        _check(n_samples, n_semantic, n_dimensions, streams=streams, fusion=fusion, acoustic=acoustic)
        if compat is not None and (acoustic == "frames" or streams == "semantic"):
            raise ConfigError(f"semantic and paralinguistic: compat={compat!r} is about samples, but there are none")
        self.n_samples = 0 if streams == "semantic" else n_samples
        self.n_semantic = 0 if streams == "paralinguistic" else n_semantic
        self.compat = compat
        self.listen: WaveformCnn | FrameLayer | None = None
        if self.n_samples and acoustic == "frames":
            self.listen = FrameLayer(n_samples, n_hidden, dropout)
        elif self.n_samples:
            cnn = {"channels": channels, "kernels": kernels, "pools": pools, "n_positions": n_positions}
            self.listen = WaveformCnn(n_samples, **cnn, dropout=dropout, compat=compat)  # type: ignore[arg-type]
        sizes = [] if self.listen is None else [self.listen.n_outputs]
        sizes += [n_semantic] if self.n_semantic else []
        if fusion == "concat":
            self.fuse: Concatenation | WeightedStreams = Concatenation(sizes)
        else:
            self.fuse = WeightedStreams(sizes, n_projected, n_stream, compat)
        self.fusion_dropout = nn.Dropout(fusion_dropout)
        self.recur = recurrence(recurrent, self.fuse.n_outputs, n_hidden, dropout)
        self.predict = nn.Linear(n_hidden, n_dimensions)

    def forward(self, acoustic: Tensor | None, semantic: Tensor | None, n_frames: Tensor) -> ContinuousOutput:
        """Predictions for each frame of recordings that are there as a whole."""
        fused, weights = self._fused(acoustic, semantic, n_frames)
        embedding, _ = self.recur(self.fusion_dropout(fused))
        predictions = self.predict(embedding).float().tanh()
        real = (torch.arange(fused.shape[1], device=fused.device) < n_frames[:, None])[..., None]
        weights = None if weights is None else weights.float() * real
        return ContinuousOutput(predictions * real, embedding.float() * real, weights)

    @torch.no_grad()
    def forward_stream(
        self, acoustic: Tensor | None, semantic: Tensor | None, state: State | None = None
    ) -> tuple[ContinuousOutput, State]:
        """The next frames of a recording, block by block those of the whole.

        Args:
            acoustic: (batch, frame, n_samples), from 1 frame on, without padding.
            semantic: (batch, frame, n_semantic).
            state: what the call for the block before gave; None at the beginning.

        Returns:
            The outputs for these frames, and the state for the next block.

        Raises:
            ConfigError: for compat="glam-imperial", which looks ahead and cuts sequences as wholes.
        """
        if self.compat is not None:
            raise ConfigError(
                f"semantic and paralinguistic: compat={self.compat!r} convolves a sequence as a whole, beyond "
                "the end of each frame, and cannot go block by block; use a model without compat"
            )
        fused, weights = self._fused(acoustic, semantic, None)
        embedding, state = self.recur(fused, state)
        predictions = self.predict(embedding).float().tanh()
        return ContinuousOutput(predictions, embedding.float(), None if weights is None else weights.float()), state

    def _fused(
        self, acoustic: Tensor | None, semantic: Tensor | None, n_frames: Tensor | None
    ) -> tuple[Tensor, Tensor | None]:
        """Compute the input of the recurrent network, (batch, frame, feature), and the weights of the two streams."""
        streams = []
        if self.listen is not None:
            streams.append(self.listen(_checked("acoustic", acoustic, self.n_samples), n_frames))
        if self.n_semantic:
            streams.append(_checked("semantic", semantic, self.n_semantic))
        if len({stream.shape[:2] for stream in streams}) > 1:
            raise ConfigError(
                "semantic and paralinguistic: both streams have the same recordings and frames, found "
                + " and ".join(f"{tuple(stream.shape[:2])}" for stream in streams)
            )
        n_at_once = max(1, AT_ONCE // max(1, len(streams[0])))
        blocks = zip(*(stream.split(n_at_once, dim=1) for stream in streams), strict=True)
        fused, weights = zip(*(self.fuse(*block) for block in blocks), strict=True)
        return torch.cat(fused, dim=1), None if weights[0] is None else torch.cat(weights, dim=1)


class FrameLayer(nn.Module):
    """A layer with ReLU and dropout on features of each frame, in place of a CNN on its samples (ours).

    Shape:
        - input: (batch, frame, n_features)
        - output: (batch, frame, n_outputs), at least 0
    """

    def __init__(self, n_features: int, n_outputs: int, dropout: float) -> None:
        super().__init__()
        self.n_outputs = n_outputs
        self.layer = nn.Sequential(nn.Linear(n_features, n_outputs), nn.ReLU(), nn.Dropout(dropout))

    def forward(self, features: Tensor, n_frames: Tensor | None = None) -> Tensor:  # noqa: ARG002 as for WaveformCnn
        """One vector a frame."""
        vectors: Tensor = self.layer(features)
        return vectors


class Concatenation(nn.Module):
    """Streams side by side: (batch, frame, n_outputs)."""

    def __init__(self, sizes: Sequence[int]) -> None:
        super().__init__()
        self.n_outputs = sum(sizes)

    def forward(self, *streams: Tensor) -> tuple[Tensor, None]:
        """The streams as one, no weights."""
        return torch.cat(streams, dim=-1), None


class WeightedStreams(nn.Module):
    """An attention over two streams, if there are two, then the hierarchy of three: (batch, frame, n_outputs)."""

    def __init__(self, sizes: Sequence[int], n_projected: int, n_stream: int, compat: CnnCompat | None) -> None:
        super().__init__()
        self.weigh = AttentionFusion(sizes[0], sizes[1], n_projected) if len(sizes) == 2 else None
        n_inputs = sizes[0] if self.weigh is None else self.weigh.n_outputs
        order: StreamOrder = "arousal-liking-valence" if compat is None else "arousal-valence-liking"
        self.rank = HierarchicalFusion(n_inputs, n_stream, order)
        self.n_outputs = n_stream

    def forward(self, *streams: Tensor) -> tuple[Tensor, Tensor | None]:
        """Fuse the streams; give the result and the weights of the two."""
        fused, weights = (streams[0], None) if self.weigh is None else self.weigh(*streams)
        return self.rank(fused), weights


def _check(n_samples: int, n_semantic: int, n_dimensions: int, *, streams: str, fusion: str, acoustic: str) -> None:
    """Raise a `ConfigError` for a name that is unknown or a size below 1."""
    for what, name, known in (
        ("streams", streams, get_args(Streams)),
        ("fusion", fusion, get_args(Fusion)),
        ("acoustic", acoustic, get_args(Acoustic)),
    ):
        if name not in known:
            raise ConfigError(f"semantic and paralinguistic: {what} is one of {', '.join(known)}, found {name!r}")
    if min(n_samples, n_semantic, n_dimensions) < 1:
        raise ConfigError(
            "semantic and paralinguistic: samples, word vectors and dimensions are numbers from 1 on, found "
            f"{n_samples}, {n_semantic} and {n_dimensions}"
        )


def _checked(what: str, stream: Tensor | None, n_features: int) -> Tensor:
    """The stream, or a `ConfigError` where it is missing or of another size."""
    if stream is None or stream.dim() != 3 or stream.shape[2] != n_features or not stream.shape[1]:
        found = "none" if stream is None else str(tuple(stream.shape))
        raise ConfigError(
            f"semantic and paralinguistic: the {what} stream is (batch, frame, {n_features}) with a frame at least, "
            f"found {found}"
        )
    return stream
