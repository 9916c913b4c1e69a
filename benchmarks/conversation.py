"""What an epoch of each stage over dialogues takes, and that what is frozen is computed once.

    python benchmarks/conversation.py [--recipe dutta2022-cpu] [--corpus NAME=PATH ...] [--protocol NAME] [--threads 1]

The first fold of a run is trained with one epoch and with two: their difference is an epoch, warm-up left out. Times
are CPU time of this process over all threads; memory is what a stage adds at most to what the process held before it
(Linux, glibc). Then the fold is finished a third time, as a resumed run would: networks and embeddings are read.
"""

import argparse
import ctypes
import os
import tempfile
import time
from collections import defaultdict
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch

from affectra.recipes.config import load_recipe
from affectra.recipes.recipe import DialogueRecipe
from affectra.runs.plan import plan_run
from affectra.runs.units.dialogue_jobs import prepare
from affectra.training import shared_stage
from affectra.training.units import dialogue_fold, head
from affectra.training.units.dialogue_fold import DialogueFoldJob

Costs = dict[str, tuple[float, float]]  # stage -> CPU s, MiB


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--recipe", default="dutta2022-cpu")
    parser.add_argument("--corpus", action="append", default=[])
    parser.add_argument("--protocol")
    parser.add_argument("--threads", type=int, default=1)
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    with tempfile.TemporaryDirectory() as folder:
        runs = {n: _fold(arguments, n, Path(folder) / str(n)) for n in (1, 2)}
        one, two = (_costs(runs[n].run) for n in (1, 2))
        (runs[2].folder / "predictions.csv").unlink()
        again = _costs(runs[2].run)
    n_turns = sum(len(dialogue.keys) for dialogue in runs[2].train)
    print(
        f"torch {torch.__version__}, {os.cpu_count()} cores, {arguments.threads} thread(s); {arguments.recipe}, fold 0"
    )
    print(f"fold 0 learns from {len(runs[2].train)} dialogues, {n_turns} turns and tests {len(runs[2].test)}\n")
    print("| stage | an epoch, CPU s | MiB |\n|---|---|---|")
    for name, (seconds, mebibytes) in two.items():
        if not name.startswith("turns"):
            print(f"| {name} | {max(0.0, seconds - one[name][0]):.2f} | {mebibytes:.0f} |")
    print("\n| frozen | computed, CPU s | MiB | in a resumed run, CPU s |\n|---|---|---|---|")
    for name, (seconds, mebibytes) in two.items():
        if name.startswith("turns"):
            print(f"| {name} | {seconds:.2f} | {mebibytes:.0f} | {again[name][0]:.3f} |")


def _fold(arguments: argparse.Namespace, n_epochs: int, folder: Path) -> DialogueFoldJob:
    """The first fold, with so many epochs of everything."""
    recipe = load_recipe(arguments.recipe).recipe
    assert isinstance(recipe, DialogueRecipe), "a recipe over dialogues"
    settings: dict[str, Any] = {f"modalities.{name}.training.epochs": n_epochs for name in recipe.modalities}
    heads = {"context": recipe.context, "fusion": recipe.fusion}
    settings |= {f"{name}.training.epochs": n_epochs for name, head in heads.items() if head is not None}
    plan = plan_run(arguments.recipe, arguments.corpus, settings=settings, protocol=arguments.protocol, out=folder)
    job = prepare(plan, arguments.threads, lambda _: None).folds[0]
    assert isinstance(job, DialogueFoldJob)
    return job


def _costs(run: Callable[[], None]) -> Costs:
    """Run a fold and say what each of its stages cost."""
    found: dict[str, list[float]] = defaultdict(lambda: [0.0, 0.0])

    def timed(work: Callable[..., Any], name_of: Callable[..., str]) -> Callable[..., Any]:
        def measured(*arguments: Any) -> Any:
            ctypes.CDLL(None).malloc_trim(0)  # what earlier stages have freed is no memory to begin with
            Path("/proc/self/clear_refs").write_text("5")  # the peak begins anew
            before, start = _kibibytes("VmRSS"), time.process_time()
            result = work(*arguments)
            cost = found[name_of(*arguments)]
            cost[0] += time.process_time() - start
            cost[1] = max(cost[1], (_kibibytes("VmHWM") - before) / 1024)
            return result

        return measured

    stages = {
        "train_once": lambda job, *_: job.name,
        "train_head": lambda job: job.name,
        "embed_turns": lambda *called: f"turns on their own, {called[-1].parent.name}",
    }
    homes = {"train_once": shared_stage, "train_head": head, "embed_turns": dialogue_fold}
    kept = {name: getattr(homes[name], name) for name in stages}
    for name, name_of in stages.items():
        setattr(homes[name], name, timed(kept[name], name_of))
    try:
        run()
    finally:
        for name, work in kept.items():
            setattr(homes[name], name, work)
    return {name: (seconds, mebibytes) for name, (seconds, mebibytes) in found.items()}


def _kibibytes(field: str) -> int:
    """Of this process, by Linux."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith(field))


if __name__ == "__main__":
    main()
