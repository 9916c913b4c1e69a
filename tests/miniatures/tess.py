"""TESS in small: the embedded corpus's women, two to a speaker, under the next word of the speaker and emotion."""

from collections import Counter
from itertools import product
from pathlib import Path

from affectra.corpora.manifest import Corpus
from miniatures.recording import lay, touch

SPEAKERS = {"us-f": "OAF", "de1-f": "OAF", "gb-f": "YAF", "de2-f": "YAF"}
EMOTIONS = {"anger": "angry", "happiness": "happy", "neutral": "neutral", "sadness": "sad"}
FOLDERS = {  # the release's own spellings
    ("OAF", "fear"): "OAF_Fear",
    ("OAF", "ps"): "OAF_Pleasant_surprise",
    ("OAF", "sad"): "OAF_Sad",
    ("YAF", "ps"): "YAF_pleasant_surprised",
}
# The first words are some of the release's; there are two hundred, the rest made up.
WORDS = ["back", "bar", "base", "bath", "bean", "beg", "bite", "boat", "bone", "book", "bought", "burn"]
WORDS += ["".join(letters) for letters in product("mnprst", "aeiou", "dglpt", "y")][: 200 - len(WORDS)]
WORDS += ["".join(letters) for letters in product("mnprst", "aeiou", "dglpt", "e")][: 200 - len(WORDS)]


def write(root: Path, corpus: Corpus, suffix: str = ".wav", *, flat: bool = False) -> None:
    """Lay out the folders by speaker and emotion, or all files in one."""
    said: Counter[tuple[str, str]] = Counter()
    for row in corpus.manifest[corpus.manifest["speaker"].isin(SPEAKERS)].itertuples():
        speaker, emotion = SPEAKERS[row.speaker], EMOTIONS[row.emotion]
        word = WORDS[said[speaker, emotion]]
        said[speaker, emotion] += 1
        lay(corpus.path(row), root / name_of(speaker, word, emotion, suffix, flat=flat))


def touch_release(root: Path, suffix: str = ".wav", *, flat: bool = False) -> None:
    """All 2800 names, with empty files."""
    emotions = ("angry", "disgust", "fear", "happy", "neutral", "ps", "sad")
    names = product(("OAF", "YAF"), WORDS, emotions)
    touch(root, *(name_of(*name, suffix, flat=flat) for name in names))


def name_of(speaker: str, word: str, emotion: str, suffix: str, *, flat: bool) -> str:
    folder = "" if flat else FOLDERS.get((speaker, emotion), f"{speaker}_{emotion}") + "/"
    name = f"{speaker}_{word}_{emotion}"
    return f"{folder}{'OA_bite_neutral' if name == 'OAF_bite_neutral' else name}{suffix}"  # as in the release
