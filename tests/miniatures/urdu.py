"""URDU in small: every utterance of the embedded corpus, whose four emotions are URDU's."""

from collections import Counter
from pathlib import Path

from affectra.corpora.manifest import Corpus
from miniatures.recording import lay, touch

SPEAKERS = {
    "us-f": "SF1", "us-m": "SM1", "gb-f": "SF2", "gb-m": "SM2", "de1-f": "SF10", "de1-m": "SM3", "de2-f": "SF11",
    "de2-m": "SM27",
}  # fmt: skip
FOLDERS = {"anger": "Angry", "happiness": "Happy", "neutral": "Neutral", "sadness": "Sad"}
# Speakers of the release and how many files each has, in the order of the files.
RELEASE = {
    "Angry": "SM1 22, SM2 28, SM3 2, SM4 48",
    "Happy": "SF1 12, SF2 2, SF3 2, SF4 4, SF5 4, SF6 14, SF7 6, SF8 2, SM17 2, SM18 2, SM19 2, SM3 2, SM5 8, SM6 10, "
    "SM7 28",
    "Neutral": "SF9 4, SM20 10, SM21 4, SM22 2, SM3 8, SM5 72",
    "Sad": "SF10 2, SF11 4, SM23 6, SM24 38, SM25 40, SM26 2, SM27 4, SM6 4",
}


def write(root: Path, corpus: Corpus, suffix: str = ".wav") -> None:
    """Lay out the four folders."""
    for emotion, rows in corpus.manifest.groupby("emotion"):
        names = _names(FOLDERS[emotion], [SPEAKERS[speaker] for speaker in rows["speaker"]])
        for row, name in zip(rows.itertuples(), names, strict=True):
            lay(corpus.path(row), root / f"{name}{suffix}")
    (root / "README.md").touch()


def touch_release(root: Path, suffix: str = ".wav") -> None:
    """All 400 names of the release, with empty files."""
    for folder, speakers in RELEASE.items():
        pairs = (pair.split() for pair in speakers.split(", "))
        names = _names(folder, [speaker for speaker, n in pairs for _ in range(int(n))])
        touch(root, *(f"{name}{suffix}" for name in names))
    (root / "README.md").touch()


def _names(folder: str, speakers: list[str]) -> list[str]:
    """A name for each speaker of a folder's files: the number of the speaker's file, then that of the folder's."""
    files: Counter[str] = Counter()
    names = []
    for number, speaker in enumerate(speakers, start=1):
        files[speaker] += 1
        names.append(f"{folder}/{speaker}_F{files[speaker]}_{folder[0]}0{number}")
    return names
