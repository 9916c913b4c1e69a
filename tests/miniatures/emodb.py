"""EMO-DB in small: the embedded corpus's German speakers, each sentence under the next text of its speaker."""

from collections import Counter
from pathlib import Path

from affectra.corpora.emodb import SENTENCES
from affectra.corpora.manifest import Corpus
from miniatures.recording import lay

SPEAKERS = {"de1-m": "03", "de1-f": "08", "de2-m": "10", "de2-f": "09"}
EMOTIONS = {"anger": "W", "happiness": "F", "neutral": "N", "sadness": "T"}


def write(root: Path, corpus: Corpus, suffix: str = ".wav") -> None:
    """Lay out `wav/`; what a speaker says again of a text and emotion is the next version."""
    texts = list(SENTENCES)
    said: Counter[tuple[str, str]] = Counter()
    for row in corpus.manifest[corpus.manifest["speaker"].isin(SPEAKERS)].itertuples():
        speaker, code = SPEAKERS[row.speaker], EMOTIONS[row.emotion]
        version, text = divmod(said[speaker, code], len(texts))
        said[speaker, code] += 1
        lay(corpus.path(row), root / f"wav/{speaker}{texts[text]}{code}{'abc'[version]}{suffix}")
