"""Recipes: strict models of what a run does, read from YAML whose comments say where each number comes from."""

import io
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from importlib import resources
from pathlib import Path
from typing import Any, get_args, get_origin

from pydantic import BaseModel, ValidationError
from ruamel.yaml import YAML
from ruamel.yaml.comments import CommentedMap
from ruamel.yaml.error import YAMLError

from affectra.errors import ConfigError
from affectra.files import write_text
from affectra.recipes.recipe import UNITS, AnyRecipe
from affectra.registry import unknown_name


@dataclass(frozen=True)
class RecipeDocument:
    """A recipe with the comments of its YAML.

    Attributes:
        data: the YAML mapping with its comments, complete (what it extends is merged in).
        recipe: the same, checked.
    """

    data: CommentedMap
    recipe: AnyRecipe

    def text(self) -> str:
        """The recipe as YAML; reading it again gives the same recipe."""
        stream = io.StringIO()
        _yaml().dump(self.data, stream)
        return stream.getvalue()

    def sources(self) -> dict[str, str]:
        """Where each value comes from: dotted key -> its end-of-line comment."""
        return dict(_comments(self.data, ""))


def _yaml() -> YAML:
    yaml = YAML()  # the round-trip loader: safe, keeps comments and order
    yaml.width = 4096  # never fold a line: a comment belongs to its line
    return yaml


def recipe_names() -> list[str]:
    """Names of the shipped recipes."""
    return sorted(p.name.removesuffix(".yaml") for p in _folder().iterdir() if p.name.endswith(".yaml"))


def _folder() -> Any:
    return resources.files("affectra") / "recipes"


def load_recipe(
    name: str, overrides: Mapping[str, Any] | None = None, sources: Mapping[str, str] | None = None
) -> RecipeDocument:
    """Load a shipped recipe by name, or one's own from a .yaml file.

    Args:
        name: shipped name or path of a YAML file.
        overrides: dotted key -> value, put over the recipe's own.
        sources: dotted key -> where an override comes from, its comment; default: "set for this run".

    Raises:
        ConfigError: unknown recipe or key, or a value of the wrong kind, each by its name.
    """
    if not overrides and not name.endswith((".yaml", ".yml")):
        return _shipped(name)
    data = _merged(name)
    for key, value in (overrides or {}).items():
        _put(data, key, value, name, (sources or {}).get(key, "set for this run"))
    return _checked(data, name)


@cache
def _shipped(name: str) -> RecipeDocument:
    """A shipped recipe as it is, read once a process: nobody changes it, and YAML with comments is slow to parse."""
    return _checked(_merged(name), name)


def _checked(data: CommentedMap, source: str) -> RecipeDocument:
    unit = data.get("unit", "utterance")
    if unit not in UNITS:
        raise ConfigError(f"recipe {source}: " + unknown_name("unit", str(unit), UNITS))
    try:
        return RecipeDocument(data, UNITS[unit].model_validate(_plain(data)))
    except ValidationError as error:
        first = error.errors()[0]
        place = ".".join(str(part) for part in first["loc"])
        if first["type"] == "extra_forbidden":
            known = _fields_at(UNITS[unit], [str(part) for part in first["loc"][:-1]])
            raise ConfigError(f"recipe {source}: " + unknown_name("key", str(first["loc"][-1]), known)) from error
        found = "" if first["type"] == "missing" else f", found {first['input']!r}"
        raise ConfigError(f"recipe {source}: {place}: {first['msg'].lower()}{found}") from error


def _fields_at(model: type[BaseModel], path: Sequence[str]) -> list[str]:
    """The keys that may stand at a place of a recipe; a list's number and a mapping's name lead to what it holds."""
    place: Any = model
    for part in path:
        if get_origin(place) in (list, dict):
            place = get_args(place)[-1]
            continue
        annotation = place.model_fields[part].annotation
        kinds = (annotation, *get_args(annotation))  # an optional part is the union of a model and None
        place = next(kind for kind in kinds if isinstance(kind, type) or get_origin(kind) in (list, dict))
    return list(place.model_fields)


def _merged(name: str) -> CommentedMap:
    """The mapping of a recipe file over that of the recipe it extends."""
    if name.endswith((".yaml", ".yml")):
        path: Any = Path(name)
        if not path.is_file():
            raise ConfigError(f"{name}: no such recipe file")
    elif name in recipe_names():
        path = _folder() / f"{name}.yaml"
    else:
        raise ConfigError(unknown_name("recipe", name, recipe_names()))
    try:
        data = _yaml().load(path.read_text(encoding="utf-8"))
    except (YAMLError, UnicodeDecodeError) as error:
        raise ConfigError(f"{name}: not a YAML file: {' '.join(str(error).split())}") from error
    if not isinstance(data, CommentedMap):
        raise ConfigError(f"{name}: a recipe is a mapping of keys to values")
    if "extends" not in data:
        return data
    extended = data.pop("extends")  # one recipe, or several of which each goes over the one before
    first, *others = extended if isinstance(extended, list) else [extended]
    base = _merged(str(first))
    for other in [*map(_merged, map(str, others)), data]:
        _overlay(base, other)
    return base


def _overlay(base: CommentedMap, over: CommentedMap) -> None:
    for key, value in over.items():
        if isinstance(value, CommentedMap) and isinstance(base.get(key), CommentedMap) and "name" not in value:
            _overlay(base[key], value)  # a part that names a component replaces it whole
        else:
            base[key] = value
            base.ca.items.pop(key, None)
            if key in over.ca.items:
                base.ca.items[key] = over.ca.items[key]


def _put(data: CommentedMap, key: str, value: Any, source: str, comment: str) -> None:
    *parents, last = key.split(".")
    node: Any = data
    for parent in parents:
        if parent in ("only", "options") and isinstance(node, CommentedMap):  # may be left out where there are none
            node.setdefault(parent, CommentedMap())
        if not isinstance(node, CommentedMap) or parent not in node:
            raise ConfigError(f"recipe {source}: " + unknown_name("key", key, _dotted(data)))
        node = node[parent]
    is_option = bool(parents) and parents[-1] in ("options", "only")  # checked later, against constructor and manifest
    if not isinstance(node, CommentedMap) or (last not in node and not is_option and parents):
        raise ConfigError(f"recipe {source}: " + unknown_name("key", key, _dotted(data)))
    node[last] = _commented(value)
    node.ca.items.pop(last, None)
    if not isinstance(value, dict | list):
        node.yaml_add_eol_comment(comment, last)


def _commented(value: Any) -> Any:
    """Mappings as ruamel's own, so that later overrides may go into them."""
    return CommentedMap({k: _commented(v) for k, v in value.items()}) if isinstance(value, dict) else value


def _dotted(node: Mapping[str, Any], prefix: str = "") -> list[str]:
    keys = []
    for key, value in node.items():
        keys += _dotted(value, f"{prefix}{key}.") if isinstance(value, Mapping) else [f"{prefix}{key}"]
    return keys


def _comments(node: CommentedMap, prefix: str) -> list[tuple[str, str]]:
    found = []
    for key, value in node.items():
        if isinstance(value, CommentedMap):
            found += _comments(value, f"{prefix}{key}.")
        elif isinstance(value, list):
            for i, part in enumerate(value):
                found += _comments(part, f"{prefix}{key}.{i}.") if isinstance(part, CommentedMap) else []
        tokens = node.ca.items.get(key)
        if tokens and tokens[2] is not None:
            found.append((f"{prefix}{key}", tokens[2].value.split("\n")[0].lstrip("# ").strip()))
    return found


def _plain(node: Any) -> Any:
    """ruamel's own scalar and container types as plain Python ones, as the strict models want them."""
    if isinstance(node, Mapping):
        return {str(key): _plain(value) for key, value in node.items()}
    if isinstance(node, list):
        return [_plain(value) for value in node]
    for kind in (bool, int, float, str):
        if isinstance(node, kind):
            return kind(node)
    return node


def parse_assignments(assignments: Sequence[str]) -> dict[str, Any]:
    """`key=value` words as a dictionary; values are read as YAML.

    Raises:
        ConfigError: a word without "=", or a value that is not YAML.

    Example:
        >>> parse_assignments(["training.epochs=2", "training.schedule.milestones=[1, 2]"])
        {'training.epochs': 2, 'training.schedule.milestones': [1, 2]}
    """
    parsed = {}
    for assignment in assignments:
        key, equals, value = assignment.partition("=")
        if not equals or not key:
            raise ConfigError(f"{assignment!r}: expected key=value, e.g. training.epochs=2")
        try:
            # What selects utterances is text: a speaker 03 is no number.
            kind = "base" if key.partition(".")[0] == "only" else "safe"
            parsed[key] = _plain(YAML(typ=kind, pure=True).load(value))
        except YAMLError as error:
            raise ConfigError(f"{assignment!r}: the value is not YAML") from error
    return parsed


def write_recipe(document: RecipeDocument, path: str | Path) -> None:
    """Write a resolved recipe with its comments, atomically."""
    write_text(path, document.text())
