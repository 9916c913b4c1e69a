"""Word translation: how often a word of one space finds itself in the other, beside what chance would find."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from affectra.features.words.alignment.csls import ranks

PLACES = (1, 5)
LEVEL = 0.01  # ours: a precision that chance reaches more often than this is called chance


@dataclass(frozen=True)
class Translation:
    """Precision of word translation.

    Attributes:
        n_words: words asked for; none of them was a pair that the map was fitted to.
        n_candidates: words of the target space, which all compete.
        precision: share of the words whose partner is among the first 1 and 5, by place; None of no words.
        chance: what a map that knows nothing reaches, by place.
        p_value: probability that such a map would be as good at the first place or better.
    """

    n_words: int
    n_candidates: int
    precision: dict[int, float | None]
    chance: dict[int, float]
    p_value: float | None

    @property
    def is_above_chance(self) -> bool:
        """Whether chance would hardly reach it."""
        return self.p_value is not None and self.p_value < LEVEL


def word_translation(mapped: np.ndarray, target: np.ndarray, pairs: Sequence[tuple[int, int]]) -> Translation:
    """Ask for the partner of each word by CSLS.

    Args:
        mapped: (source word, dim), in the target space.
        target: (target word, dim).
        pairs: indices of the words asked for and of their partners; none that the map was fitted to.
    """
    n = len(target)
    chance = {place: min(1.0, place / n) for place in PLACES}
    if not pairs:
        return Translation(0, n, dict.fromkeys(PLACES), chance, None)
    words, truth = np.array(pairs).T
    places = ranks(mapped, target, words, truth)
    precision: dict[int, float | None] = {place: float((places <= place).mean()) for place in PLACES}
    # Words are not independent, so this is a guide and no test.
    from scipy.stats import binom

    p_value = float(binom.sf((places == 1).sum() - 1, len(places), chance[1]))
    return Translation(len(places), n, precision, chance, p_value)
