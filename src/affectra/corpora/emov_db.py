"""EmoV-DB (Adigwe et al. 2018): four speakers read CMU ARCTIC sentences in five ways; folders and names say all."""

import re
from collections.abc import Mapping
from dataclasses import replace
from functools import partial
from pathlib import Path, PurePosixPath

from affectra.corpora.manifest import Corpus, CorpusInfo
from affectra.corpora.tree import (
    Fault,
    Row,
    condense,
    contradiction,
    read_document,
    read_named_files,
    unknown_code,
)

# Emotion, first and last sentence of the recording session, sentence; one name has `_` between first and last.
NAME = re.compile(r"(?P<word>[A-Za-z]+)_(?P<first>\d+)[-_](?P<last>\d+)_(?P<number>\d{4})")
SPEAKERS = {"bea": "female", "jenie": "female", "josh": "male", "sam": "male"}
EMOTIONS = {  # words of folders and files, which differ, in any case
    "amused": "amusement",
    "anger": "anger",
    "angry": "anger",
    "disgust": "disgust",
    "disgusted": "disgust",
    "neutral": "neutral",
    "sleepiness": "sleepiness",
    "sleepy": "sleepiness",
}
# Names of the release that have lost a digit: of the numbers in their range, one alone ends so.
MISNUMBERED = {
    ("bea", "anger_197-224_0024"): "0224",
    ("bea", "neutral_113-140_0014"): "0114",
    ("bea", "neutral_113-140_0015"): "0115",
    ("josh", "amused_197-224_0023"): "0223",
    ("josh", "amused_225_252_0026"): "0226",
}
PROMPTS = "cmuarctic.data"
PROMPT = re.compile(r'\(\s*arctic_(?P<part>[ab])(?P<number>\d{4})\s+"(?P<text>[^"]+)"\s*\)')


def read(root: Path) -> Corpus:
    """Read EmoV-DB; folders such as `bea/amused` or `bea_Amused`, in any case.

    `sentence` is the number of the sentence in the first part of CMU ARCTIC, `text` stands in `cmuarctic.data` if that
    lies beside the folders. Josh has no anger and no disgust.

    Raises:
        CorpusError: no EmoV-DB file below `root`.
    """
    texts, faults = _read_prompts(root)
    corpus = read_named_files(
        "emovdb",
        root,
        partial(_parse, texts=texts),
        "names such as bea/amused/amused_1-15_0001.wav or bea_Amused/amused_1-15_0001.wav",
        documents=(PROMPTS,),
    )
    for row in corpus.manifest.to_dict("records"):
        if not row["sentence"]:
            faults.append((row["file"], "the number of its sentence is not in its range; sentence left empty"))
        elif texts and not row["text"]:
            faults.append((row["file"], f"no sentence arctic_a{row['sentence']} in {PROMPTS}; text left empty"))
    return replace(corpus, faults=(*corpus.faults, *condense(faults)))


def _read_prompts(root: Path) -> tuple[dict[str, str], list[Fault]]:
    """Text by number of the sentences of ARCTIC's first part, the only ones spoken; and which lines are damaged."""
    texts: dict[str, str] = {}
    faults: list[Fault] = []
    for place, line in read_document(root, PROMPTS):
        match = PROMPT.fullmatch(line.strip())
        if match is None or "\ufffd" in line:
            faults.append((place, 'expected ( arctic_a0001 "text" ); left out'))
        elif match["part"] == "a" and texts.setdefault(match["number"], match["text"]) != match["text"]:
            faults.append((place, f"arctic_a{match['number']} stands there twice, with different texts; left out"))
    return texts, faults


def _parse(file: PurePosixPath, texts: Mapping[str, str]) -> Row | str:
    speaker, folder_word = _place(file)
    match = NAME.fullmatch(file.stem)
    if match is None:
        return "not a name of EmoV-DB such as amused_1-15_0001"
    if not speaker:
        return f"in no folder of a speaker, expected one of {' '.join(SPEAKERS)}"
    word = match["word"].casefold()
    fault = unknown_code(("emotion", word, EMOTIONS))
    if fault:
        return fault
    emotion, first, last = EMOTIONS[word], int(match["first"]), int(match["last"])
    fault = contradiction("emotion", EMOTIONS.get(folder_word, ""), emotion)
    if fault:
        return fault
    number = MISNUMBERED.get((speaker, file.stem.casefold()), match["number"])
    sentence = number if first <= int(number) <= last else ""
    return {
        "utterance": f"{speaker}_{emotion}_{first}-{last}_{number}",
        "speaker": speaker,
        "gender": SPEAKERS[speaker],
        "language": "en",
        "text": texts.get(sentence, ""),
        "sentence": sentence,
        "emotion": emotion,
        "style": "acted",
    }


def _place(file: PurePosixPath) -> tuple[str, str]:
    """Speaker and emotion word of the nearest folder of a speaker, in small letters; "" where folders do not say it."""
    below = ""
    for folder in map(str.casefold, reversed(file.parent.parts)):
        speaker, _, word = folder.partition("_")
        if speaker in SPEAKERS:
            return speaker, word or below
        below = folder
    return "", ""


INFO = CorpusInfo(
    name="emovdb",
    title="Emotional Voices Database (EmoV-DB), English",
    languages=("en",),
    licence="non-commercial research",
    access="free: https://openslr.org/115/, unpacked",
    read=read,
    expected={"speakers": len(SPEAKERS)},  # the published numbers of files are not those of the release
)
