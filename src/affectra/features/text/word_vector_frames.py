"""Word vectors of a file as a front end: what others have learnt on more text than a speech corpus has."""

from collections.abc import Iterable
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn

from affectra.files import sha256_file
from affectra.text.word_vectors import WordVectors, read_word_vectors, write_word_vectors
from affectra.text.words import split_words

ASSETS = "word-vectors.safetensors"


class WordVectorFrames(nn.Module):
    """The vector of each word, from a file, as it is; zeros for a word without one.

    A word that the file has not in small letters is looked up with a capital letter, since some tables have "Monday"
    alone. Nothing is learnt here, so nothing of a tested part is seen.

    Args:
        file: .vec, .txt, .json or .safetensors; see `read_word_vectors`.
        limit: use no more than the first so many words of it, which are the most frequent ones in files of others.
        punctuation: marks that carry affect are words too; see `split_words`.

    Shape:
        - frames: (token, n_features), float32
        - output: (batch, n_features, token)

    Raises:
        ConfigError: the file cannot be read.
    """

    modality = "text"
    is_framewise = True
    sample_rate, window_length, hop_length = 1000, 1, 1  # a token counts as a millisecond

    def __init__(self, *, file: str, limit: int | None = None, punctuation: bool = False) -> None:
        super().__init__()
        self.vectors = read_word_vectors(Path(file).expanduser(), limit)
        self.punctuation = punctuation
        self.n_features = self.vectors.n_dimensions
        # The words' and the table's own version: another file of the same name gives other frames.
        self.storage = {"dtype": "float32", "words": "1", "file": sha256_file(Path(file).expanduser())}

    def n_frames(self, n_samples: int) -> int:
        """Tokens of so many tokens."""
        return n_samples

    def frames(self, text: str) -> Tensor:
        """Vectors (token, n_features) of a text; one of no words is one token of zeros."""
        found = [find_vector(self.vectors, word) for word in split_words(text, punctuation=self.punctuation)]
        nothing = np.zeros(self.n_features, np.float32)
        return torch.from_numpy(np.stack([nothing if row is None else row for row in found] or [nothing]))

    def forward(self, segments: Tensor) -> Tensor:
        """Segments (batch, token, n_features) as (batch, n_features, token)."""
        return segments.transpose(1, 2)

    def write_assets(self, folder: Path) -> dict[str, str]:
        """Put beside a checkpoint what rebuilds this front end without the file.

        Args:
            folder: to write to; made if need be.

        Returns:
            Options to be replaced when it is rebuilt, as names in `folder`.
        """
        write_word_vectors(self.vectors, folder / ASSETS)
        return {"file": ASSETS}

    def coverage(self, texts: Iterable[str]) -> float:
        """The share of the words of texts that have a vector, in [0, 1]; of no words 0."""
        words = [word for text in texts for word in split_words(text, punctuation=self.punctuation)]
        return sum(find_vector(self.vectors, word) is not None for word in words) / max(1, len(words))


def find_vector(vectors: WordVectors, word: str) -> npt.NDArray[np.float32] | None:
    """The vector (dim,) of a word in small letters, or else of it with a capital letter, as German nouns are written.

    Example:
        >>> find_vector(WordVectors(("Haus",), np.ones((1, 2), np.float32)), "haus")
        array([1., 1.], dtype=float32)
    """
    found = vectors.of(word)
    return vectors.of(word.capitalize()) if found is None else found
