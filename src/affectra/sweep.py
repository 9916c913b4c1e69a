"""Recipes with variants: one run for each, side by side, and an overview of them."""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from affectra.config import load_recipe
from affectra.overview import write_overview
from affectra.plan import outline, plan_run
from affectra.run import claim, execute, result_line
from affectra.units.planned import Plan


def plan_variants(
    recipe: str, corpora: Sequence[str], *, settings: Mapping[str, Any], out: str | Path | None, **chosen: Any
) -> dict[str, Plan]:
    """A plan for each variant of a recipe, each in a folder of its own; all are checked before one is begun.

    Args:
        recipe: shipped name or YAML file, with `variants`.
        corpora: as for `plan_run`.
        settings: dotted recipe key -> value, for all variants; put over what a variant sets.
        out: folder of the run directories; default `runs/<recipe>-<corpora>`.
        chosen: protocol, task, seeds and allow_leak, as for `plan_run`.

    Raises:
        AffectraError: whatever is wrong with one of them.
    """
    whole = load_recipe(recipe).recipe
    plans = {}
    for name, changed in whole.variants.items():
        own = {"variants": {}, "name": f"{whole.name} {name}", **changed, **settings}
        plan = plan_run(recipe, corpora, settings=own, out=out or "runs", **chosen)
        given = "+".join(corpus.name for corpus in plan.data.corpora)
        folder = Path(out) if out else Path("runs") / f"{whole.name}-{given}"
        plans[name] = Plan(plan.document, plan.data, folder / name)
    return plans


def outline_variants(plans: Mapping[str, Plan], n_processes: int) -> list[str]:
    """What the first would do, and the names of all."""
    first = next(iter(plans.values()))
    return [*outline(first, n_processes), f"variants  {len(plans)}: {', '.join(plans)}"]


def execute_variants(
    plans: Mapping[str, Plan], *, resume: bool, n_processes: int, say: Callable[[str], None]
) -> dict[str, str]:
    """Do the runs one after the other and write an overview of all of them beside them.

    Returns:
        Variant -> its result in one line; "overview" -> the page.

    Raises:
        ConfigError: a folder holds something else.
    """
    for plan in plans.values():
        claim(plan, resume)
    results = {}
    for name, plan in plans.items():
        say(f"variant {name}")
        results[name] = result_line(plan, execute(plan, resume=resume, n_processes=n_processes, say=say))
    folders = [plan.folder for plan in plans.values()]
    return {**results, "overview": str(write_overview(folders, folders[0].parent))}
