"""Transcripts: words with their times, the interface of recognisers, and which words of a text count as spoken."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Protocol

import numpy as np
import numpy.typing as npt

from affectra.text.words import split_words


@dataclass(frozen=True)
class Word:
    """A word and its times, s from the start of the samples."""

    word: str
    start_s: float
    end_s: float


@dataclass(frozen=True)
class Transcript:
    """The recognised words of a recording.

    Attributes:
        text: the words with a space between; "" where no word was recognised.
        words: each with its times, in order; empty where a recogniser gives no times.
    """

    text: str = ""
    words: tuple[Word, ...] = ()


class Recognizer(Protocol):
    """A speech recogniser; the same samples give the same words, whatever was recognised before."""

    @property
    def version(self) -> str:
        """Versions of packages and hashes of weights, which determine its transcripts besides its options."""

    def transcribe(self, samples: npt.NDArray[np.floating], sample_rate: int) -> Transcript:
        """Transcript of samples (sample,) or (sample, channel); without words for silence or very short audio."""


def spoken_words(text: str) -> tuple[str, ...]:
    """The words of a text as recognisers give them and word errors count them.

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
