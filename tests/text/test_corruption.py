"""Corrupted text: the rate and shares that were asked for, and nothing else changed."""

from itertools import pairwise

import numpy as np
import pytest

from affectra.corpora.synthetic.text import SHARED, WORDED
from affectra.errors import ConfigError
from affectra.text.asr.corruption import Corruption, Vocabulary, generator
from affectra.text.asr.word_errors import corpus_word_errors, word_errors
from affectra.text.asr.words import spoken_words

WORDS = {f"{first}{second}{third}": 1 for first in "bdfgk" for second in "aeiou" for third in "lmnrst"}
VOCABULARY = Vocabulary(WORDS)


def texts_of(n_texts: int, n_words: int = 25) -> list[str]:
    rng = np.random.default_rng(1)
    return [" ".join(f"w{number}" for number in rng.integers(0, 10_000, n_words)) for _ in range(n_texts)]


def corrupted(texts: list[str], corruption: Corruption, seed: int = 0) -> list[str]:
    return [corruption.corrupt(text, VOCABULARY, generator(seed, str(i))) for i, text in enumerate(texts)]


@pytest.mark.parametrize("rate", [0.05, 0.2, 0.5])
def test_the_measured_word_error_rate_is_the_one_asked_for(rate: float) -> None:
    texts = texts_of(400)
    found = corpus_word_errors(zip(texts, corrupted(texts, Corruption(rate)), strict=True)).rate
    standard_error = np.sqrt(rate / 10_000)
    assert found == pytest.approx(rate, abs=4 * standard_error + 0.01 * rate)


def test_shares_are_those_asked_for() -> None:
    texts = texts_of(600)
    found = corpus_word_errors(zip(texts, corrupted(texts, Corruption(0.1, 0.5, 0.3, 0.2)), strict=True))
    shares = np.array([found.substitutions, found.deletions, found.insertions]) / found.n_errors
    np.testing.assert_allclose(shares, (0.5, 0.3, 0.2), atol=0.05)


@pytest.mark.parametrize(("shares", "kind"), [((1, 0, 0), 0), ((0, 1, 0), 1), ((0, 0, 1), 2)])
def test_a_share_of_one_makes_errors_of_that_kind_alone(shares: tuple[float, float, float], kind: int) -> None:
    texts = texts_of(50)
    found = corpus_word_errors(zip(texts, corrupted(texts, Corruption(0.3, *map(float, shares))), strict=True))
    counts = [found.substitutions, found.deletions, found.insertions]
    assert counts.pop(kind) > 200 and counts == [0, 0]


def test_at_rate_zero_a_text_stays_as_it_is() -> None:
    text = "  Well—I never!  (Said  so?)\tNein, [laughs] größer… "
    assert Corruption(0.0).corrupt(text, VOCABULARY, generator(0, "a")) == text
    assert Corruption(0.9).corrupt("", VOCABULARY, generator(0, "a")) == ""
    assert Corruption(0.9).corrupt("?! ...", VOCABULARY, generator(0, "a")) == "?! ..."


def test_every_word_is_replaced_by_another_at_rate_one() -> None:
    vocabulary = Vocabulary({"yes": 5, "no": 3, "hm": 1})
    for text in ("yes no hm", "Hm, yes! No?", "well-known"):
        spoilt = Corruption(1.0, 1.0, 0.0, 0.0).corrupt(text, vocabulary, generator(0, text))
        assert all(a != b for a, b in zip(spoken_words(text), spoken_words(spoilt), strict=True))
        assert set(spoilt.split()) <= {"yes", "no", "hm"}


def test_words_that_stay_keep_capitals_and_punctuation() -> None:
    text = "Oh, REALLY?! That's 'fine', Größe: well-known; Don't."
    spoilt = Corruption(0.3).corrupt(text, VOCABULARY, generator(0, "a"))
    assert 0 < word_errors(text, spoilt).n_errors < 8
    kept = [word for word in spoilt.split() if word not in WORDS]
    assert len(kept) > 2 and set(kept) <= {*text.split(), *spoken_words(text)}


def test_an_utterance_is_spoilt_in_the_same_way_whatever_else_is_in_the_corpus() -> None:
    assert generator(3, "u1").random() == generator(3, "u1").random()
    assert len({generator(seed, name).random() for seed in (0, 1) for name in ("u1", "u2")}) == 4


def test_a_higher_rate_spoils_the_same_words_and_more() -> None:
    text = texts_of(1, 200)[0]
    kept = [
        set(Corruption(rate, 0.6, 0.4, 0.0).corrupt(text, VOCABULARY, generator(0, "a")).split()) - set(WORDS)
        for rate in (0.0, 0.1, 0.3, 0.6, 1.0)
    ]
    assert all(more > less for more, less in pairwise(kept))
    assert not kept[-1]


def test_words_are_drawn_as_often_as_they_are_said() -> None:
    vocabulary = Vocabulary({"a": 6, "b": 3, "c": 1})
    shares = (np.arange(1000) + 0.5) / 1000
    drawn = [vocabulary.at(share) for share in shares]
    assert [drawn.count(word) for word in "abc"] == [600, 300, 100]
    drawn = [vocabulary.at(share, other_than="b") for share in shares]
    assert drawn.count("b") == 0 and drawn.count("a") == pytest.approx(1000 * 6 / 7, abs=1)


def test_german_is_spoilt_as_english_is() -> None:
    for language in ("en", "de"):
        sentences = [*SHARED[language], *(text for group in WORDED[language].values() for text in group)]
        vocabulary = Vocabulary.of(sentences)
        found = corpus_word_errors(
            (text, Corruption(0.3).corrupt(text, vocabulary, generator(0, f"{text}{copy}")))
            for text in sentences
            for copy in range(10)
        )
        assert found.rate == pytest.approx(0.3, abs=0.025)


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ((0.1, 0.5, 0.5, 0.5), "add up to 1"),
        ((0.1, 1.5, -0.5, 0.0), "expected three from 0"),
        ((-0.1,), "rate -0.1"),
        ((float("nan"),), "rate nan"),
        ((1.5,), "take a lower rate"),
        ((2.0, 0.0, 0.5, 0.5), "take a lower rate"),
    ],
)
def test_impossible_corruption_is_refused(settings: tuple[float, ...], words: str) -> None:
    with pytest.raises(ConfigError, match=words):
        Corruption(*settings)


def test_a_vocabulary_of_one_word_is_refused() -> None:
    with pytest.raises(ConfigError, match="vocabulary of 1 words, expected two or more"):
        Vocabulary.of(["No, no. No!"])
