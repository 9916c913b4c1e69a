"""Which word of one space belongs to which of another: similarity that is fair to words in dense neighbourhoods."""

from collections.abc import Iterator

import numpy as np

from affectra.text.word_vectors import unit_length

N_NEIGHBOURS = 10  # k of Conneau et al. 2018
_BLOCK_VALUES = 1 << 22  # similarities held at once: 16 MiB, whatever the vocabularies


def unit_vectors(vectors: np.ndarray) -> np.ndarray:
    """Rows of length one in float32; a row of zeros stays as it is, and is like nothing."""
    return unit_length(np.asarray(vectors, dtype=np.float32))


def neighbourhood(queries: np.ndarray, keys: np.ndarray, k: int = N_NEIGHBOURS) -> np.ndarray:
    """Mean cosine of each query with its k nearest keys: (query,); both of unit length, fewer keys than k: all."""
    k = min(k, len(keys))
    blocks = [
        np.partition(queries[rows] @ keys.T, len(keys) - k, axis=1)[:, -k:].mean(1)
        for rows in _blocks(len(queries), len(keys))
    ]
    return np.concatenate(blocks)


def csls_blocks(source: np.ndarray, target: np.ndarray, k: int = N_NEIGHBOURS) -> Iterator[tuple[slice, np.ndarray]]:
    """Cross-domain similarity local scaling, some source words at a time, so that memory is bounded.

    CSLS(x, y) = 2 cos(x, y) - r_T(x) - r_S(y), r the mean cosine with the k nearest words of the other space
    (Conneau et al. 2018): words that are near to everything ("hubs") lose what they owe to their place.

    Args:
        source: (source word, dim), mapped into the target space.
        target: (target word, dim).
        k: size of a neighbourhood.

    Yields:
        Which source words, and their similarities (source word of the block, target word).
    """
    source, target = unit_vectors(source), unit_vectors(target)
    of_target = neighbourhood(target, source, k)
    of_source = neighbourhood(source, target, k)
    for rows in _blocks(len(source), len(target)):
        yield rows, 2 * (source[rows] @ target.T) - of_source[rows, None] - of_target[None]


def csls(source: np.ndarray, target: np.ndarray, k: int = N_NEIGHBOURS) -> np.ndarray:
    """`csls_blocks` as one matrix (source word, target word)."""
    return np.concatenate([scores for _, scores in csls_blocks(source, target, k)])


def translations(source: np.ndarray, target: np.ndarray, k: int = N_NEIGHBOURS) -> np.ndarray:
    """The target word most similar to each source word by CSLS: (source word,) indices."""
    return np.concatenate([scores.argmax(1) for _, scores in csls_blocks(source, target, k)])


def mutual_dictionary(source: np.ndarray, target: np.ndarray, k: int = N_NEIGHBOURS) -> np.ndarray:
    """Pairs that are each other's nearest by CSLS: (pair, 2), indices of source and target.

    Args:
        source: (source word, dim), mapped into the target space.
        target: (target word, dim).
        k: size of a neighbourhood.
    """
    there = np.empty(len(source), dtype=np.int64)
    best = np.full(len(target), -np.inf, dtype=np.float32)
    back = np.zeros(len(target), dtype=np.int64)
    for rows, scores in csls_blocks(source, target, k):
        there[rows] = scores.argmax(1)
        highest = scores.max(0)
        back = np.where(highest > best, rows.start + scores.argmax(0), back)
        best = np.maximum(best, highest)
    words = np.arange(len(source))
    mutual = back[there] == words
    return np.stack([words[mutual], there[mutual]], axis=1)


def ranks(
    source: np.ndarray, target: np.ndarray, words: np.ndarray, truth: np.ndarray, k: int = N_NEIGHBOURS
) -> np.ndarray:
    """At which place the true translation stands, 1 is first; words as similar as it stand before it.

    So a space in which all words are alike translates nothing, instead of by chance of the order.

    Args:
        source: (source word, dim), mapped into the target space.
        target: (target word, dim); all of it competes.
        words: (pair,) indices of the source words asked for.
        truth: (pair,) indices of their translations.
        k: size of a neighbourhood.
    """
    places = np.zeros(len(words), dtype=np.int64)
    for rows, scores in csls_blocks(source, target, k):
        here = np.flatnonzero((words >= rows.start) & (words < rows.stop))
        asked = scores[words[here] - rows.start]
        true = asked[np.arange(len(here)), truth[here]]
        places[here] = (asked >= true[:, None]).sum(1)
    return places


def _blocks(n_rows: int, n_columns: int) -> Iterator[slice]:
    size = max(1, _BLOCK_VALUES // max(n_columns, 1))
    for start in range(0, n_rows, size):
        yield slice(start, min(start + size, n_rows))
