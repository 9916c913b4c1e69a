"""Recipes: strict models of what a run does, read from YAML whose comments say where each number comes from."""

from collections.abc import Mapping, Sequence
from copy import deepcopy
from dataclasses import dataclass
from functools import cache
from importlib import resources
from pathlib import Path
from typing import Any

from pydantic import ValidationError
from ruamel.yaml import YAML
from ruamel.yaml.comments import CommentedMap
from ruamel.yaml.error import YAMLError

from affectra.errors import ConfigError
from affectra.files import write_text
from affectra.recipes.mistakes import in_one_line, mistakes_of, without_nulls
from affectra.recipes.recipe import UNITS, AnyRecipe
from affectra.recipes.tree import comments, fill, overlay, plain, put, round_trip_yaml, written
from affectra.registry import unknown_name


@dataclass(frozen=True)
class RecipeDocument:
    """A recipe with the comments of its YAML.

    Attributes:
        data: the YAML mapping with its comments, complete: what it extends is merged in, and what it leaves out is
            there with the comment "default".
        recipe: the same, checked.
    """

    data: CommentedMap
    recipe: AnyRecipe

    def text(self) -> str:
        """The recipe as YAML; reading it again gives the same recipe."""
        return written(self.data)

    def sources(self) -> dict[str, str]:
        """Where each value comes from: dotted key -> its end-of-line comment."""
        return comments(self.data)


def recipe_names() -> list[str]:
    """Names of the shipped recipes."""
    return sorted(p.name.removesuffix(".yaml") for p in _folder().iterdir() if p.name.endswith(".yaml"))


def description_of(name: str) -> str:
    """The description of a shipped recipe, without reading what it extends: a list of all takes a second, not ten."""
    text = (_folder() / f"{name}.yaml").read_text(encoding="utf-8")
    return str(YAML(typ="safe", pure=True).load(text)["description"])


def _folder() -> Any:
    return resources.files("affectra") / "recipes"


def load_recipe(
    name: str, overrides: Mapping[str, Any] | None = None, sources: Mapping[str, str] | None = None
) -> RecipeDocument:
    """Load a shipped recipe by name, or one's own from a .yaml file.

    Args:
        name: shipped name or path of a YAML file.
        overrides: dotted key -> value, put over the recipe's own.
        sources: dotted key -> where an override comes from, its comment; default: "set for this run", or what it was
            where nothing is changed.

    Raises:
        ConfigError: an unknown recipe; or all unknown keys and all values of the wrong kind, each by its name.
    """
    if not overrides and not name.endswith((".yaml", ".yml")):
        return _shipped(name)
    data = _merged(name)
    wrong = [
        put(data, key, value, (sources or {}).get(key), lambda: _usual(data))
        for key, value in (overrides or {}).items()
    ]
    return _checked(data, name, [mistake for mistake in wrong if mistake])


@cache
def _shipped(name: str) -> RecipeDocument:
    """A shipped recipe as it is, read once a process: nobody changes it, and YAML with comments is slow to parse."""
    return _checked(_merged(name), name)


def _checked(data: CommentedMap, source: str, mistakes: Sequence[str] = ()) -> RecipeDocument:
    """Check a recipe's tree, and complete it by its defaults.

    Args:
        data: with what it extends merged in.
        source: the recipe's name or file, for messages.
        mistakes: those already found, which are raised together with the others.
    """
    unit = data.get("unit") or "utterance"
    if unit not in UNITS:
        raise ConfigError(in_one_line(source, [*mistakes, unknown_name("unit", str(unit), UNITS)]))
    without_nulls(data, UNITS[unit])
    try:
        recipe = UNITS[unit].model_validate(plain(data))
    except ValidationError as error:
        raise ConfigError(in_one_line(source, [*mistakes, *mistakes_of(error, UNITS[unit])])) from error
    if mistakes:
        raise ConfigError(in_one_line(source, mistakes))
    fill(data, plain(recipe.model_dump()))
    return RecipeDocument(data, recipe)


def _usual(data: CommentedMap) -> Mapping[str, Any]:
    """A recipe's values with its defaults; {} where it is not right yet, which is reported at the end."""
    try:
        known: Mapping[str, Any] = plain(_checked(deepcopy(data), "").data)
    except ConfigError:
        return {}
    return known


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
        data = round_trip_yaml().load(path.read_text(encoding="utf-8"))
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
        overlay(base, other)
    return base


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
            parsed[key] = plain(YAML(typ=kind, pure=True).load(value))
        except YAMLError as error:
            raise ConfigError(f"{assignment!r}: the value is not YAML") from error
    return parsed


def write_recipe(document: RecipeDocument, path: str | Path) -> None:
    """Write a resolved recipe with its comments, atomically."""
    write_text(path, document.text())
