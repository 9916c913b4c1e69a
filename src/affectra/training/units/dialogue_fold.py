"""One fold over dialogues: turns by modality, their context, the modalities together; each stage then frozen."""

from collections.abc import Container, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import pandas as pd
import torch
from safetensors.numpy import load_file, save_file

from affectra.features.specification import Specification
from affectra.files import atomic_path, read_json, write_json
from affectra.models.dialogue.dialogue_checkpoint import apply_head, load_head
from affectra.models.dialogue.dialogue_folds import FUSION, through_stages, write_dialogue
from affectra.models.dialogue.turns import Dialogue, Vectors
from affectra.models.recognizer import Recognizer, load_checkpoint
from affectra.recipes.recipe import Head, Modality
from affectra.training.data import Example, Utterance
from affectra.training.units.fold import FoldJob


@dataclass(frozen=True)
class ModalityJob:
    """One modality of a fold.

    Attributes:
        name: "audio" or "text".
        recipe: how its turns are recognised one by one.
        specification: the recogniser to build.
        train: turns to learn from, with their class.
        dev: turns to watch.
        trained: all turns that training meets, labelled or not, by key.
        tested: all turns of the dialogues that are tested, by key; other words than `trained` where a recogniser's
            transcripts are used in tests alone, none where the modality is withheld.
    """

    name: str
    recipe: Modality
    specification: Specification
    train: tuple[Example, ...]
    dev: tuple[Example, ...]
    trained: Mapping[str, Utterance]
    tested: Mapping[str, Utterance]


@dataclass(frozen=True)
class DialogueFoldJob(FoldJob):
    """A fold of dialogues.

    Attributes:
        classes: in the order of the scores.
        facts: what else model.json says: task, synthetic, provenance.
        modalities: each with its turns.
        context: a network over the turns of one modality, or None.
        fusion: a network over all modalities, or None.
        train: dialogues with the turns that training may use.
        dev: dialogues to watch; may be empty.
        test: dialogues to predict, whole.
        train_targets: class of the turns to learn from.
        dev_targets: class of the turns to watch.
        test_targets: class of the turns to score; seen only after training.
        people: (corpus, speaker) of each turn.
        conversations: the dialogue of each turn, by which runs may be compared.
        shared: where runs that are alike in a modality train it once; see `train_once`.
    """

    classes: tuple[str, ...]
    facts: Mapping[str, object]
    modalities: tuple[ModalityJob, ...]
    context: Head | None
    fusion: Head | None
    train: tuple[Dialogue, ...]
    dev: tuple[Dialogue, ...]
    test: tuple[Dialogue, ...]
    train_targets: Mapping[str, int]
    dev_targets: Mapping[str, int]
    test_targets: Mapping[str, int]
    people: Mapping[str, tuple[str, str]]
    conversations: Mapping[str, str]
    shared: Path | None = None

    def split(self) -> Mapping[str, Sequence[str]]:
        """As of `FoldJob`; speakers and classes of the training part for probes, dialogues for comparisons."""
        names = {"train": self.train_targets, "dev": self.dev_targets, "test": self.test_targets}
        people = [self.people[key] for key in self.train_targets]
        return {
            **{name: list(targets) for name, targets in names.items()},
            "train_speakers": [f"{corpus}/{speaker}" if speaker else "" for corpus, speaker in people],
            "train_truth": [self.classes[target] for target in self.train_targets.values()],
            "test_dialogues": [self.conversations[key] for key in self.test_targets],
        }

    def train_and_predict(self) -> pd.DataFrame:
        """Train the stages one after the other and predict.

        Writes <modality>/ (a recogniser's checkpoint and the embeddings of the turns), <modality>-context/, fusion/,
        model.json and embeddings.safetensors.
        """
        jobs = {modality.name: modality for modality in self.modalities}
        last = through_stages(
            jobs,
            context=self.context is not None,
            fusion=self.fusion is not None,
            alone=lambda name: self._recognize(jobs[name]),
            head=self._head,
            having=_Found.having,
        )
        description = {
            **self.facts, "classes": list(self.classes), "modalities": list(jobs),
            "context": self.context is not None, "fusion": self.fusion is not None,
        }  # fmt: skip
        write_dialogue(description, self.folder)
        return self._predicted(last)

    def _recognize(self, modality: ModalityJob) -> "_Found":
        """Train a modality's recogniser, and embed each turn once."""
        from affectra.training.shared_stage import train_once  # late, see `utterance_fold`
        from affectra.training.stage import StageJob

        folder = self.folder / modality.name
        train_once(
            StageJob(
                folder, modality.name, self.seed, self.fold, modality.specification, modality.recipe.training,
                modality.train, modality.dev, (), None,
            ),
            self.shared,
            {},
        )  # fmt: skip
        recognizer = load_checkpoint(folder)
        trained = embed_turns(recognizer, modality.trained, folder / "heard")
        return _Found(trained, trained, embed_turns(recognizer, modality.tested, folder / "tested"))

    def _head(self, name: str, modalities: Sequence["_Found"]) -> "_Found":
        """Train a network over dialogues, and what it says of every turn."""
        from affectra.training.units.head import HeadData, HeadJob, train_head  # late, see `utterance_fold`

        head = self.fusion if name == FUSION else self.context
        assert head is not None
        train, dev, tested = ([turns.embeddings for turns in part] for part in zip(*modalities, strict=True))
        sizes = tuple(len(next(iter(embeddings.values()))) for embeddings in train)
        train_head(
            HeadJob(
                self.folder / name, name, self.seed, self.fold, head, self.classes, sizes,
                HeadData(self.train, train, self.train_targets), HeadData(self.dev, dev, self.dev_targets),
            )
        )  # fmt: skip
        network, _ = load_head(self.folder / name)
        parts = ((self.train, train), (self.dev, dev), (self.test, tested))
        return _Found(*(_Turns(*apply_head(network, dialogues, vectors, sizes)) for dialogues, vectors in parts))

    def _predicted(self, found: "_Found") -> pd.DataFrame:
        rows = []
        for key, target in self.test_targets.items():
            probabilities = found.tested.probabilities[key]
            self.check_numbers(key, probabilities)
            corpus, speaker = self.people[key]
            rows.append(
                {
                    "utterance": key, "corpus": corpus, "speaker": speaker, "seed": self.seed, "fold": self.fold,
                    "truth": self.classes[target], "predicted": self.classes[int(probabilities.argmax())],
                    **{f"score_{name}": p for name, p in zip(self.classes, probabilities, strict=True)},
                }
            )  # fmt: skip
        tested = np.stack([found.tested.embeddings[key] for key in self.test_targets])
        nothing = np.zeros_like(tested[0])  # of a turn that lacks the one modality there is
        train = np.stack([found.train.embeddings.get(key, nothing) for key in self.train_targets])
        with atomic_path(self.folder / "embeddings.safetensors") as temporary:
            save_file({"embedding": tested, "train_embedding": train}, temporary)
        return pd.DataFrame(rows)


class _Turns(NamedTuple):
    """Outputs of a stage for turns, by key."""

    probabilities: Mapping[str, npt.NDArray[np.float64]]
    embeddings: Vectors

    def having(self, keys: Container[str]) -> "_Turns":
        """Those that are in `keys`."""
        kept = [key for key in self.embeddings if key in keys]
        return _Turns({key: self.probabilities[key] for key in kept}, {key: self.embeddings[key] for key in kept})


class _Found(NamedTuple):
    """Outputs of a stage for turns of each part's dialogues; a turn may be in several, among other turns in each."""

    train: _Turns
    dev: _Turns
    tested: _Turns

    def having(self, others: "_Found") -> "_Found":
        """Of each part the turns that are in `others`."""
        return _Found(*(part.having(other.embeddings) for part, other in zip(self, others, strict=True)))


def embed_turns(recognizer: Recognizer, turns: Mapping[str, Utterance], path: Path) -> _Turns:
    """Apply a recogniser to each turn on its own; computed once and kept beside its checkpoint.

    Args:
        recognizer: of one modality.
        turns: by key.
        path: without suffix; <path>.safetensors has the arrays, <path>.json the keys of their rows.
    """
    kept = path.with_suffix(".safetensors")
    if path.with_suffix(".json").is_file() and read_json(path.with_suffix(".json")) == list(turns):
        stored = load_file(kept)
        return _Turns(
            dict(zip(turns, stored["probabilities"], strict=True)), dict(zip(turns, stored["embedding"], strict=True))
        )
    if torch.cuda.is_available():
        recognizer.cuda()
    found = {key: recognizer.recognize(turn.load()) for key, turn in turns.items()}
    if found:
        with atomic_path(kept) as temporary:
            save_file(
                {
                    "probabilities": np.stack([output.probabilities for output in found.values()]),
                    "embedding": np.stack([output.embedding for output in found.values()]),
                },
                temporary,
            )
        write_json(path.with_suffix(".json"), list(found))
    return _Turns(
        {key: output.probabilities for key, output in found.items()},
        {key: output.embedding for key, output in found.items()},
    )
