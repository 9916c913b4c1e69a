"""Text into words, in any language: what every text model and word vector of the toolkit sees."""

import re
import sys
import unicodedata
from functools import cache

# Bytes of Windows' western code page that were read as if they were control characters, as in the tables of MELD.
_CP1252 = {code: bytes([code]).decode("cp1252", errors="ignore") for code in range(0x80, 0xA0)}
_APOSTROPHES = dict.fromkeys(map(ord, "‘’‛ʼ＇′´`"), "'")  # before NFKC, which takes the last ones apart
_MARKS_END = 0x1F000  # behind it there are no combining marks but variants of Chinese characters


def split_words(text: str, *, punctuation: bool = False) -> list[str]:
    """The words of a text in small letters.

    Contractions stay whole, hyphens part words, numbers keep their points, and a tag for what is not a word
    (<laughter>, [LAUGHTER], ++LAUGHTER++) is one token <laughter>. Chinese and Japanese, written without spaces, give a
    token a character; Thai, Lao, Khmer and Burmese a token for all between two spaces.

    Args:
        text: the words spoken; the empty text has no words.
        punctuation: also the marks that carry affect as tokens: ! and !! (or more), ? and ??, ?! (both, in any order
            and number), and ... for an ellipsis.

    Example:
        >>> split_words("Don’t you DARE <laughter>!!! Größe?!")
        ["don't", 'you', 'dare', '<laughter>', 'größe']
        >>> split_words("Well... No!!! [Door slams]", punctuation=True)
        ['well', '...', 'no', '!!', '<door-slams>']
    """
    text = unicodedata.normalize("NFKC", text.translate(_CP1252).translate(_APOSTROPHES))
    words = []
    for match in _pattern().finditer(text):
        kind, token = match.lastgroup, match[0]
        if kind == "tag":
            words.append(f"<{'-'.join(token.strip('<>[]+').lower().split())}>")
        elif kind == "word":
            words.append(token.lower())
        elif punctuation:
            words.append(_mark(token))
    return words


def _mark(run: str) -> str:
    """A run of marks as one of the few that are kept apart."""
    marks = set(run)
    if len(marks) == 2:
        return "?!"
    return "..." if marks == {"."} else run[:2]


@cache
def _pattern() -> re.Pattern[str]:
    # Python's \w leaves out combining marks, without which Hindi or Arabic fall to pieces.
    marks = [
        code for code in range(0x300, min(_MARKS_END, sys.maxunicode)) if unicodedata.category(chr(code))[0] == "M"
    ]
    mark = "".join(map(chr, marks))
    single = "\u3040-\u30ff\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff"  # kana and Chinese characters
    letter = rf"(?:[^\W_{single}][{mark}]*)"
    tag = r"[^\s<>\[\]+][^<>\[\]+]{0,30}"  # ours: what is longer is speech in brackets
    return re.compile(
        rf"(?P<tag><{tag}>|\[\s*{tag}\]|\+\+{tag}\+\+)"
        rf"|(?P<word>\d+(?:[.,:]\d+)+|[{single}]|{letter}+(?:'{letter}+)*)"
        r"|(?P<mark>[!?]+|\.{2,})"
    )
