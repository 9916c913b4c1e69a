"""The environment of a run: versions, hardware, and fingerprints of what it was given."""

import os
import platform
import shlex
import subprocess
import sys
from collections.abc import Mapping
from importlib.metadata import version
from pathlib import Path
from typing import Any

import pandas as pd
import torch

from affectra import __version__
from affectra.corpora.manifest import utterance_keys
from affectra.files import sha256_json

PACKAGES = ("torch", "lightning", "numpy", "pandas", "soundfile", "soxr")


def describe_environment() -> dict[str, Any]:
    """Versions, device, cores, git revision and the command line."""
    return {
        "affectra": __version__,
        "python": platform.python_version(),
        **{package: version(package) for package in PACKAGES},
        "platform": platform.platform(),
        "device": torch.cuda.get_device_name() if torch.cuda.is_available() else _processor(),
        "cores": os.cpu_count(),
        "git_revision": _git_revision(),
        "command": shlex.join(["affectra", *sys.argv[1:]]),
    }


def describe_corpora(manifest: pd.DataFrame, audio_hashes: Mapping[str, str]) -> dict[str, dict[str, Any]]:
    """Size and fingerprint of each corpus as a run sees it.

    Args:
        manifest: labelled rows, with the column `target`.
        audio_hashes: SHA-256 of the audio file of each utterance key.

    Returns:
        By corpus: utterances, speakers, and a SHA-256 over (utterance, class, speaker, start, end, audio), which
        changes with any of them.
    """
    corpora = {}
    for name, rows in manifest.assign(key=utterance_keys(manifest)).groupby("corpus"):
        content = sorted(
            [row["key"], row["target"], row["speaker"], str(row["start"]), str(row["end"]), audio_hashes[row["key"]]]
            for row in rows.to_dict("records")
        )
        corpora[str(name)] = {
            "utterances": len(rows),
            "speakers": int(rows["speaker"].nunique()),
            "fingerprint": sha256_json(content),
        }
    return corpora


def _processor() -> str:
    """The processor's name where the system tells it."""
    cpuinfo = Path("/proc/cpuinfo")
    if cpuinfo.is_file():
        for line in cpuinfo.read_text(encoding="utf-8", errors="replace").splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.processor() or platform.machine()


def _git_revision() -> str | None:
    """The revision of a source checkout, with "+" where it has uncommitted changes; None in an installed wheel."""
    here = Path(__file__).parent
    try:
        # Installed into somebody's own repository, these files are not tracked there.
        subprocess.run(["git", "ls-files", "--error-unmatch", "run.py"], cwd=here, capture_output=True, check=True)
        revision = subprocess.run(["git", "rev-parse", "HEAD"], cwd=here, capture_output=True, text=True, check=True)
        changes = subprocess.run(["git", "diff", "--quiet", "HEAD"], cwd=here, capture_output=True)
    except (OSError, subprocess.CalledProcessError):
        return None
    return revision.stdout.strip() + ("+" if changes.returncode else "")
