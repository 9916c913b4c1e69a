"""MSP-IMPROV in small: four of its sessions, and the release's 8,438 clips with empty recordings."""

from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import cycle, product
from pathlib import Path

import numpy as np

from affectra.corpora.manifest import Corpus
from miniatures.recording import lay, touch

SESSIONS = {"us": 1, "gb": 2, "de1": 3, "de2": 4}
SCENARIOS = "SPTSRT"  # of the six dialogues of a pair
LETTERS = {"anger": "A", "happiness": "H", "neutral": "N", "sadness": "S"}
WORDS = {"A": "Angry", "H": "Happy", "N": "Neutral", "S": "Sad", "O": "Other"}
FURTHER = ("Frustrated", "Neutral,Excited", "Depressed", "Other-tired", "Surprised,Other (well; so)", "")
LABELS = "Evalution.txt"

# Clips by scenario and consensus, as published.
CATEGORIES = "ASHNOX"
RELEASE = {
    "T": (115, 106, 136, 283, 1, 11),
    "R": (169, 80, 88, 241, 3, 39),
    "S": (470, 633, 1048, 1789, 70, 371),
    "P": (38, 66, 1372, 1164, 11, 134),
}


@dataclass
class Clip:
    """One clip."""

    name: str  # without UTD or MSP
    consensus: str
    ratings: list[tuple[str, str, tuple[float, float, float]]]  # rater, word, activation, valence and dominance
    source: Path | None = None
    text: str = ""

    def path(self, suffix: str) -> str:
        """Where its recording lies."""
        _, scene, speaker, scenario, _ = self.name.split("-")
        return f"session{speaker[-1]}/{scene}/{scenario}/MSP-{self.name}{suffix}"


def write(root: Path, corpus: Corpus, suffix: str = ".wav") -> None:
    """Lay out `session1` to `session4` with the corpus's four pairs; targets are aimed at, and missed as often."""
    rng = np.random.default_rng(0)
    numbers: Counter[str] = Counter()
    clips = []
    for session, of_session in corpus.manifest.groupby("session"):
        for index, (_, rows) in enumerate(of_session.groupby("dialogue")):
            for row in rows.sort_values("turn").itertuples():
                sex, letter = row.gender[0].upper(), LETTERS[row.emotion]
                sentence, scenario, target = shared_sentence(row.sentence), SCENARIOS[index], letter
                if scenario in "SP" or not sentence:  # a scene has one target, whatever comes of it
                    sentence, scenario, target = index + 1, scenario if scenario == "P" else "S", "AHNS"[index % 4]
                pair = sex * 2 if scenario == "R" else "FM"
                prefix = f"IMPROV-S{sentence:02}{target}-{sex}0{SESSIONS[session]}-{scenario}-{pair}"
                numbers[prefix] += 1
                ratings = rate(rng, letter, (3 - 2 * row.arousal, 3 + 2 * row.valence, 3.0))
                clips.append(Clip(f"{prefix}{numbers[prefix]:02}", letter, ratings, corpus.path(row), row.text))
    write_clips(root, clips, suffix)
    touch(root, "readme.txt")


def shared_sentence(sentence: str) -> int:
    """Number of a target sentence: fifteen of the English ones, five of the German ones; 0 for the others."""
    language, kind, number = sentence.split("-")
    if kind != "shared":
        return 0
    return int(number) if language == "en" else 15 + int(number) if int(number) <= 5 else 0


def rate(
    rng: np.random.Generator, letter: str, means: tuple[float, ...]
) -> list[tuple[str, str, tuple[float, float, float]]]:
    """Five raters, three of whom say the consensus, or two, two and one where there is none."""
    words = (
        [WORDS[letter]] * 3 + ["Other-well", "Neutral"]
        if letter in WORDS
        else ["Sad", "Sad", "Angry", "Angry", "Other"]
    )
    numbers = np.clip(np.round(np.asarray(means) + rng.uniform(-0.8, 0.8, (5, 3))), 1, 5)
    return [
        (f"WORKER{index:08}" if index % 3 else f"20130227-p{index}", word, tuple(map(float, row)))
        for index, (word, row) in enumerate(zip(words, numbers, strict=True))
    ]


def touch_release(root: Path, suffix: str = ".wav") -> None:
    """All 8,438 clips of twelve speakers with the published numbers of scenarios and consensus letters."""
    rng = np.random.default_rng(0)
    clips = []
    for scenario, counts in RELEASE.items():
        n_sessions = 4 if scenario == "R" else 6  # eight of the twelve have read
        names = clip_names(scenario, n_sessions)
        for consensus in rng.permutation(np.repeat(list(CATEGORIES), counts)):
            clips.append(Clip(next(names), str(consensus), rate(rng, str(consensus), (3.0, 3.0, 3.0))))
    write_clips(root, clips, suffix)


def clip_names(scenario: str, n_sessions: int) -> Iterator[str]:
    """Endlessly many names, each once."""
    scenes = list(product(range(1, 21), "AHNS", "FM", range(1, n_sessions + 1)))
    for index, (sentence, target, sex, session) in enumerate(cycle(scenes)):
        pair = sex * 2 if scenario == "R" else "FM"
        number = index // len(scenes) + 1
        yield f"IMPROV-S{sentence:02}{target}-{sex}0{session}-{scenario}-{pair}{number:02}"


def write_clips(root: Path, clips: Iterable[Clip], suffix: str = ".wav") -> None:
    """The label file, the recordings, and the transcripts of clips with text."""
    clips = list(clips)
    root.mkdir(parents=True, exist_ok=True)
    (root / LABELS).write_text("".join(map(label_block, clips)), encoding="utf-8")
    for clip in clips:
        if clip.text:
            touch(root, transcript := f"transcripts/MSP-{clip.name}.txt")
            (root / transcript).write_text(f"{clip.text}\n", encoding="utf-8")
        if clip.source is None:
            touch(root, clip.path(suffix))
        else:
            lay(clip.source, root / clip.path(suffix))


def label_block(clip: Clip) -> str:
    """A clip's line with the means of its raters, the raters' lines and a blank line."""
    activation, valence, dominance = np.mean([numbers for _, _, numbers in clip.ratings], axis=0)
    lines = [
        f"UTD-{clip.name}.avi; {clip.consensus}; A:{activation:.6f}; V:{valence:.6f}; D:{dominance:.6f} ; N:3.500000;"
    ]
    for index, (rater, word, (a, v, d)) in enumerate(clip.ratings):
        further = FURTHER[index % len(FURTHER)]
        lines.append(
            f"{rater}; {word}; {further}; A:{a:.6f}; V:{v:.6f}; D:{d:.6f}; N:{'NaN' if index else '4.000000'};"
        )
    return "\n".join(lines) + "\n\n"
