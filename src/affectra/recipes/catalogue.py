"""The shipped recipes in groups: by paper, then ours, then baselines; in each what it is before what was changed."""

import re
from typing import NamedTuple

from affectra.recipes.config import description_of, recipe_names

KINDS = ("paper", "ours", "baseline", "ablation")
OF_PAPER = re.compile(r"[a-z]+\d{4}")  # how a paper's recipes begin: author and year


class Entry(NamedTuple):
    """A shipped recipe and where it belongs.

    Attributes:
        name: of the recipe.
        system: the recipe that it is a form of; its own name where it is none.
        kind: "paper", a published system, also at the size of a laptop ("-cpu"); "ours"; "baseline"; "ablation", a
            system with something changed or varied.
        description: one line.
    """

    name: str
    system: str
    kind: str
    description: str


def catalogue() -> list[Entry]:
    """All shipped recipes, papers by year, then ours, then baselines; ablations last in their system."""
    names = recipe_names()
    entries = [Entry(name, *_place(name, names), description_of(name)) for name in names]
    kinds = {entry.name: entry.kind for entry in entries}

    def order(entry: Entry) -> tuple[int, str, str, int, str]:
        year = entry.system[-4:] if OF_PAPER.fullmatch(entry.system) else ""
        of_system = KINDS.index("paper" if year else kinds[entry.system])
        return of_system, year, entry.system, KINDS.index(entry.kind), entry.name

    return sorted(entries, key=order)


def _place(name: str, names: list[str]) -> tuple[str, str]:
    """System and kind of a recipe, by its name."""
    base = name.removesuffix("-cpu")
    if found := OF_PAPER.match(name):
        return found[0], "paper" if base == found[0] or found[0] not in names else "ablation"
    system = next((other for other in names if name.startswith(f"{other}-")), name)  # the shortest is the first
    if base != system.removesuffix("-cpu"):
        return system, "ablation"
    return system, "baseline" if name.startswith("baseline-") else "ours"
