"""The checkpoint of a network over dialogues, and what it says of every turn; free of all that training needs."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import nn

from affectra.errors import CheckpointError, ConfigError
from affectra.features.description import WEIGHTS, read_description, write_description
from affectra.files import atomic_path
from affectra.models.dialogue.dialogue import DIALOGUE_MODELS
from affectra.models.dialogue.turns import Dialogue, Vectors, batch_of
from affectra.recipes.recipe import Head

BATCH = 32  # dialogues, where nothing is learnt


def build_head(head: Head, sizes: Sequence[int], n_classes: int) -> nn.Module:
    """The network for modalities of these sizes."""
    n_features = list(sizes) if getattr(DIALOGUE_MODELS[head.model.name], "is_fusion", False) else sizes[0]
    network: nn.Module = DIALOGUE_MODELS.build(
        head.model.name, head.model.options, n_features=n_features, n_classes=n_classes
    )
    return network


def save_head(network: nn.Module, head: Head, sizes: Sequence[int], classes: Sequence[str], folder: Path) -> None:
    """Write model.safetensors and model.json (last, so that a folder with it is whole)."""
    with atomic_path(folder / WEIGHTS) as temporary:
        save_file({name: tensor.contiguous().cpu() for name, tensor in network.state_dict().items()}, temporary)
    described = {"model": head.model.model_dump(), "n_features": list(sizes), "classes": list(classes)}
    write_description("turns", described, folder, [WEIGHTS])


def load_head(folder: Path) -> tuple[nn.Module, list[int]]:
    """Rebuild a network over dialogues, in evaluation mode; and the features a turn of each of its modalities has.

    Raises:
        CheckpointError: a file is missing or damaged, or does not fit the other.
    """
    content = read_description("turns", folder)
    try:
        name, options = content["model"]["name"], content["model"]["options"]
        sizes = content["n_features"]
        fusion = getattr(DIALOGUE_MODELS[name], "is_fusion", False)
        network: nn.Module = DIALOGUE_MODELS.build(
            name, options, n_features=sizes if fusion else sizes[0], n_classes=len(content["classes"])
        )
        network.load_state_dict(load_file(folder / WEIGHTS))
    except (OSError, ValueError, KeyError, TypeError, SafetensorError, RuntimeError, ConfigError) as error:
        reason = (str(error) or type(error).__name__).splitlines()[0]
        raise CheckpointError(f"{folder}: damaged or not a network over dialogues: {reason}") from error
    return network.eval(), list(sizes)


@torch.inference_mode()
def apply_head(
    network: nn.Module, dialogues: Sequence[Dialogue], vectors: Sequence[Vectors], sizes: Sequence[int]
) -> tuple[dict[str, npt.NDArray[np.float64]], dict[str, npt.NDArray[np.float32]]]:
    """Probabilities (class,) and embedding (feature,) of every turn of dialogues, by key."""
    probabilities: dict[str, npt.NDArray[np.float64]] = {}
    embeddings: dict[str, npt.NDArray[np.float32]] = {}
    for first in range(0, len(dialogues), BATCH):
        part = dialogues[first : first + BATCH]
        output = batch_of(part, vectors, sizes, {}).through(network)
        for i, dialogue in enumerate(part):
            n = len(dialogue.keys)
            rows = output.scores[i, :n].double().softmax(-1).numpy()
            probabilities.update(zip(dialogue.keys, rows, strict=True))
            embeddings.update(zip(dialogue.keys, output.embedding[i, :n].float().numpy(), strict=True))
    return probabilities, embeddings
