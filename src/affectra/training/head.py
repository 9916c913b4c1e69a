"""Training of a network over dialogues, on embeddings of turns that stay as they are."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
import numpy.typing as npt
import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor, nn
from torch.utils.data import DataLoader

from affectra.errors import CheckpointError, ConfigError
from affectra.files import atomic_path, read_json, write_json
from affectra.metrics import unweighted_average_recall
from affectra.models.dialogue import DIALOGUE_MODELS, DialogueOutput
from affectra.recipe import Head, TrainingPlan
from affectra.registry import Registry
from affectra.training.data import UNKNOWN, EpochBatches
from affectra.training.module import Scheduled, check_optimizer
from affectra.training.seeds import derive_seed
from affectra.training.stage import fit, trainer
from affectra.training.turns import Dialogue, DialogueDataset, TurnBatch, Vectors

FORMAT = 1
FILE = "network.json"
BATCH = 32  # dialogues, where nothing is learnt

TURN_OBJECTIVES: Registry = Registry("objective over turns")


@TURN_OBJECTIVES.register("cross-entropy")
class TurnCrossEntropy(nn.Module):
    """Cross-entropy of the turns that have a label.

    Args:
        counts: (class,), how often each class is learnt from.
        mean: "turn", over all turns of a batch; "dialogue", over each dialogue's turns and then over dialogues, as the
            released code of Dutta & Ganapathy 2022 has it.
        balanced: weigh each class by the inverse of how often it is there.
        label_smoothing: share of each target that goes to all classes alike.
    """

    def __init__(
        self,
        *,
        counts: Tensor,
        mean: Literal["turn", "dialogue"] = "turn",
        balanced: bool = False,
        label_smoothing: float = 0.0,
    ) -> None:
        super().__init__()
        if mean not in ("turn", "dialogue") or not 0 <= label_smoothing < 1:
            raise ConfigError(f"objective: mean is turn or dialogue, 0 <= label_smoothing < 1; found {mean!r} and "
                              f"{label_smoothing}")  # fmt: skip
        weights = counts.sum() / (len(counts) * counts.clamp_min(1)) if balanced else torch.ones(len(counts))
        self.register_buffer("weights", weights.float(), persistent=False)
        self.weights: Tensor
        self.mean, self.label_smoothing = mean, label_smoothing

    def forward(self, scores: Tensor, targets: Tensor) -> Tensor:
        """The loss of scores (dialogue, turn, class) against targets (dialogue, turn)."""
        known = targets != UNKNOWN
        each = nn.functional.cross_entropy(
            scores.flatten(0, 1), targets.flatten(), self.weights, ignore_index=UNKNOWN, reduction="none",
            label_smoothing=self.label_smoothing,
        ).view_as(known)  # fmt: skip
        if self.mean == "turn":
            return each.sum() / self.weights[targets[known]].sum().clamp_min(1e-12)
        of_dialogues = each.sum(1) / known.sum(1).clamp_min(1)
        return of_dialogues[known.any(1)].mean()


class HeadTraining(Scheduled):
    """A network over dialogues under its objective; the loss and UA of a dev part are those of its turns.

    Args:
        network: what is trained.
        objective: of turns.
        plan: the recipe's training part.
    """

    def __init__(self, network: nn.Module, objective: TurnCrossEntropy, plan: TrainingPlan) -> None:
        super().__init__(plan)
        self.network, self.objective = network, objective
        self._dev: list[tuple[Tensor, Tensor]] = []

    def training_step(self, batch: TurnBatch, batch_idx: int) -> Tensor:
        """The loss of a batch."""
        del batch_idx
        scores = answer(self.network, batch).scores
        loss: Tensor = self.objective(scores, batch.targets)
        known = batch.targets != UNKNOWN
        n = int(known.sum())
        self.log("train_loss", loss, on_step=False, on_epoch=True, prog_bar=True, batch_size=n)
        correct = (scores.argmax(-1) == batch.targets)[known].float().mean()
        self.log("train_accuracy", correct, on_step=False, on_epoch=True, batch_size=n)
        return loss

    def validation_step(self, batch: TurnBatch, batch_idx: int) -> None:
        """Collect the dev part's scores."""
        del batch_idx
        known = batch.targets != UNKNOWN
        self._dev.append((answer(self.network, batch).scores[known].cpu(), batch.targets[known].cpu()))

    def on_validation_epoch_end(self) -> None:
        """Turn-level loss and UA of the dev part."""
        scores, targets = (torch.cat(parts) for parts in zip(*self._dev, strict=True))
        self._dev.clear()
        self.log("dev_loss", nn.functional.cross_entropy(scores, targets))
        self.log("dev_ua", unweighted_average_recall(targets.numpy(), scores.argmax(-1).numpy()), prog_bar=True)


def answer(network: nn.Module, batch: TurnBatch) -> DialogueOutput:
    """What a network says of a batch; one of a single modality takes the turns themselves."""
    if getattr(network, "is_fusion", False):
        output: DialogueOutput = network(batch.modalities, batch.n_turns, batch.speakers, batch.present)
    else:
        output = network(batch.modalities[0], batch.n_turns, batch.speakers)
    return output


@dataclass(frozen=True)
class HeadJob:
    """All that the training of a head needs.

    Attributes:
        folder: where its checkpoint, history and resume state go.
        name: of the stage; every random stream derives from (seed, fold, name, ...).
        seed: the run's seed.
        fold: number of the fold.
        head: the network and how to train it.
        classes: in the order of the scores.
        train: dialogues to learn from.
        dev: dialogues to watch; may be empty.
        targets: class index of the turns that are learnt, and of those that are watched.
    """

    folder: Path
    name: str
    seed: int
    fold: int
    head: Head
    classes: tuple[str, ...]
    train: tuple[Dialogue, ...]
    dev: tuple[Dialogue, ...]
    targets: Mapping[str, int]


def check_head(head: Head, n_modalities: int) -> None:
    """Raise a `ConfigError` for a network or training that could not be, before any corpus is read."""
    constructor = DIALOGUE_MODELS[head.model.name]
    DIALOGUE_MODELS.check_options(head.model.name, head.model.options, also=("n_features", "n_classes"))
    if getattr(constructor, "is_fusion", False) != (n_modalities > 1):
        wanted = "several modalities" if n_modalities > 1 else "one modality"
        able = [name for name in DIALOGUE_MODELS
                if getattr(DIALOGUE_MODELS[name], "is_fusion", False) == (n_modalities > 1)]  # fmt: skip
        raise ConfigError(f"model {head.model.name!r} is not for {wanted}; choose {' or '.join(able)}")
    build_head(head, [2] * n_modalities, 2)
    check_optimizer(head.training)
    options = head.training.objective.options
    TURN_OBJECTIVES.build(head.training.objective.name, options, counts=torch.ones(2))
    if head.training.unlabelled_batch_size or head.training.freeze:
        raise ConfigError("training: a network over dialogues takes no unlabelled_batch_size and no freeze")


def build_head(head: Head, sizes: Sequence[int], n_classes: int) -> nn.Module:
    """The network for modalities of these sizes."""
    n_features = list(sizes) if getattr(DIALOGUE_MODELS[head.model.name], "is_fusion", False) else sizes[0]
    network: nn.Module = DIALOGUE_MODELS.build(
        head.model.name, head.model.options, n_features=n_features, n_classes=n_classes
    )
    return network


def train_head(job: HeadJob, vectors: Sequence[Vectors], sizes: Sequence[int]) -> None:
    """Train unless the checkpoint is there, going on from the resume state where there is one.

    Writes history.csv, and model.safetensors + network.json.
    """
    if (job.folder / FILE).is_file():
        return
    torch.manual_seed(derive_seed(job.seed, job.fold, job.name, "weights"))
    network = build_head(job.head, sizes, len(job.classes))
    data = DialogueDataset(job.train, vectors, sizes, job.targets)
    dev = DialogueDataset(job.dev, vectors, sizes, job.targets)
    learnt = [job.targets[key] for dialogue in job.train for key in dialogue.keys if key in job.targets]
    plan = job.head.training
    objective = TURN_OBJECTIVES.build(
        plan.objective.name,
        plan.objective.options,
        counts=torch.from_numpy(np.bincount(learnt, minlength=len(job.classes))),
    )
    batches = EpochBatches(len(data), plan.batch_size, 0, 0, job.seed, job.fold, job.name)
    fit(
        trainer(plan, job.folder, job.seed, job.fold, job.name),
        HeadTraining(network, objective, plan),
        DataLoader(data, batch_sampler=batches, collate_fn=data.collate),
        DataLoader(dev, batch_size=BATCH, collate_fn=dev.collate) if job.dev else None,
        job.folder / "resume" / "last.safetensors",
    )
    save_head(network.eval(), job.head, sizes, job.classes, job.folder)


def save_head(network: nn.Module, head: Head, sizes: Sequence[int], classes: Sequence[str], folder: Path) -> None:
    """Write model.safetensors and network.json (last, so that a folder with it is whole)."""
    with atomic_path(folder / "model.safetensors") as temporary:
        save_file({name: tensor.contiguous().cpu() for name, tensor in network.state_dict().items()}, temporary)
    described = {"model": head.model.model_dump(), "n_features": list(sizes), "classes": list(classes)}
    write_json(folder / FILE, {"format": FORMAT, **described})


def load_head(folder: Path) -> nn.Module:
    """Rebuild a network over dialogues, in evaluation mode.

    Raises:
        CheckpointError: a file is missing or damaged, or does not fit the other.
    """
    try:
        content = read_json(folder / FILE)
        if content["format"] != FORMAT:
            raise CheckpointError(f"{folder / FILE}: written by another version of Affectra")
        name, options = content["model"]["name"], content["model"]["options"]
        sizes = content["n_features"]
        fusion = getattr(DIALOGUE_MODELS[name], "is_fusion", False)
        network: nn.Module = DIALOGUE_MODELS.build(
            name, options, n_features=sizes if fusion else sizes[0], n_classes=len(content["classes"])
        )
        network.load_state_dict(load_file(folder / "model.safetensors"))
    except (OSError, ValueError, KeyError, TypeError, SafetensorError, RuntimeError, ConfigError) as error:
        reason = (str(error) or type(error).__name__).splitlines()[0]
        raise CheckpointError(f"{folder}: damaged or not a network over dialogues: {reason}") from error
    return network.eval()


@torch.inference_mode()
def apply_head(
    network: nn.Module, dialogues: Sequence[Dialogue], vectors: Sequence[Vectors], sizes: Sequence[int]
) -> tuple[dict[str, npt.NDArray[np.float64]], dict[str, npt.NDArray[np.float32]]]:
    """Probabilities (class,) and embedding (feature,) of every turn of dialogues, by key."""
    data = DialogueDataset(dialogues, vectors, sizes, {})
    probabilities: dict[str, npt.NDArray[np.float64]] = {}
    embeddings: dict[str, npt.NDArray[np.float32]] = {}
    for first in range(0, len(dialogues), BATCH):
        part = dialogues[first : first + BATCH]
        output = answer(network, data.collate(part))
        for i, dialogue in enumerate(part):
            n = len(dialogue.keys)
            rows = output.scores[i, :n].double().softmax(-1).numpy()
            probabilities.update(zip(dialogue.keys, rows, strict=True))
            embeddings.update(zip(dialogue.keys, output.embedding[i, :n].float().numpy(), strict=True))
    return probabilities, embeddings
