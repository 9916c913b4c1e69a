"""MSP-IMPROV (Busso et al. 2017): six pairs of actors improvise, read and chat; clips labelled by many raters."""

import math
import re
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import Literal

import pandas as pd

from affectra.corpora.manifest import Corpus, CorpusInfo, manifest_from_rows
from affectra.corpora.tree import (
    RECORDING_SUFFIXES,
    Fault,
    Row,
    condense,
    is_media,
    list_files,
    read_lines,
    unknown_code,
)
from affectra.errors import CorpusError

LABEL_FILES = ("evalution.txt", "evaluation.txt")  # the first is how the release spells it
CLIP = re.compile(
    r"(?:MSP|UTD)-IMPROV-(?P<rest>S(?P<sentence>\d\d)(?P<target>[A-Z])-(?P<speaker>(?P<sex>[FM])0(?P<session>\d))"
    r"-(?P<scenario>[A-Z])-[FM]{2}(?P<turn>\d{2,3}))"
)
SENTENCES = tuple(f"{number:02}" for number in range(1, 21))
SESSIONS = tuple("123456")
GENDERS = {"F": "female", "M": "male"}
STYLES = {
    "S": "improvised",  # the scene around the target sentence
    "T": "improvised",  # the target sentence, which the scene led to
    "R": "scripted",  # the target sentence, read
    "P": "spontaneous",  # between the recordings
}
HAS_SENTENCE = ("T", "R")
HAS_TARGET = ("S", "T", "R")
IS_SEQUENCE = ("S", "P")
TARGETS = {"A": "anger", "H": "happiness", "N": "neutral", "S": "sadness"}
CONSENSUS = {**TARGETS, "O": "other", "X": "none"}  # X: no word had most of the raters
RATED = {  # the words of the raters' lines and the letters for them
    "angry": "anger",
    "a": "anger",
    "depressed": "other",  # no word of the manifest
    "p": "other",
    "disgusted": "disgust",
    "d": "disgust",
    "excited": "excitement",
    "e": "excitement",
    "fearful": "fear",
    "f": "fear",
    "frustrated": "frustration",
    "r": "frustration",
    "happy": "happiness",
    "h": "happiness",
    "neutral": "neutral",
    "n": "neutral",
    "other": "other",
    "o": "other",
    "x": "other",
    "sad": "sadness",
    "s": "sadness",
    "surprised": "surprise",
    "u": "surprise",
}
NUMBER = re.compile(r"(?P<dimension>[AVDN])\s*:\s*(?P<value>\d+(?:\.\d+)?|NaN)")
DIMENSIONS = {"A": "arousal", "V": "valence", "D": "dominance"}


def read(root: Path, label_source: Literal["consensus", "target"] = "consensus") -> Corpus:
    """Read MSP-IMPROV; the folder with `Evalution.txt` (so spelt in the release) and `session1` to `session6`.

    The label file may also lie deeper, or beside the folder. It names videos, `UTD-IMPROV-S01A-F01-S-FM01.avi`; the
    recordings are called the same with MSP, or with UTD where they were taken from the videos. A name says: sentence
    01, target emotion A, speaker F01 (the woman of session 1), scenario S, two letters for the pair, the clip's number.

    `sentence` is given where it was spoken: in T, which the improvisation led to, and in R, read. In S and P other
    things are spoken. Clips of S and P that share all but the number follow one another; the common part is their
    `dialogue`, the number their `turn`. How both speakers' clips interleave is written nowhere. `text` comes from
    transcripts named like the clips, where there are any.

    Arousal, valence and dominance are means of the raters' 1 to 5, on the corpus's own scales. Mind that public code
    which uses them says that this release counts activation from 1, very active, to 5, very calm, against all other
    corpora; nothing is turned round here. NaN is empty.

    Table "raters" (utterance, rater, emotion, arousal, valence, dominance): what each rater chose first; further words
    are left out, and so are lines that the release repeats.

    Args:
        root: the corpus's folder.
        label_source: where `emotion` comes from. "consensus": from most of the raters, "other" where they chose that
            and "none" where no word had most. "target": from the letter in the name, what the scene aimed at, which is
            NOT what was perceived; empty in P, since nobody aimed at anything there.

    Raises:
        CorpusError: no label file, or no usable clip in it.
    """
    files = list_files(root)
    reading = _Reading(root)
    labels = _find_labels(root, files)
    for file in labels:
        _read_labels(file, reading)
    recordings = _find_recordings(files, reading)
    _read_transcripts((file for file in files if file.suffix.lower() == ".txt" and CLIP.fullmatch(file.stem)), reading)
    rows = []
    for clip, row in sorted(reading.rows.items()):
        if clip in recordings:
            emotion = row["emotion"] if label_source == "consensus" else row["target"]
            rows.append({**row, "file": recordings[clip], "emotion": emotion})
    if not rows:
        reason = f"; {condense(reading.faults)[0]}" if reading.faults else ""
        raise CorpusError(f"{root}: no usable clip of mspimprov in {', '.join(map(str, labels))}{reason}")
    columns = ["utterance", "rater", "emotion", *DIMENSIONS.values()]
    raters = pd.DataFrame(list(dict.fromkeys(reading.raters)), columns=columns)
    raters = raters[raters["utterance"].isin(recordings)].reset_index(drop=True)
    raters = raters.astype({column: "str" if column in columns[:3] else "float" for column in columns})
    return Corpus(
        "mspimprov", root, manifest_from_rows(rows, "mspimprov"), condense(reading.faults), {"raters": raters}
    )


@dataclass
class _Reading:
    """The rows and faults read so far.

    Attributes:
        root: the corpus's folder.
        rows: manifest row by clip, without the file and with both emotions, "emotion" and "target".
        places: file and line of each clip's label.
        raters: rows of the table "raters".
        faults: what was not understood.
    """

    root: Path
    rows: dict[str, Row] = field(default_factory=dict)
    places: dict[str, str] = field(default_factory=dict)
    raters: list[tuple[str | float | None, ...]] = field(default_factory=list)
    faults: list[Fault] = field(default_factory=list)


def _find_labels(root: Path, files: list[PurePosixPath]) -> list[PurePosixPath]:
    """The label files below the root or, if there is none, the one beside it."""
    found = [file for file in files if file.name.lower() in LABEL_FILES]
    if not found:
        beside = [PurePosixPath("..", name) for name in ("Evalution.txt", "Evaluation.txt")]
        found = [file for file in beside if (root / file).is_file()]
    if not found:
        raise CorpusError(
            f"{root}: no label file of mspimprov among {len(files)} files; expected Evalution.txt (so spelt in the "
            "release) or Evaluation.txt, below or beside the folder"
        )
    return found


def _read_labels(file: PurePosixPath, reading: _Reading) -> None:
    """All clips of a label file: a line, the raters' lines, a blank one."""
    clip: str | None = ""  # "": between clips; None: its line was left out, and its raters' with it
    n_before = len(reading.rows)
    for place, line in read_lines(reading.root, file, reading.faults):
        if not line:
            clip = ""
        elif line.startswith(("UTD-IMPROV", "MSP-IMPROV")):
            clip = _read_clip(place, line, reading)
        elif clip == "":
            reading.faults.append((place, "a rater's line without a clip before it; left out"))
        elif clip is not None:
            rating = _parse_rater(line)
            if isinstance(rating, str):
                reading.faults.append((place, f"{rating}; left out"))
            else:
                reading.raters.append((clip, *rating))
    if len(reading.rows) == n_before:
        reading.faults.append((str(file), "no clip in it that is not elsewhere; the file looks cut off or is a copy"))


def _read_clip(place: str, line: str, reading: _Reading) -> str | None:
    """Take over one clip's line; its name, or None where it is left out."""
    name, *cells = [cell.strip() for cell in line.split(";")]
    match = CLIP.fullmatch(PurePosixPath(name).stem)
    fault = _unknown_part(match) if match else "no whole name of a clip; the line looks cut off"
    clip = f"MSP-IMPROV-{match['rest']}" if match else ""
    if clip in reading.rows:
        place, fault = f"{place} ({clip})", "this clip has a line before"
    if match is None or fault:
        reading.faults.append((place, f"{fault}; left out"))
        return None
    whole = cells[:-1]  # what follows the last semicolon is nothing or cut off
    code = whole[0] if whole and not NUMBER.match(whole[0]) else ""
    dimensions = _parse_dimensions(whole)
    no_category = unknown_code(("consensus", code, CONSENSUS)) if code else "no consensus letter"
    lacking = [text for text in (no_category, None if dimensions else "no numbers A, V and D") if text]
    if lacking:
        text = f"{' and '.join(lacking)} for {clip}; the file looks cut off or damaged there"
        reading.faults.append((place, f"{text}; kept without"))
    reading.rows[clip] = {**_parse_name(match), **dimensions, "emotion": CONSENSUS.get(code, "")}
    reading.places[clip] = place
    return clip


def _unknown_part(name: re.Match[str]) -> str | None:
    """Which code of a clip's name is unknown; None if all are known."""
    return unknown_code(
        ("sentence", name["sentence"], SENTENCES), ("target", name["target"], TARGETS),
        ("session", name["session"], SESSIONS), ("scenario", name["scenario"], STYLES),
    )  # fmt: skip


def _parse_name(name: re.Match[str]) -> Row:
    """Manifest row of a clip, from the parts of its name."""
    scenario, clip = name["scenario"], f"MSP-IMPROV-{name['rest']}"
    in_sequence = scenario in IS_SEQUENCE
    return {
        "utterance": clip,
        "speaker": name["speaker"],
        "gender": GENDERS[name["sex"]],
        "language": "en",
        "session": name["session"],
        "dialogue": clip.removesuffix(name["turn"]) if in_sequence else "",
        "turn": int(name["turn"]) if in_sequence else None,
        "sentence": name["sentence"] if scenario in HAS_SENTENCE else "",
        "style": STYLES[scenario],
        "target": TARGETS[name["target"]] if scenario in HAS_TARGET else "",
    }


def _parse_dimensions(cells: list[str]) -> dict[str, float]:
    """Arousal, valence and dominance of cells such as `A:3.4`; none unless all three are there."""
    found = {match["dimension"]: float(match["value"]) for cell in cells if (match := NUMBER.fullmatch(cell))}
    if not set(DIMENSIONS) <= set(found):
        return {}
    return {name: found[letter] for letter, name in DIMENSIONS.items()}


def _parse_rater(line: str) -> tuple[str | float | None, ...] | str:
    """Rater, emotion, arousal, valence and dominance of one rater's line, or what is wrong with it.

    The first word after the rater is what the rater chose, perhaps with a word of the rater's own (`Other-confused`).
    """
    rater, *cells = [cell.strip() for cell in line.split(";")]
    dimensions = _parse_dimensions(cells[:-1])
    if not re.fullmatch(r"[\w-]+", rater) or not dimensions:
        return "expected a clip's line or rater; word; further words; A:..; V:..; D:..; N:..;; damaged or cut off"
    word = re.split(r"[\s(,-]", cells[0].lower(), maxsplit=1)[0]
    values = (None if math.isnan(value) else value for value in dimensions.values())  # NaN is unequal to itself
    return unknown_code(("rater's word", word, RATED)) or (rater, RATED[word], *values)


def _find_recordings(files: list[PurePosixPath], reading: _Reading) -> dict[str, str]:
    """The recording of each clip; they are known by their names, wherever they lie."""
    found: dict[str, str] = {}
    for file in filter(is_media, files):
        match = CLIP.fullmatch(file.stem)
        clip = f"MSP-IMPROV-{match['rest']}" if match else ""
        if file.suffix.lower() == ".avi":  # the clips' videos
            continue
        if match is None:
            fault = "not the name of a clip such as MSP-IMPROV-S01A-F01-S-FM01"
        elif file.suffix.lower() not in RECORDING_SUFFIXES:
            fault = f"expected {' or '.join(RECORDING_SUFFIXES)}"
        elif clip in found:
            fault = "a second recording of its clip"
        elif clip not in reading.rows:
            fault = "no usable label line says what it is"
        else:
            found[clip] = str(file)
            continue
        reading.faults.append((str(file), f"{fault}; left out"))
    reading.faults += [
        (f"{place} ({clip})", f"no recording of this clip, {' or '.join(RECORDING_SUFFIXES)}; left out")
        for clip, place in reading.places.items()
        if clip not in found
    ]
    return found


def _read_transcripts(files: Iterable[PurePosixPath], reading: _Reading) -> None:
    """Put the text to the clips that have a transcript."""
    for file in files:
        clip = f"MSP-IMPROV-{file.stem.partition('-IMPROV-')[2]}"
        if clip not in reading.rows:
            reading.faults.append((str(file), "no usable label line for this clip; its text is left out"))
        elif "text" in reading.rows[clip]:
            reading.faults.append((str(file), "a second text for this clip; left out"))
        else:
            lines = read_lines(reading.root, file, reading.faults)
            reading.rows[clip]["text"] = " ".join(line for _, line in lines if line)


INFO = CorpusInfo(
    name="mspimprov",
    title="MSP-IMPROV: an acted corpus of dyadic interactions",
    languages=("en",),
    licence="research only, by signed agreement",
    access="on request at https://ecs.utdallas.edu/research/researchlabs/msp-lab/MSP-Improv.html",
    read=read,
    # Emotions are published for the consensus and not here, since `label_source` may be another: anger 792,
    # happiness 2644, neutral 3477, sadness 885 (7798 together), other 85, none 555.
    expected={
        "scale": (1.0, 5.0),
        "utterances": 8438,
        "speakers": 12,
        "sessions": 6,
        "style": {"improvised": 5033, "scripted": 620, "spontaneous": 2785},
    },
)
