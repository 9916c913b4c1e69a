"""Runs that differ in one number of their recipe: what they score over it."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from affectra.evaluation.run_directory import Run
from affectra.files import sha256_json

FEWEST = 3  # values that make a curve
FOLDS = "folds"  # who is in which
ASIDE = ("name", "description", "paper")  # say nothing of what a run does
NAMES = {  # of numbers whose key says little
    "protocol.options.train_speakers": "training speakers",
    "model.options.filter_a.0": "height of the frequency filter, bins",
    "model.options.filter_b.1": "width of the time filter, frames",
}


@dataclass(frozen=True)
class Scan:
    """Scores over one number.

    Attributes:
        name: what the number is.
        values: of the number, rising.
        runs: names of the runs, in that order.
        wa: at utterance level, averaged over seeds.
        intervals: [low, high] of each, over speakers, or None.
        recalls: class -> its recall in each run; None where the class was not tested.
    """

    name: str
    values: list[float]
    runs: list[str]
    wa: list[float]
    intervals: list[Sequence[float] | None]
    recalls: dict[str, list[float | None]]

    @property
    def text(self) -> str:
        """The same in words."""
        points = []
        for k, value in enumerate(self.values):
            found = {"WA": self.wa[k], **{label: recall[k] for label, recall in self.recalls.items()}}
            scores = ", ".join(f"{label} {score:.3f}" for label, score in found.items() if score is not None)
            points.append(f"{value:g}: {scores}")
        return f"{self.name}; " + "; ".join(points)


def scans(runs: Mapping[str, Run]) -> list[Scan]:
    """Every number over which at least three runs, alike in all else, differ.

    Alike are runs of the same utterances and of the same recipe but for that number; and of the same folds, unless the
    number is one of the protocol's.

    Args:
        runs: name -> run, of classes.
    """
    leaves = {name: dict(_leaves(_settings(run))) for name, run in runs.items()}
    keys = dict.fromkeys(key for found in leaves.values() for key, value in found.items() if _is_number(value))
    result = []
    for key in keys:
        groups: dict[str, dict[float, str]] = {}
        for name, found in leaves.items():
            if _is_number(found.get(key)):
                aside = {key, FOLDS} if key.startswith("protocol.") else {key}
                others = {other: value for other, value in found.items() if other not in aside}
                groups.setdefault(sha256_json(others), {})[found[key]] = name
        result += [_scan(key, group, runs) for group in groups.values() if len(group) >= FEWEST]
    return result


def _settings(run: Run) -> dict[str, Any]:
    """Give the settings that decide a run's scores: the recipe, and what it was trained and tested on."""
    recipe = {key: value for key, value in run.recipe.items() if key not in ASIDE}
    return {
        **recipe, "tested on": run.environment["corpora"], FOLDS: run.scores["protocol"]["hash"],
        "task": run.scores["task"],
    }  # fmt: skip


def _leaves(node: Any, prefix: str = "") -> Iterator[tuple[str, Any]]:
    """Dotted key -> value of all that is not a mapping or a list; items of a list are numbered from 0."""
    if isinstance(node, Mapping):
        items = [(str(key), value) for key, value in node.items()]
    elif isinstance(node, list):
        items = [(str(i), value) for i, value in enumerate(node)]
    else:
        yield prefix, node
        return
    for key, value in items:
        yield from _leaves(value, f"{prefix}.{key}" if prefix else key)


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _scan(key: str, group: Mapping[float, str], runs: Mapping[str, Run]) -> Scan:
    values = sorted(group)
    scores = [runs[group[value]].scores for value in values]
    classes = list(dict.fromkeys(label for found in scores for label in found["classes"]))
    return Scan(
        name=NAMES.get(key, key),
        values=values,
        runs=[group[value] for value in values],
        wa=[found["metrics"]["wa"] for found in scores],
        intervals=[found["interval"]["wa"] for found in scores],
        recalls={label: [found["metrics"]["recall"].get(label) for found in scores] for label in classes},
    )
