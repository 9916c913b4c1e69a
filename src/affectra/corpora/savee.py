"""SAVEE (Haq & Jackson 2009): four British men, seven emotions; in folders by speaker or flat."""

import re
from pathlib import Path, PurePosixPath

from affectra.corpora.manifest import Corpus, CorpusInfo
from affectra.corpora.tree import Row, read_named_files

SPEAKERS = ("DC", "JE", "JK", "KL")
EMOTIONS = {
    "sa": "sadness",  # before one-letter codes, so that the longest prefix wins
    "su": "surprise",
    "a": "anger",
    "d": "disgust",
    "f": "fear",
    "h": "happiness",
    "n": "neutral",
}
NAME = re.compile(rf"(?:(?P<speaker>[A-Z]{{2}})_)?(?P<code>{'|'.join(EMOTIONS)})(?P<number>\d\d)")


def read(root: Path) -> Corpus:
    """Read SAVEE; `AudioData/DC/a01.wav` or flat `DC_a01.wav`, anywhere below the folder.

    Which sentence a number stands for is not written beside the audio, so `sentence` and `text` stay empty.

    Raises:
        CorpusError: no SAVEE file below `root`.
    """
    return read_named_files("savee", root, _parse, "names such as AudioData/DC/a01.wav or DC_a01.wav")


def _parse(file: PurePosixPath) -> Row | str:
    match = NAME.fullmatch(file.stem)
    if match is None:
        return "not a name of SAVEE such as DC/sa01 or DC_sa01"
    speaker = match["speaker"] or file.parent.name
    if speaker not in SPEAKERS:
        return f"unknown speaker {speaker!r}, expected one of {' '.join(SPEAKERS)}"
    emotion, number = EMOTIONS[match["code"]], match["number"]
    last = 30 if emotion == "neutral" else 15
    if not 1 <= int(number) <= last:
        return f"number {number}, expected 01 to {last} for {emotion}"
    return {
        "utterance": f"{speaker}_{match['code']}{number}",
        "speaker": speaker,
        "gender": "male",
        "language": "en-GB",
        "emotion": emotion,
        "style": "acted",
    }


INFO = CorpusInfo(
    name="savee",
    title="Surrey Audio-Visual Expressed Emotion database (SAVEE), audio",
    languages=("en-GB",),
    licence="research only",
    access="by registration at http://kahlan.eps.surrey.ac.uk/savee/: AudioData.zip, unpacked",
    read=read,
    expected={
        "utterances": 480,
        "speakers": 4,
        "emotion": {word: 120 if word == "neutral" else 60 for word in EMOTIONS.values()},
    },
)
