"""How many utterances a protocol's folds are known to have on the field's corpora, and what differs from that."""

from collections.abc import Collection, Mapping, Sequence
from typing import Any

import pandas as pd

from affectra.corpora.manifest import utterance_keys
from affectra.splits.protocols.folds import Splits

Counts = Mapping[str, int]  # "all" and, where they are known, the utterances of each class


def _four(anger: int, happiness: int, sadness: int, neutral: int) -> Counts:
    return {
        "all": anger + happiness + sadness + neutral,
        "anger": anger, "happiness": happiness, "neutral": neutral, "sadness": sadness,
    }  # fmt: skip


# IEMOCAP, four classes, happiness with excitement, by session, as public code for this task states them. There neutral
# in session 1 is 382, but the session's 1085 and the class's 1708 both make it 384.
IEMOCAP4_SESSIONS = (
    _four(229, 278, 194, 384),
    _four(137, 327, 197, 362),
    _four(240, 286, 305, 320),
    _four(327, 303, 143, 258),
    _four(170, 442, 245, 384),
)

TOTALS: Mapping[tuple[str, str], Counts] = {  # by corpus and task
    ("iemocap", "emotion4"): _four(1103, 1636, 1084, 1708),
    ("iemocap", "emotion4-strict"): _four(1103, 595, 1084, 1708),  # happiness alone, without excitement
    ("mspimprov", "emotion4"): {"all": 7798},  # by the raters' consensus
    # Burkhardt et al. 2005, counted in the published files.
    ("emodb", "emotion"): {
        "all": 535, "anger": 127, "boredom": 81, "disgust": 46, "fear": 69, "happiness": 71, "neutral": 79,
        "sadness": 62,
    },
    # By their design: so many takes of each emotion from each speaker.
    ("savee", "emotion"): {"all": 480, "neutral": 120}
    | dict.fromkeys(("anger", "disgust", "fear", "happiness", "sadness", "surprise"), 60),
    ("ravdess", "emotion"): {"all": 1440, "neutral": 96}
    | dict.fromkeys(("anger", "calm", "disgust", "fear", "happiness", "sadness", "surprise"), 192),
    ("meld", "emotion"): {"all": 13708},  # 9989 train, 1109 dev, 2610 test
}  # fmt: skip

TESTS: Mapping[tuple[str, str, str], Sequence[Counts]] = {  # by corpus, task and protocol: each fold's test part
    ("iemocap", "emotion4", "losession"): IEMOCAP4_SESSIONS,
    ("iemocap", "emotion4", "session5"): IEMOCAP4_SESSIONS[4:],
    ("iemocap", "emotion4-strict", "losession"): [{"all": n} for n in (942, 813, 1000, 793, 942)],
    ("iemocap", "emotion4-strict", "session5"): [{"all": 942}],
    ("emodb", "emotion", "loso"): [{"all": n} for n in (49, 58, 43, 38, 55, 35, 61, 69, 56, 71)],
    ("savee", "emotion", "loso"): [{"all": 120}] * 4,
    ("ravdess", "emotion", "loso"): [{"all": 60}] * 24,
    ("meld", "emotion", "official"): [{"all": 2610}],
}

FOLDS: Mapping[tuple[str, str], int] = {  # by corpus and protocol, where the test parts are not all known
    ("iemocap", "loso"): 10,
    ("mspimprov", "loso"): 12,
    ("mspimprov", "losession"): 6,
}


def published_counts(protocol: str, corpora: Collection[str], task: str) -> Mapping[str, Any] | None:
    """Published counts of a protocol's folds, or None.

    Args:
        protocol: its name.
        corpora: the corpora that take part; numbers are known for some of them alone, none for several together.
        task: its name.

    Returns:
        "total": the utterances of the task, as "all" and by class; "folds": how many, or None; "tests": the same counts
        of each fold's test part in order, empty where they are not known.

    Example:
        >>> published_counts("session5", ["iemocap"], "emotion4")["tests"][0]["all"]
        1241
    """
    names = ["".join(letter for letter in name.casefold() if letter.isalnum()) for name in corpora]
    if len(names) != 1 or (names[0], task) not in TOTALS:
        return None
    tests = tuple(TESTS.get((names[0], task, protocol), ()))
    folds = len(tests) or FOLDS.get((names[0], protocol))
    return {"total": TOTALS[names[0], task], "folds": folds, "tests": tests}


def compare_with_published(splits: Splits, manifest: pd.DataFrame, task: str) -> list[str]:
    """Where folds differ from the published ones, a line each; none where they agree or nothing is published.

    Args:
        splits: the folds.
        manifest: the utterances of the task, with their class in the column `target`.
        task: its name.
    """
    published = published_counts(splits.protocol, list(manifest["corpus"].unique()), task)
    if published is None:
        return []
    lines = _differences(manifest["target"], published["total"], "the task")
    if published["folds"] not in (None, len(splits.folds)):
        return [*lines, f"there are {len(splits.folds)} folds, published {published['folds']}"]
    targets = manifest["target"].set_axis(utterance_keys(manifest))
    for k, (fold, counts) in enumerate(zip(splits.folds, published["tests"], strict=False)):
        lines += _differences(targets[list(fold.test)], counts, f"test of fold {k}")
    return lines


def _differences(targets: pd.Series, published: Counts, place: str) -> list[str]:
    found = {"all": len(targets), **targets.value_counts().to_dict()}
    return [
        f"{place} has {found.get(name, 0)} utterances{'' if name == 'all' else f' of {name}'}, published {n}"
        for name, n in published.items()
        if found.get(name, 0) != n
    ]
