"""A run: recipe + corpora -> folds -> features -> training -> predictions -> scores -> report, in one directory."""

import math
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd
import torch
from filelock import FileLock, Timeout
from rich.console import Console
from rich.progress import Progress

from affectra.calibration import write_calibration
from affectra.config import Recipe, RecipeDocument, load_recipe, write_recipe
from affectra.corpora import CORPORA
from affectra.corpora.sources import open_corpus
from affectra.corpora.utterance import Corpus, utterance_keys
from affectra.environment import describe_environment, fingerprint_corpora
from affectra.errors import ConfigError, CorpusError
from affectra.evaluation import evaluate, read_predictions, write_predictions
from affectra.features import FRONT_ENDS
from affectra.features.extract import CachedFrames, Stretch, extract
from affectra.files import read_json, write_json
from affectra.grid import run_jobs
from affectra.labels import TASKS, LabelledUtterances, map_labels
from affectra.models import MODELS
from affectra.models.recognizer import Recognizer, Specification
from affectra.protocols import Splits, apply_protocol
from affectra.protocols.named import check_protocol
from affectra.registry import unknown_name
from affectra.report import write_report
from affectra.training.classification import check_training
from affectra.training.data import Example
from affectra.training.fold import FoldJob

LOCK = ".lock"


@dataclass(frozen=True)
class Data:
    """The utterances of a run.

    Attributes:
        corpora: as opened.
        labelled: rows with a class.
        splits: who is in which fold.
        synthetic: whether all speech is synthetic.
    """

    corpora: tuple[Corpus, ...]
    labelled: LabelledUtterances
    splits: Splits
    synthetic: bool


@dataclass(frozen=True)
class Plan:
    """A run about to start: its recipe, data and directory."""

    document: RecipeDocument
    data: Data
    folder: Path

    @property
    def recipe(self) -> Recipe:
        """The checked recipe."""
        return self.document.recipe

    @property
    def specification(self) -> Specification:
        """What each fold builds."""
        recipe = self.recipe
        return Specification(
            model=recipe.model.model_dump(),
            front_end=recipe.front_end.model_dump(),
            normalization=recipe.normalization,
            segments=recipe.segments.model_dump(),
            task=recipe.task,
            classes=self.data.labelled.classes,
            synthetic=self.data.synthetic,
            provenance={
                "recipe": recipe.name,
                "corpora": [corpus.name for corpus in self.data.corpora],
                "protocol": self.data.splits.stamp(),
            },
        )


def plan_run(
    recipe: str,
    corpora: Sequence[str] = (),
    *,
    protocol: str | None = None,
    task: str | None = None,
    seeds: int | None = None,
    settings: dict[str, Any] | None = None,
    out: str | Path | None = None,
) -> Plan:
    """Check a run from end to end without training: recipe, parts, corpora, labels, folds.

    Args:
        recipe: shipped name or YAML file.
        corpora: `NAME=FOLDER`, `NAME=MANIFEST` or the embedded corpus's name; default: the recipe's, where embedded.
        protocol: instead of the recipe's (its options fall back to the protocol's own defaults).
        task: instead of the recipe's.
        seeds: how many seeds, from 0 on.
        settings: dotted recipe key -> value.
        out: run directory; default `runs/<recipe>-<corpora>`.

    Raises:
        AffectraError: whatever is wrong, before anything is written.
    """
    overrides = dict(settings or {})
    if protocol is not None:
        overrides = {"protocol": {"name": protocol, "options": {}}, **overrides}
    if task is not None:
        overrides["task"] = task
    if seeds is not None:
        overrides["seeds"] = seeds
    document = load_recipe(recipe, overrides)
    _check_parts(document.recipe)
    opened = tuple(open_corpus(source) for source in corpora or document.recipe.corpora)
    names = [corpus.name for corpus in opened]
    if len(set(names)) < len(names):
        raise CorpusError(f"corpora are named {', '.join(names)}; give each a name of its own, --corpus NAME=...")
    manifest = pd.concat([corpus.manifest for corpus in opened], ignore_index=True)
    labelled = map_labels(manifest, document.recipe.task)
    chosen = document.recipe.protocol
    splits = apply_protocol(chosen.name, labelled.manifest, chosen.options)
    synthetic = all(name in CORPORA and CORPORA[name].synthetic for name in manifest["corpus"].unique())
    folder = Path(out) if out else Path("runs") / f"{document.recipe.name}-{'+'.join(names)}"
    plan = Plan(document, Data(opened, labelled, splits, synthetic), folder)
    Recognizer(plan.specification)  # the parts fit together
    return plan


def _check_parts(recipe: Recipe) -> None:
    """Every name and option a recipe uses, before any corpus is read."""
    FRONT_ENDS.check_options(recipe.front_end.name, recipe.front_end.options)
    MODELS.check_options(recipe.model.name, recipe.model.options, also=("n_features", "n_classes"))
    check_protocol(recipe.protocol.name, recipe.protocol.options)
    check_training(recipe.training)
    if recipe.task not in TASKS:
        raise ConfigError(unknown_name("task", recipe.task, TASKS))


def outline(plan: Plan, n_processes: int = 1) -> list[str]:
    """What a run would do, in lines: data, protocol, model, and an estimate of the time it takes."""
    recipe, data = plan.recipe, plan.data
    counts = data.labelled.manifest["target"].value_counts()
    stamp = "speaker-independent" if data.splits.speaker_independent else "SPEAKER-DEPENDENT"
    dropped = ", ".join(f"{word} {n}" for word, n in data.labelled.dropped.items())
    recognizer = Recognizer(plan.specification)
    n_parameters = sum(p.numel() for p in recognizer.parameters() if p.requires_grad)
    return [
        f"recipe    {recipe.name}: {recipe.description}",
        f"corpora   {', '.join(corpus.name for corpus in data.corpora)}{' (synthetic speech)' * data.synthetic}",
        f"task      {recipe.task}: " + ", ".join(f"{name} {counts[name]}" for name in data.labelled.classes),
        *([f"left out  {dropped}"] if dropped else []),
        f"protocol  {data.splits.protocol} v{data.splits.version}, {stamp}, {len(data.splits.folds)} folds, "
        f"hash {data.splits.hash[:12]}",
        f"model     {recipe.model.name}, {n_parameters} parameters",
        f"training  {recipe.training.epochs} epochs, {recipe.seeds} seed(s)",
        f"time      about {_estimate_minutes(plan, recognizer, n_processes):.0f} min of training on this machine",
        f"run       {plan.folder}",
    ]


def _estimate_minutes(plan: Plan, recognizer: Recognizer, n_processes: int) -> float:
    """Time of training: a timed step, times the steps of all folds, seeds and epochs; utterances taken as 3 s long."""
    torch.set_num_threads(_threads(plan, n_processes))
    recipe = plan.recipe
    front_end, batch = recognizer.front_end, recipe.training.batch_size
    if recipe.training.channels_last:
        recognizer.network.to(memory_format=torch.channels_last)
    segments = torch.rand(batch, recognizer.input_frames, front_end.n_features)
    lengths = torch.full((batch,), recognizer.segment_frames)
    seconds = []
    for _ in range(3):
        begun = time.monotonic()
        with torch.autocast("cpu", torch.bfloat16, enabled=recipe.training.precision == "bf16-mixed"):
            scores = recognizer(segments, lengths).scores
        scores.float().sum().backward()
        seconds.append(time.monotonic() - begun)
    per_segment = min(seconds[1:]) / batch
    manifest = plan.data.labelled.manifest
    durations = (manifest["end"] - manifest["start"].fillna(0.0)).fillna(3.0)
    per_utterance = [
        len(recognizer.starts(front_end.n_frames(int(d * front_end.sample_rate)), train=True)) for d in durations
    ]
    mean = sum(per_utterance) / len(per_utterance)
    n_segments = mean * sum(len(fold.train) for fold in plan.data.splits.folds)
    return n_segments * recipe.training.epochs * recipe.seeds * per_segment / n_processes / 60


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
    _claim(plan, resume)
    cached = _features(plan, say)
    threads = _threads(plan, n_processes)
    labelled = plan.data.labelled
    environment = {
        **describe_environment(),
        "threads": threads,
        "synthetic": plan.data.synthetic,
        "corpora": fingerprint_corpora(labelled.manifest, {key: found.audio_hash for key, found in cached.items()}),
        "protocol": {**plan.data.splits.stamp(), "n_folds": len(plan.data.splits.folds)},
        "labels": {"task": plan.recipe.task, "classes": list(labelled.classes), "dropped": dict(labelled.dropped)},
        "seeds": list(range(plan.recipe.seeds)),
    }
    with _alone_in(plan.folder):
        _begin(plan, environment, resume)
        scores = _run_folds(plan, _jobs(plan, cached, threads), n_processes, say)
        write_calibration(plan.folder, read_predictions(plan.folder / "predictions.csv"), labelled.classes)
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


def _claim(plan: Plan, resume: bool) -> None:
    """Refuse a directory that holds something else."""
    if plan.folder.is_file():
        raise ConfigError(f"{plan.folder}: is a file; --out is a directory")
    if plan.folder.is_dir() and any(path.name != LOCK for path in plan.folder.iterdir()):
        if not (plan.folder / "recipe.yaml").is_file():
            raise ConfigError(f"{plan.folder}: not empty and not a run directory; give another --out")
        if not resume:
            raise ConfigError(f"{plan.folder}: holds a run already; --resume goes on with it, or give another --out")
        if load_recipe(str(plan.folder / "recipe.yaml")).recipe != plan.recipe:
            raise ConfigError(f"{plan.folder}: was begun with another recipe or other options; give another --out")


def _features(plan: Plan, say: Callable[[str], None]) -> dict[str, CachedFrames]:
    manifest = plan.data.labelled.manifest
    roots = {corpus.name: corpus.root for corpus in plan.data.corpora}
    owners = {name: corpus.name for corpus in plan.data.corpora for name in corpus.manifest["corpus"].unique()}
    stretches = [
        Stretch(roots[owners[row["corpus"]]] / row["file"], _or(row["start"], 0.0), _or(row["end"], None))
        for row in manifest.to_dict("records")
    ]
    with Progress(console=Console(stderr=True), disable=not sys.stderr.isatty(), transient=True) as progress:
        task = progress.add_task(f"features of {len(stretches)} utterances", total=len(stretches))
        front_end = plan.recipe.front_end.model_dump()
        cached = extract(stretches, front_end, on_done=lambda n: progress.update(task, completed=n))
    say(f"features of {len(stretches)} utterances are ready")
    return dict(zip(utterance_keys(manifest), cached, strict=True))


def _or(number: float, default: float | None) -> Any:
    """A number of a manifest, or a default where it is empty."""
    return default if math.isnan(number) else number


def _jobs(plan: Plan, cached: dict[str, CachedFrames], threads: int) -> list[FoldJob]:
    manifest, classes = plan.data.labelled.manifest, plan.data.labelled.classes
    examples = {
        key: Example(
            key,
            row["corpus"],
            row["speaker"],
            classes.index(row["target"]),
            cached[key].path,
            cached[key].n_frames,
        )
        for key, row in zip(utterance_keys(manifest), manifest.to_dict("records"), strict=True)
    }
    return [
        FoldJob(
            folder=plan.folder / f"seed-{seed}" / f"fold-{k}",
            seed=seed,
            fold=k,
            specification=plan.specification,
            plan=plan.recipe.training,
            train=tuple(examples[key] for key in fold.train),
            dev=tuple(examples[key] for key in fold.dev),
            test=tuple(examples[key] for key in fold.test),
            threads=threads,
        )
        for seed in range(plan.recipe.seeds)
        for k, fold in enumerate(plan.data.splits.folds)
    ]


def _threads(plan: Plan, n_processes: int) -> int:
    """Threads of torch in each process; a resumed run keeps those it began with, since sums depend on them."""
    environment = plan.folder / "environment.json"
    if environment.is_file():
        return int(read_json(environment)["threads"])
    return max(1, torch.get_num_threads() // n_processes)  # as many as cores, or $OMP_NUM_THREADS


def _begin(plan: Plan, environment: dict[str, Any], resume: bool) -> None:
    """Write what the run is; a resumed one must have the same utterances in the same folds."""
    path = plan.folder / "environment.json"
    if resume and path.is_file():
        before = read_json(path)
        for part in ("corpora", "protocol"):
            if before[part] != environment[part]:
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
    )
