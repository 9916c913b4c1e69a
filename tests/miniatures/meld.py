"""MELD in small: the published archive's layout with the embedded corpus's dialogues, words and audio."""

import csv
from pathlib import Path

import soundfile

from affectra.corpora.manifest import Corpus

HEADER = (
    "Sr No.", "Utterance", "Speaker", "Emotion", "Sentiment", "Dialogue_ID", "Utterance_ID", "Season", "Episode",
    "StartTime", "EndTime",
)  # fmt: skip
TABLES = {"train": "train/train_sent_emo.csv", "dev": "dev_sent_emo.csv", "test": "test_sent_emo.csv"}
FOLDERS = {
    "train": "train/train_splits",
    "dev": "dev/dev_splits_complete",
    "test": "test/output_repeated_splits_test",
}
SPEAKERS = {
    "us-f": "Rachel", "us-m": "Joey", "gb-f": "Emily", "gb-m": "Dr. Burke’s Friend", "de1-f": "Monica",
    "de1-m": "Chandler", "de2-f": "Phoebe", "de2-m": "Ross",
}  # fmt: skip
LABELS = {
    "anger": ("anger", "negative"),
    "happiness": ("joy", "positive"),
    "neutral": ("neutral", "neutral"),
    "sadness": ("sadness", "negative"),
}
OTHER_LABELS = (("disgust", "negative"), ("fear", "negative"), ("surprise", "positive"), ("surprise", "negative"))


def write(root: Path, corpus: Corpus, suffix: str = ".wav") -> None:
    """Lay out all three splits, the roles in each, a dialogue an episode.

    Of each session's six dialogues four are train, one dev, one test. The last dialogue of each split is one more, of
    text alone, with the emotions that the embedded corpus lacks.
    """
    for split, rows in split_dialogues(corpus).items():
        (root / FOLDERS[split]).mkdir(parents=True)
        table = [HEADER]
        for row in rows:
            clip = f"dia{row['dialogue']}_utt{row['turn']}"
            _copy(corpus.root / row["file"], root / FOLDERS[split] / f"{clip}{suffix}")
            label = LABELS[row["emotion"]]
            table.append(_row(len(table), row["text"], SPEAKERS[row["speaker"]], label, row["dialogue"], row["turn"]))
        for turn, label in enumerate(OTHER_LABELS):
            table.append(_row(len(table), "Oh… my “God”!", "All", label, rows[-1]["dialogue"] + 1, turn))
        with open(root / TABLES[split], "w", encoding="utf-8", newline="") as file:
            csv.writer(file).writerows(table)


def split_dialogues(corpus: Corpus) -> dict[str, list[dict]]:
    """The embedded corpus's rows by split, dialogues and turns numbered from 0 in each."""
    splits: dict[str, list[dict]] = {split: [] for split in TABLES}
    for _, session in corpus.manifest.groupby("session"):
        for number, (_, dialogue) in enumerate(session.groupby("dialogue")):
            split = "train" if number < 4 else ("dev", "test")[number - 4]
            rows = splits[split]
            next_dialogue = rows[-1]["dialogue"] + 1 if rows else 0
            for turn, row in enumerate(dialogue.to_dict("records")):
                rows.append({**row, "dialogue": next_dialogue, "turn": turn})
    return splits


def _row(number: int, text: str, speaker: str, label: tuple[str, str], dialogue: int, turn: int) -> tuple:
    times = (f"00:{turn:02}:01,059", f"0:{turn:02}:04,731")  # the tables write both
    return (number, text, speaker, *label, dialogue, turn, 1 + dialogue % 10, 1 + dialogue, *times)


def _copy(source: Path, target: Path) -> None:
    samples, sample_rate = soundfile.read(source, dtype="int16")
    soundfile.write(target, samples, sample_rate, subtype="PCM_16")
