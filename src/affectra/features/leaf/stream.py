"""LEAF block by block: the frames of a live signal as soon as all they depend on is there."""

import torch
from torch import Tensor

from affectra.features.leaf.leaf import Leaf


class LeafStream:
    """Carries what a `Leaf` needs from one block of samples to the next.

    The frames of all blocks together are those of the whole signal. A frame comes one window after its middle: filter
    and pooling each look half a window ahead.

    Args:
        leaf: as it is now; parameters must not change while the stream runs.

    Example:
        >>> leaf, signal = Leaf(), torch.randn(1, 16_000)
        >>> stream = LeafStream(leaf)
        >>> frames = [stream.push(block) for block in signal.split(1_000, dim=1)] + [stream.finish()]
        >>> torch.allclose(torch.cat(frames, dim=2), leaf(signal), atol=1e-5)
        True
    """

    def __init__(self, leaf: Leaf) -> None:
        self.leaf = leaf
        self._held: Tensor | None = None  # samples that frames to come reach, zeros before the signal
        self._state: Tensor | None = None
        self._n_samples = self._n_frames = 0

    @torch.no_grad()
    def push(self, block: Tensor) -> Tensor:
        """Take the next samples (batch, sample), any number; returns the frames they complete, maybe none."""
        if self._held is None:
            self._held = block.new_zeros(len(block), 2 * self.leaf.padding)
        self._held = torch.cat([self._held, block], dim=1)
        self._n_samples += block.shape[1]
        missing = self._held.shape[1] - self.leaf.reach(1)
        return self._take(0 if missing < 0 else 1 + missing // self.leaf.hop_length)

    @torch.no_grad()
    def finish(self) -> Tensor:
        """The frames at the end of the signal, whose windows reach beyond it; the stream is over after that."""
        assert self._held is not None, "nothing was pushed"
        n_frames = self.leaf.n_frames(self._n_samples) - self._n_frames
        missing = self.leaf.reach(max(1, n_frames)) - self._held.shape[1]
        self._held = torch.nn.functional.pad(self._held, (0, max(0, missing)))
        return self._take(n_frames)

    def _take(self, n_frames: int) -> Tensor:
        assert self._held is not None
        if not n_frames:
            return self._held.new_zeros(len(self._held), self.leaf.n_features, 0)
        signal = self.leaf.padding - self._n_frames * self.leaf.hop_length  # where its first filtered sample is
        samples = self._held[:, : self.leaf.reach(n_frames)]
        energies = self.leaf.chunk_energies(samples, n_frames, (signal, signal + self._n_samples))
        output, self._state = self.leaf.compress(energies, self._state)
        self._held = self._held[:, n_frames * self.leaf.hop_length :]
        self._n_frames += n_frames
        return output
