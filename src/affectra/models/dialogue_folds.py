"""The networks of a fold over dialogues, rebuilt from its folder: recognisers of turns, their context, the fusion."""

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import torch
from torch import nn

from affectra.errors import CheckpointError
from affectra.features.cache import HALF, storage_of
from affectra.files import read_json
from affectra.models.dialogue_checkpoint import FILE as HEAD_FILE
from affectra.models.dialogue_checkpoint import apply_head, load_head
from affectra.models.recognizer import Recognizer, load_checkpoint
from affectra.models.turns import Dialogue
from affectra.specification import UtteranceOutput

FORMAT = 1
FILE = "dialogue.json"
FUSION = "fusion"
MODALITIES = ("audio", "text")
Turns = Mapping[str, UtteranceOutput]  # what a recogniser says of turns on their own, by key


class TurnAnswer(NamedTuple):
    """What is said of one turn: probabilities (class,) and embedding (feature,) of the last stage."""

    probabilities: npt.NDArray[np.float64]
    embedding: npt.NDArray[np.float32]


class _Head(NamedTuple):
    """A network over dialogues, and the features a turn of each of its modalities has."""

    network: nn.Module
    sizes: list[int]

    def apply(self, dialogues: Sequence[Dialogue], found: Sequence[Mapping[str, TurnAnswer]]) -> dict[str, TurnAnswer]:
        """What it says of every turn, those that have nothing among them."""
        vectors = [{key: answer.embedding for key, answer in of_modality.items()} for of_modality in found]
        probabilities, embeddings = apply_head(self.network, dialogues, vectors, self.sizes)
        return {key: TurnAnswer(row, embeddings[key]) for key, row in probabilities.items()}


class DialogueNetworks:
    """All networks of one fold.

    Args:
        folder: of a fold, with dialogue.json.

    Attributes:
        classes: in the order of the scores.
        synthetic: whether they were trained on synthetic speech alone.
        provenance: recipe, corpora, protocol and fold they come from.
        recognizers: of turns on their own, by modality.
        is_causal: whether what is said of a turn never depends on a later one.

    Raises:
        CheckpointError: a file is missing or damaged, or does not fit the others.
    """

    def __init__(self, folder: Path) -> None:
        content = _read(folder / FILE)
        self.classes: tuple[str, ...] = tuple(content["classes"])
        self.synthetic: bool = content["synthetic"]
        self.provenance: Mapping[str, Any] = content["provenance"]
        names: list[str] = content["modalities"]
        self.recognizers: dict[str, Recognizer] = {name: load_checkpoint(folder / name) for name in names}
        for name, recognizer in self.recognizers.items():
            if recognizer.specification.classes != self.classes:
                raise CheckpointError(f"{folder / name}: has other classes than {FILE}; copy the fold again, whole")
        self._contexts = {name: _load(folder / f"{name}-context") for name in names if content["context"]}
        self._fusion = _load(folder / FUSION) if content["fusion"] else None
        heads = [*self._contexts.values(), *([self._fusion] if self._fusion else [])]
        self.is_causal = not self._contexts or all(getattr(head.network, "causal", False) for head in heads)

    def embed(self, name: str, material: npt.NDArray[np.float32] | str) -> UtteranceOutput:
        """What a modality's recogniser says of one turn: of samples (sample,) at the recogniser's rate, or words."""
        recognizer = self.recognizers[name]
        front_end = recognizer.front_end
        frames = front_end.frames(material if isinstance(material, str) else torch.from_numpy(material)).numpy()
        return recognizer.recognize(frames.astype(storage_of(front_end).get("dtype", HALF)))  # as cached for training

    def answers(self, dialogue: Dialogue, turns: Mapping[str, Turns]) -> dict[str, TurnAnswer]:
        """What is said of each turn of a dialogue.

        Args:
            dialogue: turns in order; without a context each stands for itself.
            turns: by modality, what `embed` gave for the turns that have it.

        Returns:
            By key; a turn is left out that lacks the one modality there is, and has no context.
        """
        dialogues = [dialogue] if self._contexts else dialogue.alone()
        found = {
            name: {key: TurnAnswer(output.probabilities, output.embedding) for key, output in turns[name].items()}
            for name in self.recognizers
        }
        for name, head in self._contexts.items():
            answers = head.apply(dialogues, [found[name]])
            # To what puts modalities together, a turn lacks a modality with its context as without.
            found[name] = answers if self._fusion is None else {key: answers[key] for key in found[name]}
        if self._fusion is not None:
            return self._fusion.apply(dialogues, list(found.values()))
        return next(iter(found.values()))


def dialogue_folders(path: Path) -> Iterator[Path]:
    """Folders with the whole networks of a fold over dialogues, at or below a fold or run directory, in order."""
    if (path / FILE).is_file():
        yield path
        return
    yield from sorted(found.parent for found in path.glob(f"seed-*/fold-*/{FILE}"))


def _read(path: Path) -> dict[str, Any]:
    try:
        content: dict[str, Any] = read_json(path)
        if content["format"] != FORMAT:
            raise CheckpointError(f"{path}: written by another version of Affectra")
        needed = {"classes": list, "modalities": list, "context": bool, "fusion": bool, "synthetic": bool}
        for name, kind in {**needed, "provenance": dict}.items():
            if not isinstance(content[name], kind):
                raise CheckpointError(f"{path}: damaged, {name} is {content[name]!r}; copy the fold again")
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise CheckpointError(f"{path}: damaged, {type(error).__name__} {error}; copy the fold again") from error
    unknown = [name for name in content["modalities"] if name not in MODALITIES]
    if unknown or not content["modalities"] or (len(content["modalities"]) > 1 and not content["fusion"]):
        raise CheckpointError(
            f"{path}: damaged, modalities {content['modalities']} {'with' if content['fusion'] else 'without'} fusion; "
            "copy the fold again"
        )
    return content


def _load(folder: Path) -> _Head:
    return _Head(load_head(folder), read_json(folder / HEAD_FILE)["n_features"])
