"""One fold of one seed, whatever it is learnt over: trained, resumed where it was killed, and predicted."""

import shutil
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pandas as pd
import torch

from affectra.errors import AffectraError
from affectra.files import write_json
from affectra.tasks.tables import write_predictions


@dataclass(frozen=True)
class FoldJob(ABC):
    """All that one fold of one seed needs, apart from what its unit adds; crosses to another process whole.

    Attributes:
        folder: seed-<s>/fold-<k> of the run directory.
        seed: the run's seed.
        fold: number of the fold.
        threads: of torch; part of the job since sums depend on it.
    """

    folder: Path
    seed: int
    fold: int
    threads: int

    @property
    def is_done(self) -> bool:
        """Whether the fold is finished: its predictions are written last."""
        return (self.folder / "predictions.csv").is_file()

    def run(self) -> None:
        """Train the fold and predict its test part, going on from the resume state where there is one.

        Writes split.json, then what the unit's job writes, and last predictions.csv. The labels of the test part are
        seen only after training.

        Raises:
            AffectraError: a prediction is no number.
        """
        if self.is_done:
            return
        torch.set_num_threads(self.threads)
        write_json(self.folder / "split.json", self.split())
        table = self.train_and_predict()
        for state in list(self.folder.glob("**/resume")):
            shutil.rmtree(state, ignore_errors=True)
        write_predictions(table, self.folder / "predictions.csv")

    @abstractmethod
    def split(self) -> Mapping[str, Sequence[str]]:
        """The keys of "train", "dev" and "test", and what reports and probes ask of the training part."""

    @abstractmethod
    def train_and_predict(self) -> pd.DataFrame:
        """Train, write checkpoint, embeddings and attention, and give the predictions of the test part."""

    def check_numbers(self, key: str, predicted: npt.NDArray[np.floating]) -> None:
        """Raise an `AffectraError` for predictions of an utterance that are no numbers."""
        if not np.isfinite(predicted).all():
            raise AffectraError(f"{self.folder}: the predictions of {key} are no numbers; look at its audio")
