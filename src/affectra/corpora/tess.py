"""TESS (Pichora-Fuller & Dupuis 2020): two Canadian women say two hundred words in seven emotions each."""

import re
from pathlib import Path, PurePosixPath

from affectra.corpora.manifest import Corpus, CorpusInfo
from affectra.corpora.tree import Row, contradiction, read_named_files, unknown_code

NAME = re.compile(r"(?P<speaker>[A-Z]+)_(?P<word>[a-z]+)_(?P<emotion>[a-z]+)")
MISNAMED = {"OA_bite_neutral": "OAF_bite_neutral"}  # in the release
SPEAKERS = ("OAF", "YAF")  # older, younger adult female
EMOTIONS = {
    "angry": "anger",
    "disgust": "disgust",
    "fear": "fear",
    "happy": "happiness",
    "neutral": "neutral",
    "ps": "surprise",  # pleasant surprise
    "sad": "sadness",
}
FOLDERS = {**EMOTIONS, "pleasant_surprise": "surprise", "pleasant_surprised": "surprise"}  # in any case


def read(root: Path) -> Corpus:
    """Read TESS; folders by speaker and emotion, spelt in any of the release's ways, or all files in one folder.

    There are two speakers: what is learnt of one can be tested on the other, and nothing else is speaker-independent.

    Raises:
        CorpusError: no TESS file below `root`.
    """
    return read_named_files("tess", root, _parse, "names such as OAF_angry/OAF_back_angry.wav")


def _parse(file: PurePosixPath) -> Row | str:
    utterance = MISNAMED.get(file.stem, file.stem)
    match = NAME.fullmatch(utterance)
    if match is None:
        return "not a name of TESS such as OAF_back_angry"
    speaker, word, emotion = match.groups()
    folder_speaker, _, folder_emotion = file.parent.name.partition("_")
    if folder_speaker.upper() not in SPEAKERS:
        folder_speaker = folder_emotion = ""  # a folder of another kind, as in a flat copy
    fault = (
        unknown_code(("speaker", speaker, SPEAKERS), ("emotion", emotion, EMOTIONS))
        or contradiction("speaker", folder_speaker.upper(), speaker)
        or contradiction("emotion", FOLDERS.get(folder_emotion.casefold(), ""), EMOTIONS[emotion])
    )
    if fault:
        return fault
    return {
        "utterance": utterance,
        "speaker": speaker,
        "gender": "female",
        "language": "en",
        "text": f"Say the word {word}",
        "sentence": word,
        "emotion": EMOTIONS[emotion],
        "style": "acted",
    }


INFO = CorpusInfo(
    name="tess",
    title="Toronto Emotional Speech Set (TESS)",
    languages=("en",),
    licence="CC BY-NC-ND 4.0",
    access="free: https://doi.org/10.5683/SP2/E8H2MF, unpacked",
    read=read,
    expected={"utterances": 2800, "speakers": 2, "emotion": dict.fromkeys(EMOTIONS.values(), 400)},
)
