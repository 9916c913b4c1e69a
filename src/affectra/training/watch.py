"""How good a model is on the dev part after each epoch, for the learning curves and the choice of an epoch."""

from collections.abc import Sequence
from typing import Any, Protocol

import numpy as np
import torch
from torch import Tensor, nn

from affectra.features.segments import pool_segments
from affectra.metrics import concordance_cc, unweighted_average_recall
from affectra.training.data import UNKNOWN, Batch


class Watch(Protocol):
    """Collects a dev part batch by batch, then scores it."""

    score: str  # the one by which an epoch is chosen, higher is better

    def add(self, model: nn.Module, batch: Any) -> None:
        """Predict a batch and keep what is needed of it."""

    def scores(self) -> dict[str, float]:
        """The scores of all batches since the last call, by their column of history.csv; `score` if it is defined."""


class UtteranceWatch:
    """Loss and UA of utterances, their segments pooled."""

    score = "dev_ua"

    def __init__(self) -> None:
        self._found: list[tuple[Tensor, Tensor, Tensor]] = []

    def add(self, model: nn.Module, batch: Batch) -> None:
        """Keep the probabilities of segments."""
        probabilities = batch.through(model).scores.softmax(-1)
        self._found.append((probabilities.cpu(), batch.targets.cpu(), batch.owners.cpu()))

    def scores(self) -> dict[str, float]:
        """`dev_loss` and `dev_ua`."""
        probabilities, targets, owners = (torch.cat(parts) for parts in zip(*self._found, strict=True))
        self._found.clear()
        pooled = torch.from_numpy(pool_segments(probabilities.float().numpy(), owners.numpy()))
        truth = torch.zeros(len(pooled), dtype=torch.long).scatter_(0, owners.long(), targets.long())
        loss = nn.functional.nll_loss(pooled.clamp_min(1e-12).log(), truth)
        return {"dev_loss": float(loss), "dev_ua": unweighted_average_recall(truth.numpy(), pooled.argmax(-1).numpy())}


class TurnWatch:
    """Loss and UA of the turns that have a class."""

    score = "dev_ua"

    def __init__(self) -> None:
        self._found: list[tuple[Tensor, Tensor]] = []

    def add(self, model: nn.Module, batch: Any) -> None:
        """Keep the scores of turns."""
        known = batch.targets != UNKNOWN
        self._found.append((batch.through(model).scores[known].cpu(), batch.targets[known].cpu()))

    def scores(self) -> dict[str, float]:
        """`dev_loss` and `dev_ua`."""
        scores, targets = (torch.cat(parts) for parts in zip(*self._found, strict=True))
        self._found.clear()
        loss = nn.functional.cross_entropy(scores, targets)
        ua = unweighted_average_recall(targets.numpy(), scores.argmax(-1).numpy())
        return {"dev_loss": float(loss), "dev_ua": ua}


class FrameWatch:
    """CCC of each dimension over all known frames of the dev part together.

    Args:
        dimensions: of the labels.
    """

    score = "dev_ccc"

    def __init__(self, dimensions: Sequence[str]) -> None:
        self.dimensions = dimensions
        self._found: list[tuple[np.ndarray, ...]] = []

    def add(self, model: nn.Module, batch: Any) -> None:
        """Predict a timeline, piece by piece however long it is."""
        labels, known = batch.truth(0, len(batch), len(self.dimensions))
        self._found.append((model.predict(batch.read, len(batch)), labels, known))  # type: ignore[operator]

    def scores(self) -> dict[str, float]:
        """`dev_ccc_<dimension>`, their mean `dev_ccc`, and `dev_loss`; of dimensions that are known somewhere."""
        predicted, labels, known = (np.concatenate(parts) for parts in zip(*self._found, strict=True))
        self._found.clear()
        found = {
            f"dev_ccc_{name}": concordance_cc(labels[:, k], predicted[:, k], known=known[:, k])
            for k, name in enumerate(self.dimensions)
            if known[:, k].any()
        }
        mean = float(np.mean(list(found.values()))) if found else None
        return found if mean is None else {**found, "dev_loss": 1 - mean, "dev_ccc": mean}
