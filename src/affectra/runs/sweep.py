"""Recipes with variants: one run for each, side by side, and an overview of them."""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from affectra.errors import AffectraError, ConfigError
from affectra.recipes.config import load_recipe
from affectra.recipes.recipe import AnyRecipe, Recipe
from affectra.reports.facts import summary_line
from affectra.reports.overview import write_overview
from affectra.runs.plan import outline, plan_run
from affectra.runs.run import claim, execute
from affectra.runs.units.plan_types import Plan

SHARED = ".stages"  # what variants have alike is trained once


def plan_variants(
    recipe: str, corpora: Sequence[str], *, settings: Mapping[str, Any], out: str | Path | None, **chosen: Any
) -> dict[str, Plan]:
    """A plan for each variant of a recipe, each in a folder of its own; all are checked before one is begun.

    Args:
        recipe: shipped name or YAML file, with `variants`.
        corpora: as for `plan_run`.
        settings: dotted recipe key -> value, for all variants; put over what a variant sets. One that goes into a part
            which a variant leaves out, as `modalities.text.training.epochs` where `modalities.text` is null, changes
            nothing there.
        out: folder of the run directories; default `runs/<recipe>-<corpora>`.
        chosen: protocol, task, seeds and allow_leak, as for `plan_run`.

    Raises:
        AffectraError: whatever is wrong with one of them, by its name.
    """
    if out is not None and Path(out).is_file():
        raise ConfigError(f"{out}: is a file; --out is a directory, of a run for each variant")
    whole = load_recipe(recipe).recipe
    for key in settings:
        if all(_is_left_out(key, changed) for changed in whole.variants.values()):
            raise ConfigError(f"recipe {recipe}: {key}: every variant leaves that part out")
    plans = {}
    for name, changed in whole.variants.items():
        given = {key: value for key, value in settings.items() if not _is_left_out(key, changed)}
        own = {"variants": {}, "name": f"{whole.name} {name}", **changed, **given}
        try:
            plan = plan_run(
                recipe, _taking_part(corpora, whole, changed, settings), settings=own, out=out or "runs", **chosen
            )
        except AffectraError as error:
            raise type(error)(f"variant {name}: {error}") from error
        names = "+".join(corpus.name for corpus in plan.data.corpora)
        folder = Path(out) if out else Path("runs") / f"{whole.name}-{names}"
        plans[name] = Plan(plan.document, plan.data, folder / name, folder / SHARED)
    return plans


def _taking_part(
    corpora: Sequence[str], whole: AnyRecipe, changed: Mapping[str, Any], settings: Mapping[str, Any]
) -> list[str]:
    """The corpora without those to pretrain on, for a variant that does not pretrain; it would be tested on them."""
    if not isinstance(whole, Recipe) or whole.pretraining is None or changed.get("pretraining", whole) is not None:
        return [*corpora]
    aside = settings.get("pretraining.corpora", whole.pretraining.corpora)
    return [source for source in corpora if source.partition("=")[0] not in aside]


def _is_left_out(key: str, changed: Mapping[str, Any]) -> bool:
    """Whether a dotted key goes into a part that a variant leaves out."""
    return any(value is None and key.startswith(f"{part}.") for part, value in changed.items())


def outline_variants(plans: Mapping[str, Plan], n_processes: int) -> list[str]:
    """Describe what the first variant would do, and list the names of all."""
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
        results[name] = summary_line(execute(plan, resume=resume, n_processes=n_processes, say=say))
    folders = [plan.folder for plan in plans.values()]
    return {**results, "overview": str(write_overview(folders, folders[0].parent))}
