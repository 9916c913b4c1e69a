"""Speech2Vec: the sound of one spoken word in, a vector out that tells how the words around it sound."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor, nn
from torch.nn.utils.rnn import pack_padded_sequence

from affectra.errors import CheckpointError, ConfigError
from affectra.features.words.spoken_words import WordFrames
from affectra.files import atomic_path

FORMAT = 1
BATCH_WORDS = 256  # words encoded at once; bounds the memory of a long recording


class Speech2Vec(nn.Module):
    """Encoder and decoder of word segments (Chung & Glass 2018, skip-grams).

    A bidirectional LSTM reads the frames of a word, its last states in both directions are the word's vector; an LSTM
    draws the frames of a word beside it from that vector. The paper leaves open what the decoder is fed with; ours is
    the vector at each step and nothing else. One decoder draws all neighbours, so it draws the same for each of them.

    Args:
        n_dimensions: of a word's vector; even.
        n_features: of a frame.

    Raises:
        ConfigError: sizes that are odd or below 2.
    """

    def __init__(self, n_dimensions: int = 50, n_features: int = WordFrames.n_features) -> None:
        super().__init__()
        if n_dimensions < 2 or n_dimensions % 2 or n_features < 1:
            raise ConfigError(
                f"speech2vec: n_dimensions is even and at least 2, half for each direction; found {n_dimensions}"
            )
        self.n_dimensions, self.n_features = n_dimensions, n_features
        self.encoder = nn.LSTM(n_features, n_dimensions // 2, batch_first=True, bidirectional=True)
        self.decoder = nn.LSTM(n_dimensions, n_dimensions, batch_first=True)
        self.draw = nn.Linear(n_dimensions, n_features)

    def encode(self, frames: Tensor, n_frames: Tensor) -> Tensor:
        """Vectors of words; padding has no part in them.

        Shape:
            - frames: (word, time, n_features)
            - n_frames: (word,), real frames, at least 1
            - output: (word, n_dimensions), in [-1, 1]
        """
        packed = pack_padded_sequence(frames, n_frames.cpu(), batch_first=True, enforce_sorted=False)
        _, (last, _) = self.encoder(packed)
        return torch.cat([last[0], last[1]], dim=1)

    def decode(self, vectors: Tensor, n_columns: int) -> Tensor:
        """Frames of a word beside: (word, n_dimensions) -> (word, n_columns, n_features)."""
        drawn, _ = self.decoder(vectors[:, None].expand(-1, n_columns, -1))
        frames: Tensor = self.draw(drawn)
        return frames

    @torch.no_grad()
    def vectors(self, segments: Sequence[np.ndarray]) -> np.ndarray:
        """Vectors (word, n_dimensions), float32, of words' frames (frame, n_features) as `WordFrames` cuts them."""
        device = self.draw.weight.device
        found = [np.empty((0, self.n_dimensions), np.float32)]
        for start in range(0, len(segments), BATCH_WORDS):
            frames, n_frames = padded(segments[start : start + BATCH_WORDS])
            found.append(self.encode(frames.to(device), n_frames).cpu().numpy())
        return np.concatenate(found)


def padded(segments: Sequence[np.ndarray]) -> tuple[Tensor, Tensor]:
    """Words of any length as (word, time, feature) with zeros behind, and their lengths (word,)."""
    tensors = [torch.from_numpy(np.ascontiguousarray(segment)) for segment in segments]
    n_frames = torch.tensor([len(tensor) for tensor in tensors])
    return nn.utils.rnn.pad_sequence(tensors, batch_first=True), n_frames


def encode_spoken(network: Speech2Vec, samples: np.ndarray, spans: Sequence[tuple[float, float]]) -> np.ndarray:
    """Vectors (word, n_dimensions) of the words of a recording, from sound alone: no transcript has a part in them.

    Args:
        network: trained.
        samples: (sample,) at 16 kHz.
        spans: start and end of each word, s.

    Raises:
        CorpusError: a word that starts behind the end of the recording.
    """
    return network.vectors(WordFrames().of(samples, spans))


def write_speech2vec(network: Speech2Vec, path: str | Path) -> None:
    """Write weights and sizes as one safetensors file, whole or not at all."""
    about = {"format": FORMAT, "n_dimensions": network.n_dimensions, "n_features": network.n_features}
    weights = {name: tensor.contiguous().cpu() for name, tensor in network.state_dict().items()}
    with atomic_path(path) as temporary:
        save_file(weights, temporary, metadata={"speech2vec": json.dumps(about)})


def read_speech2vec(path: str | Path) -> Speech2Vec:
    """Read what `write_speech2vec` wrote.

    Raises:
        CheckpointError: not such a file, or damaged.
    """
    try:
        with safe_open(Path(path), framework="pt") as file:
            about: dict[str, Any] = json.loads((file.metadata() or {})["speech2vec"])
            if about.pop("format") != FORMAT:
                raise CheckpointError(f"{path}: another format than {FORMAT}; train it with this version")
            network = Speech2Vec(**about)
            network.load_state_dict({name: file.get_tensor(name) for name in file.keys()})  # noqa: SIM118, no mapping
    except (OSError, SafetensorError, KeyError, ValueError, TypeError, RuntimeError) as error:
        raise CheckpointError(f"{path}: not a Speech2Vec checkpoint, or damaged ({error})") from error
    return network.eval()
