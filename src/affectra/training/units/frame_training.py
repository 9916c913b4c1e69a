"""Training of a network over time on timelines, and its predictions."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from torch.utils.data import DataLoader, Dataset

from affectra.features.description import kind_of
from affectra.models.frame.frame_network import BLOCK, FrameNetwork, NetworkPlan, save_network
from affectra.recipes.recipe import TrainingPlan
from affectra.training.data import EpochBatches
from affectra.training.module import Training
from affectra.training.objective import Sizes
from affectra.training.objectives import OBJECTIVES
from affectra.training.parts import check_parts, freeze
from affectra.training.seeds import derive_seed
from affectra.training.stage import fit
from affectra.training.units.timelines import PieceDataset, Timeline
from affectra.training.watch import FrameWatch


def train_network(
    plan: NetworkPlan,
    training: TrainingPlan,
    folder: Path,
    place: tuple[int, int],
    *,
    train: Sequence[Timeline],
    dev: Sequence[Timeline],
    sequence_frames: int,
) -> None:
    """Train unless the checkpoint is there, going on from the resume state where there is one.

    Writes history.csv, and model.safetensors + model.json.

    Args:
        plan: the network.
        training: how to train it.
        folder: where its files go.
        place: seed and fold, which every random stream derives from.
        train: what is learnt from.
        dev: what is watched; may be empty.
        sequence_frames: of a training example.
    """
    if kind_of(folder) == "time":
        return
    torch.manual_seed(derive_seed(*place, "frames", "weights"))
    network = FrameNetwork(plan)
    if plan.front_end is not None:
        network.normalization.fit(_acoustic_frames(train))
    data = PieceDataset(train, sequence_frames, len(plan.dimensions))
    batches = EpochBatches(len(data), training.batch_size, 0, 0, *place, "frames")
    check_parts(network, training)
    freeze(network, training)
    objective = OBJECTIVES.build(training.objective.name, training.objective.options, sizes=Sizes())
    own = torch.Generator()  # a loader draws a number as it begins, which must not move the stream of the dropout
    fit(
        Training(network, objective, training, FrameWatch(plan.dimensions)),
        DataLoader(data, batch_sampler=batches, collate_fn=data.collate, generator=own),
        DataLoader(_Timelines(dev), batch_size=None, generator=own) if dev else None,
        folder,
        (*place, "frames"),
    )
    save_network(network.eval(), plan, folder)


class _Timelines(Dataset[Timeline]):
    """Timelines one by one: each is predicted piece by piece, however long."""

    def __init__(self, timelines: Sequence[Timeline]) -> None:
        self.timelines = timelines

    def __len__(self) -> int:
        return len(self.timelines)

    def __getitem__(self, index: int) -> Timeline:
        return self.timelines[index]


def _acoustic_frames(timelines: Sequence[Timeline]) -> Any:
    """Acoustic frames of timelines, `BLOCK` in memory at a time."""
    for timeline in timelines:
        for start in range(0, len(timeline), BLOCK):
            yield timeline.read(start, min(start + BLOCK, len(timeline)))[0]
