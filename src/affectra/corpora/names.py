"""Names of people, sessions, dialogues and corpora: one spelling on reading, and spellings that may be one person."""

import re
import unicodedata
from collections import defaultdict
from collections.abc import Iterable
from functools import cache
from typing import NamedTuple

import pandas as pd

NAME_COLUMNS = ("corpus", "speaker", "session", "dialogue")
N_SHOWN = 5  # groups of names that are shown one by one; the others are counted

# What Unicode calls default ignorable (zero-width characters, byte order mark, soft hyphen, variation selectors) and
# the control characters that are no white space.
_INVISIBLE = re.compile(
    "[\x00-\x08\x0e-\x1b\x7f-\x84\x86-\x9f\u00ad\u034f\u061c\u115f\u1160\u17b4\u17b5\u180b-\u180f\u200b-\u200f"
    "\u202a-\u202e\u2060-\u206f\u3164\ufe00-\ufe0f\ufeff\uffa0\ufff0-\ufff8\U000e0000-\U000e0fff]"
)
_WHOLE = re.compile(r"-?\d+(\.0+)?")
_BETWEEN_NUMBERS = re.compile(r"(?<=\d) +(?=\d)")  # 1_10 is not 11_0
_LEADING_ZEROS = re.compile(r"(?<!\d)0+(?=\d)")
_FAMILY_NAME_FIRST = re.compile(r"([^\W\d][^,\d]*),([^,\d]*[^\W\d][^,\d]*)")
_ACCENTS = re.compile("[\u0300-\u036f]")  # of Latin, Greek and Cyrillic; the marks of other scripts are their letters
# Small Cyrillic and Greek letters by the Latin ones that they, or their capitals, look like.
_LOOK_ALIKES = {
    **dict(zip("авекмнорстухѕіјһԁԛԝ", "abekmhopctyxsijhdqw", strict=True)),
    **dict(zip("αβεζηικμνορτυχ", "abezhikmnoptyx", strict=True)),
}
_WITHOUT_STROKES = {"ø": "o", "ł": "l", "đ": "d", "ð": "d", "ı": "i", "æ": "ae", "œ": "oe", "þ": "th"}


def normalize_name(name: str) -> str:
    """A name in composed Unicode (NFC), without invisible characters, any white space in it as one blank.

    What a reader sees stays as it is.

    Example:
        >>> normalize_name("\\ufeffAnna\\u00a0 Smith\\u200b ")
        'Anna Smith'
    """
    if not (name.isascii() and name.isprintable()):  # few names, and quick to tell
        name = unicodedata.normalize("NFC", _INVISIBLE.sub("", name))
    return " ".join(name.split())


def normalize_names(names: Iterable[str]) -> list[str]:
    """The names of a column, each as `normalize_name` has it.

    Where all are whole numbers they lose the `.0` that programs give to the numbers of a column with gaps.

    Example:
        >>> normalize_names(["3.0", "", "10.0"]), normalize_names(["1.0", "1.5"])
        (['3', '', '10'], ['1.0', '1.5'])
    """
    names = list(names)
    normal = {name: normalize_name(name) for name in set(names)}
    if all(_WHOLE.fullmatch(name) for name in normal.values() if name):
        normal = {name: number.partition(".")[0] for name, number in normal.items()}
    return [normal[name] for name in names]


class Alike(NamedTuple):
    """Names of speakers of one corpus that a person may read as one name."""

    corpus: str
    names: tuple[str, ...]

    def __str__(self) -> str:
        """The names in quotes and their corpus; what looks the same and is of another script is called by its name."""
        foreign = {name: [letter for letter in name if letter.casefold() in _LOOK_ALIKES] for name in self.names}
        differ = not all(foreign.values())
        shown = (
            f"{name!r} (with {unicodedata.name(foreign[name][0])})" if differ and foreign[name] else repr(name)
            for name in self.names
        )
        return f"{', '.join(shown)} (corpus {self.corpus})"


def alike_speakers(manifest: pd.DataFrame) -> list[Alike]:
    """Speakers of one corpus whose names a person may read as one, in the order of the alphabet.

    Names are alike if they differ in case, accents, blanks and punctuation, leading zeros, letters of another script
    that look the same, or the order of "Anna Smith" and "Smith, Anna". Nobody puts them together: they may be two.

    Example:
        >>> found = alike_speakers(pd.DataFrame({"corpus": "mine", "speaker": ["spk01", "SPK 1", "spk10"]}))
        >>> [str(names) for names in found]
        ["'SPK 1', 'spk01' (corpus mine)"]
    """
    found = []
    for corpus, speakers in manifest.groupby("corpus")["speaker"]:
        groups: dict[str, list[str]] = defaultdict(list)
        for name in sorted(speakers.unique().tolist()):
            groups[_comparable(name)].append(name)
        groups.pop("", None)  # no name, or nothing but punctuation
        found += [Alike(str(corpus), tuple(names)) for names in groups.values() if len(names) > 1]
    return found


def spelling_warnings(manifest: pd.DataFrame) -> list[str]:
    """A line for each of the first `alike_speakers`, and one for the rest."""
    found = alike_speakers(manifest)
    lines = [f"may be the same speaker: {names}" for names in found[:N_SHOWN]]
    if len(found) > N_SHOWN:
        lines.append(f"may be the same speaker: {len(found) - N_SHOWN} more groups of names")
    return lines


def _comparable(name: str) -> str:
    """Reduce a name to a form that is equal for names which a person may read as one."""
    sign = ""
    if match := _WHOLE.fullmatch(name):
        sign, name = "-" * name.startswith("-"), name.removesuffix(match[1] or "")  # -1 and 1 are two numbers
    elif match := _FAMILY_NAME_FIRST.fullmatch(name):
        name = f"{match[2]} {match[1]}"
    if not name.isascii():
        name = _ACCENTS.sub("", unicodedata.normalize("NFKD", name))
    plain = "".join(map(_plain, name.casefold()))
    plain = _BETWEEN_NUMBERS.sub("-", plain).replace(" ", "")
    return sign + _LEADING_ZEROS.sub("", plain)


@cache
def _plain(letter: str) -> str:
    """A small letter as the Latin one that it looks like, a digit as 0 to 9, and what only separates as a blank."""
    if letter.isdecimal():
        return str(unicodedata.decimal(letter))
    return " " if unicodedata.category(letter)[0] in "PZC" else (_LOOK_ALIKES | _WITHOUT_STROKES).get(letter, letter)
