"""IEMOCAP in small: four of its sessions, and the release's 10,039 turns with empty recordings."""

import math
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import cycle
from pathlib import Path

import numpy as np
import soundfile

from affectra.corpora.manifest import Corpus
from miniatures.recording import lay, touch

SESSIONS = {"us": 1, "gb": 2, "de1": 3, "de2": 4}
DIALOGUES = ("F_impro01", "M_impro02", "F_script01_1", "M_script02_2", "F_impro05a", "M_script01_1b")
CODES = {"ang": "Anger", "hap": "Happiness", "exc": "Excited", "neu": "Neutral", "sad": "Sadness", "fru": "Frustration",
         "sur": "Surprise", "fea": "Fear", "dis": "Disgust", "oth": "Other", "xxx": "Anger; Sadness"}  # fmt: skip

# How the release's turns are spread over its sessions. Anger, happiness and excitement together and apart, sadness,
# neutral and the numbers of dialogues are the published ones; of the rest only the sums are, and the spreading is ours.
CATEGORIES = ("ang", "hap", "exc", "sad", "neu", "fru", "sur", "fea", "oth", "dis", "xxx")
RELEASE = {
    1: (229, 135, 143, 194, 384, 369, 22, 8, 1, 0, 502),
    2: (137, 117, 210, 197, 362, 370, 21, 8, 1, 1, 501),
    3: (240, 135, 151, 305, 320, 370, 21, 8, 0, 0, 501),
    4: (327, 65, 238, 143, 258, 370, 21, 8, 0, 1, 501),
    5: (170, 143, 299, 245, 384, 370, 22, 8, 1, 0, 502),
}
N_DIALOGUES = {1: 28, 2: 30, 3: 32, 4: 30, 5: 31}
N_IMPROVISED, N_WOMEN = 4784, 4941


@dataclass
class Turn:
    """One labelled turn, its times in s from the beginning of the dialogue."""

    name: str
    start: float
    end: float
    code: str
    text: str
    dimensions: tuple[float, float, float]  # valence, activation, dominance
    words: list[tuple[str, float, float]]  # s from the beginning of the turn
    source: Path | None = None


def write(root: Path, corpus: Corpus, suffix: str = ".wav") -> None:
    """Lay out `Session1` to `Session4` with the corpus's four pairs; every second happiness is labelled excitement."""
    words = {name: list(rows.itertuples()) for name, rows in corpus.tables["words"].groupby("utterance")}
    happy = cycle(("hap", "exc"))
    for session, of_session in corpus.manifest.groupby("session"):
        for tail, (_, rows) in zip(DIALOGUES, of_session.groupby("dialogue"), strict=True):
            dialogue = f"Ses0{SESSIONS[session]}{tail}"
            turns, counts, now = [], {"F": 0, "M": 0}, 6.2901
            for row in rows.sort_values("turn").itertuples():
                letter = "F" if row.gender == "female" else "M"
                start, now = now, now + soundfile.info(corpus.path(row)).duration
                turns.append(
                    Turn(
                        name=f"{dialogue}_{letter}{counts[letter]:03}",
                        start=start,
                        end=now,
                        code=next(happy) if row.emotion == "happiness" else row.emotion[:3],
                        text=row.text,
                        dimensions=(3 + 2 * row.valence, 3 + 2 * row.arousal, 2.5),
                        words=[(word.word, word.start, word.end) for word in words[row.utterance]],
                        source=corpus.path(row),
                    )
                )
                counts[letter] += 1
                now += 0.4 if row.turn % 3 else -0.3  # people interrupt each other
            write_dialogue(root, dialogue, turns, suffix)
    touch(root, "README.txt", "Documentation/corpus.dic")


def touch_release(root: Path, suffix: str = ".wav") -> None:
    """All 10,039 turns of 151 dialogues with the published numbers of categories, styles and genders."""
    rng = np.random.default_rng(0)
    n_turns = sum(map(sum, RELEASE.values()))
    letters = iter(rng.permutation(["F"] * N_WOMEN + ["M"] * (n_turns - N_WOMEN)))
    improvised = iter(rng.permutation([True] * N_IMPROVISED + [False] * (n_turns - N_IMPROVISED)))
    for session, counts in RELEASE.items():
        codes = rng.permutation(np.repeat(CATEGORIES, counts))
        names = list(dialogue_names(session))
        homes = {kind: cycle([name for name in names if ("impro" in name) == kind]) for kind in (True, False)}
        dialogues: dict[str, list[Turn]] = {name: [] for name in names}
        for code, letter, kind in zip(codes, letters, improvised, strict=False):
            turns = dialogues[name := next(homes[bool(kind)])]
            number = sum(turn.name.startswith(f"{name}_{letter}") for turn in turns)
            start = 4.0 * len(turns) + 0.5
            words = [(f"word{i}", 0.2 + 0.25 * i, 0.4 + 0.25 * i) for i in range(12)]
            turns.append(Turn(f"{name}_{letter}{number:03}", start, start + 3.5, code, "So.", (2.5, 3.5, 3.0), words))
        for name, turns in dialogues.items():
            write_dialogue(root, name, turns, suffix)


def dialogue_names(session: int) -> Iterator[str]:
    """As many names as the session has dialogues, half of them with the markers on the other actor."""
    tails = [f"impro0{i}" for i in range(1, 9)] + [f"script0{i}_{j}" for i in (1, 2, 3) for j in (1, 2, 3)]
    names = [f"Ses0{session}{letter}_{tail}" for tail in tails for letter in "FM"]
    yield from names[: N_DIALOGUES[session]]


def write_dialogue(root: Path, dialogue: str, turns: list[Turn], suffix: str = ".wav") -> None:
    """One dialogue with its labels (the women's turns first), transcript, alignments and recordings."""
    home = root / f"Session{dialogue[4]}"
    of_turns = (f"sentences/ForcedAlignment/{dialogue}", f"sentences/wav/{dialogue}")
    for folder in ("dialog/EmoEvaluation", "dialog/transcriptions", *of_turns):
        (home / folder).mkdir(parents=True, exist_ok=True)
    labels = "".join(label_block(turn) for turn in sorted(turns, key=lambda turn: turn.name))
    header = "% [START_TIME - END_TIME] TURN_NAME EMOTION [V, A, D]\n\n"
    (home / "dialog/EmoEvaluation" / f"{dialogue}.txt").write_text(header + labels, encoding="utf-8")
    lines = [f"{turn.name} [{turn.start:08.4f}-{turn.end:08.4f}]: {turn.text}" for turn in turns]
    lines.insert(1, f"{dialogue}_MXX0 [{turns[0].end:08.4f}-{turns[0].end + 0.3:08.4f}]: [BREATHING]")
    (home / "dialog/transcriptions" / f"{dialogue}.txt").write_text("\n".join(lines) + "\n", encoding="utf-8")
    for turn in turns:
        alignment = home / "sentences/ForcedAlignment" / dialogue / f"{turn.name}.wdseg"
        alignment.write_text(aligned(turn), encoding="utf-8")
        recording = home / "sentences/wav" / dialogue / f"{turn.name}{suffix}"
        if turn.source is None:
            recording.touch()
        else:
            lay(turn.source, recording)


def label_block(turn: Turn) -> str:
    """A turn's line, three raters' categories, two raters' numbers and a blank line."""
    numbers = ", ".join(f"{number:.4f}" for number in turn.dimensions)
    valence, activation, dominance = (round(number) for number in turn.dimensions)
    return (
        f"[{turn.start:.4f} - {turn.end:.4f}]\t{turn.name}\t{turn.code}\t[{numbers}]\n"
        f"C-E2:\t{CODES[turn.code]};\t()\nC-E3:\tNeutral;\t()\nC-E4:\t{CODES[turn.code]};\t(sounds, well, it)\n"
        f"A-E3:\tval {valence}; act {activation}; dom  {dominance};\t()\n"
        f"A-E4:\tval {valence}; act {activation}; dom  {dominance};\t()\n\n"
    )


def aligned(turn: Turn) -> str:
    """The word file: frames of 10 ms, silence between words that do not touch, a variant and a laugh."""
    rows, before = ["\t SFrm  EFrm    SegAScr Word"], 0
    last_frame = math.floor((turn.end - turn.start) * 100 + 1e-6) - 1
    for i, (word, start, end) in enumerate(turn.words):
        first, last = max(before, round(start * 100)), min(round(end * 100), last_frame) - 1
        if first > before:
            rows.append(f"\t{before:5d} {first - 1:5d} {-100 * i:10d} {'<sil>' if before else '<s>'}")
        rows.append(f"\t{first:5d} {last:5d} {-9000 - i:10d} {word.upper()}{'(2)' if i == 1 else ''}")
        before = last + 1
    if before <= last_frame - 2:
        rows += [f"\t{before:5d} {before:5d} {-5:10d} ++LAUGHTER++", f"\t{before + 1:5d} {last_frame:5d} {-7:10d} </s>"]
    return "\n".join([*rows, f" Total score: {-123456:11d}"]) + "\n"
