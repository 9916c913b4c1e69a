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

from affectra.cli import main as affectra

KFOLD = ("--protocol", "kfold-speaker", "--set", "protocol.options={k: 3, dev: false}")
FEW_EPOCHS = {
    "li2018-cpu": ("emodb", (*KFOLD, "--set", "training.epochs=5")),
    "gao2022-dann2-center-cpu": ("emodb ravdess", ("--protocol", "loco", "--set", "training.epochs=10")),
    "gao2021-cpu": (
        "emodb ravdess",
        (*KFOLD, "--set", "training.epochs=6", "--set", "pretraining={corpora: [ravdess], task: quadrant}"),
    ),
}  # segments one by one; whole utterances with domain heads; stages, some of them on corpora that are never tested


class Clock:
    """Standard error that notes when the last line of the audit came, which is when training starts."""

    def __init__(self) -> None:
        self.audited = 0.0

    def write(self, text: str) -> int:
        """Look at what is written and drop it."""
        if text.startswith(("audit:", "features")):
            self.audited = time.monotonic()
        return len(text)

    def flush(self) -> None:
        """Nothing is kept."""


def main(data: Path) -> None:
    """A line a recipe."""
    print("| recipe | dry run, s | estimate | training, s |\n|---|---:|---|---:|")
    for recipe, (corpora, options) in FEW_EPOCHS.items():
        with tempfile.TemporaryDirectory() as folder:
            sources = [f"--corpus={name}={data / name}" for name in corpora.split()]
            arguments = ["run", recipe, *sources, *options, "--out", f"{folder}/run"]
            begun = time.monotonic()
            command = [sys.executable, "-m", "affectra", *arguments, "--dry-run"]
            planned = subprocess.run(command, capture_output=True, text=True, check=True).stdout
            seconds = time.monotonic() - begun
            found = re.search(r"^time +(.*?) of training", planned, re.MULTILINE)
            assert found, planned
            clock, own = Clock(), (sys.stderr, sys.stdout)
            sys.stderr, sys.stdout = clock, clock  # type: ignore[assignment]
            try:
                assert affectra(arguments) == 0
            finally:
                sys.stderr, sys.stdout = own
            spent = time.monotonic() - clock.audited
        print(f"| `{recipe}` | {seconds:.1f} | {found[1]} | {spent:.0f} |", flush=True)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
