"""The lines of IEMOCAP's label and alignment files: what each says, or what is wrong with it."""

import re
from dataclasses import dataclass

from affectra.corpora.tree import Row, unknown_code

DIALOGUE = re.compile(r"Ses0(?P<session>[1-5])[FM]_(?P<style>impro|script)\d\d[a-z]?(_\d[a-z]?)?")
TURN = re.compile(rf"(?P<dialogue>{DIALOGUE.pattern})_(?P<letter>[FM])\d{{3}}")
UNLABELLED = re.compile(rf"{DIALOGUE.pattern}_[FM]XX\d+")  # in transcripts alone
EMOTIONS = {
    "ang": "anger",
    "dis": "disgust",
    "exc": "excitement",
    "fea": "fear",
    "fru": "frustration",
    "hap": "happiness",
    "neu": "neutral",
    "oth": "other",
    "sad": "sadness",
    "sur": "surprise",
    "xxx": "none",  # no majority among the raters
}
RATED = {  # the words of a rater's line
    "anger": "anger",
    "disgust": "disgust",
    "excited": "excitement",
    "fear": "fear",
    "frustration": "frustration",
    "happiness": "happiness",
    "neutral": "neutral",
    "neutral state": "neutral",
    "other": "other",
    "sadness": "sadness",
    "surprise": "surprise",
}
STYLES = {"impro": "improvised", "script": "scripted"}
GENDERS = {"F": "female", "M": "male"}

NUMBER = r"\d+(?:\.\d+)?"
LABEL = re.compile(
    rf"\[(?P<start>{NUMBER})\s*-\s*(?P<end>{NUMBER})\]\s+(?P<turn>\w+)"
    r"(?:\s+(?P<code>[a-z]+))?(?:\s+(?P<dimensions>\[.*))?"
)
DIMENSIONS = re.compile(rf"\[({NUMBER}),\s*({NUMBER}),\s*({NUMBER})\]")
RATER = re.compile(r"(?P<rater>(?P<kind>[AC])-[EFM]\d+):\s*(?P<rating>[^(]*?)\s*(?P<comment>\(.*)?")
RATED_DIMENSIONS = re.compile(rf"val\s+({NUMBER})?\s*;\s*act\s+({NUMBER})?\s*;\s*dom\s+({NUMBER})?\s*;")
ALIGNED = re.compile(r"(?P<first>\d+)\s+(?P<last>\d+)\s+-?\d+\s+(?P<word>\S+)")
NO_WORD = re.compile(r"<.*>|\+\+.*\+\+")  # silences and noises
VARIANT = re.compile(r"\(\d+\)$")  # which of a word's pronunciations it was

FRAME_S = 0.01
END_TOLERANCE_S = 0.05  # ours: frames overlap, so that the last may reach beyond the end


@dataclass(frozen=True)
class Label:
    """A turn's line.

    Attributes:
        row: of the manifest, without the file; what the line lacks is empty.
        span: beginning and end, s from the beginning of the dialogue.
        lacking: what it lacks, in words; "" if it is whole.
    """

    row: Row
    span: tuple[float, float]
    lacking: str


def parse_label(line: str) -> Label | str:
    """A line such as `[6.2901 - 8.2357] Ses01F_impro01_F000 neu [2.5000, 2.5000, 2.5000]`, or what is wrong with it.

    The numbers are valence, activation and dominance. Without its times and name a line says nothing; without category
    or numbers it says that there is a turn.
    """
    match = LABEL.fullmatch(line)
    turn = match and TURN.fullmatch(match["turn"])
    if match is None or turn is None:
        return "no whole times and name of a turn; the line looks cut off"
    start, end = float(match["start"]), float(match["end"])
    if end <= start:
        return f"{turn[0]} ends at {end:g} s, not after its beginning at {start:g} s"
    code, dimensions = match["code"] or "", DIMENSIONS.fullmatch(match["dimensions"] or "")
    no_category = unknown_code(("category", code, EMOTIONS)) if code else "no category"
    no_dimensions = None if dimensions else "no valence, activation and dominance"
    valence, arousal, dominance = dimensions.groups() if dimensions else (None, None, None)
    row = {
        "utterance": turn[0],
        "speaker": f"Ses0{turn['session']}{turn['letter']}",
        "gender": GENDERS[turn["letter"]],
        "language": "en",
        "session": turn["session"],
        "dialogue": turn["dialogue"],
        "emotion": EMOTIONS.get(code, ""),
        "arousal": arousal,
        "valence": valence,
        "dominance": dominance,
        "style": STYLES[turn["style"]],
    }
    return Label(row, (start, end), " and ".join(filter(None, (no_category, no_dimensions))))


def parse_rater(line: str) -> list[Row] | str:
    """One rater's line: a row for each category, or one with the numbers; or what is wrong with it.

    Example:
        >>> parse_rater("C-E2:\\tNeutral; Frustration;\\t(tired)")
        [{'rater': 'C-E2', 'emotion': 'neutral'}, {'rater': 'C-E2', 'emotion': 'frustration'}]
        >>> parse_rater("A-E4:\\tval 1; act 4; dom  ;\\t()")
        [{'rater': 'A-E4', 'valence': 1.0, 'arousal': 4.0}]
    """
    match = RATER.fullmatch(line)
    if match is None:
        return "neither a turn nor a rater's line; damaged or cut off"
    rater, rating = match["rater"], match["rating"]
    if match["kind"] == "A":
        if numbers := RATED_DIMENSIONS.fullmatch(rating):
            named = zip(("valence", "arousal", "dominance"), numbers.groups(), strict=True)
            return [{"rater": rater, **{name: float(number) for name, number in named if number}}]
    elif rating.endswith(";") or (not rating and match["comment"]):
        words = [word.strip().lower() for word in rating.split(";") if word.strip()]
        unknown = unknown_code(*(("category", word, RATED) for word in words))
        return unknown or [{"rater": rater, "emotion": RATED[word]} for word in words]
    return f"the rating of {rater} is damaged or cut off"


def parse_alignment(lines: list[tuple[str, str]], length_s: float) -> list[Row] | tuple[str, str]:
    """The words of an alignment in order, or the place and what is wrong there.

    Frames are shifted by 10 ms and the last belongs to the word, so that it lasts from 0.01 first to 0.01 (last + 1).

    Args:
        lines: place and text of each line that is not blank.
        length_s: how long the turn is.
    """
    if not lines or lines[0][1].split() != ["SFrm", "EFrm", "SegAScr", "Word"]:
        return lines[0][0] if lines else "", "expected the header SFrm EFrm SegAScr Word"
    if not lines[-1][1].startswith("Total score:"):
        return lines[-1][0], "expected Total score: at the end; the file looks cut off"
    words: list[Row] = []
    before = -1
    for place, line in lines[1:-1]:
        match = ALIGNED.fullmatch(line)
        if match is None:
            return place, "expected first frame, last frame, score and word"
        first, last = int(match["first"]), int(match["last"])
        if not before < first <= last:
            return place, f"frames {first} to {last} after frame {before} are out of order"
        before = last
        if NO_WORD.fullmatch(match["word"]):
            continue
        start, end = first * FRAME_S, (last + 1) * FRAME_S
        if start >= length_s or end > length_s + END_TOLERANCE_S:
            return place, "a word beyond the end of the turn"
        word = VARIANT.sub("", match["word"])
        words.append({"word": word, "start": round(start, 2), "end": round(min(end, length_s), 4)})
    return words
