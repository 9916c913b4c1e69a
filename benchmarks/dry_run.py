"""How long a dry run takes, and how far its estimate of the training's time is from the training.

    python benchmarks/dry_run.py DATA

DATA has the folders emodb and ravdess. Nothing else should run on the machine. Each recipe is planned by the command,
then run with few epochs; the clock starts when features are ready and audited. `dry_run.md` has results.
"""

import re
import subprocess
import sys
import tempfile
import time
from pathlib import Path

KFOLD = ("--protocol", "kfold-speaker", "--set", "protocol.options={k: 3, dev: false}")
FEW_EPOCHS = {
    "li2018-cpu": ("emodb", (*KFOLD, "--set", "training.epochs=5")),
    "gao2022-dann2-center-cpu": ("emodb ravdess", ("--protocol", "loco", "--set", "training.epochs=10")),
    "gao2021-cpu": (
        "emodb ravdess",
        (*KFOLD, "--set", "training.epochs=6", "--set", "pretraining={corpora: [ravdess], task: quadrant}"),
    ),
}  # segments one by one; whole utterances with domain heads; stages, some of them on corpora that are never tested


def training_s(command: list[str]) -> float:
    """Run a command to its end; the seconds since the last line of its audit, which is when training starts."""
    audited = 0.0
    with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True) as process:
        assert process.stderr is not None
        for line in process.stderr:
            if line.startswith(("audit:", "features")):
                audited = time.monotonic()
    assert process.returncode == 0 and audited, command
    return time.monotonic() - audited


def main(data: Path) -> None:
    """A line a recipe."""
    print("| recipe | dry run, s | estimate | training, s |\n|---|---:|---|---:|")
    for recipe, (corpora, options) in FEW_EPOCHS.items():
        with tempfile.TemporaryDirectory() as folder:
            sources = [f"--corpus={name}={data / name}" for name in corpora.split()]
            command = [sys.executable, "-m", "affectra", "run", recipe, *sources, *options, "--out", f"{folder}/run"]
            begun = time.monotonic()
            planned = subprocess.run([*command, "--dry-run"], capture_output=True, text=True, check=True).stdout
            seconds = time.monotonic() - begun
            found = re.search(r"^time +(.*?) of training", planned, re.MULTILINE)
            assert found, planned
            spent = training_s(command)
        print(f"| `{recipe}` | {seconds:.1f} | {found[1]} | {spent:.0f} |", flush=True)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
