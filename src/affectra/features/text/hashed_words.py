"""Hashed words: word embeddings that are learnt with the network, without a vocabulary and without any download."""

import zlib
from collections.abc import Sequence
from typing import ClassVar

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.functional import embedding

from affectra.errors import ConfigError
from affectra.text.words import split_words

LARGEST = 2**24 - 1  # what float32, which batches may pass through, still counts without a gap
N_GRAMS = 15  # ours: so many of a word at most
INITIAL = 0.1  # standard deviation before training; ours, of 0.01, 0.1 and 0.3 on dialogues of MELD's train split


class HashedWords(nn.Module):
    """A word's vector is the mean of learnt vectors of the word and of its character n-grams, each found by its hash.

    After fastText (Bojanowski et al. 2017; Joulin et al. 2017), with one table for words and n-grams. Nothing is fitted
    before training, so nothing of a tested part is seen. A row that no training text has used counts for nothing: a new
    word is the mean of those of its n-grams that have been seen, and zero where there are none.

    Args:
        n_dimensions: numbers per word.
        n_buckets: rows of the table; with too few of them words share a row by chance.
        n_grams: lengths of the n-grams, of the word between < and >; [] leaves words alone.
        punctuation: marks that carry affect are words too; see `split_words`. Transcribers write them by how it was
            spoken, and a recogniser of speech does not: for its texts leave them out in training as well.
        word_dropout: share of the tokens that are blanked while training.

    Shape:
        - frames: (token, 1 + n-grams), int32; row + 1 of the word, then of its n-grams; 0 where there is none
        - output: (batch, n_dimensions, token), 0 where padded

    Raises:
        ConfigError: sizes that make no sense.
    """

    modality = "text"
    is_framewise = False  # ids have no mean
    sample_rate, window_length, hop_length = 1000, 1, 1  # a token counts as a millisecond
    storage: ClassVar = {"dtype": "int32", "words": "1"}  # raise the number when `split_words` or `_ids` change

    def __init__(
        self,
        *,
        n_dimensions: int = 64,
        n_buckets: int = 32_768,
        n_grams: Sequence[int] = (),
        punctuation: bool = True,
        word_dropout: float = 0.2,
    ) -> None:
        super().__init__()
        if n_dimensions < 1 or not 1 <= n_buckets <= LARGEST or any(n < 1 for n in n_grams):
            raise ConfigError(
                f"hashed-words: needs n_dimensions >= 1, 1 <= n_buckets <= {LARGEST} and n_grams of lengths >= 1, "
                f"found n_dimensions={n_dimensions}, n_buckets={n_buckets}, n_grams={list(n_grams)}"
            )
        if not 0 <= word_dropout < 1:
            raise ConfigError(f"hashed-words: needs 0 <= word_dropout < 1, found {word_dropout}")
        self.n_features = n_dimensions
        self.n_buckets, self.n_grams, self.punctuation = n_buckets, tuple(n_grams), punctuation
        self.n_ids = 1 + (N_GRAMS if self.n_grams else 0)
        self.word_dropout = word_dropout
        self.table = nn.Parameter(INITIAL * torch.randn(n_buckets, n_dimensions))
        self.register_buffer("is_known", torch.zeros(n_buckets, dtype=torch.bool))
        self.is_known: Tensor

    def n_frames(self, n_samples: int) -> int:
        """Tokens of so many tokens."""
        return n_samples

    def frames(self, text: str) -> Tensor:
        """Ids (token, n_ids) of a text; one of no words is one token without ids."""
        words = split_words(text, punctuation=self.punctuation)
        ids = np.zeros((max(1, len(words)), self.n_ids), np.int32)
        for row, word in zip(ids, words, strict=False):
            found = self._ids(word)
            row[: len(found)] = found
        return torch.from_numpy(ids)

    def _ids(self, word: str) -> list[int]:
        """Row + 1 of a word, then of its n-grams; of too many n-grams those spread evenly over the word."""
        framed = f"<{word}>"
        grams = [framed[i : i + n] for n in self.n_grams for i in range(len(framed) - n + 1) if n < len(framed)]
        if not word[0].isalnum():  # !! and <laughter> share nothing with words
            grams = []
        if len(grams) > N_GRAMS:
            grams = [grams[i] for i in np.linspace(0, len(grams) - 1, N_GRAMS).round().astype(int)]
        # One byte tells the word "the" from its trigram. CRC-32 is the same on every machine and in every version.
        return [zlib.crc32(key.encode()) % self.n_buckets + 1 for key in (f"={word}", *grams)]

    def forward(self, segments: Tensor) -> Tensor:
        """Ids (batch, token, n_ids) as (batch, n_dimensions, token)."""
        ids = segments.long()
        if self.training:
            if self.word_dropout:
                stays = torch.rand(ids.shape[:2], device=ids.device) >= self.word_dropout
                ids = ids * stays[..., None]
            if self.table.requires_grad:  # frozen, it learns of no more words
                self.is_known[ids[ids > 0] - 1] = True
        rows = (ids - 1).clamp_min(0)
        counts = ((ids > 0) & self.is_known[rows]).to(self.table.dtype)
        total = torch.einsum("bti,btid->bdt", counts, embedding(rows, self.table))
        return total / counts.sum(2).clamp_min(1)[:, None]
