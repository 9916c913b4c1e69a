"""Batches of dialogues: what each turn's embeddings are, who speaks, and which turns have a label to learn or score."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn

from affectra.models.dialogue.dialogue import DialogueOutput
from affectra.models.utterance.domain import UNKNOWN

Vectors = Mapping[str, npt.NDArray[np.float32]]  # embeddings of turns by key; a turn that lacks the modality has none


@dataclass(frozen=True)
class Dialogue:
    """The turns of a dialogue that a model gets, in the order in which they were spoken.

    Attributes:
        keys: their names in splits and predictions.
        speakers: who says each, as numbers of the dialogue.
    """

    keys: tuple[str, ...]
    speakers: tuple[int, ...]

    def alone(self) -> list["Dialogue"]:
        """Each turn as a dialogue of its own: no context."""
        return [Dialogue((key,), (speaker,)) for key, speaker in zip(self.keys, self.speakers, strict=True)]


class TurnBatch(NamedTuple):
    """Dialogues of a step, padded behind to the longest.

    Attributes:
        modalities: one (dialogue, turn, feature) each; zeros where a turn lacks the modality.
        n_turns: (dialogue,).
        speakers: (dialogue, turn).
        present: (dialogue, modality, turn), False where a turn lacks the modality.
        targets: (dialogue, turn), class indices, `UNKNOWN` where a turn gives context alone.
    """

    modalities: tuple[Tensor, ...]
    n_turns: Tensor
    speakers: Tensor
    present: Tensor
    targets: Tensor

    def through(self, network: nn.Module) -> DialogueOutput:
        """The output of a network for these dialogues; one of a single modality takes the turns themselves."""
        fuses = getattr(network, "is_fusion", False)
        given = (self.modalities if fuses else self.modalities[0], self.n_turns, self.speakers)
        output: DialogueOutput = network(*given, self.present) if fuses else network(*given)
        return output

    @property
    def n_items(self) -> int:
        """How many turns have a class."""
        return int((self.targets != UNKNOWN).sum())


def batch_of(
    dialogues: Sequence[Dialogue], vectors: Sequence[Vectors], sizes: Sequence[int], targets: Mapping[str, int]
) -> TurnBatch:
    """Put dialogues together; memory is that of the embeddings, which are small.

    Args:
        dialogues: with their turns.
        vectors: of each modality.
        sizes: features of each modality.
        targets: class index of the turns that are learnt or scored.
    """
    n_turns = [len(dialogue.keys) for dialogue in dialogues]
    shape = (len(dialogues), max(n_turns))
    modalities = [np.zeros((*shape, size), np.float32) for size in sizes]
    speakers = np.zeros(shape, np.int64)
    present = np.zeros((shape[0], len(modalities), shape[1]), bool)
    known = np.full(shape, UNKNOWN, np.int64)
    for i, dialogue in enumerate(dialogues):
        speakers[i, : n_turns[i]] = dialogue.speakers
        for j, key in enumerate(dialogue.keys):
            known[i, j] = targets.get(key, UNKNOWN)
            for m, of_modality in enumerate(vectors):
                if key in of_modality:
                    modalities[m][i, j], present[i, m, j] = of_modality[key], True
    return TurnBatch(
        tuple(map(torch.from_numpy, modalities)),
        torch.tensor(n_turns),
        torch.from_numpy(speakers),
        torch.from_numpy(present),
        torch.from_numpy(known),
    )
