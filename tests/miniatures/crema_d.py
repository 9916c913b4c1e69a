"""CREMA-D in small: eight of its actors, each utterance under the next sentence of its actor and emotion."""

from collections import Counter
from collections.abc import Iterable
from itertools import product
from pathlib import Path

from affectra.corpora.manifest import Corpus
from miniatures.recording import lay, touch

ACTORS = {
    "us-f": "1002", "us-m": "1001", "gb-f": "1003", "gb-m": "1005",
    "de1-f": "1004", "de1-m": "1011", "de2-f": "1091", "de2-m": "1040",
}  # fmt: skip
WOMEN = {
    *range(1002, 1005), *range(1006, 1011), 1012, 1013, 1018, 1020, 1021, 1024, 1025, *range(1028, 1031), 1037, 1043,
    1046, 1047, 1049, *range(1052, 1057), 1058, 1060, 1061, 1063, *range(1072, 1077), 1078, 1079, 1082, 1084,
    1089, 1091,
}  # fmt: skip
SENTENCES = ("ITH", "TIE", "IOM", "IWW", "TAI", "MTI", "IWL", "DFA", "ITS", "TSI", "WSI")
LEVELS = [("IEO", "LO"), ("IEO", "MD"), ("IEO", "HI"), *((sentence, "XX") for sentence in SENTENCES)]
NEUTRAL_LEVELS = [("IEO", "XX"), *((sentence, "XX") for sentence in SENTENCES)]
EMOTIONS = {"anger": "ANG", "happiness": "HAP", "neutral": "NEU", "sadness": "SAD"}


def write(root: Path, corpus: Corpus, suffix: str = ".wav") -> None:
    """Lay out a clone of the repository, its mp3 copies and films left out."""
    said: Counter[tuple[str, str]] = Counter()
    for row in corpus.manifest.itertuples():
        levels = NEUTRAL_LEVELS if row.emotion == "neutral" else LEVELS
        sentence, level = levels[said[row.speaker, row.emotion]]
        said[row.speaker, row.emotion] += 1
        lay(corpus.path(row), root / name_of(ACTORS[row.speaker], sentence, EMOTIONS[row.emotion], level, suffix))
    write_documents(root, ACTORS.values())


def touch_release(root: Path, suffix: str = ".wav") -> None:
    """All 7442 names, with empty files; the release lacks twenty of all combinations, not all of them these."""
    lacking = {*product((1009, 1019, 1064), ("MTI",), ("ANG", "DIS", "FEA", "HAP", "NEU", "SAD"))}
    lacking |= {(1002, "TIE", "NEU"), (1078, "TIE", "NEU")}
    names = []
    for actor, emotion in product(range(1001, 1092), ("ANG", "DIS", "FEA", "HAP", "NEU", "SAD")):
        for sentence, level in NEUTRAL_LEVELS if emotion == "NEU" else LEVELS:
            if (actor, sentence, emotion) not in lacking:
                names.append(name_of(str(actor), sentence, emotion, level, suffix))
    touch(root, *names)
    write_documents(root, [str(actor) for actor in range(1001, 1092)])


def name_of(actor: str, sentence: str, emotion: str, level: str, suffix: str) -> str:
    name = f"{actor}_{sentence}_{emotion}_{level}"
    return f"AudioWAV/{name.removesuffix('X') if name == '1040_ITH_SAD_XX' else name}{suffix}"  # as in the release


def write_documents(root: Path, actors: Iterable[str]) -> None:
    touch(root, "README.md", "LICENSE.txt", "SentenceFilenames.csv", "processedResults/tabulatedVotes.csv")
    lines = ['"ActorID","Age","Sex","Race","Ethnicity"']
    lines += [f'{actor},40,"{"Female" if int(actor) in WOMEN else "Male"}","Unknown","Hispanic"' for actor in actors]
    (root / "VideoDemographics.csv").write_text("\n".join(lines) + "\n", encoding="utf-8")
