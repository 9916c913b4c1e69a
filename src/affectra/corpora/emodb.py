"""EMO-DB (Burkhardt et al. 2005): ten German actors, ten sentences, seven emotions; the file name says all."""

import re
from pathlib import Path, PurePosixPath

from affectra.corpora.manifest import Corpus, CorpusInfo
from affectra.corpora.tree import Row, read_named_files, unknown_code

NAME = re.compile(r"(?P<speaker>\d\d)(?P<sentence>[ab]\d\d)(?P<emotion>[A-Z])[a-z]")
EMOTIONS = {
    "W": "anger",  # Wut
    "L": "boredom",  # Langeweile
    "E": "disgust",  # Ekel
    "A": "fear",  # Angst
    "F": "happiness",  # Freude
    "T": "sadness",  # Trauer
    "N": "neutral",
}
GENDERS = dict.fromkeys(("03", "10", "11", "12", "15"), "male") | dict.fromkeys(
    ("08", "09", "13", "14", "16"), "female"
)
SENTENCES = {
    "a01": "Der Lappen liegt auf dem Eisschrank.",
    "a02": "Das will sie am Mittwoch abgeben.",
    "a04": "Heute abend könnte ich es ihm sagen.",
    "a05": "Das schwarze Stück Papier befindet sich da oben neben dem Holzstück.",
    "a07": "In sieben Stunden wird es soweit sein.",
    "b01": "Was sind denn das für Tüten, die da unter dem Tisch stehen?",
    "b02": "Sie haben es gerade hochgetragen und jetzt gehen sie wieder runter.",
    "b03": "An den Wochenenden bin ich jetzt immer nach Hause gefahren und habe Agnes besucht.",
    "b09": "Ich will das eben wegbringen und dann mit Karl was trinken gehen.",
    "b10": "Die wird auf dem Platz sein, wo wir sie immer hinlegen.",
}


def read(root: Path) -> Corpus:
    """Read EMO-DB; the root of the archive, its `download` folder or the `wav` folder itself.

    Raises:
        CorpusError: no EMO-DB file below `root`.
    """
    return read_named_files("emodb", root, _parse, "names such as wav/03a01Fa.wav (speaker, text, emotion, version)")


def _parse(file: PurePosixPath) -> Row | str:
    match = NAME.fullmatch(file.stem)
    if match is None:
        return "not a name of EMO-DB such as 03a01Fa"
    speaker, sentence, emotion = match["speaker"], match["sentence"], match["emotion"]
    fault = unknown_code(("speaker", speaker, GENDERS), ("text", sentence, SENTENCES), ("emotion", emotion, EMOTIONS))
    if fault:
        return fault
    return {
        "utterance": file.stem,
        "speaker": speaker,
        "gender": GENDERS[speaker],
        "language": "de",
        "text": SENTENCES[sentence],
        "sentence": sentence,
        "emotion": EMOTIONS[emotion],
        "style": "acted",
    }


INFO = CorpusInfo(
    name="emodb",
    title="Berlin Database of Emotional Speech (EMO-DB)",
    languages=("de",),
    licence="CC0",
    access="free: http://emodb.bilderbar.info/download/download.zip, unpacked",
    read=read,
    expected={
        "utterances": 535,
        "speakers": 10,
        "emotion": {
            "anger": 127, "boredom": 81, "disgust": 46, "fear": 69, "happiness": 71, "neutral": 79, "sadness": 62,
        },
    },
)  # fmt: skip
