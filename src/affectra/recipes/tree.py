"""A recipe as a tree of YAML: one laid over another, values put in and defaults added, each with its comment."""

import copy
import io
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from ruamel.yaml import YAML
from ruamel.yaml.comments import CommentedMap, CommentedSeq

from affectra.registry import unknown_name

FREE = ("options", "only")  # what may stand in them is checked later, against constructor and manifest


def round_trip_yaml() -> YAML:
    """A reader and writer that keeps comments and order, and constructs plain types alone."""
    yaml = YAML()
    yaml.width = 4096  # never fold a line: a comment belongs to its line
    return yaml


def written(data: CommentedMap) -> str:
    """A tree as YAML."""
    stream = io.StringIO()
    round_trip_yaml().dump(data, stream)
    return stream.getvalue()


def plain(node: Any) -> Any:
    """ruamel's own scalar and container types as plain Python ones, as the strict models want them."""
    if isinstance(node, Mapping):
        return {str(key): plain(value) for key, value in node.items()}
    if isinstance(node, list | tuple):
        return [plain(value) for value in node]
    for kind in (bool, int, float, str):
        if isinstance(node, kind):
            return kind(node)
    return node


def comments(node: CommentedMap, prefix: str = "") -> dict[str, str]:
    """Dotted key -> the comment at the end of its line."""
    found: dict[str, str] = {}
    for key, value in node.items():
        if isinstance(value, CommentedMap):
            found |= comments(value, f"{prefix}{key}.")
        elif isinstance(value, list):
            for i, part in enumerate(value):
                found |= comments(part, f"{prefix}{key}.{i}.") if isinstance(part, CommentedMap) else {}
        tokens = node.ca.items.get(key)
        if tokens and tokens[2] is not None:
            found[f"{prefix}{key}"] = tokens[2].value.split("\n")[0].lstrip("# ").strip()
    return found


def commented(value: Any, comment: str) -> Any:
    """Mappings as ruamel's own, with a comment at each of their values, so that later values may go into them."""
    if isinstance(value, Mapping):
        node = CommentedMap()
        for key, part in value.items():
            set_value(node, key, part, comment)
        return node
    if isinstance(value, list | tuple):
        sequence = CommentedSeq(commented(part, comment) for part in value)
        if not any(isinstance(part, Mapping | list | tuple) and part for part in value):
            sequence.fa.set_flow_style()
        return sequence
    return value


def set_value(node: CommentedMap, key: Any, value: Any, comment: str) -> None:
    """Set a value and the comment at the end of its line; that of a mapping stands at what it holds."""
    node.fa.set_block_style()  # a comment ends the line
    node[key] = commented(value, comment)
    node.ca.items.pop(key, None)
    is_line = not value if isinstance(value, Mapping) else not isinstance(value, list | tuple) or _is_flow(node[key])
    if is_line:
        node.yaml_add_eol_comment(comment, key)


def _is_flow(sequence: CommentedSeq) -> bool:
    return bool(sequence.fa.flow_style())


def overlay(base: CommentedMap, over: CommentedMap) -> None:
    """Lay a recipe over the one that it extends; a part that names a component replaces it whole."""
    for key, value in over.items():
        if isinstance(value, CommentedMap) and "name" not in value and isinstance(base.get(key), str):
            expand(base, key)
        if isinstance(value, CommentedMap) and isinstance(base.get(key), CommentedMap) and "name" not in value:
            overlay(base[key], value)
        else:
            base[key] = value
            base.ca.items.pop(key, None)
            if key in over.ca.items:
                base.ca.items[key] = over.ca.items[key]


def expand(node: CommentedMap, key: Any) -> None:
    """Write a name that stands alone as the mapping that it stands for; its comment stays with it."""
    node.fa.set_block_style()
    node[key] = CommentedMap(name=node[key])
    tokens = node.ca.items.pop(key, None)
    if tokens is not None:
        node[key].ca.items["name"] = tokens


def put(data: CommentedMap, key: str, value: Any, comment: str | None, usual: Callable[[], Any]) -> str | None:
    """Put a value into a tree by its dotted key.

    Args:
        data: the tree; parts on the way that it leaves out are made as they are by default.
        key: names joined by dots; an item of a list by its own `name`, as a stage has one, or by its number.
        value: replaces what is there; where it is no other, what is there stays with its comment.
        comment: where the value comes from; None: set for this run, if it changes anything.
        usual: gives the recipe with its defaults, as far as it is known without this value.

    Returns:
        What is wrong with the key, or None; whether a mapping may have it at all is not looked at.
    """
    *parents, last = key.split(".")
    node: Any = data
    for i, parent in enumerate(parents):
        if isinstance(node, list):
            items = _items(node)
            if parent not in items:
                named = [name for name in items if not name.isdigit()]
                return unknown_name(parents[i - 1].removesuffix("s"), parent, named or items)
            node = items[parent]
            continue
        if not isinstance(node, CommentedMap):
            break
        if node.get(parent) is None:
            found = look_up(usual(), parents[: i + 1])
            set_value(node, parent, found if isinstance(found, Mapping) else {}, "default")
            node.ca.items.pop(parent, None)
        elif isinstance(node[parent], str):
            expand(node, parent)
        node = node[parent]
    if not isinstance(node, CommentedMap):
        return f"{key}: {'.'.join(parents)} holds no keys, found {plain(node)!r}"
    if comment is None:
        owner = node if last in node else look_up(usual(), parents)
        if isinstance(owner, Mapping) and last in owner and _is_same(plain(owner[last]), plain(value)):
            return None
    set_value(node, last, copy.deepcopy(value), comment or "set for this run")
    return None


def _items(sequence: Sequence[Any]) -> dict[str, Any]:
    """The items of a list by their numbers and by their names."""
    named = {str(item["name"]): item for item in sequence if isinstance(item, Mapping) and "name" in item}
    return {str(number): item for number, item in enumerate(sequence)} | named


def _is_same(one: Any, other: Any) -> bool:
    return type(one) is type(other) and bool(one == other)


def look_up(tree: Any, path: list[str]) -> Any:
    """The value at a path of keys, None where there is none."""
    for part in path:
        inside = _items(tree) if isinstance(tree, list) else tree
        tree = inside.get(part) if isinstance(inside, Mapping) else None
    return tree


def fill(data: CommentedMap, whole: Mapping[str, Any]) -> None:
    """Add to a tree what it leaves out, with the comment "default", and write names that stand alone as mappings.

    Args:
        data: the tree of a recipe.
        whole: the same recipe with everything in it.
    """
    keys = {str(key): key for key in data}
    for name, value in whole.items():
        if name not in keys:
            set_value(data, name, value, "default")
            continue
        key = keys[name]
        if isinstance(value, Mapping) and isinstance(data[key], str):
            expand(data, key)
        if isinstance(value, Mapping) and isinstance(data[key], CommentedMap):
            fill(data[key], value)
        elif isinstance(value, list) and isinstance(data[key], list):
            for part, whole_part in zip(data[key], value, strict=True):
                if isinstance(part, CommentedMap) and isinstance(whole_part, Mapping):
                    fill(part, whole_part)
