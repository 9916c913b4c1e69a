"""Training of a network over time on timelines, and its predictions."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

from affectra.metrics import concordance_cc
from affectra.models.frame.frame_network import BLOCK, FILE, FrameNetwork, NetworkPlan, save_network
from affectra.recipes.recipe import FrameTraining
from affectra.training.data import EpochBatches
from affectra.training.frame_objectives import FRAME_OBJECTIVES, Concordance
from affectra.training.module import Scheduled
from affectra.training.seeds import derive_seed
from affectra.training.stage import fit, trainer
from affectra.training.units.timelines import FrameBatch, PieceDataset, Timeline


class FrameTrainingModule(Scheduled):
    """A network over time under its objective; a dev part is watched by the CCC of its labelled frames.

    Args:
        network: what is trained.
        objective: of frames.
        plan: the recipe's training part.
        dimensions: of the labels.
    """

    def __init__(
        self, network: FrameNetwork, objective: Concordance, plan: FrameTraining, dimensions: Sequence[str]
    ) -> None:
        super().__init__(plan)
        self.network, self.objective, self.clip_norm = network, objective, plan.clip_norm
        self.dimensions = dimensions
        self._dev: list[tuple[npt.NDArray, ...]] = []

    def configure_gradient_clipping(
        self, optimizer: Any, gradient_clip_val: Any = None, gradient_clip_algorithm: Any = None
    ) -> None:
        """Clip to the recipe's norm."""
        del gradient_clip_val, gradient_clip_algorithm
        self.clip_gradients(optimizer, gradient_clip_val=self.clip_norm, gradient_clip_algorithm="norm")

    def training_step(self, batch: FrameBatch, batch_idx: int) -> Tensor:
        """The loss of a batch."""
        del batch_idx
        predictions = self.network(batch.acoustic, batch.semantic, batch.n_frames).predictions
        loss: Tensor = self.objective(predictions, batch.labels, batch.known)
        n = int(batch.known.sum())
        self.log("train_loss", loss, on_step=False, on_epoch=True, prog_bar=True, batch_size=n)
        return loss

    def validation_step(self, timeline: Timeline, batch_idx: int) -> None:
        """Predict a dev timeline."""
        del batch_idx
        labels, known = timeline.truth(0, len(timeline), len(self.dimensions))
        self._dev.append((self.network.predict(timeline.read, len(timeline)), labels, known))

    def on_validation_epoch_end(self) -> None:
        """CCC of the dev part, over all its known frames together."""
        predicted, labels, known = (np.concatenate(parts) for parts in zip(*self._dev, strict=True))
        self._dev.clear()
        found = {
            name: concordance_cc(labels[:, k], predicted[:, k], known=known[:, k])
            for k, name in enumerate(self.dimensions)
            if known[:, k].any()
        }
        for name, value in found.items():
            self.log(f"dev_ccc_{name}", value)
        if found:
            mean = float(np.mean(list(found.values())))
            self.log("dev_loss", 1 - mean)
            self.log("dev_ccc", mean, prog_bar=True)


def train_network(
    plan: NetworkPlan,
    training: FrameTraining,
    folder: Path,
    place: tuple[int, int],
    *,
    train: Sequence[Timeline],
    dev: Sequence[Timeline],
    sequence_frames: int,
) -> None:
    """Train unless the checkpoint is there, going on from the resume state where there is one.

    Writes history.csv, and model.safetensors + continuous.json.

    Args:
        plan: the network.
        training: how to train it.
        folder: where its files go.
        place: seed and fold, which every random stream derives from.
        train: what is learnt from.
        dev: what is watched; may be empty.
        sequence_frames: of a training example.
    """
    if (folder / FILE).is_file():
        return
    torch.manual_seed(derive_seed(*place, "frames", "weights"))
    network = FrameNetwork(plan)
    if plan.front_end is not None:
        network.normalization.fit(_heard(train))
    data = PieceDataset(train, sequence_frames, len(plan.dimensions))
    batches = EpochBatches(len(data), training.batch_size, 0, 0, *place, "frames")
    objective = FRAME_OBJECTIVES.build(training.objective.name, training.objective.options)
    own = torch.Generator()  # a loader draws a number as it begins, which must not move the stream of the dropout
    fit(
        trainer(training, folder, *place, "frames"),
        FrameTrainingModule(network, objective, training, plan.dimensions),
        DataLoader(data, batch_sampler=batches, collate_fn=data.collate, generator=own),
        DataLoader(_Timelines(dev), batch_size=None, generator=own) if dev else None,
        folder / "resume" / "last.safetensors",
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


def _heard(timelines: Sequence[Timeline]) -> Any:
    """Acoustic frames of timelines, `BLOCK` in memory at a time."""
    for timeline in timelines:
        for start in range(0, len(timeline), BLOCK):
            yield timeline.read(start, min(start + BLOCK, len(timeline)))[0]
