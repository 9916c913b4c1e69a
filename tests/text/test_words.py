"""Words: any language, marks and tags, and texts that were damaged on their way."""

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from affectra.corpora import meld
from affectra.text.words import split_words


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", []),
        (" \t\n", []),
        ("?! ... -- ,", []),
        ("I DON'T know.", ["i", "don't", "know"]),
        ("rock'n'roll 'cause the dogs' don't", ["rock'n'roll", "cause", "the", "dogs", "don't"]),
        ("Schöne Grüße, Straße!", ["schöne", "grüße", "straße"]),
        ("Zażółć gęślą jaźń", ["zażółć", "gęślą", "jaźń"]),
        ("नमस्ते दुनिया", ["नमस्ते", "दुनिया"]),
        ("Привет, мир", ["привет", "мир"]),
        ("私は嬉しい", ["私", "は", "嬉", "し", "い"]),
        ("well-known, snake_case", ["well", "known", "snake", "case"]),
        ("at 10:30 3.5 or 10,000 times.", ["at", "10:30", "3.5", "or", "10,000", "times"]),
        ("a < b and c > d [1", ["a", "b", "and", "c", "d", "1"]),
    ],
)
def test_words_of_a_text_are_told_apart(text: str, words: list[str]) -> None:
    assert split_words(text) == words


@pytest.mark.parametrize("apostrophe", ["'", "’", "‘", "ʼ", "＇", "´", "`", "\x92"])
def test_a_contraction_is_one_word_however_its_apostrophe_is_written(apostrophe: str) -> None:
    assert split_words(f"You{apostrophe}ve") == ["you've"]


def test_letters_composed_and_decomposed_are_the_same_word() -> None:
    assert split_words("e\u0301te\u0301") == split_words("\u00e9t\u00e9") == ["\u00e9t\u00e9"]


@pytest.mark.parametrize("tag", ["<laughter>", "[LAUGHTER]", "[ Laughter ]", "++LAUGHTER++", "<Laughter>"])
def test_a_tag_is_one_token_in_one_spelling(tag: str) -> None:
    assert split_words(f"well{tag}then") == ["well", "<laughter>", "then"]


def test_a_tag_of_several_words_is_one_token_and_a_long_aside_is_speech() -> None:
    assert split_words("[door slams]") == ["<door-slams>"]
    assert split_words("[he said that she had said that he went]")[:3] == ["he", "said", "that"]


def test_marks_that_carry_affect_are_tokens_when_wanted() -> None:
    text = "No! No!!!! What? What??? What?! What!?!! Well… so... A."
    expected = "no ! no !! what ? what ?? what ?! what ?! well ... so ... a"
    assert split_words(text, punctuation=True) == expected.split()
    assert split_words(text) == ["no", "no", "what", "what", "what", "what", "well", "so", "a"]


@given(st.text(max_size=60))
def test_any_text_gives_words_that_stay_as_they_are(text: str) -> None:
    words = split_words(text)
    assert all(word == word.strip() != "" for word in words)
    assert [again for word in words for again in split_words(word)] == words
    marks = split_words(text, punctuation=True)
    assert [word for word in marks if word not in {"!", "!!", "?", "??", "?!", "..."}] == words


def test_no_control_character_of_meld_is_left_in_a_word(data_dir: Path) -> None:
    table = (data_dir / "meld" / "train_sent_emo.csv").read_text(encoding="utf-8")
    words = {word for line in table.splitlines() for word in split_words(line)}
    assert {"don't", "you've", "it's"} <= words
    assert all(character.isprintable() for word in words for character in word)
    texts = meld.read(data_dir / "meld").manifest.text
    assert sum(len(split_words(text)) > 0 for text in texts) > 0.99 * len(texts)
