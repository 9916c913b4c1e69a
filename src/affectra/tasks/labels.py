"""Label maps: from a corpus's own labels to the classes of a task, and which utterances take part."""

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from affectra.errors import CorpusError
from affectra.registry import unknown_name
from affectra.tasks.classes import Classes
from affectra.tasks.task import Task

# Gao et al. 2022, table 1; calm, amusement and sleepiness are ours, the papers' corpora lack them or leave them out.
NEGATIVE = ("anger", "boredom", "disgust", "fear", "sadness")
POSITIVE = ("amusement", "calm", "excitement", "happiness", "neutral", "surprise")
HIGH = ("amusement", "anger", "excitement", "fear", "happiness", "surprise")
LOW = ("boredom", "calm", "disgust", "neutral", "sadness", "sleepiness")

NOT_A_CLASS = ("", "none", "other")  # unlabelled, no agreement among the raters, none of the offered words
SENTIMENTS = {-1.0: "negative", 0.0: "neutral", 1.0: "positive"}  # how the reader of MELD writes them as valence


@dataclass(frozen=True)
class LabelMap:
    """How the labels of a manifest become the classes of a task.

    Attributes:
        name: the name used on the command line.
        title: one line on what it is.
        target: (manifest rows) -> the class of each row, NaN where it has none.
        unused: columns of ratings that somebody may expect it to learn from; it takes emotion words.
    """

    name: str
    title: str
    target: Callable[[pd.DataFrame], pd.Series]
    unused: tuple[str, ...] = ()


def _by_word(classes: Mapping[str, str]) -> Callable[[pd.DataFrame], pd.Series]:
    """Emotion words with a class of their own or a common one; other words have none."""
    return lambda manifest: manifest["emotion"].map(dict(classes))


def _same(*words: str) -> Callable[[pd.DataFrame], pd.Series]:
    return _by_word({word: word for word in words})


def _every_word(manifest: pd.DataFrame) -> pd.Series:
    return manifest["emotion"].where(~manifest["emotion"].isin(NOT_A_CLASS))


def _common_words(manifest: pd.DataFrame) -> pd.Series:
    """The words that every corpus has, so that each class can be learnt on one corpus and met in another."""
    words = _every_word(manifest)
    n_corpora = manifest["corpus"].groupby(words).nunique()
    return words.where(words.map(n_corpora) == manifest["corpus"].nunique())


def _by_sentiment(manifest: pd.DataFrame) -> pd.Series:
    valence = manifest["valence"]
    strange = valence[valence.notna() & ~valence.isin(SENTIMENTS)]
    if len(strange) or valence.isna().all():
        found = f"{strange.iloc[0]:g}" if len(strange) else "none"
        raise CorpusError(
            f"task 'sentiment' needs valence that is -1, 0 or 1, as MELD's sentiments are; found {found}; "
            "the task 'valence' maps emotion words"
        )
    return valence.map(SENTIMENTS)


def _quadrants() -> dict[str, str]:
    """Gao et al. 2021: angry = V- A+, sad = V- A-, happy = V+ A+, neutral = V+ A-."""
    names = {(False, True): "anger", (False, False): "sadness", (True, True): "happiness", (True, False): "neutral"}
    words = (set(POSITIVE) | set(NEGATIVE)) & (set(HIGH) | set(LOW))
    return {word: names[word in POSITIVE, word in HIGH] for word in sorted(words)}


EMOTION4 = {word: word for word in ("anger", "happiness", "neutral", "sadness")}

TASKS = {
    labels.name: labels
    for labels in (
        LabelMap("emotion", "every emotion word of the corpora is a class", _every_word),
        LabelMap("common", "the emotion words that every corpus of the run has", _common_words),
        LabelMap(
            "emotion4",
            "anger, happiness (with excitement), neutral, sadness",
            _by_word({**EMOTION4, "excitement": "happiness"}),
        ),
        LabelMap("emotion4-strict", "anger, happiness (without excitement), neutral, sadness", _by_word(EMOTION4)),
        LabelMap(
            "emotion6",
            "IEMOCAP's six of conversation: anger, excitement, frustration, happiness, neutral, sadness",
            _same("anger", "excitement", "frustration", "happiness", "neutral", "sadness"),
        ),
        LabelMap(
            "emotion7",
            "the seven of MELD, SAVEE and TESS: anger, disgust, fear, happiness, neutral, sadness, surprise",
            _same("anger", "disgust", "fear", "happiness", "neutral", "sadness", "surprise"),
        ),
        LabelMap(
            "arousal",
            "low or high arousal by emotion word (Gao 2022)",
            _by_word(dict.fromkeys(LOW, "low") | dict.fromkeys(HIGH, "high")),
            unused=("arousal",),
        ),
        LabelMap(
            "valence",
            "negative or positive valence by emotion word (Gao 2022)",
            _by_word(dict.fromkeys(NEGATIVE, "negative") | dict.fromkeys(POSITIVE, "positive")),
            unused=("valence",),
        ),
        LabelMap(
            "quadrant",
            "four quadrants of arousal and valence by emotion word (Gao 2021)",
            _by_word(_quadrants()),
            unused=("arousal", "valence"),
        ),
        LabelMap("sentiment", "negative, neutral or positive, as MELD labels it", _by_sentiment),
    )
}

RATINGS = ("arousal", "valence", "dominance", "liking")  # columns of the manifest
NOT_YET = {
    "dimensions": "ratings of utterances",
    "distribution": "what each rater chose",
    "multilabel": "several emotions at once",
}


def unknown_task(name: str) -> str:
    """A message for a task that is none of `TASKS`: planned, of another kind of recipe, or unknown.

    Example:
        >>> unknown_task("continuous")
        "task 'continuous' is of labels over time; take a recipe over time, such as tzirakis2021"
    """
    if name in NOT_YET:
        return (
            f"task {name!r} ({NOT_YET[name]}) is planned, and this version cannot learn it yet; it learns the tasks "
            f"{', '.join(TASKS)}, and labels over time with recipes such as tzirakis2021"
        )
    if name == "continuous":
        return "task 'continuous' is of labels over time; take a recipe over time, such as tzirakis2021"
    return unknown_name("task", name, TASKS)


@dataclass(frozen=True)
class LabelledUtterances:
    """Utterances of a task.

    Attributes:
        manifest: rows that have a label, with it in the added column `target`.
        task: what is learnt and how it is scored; its outputs are the classes in alphabetical order, or dimensions.
        dropped: how many utterances each left-out emotion word had.
        excluded: how many utterances were not selected at all, by "column value".
        notes: what to know of where the classes come from, a line each.
    """

    manifest: pd.DataFrame
    task: Task
    dropped: Mapping[str, int]
    excluded: Mapping[str, int]
    notes: tuple[str, ...] = ()

    @property
    def classes(self) -> tuple[str, ...]:
        """The classes; none where dimensions are learnt."""
        return self.task.outputs if self.task.kind == "classes" else ()


BINARY = {"arousal": "high", "valence": "positive"}  # auxiliary task -> the class whose probability its head gives


def map_labels(
    manifest: pd.DataFrame,
    task: str,
    only: Mapping[str, Sequence[str]] | None = None,
    auxiliary: Sequence[str] = (),
) -> LabelledUtterances:
    """Map labels to a task's classes; what has no class is left out and counted.

    Args:
        manifest: rows with the columns `corpus`, `emotion` and, for sentiments, `valence`.
        task: name of a task.
        only: column -> the values that take part, e.g. {"style": ["improvised"]}.
        auxiliary: of `BINARY`; a row that has no class and one of these stays, with "" as its target, and each has a
            column `target_<name>` with 1, 0 or -1 for unknown.

    Raises:
        CorpusError: unknown task, column or value, ratings and no emotion word, or fewer than two classes are left.

    Example:
        >>> rows = pd.DataFrame({"emotion": ["anger", "excitement", "fear", "none"]})
        >>> labelled = map_labels(rows, "emotion4")
        >>> list(labelled.manifest["target"]), labelled.classes, labelled.dropped
        (['anger', 'happiness'], ('anger', 'happiness'), {'fear': 1, 'none': 1})
    """
    if task not in TASKS:
        raise CorpusError(unknown_task(task))
    selected, excluded = select(manifest, only or {})
    target = TASKS[task].target(selected)
    sides = {f"target_{name}": _binary(name, selected) for name in auxiliary}
    kept = target.notna()
    for side in sides.values():
        kept |= side >= 0
    words = selected["emotion"].astype(str)
    rated = _count_ratings(selected)
    if rated and words.isin(NOT_A_CLASS).all() and not kept.any():
        raise CorpusError(
            f"task {task!r} is taken from emotion words, and none of the {len(words)} utterances has one; there are "
            f"ratings ({', '.join(f'{column} of {n}' for column, n in rated.items())}), from which this version cannot "
            "learn yet (the task dimensions is planned); fill the manifest's column emotion"
        )
    counts = words[~kept].replace("", "unlabelled").value_counts().sort_index()
    labelled = selected.assign(target=target.astype(object).fillna("").astype(str), **sides)[kept].reset_index(
        drop=True
    )
    present = tuple(sorted(set(labelled["target"]) - {""}))
    if len(present) < 2:
        raise CorpusError(
            f"task {task!r} needs at least two classes; the manifest's emotion words "
            f"({', '.join(sorted(set(words))) or 'none'}) give {len(present)}"
        )
    dropped = {str(word): int(n) for word, n in counts.items()}
    notes = _notes([task, *auxiliary], rated, len(selected))
    return LabelledUtterances(labelled, Classes(task, present), dropped, excluded, notes)


def _count_ratings(manifest: pd.DataFrame) -> dict[str, int]:
    """How many rows have a rating, by column."""
    counts = {column: int(manifest[column].notna().sum()) for column in RATINGS if column in manifest}
    return {column: n for column, n in counts.items() if n}


def _notes(tasks: Sequence[str], rated: Mapping[str, int], n_rows: int) -> tuple[str, ...]:
    """One line where tasks are taken from emotion words though the manifest has ratings of the same name."""
    tasks = [task for task in dict.fromkeys(tasks) if set(TASKS[task].unused) & rated.keys()]
    columns = [column for column in rated if any(column in TASKS[task].unused for task in tasks)]
    if not columns:
        return ()
    counts = " and ".join(f"{column} ({rated[column]} of {n_rows} rows)" for column in columns)
    return (
        f"{' and '.join(tasks)} {'is' if len(tasks) == 1 else 'are'} taken from the emotion words; the ratings in the "
        f"column{'s' * (len(columns) > 1)} {counts} are not used: they are for the task dimensions, which is planned "
        "and not there yet",
    )


def _binary(name: str, manifest: pd.DataFrame) -> pd.Series:
    if name not in BINARY:
        raise CorpusError(unknown_name("auxiliary task", name, BINARY))
    classes = TASKS[name].target(manifest)
    return (classes == BINARY[name]).astype(int).where(classes.notna(), -1)


def select(manifest: pd.DataFrame, only: Mapping[str, Sequence[str]]) -> tuple[pd.DataFrame, dict[str, int]]:
    """The rows with the values asked for, and how many others each column's other values had.

    Args:
        manifest: the utterances.
        only: column -> the values that take part.

    Raises:
        CorpusError: an unknown column or value.
    """
    excluded: dict[str, int] = {}
    for column, values in only.items():
        texts = [name for name in manifest if not pd.api.types.is_numeric_dtype(manifest[name])]
        if column not in texts:
            raise CorpusError(f"only: {unknown_name('column', column, map(str, texts))}")
        missing = sorted(set(values) - set(manifest[column]))
        if missing:
            raise CorpusError(f"only: no utterance has the {unknown_name(column, missing[0], set(manifest[column]))}")
        taken = np.asarray(manifest[column].isin(list(values)))
        others = manifest.loc[~taken, column].replace("", "unknown").value_counts().sort_index()
        excluded |= {f"{column} {value}": int(n) for value, n in others.items()}
        manifest = manifest[taken]
    return manifest, excluded


def count_classes(manifest: pd.DataFrame, task: str) -> dict[str, int]:
    """Utterances a class, in the order of the classes' names; empty where a part of a corpus is too small for the task.

    Args:
        manifest: rows of one corpus.
        task: name of the task.
    """
    try:
        return dict(sorted(Counter(map_labels(manifest, task).manifest["target"]).items()))
    except CorpusError:
        return {}
