"""Training of Speech2Vec: each spoken word is to tell how the words around it sound."""

import logging
import warnings
from collections import Counter
from collections.abc import Sequence

import lightning.pytorch as pl
import numpy as np
import torch
from torch import Tensor
from torch.utils.data import DataLoader

from affectra.errors import ConfigError
from affectra.features.words.speech2vec import Speech2Vec, padded
from affectra.features.words.spoken_words import SpokenWord, sentence_lengths
from affectra.text.skip_gram import skip_gram_pairs
from affectra.text.word_vectors import WordVectors

CLIPPING = 5.0  # ours: norm of the gradient, against what LSTMs do at times


def train_speech2vec(
    segments: Sequence[np.ndarray],
    words: Sequence[SpokenWord],
    *,
    n_dimensions: int = 50,
    window: int = 3,
    n_epochs: int = 20,
    learning_rate: float = 2e-3,
    batch_size: int = 64,
    seed: int = 0,
    min_count: int = 1,
) -> tuple[Speech2Vec, WordVectors]:
    """Learn from the words before and after each word how a vector of its sound is to look.

    Skip-grams (Chung & Glass 2018) with their window of 3, but Adam and few epochs, where they take plain SGD at 1e-3
    and 500 (ours). Memory is that of the segments and of one batch. The same seed gives the same vectors.

    Args:
        segments: frames (frame, feature) of each spoken word, see `WordFrames`.
        words: what each of them is; the words of an utterance stand together, in order.
        n_dimensions: of a vector.
        window: neighbours on each side.
        n_epochs: times through all words.
        learning_rate: Adam's.
        batch_size: spoken words in a step.
        seed: of weights and order.
        min_count: words that occur less often get no vector; they still are neighbours.

    Returns:
        The network, and the mean of each word's vectors, the most frequent word first.

    Raises:
        ConfigError: not as many segments as words, or no word with a neighbour.
    """
    if len(segments) != len(words):
        raise ConfigError(f"speech2vec: {len(segments)} segments of {len(words)} words; needs one each")
    centers, contexts = skip_gram_pairs(sentence_lengths(words), window)
    if not len(centers):
        raise ConfigError(f"speech2vec: none of the {len(words)} words has a neighbour in its utterance to learn from")
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        network = Speech2Vec(n_dimensions, segments[0].shape[1])
        _fit(network, _Neighbours(segments, centers, contexts), n_epochs, learning_rate, batch_size, seed)
    return network, word_means(network, segments, words, min_count)


def word_means(
    network: Speech2Vec, segments: Sequence[np.ndarray], words: Sequence[SpokenWord], min_count: int = 1
) -> WordVectors:
    """The mean vector of each word over all its occurrences; by frequency, then by the alphabet.

    Raises:
        ConfigError: no word occurs `min_count` times.
    """
    counts = Counter(word.word for word in words)
    kept = sorted((word for word, n in counts.items() if n >= min_count), key=lambda word: (-counts[word], word))
    if not kept:
        raise ConfigError(f"speech2vec: none of {len(counts)} words occurs {min_count} times; lower min_count")
    index = {word: row for row, word in enumerate(kept)}
    vectors = network.eval().vectors(segments).astype(np.float64)
    sums = np.zeros((len(kept), network.n_dimensions))
    rows = np.array([index.get(word.word, -1) for word in words])
    np.add.at(sums, rows[rows >= 0], vectors[rows >= 0])
    means = sums / np.array([counts[word] for word in kept])[:, None]
    return WordVectors(tuple(kept), means.astype(np.float32))


def skip_gram_loss(drawn: Tensor, neighbours: Tensor, n_frames: Tensor, owners: Tensor) -> Tensor:
    """Mean squared error of what was drawn for each word against its neighbours, over their real frames.

    The paper sums the errors of all frames; here each neighbour counts alike, however long (ours).

    Shape:
        - drawn: (word, time, feature)
        - neighbours: (pair, time, feature), padded to the same time
        - n_frames: (pair,), real frames of each neighbour
        - owners: (pair,), whose neighbour it is
        - output: ()
    """
    errors = (drawn[owners] - neighbours).square().mean(2)
    real = torch.arange(errors.shape[1], device=errors.device) < n_frames[:, None]
    return ((errors * real).sum(1) / n_frames).mean()


class _Neighbours:
    """Batches of spoken words with the words around each; words without any are left out."""

    def __init__(self, segments: Sequence[np.ndarray], centers: np.ndarray, contexts: np.ndarray) -> None:
        self.segments, self.contexts = segments, contexts
        self.words, self.starts = np.unique(centers, return_index=True)
        self.ends = np.append(self.starts[1:], len(centers))

    def __len__(self) -> int:
        return len(self.words)

    def __getitem__(self, index: int) -> int:
        return index

    def collate(self, rows: list[int]) -> tuple[Tensor, ...]:
        """Frames and lengths of words, frames and lengths of their neighbours, and whose each one is."""
        around = [self.contexts[self.starts[row] : self.ends[row]] for row in rows]
        owners = torch.from_numpy(np.repeat(np.arange(len(rows)), [len(part) for part in around]))
        words = padded([self.segments[self.words[row]] for row in rows])
        neighbours = padded([self.segments[other] for other in np.concatenate(around)])
        return (*words, *neighbours, owners)


class _Training(pl.LightningModule):
    def __init__(self, network: Speech2Vec, learning_rate: float) -> None:
        super().__init__()
        self.network, self.learning_rate = network, learning_rate

    def configure_optimizers(self) -> torch.optim.Optimizer:
        return torch.optim.Adam(self.network.parameters(), self.learning_rate)

    def training_step(self, batch: tuple[Tensor, ...]) -> Tensor:
        frames, n_frames, neighbours, n_neighbour_frames, owners = batch
        drawn = self.network.decode(self.network.encode(frames, n_frames), neighbours.shape[1])
        return skip_gram_loss(drawn, neighbours, n_neighbour_frames, owners)


def _fit(
    network: Speech2Vec, data: _Neighbours, n_epochs: int, learning_rate: float, batch_size: int, seed: int
) -> None:
    for name in ("lightning.pytorch", "lightning.fabric"):  # advertisements; its warnings and errors stay
        logging.getLogger(name).setLevel(logging.WARNING)
    trainer = pl.Trainer(
        max_epochs=n_epochs, accelerator="auto", devices=1, deterministic="warn", gradient_clip_val=CLIPPING,
        logger=False, enable_checkpointing=False, enable_model_summary=False, enable_progress_bar=False,
    )  # fmt: skip
    loader: DataLoader = DataLoader(
        data,  # type: ignore[arg-type]
        batch_size,
        shuffle=True,
        collate_fn=data.collate,
        generator=torch.Generator().manual_seed(seed),
    )
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message=".*does not have many workers.*")
        warnings.filterwarnings("ignore", message=".*LeafSpec.* is deprecated", category=FutureWarning)
        trainer.fit(_Training(network, learning_rate), loader)
    network.cpu().eval()
