"""Resume state: Lightning's checkpoint as one safetensors file with its structure as JSON in the header; no pickle."""

import json
import os
import re
from pathlib import Path
from typing import Any

import torch
from lightning.pytorch.plugins.io import CheckpointIO
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor

from affectra.errors import CheckpointError
from affectra.files import atomic_path

OLDER = re.compile(r"^(recognizer|network)\.")


class SafetensorsCheckpointIO(CheckpointIO):
    """Saves and loads a Lightning checkpoint as safetensors + JSON, in a single file that is renamed into place."""

    def save_checkpoint(self, checkpoint: dict[str, Any], path: str | os.PathLike, storage_options: Any = None) -> None:
        """Write the checkpoint; tensors as tensors, all else as JSON in the header."""
        del storage_options
        tensors: dict[str, Tensor] = {}
        structure = json.dumps(_encode(checkpoint, tensors))
        with atomic_path(Path(path)) as temporary:
            save_file(tensors, temporary, metadata={"structure": structure})

    def load_checkpoint(
        self, path: str | os.PathLike, map_location: Any = None, weights_only: bool | None = None
    ) -> dict[str, Any]:
        """Read what `save_checkpoint` wrote."""
        del weights_only
        try:
            with safe_open(Path(path), framework="pt") as file:
                tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118, not a mapping
                decoded: dict[str, Any] = _decode(json.loads(file.metadata()["structure"]), tensors)
        except (SafetensorError, ValueError, KeyError, TypeError) as error:
            raise CheckpointError(f"{path}: damaged; remove it and this fold starts again") from error
        weights = decoded["state_dict"]  # version 0.1 named the model by its unit
        decoded["state_dict"] = {OLDER.sub("model.", name): tensor for name, tensor in weights.items()}
        if isinstance(map_location, str | torch.device):
            decoded["state_dict"] = {k: v.to(map_location) for k, v in decoded["state_dict"].items()}
        return decoded

    def remove_checkpoint(self, path: str | os.PathLike) -> None:
        """Delete a checkpoint."""
        Path(path).unlink(missing_ok=True)


def _encode(value: Any, tensors: dict[str, Tensor]) -> Any:
    """JSON that keeps what plain JSON loses: tensors, tuples, and keys that are not text."""
    if isinstance(value, Tensor):
        name = f"t{len(tensors)}"
        tensors[name] = value.detach().clone().contiguous().cpu()
        return {"tensor": name}
    if isinstance(value, dict):
        return {"items": [[_encode(k, tensors), _encode(v, tensors)] for k, v in value.items()]}
    if isinstance(value, tuple):
        return {"tuple": [_encode(v, tensors) for v in value]}
    if isinstance(value, list):
        return [_encode(v, tensors) for v in value]
    if value is None or isinstance(value, bool | int | float | str):
        return value
    raise TypeError(f"resume state holds a {type(value).__name__}, which JSON cannot")


def _decode(value: Any, tensors: dict[str, Tensor]) -> Any:
    if isinstance(value, list):
        return [_decode(v, tensors) for v in value]
    if not isinstance(value, dict):
        return value
    if "tensor" in value:
        return tensors[value["tensor"]]
    if "tuple" in value:
        return tuple(_decode(v, tensors) for v in value["tuple"])
    return {_decode(k, tensors): _decode(v, tensors) for k, v in value["items"]}
