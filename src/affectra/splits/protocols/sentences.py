"""Which utterances say the same words, in whatever corpus."""

import unicodedata

import pandas as pd


def spoken_sentences(manifest: pd.DataFrame) -> pd.Series:
    """A label for each row, equal where the same words are spoken.

    Two rows say the same if their texts are equal but for case, spaces and punctuation (in any corpus), or if they have
    the same sentence id in the same corpus; both relations are joined, so a row that has text and id ties the rows with
    that text to those with that id.

    Args:
        manifest: rows with `corpus`, `text` and `sentence`.

    Returns:
        Labels with the manifest's index: the smallest text, without spaces, of all that say the same, or where none of
        them has text the smallest "corpus/id"; "" where neither text nor id is known. The same rows give the same
        labels in any order; among other rows a label may change, since rows join others.

    Example:
        >>> rows = pd.DataFrame({"text": ["It's eleven.", "its eleven", "", ""], "sentence": ["", "IEO", "IEO", ""]})
        >>> rows["corpus"] = "c"
        >>> list(spoken_sentences(rows))
        ['itseleven', 'itseleven', 'itseleven', '']
    """
    texts = manifest["text"].map({text: plain_words(text) for text in manifest["text"].unique()})
    ids = (manifest["corpus"] + "/" + manifest["sentence"]).where(manifest["sentence"] != "", "")
    parents: dict[str, str] = {}  # a forest: each name's parent is a smaller name of the same sentence, or itself

    def smallest(name: str) -> str:
        while (parent := parents.setdefault(name, name)) != name:
            parents[name] = parents[parent]  # halves the way for the next who asks
            name = parent
        return name

    for text, sentence in set(zip(texts, ids, strict=True)):
        if text and sentence:
            first, second = sorted((smallest(text), smallest(sentence)), key=_order)
            parents[second] = first
    names = texts.where(texts != "", ids)
    return names.map({name: smallest(name) if name else "" for name in names.unique()}).astype("str")


def plain_words(text: str) -> str:
    """A text's letters and digits without case, spaces and punctuation; equal for canonically equivalent texts.

    Marks count as letters: without its vowel signs a Devanagari word would be another word.

    Example:
        >>> plain_words("Don't sit by the DOOR!")
        'dontsitbythedoor'
    """
    kept = "".join(letter for letter in text.casefold() if unicodedata.category(letter)[0] in "LMN")
    return unicodedata.normalize("NFC", kept)


def _order(name: str) -> tuple[bool, str]:
    """Texts, which have no slash, before ids."""
    return "/" in name, name
