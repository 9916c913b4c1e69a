"""RAVDESS (Livingstone & Russo 2018): 24 North American actors, two sentences, eight emotions; speech only."""

import re
from dataclasses import replace
from pathlib import Path, PurePosixPath

from affectra.corpora.manifest import Corpus, CorpusInfo
from affectra.corpora.tree import Row, condense, read_named_files, unknown_code

EMOTIONS = {
    "01": "neutral",
    "02": "calm",
    "03": "happiness",
    "04": "sadness",
    "05": "anger",
    "06": "fear",
    "07": "disgust",
    "08": "surprise",
}
INTENSITIES = {"01": "normal", "02": "strong"}
SENTENCES = {"01": "Kids are talking by the door", "02": "Dogs are sitting by the door"}
REPETITIONS = ("01", "02")
ACTORS = tuple(f"{actor:02}" for actor in range(1, 25))


def read(root: Path) -> Corpus:
    """Read RAVDESS; the folder that holds `Actor_01` and the others, or one above it.

    Raises:
        CorpusError: no RAVDESS speech below `root`.
    """
    corpus = read_named_files("ravdess", root, _parse, "names such as Actor_01/03-01-06-01-02-01-01.wav")
    misplaced = [
        (file, f"in the folder of another actor; taken as actor {speaker}, as its name says")
        for file, speaker in zip(corpus.manifest["file"], corpus.manifest["speaker"], strict=True)
        if (folder := re.search(r"Actor_(\d\d)/[^/]*$", file)) and folder[1] != speaker
    ]
    return replace(corpus, faults=(*corpus.faults, *condense(misplaced)))


def _parse(file: PurePosixPath) -> Row | str:
    if not re.fullmatch(r"\d\d(-\d\d){6}", file.stem):
        return "not a name of RAVDESS such as 03-01-06-01-02-01-12"
    modality, channel, emotion, intensity, statement, repetition, actor = file.stem.split("-")
    if modality in ("01", "02"):
        return f"a video (modality {modality}), and only audio (03) is read"
    if channel == "02":
        return "a song (vocal channel 02), and only speech (01) is read"
    fault = unknown_code(
        ("modality", modality, ("03",)), ("vocal channel", channel, ("01",)), ("emotion", emotion, EMOTIONS),
        ("intensity", intensity, INTENSITIES), ("statement", statement, SENTENCES),
        ("repetition", repetition, REPETITIONS), ("actor", actor, ACTORS),
    )  # fmt: skip
    if fault:
        return fault
    return {
        "utterance": file.stem,
        "speaker": actor,
        "gender": "male" if int(actor) % 2 else "female",
        "language": "en",
        "text": SENTENCES[statement],
        "sentence": statement,
        "intensity": INTENSITIES[intensity],
        "emotion": EMOTIONS[emotion],
        "style": "acted",
    }


INFO = CorpusInfo(
    name="ravdess",
    title="Ryerson Audio-Visual Database of Emotional Speech and Song (RAVDESS), speech",
    languages=("en",),
    licence="CC BY-NC-SA 4.0",
    access="free: Audio_Speech_Actors_01-24.zip from https://zenodo.org/records/1188976, unpacked",
    read=read,
    expected={
        "utterances": 1440,
        "speakers": 24,
        "emotion": {word: 96 if word == "neutral" else 192 for word in EMOTIONS.values()},
    },
)
