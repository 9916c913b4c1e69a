"""Published numbers that results stand beside: whether they may, Gao et al. 2022's tables, what is odd in these."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from affectra.splits.protocols.counts import published_counts
from affectra.splits.protocols.named import stated_options

DRAWN = ("seed", "train")  # options of protocols that no paper states; which corpora are trained on, a table says


class Published(Protocol):
    """Description of the data that published numbers were measured on."""

    @property
    def corpora(self) -> Collection[str]:
        """All corpora that take part."""

    @property
    def task(self) -> str:
        """Of this package."""

    @property
    def protocol(self) -> str:
        """Of this package."""

    @property
    def utterances(self) -> Mapping[str, int]:
        """How many of each corpus, where that is stated."""


def differences(
    published: Published,
    *,
    corpora: Mapping[str, int],
    task: str,
    protocol: str,
    options: Mapping[str, Any],
    only: Mapping[str, Sequence[str]],
    unexpected: Sequence[str] = (),
) -> list[str]:
    """Why a run may not stand beside published numbers, in a few words each; nothing where it may.

    No paper here sets a dev part aside, but for a corpus's own, so a run that does was trained on less. Where a paper
    does not state its utterances, the corpus's own published number is what counts, see `published_counts`.

    Args:
        published: what the numbers were measured on.
        corpora: of the run, with the number of its utterances of each.
        task: of the run.
        protocol: its name.
        options: its options as given.
        only: what the run selects, manifest column -> values.
        unexpected: where its counts of classes and folds differ from the published ones.
    """
    if sorted(corpora) != sorted(published.corpora):
        return [f"corpora {', '.join(sorted(corpora))}, the paper has {', '.join(sorted(published.corpora))}"]
    found = [f"task {task}, the paper has {published.task}"] if task != published.task else []
    if protocol != published.protocol:
        return [*found, f"protocol {protocol}, the paper has {published.protocol}"]
    usual = {**stated_options(protocol, {}), "dev": False}
    for name, value in stated_options(protocol, options).items():
        if name == "dev" and value:
            found.append("a dev part is set aside, the paper has none")
        elif name not in DRAWN and value != usual.get(name):
            found.append(f"protocol option {name}={value}, the paper has {usual.get(name)}")
    found += [f"only {column} {', '.join(values)}" for column, values in only.items()]
    for name, n in corpora.items():
        counts = published_counts(protocol, [name], published.task)
        expected = published.utterances.get(name, counts["total"]["all"] if counts else None)
        place = f"{name} " if len(corpora) > 1 else ""
        if expected is None:
            found.append(f"{place}{n} utterances, how many the paper has is not known")
        elif n != expected:
            whose = "the paper" if name in published.utterances else "the corpus"
            found.append(f"{place}{n} utterances, {whose} has {expected}")
    return found or [*unexpected]


@dataclass(frozen=True)
class PublishedTable:
    """One table of a paper, for one task.

    Attributes:
        source: where it stands.
        task: of this package, "arousal" or "valence".
        protocol: of this package.
        train: the corpora that were trained on.
        test: the corpora that were tested, in the order of the columns.
        rows: model -> UA in percent as printed, one a corpus of `test`, then the printed average.
        utterances: how many of each corpus, as printed.
    """

    source: str
    task: str
    protocol: str
    train: tuple[str, ...]
    test: tuple[str, ...]
    rows: Mapping[str, tuple[float, ...]]
    utterances: Mapping[str, int]

    @property
    def corpora(self) -> set[str]:
        """All corpora that take part."""
        return {*self.train, *self.test}


_GAO_2022 = "Gao et al. 2022, ICASSP"
_FOUR = ("iemocap", "mspimprov", "savee", "emodb")
_THREE = ("mspimprov", "savee", "emodb")
_PRINTED = {"iemocap": 5531, "mspimprov": 8438, "savee": 480, "emodb": 535}  # table 1
BASELINE, DANN_1, DANN_2, DANN_2_CENTER = "baseline, S", "DANN_1, S", "DANN_2, S", "DANN_2, S + C"

TABLES = (
    PublishedTable(
        f"{_GAO_2022}, table 2", "arousal", "multi-corpus", _FOUR, _FOUR,
        {
            BASELINE: (75.90, 62.05, 85.83, 90.95, 78.68),
            DANN_1: (79.47, 63.15, 82.55, 90.48, 78.91),
            DANN_2: (77.62, 62.74, 86.67, 88.01, 78.76),
            DANN_2_CENTER: (78.59, 64.53, 84.16, 92.12, 79.85),
        },
        _PRINTED,
    ),
    PublishedTable(
        f"{_GAO_2022}, table 2", "valence", "multi-corpus", _FOUR, _FOUR,
        {
            BASELINE: (69.51, 59.44, 64.16, 53.03, 61.54),
            DANN_1: (70.32, 60.40, 63.83, 56.47, 62.76),
            DANN_2: (69.44, 61.15, 65.33, 58.85, 63.69),
            DANN_2_CENTER: (75.56, 61.33, 67.50, 63.48, 66.97),
        },
        _PRINTED,
    ),
    PublishedTable(
        f"{_GAO_2022}, table 3", "arousal", "cross-corpus", ("iemocap",), _THREE,
        {
            BASELINE: (59.72, 73.75, 67.35, 66.94),
            DANN_1: (60.51, 74.58, 66.05, 67.05),
            DANN_2: (63.57, 74.79, 69.58, 69.31),
            DANN_2_CENTER: (62.97, 75.20, 71.64, 69.94),
        },
        _PRINTED,
    ),
    PublishedTable(
        f"{_GAO_2022}, table 4", "valence", "cross-corpus", ("iemocap",), _THREE,
        {
            BASELINE: (59.52, 54.79, 49.73, 54.68),
            DANN_1: (59.19, 56.15, 47.53, 54.29),
            DANN_2: (57.57, 57.08, 49.05, 54.57),
            DANN_2_CENTER: (57.26, 58.12, 49.46, 54.95),
        },
        _PRINTED,
    ),
)  # fmt: skip

DEVIATIONS = (
    "IEMOCAP: the paper's table 1 swaps the counts of valence. Anger and sadness, negative, are 1103 + 1084 = 2187 "
    "utterances, happiness and neutral, positive, 3344; it prints them the other way round. Ours are by the words.",
    "IEMOCAP: the paper has four emotions, 5531 utterances; the tasks arousal and valence here take each emotion that "
    "has a place on them, 5680 utterances: surprise 107, fear 40 and disgust 2 as well.",
    "MSP-IMPROV: the paper prints 8438 utterances, which is every turn, so its labels cannot be the raters' consensus "
    "(7798 utterances, the default here); label_source=target takes the emotion that the actors were asked for.",
    "The paper does not say whether it scores segments or utterances; 12 of its 16 UAs on SAVEE are whole numbers of "
    "120 utterances (one speaker, multi-corpus) or 480 (all four, cross-corpus), so we score utterances.",
    "Cross-corpus: with IEMOCAP alone in training, corpus and language are the same for every utterance, and the paper "
    "does not say what its domain branch then learns from. Our variants let it hear the target's audio, never the "
    "labels, and are stamped TRANSDUCTIVE.",
    "The paper gives one number for each cell, without seeds or intervals; its gain over its own baseline for valence "
    "across corpora is 0.3 points, and on EMO-DB all its models are below chance.",
)
