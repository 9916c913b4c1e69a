"""SAVEE in small: the embedded corpus's four men, each utterance under the next number of its speaker and emotion."""

from collections import Counter
from pathlib import Path

from affectra.corpora.manifest import Corpus
from miniatures.recording import lay

SPEAKERS = {"us-m": "DC", "gb-m": "JE", "de1-m": "JK", "de2-m": "KL"}
EMOTIONS = {"anger": "a", "happiness": "h", "neutral": "n", "sadness": "sa"}


def write(root: Path, corpus: Corpus, suffix: str = ".wav", *, flat: bool = False) -> None:
    """Lay out the folders by speaker, or all files in one with the speaker in their names."""
    said: Counter[tuple[str, str]] = Counter()
    for row in corpus.manifest[corpus.manifest["speaker"].isin(SPEAKERS)].itertuples():
        speaker, code = SPEAKERS[row.speaker], EMOTIONS[row.emotion]
        said[speaker, code] += 1
        folder = f"{speaker}_" if flat else f"AudioData/{speaker}/"
        lay(corpus.path(row), root / f"{folder}{code}{said[speaker, code]:02}{suffix}")
    if not flat:
        (root / "AudioData/Info.txt").touch()
