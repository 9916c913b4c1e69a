"""Label maps: from a corpus's own emotion word to the classes of a task."""

from collections.abc import Mapping
from dataclasses import dataclass

import pandas as pd

from affectra.errors import CorpusError
from affectra.registry import unknown_name

# Gao et al. 2022, table 1; calm, amusement and sleepiness are ours, the papers' corpora lack them or leave them out.
NEGATIVE = ("anger", "boredom", "disgust", "fear", "sadness")
POSITIVE = ("amusement", "calm", "excitement", "happiness", "neutral", "surprise")
HIGH = ("amusement", "anger", "excitement", "fear", "happiness", "surprise")
LOW = ("boredom", "calm", "disgust", "neutral", "sadness", "sleepiness")

NOT_A_CLASS = ("", "none", "other")  # unlabelled, no agreement among the raters, none of the offered words


@dataclass(frozen=True)
class Task:
    """A classification task.

    Attributes:
        name: the name used on the command line.
        title: one line on what it is.
        classes: class of each emotion word; None keeps each word as its own class.
    """

    name: str
    title: str
    classes: Mapping[str, str] | None


def _quadrants() -> dict[str, str]:
    """Gao et al. 2021: angry = V- A+, sad = V- A-, happy = V+ A+, neutral = V+ A-."""
    names = {(False, True): "anger", (False, False): "sadness", (True, True): "happiness", (True, False): "neutral"}
    words = (set(POSITIVE) | set(NEGATIVE)) & (set(HIGH) | set(LOW))
    return {word: names[word in POSITIVE, word in HIGH] for word in sorted(words)}


TASKS = {
    task.name: task
    for task in (
        Task("emotion", "every emotion word of the corpus is a class", None),
        Task(
            "emotion4",
            "anger, happiness (with excitement), neutral, sadness",
            {
                "anger": "anger",
                "happiness": "happiness",
                "excitement": "happiness",
                "neutral": "neutral",
                "sadness": "sadness",
            },
        ),
        Task(
            "arousal",
            "low or high arousal by emotion word (Gao 2022)",
            dict.fromkeys(LOW, "low") | dict.fromkeys(HIGH, "high"),
        ),
        Task(
            "valence",
            "negative or positive valence by emotion word (Gao 2022)",
            dict.fromkeys(NEGATIVE, "negative") | dict.fromkeys(POSITIVE, "positive"),
        ),
        Task("quadrant", "four quadrants of arousal and valence (Gao 2021)", _quadrants()),
    )
}


@dataclass(frozen=True)
class LabelledUtterances:
    """Utterances of a task.

    Attributes:
        manifest: rows that have a class, with it in the added column `target`.
        classes: the classes in alphabetical order; scores and confusion matrices follow it.
        dropped: how many utterances each left-out emotion word had.
    """

    manifest: pd.DataFrame
    classes: tuple[str, ...]
    dropped: Mapping[str, int]


def map_labels(manifest: pd.DataFrame, task: str) -> LabelledUtterances:
    """Map emotion words to a task's classes; what has no class is left out and counted.

    Args:
        manifest: rows with the column `emotion`.
        task: name of a task.

    Raises:
        CorpusError: unknown task, or fewer than two classes are left.

    Example:
        >>> rows = pd.DataFrame({"emotion": ["anger", "excitement", "fear", "none"]})
        >>> labelled = map_labels(rows, "emotion4")
        >>> list(labelled.manifest["target"]), labelled.classes, labelled.dropped
        (['anger', 'happiness'], ('anger', 'happiness'), {'fear': 1, 'none': 1})
    """
    if task not in TASKS:
        raise CorpusError(unknown_name("task", task, TASKS))
    words = manifest["emotion"].astype(str)
    classes = TASKS[task].classes
    if classes is None:
        target = words.where(~words.isin(NOT_A_CLASS))
    else:
        target = words.map(dict(classes))
    kept = target.notna()
    counts = words[~kept].replace("", "unlabelled").value_counts().sort_index()
    labelled = manifest[kept].assign(target=target[kept].astype(str)).reset_index(drop=True)
    present = tuple(sorted(labelled["target"].unique()))
    if len(present) < 2:
        raise CorpusError(
            f"task {task!r} needs at least two classes; the manifest's emotion words "
            f"({', '.join(sorted(set(words))) or 'none'}) give {len(present)}"
        )
    return LabelledUtterances(labelled, present, {str(word): int(n) for word, n in counts.items()})
