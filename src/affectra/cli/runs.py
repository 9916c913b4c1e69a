"""Commands on runs: recipes, run, report, compare, demo."""

import json
from pathlib import Path
from typing import Annotated, Any, Literal

from cyclopts import Parameter

from affectra.cli.console import Settings, Sources, app, print_table, say


@app.command
def recipes(*, json_: Annotated[bool, Parameter(name="--json", negative="")] = False) -> None:
    """List the shipped recipes: those of each paper with their ablations, then ours, then baselines."""
    from affectra.recipes.catalogue import catalogue

    rows = [entry._asdict() for entry in catalogue()]
    if json_:
        print(json.dumps(rows, indent=2))
    else:
        print_table(rows, ["name", "system", "kind", "description"])


@app.command
def run(
    recipe: str,
    /,
    *,
    corpus: Sources = [],  # noqa: B006, cyclopts reads the default, nobody changes it
    protocol: str | None = None,
    task: str | None = None,
    seeds: int | None = None,
    settings: Settings = [],  # noqa: B006
    out: Path | None = None,
    resume: Annotated[bool, Parameter(negative="")] = False,
    jobs: int = 1,
    dry_run: Annotated[bool, Parameter(negative="")] = False,
    allow_leak: Annotated[list[str], Parameter(negative="")] = [],  # noqa: B006
) -> None:
    """Run a recipe from raw audio to a report.

    Parameters
    ----------
    recipe
        A name from `affectra recipes`, or one's own .yaml file.
    corpus
        NAME=FOLDER of a known corpus, or NAME=MANIFEST; several are put together. Default: the recipe's.
    protocol
        Instead of the recipe's; a name from `affectra protocols`. A dev part is kept only where something is decided by
        it, or with --set protocol.options.dev=true.
    task
        Instead of the recipe's, e.g. emotion4.
    seeds
        How many seeds.
    settings
        A value of the recipe to change, e.g. training.epochs=2.
    out
        Run directory; default runs/RECIPE-CORPORA.
    resume
        Go on with what is there.
    jobs
        Folds at a time, each in a process of its own.
    dry_run
        Check everything, say what would be done and how long it would take, write nothing.
    allow_leak
        A kind of leakage that the audit may find, e.g. speaker; the result is stamped with it.
    """
    from affectra.errors import ConfigError
    from affectra.recipes.config import load_recipe, parse_assignments
    from affectra.reports.facts import summary_line
    from affectra.runs.plan import outline, plan_run
    from affectra.runs.run import claim, execute

    if jobs < 1 or (seeds is not None and seeds < 1):
        raise ConfigError("--jobs and --seeds take numbers from 1 on")
    given: dict[str, Any] = {"protocol": protocol, "task": task, "seeds": seeds, "allow_leak": allow_leak}
    if load_recipe(recipe).recipe.variants:
        from affectra.runs.sweep import execute_variants, outline_variants, plan_variants

        plans = plan_variants(recipe, corpus, settings=parse_assignments(settings), out=out, **given)
        (print if dry_run else say)("\n".join(outline_variants(plans, jobs)))
        if not dry_run:
            for name, line in execute_variants(plans, resume=resume, n_processes=jobs, say=say).items():
                print(f"{name}: {line}")
        return
    plan = plan_run(recipe, corpus, settings=parse_assignments(settings), out=out, **given)
    if dry_run:
        claim(plan, resume)
        print("\n".join(outline(plan, jobs)))
        return
    for line in outline(plan, jobs):
        say(line)
    scores = execute(plan, resume=resume, n_processes=jobs, say=say)
    print(summary_line(scores))
    print(f"report: {plan.folder / 'report.html'}")


@app.command
def report(runs: Annotated[list[Path], Parameter(name="RUN")], /, *, out: Path | None = None) -> None:
    """Write the report of run directories, finished or not, and print a line for each.

    Parameters
    ----------
    runs
        Run directories.
    out
        A folder for one overview of all of them instead: cross-corpus matrices, the papers' tables beside ours.
    """
    from affectra.files import read_json
    from affectra.reports.facts import summary_line

    if out is not None:
        from affectra.reports.overview import write_overview

        print(write_overview(runs, out))
        return
    from affectra.reports.report import write_report

    for folder in runs:
        written = write_report(folder)
        print(f"{written}: {summary_line(read_json(folder / 'scores.json'))}")


@app.command
def compare(
    run: Path,
    others: Annotated[list[Path], Parameter(name="RUN")],
    /,
    *,
    by: Literal["speaker", "dialogue"] = "speaker",
    json_: Annotated[bool, Parameter(name="--json", negative="")] = False,
) -> None:
    """Is one run better than another on the same utterances? Effect, interval and p, by speaker; Holm over several.

    Parameters
    ----------
    run
        The run directory that the others are compared with; positive effects speak for it.
    others
        One run directory or several.
    by
        What is exchanged and drawn: speakers, or, of runs over dialogues, whole dialogues.
    json_
        Print everything as JSON.
    """
    from affectra.evaluation.compare import compare as compare_two
    from affectra.evaluation.compare import compare_many

    found = [compare_two(run, others[0], by=by)] if len(others) == 1 else compare_many(run, others, by=by)
    if json_:
        print(json.dumps([comparison.to_json() for comparison in found], indent=2, ensure_ascii=False))
    else:
        print("\n\n".join("\n".join(comparison.lines()) for comparison in found))


@app.command
def demo(*, out: Path = Path("runs/demo"), jobs: int = 2) -> None:
    """Render the embedded synthetic corpus, train on it, write a report and recognise a recording, in a few minutes.

    Parameters
    ----------
    out
        Run directory; a demo that was interrupted goes on.
    jobs
        Folds at a time.
    """
    from affectra.errors import ConfigError
    from affectra.runs.demo import run_demo

    if jobs < 1:
        raise ConfigError("--jobs takes numbers from 1 on")
    for line in run_demo(out, jobs, say):
        print(line)
