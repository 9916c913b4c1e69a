"""Take names of utterances and files apart: is it an augmented copy, or a segment of a longer utterance."""

import re
from typing import NamedTuple

# Words with which tools and people mark an augmented copy. Those that are also speech (loud, fast) are left out; short
# ones need a number.
_MARKS = (
    r"aug(?:ment(?:ed|ation)?)?|noise|noisy|noised|babble|music|mix(?:ed|up)?|awgn|rev(?:erb(?:erated)?)?|rvb|rir|echo|"
    r"pitch(?:[-_]?shift(?:ed)?|ed)?|speed|tempo|time[-_]?stretch(?:ed)?|stretch(?:ed)?|shift(?:ed)?|gain|vol(?:ume)?|"
    r"copy|dup(?:licate)?|spec[-_]?aug(?:ment)?|flip(?:ped)?|invert(?:ed)?|revers(?:e|ed)|perturb(?:ed)?|vtlp|masked|"
    r"(?:low|high|band)pass|codec|telephone|resampled|mp3|ogg|opus|gsm|amr"
)
_NUMBER = r"[-+_x]?\d+(?:\.\d+)?(?:db|st|hz|%)?"
_MARK = rf"(?:(?:{_MARKS})(?:{_NUMBER})*|(?:sp|snr|ps|ts|pt|wn)(?:{_NUMBER})+|(?:8|11|16|22|24|32|44|48)k(?:hz)?)"
_AUGMENTED = re.compile(rf"(?P<base>.+?)[-_. +]+(?P<mark>{_MARK}|\({_MARK}\)|\(\d+\))", re.IGNORECASE)
_PREFIXED = re.compile(rf"(?P<mark>{_MARK})[-_]+(?P<base>.+)", re.IGNORECASE)
_SEGMENT = re.compile(
    r"(?P<base>.+?)[-_. ]+"
    r"(?:(?P<word>seg(?:ment)?|chunk|slice|win(?:dow)?|frame|crop|part|clip|piece|cut)[-_]?(?P<n>\d+)|"
    r"(?P<start>\d+\.\d+|\d{6,})[-_](?P<end>\d+\.\d+|\d{6,}))",
    re.IGNORECASE,
)
_HINT = re.compile(rf"{_MARK}|seg|chunk|slice|win|frame|crop|part|clip|piece|cut|\(\d|\d\.\d|\d{{6}}", re.IGNORECASE)
_NUMBERED = re.compile(r"(?P<base>.*[^-_\d].*?)[-_](?P<n>\d{3,})")
_SURE = ("seg", "segment", "chunk", "slice", "window", "win", "frame", "crop")  # a part or clip may be an utterance


class Name(NamedTuple):
    """A name taken apart.

    Attributes:
        base: without marks; equal for all that comes from one utterance.
        marks: of augmentation, joined; "" if it has none.
        segment: number or time of a segment; "" if it is none.
        sure: whether the word for the segment can mean nothing else.
        weak: whether a mark stands where corpora have words and numbers of their own, in front or as (1); it counts
            only beside the name without it.
    """

    base: str
    marks: str = ""
    segment: str = ""
    sure: bool = False
    weak: bool = False


def take_apart(name: str) -> Name:
    """A name's base and what marks it as a copy or a segment.

    Example:
        >>> take_apart("03a01Fa_noise_seg02")
        Name(base='03a01Fa', marks='noise', segment='02', sure=True, weak=False)
        >>> take_apart("sp0.9-03a01Fa").marks, take_apart("Ses01F_impro01_F002").base
        ('sp0.9', 'Ses01F_impro01_F002')
    """
    if not _HINT.search(name):  # nearly all names, and quicker to tell so
        return Name(name)
    base, marks, segment, sure, weak = name, [], "", False, False
    while True:
        if match := _AUGMENTED.fullmatch(base):
            marks.append(match["mark"])
            weak |= match["mark"][1:-1].isdigit()
        elif not segment and (match := _SEGMENT.fullmatch(base)):
            if match["start"] and float(match["start"]) >= float(match["end"]):
                break
            segment = match["n"] or f"{match['start']}-{match['end']}"
            sure = match["word"] is None or match["word"].lower() in _SURE
        elif match := _PREFIXED.fullmatch(base):
            marks.append(match["mark"])
            weak = True
        else:
            break
        base = match["base"]
    return Name(base, "_".join(sorted(marks)), segment, sure, weak)


def take_number(name: str) -> tuple[str, int] | None:
    """Base and number of a name such as x-0001; None for others.

    Three digits or more, since tools number what they cut that way; the base has a letter, since dates and codes have
    none.

    Example:
        >>> take_number("03a01Fa-0001"), take_number("EB0_anger_1"), take_number("Ses01F_impro01_F002")
        (('03a01Fa', 1), None, None)
    """
    match = _NUMBERED.fullmatch(name)
    return (match["base"], int(match["n"])) if match else None
