"""Lay one space of word vectors over another: from known pairs, from the spaces' axes or from an adversary alone."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, get_args

import numpy as np
from safetensors import SafetensorError
from safetensors.numpy import load_file, save_file

from affectra.errors import CheckpointError, ConfigError
from affectra.features.words.alignment.adversarial import (
    AdversarialSettings,
    best_adversarial_start,
    selection_criterion,
)
from affectra.features.words.alignment.axes import axes_start
from affectra.features.words.alignment.csls import N_NEIGHBOURS, mutual_dictionary, unit_vectors
from affectra.features.words.alignment.procrustes import procrustes
from affectra.features.words.alignment.translation import Translation, word_translation
from affectra.files import atomic_path
from affectra.registry import unknown_name
from affectra.text.word_vectors import WordVectors

Start = Literal["anchors", "axes", "adversarial"]
N_REFINEMENTS = 5  # Conneau et al. 2018
PARTS = ("matrix", "source_mean", "target_mean")
N_FREQUENT = 15_000  # words a dictionary is made of (Conneau et al. 2018)


@dataclass(frozen=True)
class Overlay:
    """A fitted map of source vectors into a target space: centring and rotation.

    Attributes:
        matrix: W (dim, dim), float64; a source vector x is W x in the target space.
        source_mean: (dim,), the mean of the source's unit vectors, which is taken off them.
        target_mean: (dim,), likewise.
    """

    matrix: np.ndarray
    source_mean: np.ndarray
    target_mean: np.ndarray

    def mapped(self, vectors: np.ndarray) -> np.ndarray:
        """Source vectors (word, dim) in the target space, as `of_target` gives target vectors; float32, length one."""
        return np.asarray(_centred(vectors, self.source_mean) @ self.matrix.T, dtype=np.float32)

    def of_target(self, vectors: np.ndarray) -> np.ndarray:
        """Target vectors (word, dim) as source vectors are mapped to: without their mean, of length one."""
        return _centred(vectors, self.target_mean)


@dataclass(frozen=True)
class Alignment(Overlay):
    """A source space over a target space, and how well it lies there.

    Attributes:
        start: what the map was found from.
        n_anchors: pairs it was given.
        criterion: mean cosine of words and their translations after the start and each refinement. It is high also
            for a wrong map of few words in many dimensions.
        translation: how well words that were no anchors find themselves.
    """

    start: Start
    n_anchors: int
    criterion: tuple[float, ...]
    translation: Translation


def align_spaces(
    speech: WordVectors,
    text: WordVectors,
    *,
    start: Start = "anchors",
    anchors: Sequence[tuple[str, str]] = (),
    n_refinements: int = N_REFINEMENTS,
    n_frequent: int = N_FREQUENT,
    n_neighbours: int = N_NEIGHBOURS,
    settings: AdversarialSettings | None = None,
    n_starts: int = 1,
    seed: int = 0,
) -> Alignment:
    """Find the orthogonal map from one space to another, and how well words find themselves by it.

    All vectors are brought to length one, their mean is taken off and they are brought to length one again (ours: what
    all words have in common, such as how recordings sound, would else be most of each vector). Then comes the start,
    and refinement: the mutual CSLS dictionary of the most frequent words, and Procrustes on it.

    Args:
        speech: the source, the most frequent word first.
        text: the target, the most frequent word first.
        start: "anchors", pairs that are known; "axes", see `axes_start`; "adversarial", see `best_adversarial_start`.
        anchors: pairs of a source and a target word, for the start of this name alone. The words of a transcript give
            them for a space learnt on it; those left out test the map.
        n_refinements: how often dictionary and Procrustes are repeated.
        n_frequent: most frequent words of each space that the dictionary is made of.
        n_neighbours: of the dictionary's CSLS.
        settings: of the adversarial start.
        n_starts: adversarial starts, of which the best by the criterion counts.
        seed: of the adversarial start; the others draw nothing.

    Raises:
        ConfigError: an unknown start, spaces of different size or with NaN, anchors without the start of this name or
            with words that a space has not, and the start without anchors.
    """
    _check(speech, text, start, anchors)
    source_mean, target_mean = (unit_vectors(space.vectors).mean(0) for space in (speech, text))
    source, target = _centred(speech.vectors, source_mean), _centred(text.vectors, target_mean)
    given = np.array([(speech.index[a], text.index[b]) for a, b in anchors], dtype=np.int64).reshape(-1, 2)
    if start == "anchors":
        matrix = procrustes(source[given[:, 0]], target[given[:, 1]])
    elif start == "axes":
        matrix = axes_start(source, target)
    else:
        matrix = best_adversarial_start(source, target, settings=settings, n_starts=n_starts, seed=seed).matrix
    criterion = [selection_criterion(source @ matrix.T, target)]
    for _ in range(n_refinements):
        matrix = refined(matrix, source, target, given, n_frequent, n_neighbours)
        criterion.append(selection_criterion(source @ matrix.T, target))
    known = {source_word for source_word, _ in anchors}
    pairs = [(speech.index[w], text.index[w]) for w in shared_words(speech, text) if w not in known]
    translation = word_translation(source @ matrix.T, target, pairs)
    return Alignment(matrix, source_mean, target_mean, start, len(given), tuple(criterion), translation)


def refined(
    matrix: np.ndarray,
    source: np.ndarray,
    target: np.ndarray,
    anchors: np.ndarray,
    n_frequent: int = N_FREQUENT,
    n_neighbours: int = N_NEIGHBOURS,
) -> np.ndarray:
    """One refinement of W: Procrustes on the mutual CSLS dictionary of the most frequent words, and on the anchors.

    Args:
        matrix: W (dim, dim).
        source: (source word, dim), by frequency.
        target: (target word, dim), by frequency.
        anchors: (pair, 2), indices; these words are not looked up anew (ours).
        n_frequent: words of each space that the dictionary is made of.
        n_neighbours: of CSLS.
    """
    found = mutual_dictionary(source[:n_frequent] @ matrix.T, target[:n_frequent], n_neighbours)
    free = ~np.isin(found[:, 0], anchors[:, 0]) & ~np.isin(found[:, 1], anchors[:, 1])
    pairs = np.concatenate([anchors, found[free]])
    return procrustes(source[pairs[:, 0]], target[pairs[:, 1]])


def shared_words(speech: WordVectors, text: WordVectors) -> tuple[str, ...]:
    """Words that both spaces have, in the order of the first."""
    return tuple(word for word in speech.words if word in text)


def write_alignment(overlay: Overlay, path: str | Path) -> None:
    """Write what maps vectors, as safetensors; the scores belong to a report."""
    tensors = {name: np.ascontiguousarray(getattr(overlay, name)) for name in PARTS}
    with atomic_path(path) as temporary:
        save_file(tensors, temporary)


def read_alignment(path: str | Path) -> Overlay:
    """Read what `write_alignment` wrote.

    Raises:
        CheckpointError: not such a file, or damaged.
    """
    try:
        parts = load_file(path)
        overlay = Overlay(*(parts[name] for name in PARTS))
    except (OSError, SafetensorError, KeyError) as error:
        raise CheckpointError(f"{path}: no alignment, or damaged ({error}); align anew") from error
    n = len(overlay.source_mean)
    if overlay.matrix.shape != (n, n) or not all(np.isfinite(part).all() for part in parts.values()):
        raise CheckpointError(f"{path}: damaged, its matrix is no rotation of {n} dimensions; align anew")
    return overlay


def _centred(vectors: np.ndarray, mean: np.ndarray) -> np.ndarray:
    return unit_vectors(unit_vectors(vectors) - mean)


def _check(speech: WordVectors, text: WordVectors, start: str, anchors: Sequence[tuple[str, str]]) -> None:
    if start not in get_args(Start):
        raise ConfigError(unknown_name("start of an alignment", start, get_args(Start)))
    if speech.n_dimensions != text.n_dimensions:
        raise ConfigError(
            f"alignment: speech vectors have {speech.n_dimensions} dimensions, text vectors {text.n_dimensions}; a "
            "rotation needs the same; train one of them anew"
        )
    for name, space in (("speech", speech), ("text", text)):
        wrong = ~np.isfinite(space.vectors).all(1)
        if wrong.any():
            raise ConfigError(f"alignment: {name} vector of {space.words[int(wrong.argmax())]!r} has NaN or infinity")
    if (start == "anchors") != bool(anchors):
        raise ConfigError(f"alignment: start {start!r} and {len(anchors)} anchors; give anchors to the start 'anchors'")
    for word, other in anchors:
        if word not in speech or other not in text:
            raise ConfigError(f"alignment: anchor {word!r}, {other!r}: not in both spaces; see shared_words")
