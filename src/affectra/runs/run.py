"""A run: recipe + corpora -> folds -> features -> training -> predictions -> scores -> report, in one directory."""

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pandas as pd
from filelock import FileLock, Timeout

from affectra.corpora.manifest import utterance_keys
from affectra.errors import ConfigError
from affectra.evaluation.published import differences
from affectra.files import read_json, write_json
from affectra.recipes.config import load_recipe, write_recipe
from affectra.recipes.domains import primary_language
from affectra.recipes.recipe import AnyRecipe
from affectra.reports.report import write_report
from affectra.runs.environment import describe_corpora, describe_environment
from affectra.runs.grid import run_jobs
from affectra.runs.plan import label_notes, plan_run, refuse_leaks
from affectra.runs.units import UNITS
from affectra.runs.units.plan_types import Plan, n_threads
from affectra.runs.units.utterance_jobs import describe_pretraining, everything, keys
from affectra.splits.leakage.audit import audit
from affectra.splits.leakage.by_ear.fingerprint import fingerprint_corpora
from affectra.splits.leakage.findings import Audit
from affectra.splits.protocols.folds import Fold
from affectra.splits.protocols.named import stated_options
from affectra.tasks.evaluation import Conditions, evaluate, task_of_scores
from affectra.tasks.tables import read_predictions, write_predictions
from affectra.training.units.fold import FoldJob

LOCK = ".lock"


def run(
    recipe: str, corpora: Sequence[str] = (), *, resume: bool = False, n_processes: int = 1, **planned: Any
) -> dict[str, Any]:
    """Plan a run and do it, as `affectra run` does.

    Args:
        recipe: shipped name or YAML file.
        corpora: `NAME=FOLDER`, `NAME=MANIFEST` or the embedded corpus's name; default: the recipe's.
        resume: go on in a directory that an equal run began.
        n_processes: folds at a time.
        planned: further arguments of `affectra.runs.plan.plan_run`: `protocol`, `task`, `seeds`, `settings`, `out`, ...

    Returns:
        What `scores.json` in the run directory says.
    """
    return execute(plan_run(recipe, corpora, **planned), resume=resume, n_processes=n_processes)


def execute(
    plan: Plan, *, resume: bool = False, n_processes: int = 1, say: Callable[[str], None] = lambda _: None
) -> dict[str, Any]:
    """Do a planned run and return its scores.

    Args:
        plan: from `plan_run`.
        resume: go on in a directory that an equal run began.
        n_processes: folds at a time.
        say: takes lines of progress.

    Raises:
        ConfigError: the directory holds something else, or a different run.
        AudioError: recordings that are refused.
    """
    claim(plan, resume)
    unit, labelled, threads = UNITS[plan.recipe.unit], plan.data.labelled, n_threads(plan, n_processes)
    notes = label_notes(plan)
    for note in notes:
        say(f"labels: {note}")
    work = unit.prepare(plan, threads, say)
    audited = _audit_audio(plan, say)
    environment = {
        **describe_environment(),
        "threads": threads,
        "synthetic": plan.data.synthetic,
        "corpora": describe_corpora(labelled.manifest, work.hashes),
        "pretraining": describe_pretraining(plan, work.hashes),
        "people": _people(labelled.manifest),
        "protocol": {**plan.data.splits.stamp(), "n_folds": len(plan.data.splits.folds)},
        "sizes": plan.sizes,
        "unexpected": list(plan.data.unexpected),
        "labels": {
            "task": plan.recipe.task,
            "classes": list(labelled.classes),
            **({} if labelled.classes else {"dimensions": list(labelled.task.outputs)}),
            "notes": notes,
            "dropped": dict(labelled.dropped),
            "excluded": dict(labelled.excluded),
        },
        "audit": {
            "verdict": "leak" if audited.leaks else "clean",
            "leaks": list(audited.leaks),
            "lines": [*plan.data.unexpected, *audited.lines()],
            "alike_speakers": [
                names for found in audited.findings if found.kind == "speaker-spelling" for names in found.examples
            ],
        },
        **unit.facts(plan),
        **work.facts,
        "seeds": list(range(plan.recipe.seeds)),
    }
    with _alone_in(plan.folder):
        claim(plan, resume)  # again: another process may have finished meanwhile
        _begin(plan, environment, resume)
        run_jobs([job for job in work.first if not job.is_done], n_processes, lambda _: say("pretraining done"))
        scores = _run_folds(plan, work.folds, n_processes, say)
        unit.finish(plan, scores, say)
        write_report(plan.folder)
    return scores


@contextmanager
def _alone_in(folder: Path) -> Iterator[None]:
    """Refuse a directory in which another process is running; the system lifts the lock of a killed one."""
    folder.mkdir(parents=True, exist_ok=True)
    lock = FileLock(folder / LOCK)
    try:
        lock.acquire(timeout=0)
    except Timeout as error:
        raise ConfigError(f"{folder}: another process is at work in it; wait for it, or give another --out") from error
    try:
        yield
    finally:
        lock.release()  # the file stays: removing it would let two others lock two files of that name


def _run_folds(plan: Plan, jobs: Sequence[FoldJob], n_processes: int, say: Callable[[str], None]) -> dict[str, Any]:
    """Do the folds that are not done yet; scores and the time spent are brought up to date after each."""
    waiting = [job for job in jobs if not job.is_done]
    n_done, task = len(jobs) - len(waiting), plan.data.labelled.task
    if n_done:
        say(f"{n_done} of {len(jobs)} folds are done already")
    scores = collect(plan.folder) if n_done else {}
    begun, environment = time.monotonic(), read_json(plan.folder / "environment.json")
    spent_before = environment.get("seconds", 0.0)

    def on_done(job: FoldJob) -> None:
        nonlocal n_done, scores
        n_done += 1
        scores = collect(plan.folder)
        seconds = time.monotonic() - begun
        environment["seconds"] = round(spent_before + seconds, 1)
        write_json(plan.folder / "environment.json", environment)
        left = seconds / (n_done - len(jobs) + len(waiting)) * (len(jobs) - n_done)
        say(
            f"seed {job.seed} fold {job.fold} done ({n_done}/{len(jobs)}); so far {task.results(scores)[0]}; "
            f"{seconds / 60:.1f} min, about {left / 60:.1f} left"
        )

    run_jobs(waiting, n_processes, on_done)
    return scores


def claim(plan: Plan, resume: bool) -> None:
    """Refuse with a `ConfigError` a directory that holds something else, or another run."""
    if plan.folder.is_file():
        raise ConfigError(f"{plan.folder}: is a file; --out is a directory")
    if plan.folder.is_dir() and any(not path.name.startswith(".") for path in plan.folder.iterdir()):
        if not (plan.folder / "recipe.yaml").is_file():
            raise ConfigError(f"{plan.folder}: not empty and not a run directory; give another --out")
        if not resume:
            raise ConfigError(f"{plan.folder}: holds a run already; --resume goes on with it, or give another --out")
        begun = _as_begun(load_recipe(str(plan.folder / "recipe.yaml")).recipe)
        begun = begun.model_copy(update={"paper": plan.recipe.paper})  # what stands beside a run changes nothing in it
        if begun != plan.recipe:
            place, there, here = _difference(begun.model_dump(), plan.recipe.model_dump())
            raise ConfigError(
                f"{plan.folder}: was begun with another recipe or other options ({place}: {there!r} there, {here!r} "
                "here); give the same ones with --set, or another --out"
            )


def _as_begun(recipe: AnyRecipe) -> AnyRecipe:
    """A recipe as its run was begun: where it says nothing of a dev part, the protocol's own default held."""
    protocol = recipe.protocol
    stated = stated_options(protocol.name, protocol.options)
    options = {**({"dev": stated["dev"]} if "dev" in stated else {}), **protocol.options}
    return recipe.model_copy(update={"protocol": protocol.model_copy(update={"options": options})})


def _difference(begun: Any, planned: Any, place: str = "") -> tuple[str, Any, Any]:
    """The first dotted key in which two recipes differ, and its values."""
    if isinstance(begun, dict) and isinstance(planned, dict):
        for key in {**begun, **planned}:
            if begun.get(key) != planned.get(key):
                return _difference(begun.get(key), planned.get(key), f"{place}.{key}" if place else str(key))
    return place, begun, planned


def _people(manifest: pd.DataFrame) -> dict[str, dict[str, str]]:
    """Gender and language by corpus/speaker, which probes of the embeddings ask for."""
    known = manifest[manifest["speaker"] != ""].drop_duplicates(["corpus", "speaker"])
    return {
        f"{row['corpus']}/{row['speaker']}": {"gender": row["gender"], "language": row["language"]}
        for row in known.to_dict("records")
    }


def _audit_audio(plan: Plan, say: Callable[[str], None]) -> Audit:
    """The audit with the audio itself: copies and near copies of a test utterance in training, or pretraining."""
    splits, manifest = plan.data.splits, everything(plan)
    name_of = dict(zip(keys(plan), utterance_keys(manifest), strict=True))  # which have the corpus where there are more
    more = tuple(utterance_keys(manifest)[len(plan.data.labelled.manifest) :])
    audited = audit(
        [
            Fold(
                tuple(name_of[key] for key in fold.train) + more,
                tuple(name_of[key] for key in fold.dev),
                tuple(name_of[key] for key in fold.test),
            )
            for fold in splits.folds
        ],
        manifest,
        promises=plan.data.promises,
        fingerprints=(
            fingerprint_corpora((*plan.data.corpora, *plan.data.pretraining), manifest)
            if (manifest["file"] != "").any()
            else None
        ),
        labels="target" if plan.data.labelled.classes else "arousal",
    )
    refuse_leaks(audited, plan.recipe.allow_leak, splits.protocol)
    for line in audited.lines():
        say(f"audit: {line}")
    return audited


def _begin(plan: Plan, environment: dict[str, Any], resume: bool) -> None:
    """Write what the run is; a resumed one must have the same utterances in the same folds."""
    path = plan.folder / "environment.json"
    if resume and path.is_file():
        before = read_json(path)
        for part in ("corpora", "pretraining", "protocol"):
            if before.get(part, {}) != environment[part]:
                raise ConfigError(f"{plan.folder}: was begun with other {part}; give another --out")
        _check_languages(plan, before, environment)
        environment.update({key: before[key] for key in ("seconds", "git_revision", "command") if key in before})
    write_recipe(plan.document, plan.folder / "recipe.yaml")  # first: it makes this a run directory
    write_json(path, environment)


def _check_languages(plan: Plan, before: dict[str, Any], environment: dict[str, Any]) -> None:
    """Refuse a run whose language heads were made when en and en-GB were two languages: its folds would differ."""
    tags = {person["language"] for person in before.get("people", {}).values()} - {""}
    has_head = any("language" in found["heads"] for found in environment.get("domains", {}).values())
    if "domains" not in before and has_head and len(tags) > len({primary_language(tag) for tag in tags}):
        raise ConfigError(
            f"{plan.folder}: was begun by an older version, whose language heads told {', '.join(sorted(tags))} apart; "
            "give another --out"
        )


def collect(folder: str | Path) -> dict[str, Any]:
    """Merge the finished folds of a run directory into predictions.csv and scores.json; returns the scores."""
    folder = Path(folder)
    recipe = load_recipe(str(folder / "recipe.yaml")).recipe
    environment = read_json(folder / "environment.json")
    n_folds = environment["protocol"]["n_folds"]
    done = [
        folder / f"seed-{seed}" / f"fold-{k}" / "predictions.csv"
        for seed in range(recipe.seeds)
        for k in range(n_folds)
    ]
    differs = _differs(recipe, environment)
    labels = {"dimensions": getattr(recipe, "dimensions", []), **environment["labels"]}  # version 0.1 has classes alone
    task = task_of_scores({**labels, "task": recipe.task}, str(folder / "environment.json"))
    conditions = Conditions(
        protocol={k: environment["protocol"][k] for k in ("name", "version", "hash", "speaker_independent")},
        n_folds=n_folds,
        n_seeds=recipe.seeds,
        paper=recipe.paper.model_dump() if recipe.paper and not differs else None,
        synthetic=environment["synthetic"],
        normalization=environment["normalization"],
        leaks=environment["audit"]["leaks"],
        adaptation=environment["adaptation"],
    )
    predictions = pd.concat([read_predictions(path) for path in done if path.is_file()], ignore_index=True)
    scores = evaluate(predictions, task, conditions)
    write_predictions(predictions, folder / "predictions.csv")
    scores["alike_speakers"] = environment["audit"].get("alike_speakers", [])  # version 0.1 did not look for them
    scores["paper_differs"] = differs
    if "sizes" in environment:  # an older run's does not say
        scores["sizes"] = environment["sizes"]
    write_json(folder / "scores.json", scores)
    return scores


def _differs(recipe: AnyRecipe, environment: dict[str, Any]) -> list[str]:
    """Why the paper's numbers may not stand beside those of the run; nothing where they may, or where there is none."""
    if recipe.paper is None:
        return []
    return differences(
        recipe.paper,
        corpora={name: facts["utterances"] for name, facts in environment["corpora"].items()},
        task=recipe.task,
        protocol=recipe.protocol.name,
        options=recipe.protocol.options,
        only=recipe.only,
        unexpected=environment.get("unexpected", ()),
    )
