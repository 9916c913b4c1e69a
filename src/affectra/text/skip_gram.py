"""Word vectors learnt from sentences alone: skip-gram with negative sampling."""

from collections import Counter
from collections.abc import Iterator, Sequence

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from affectra.errors import ConfigError
from affectra.text.word_vectors import WordVectors

BATCH_PAIRS = 1024  # ours
SHARED_NEGATIVES = 256  # ours: drawn once a batch, which makes their scores one product of matrices
SMOOTHING = 0.75  # of the frequencies that negatives are drawn by (Mikolov et al. 2013)


def skip_gram_pairs(
    n_tokens: Sequence[int] | npt.NDArray[np.integer], window: int, rng: np.random.Generator | None = None
) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
    """Each token with each of its neighbours in the same sentence.

    Positions count through all sentences as if they were written one behind the other, so that the pairs of words are
    `ids[centers], ids[contexts]` for the ids of all tokens, and those of word segments likewise.

    Args:
        n_tokens: tokens of each sentence.
        window: neighbours on each side.
        rng: draws each centre's own window from 1 to `window`, which weighs near neighbours more (Mikolov et al. 2013);
            None takes the whole window.

    Returns:
        centers and contexts, both (pair,), in the order of the centres.

    Example:
        >>> centers, contexts = skip_gram_pairs([3, 1, 2], window=1)
        >>> list(zip(centers.tolist(), contexts.tolist()))
        [(0, 1), (1, 0), (1, 2), (2, 1), (4, 5), (5, 4)]
    """
    counts = np.asarray(n_tokens, dtype=np.int64)
    sentence = np.repeat(np.arange(len(counts)), counts)
    position = np.arange(len(sentence))
    reach = np.full(len(sentence), window) if rng is None else rng.integers(1, window + 1, len(sentence))
    centers, contexts = [], []
    for step in (*range(-window, 0), *range(1, window + 1)):
        other = position + step
        inside = (other >= 0) & (other < len(sentence)) & (abs(step) <= reach)
        inside[inside] = sentence[other[inside]] == sentence[inside]
        centers.append(position[inside])
        contexts.append(other[inside])
    joined = np.concatenate([np.empty(0, np.int64), *centers])
    order = np.argsort(joined, kind="stable")
    return joined[order], np.concatenate([np.empty(0, np.int64), *contexts])[order]


def train_skip_gram(
    sentences: Sequence[Sequence[str]],
    *,
    n_dimensions: int = 100,
    window: int = 4,
    n_negatives: int = 10,
    min_count: int = 2,
    subsample: float = 1e-3,
    n_epochs: int = 20,
    learning_rate: float = 0.1,
    seed: int = 0,
) -> WordVectors:
    """Learn word vectors from sentences: a word is to tell its neighbours from words drawn at random.

    Skip-gram with negative sampling (Mikolov et al. 2013), with Adagrad instead of a falling step, since texts of
    speech corpora are short and rare words need the larger steps. The same seed gives the same vectors.

    Args:
        sentences: tokens of each one; windows do not cross from one to the next.
        n_dimensions: numbers per word.
        window: the most neighbours on each side.
        n_negatives: weight of the drawn words against one true neighbour.
        min_count: words that occur fewer times are left out.
        subsample: share of the text above which a word is left out at random, the more the more frequent it is.
        n_epochs: times through the text; a short text needs more of them.
        learning_rate: Adagrad's.
        seed: of everything drawn.

    Returns:
        The words, the most frequent first (ties in alphabetical order), and their vectors.

    Raises:
        ConfigError: fewer than two words occur `min_count` times.
    """
    counts = Counter(word for sentence in sentences for word in sentence)
    words = sorted((word for word, n in counts.items() if n >= min_count), key=lambda word: (-counts[word], word))
    if len(words) < 2:
        raise ConfigError(
            f"skip-gram: {len(words)} words occur at least {min_count} times in {len(sentences)} sentences; "
            "needs two; give more text or a smaller min_count"
        )
    index = {word: row for row, word in enumerate(words)}
    ids = [np.array([index[word] for word in sentence if word in index], np.int64) for sentence in sentences]
    frequency = np.array([counts[word] for word in words], np.float64)
    rng = np.random.default_rng(seed)
    tables = _Tables(len(words), n_dimensions, learning_rate, seed)
    drawn = torch.from_numpy(frequency**SMOOTHING)
    for _ in range(n_epochs):
        for centers, contexts in _batches(ids, _kept(frequency, subsample), window, rng):
            negatives = torch.multinomial(drawn, SHARED_NEGATIVES, replacement=True, generator=tables.generator)
            tables.step(torch.from_numpy(centers), torch.from_numpy(contexts), negatives, n_negatives)
    return WordVectors(tuple(words), tables.center.numpy())


def _kept(frequency: npt.NDArray[np.float64], subsample: float) -> npt.NDArray[np.float64]:
    """Probability that an occurrence of a word is kept: sqrt(subsample / share of the text), at most 1."""
    kept: npt.NDArray[np.float64] = np.minimum(1.0, np.sqrt(subsample * frequency.sum() / frequency))
    return kept


def _batches(
    ids: Sequence[npt.NDArray[np.int64]], kept: npt.NDArray[np.float64], window: int, rng: np.random.Generator
) -> Iterator[tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]]:
    """Pairs of words of one time through the text, shuffled; frequent words are left out before windows are laid."""
    stays = [sentence[rng.random(len(sentence)) < kept[sentence]] for sentence in ids]
    text = np.concatenate(stays)
    centers, contexts = skip_gram_pairs([len(sentence) for sentence in stays], window, rng)
    order = rng.permutation(len(centers))
    for start in range(0, len(order), BATCH_PAIRS):
        batch = order[start : start + BATCH_PAIRS]
        yield text[centers[batch]], text[contexts[batch]]


class _Tables:
    """The two vectors of each word, as a centre and as a neighbour, and Adagrad's sums of squares for each row."""

    def __init__(self, n_words: int, n_dimensions: int, learning_rate: float, seed: int) -> None:
        self.generator = torch.Generator().manual_seed(seed)
        self.center = (torch.rand(n_words, n_dimensions, generator=self.generator) - 0.5) / n_dimensions  # word2vec's
        self.context = torch.zeros(n_words, n_dimensions)
        self.squares = {id(table): torch.zeros(n_words) for table in (self.center, self.context)}
        self.learning_rate = learning_rate

    def step(self, centers: Tensor, contexts: Tensor, negatives: Tensor, n_negatives: int) -> None:
        """One step down the loss of pairs (pair,) against shared negatives (negative,).

        The loss of a pair is -log s(c.o) - n_negatives * mean of log s(-c.n), s the logistic function.
        """
        center, true, false = self.center[centers], self.context[contexts], self.context[negatives]
        pull = torch.sigmoid((center * true).sum(1)) - 1  # (pair,), the slope of -log s
        push = torch.sigmoid(center @ false.T) * (n_negatives / len(negatives))  # (pair, negative)
        push = push.masked_fill(contexts[:, None] == negatives, 0.0)  # the true neighbour is no negative
        self._descend(self.center, centers, pull[:, None] * true + push @ false)
        self._descend(
            self.context, torch.cat([contexts, negatives]), torch.cat([pull[:, None] * center, push.T @ center])
        )

    def _descend(self, table: Tensor, rows: Tensor, slopes: Tensor) -> None:
        """Adagrad with one step size a row; slopes of the same row are summed first."""
        touched, place = torch.unique(rows, return_inverse=True)
        slope = torch.zeros(len(touched), table.shape[1]).index_add_(0, place, slopes)
        squares = self.squares[id(table)]
        squares[touched] += slope.square().mean(1)
        table[touched] -= self.learning_rate * slope / squares[touched].sqrt().clamp_min(1e-8)[:, None]
