"""A run: recipe + corpora -> folds -> features -> training -> predictions -> scores -> report, in one directory."""

import math
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pandas as pd
from filelock import FileLock, Timeout
from rich.console import Console
from rich.progress import Progress

from affectra.calibration import write_calibration
from affectra.config import Recipe, load_recipe, write_recipe
from affectra.corpora.utterance import join_manifests, utterance_keys
from affectra.environment import describe_corpora, describe_environment
from affectra.errors import ConfigError
from affectra.evaluation import evaluate, read_predictions, write_predictions
from affectra.features.extract import CachedFrames, Stretch, extract
from affectra.files import read_json, write_json
from affectra.grid import run_jobs
from affectra.leakage.audit import audit
from affectra.leakage.findings import Audit
from affectra.leakage.fingerprint import fingerprint_corpora
from affectra.plan import Plan, is_transductive, n_threads, refuse_leaks
from affectra.probes import probe_run
from affectra.protocols.folds import Fold
from affectra.report import write_report
from affectra.training.data import UNKNOWN, Example
from affectra.training.fold import FoldJob, PretrainingJob

LOCK = ".lock"


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
    cached, copies = _features(plan, say)
    threads = n_threads(plan, n_processes)
    labelled = plan.data.labelled
    heard = _listen(plan, say)
    hashes = {key: found.audio_hash for key, found in cached.items()}
    environment = {
        **describe_environment(),
        "threads": threads,
        "synthetic": plan.data.synthetic,
        "corpora": describe_corpora(labelled.manifest, hashes),
        "pretraining": _describe_pretraining(plan, hashes),
        "people": _people(labelled.manifest),
        "protocol": {**plan.data.splits.stamp(), "n_folds": len(plan.data.splits.folds)},
        "labels": {
            "task": plan.recipe.task,
            "classes": list(labelled.classes),
            "dropped": dict(labelled.dropped),
            "excluded": dict(labelled.excluded),
        },
        "normalization": {
            "mode": plan.recipe.normalization,
            "transductive": is_transductive(plan.recipe.normalization, plan.data.splits, labelled.manifest),
        },
        "audit": {
            "verdict": "leak" if heard.leaks else "clean",
            "leaks": list(heard.leaks),
            "lines": [*plan.data.unexpected, *heard.lines()],
        },
        "adaptation": "unlabelled test audio" if _adapts(plan) else "none",
        "seeds": list(range(plan.recipe.seeds)),
    }
    with _alone_in(plan.folder):
        claim(plan, resume)  # again: another process may have finished meanwhile
        _begin(plan, environment, resume)
        pretraining = _pretraining_jobs(plan, cached, threads)
        run_jobs([job for job in pretraining if not job.is_done], n_processes, lambda job: say(f"{job.last} done"))
        scores = _run_folds(plan, _jobs(plan, cached, copies, threads, pretraining), n_processes, say)
        write_calibration(plan.folder, read_predictions(plan.folder / "predictions.csv"), labelled.classes)
        if scores["complete"] and len(environment["corpora"]) > 1:  # what a space tells of domains is asked across them
            say("reading domains from the embeddings")
            write_json(plan.folder / "probes.json", [found.to_json() for found in probe_run(plan.folder)])
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


def _run_folds(plan: Plan, jobs: list[FoldJob], n_processes: int, say: Callable[[str], None]) -> dict[str, Any]:
    """Do the folds that are not done yet; scores and the time spent are brought up to date after each."""
    waiting = [job for job in jobs if not job.is_done]
    n_done = len(jobs) - len(waiting)
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
            f"seed {job.seed} fold {job.fold} done ({n_done}/{len(jobs)}); UA so far "
            f"{scores['metrics']['ua']:.3f}; {seconds / 60:.1f} min, about {left / 60:.1f} left"
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
        if load_recipe(str(plan.folder / "recipe.yaml")).recipe != plan.recipe:
            raise ConfigError(f"{plan.folder}: was begun with another recipe or other options; give another --out")


def _features(plan: Plan, say: Callable[[str], None]) -> tuple[dict[str, CachedFrames], list[dict[str, CachedFrames]]]:
    """Frames by utterance, and those of each augmented copy."""
    manifest = _everything(plan)
    corpora = (*plan.data.corpora, *plan.data.pretraining)
    roots = {name: corpus.root for corpus in corpora for name in corpus.manifest["corpus"].unique()}
    stretches = [
        Stretch(roots[row["corpus"]] / row["file"], _or(row["start"], 0.0), _or(row["end"], None))
        for row in manifest.to_dict("records")
    ]
    front_end, augmentation = plan.recipe.front_end.model_dump(), plan.recipe.augmentation
    n_copies = augmentation.copies if augmentation else 0
    with Progress(console=Console(stderr=True), disable=not sys.stderr.isatty(), transient=True) as progress:
        task = progress.add_task(f"features of {len(stretches)} utterances", total=(1 + n_copies) * len(stretches))

        def advance(_: int) -> None:
            progress.advance(task)

        cached = extract(stretches, front_end, advance)
        copies = [extract(stretches, front_end, advance, augmentation=augmentation, copy=k) for k in range(n_copies)]
    say(f"features of {len(stretches)} utterances are ready")
    keys = _keys(plan)
    return dict(zip(keys, cached, strict=True)), [dict(zip(keys, copy, strict=True)) for copy in copies]


def _everything(plan: Plan) -> pd.DataFrame:
    """The rows that are tested or learnt from, those of the pretraining corpora last."""
    extra = plan.data.pretraining_labelled
    return (
        plan.data.labelled.manifest if extra is None else join_manifests([plan.data.labelled.manifest, extra.manifest])
    )


def _keys(plan: Plan) -> list[str]:
    """Names of the rows of `_everything`: those of the folds, then corpus/utterance of the pretraining corpora."""
    keys = utterance_keys(plan.data.labelled.manifest).tolist()
    extra = plan.data.pretraining_labelled
    return keys if extra is None else keys + (extra.manifest["corpus"] + "/" + extra.manifest["utterance"]).tolist()


def _adapts(plan: Plan) -> bool:
    """Whether some fold's training hears what it is tested on, without the labels."""
    return any(_unheard(fold.train, fold.test, plan) for fold in plan.data.splits.folds)


def _unheard(train: Sequence[str], test: Sequence[str], plan: Plan) -> list[str]:
    """The keys of a test part whose corpora training lacks, where training is to adapt to them."""
    trainings = [plan.recipe.training, *(stage.training for stage in plan.recipe.stages)]
    if not any(training and training.unlabelled_batch_size for training in trainings):
        return []
    manifest = plan.data.labelled.manifest
    corpus_of = dict(zip(utterance_keys(manifest), manifest["corpus"], strict=True))
    heard = {corpus_of[key] for key in train}
    return [key for key in test if corpus_of[key] not in heard]


def _describe_pretraining(plan: Plan, hashes: dict[str, str]) -> dict[str, dict[str, Any]]:
    """As `describe_corpora`, of the corpora that are for pretraining alone."""
    extra = plan.data.pretraining_labelled
    if extra is None:
        return {}
    keys = _keys(plan)[len(plan.data.labelled.manifest) :]
    own = dict(zip(utterance_keys(extra.manifest), (hashes[key] for key in keys), strict=True))
    return describe_corpora(extra.manifest, own)


def _people(manifest: pd.DataFrame) -> dict[str, dict[str, str]]:
    """Gender and language by corpus/speaker, which probes of the embeddings ask for."""
    known = manifest[manifest["speaker"] != ""].drop_duplicates(["corpus", "speaker"])
    return {
        f"{row['corpus']}/{row['speaker']}": {"gender": row["gender"], "language": row["language"]}
        for row in known.to_dict("records")
    }


def _listen(plan: Plan, say: Callable[[str], None]) -> Audit:
    """The audit with the audio itself: copies and near copies of a test utterance in training, or pretraining."""
    splits, manifest = plan.data.splits, _everything(plan)
    name_of = dict(
        zip(_keys(plan), utterance_keys(manifest), strict=True)
    )  # which have the corpus where there are more
    more = tuple(utterance_keys(manifest)[len(plan.data.labelled.manifest) :])
    heard = audit(
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
        fingerprints=fingerprint_corpora((*plan.data.corpora, *plan.data.pretraining), manifest),
        labels="target",
    )
    refuse_leaks(heard, plan.recipe.allow_leak, splits.protocol)
    for line in heard.lines():
        say(f"audit: {line}")
    return heard


def _or(number: float, default: float | None) -> Any:
    """A number of a manifest, or a default where it is empty."""
    return default if math.isnan(number) else number


def _examples(
    plan: Plan, manifest: pd.DataFrame, keys: Sequence[str], cached: dict[str, CachedFrames]
) -> dict[str, Example]:
    classes = plan.data.labelled.classes
    return {
        key: Example(
            key=key,
            corpus=row["corpus"],
            speaker=row["speaker"],
            gender=row["gender"],
            language=row["language"],
            frames=cached[key].path,
            n_frames=cached[key].n_frames,
            target=classes.index(row["target"]) if row["target"] else UNKNOWN,
            auxiliary=tuple(int(row.get(f"target_{name}", UNKNOWN)) for name in plan.recipe.auxiliary),
        )
        for key, row in zip(keys, manifest.to_dict("records"), strict=True)
    }


def _pretraining_jobs(plan: Plan, cached: dict[str, CachedFrames], threads: int) -> list[PretrainingJob]:
    """One a seed, or none."""
    if plan.data.pretraining_labelled is None:
        return []
    keys = _keys(plan)[len(plan.data.labelled.manifest) :]
    examples = tuple(_examples(plan, plan.data.pretraining_labelled.manifest, keys, cached).values())
    stages = tuple(stage for stage in plan.recipe.stages if stage.data == "pretraining")
    return [
        PretrainingJob(plan.folder / f"seed-{seed}", seed, plan.specification, stages, examples, threads)
        for seed in range(plan.recipe.seeds)
    ]


def _jobs(
    plan: Plan,
    cached: dict[str, CachedFrames],
    copies: Sequence[dict[str, CachedFrames]],
    threads: int,
    pretraining: Sequence[PretrainingJob],
) -> list[FoldJob]:
    manifest = plan.data.labelled.manifest
    keys = utterance_keys(manifest).tolist()
    examples = _examples(plan, manifest, keys, cached)
    augmented = [_examples(plan, manifest, keys, copy) for copy in copies]

    def known(keys: Sequence[str]) -> tuple[Example, ...]:
        return tuple(examples[key] for key in keys if examples[key].target != UNKNOWN)

    return [
        FoldJob(
            folder=plan.folder / f"seed-{seed}" / f"fold-{k}",
            seed=seed,
            fold=k,
            specification=plan.specification,
            stages=tuple(stage for stage in plan.recipe.stages if stage.data == "train"),
            plan=plan.recipe.training,
            train=tuple(examples[key] for key in fold.train),
            copies=tuple(copy[key] for copy in augmented for key in fold.train),
            dev=known(fold.dev),
            test=known(fold.test),
            unlabelled=tuple(examples[key].unlabelled() for key in _unheard(fold.train, fold.test, plan)),
            start=pretraining[seed].last if pretraining else None,
            threads=threads,
        )
        for seed in range(plan.recipe.seeds)
        for k, fold in enumerate(plan.data.splits.folds)
    ]


def _begin(plan: Plan, environment: dict[str, Any], resume: bool) -> None:
    """Write what the run is; a resumed one must have the same utterances in the same folds."""
    path = plan.folder / "environment.json"
    if resume and path.is_file():
        before = read_json(path)
        for part in ("corpora", "pretraining", "protocol"):
            if before.get(part, {}) != environment[part]:
                raise ConfigError(f"{plan.folder}: was begun with other {part}; give another --out")
        environment.update({key: before[key] for key in ("seconds", "git_revision", "command") if key in before})
    write_recipe(plan.document, plan.folder / "recipe.yaml")  # first: it makes this a run directory
    write_json(path, environment)


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
    predictions = pd.concat([read_predictions(path) for path in done if path.is_file()], ignore_index=True)
    comparable = recipe.paper is not None and _is_papers_own(recipe, environment)
    scores = evaluate(
        predictions,
        environment["labels"]["classes"],
        task=recipe.task,
        protocol={k: environment["protocol"][k] for k in ("name", "version", "hash", "speaker_independent")},
        n_folds=n_folds,
        n_seeds=recipe.seeds,
        paper=recipe.paper.model_dump() if comparable and recipe.paper else None,
        synthetic=environment["synthetic"],
        normalization=environment["normalization"],
        leaks=environment["audit"]["leaks"],
        adaptation=environment["adaptation"],
    )
    write_predictions(predictions, folder / "predictions.csv")
    write_json(folder / "scores.json", scores)
    return scores


def _is_papers_own(recipe: Recipe, environment: dict[str, Any]) -> bool:
    """Whether the run has the paper's corpora, task and protocol, so that its numbers may stand side by side."""
    assert recipe.paper is not None
    return (
        sorted(environment["corpora"]) == sorted(recipe.paper.corpora)
        and recipe.task == recipe.paper.task
        and recipe.protocol.name == recipe.paper.protocol
        and not recipe.only
    )
