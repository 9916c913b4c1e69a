"""EmoV-DB in small: two voices of the embedded corpus to a speaker, happiness as amusement, sadness as sleepiness."""

from collections import Counter
from pathlib import Path

from affectra.corpora.manifest import Corpus
from miniatures.recording import lay, touch

SPEAKERS = {
    "us-f": "bea", "gb-f": "jenie", "de1-f": "bea", "de2-f": "jenie", "us-m": "josh", "gb-m": "sam", "de1-m": "josh",
    "de2-m": "sam",
}  # fmt: skip
EMOTIONS = {"anger": "anger", "happiness": "amusement", "neutral": "neutral", "sadness": "sleepiness"}
WORDS = {  # of folders and of files
    "amusement": ("Amused", "amused"),
    "anger": ("Angry", "anger"),
    "disgust": ("Disgusted", "disgust"),
    "neutral": ("Neutral", "neutral"),
    "sleepiness": ("Sleepy", "sleepiness"),
}
RANGE = 28  # sentences to a recording session
MISNUMBERED = (  # the names of the release whose number is not in their range
    "bea_Angry/anger_197-224_0024", "bea_Neutral/neutral_113-140_0014", "bea_Neutral/neutral_113-140_0015",
    "josh_Amused/amused_197-224_0023", "josh_Amused/amused_225_252_0026",
)  # fmt: skip


def has(speaker: str, emotion: str) -> bool:
    """Whether the release has the emotion of the speaker."""
    return speaker != "josh" or emotion not in ("anger", "disgust")


def write(root: Path, corpus: Corpus, suffix: str = ".wav", *, nested: bool = False) -> None:
    """Lay out `bea_Amused/...` or, nested, `bea/Amused/...`, with the sentences' texts; josh's anger is left out."""
    numbers: dict[tuple[str, int], int] = {}  # a sentence said again in the same way is another sentence here
    said: Counter[tuple[str, str, str]] = Counter()
    prompts = []
    for row in corpus.manifest.itertuples():
        speaker, emotion = SPEAKERS[row.speaker], EMOTIONS[row.emotion]
        if has(speaker, emotion):
            said[speaker, emotion, row.sentence] += 1
            sentence = (row.sentence, said[speaker, emotion, row.sentence])
            if sentence not in numbers:
                numbers[sentence] = len(numbers) + 1
                prompts.append(f'( arctic_a{numbers[sentence]:04} "{row.text}" )')
            lay(corpus.path(row), root / name_of(speaker, emotion, numbers[sentence], suffix, nested=nested))
    prompts.append('( arctic_b0001 "This sentence is of the second part." )')
    (root / "cmuarctic.data").write_text("\n".join(prompts) + "\n", encoding="utf-8")


def touch_codes(root: Path, suffix: str = ".wav", *, nested: bool = False) -> None:
    """The first two sentences of each speaker in each emotion, with empty files, and the misnumbered ones."""
    names = [
        name_of(speaker, emotion, number, suffix, nested=nested)
        for speaker in dict.fromkeys(SPEAKERS.values())
        for emotion in WORDS
        for number in (1, 2)
        if has(speaker, emotion)
    ]
    names += [f"{name.replace('_', '/', 1) if nested else name}{suffix}" for name in MISNUMBERED]
    touch(root, *names)


def name_of(speaker: str, emotion: str, number: int, suffix: str, *, nested: bool) -> str:
    folder, word = WORDS[emotion]
    if speaker == "bea" and emotion == "neutral":
        word = "Neutral"  # as in the release
    if speaker == "josh" and emotion == "sleepiness":
        word = "sleepy"
    first = (number - 1) // RANGE * RANGE + 1
    place = f"{speaker}/{folder}" if nested else f"{speaker}_{folder}"
    return f"{place}/{word}_{first}-{first + RANGE - 1}_{number:04}{suffix}"
