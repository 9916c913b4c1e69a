"""A run about to start: its recipe, its data checked from end to end, and its directory."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

import torch

from affectra.corpora.manifest import Corpus, utterance_keys
from affectra.files import read_json
from affectra.recipes.config import RecipeDocument
from affectra.recipes.recipe import AnyRecipe
from affectra.splits.leakage.findings import Audit
from affectra.splits.protocols import Splits
from affectra.splits.protocols.folds import PARTS
from affectra.tasks.labels import LabelledUtterances
from affectra.training.units.fold import FoldJob

COUNTED = {"utterance": "utterances", "dialogue": "turns", "time": "recordings"}  # what the parts of a fold are of


@dataclass(frozen=True)
class Data:
    """The utterances of a run.

    Attributes:
        corpora: as opened; those that are learnt from and tested.
        labelled: rows with a label.
        pretraining: the corpora that are learnt from and never tested, as opened.
        pretraining_labelled: their rows with a class; None where there are none.
        splits: who is in which fold.
        synthetic: whether some of the speech is synthetic.
        promises: kinds that the folds keep apart; None where they are somebody else's and nobody knows.
        audit: what the auditor says of the folds, without listening yet.
        unexpected: where counts differ from the published ones, a line each.
    """

    corpora: tuple[Corpus, ...]
    labelled: LabelledUtterances
    pretraining: tuple[Corpus, ...]
    pretraining_labelled: LabelledUtterances | None
    splits: Splits
    synthetic: bool
    promises: frozenset[str] | None
    audit: Audit
    unexpected: tuple[str, ...]


@dataclass(frozen=True)
class Plan:
    """A run about to start: its recipe, data and directory; `shared` is a folder for what other runs have alike."""

    document: RecipeDocument
    data: Data
    folder: Path
    shared: Path | None = None

    @property
    def recipe(self) -> AnyRecipe:
        """The checked recipe."""
        return self.document.recipe

    @property
    def provenance(self) -> dict[str, object]:
        """Origin of a checkpoint, as the checkpoint states it."""
        return {
            "recipe": self.recipe.name,
            "corpora": [corpus.name for corpus in (*self.data.corpora, *self.data.pretraining)],
            "protocol": self.data.splits.stamp(),
        }

    @property
    def sizes(self) -> dict[str, Any]:
        """How much each fold trains on, keeps as dev part and tests: "unit", and "folds", one after the other.

        All that is trained on counts, also what has a label of an auxiliary task alone; in dev and test what has a
        class. Augmented copies, and turns that give context alone, do not count.
        """
        manifest = self.data.labelled.manifest
        scored = set(utterance_keys(manifest)[manifest["target"] != ""])
        folds = [
            {part: sum(part == "train" or key in scored for key in getattr(fold, part)) for part in PARTS}
            for fold in self.data.splits.folds
        ]
        return {"unit": COUNTED[self.recipe.unit], "folds": folds}

    def fold_folder(self, seed: int, fold: int) -> Path:
        """Where the files of one fold of one seed go."""
        return self.folder / f"seed-{seed}" / f"fold-{fold}"


class Unit(Protocol):
    """The functions of each module of `runs.units`: what a run learns over, utterances, dialogues or frames.

    A recipe is one of the unit's own class, so its type is open here.
    """

    def check(self, recipe: Any) -> None:
        """Check every name and option that a recipe uses, before any corpus is read."""

    def label(self, corpora: Sequence[Corpus], recipe: Any) -> LabelledUtterances:
        """Select what has a label of the recipe's task."""

    def check_fit(self, plan: Plan) -> None:
        """Raise unless the parts of the recipe fit together and fit the data."""

    def outline(self, plan: Plan, n_processes: int) -> list[str]:
        """Describe the model and its training in lines, as a dry run shows them."""

    def prepare(self, plan: Plan, threads: int, say: Callable[[str], None]) -> "Work":
        """Read and cache what the folds need, and make their jobs."""

    def facts(self, plan: Plan) -> dict[str, Any]:
        """Give what environment.json says of this unit's run: "normalization", "adaptation" and what else there is."""

    def finish(self, plan: Plan, scores: Mapping[str, Any], say: Callable[[str], None]) -> None:
        """Do what is left when all folds are done, before the report is written."""


class Job(Protocol):
    """Piece of work that a grid of folds runs; it is sent to another process as a whole."""

    @property
    def is_done(self) -> bool:
        """Whether its result is there."""

    def run(self) -> None:
        """Do it, going on from the resume state where there is one."""


@dataclass(frozen=True)
class Work:
    """Work that is left once the features are there.

    Attributes:
        first: jobs that folds start from.
        folds: one job a fold and seed.
        hashes: SHA-256 of the recording, or the text, of each utterance, by its name.
        facts: what environment.json says of it besides.
    """

    first: tuple[Job, ...]
    folds: tuple[FoldJob, ...]
    hashes: Mapping[str, str]
    facts: Mapping[str, Any] = field(default_factory=dict)


def n_threads(plan: Plan, n_processes: int) -> int:
    """Threads of torch in each process; a resumed run keeps those it began with, since sums depend on them."""
    environment = plan.folder / "environment.json"
    if (plan.folder / "recipe.yaml").is_file() and environment.is_file():
        return int(read_json(environment).get("threads", 1))
    return max(1, torch.get_num_threads() // n_processes)  # as many as cores, or $OMP_NUM_THREADS
