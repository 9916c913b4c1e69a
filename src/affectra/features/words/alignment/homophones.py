"""Homophones: words of one sound lie together in a space that was learnt from sound, and need not in others."""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations

import numpy as np

from affectra.features.words.alignment.csls import unit_vectors
from affectra.recipes.domains import primary_language
from affectra.text.word_vectors import WordVectors

# Each group sounds alike in the language's standard pronunciation; ours, far from all there are.
HOMOPHONES: dict[str, tuple[tuple[str, ...], ...]] = {
    "en": (
        ("to", "too", "two"), ("there", "their", "they're"), ("your", "you're"), ("its", "it's"), ("for", "four"),
        ("by", "buy", "bye"), ("no", "know"), ("new", "knew"), ("right", "write"), ("here", "hear"), ("one", "won"),
        ("be", "bee"), ("see", "sea"), ("son", "sun"), ("would", "wood"), ("hour", "our"), ("weak", "week"),
        ("wait", "weight"), ("way", "weigh"), ("whole", "hole"), ("peace", "piece"), ("made", "maid"), ("eye", "i"),
        ("meet", "meat"), ("night", "knight"), ("not", "knot"), ("read", "red"), ("road", "rode"), ("sent", "cent"),
        ("so", "sew"), ("some", "sum"), ("tale", "tail"), ("through", "threw"), ("wear", "where"), ("great", "grate"),
        ("male", "mail"), ("pair", "pear"), ("plain", "plane"), ("principal", "principle"), ("dear", "deer"),
        ("break", "brake"), ("fair", "fare"), ("flour", "flower"), ("past", "passed"), ("role", "roll"),
        ("sail", "sale"), ("site", "sight"), ("steal", "steel"), ("story", "storey"), ("war", "wore"), ("in", "inn"),
        ("but", "butt"), ("blue", "blew"), ("eight", "ate"), ("him", "hymn"), ("lead", "led"),
    ),
    "de": (
        ("das", "dass"), ("seit", "seid"), ("wieder", "wider"), ("mehr", "meer"), ("war", "wahr"), ("man", "mann"),
        ("ist", "isst"), ("wird", "wirt"), ("rad", "rat"), ("seite", "saite"), ("lied", "lid"), ("leere", "lehre"),
        ("stadt", "statt"), ("fiel", "viel"), ("hast", "hasst"), ("lerche", "lärche"),
        ("mal", "mahl"), ("tod", "tot"), ("bald", "ballt"), ("bund", "bunt"), ("weise", "waise"),
    ),
}  # fmt: skip
NEAR = 0.1  # ours: of all words the nearest tenth
MIN_PAIRS = 3  # ours: fewer pairs say nothing either way


@dataclass(frozen=True)
class HomophoneCheck:
    """Where words that sound alike lie.

    Attributes:
        pairs: the homophones that the space has, one pair each.
        places: of each pair, the share of all other words that are nearer to one word than the other word is, the mean
            of both ways; 0 is next to each other, 0.5 what chance gives.
    """

    pairs: tuple[tuple[str, str], ...]
    places: tuple[float, ...]

    @property
    def median_place(self) -> float | None:
        """Median of `places`; None where the space has no homophones."""
        return float(np.median(self.places)) if self.places else None

    @property
    def verdict(self) -> str:
        """ "near", as sound demands; "not near", not learnt from sound, or badly; "n/a" with too few pairs to tell."""
        if self.median_place is None or len(self.pairs) < MIN_PAIRS:
            return "n/a"
        return "near" if self.median_place <= NEAR else "not near"


def check_homophones(space: WordVectors, languages: Sequence[str]) -> HomophoneCheck:
    """Look up where homophones lie in a space that should be learnt from speech.

    Two words of one sound are the same to an encoder of sound, whatever they mean. In published Speech2Vec vectors they
    were found apart, as in vectors that were learnt from text ("Homophone Reveals the Truth", arXiv 2209.10791).

    Args:
        space: the words' vectors; their common mean is taken off.
        languages: that were spoken, BCP 47; of a language without a list in `HOMOPHONES` nothing is known.
    """
    spoken = sorted({primary_language(language) for language in languages})
    groups = [group for language in spoken for group in HOMOPHONES.get(language, ())]
    known = [[word for word in group if word in space] for group in groups]
    pairs = tuple(pair for group in known for pair in combinations(group, 2))
    if len(space) < 3:
        return HomophoneCheck((), ())
    vectors = unit_vectors(space.vectors)
    vectors = unit_vectors(vectors - vectors.mean(0))
    rows = [(space.index[word], space.index[other]) for word, other in pairs]
    places = [(_place(vectors, a, b) + _place(vectors, b, a)) / 2 for a, b in rows]
    return HomophoneCheck(pairs, tuple(places))


def _place(vectors: np.ndarray, word: int, other: int) -> float:
    """Share of the words besides these two that are at least as near to `word` as `other` is."""
    cosines = vectors @ vectors[word]
    nearer = cosines >= cosines[other]
    nearer[[word, other]] = False
    return float(nearer.sum() / (len(vectors) - 2))
