"""Putting one recording of the embedded corpus where another corpus has it."""

import shutil
from pathlib import Path

import soundfile


def lay(source: Path, target: Path) -> None:
    """The same samples under another name and, where the suffix says so, in another container."""
    target.parent.mkdir(parents=True, exist_ok=True)
    if source.suffix == target.suffix:
        shutil.copyfile(source, target)
    else:
        samples, sample_rate = soundfile.read(source, dtype="int16")
        soundfile.write(target, samples, sample_rate, subtype="PCM_16")


def touch(root: Path, *files: str) -> None:
    """Empty files, which do where readers go by names alone."""
    for file in files:
        (root / file).parent.mkdir(parents=True, exist_ok=True)
        (root / file).touch()
