"""What a recogniser heard: words and their times, and which words of a text count as spoken."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Protocol

import numpy as np
import numpy.typing as npt

from affectra.text.words import split_words


@dataclass(frozen=True)
class Word:
    """A word and when it was said, s from the start of the samples."""

    word: str
    start_s: float
    end_s: float


@dataclass(frozen=True)
class Transcript:
    """What was said.

    Attributes:
        text: the words with a space between; "" where nothing was heard.
        words: when each was said, in order; empty where a recogniser does not tell.
    """

    text: str = ""
    words: tuple[Word, ...] = ()


class Recognizer(Protocol):
    """What turns speech into text; the same samples give the same words, whatever it heard before."""

    @property
    def version(self) -> str:
        """What besides its options determines its transcripts: versions of packages, hashes of weights."""

    def transcribe(self, samples: npt.NDArray[np.floating], sample_rate: int) -> Transcript:
        """What is said in samples (sample,) or (sample, channel); silence and next to nothing have no words."""


def spoken_words(text: str) -> tuple[str, ...]:
    """The words of a text as recognisers hear them and word errors are counted.

    Those of `affectra.text.words.split_words` (Unicode NFKC, small letters, no punctuation) without tags such as
    <laughter>. Numbers stay as they are written, and contractions are not taken apart.

    Example:
        >>> spoken_words("“Größe 7,” she said – it’s HERE! [laughs]")
        ('größe', '7', 'she', 'said', "it's", 'here')
    """
    return tuple(word for word in split_words(text) if not word.startswith("<"))


def transcript_of(words: Iterable[Word]) -> Transcript:
    """The transcript that has these words."""
    words = tuple(words)
    return Transcript(" ".join(word.word for word in words), words)
