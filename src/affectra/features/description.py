"""model.json, which describes a checkpoint of any kind and the files that belong to it; free of torch."""

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, Literal, get_args

from affectra import __version__
from affectra.errors import CheckpointError
from affectra.files import read_json, sha256_file, write_json

# Of utterances, of dialogues, over time; "turns" is a network over the turns of dialogues, a part of a fold of those.
Kind = Literal["utterance", "dialogue", "time", "turns"]
FILE = "model.json"
WEIGHTS = "model.safetensors"
FORMAT = 2
_FIRST_FORMAT = 1  # of version 0.1: without kind and files, and each kind but utterances in a file of its own name
_FIRST_NAMES: Mapping[Kind, str] = {"dialogue": "dialogue.json", "time": "continuous.json", "turns": "network.json"}


def write_description(kind: Kind, content: Mapping[str, Any], folder: Path, files: Iterable[str] = ()) -> None:
    """Write model.json, atomically and last of all, so that a folder with it is whole.

    Args:
        kind: of the checkpoint.
        content: what rebuilds it, apart from `files`.
        folder: with the files.
        files: files and folders in it that belong to the checkpoint; the SHA-256 of each file is kept.
    """
    paths = [path for name in files for path in sorted([folder / name, *(folder / name).rglob("*")]) if path.is_file()]
    hashes = {path.relative_to(folder).as_posix(): sha256_file(path) for path in paths}
    write_json(folder / FILE, {"format": FORMAT, "affectra": __version__, "kind": kind, "files": hashes, **content})


def description_path(kind: Kind, folder: Path) -> Path:
    """The file that describes a checkpoint of a kind: model.json, or the name that version 0.1 gave it."""
    first = folder / _FIRST_NAMES.get(kind, FILE)
    return first if first.is_file() else folder / FILE


def read_description(kind: Kind, folder: Path, used: Iterable[str] | None = (WEIGHTS,)) -> dict[str, Any]:
    """The content of model.json as it was given to `write_description`.

    Args:
        kind: which is expected.
        folder: of the checkpoint.
        used: files that are about to be read, None for all; those that are there are compared with their SHA-256.

    Raises:
        CheckpointError: it is missing, damaged, of another kind or version, or a file is not the one it describes.
    """
    path = description_path(kind, folder)
    try:
        content: dict[str, Any] = read_json(path)
        if (found := content.pop("format")) not in (_FIRST_FORMAT, FORMAT):
            raise CheckpointError(f"{path}: written by another version of Affectra ({content.get('affectra', found)})")
        content.pop("affectra", None)
        found_kind, hashes = content.pop("kind", kind), dict(content.pop("files", {}))
    except OSError as error:
        raise CheckpointError(f"{folder}: no {FILE} here; expected a fold of a run directory or a model") from error
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise CheckpointError(f"{path}: damaged or not a model: {type(error).__name__} {error}") from error
    if found_kind != kind:
        raise CheckpointError(f"{path}: a model of the kind {found_kind}, expected {kind}")
    for name in hashes if used is None else used:
        if name in hashes and (folder / name).is_file() and sha256_file(folder / name) != hashes[name]:
            raise CheckpointError(
                f"{folder / name}: damaged or not of this {FILE}: another SHA-256 than there; copy or export it again"
            )
    return content


def kind_of(folder: Path) -> Kind | None:
    """The kind of the checkpoint in a folder, None where there is no whole one.

    A model.json that cannot be read counts as one of utterances: reading it says what is wrong.
    """
    for kind, name in _FIRST_NAMES.items():
        if (folder / name).is_file():
            return kind
    if not (folder / FILE).is_file():
        return None
    try:
        found = read_json(folder / FILE)["kind"]
    except (OSError, ValueError, KeyError, TypeError):
        return "utterance"
    return found if found in get_args(Kind) else "utterance"


def folders_of(kind: Kind, path: Path) -> list[Path]:
    """Folders with a whole checkpoint of a kind, at or below a model's folder, a fold or a run directory, in order."""
    if kind_of(path) == kind:
        return [path]
    return sorted(folder for folder in path.glob("seed-*/fold-*") if kind_of(folder) == kind)


def kinds_at(path: Path) -> set[Kind]:
    """The kinds of checkpoint at or below a path."""
    found = {kind_of(path)} if kind_of(path) else {kind_of(folder) for folder in path.glob("seed-*/fold-*")}
    return {kind for kind in found if kind is not None}
