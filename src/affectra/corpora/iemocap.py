"""IEMOCAP (Busso et al. 2008): five pairs of actors in 151 scripted and improvised dialogues, labelled turn by turn."""

import re
from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath

import pandas as pd

from affectra.corpora.iemocap_lines import DIALOGUE, TURN, UNLABELLED, parse_alignment, parse_label, parse_rater
from affectra.corpora.manifest import Corpus, CorpusInfo, manifest_from_rows
from affectra.corpora.tree import RECORDING_SUFFIXES, Fault, Row, condense, is_media, list_files, read_lines
from affectra.errors import CorpusError

SPOKEN = re.compile(r"(?P<turn>\w+)\s+\[[^\]]*\]:\s*(?P<text>.*)")


def read(root: Path) -> Corpus:
    """Read IEMOCAP; the folder with `Session1` to `Session5` or some of them, one above it, or one session.

    A turn's speaker is its session and the letter of the TURN: `Ses01F_impro01_M003` is spoken by `Ses01M`, since the
    letter after the session says who wore the markers. `turn` is the place of a turn among all labelled turns of its
    dialogue, both speakers', by the time it begins. `emotion` is what most raters said, "none" where no word had most;
    arousal (IEMOCAP's activation), valence and dominance are means of the raters' 1 to 5. A turn whose category or
    numbers are damaged is kept without them, since its neighbours need it as context; one without recording is left
    out and keeps its place in the count. `text` may hold notes such as [LAUGHTER]; transcripts also have turns such as
    `Ses01F_impro01_MXX0`, which have neither labels nor recordings and are ignored.

    Tables:
        - "raters" (utterance, rater, emotion, arousal, valence, dominance): a row for each category of each rater and
          one for each rater's numbers. The rater is named as in the label files: C- rated categories, A- numbers; E are
          outsiders, F and M the actors about themselves.
        - "words" (utterance, word, start, end): from `ForcedAlignment/*.wdseg`, where there are any, in s from the
          turn's beginning. Frames are shifted by 10 ms and the last belongs to the word: first to last frame is
          0.01 first to 0.01 (last + 1), at most the turn's end, and words without a pause between them touch. Silences
          and noises (`++LAUGHTER++`) are no words.

    Raises:
        CorpusError: no label file below `root`, or no usable turn in any.
    """
    files = list_files(root)
    reading = _Reading(root)
    labels = _find_labels(files, reading)
    for file in labels.values():
        _read_labels(file, reading)
    _rank_turns(reading)
    recordings = _find_recordings(files, reading)
    _read_transcripts((file for file in files if file.parent.name == "transcriptions"), reading)
    _read_alignments((file for file in files if file.suffix.lower() == ".wdseg"), reading)
    rows = [
        {"file": recordings[turn], **row}
        for turn, row in sorted(reading.rows.items(), key=lambda item: (item[1]["dialogue"], item[1]["turn"]))
        if turn in recordings
    ]
    if not rows:
        reason = f"; {condense(reading.faults)[0]}" if reading.faults else ""
        raise CorpusError(f"{root}: no usable turn of iemocap in {len(labels)} label files{reason}")
    tables = {
        "raters": _table(reading.raters, ("rater", "emotion"), ("arousal", "valence", "dominance"), recordings),
        "words": _table(reading.words, ("word",), ("start", "end"), recordings),
    }
    return Corpus("iemocap", root, manifest_from_rows(rows, "iemocap"), condense(reading.faults), tables)


@dataclass
class _Reading:
    """The rows and faults read so far.

    Attributes:
        root: the corpus's folder.
        rows: manifest row by turn.
        spans: beginning and end of each turn, s from the beginning of the dialogue.
        places: file and line of each turn's label.
        raters: rows of the table "raters".
        words: rows of the table "words".
        faults: what was not understood.
    """

    root: Path
    rows: dict[str, Row] = field(default_factory=dict)
    spans: dict[str, tuple[float, float]] = field(default_factory=dict)
    places: dict[str, str] = field(default_factory=dict)
    raters: list[Row] = field(default_factory=list)
    words: list[Row] = field(default_factory=list)
    faults: list[Fault] = field(default_factory=list)

    def lines(self, file: PurePosixPath) -> list[tuple[str, str]]:
        """Place (`file:line`) and text of each line that is not blank."""
        return [(place, line) for place, line in read_lines(self.root, file, self.faults) if line]


def _find_labels(files: list[PurePosixPath], reading: _Reading) -> dict[str, PurePosixPath]:
    """The label file of each dialogue; the folders below `EmoEvaluation` repeat them rater by rater."""
    found: dict[str, PurePosixPath] = {}
    for file in files:
        if file.parent.name != "EmoEvaluation" or file.suffix.lower() != ".txt":
            continue
        if not DIALOGUE.fullmatch(file.stem):
            reading.faults.append((str(file), "not the name of a dialogue such as Ses01F_impro01; left out"))
        elif file.stem in found:
            reading.faults.append((str(file), "a second label file of its dialogue; left out"))
        else:
            found[file.stem] = file
    if not found:
        expected = "IEMOCAP_full_release with Session1/dialog/EmoEvaluation/Ses01F_impro01.txt and the others"
        raise CorpusError(
            f"{reading.root}: no label file of iemocap among {len(files)} files; expected the folder {expected}"
        )
    return found


def _read_labels(file: PurePosixPath, reading: _Reading) -> None:
    """All turns of a dialogue, each followed by its raters' lines."""
    turn: str | None = ""  # None: its line was left out, and its raters' with it
    for place, line in reading.lines(file):
        if line.startswith("%"):  # the header
            continue
        if line.startswith("["):
            turn = _read_label(place, line, file.stem, reading)
            continue
        ratings = parse_rater(line)
        if isinstance(ratings, str):
            reading.faults.append((place, f"{ratings}; left out"))
        elif turn == "":
            reading.faults.append((place, "a rater's line before any turn; left out"))
        elif turn is not None:
            reading.raters += [{"utterance": turn, **rating} for rating in ratings]
    if turn == "":
        reading.faults.append((str(file), "no turn in it; the file looks cut off"))


def _read_label(place: str, line: str, dialogue: str, reading: _Reading) -> str | None:
    """Take over one turn's line; its name, or None where it is left out."""
    label = parse_label(line)
    if isinstance(label, str):
        reading.faults.append((place, f"{label}; left out"))
        return None
    name = str(label.row["utterance"])
    if label.row["dialogue"] != dialogue:
        reading.faults.append((place, f"{name} is not a turn of this dialogue; left out"))
        return None
    if name in reading.rows:
        reading.faults.append((place, f"{name} stands there twice; left out"))
        return None
    if label.lacking:
        text = f"{label.lacking} for {name}; the file looks cut off or damaged there"
        reading.faults.append((place, f"{text}; kept without"))
    reading.rows[name], reading.spans[name], reading.places[name] = label.row, label.span, place
    return name


def _rank_turns(reading: _Reading) -> None:
    """Number the turns of each dialogue by their beginning."""
    dialogues = defaultdict(list)
    for name, row in reading.rows.items():
        dialogues[row["dialogue"]].append((*reading.spans[name], name))
    for turns in dialogues.values():
        for rank, (_, _, name) in enumerate(sorted(turns), start=1):
            reading.rows[name]["turn"] = rank


def _find_recordings(files: list[PurePosixPath], reading: _Reading) -> dict[str, str]:
    """The recording of each turn; they are known by their names, wherever they lie."""
    found: dict[str, str] = {}
    for file in filter(is_media, files):
        turn = file.stem
        if not TURN.fullmatch(turn):
            if file.parts[-4:-2] == ("sentences", "wav"):
                reading.faults.append((str(file), "not the name of a turn such as Ses01F_impro01_F000; left out"))
        elif file.suffix.lower() not in RECORDING_SUFFIXES:
            reading.faults.append((str(file), f"expected {' or '.join(RECORDING_SUFFIXES)}; left out"))
        elif turn in found:
            reading.faults.append((str(file), "a second recording of its turn; left out"))
        elif turn not in reading.rows:
            reading.faults.append((str(file), "no usable label line says what it is; left out"))
        else:
            found[turn] = str(file)
    reading.faults += [
        (f"{place} ({turn})", f"no recording of this turn, {' or '.join(RECORDING_SUFFIXES)}; left out")
        for turn, place in reading.places.items()
        if turn not in found
    ]
    return found


def _read_transcripts(files: Iterable[PurePosixPath], reading: _Reading) -> None:
    """Put the text to the turns."""
    for file in files:
        if not DIALOGUE.fullmatch(file.stem):
            continue
        for place, line in reading.lines(file):
            match = SPOKEN.fullmatch(line)
            if match is None or not (TURN.fullmatch(match["turn"]) or UNLABELLED.fullmatch(match["turn"])):
                reading.faults.append((place, "does not begin with a turn's name and times; left out"))
            elif UNLABELLED.fullmatch(match["turn"]):
                continue
            elif match["turn"] not in reading.rows:
                reading.faults.append((place, "no usable label line for this turn; its text is left out"))
            elif "text" in reading.rows[match["turn"]]:
                reading.faults.append((place, "a second text for this turn; left out"))
            else:
                reading.rows[match["turn"]]["text"] = match["text"]
    reading.faults += [
        (name, "no line in a transcript; its text stays empty")
        for name, row in reading.rows.items()
        if "text" not in row
    ]


def _read_alignments(files: Iterable[PurePosixPath], reading: _Reading) -> None:
    """The words of each turn that has them; a damaged file gives none."""
    seen: set[str] = set()
    for file in files:
        turn = file.stem
        if UNLABELLED.fullmatch(turn):
            continue
        if turn in seen:
            reading.faults.append((str(file), "a second alignment of its turn; left out"))
        elif turn not in reading.rows:
            reading.faults.append((str(file), "no usable label line for this turn; its words are left out"))
        else:
            seen.add(turn)
            start, end = reading.spans[turn]
            words = parse_alignment(reading.lines(file), end - start)
            if isinstance(words, tuple):
                reading.faults.append((words[0] or str(file), f"{words[1]}; the words of this turn are left out"))
            else:
                reading.words += [{"utterance": turn, **word} for word in words]


def _table(rows: list[Row], texts: tuple[str, ...], numbers: tuple[str, ...], turns: Iterable[str]) -> pd.DataFrame:
    """A side table of the turns that are in the manifest; empty text is "", an empty number NaN."""
    texts = ("utterance", *texts)
    table = pd.DataFrame(rows, columns=[*texts, *numbers])
    table = table[table["utterance"].isin(list(turns))].reset_index(drop=True)
    table[list(texts)] = table[list(texts)].fillna("")
    return table.astype(dict.fromkeys(texts, "str") | dict.fromkeys(numbers, "float"))


INFO = CorpusInfo(
    name="iemocap",
    title="Interactive Emotional Dyadic Motion Capture database (IEMOCAP)",
    languages=("en",),
    licence="research only, by signed release form",
    access="on request at https://sail.usc.edu/iemocap/iemocap_release.htm: IEMOCAP_full_release, unpacked",
    read=read,
    expected={
        "scale": (1.0, 5.0),
        "utterances": 10039,
        "speakers": 10,
        "sessions": 5,
        "dialogues": 151,
        "emotion": {
            "none": 2507, "frustration": 1849, "neutral": 1708, "anger": 1103, "sadness": 1084, "excitement": 1041,
            "happiness": 595, "surprise": 107, "fear": 40, "other": 3, "disgust": 2,
        },
        "style": {"scripted": 5255, "improvised": 4784},
        "tasks": {
            "emotion4": {"anger": 1103, "happiness": 1636, "neutral": 1708, "sadness": 1084},
            "emotion4-strict": {"anger": 1103, "happiness": 595, "neutral": 1708, "sadness": 1084},
        },
    },
)  # fmt: skip
