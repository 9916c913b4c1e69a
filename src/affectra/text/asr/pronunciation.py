"""How a word that no dictionary has may be pronounced: letter by letter, in the phones of the English model."""

import re
import unicodedata

UNKNOWN = "+SPN+"  # the model's unit for speech that it cannot tell

# Ours, and crude: enough to find where in a recording a name is spoken, not to recognise it.
_SPELLINGS = {
    "sch": "SH", "tch": "CH", "ch": "CH", "sh": "SH", "th": "TH", "ph": "F", "ck": "K", "ng": "NG", "qu": "K W",
    "wh": "W", "ee": "IY", "oo": "UW", "ea": "IY", "ai": "EY", "ay": "EY", "ei": "AY", "ie": "IY", "eu": "OY",
    "au": "AW", "ou": "AW", "ow": "OW", "oi": "OY", "oy": "OY",
    "a": "AA", "b": "B", "c": "K", "d": "D", "e": "EH", "f": "F", "g": "G", "h": "HH", "i": "IH", "j": "JH",
    "k": "K", "l": "L", "m": "M", "n": "N", "o": "OW", "p": "P", "q": "K", "r": "R", "s": "S", "t": "T", "u": "UH",
    "v": "V", "w": "W", "x": "K S", "y": "IY", "z": "Z",
    "0": "Z IH R OW", "1": "W AH N", "2": "T UW", "3": "TH R IY", "4": "F AO R", "5": "F AY V", "6": "S IH K S",
    "7": "S EH V AH N", "8": "EY T", "9": "N AY N",
}  # fmt: skip
_PIECE = re.compile("|".join(sorted(_SPELLINGS, key=len, reverse=True)))


def pronounce(word: str) -> str:
    """Phones (CMU set, spaces between) of a word by its letters; a word without one Latin letter is `UNKNOWN`.

    Example:
        >>> pronounce("Müller")
        'M UH L EH R'
    """
    letters = unicodedata.normalize("NFKD", word.casefold())
    once = re.sub(r"([b-df-hj-np-tv-z])\1", r"\1", letters)
    return " ".join(_SPELLINGS[piece] for piece in _PIECE.findall(once)) or UNKNOWN
