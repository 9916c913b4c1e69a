"""Word errors: what a recogniser put for other words, left out and put in, and their rate over a corpus."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from affectra.text.asr.words import spoken_words


@dataclass(frozen=True)
class WordErrors:
    """Counted word errors; the sum of several is that of all their texts together.

    Attributes:
        substitutions: words of the reference that another stands for.
        deletions: words of the reference that are missing.
        insertions: words that are not in the reference.
        n_reference: words of the reference.

    Example:
        >>> (WordErrors(1, 0, 1, n_reference=2) + WordErrors(0, 0, 0, n_reference=6)).rate
        0.25
    """

    substitutions: int = 0
    deletions: int = 0
    insertions: int = 0
    n_reference: int = 0

    @property
    def n_errors(self) -> int:
        """All errors."""
        return self.substitutions + self.deletions + self.insertions

    @property
    def rate(self) -> float:
        """Errors per word of the reference, from 0 up; it may exceed 1.

        Where the reference has no words it is 0 if none were put in, else infinite.
        """
        if self.n_reference == 0:
            return float("inf") if self.n_errors else 0.0
        return self.n_errors / self.n_reference

    def __add__(self, other: "WordErrors") -> "WordErrors":
        return WordErrors(
            self.substitutions + other.substitutions,
            self.deletions + other.deletions,
            self.insertions + other.insertions,
            self.n_reference + other.n_reference,
        )


def word_errors(reference: str | Sequence[str], hypothesis: str | Sequence[str]) -> WordErrors:
    """Fewest errors that turn the reference into the hypothesis (Levenshtein distance over words).

    Among several ways with as few errors the one with the most substitutions is counted, so that the other direction
    has the same substitutions, and deletions and insertions exchanged.

    Args:
        reference: the words spoken: a text, of which `spoken_words` are taken, or words, which are taken as they are.
        hypothesis: the words recognised, likewise.

    Example:
        >>> word_errors("The cat sat on the mat.", "cat sat on a mat")
        WordErrors(substitutions=1, deletions=1, insertions=0, n_reference=6)
    """
    spoken = spoken_words(reference) if isinstance(reference, str) else tuple(reference)
    recognised = spoken_words(hypothesis) if isinstance(hypothesis, str) else tuple(hypothesis)
    # One number a cell: errors times `unit`, plus deletions and insertions, which are never as many as `unit`.
    unit = len(spoken) + len(recognised) + 1
    costs = [place * (unit + 1) for place in range(len(recognised) + 1)]
    for word in spoken:
        diagonal, costs[0] = costs[0], costs[0] + unit + 1
        for place, other in enumerate(recognised, start=1):
            matched = diagonal + (0 if word == other else unit)
            diagonal = costs[place]
            costs[place] = min(matched, costs[place] + unit + 1, costs[place - 1] + unit + 1)
    n_errors, n_shifts = divmod(costs[-1], unit)
    deletions = (n_shifts + len(spoken) - len(recognised)) // 2
    return WordErrors(n_errors - n_shifts, deletions, n_shifts - deletions, len(spoken))


def corpus_word_errors(pairs: Iterable[tuple[str | Sequence[str], str | Sequence[str]]]) -> WordErrors:
    """Word errors of a corpus: counts added up, so that long utterances weigh as many words as they have.

    Args:
        pairs: reference and hypothesis of each utterance.

    Example:
        >>> corpus_word_errors([("no", "yes"), ("one two three", "one two three")]).rate
        0.25
    """
    return sum((word_errors(reference, hypothesis) for reference, hypothesis in pairs), WordErrors())
