"""URDU (Latif et al. 2018): four emotions from Urdu talk shows; the file name says speaker and emotion."""

import re
from pathlib import Path, PurePosixPath

from affectra.corpora.manifest import Corpus, CorpusInfo
from affectra.corpora.tree import Row, contradiction, read_named_files, unknown_code

# Speaker with sex and number, the number of the speaker's file, emotion and the number of the file in the emotion
# (after a zero: A01 to A099, A0100).
NAME = re.compile(r"(?P<speaker>S(?P<sex>[A-Z])[1-9]\d*)_F[1-9]\d*_(?P<emotion>[A-Z])\d+")
GENDERS = {"F": "female", "M": "male"}
EMOTIONS = {"A": "anger", "H": "happiness", "N": "neutral", "S": "sadness"}
FOLDERS = {"angry": "anger", "happy": "happiness", "neutral": "neutral", "sad": "sadness"}


def read(root: Path) -> Corpus:
    """Read URDU; the folder that holds `Angry`, `Happy`, `Neutral` and `Sad`, with or without folders by speaker below.

    Most speakers have one emotion only, so that knowing the voice gives the emotion away: only folds by speaker mean
    anything.

    Raises:
        CorpusError: no URDU file below `root`.
    """
    return read_named_files("urdu", root, _parse, "names such as Angry/SM1_F1_A01.wav (speaker, file, emotion)")


def _parse(file: PurePosixPath) -> Row | str:
    match = NAME.fullmatch(file.stem)
    if match is None:
        return "not a name of URDU such as SM1_F1_A01"
    speaker, sex, emotion = match.groups()
    fault = unknown_code(("sex", sex, GENDERS), ("emotion", emotion, EMOTIONS))
    if fault:
        return fault
    folders = [FOLDERS[name] for name in map(str.casefold, reversed(file.parent.parts)) if name in FOLDERS]
    fault = contradiction("emotion", folders[0] if folders else "", EMOTIONS[emotion])
    if fault:
        return fault
    return {
        "utterance": file.stem,
        "speaker": speaker,
        "gender": GENDERS[sex],
        "language": "ur",
        "emotion": EMOTIONS[emotion],
        "style": "spontaneous",
    }


INFO = CorpusInfo(
    name="urdu",
    title="URDU: emotional speech from Urdu talk shows",
    languages=("ur",),
    licence="research only",
    access="free: git clone https://github.com/siddiquelatif/URDU-Dataset",
    read=read,
    # 38 speakers are published, 27 men and 11 women; the names of the release tell 29 apart (no SM8 to SM16).
    expected={"utterances": 400, "speakers": 38, "emotion": dict.fromkeys(EMOTIONS.values(), 100)},
)
