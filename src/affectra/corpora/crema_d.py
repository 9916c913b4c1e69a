"""CREMA-D (Cao et al. 2014): 91 actors, twelve sentences, six emotions; the file name says all but the sex."""

import re
from collections.abc import Mapping
from dataclasses import replace
from functools import partial
from pathlib import Path, PurePosixPath

from affectra.corpora.manifest import Corpus, CorpusInfo
from affectra.corpora.tree import Fault, Row, condense, read_document, read_named_files, unknown_code

NAME = re.compile(r"(?P<actor>\d{4})_(?P<sentence>[A-Z]{3})_(?P<emotion>[A-Z]{3})_(?P<level>[A-Z]{2})")
MISNAMED = {"1040_ITH_SAD_X": "1040_ITH_SAD_XX"}  # in the release, as its file is and as its tables say
ACTORS = tuple(str(actor) for actor in range(1001, 1092))
EMOTIONS = {
    "ANG": "anger",
    "DIS": "disgust",
    "FEA": "fear",
    "HAP": "happiness",
    "NEU": "neutral",
    "SAD": "sadness",
}
INTENSITIES = {"LO": "low", "MD": "medium", "HI": "high", "XX": "unspecified"}
SENTENCES = {
    "IEO": "It's eleven o'clock.",
    "TIE": "That is exactly what happened.",
    "IOM": "I'm on my way to the meeting.",
    "IWW": "I wonder what this is about.",
    "TAI": "The airplane is almost full.",
    "MTI": "Maybe tomorrow it will be cold.",
    "IWL": "I would like a new alarm clock.",
    "ITH": "I think I have a doctor's appointment.",
    "DFA": "Don't forget a jacket.",
    "ITS": "I think I've seen this before.",
    "TSI": "The surface is slick.",
    "WSI": "We'll stop in a couple of minutes.",
}
DEMOGRAPHICS = "VideoDemographics.csv"
SEXES = {"Female": "female", "Male": "male"}


def read(root: Path) -> Corpus:
    """Read CREMA-D; a clone of its repository or the `AudioWAV` folder alone.

    The actors' sex is in `VideoDemographics.csv`, which many copies lack: `gender` is empty there. The emotion is the
    one that the actor was asked for, not the one that listeners perceived.

    Raises:
        CorpusError: no CREMA-D file below `root`.
    """
    genders, faults = _read_demographics(root)
    corpus = read_named_files(
        "cremad",
        root,
        partial(_parse, genders=genders),
        "names such as AudioWAV/1001_DFA_ANG_XX.wav (actor, sentence, emotion, level)",
        documents=(DEMOGRAPHICS,),
    )
    if genders:
        unknown = sorted(set(corpus.manifest["speaker"][corpus.manifest["gender"] == ""]))
        faults += [(f"actor {actor}", f"no usable row in {DEMOGRAPHICS}; gender left empty") for actor in unknown]
    return replace(corpus, faults=(*corpus.faults, *condense(faults)))


def _read_demographics(root: Path) -> tuple[dict[str, str], list[Fault]]:
    """Gender by actor, and which rows are damaged."""
    lines = read_document(root, DEMOGRAPHICS)
    if not lines:
        return {}, []
    (place, header), *rows = lines
    columns = _split(header)
    missing = [name for name in ("ActorID", "Sex") if name not in columns]
    if missing:
        return {}, [(place, f"no column {missing[0]!r}, found {header[:60]!r}; gender left empty")]
    genders: dict[str, str] = {}
    faults: list[Fault] = []
    for place, line in rows:
        cells = _split(line)
        if len(cells) != len(columns):
            faults.append((place, f"{len(cells)} cells, expected {len(columns)}; left out"))
            continue
        actor, sex = cells[columns.index("ActorID")], cells[columns.index("Sex")]
        fault = _unknown_actor(actor) or unknown_code(("sex", sex, SEXES))
        if fault is None and genders.get(actor, SEXES[sex]) != SEXES[sex]:
            fault = f"actor {actor} is {genders[actor]} in a row before and {SEXES[sex]} here"
        if fault:
            faults.append((place, f"{fault}; left out"))
        else:
            genders[actor] = SEXES[sex]
    return genders, faults


def _split(line: str) -> list[str]:
    """Cells; none of them has a comma, so that a lost quote does no harm."""
    return [cell.strip().strip('"') for cell in line.split(",")]


def _parse(file: PurePosixPath, genders: Mapping[str, str]) -> Row | str:
    utterance = MISNAMED.get(file.stem, file.stem)
    match = NAME.fullmatch(utterance)
    if match is None:
        return "not a name of CREMA-D such as 1001_DFA_ANG_XX"
    actor, sentence, emotion, level = match.groups()
    fault = _unknown_actor(actor) or unknown_code(
        ("sentence", sentence, SENTENCES), ("emotion", emotion, EMOTIONS), ("level", level, INTENSITIES)
    )
    if fault:
        return fault
    return {
        "utterance": utterance,
        "speaker": actor,
        "gender": genders.get(actor, ""),
        "language": "en",
        "text": SENTENCES[sentence],
        "sentence": sentence,
        "intensity": INTENSITIES[level],
        "emotion": EMOTIONS[emotion],
        "style": "acted",
    }


def _unknown_actor(actor: str) -> str | None:
    return None if actor in ACTORS else f"unknown actor {actor!r}, expected {ACTORS[0]} to {ACTORS[-1]}"


INFO = CorpusInfo(
    name="cremad",
    title="Crowd-sourced Emotional Multimodal Actors Dataset (CREMA-D), audio",
    languages=("en",),
    licence="Open Database License (ODbL) 1.0",
    access="free: git lfs clone https://github.com/CheyneyComputerScience/CREMA-D (without git-lfs come pointers only)",
    read=read,
    expected={
        "utterances": 7442,
        "speakers": 91,
        "emotion": {word: 1087 if word == "neutral" else 1271 for word in EMOTIONS.values()},
    },
)
