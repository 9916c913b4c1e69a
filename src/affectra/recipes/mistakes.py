"""All mistakes of a recipe in one line; and the meaning of null where a recipe may not have it."""

from collections.abc import Iterable, Mapping, Sequence
from difflib import get_close_matches
from textwrap import shorten
from types import NoneType
from typing import Annotated, Any, Literal, get_args, get_origin

from pydantic import BaseModel, ValidationError

from affectra.recipes.recipe import Named
from affectra.registry import unknown_name


def mistakes_of(error: ValidationError, model: type[BaseModel]) -> list[str]:
    """Each mistake that was found in a recipe: its dotted key, what was found and what was expected.

    Args:
        error: of the model's validation.
        model: of the recipe's unit.
    """
    expected: dict[str, list[str]] = {}  # a place that may be of several kinds has an error for each
    found: dict[str, str] = {}
    lines: dict[str, str] = {}
    for one in error.errors(include_url=False):
        keys, kinds = _place(model, one["loc"])
        place = ".".join(keys) or "recipe"
        if one["type"] == "extra_forbidden":
            prefix = "".join(f"{key}." for key in keys[:-1])
            lines[place] = _unknown_key(place, [f"{prefix}{key}" for key in _fields(kinds)])
        elif one["type"] == "missing":
            lines[place] = f"{place}: missing, expected {_kind(kinds)}"
        else:
            text = one["msg"].removeprefix("Value error, ")
            text = text[:1].lower() + text[1:]
            if text not in expected.setdefault(place, []):
                expected[place].append(text.removesuffix(f" or instance of {_class_name(kinds)}"))
            found[place] = shorten(repr(one["input"]), 80, placeholder=" ...")
            lines[place] = ""
    return [line or f"{place}: {' or '.join(expected[place])}, found {found[place]}" for place, line in lines.items()]


def _unknown_key(key: str, known: Sequence[str]) -> str:
    """The nearest key that is known; all of them where none is near, since a recipe may have many mistakes."""
    near = get_close_matches(key, known, n=1)
    return f"unknown key {key!r}; did you mean {near[0]!r}?" if near else unknown_name("key", key, known)


def in_one_line(source: str, mistakes: Sequence[str]) -> str:
    """The message of an error that names all mistakes of a recipe.

    Example:
        >>> in_one_line("mine.yaml", ["seeds: missing", "unknown key 'epoch'"])
        "recipe mine.yaml: 2 mistakes: seeds: missing; unknown key 'epoch'"
    """
    count = f"{len(mistakes)} mistakes: " if len(mistakes) > 1 else ""
    return f"recipe {source}: {count}{'; '.join(mistakes)}"


def without_nulls(node: Any, annotation: Any) -> None:
    """Take every null out of a recipe's tree that cannot be a value there: what it was inherits nothing, not even null.

    Args:
        node: a mapping or list of the tree.
        annotation: the type that it is to have.
    """
    for kind in _alternatives(annotation):
        if isinstance(node, dict) and isinstance(kind, type) and issubclass(kind, BaseModel):
            kinds: Mapping[str, Any] = {name: field.annotation for name, field in kind.model_fields.items()}
        elif isinstance(node, dict) and get_origin(kind) is dict:
            kinds = dict.fromkeys(node, get_args(kind)[1])
        elif isinstance(node, list) and get_origin(kind) is list:
            for part in node:
                without_nulls(part, get_args(kind)[0])
            continue
        else:
            continue
        for key in [key for key in node if key in kinds]:
            if node[key] is None and not _may_be_null(kinds[key]):
                del node[key]
            elif isinstance(node[key], dict | list):
                without_nulls(node[key], kinds[key])


def _alternatives(annotation: Any) -> list[Any]:
    """The kinds that a value may have: of an optional part, the part and None."""
    if get_origin(annotation) is Annotated:
        return _alternatives(get_args(annotation)[0])
    if get_origin(annotation) in (None, list, dict, tuple, Literal):
        return [annotation]
    return [kind for part in get_args(annotation) for kind in _alternatives(part)]


def _may_be_null(annotation: Any) -> bool:
    return annotation is Any or NoneType in _alternatives(annotation)


def _place(model: type[BaseModel], path: Iterable[int | str]) -> tuple[list[str], list[Any]]:
    """The keys of a path without pydantic's names of alternatives, and what may stand there.

    For a key that may not stand there, the second is what holds it.
    """
    keys: list[str] = []
    kinds: list[Any] = [model]
    for part in path:
        inside: list[Any] = []
        for kind in kinds:
            if get_origin(kind) in (list, tuple, dict):
                inside += _alternatives(get_args(kind)[-1])
            elif isinstance(kind, type) and issubclass(kind, BaseModel) and part in kind.model_fields:
                inside += _alternatives(kind.model_fields[str(part)].annotation)
        if inside:
            kinds = inside
        elif not _fields(kinds):
            continue  # the name of one of several kinds
        keys.append(str(part))
    return keys, kinds


def _fields(kinds: Iterable[Any]) -> list[str]:
    models = [kind for kind in kinds if isinstance(kind, type) and issubclass(kind, BaseModel)]
    return [name for model in models for name in model.model_fields]


def _class_name(kinds: Sequence[Any]) -> str:
    return next((kind.__name__ for kind in kinds if isinstance(kind, type) and issubclass(kind, BaseModel)), "")


def _kind(kinds: Sequence[Any]) -> str:
    """The expected value, in words."""
    first = kinds[0]
    if isinstance(first, type) and issubclass(first, Named):
        return "a name, or a mapping with name and options"
    if _fields(kinds):
        return f"a mapping with {', '.join(_fields(kinds))}"
    if first in (str, int, float, bool):
        return {str: "text", int: "an integer", float: "a number", bool: "true or false"}[first]
    if get_origin(first) is Literal:
        return " or ".join(map(repr, get_args(first)))
    return "a list" if get_origin(first) is list else "a mapping"
