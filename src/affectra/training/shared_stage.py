"""A stage that several runs have alike, trained once for all of them."""

import shutil
from collections.abc import Mapping
from dataclasses import asdict, replace
from pathlib import Path

import torch

from affectra.features.normalization import Statistics
from affectra.files import sha256_file, sha256_json
from affectra.training.data import Utterance
from affectra.training.stage import StageJob, train_stage


def train_once(job: StageJob, shared: Path | None, groups: Mapping[str, Statistics]) -> None:
    """Train a stage in a folder that runs share, unless it is there already, and copy its checkpoint and history.

    Equal names mean an equal specification, plan, seed, fold and data, whose weights would be the same again. The
    checkpoint's provenance names the run that trained it.

    Args:
        job: the stage.
        shared: the folder; None trains where the job says.
        groups: statistics by utterance that the job's data alone decide; see `group_statistics`.
    """
    if shared is None or (job.folder / "model.json").is_file():
        train_stage(job, groups)
        return
    place = shared / f"{job.name}-{_name(job)}"
    train_stage(replace(job, folder=place), groups)
    shutil.rmtree(place / "resume", ignore_errors=True)
    half = job.folder.with_name(f".{job.folder.name}")
    shutil.rmtree(half, ignore_errors=True)
    shutil.copytree(place, half)
    shutil.rmtree(job.folder, ignore_errors=True)
    half.rename(job.folder)


def _name(job: StageJob) -> str:
    described = asdict(replace(job.specification, provenance={}))
    data = [[_row(turn) for turn in part] for part in (job.train, job.dev)]
    start = None if job.start is None else sha256_file(job.start / "model.safetensors")
    place = [job.seed, job.fold, job.name, torch.get_num_threads(), start]
    return sha256_json([described, job.plan.model_dump(), data, place])[:16]


def _row(turn: Utterance) -> list[object]:
    labels = [getattr(turn, name, None) for name in ("target", "auxiliary")]
    source = [turn.frames.parent.parent.name, turn.frames.name]
    return [turn.key, *source, turn.corpus, turn.speaker, turn.gender, turn.language, *labels]
