"""Batches for training: segments cut from cached frames on the fly, shuffled by a seed of the epoch."""

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn
from torch.utils.data import DataLoader, Dataset, Sampler

from affectra.errors import CorpusError
from affectra.features.cache import load_frames
from affectra.features.normalization import GROUPED, Statistics, measure
from affectra.features.specification import stack_segments
from affectra.models.layers import Output
from affectra.models.recognizer import Recognizer
from affectra.recipes.domains import domain_value
from affectra.training.seeds import derive_seed

UNKNOWN = -1  # a target or domain that nobody knows; every loss leaves it out


@dataclass(frozen=True)
class Utterance:
    """One utterance whose label is not even there: what adaptation to a target corpus may use.

    Attributes:
        key: its name in splits and predictions.
        corpus: its corpus.
        speaker: its speaker, "" if unknown.
        gender: of the speaker, "" if unknown.
        language: BCP 47, "" if unknown.
        frames: file with its cached frames.
        n_frames: how many there are.
    """

    key: str
    corpus: str
    speaker: str
    gender: str
    language: str
    frames: Path
    n_frames: int

    def load(self) -> npt.NDArray[np.float16]:
        """The frames (frame, feature) as a memory map."""
        frames = load_frames(self.frames)
        if frames is None:
            raise CorpusError(f"{self.frames}: cached features vanished or are damaged; start again with --resume")
        return frames

    def domain(self, name: str) -> str:
        """Its corpus, primary language, gender, or speaker within the corpus; "" if unknown."""
        return domain_value(name, self.corpus, getattr(self, name))


@dataclass(frozen=True)
class Example(Utterance):
    """One utterance with its label.

    Attributes:
        target: index of its class.
        auxiliary: 1 or 0 for each binary task beside the classes, `UNKNOWN` where it has none.
    """

    target: int
    auxiliary: tuple[int, ...] = field(default=())

    def unlabelled(self) -> Utterance:
        """The same without its label."""
        return Utterance(self.key, self.corpus, self.speaker, self.gender, self.language, self.frames, self.n_frames)


class Batch(NamedTuple):
    """Utterances of a step; the labelled ones come first.

    Attributes:
        segments: (segment, time, feature), those of all utterances one after the other.
        n_frames: (segment,), real frames.
        n_segments: (utterance,), how many segments each has.
        targets: (labelled utterance,), class indices.
        auxiliary: (labelled utterance, task).
        domains: name -> (utterance,) indices, `UNKNOWN` where it is not known.
        owners: (utterance,), index of the example each came from.
    """

    segments: Tensor
    n_frames: Tensor
    n_segments: Tensor
    targets: Tensor
    auxiliary: Tensor
    domains: dict[str, Tensor]
    owners: Tensor

    def through(self, model: nn.Module) -> Output:
        """The output of a recogniser for these utterances."""
        output: Output = model(self.segments, self.n_frames, self.n_segments)
        return output

    @property
    def n_items(self) -> int:
        """How many utterances there are."""
        return len(self.n_segments)


def group_statistics(mode: str, *parts: Sequence[Utterance]) -> dict[str, Statistics]:
    """Statistics of each speaker or corpus by utterance key, for the normalisation modes that want them.

    Args:
        mode: of `Normalization`.
        parts: training part first. A group that training has is measured there alone; another one where it is met, over
            all its utterances of that part, without their labels.
    """
    if mode not in GROUPED:
        return {}
    of_key: dict[str, Statistics] = {}
    measured: dict[tuple[str, ...], Statistics] = {}
    for part in parts:
        members: dict[tuple[str, ...], list[Utterance]] = defaultdict(list)
        for example in part:
            members[(example.corpus, example.speaker) if mode == "speaker" else (example.corpus,)].append(example)
        for group, examples in members.items():
            if group not in measured:
                measured[group] = measure(example.load() for example in examples)
            of_key |= dict.fromkeys((example.key for example in examples), measured[group])
    return of_key


def domain_indices(names: Sequence[str], utterances: Sequence[Utterance]) -> dict[str, dict[str, int]]:
    """Domain -> value -> index, in alphabetical order, of the values that occur and are known."""
    return {
        name: {value: i for i, value in enumerate(sorted({u.domain(name) for u in utterances} - {""}))}
        for name in names
    }


class Item(NamedTuple):
    """One utterance, or one segment of it, on its way into a `Batch`."""

    segments: list[npt.NDArray[np.float32]]
    n_frames: list[int]
    utterance: Utterance
    owner: int


class SegmentDataset(Dataset[Item]):
    """Segments one by one, or all segments of an utterance together.

    Args:
        utterances: labelled first, then those without a label.
        recognizer: says how they are normalised and cut.
        train: with the training shift or the test shift.
        groups: statistics of an utterance's group by its key, for the normalisation modes that want them.
        together: whether an item is a whole utterance.
    """

    def __init__(
        self,
        utterances: Sequence[Utterance],
        recognizer: Recognizer,
        train: bool,
        groups: Mapping[str, Statistics],
        together: bool,
    ) -> None:
        self.utterances = utterances
        self.recognizer = recognizer
        self.groups = groups
        self.places: list[tuple[int, tuple[int, ...]]] = []
        for i, utterance in enumerate(utterances):
            starts = recognizer.grid.starts(utterance.n_frames, train)
            self.places += [(i, tuple(starts))] if together else [(i, (start,)) for start in starts]

    def __len__(self) -> int:
        return len(self.places)

    def __getitem__(self, index: int) -> Item:
        i, starts = self.places[index]
        utterance, grid, normalization = self.utterances[i], self.recognizer.grid, self.recognizer.normalization
        frames = utterance.load()
        first = 0
        if normalization.mode != "utterance":  # convert no more than is needed
            first = starts[0]
            frames = frames[first : starts[-1] + grid.segment_frames]
        values = normalization.of_utterance(frames, self.groups.get(utterance.key))
        cuts = [grid.cut(values, start - first) for start in starts]
        return Item([cut for cut, _ in cuts], [n for _, n in cuts], utterance, i)


class Collate:
    """Puts items together; an utterance without a label has none to give.

    Args:
        domains: domain -> value -> index, of the domains that the objective asks for.
    """

    def __init__(self, domains: Mapping[str, Mapping[str, int]]) -> None:
        self.domains = domains

    def __call__(self, items: Sequence[Item]) -> Batch:
        """Labelled items come first, as the sampler gives them."""
        labelled = [item.utterance for item in items if isinstance(item.utterance, Example)]
        return Batch(
            segments=torch.from_numpy(stack_segments([segment for item in items for segment in item.segments])),
            n_frames=torch.tensor([n for item in items for n in item.n_frames]),
            n_segments=torch.tensor([len(item.n_frames) for item in items]),
            targets=torch.tensor([example.target for example in labelled]),
            auxiliary=torch.tensor([example.auxiliary for example in labelled]),
            domains={
                name: torch.tensor([index.get(item.utterance.domain(name), UNKNOWN) for item in items])
                for name, index in self.domains.items()
            },
            owners=torch.tensor([item.owner for item in items]),
        )


class EpochBatches(Sampler[list[int]]):
    """Batches of a permutation that depends on the seed and the epoch alone (Lightning calls `set_epoch`).

    Args:
        n: labelled items, 0 to n - 1.
        batch_size: of these a batch.
        n_unlabelled: items after them.
        unlabelled_batch_size: of these a batch; they are gone through again and again, in a new order each time.
        seed_parts: where in a run this is.
    """

    def __init__(
        self, n: int, batch_size: int, n_unlabelled: int, unlabelled_batch_size: int, *seed_parts: int | str
    ) -> None:
        self.n, self.batch_size = n, batch_size
        self.n_unlabelled, self.unlabelled_batch_size = n_unlabelled, unlabelled_batch_size if n_unlabelled else 0
        self.seed_parts, self.epoch = seed_parts, 0
        self.sampler = self  # where Lightning looks for `set_epoch`

    def set_epoch(self, epoch: int) -> None:
        """Choose the epoch, counted from 0."""
        self.epoch = epoch

    def __len__(self) -> int:
        n_full, rest = divmod(self.n, self.batch_size)
        # Batch normalisation needs two: a last batch of one is left out.
        return n_full + (rest > (1 if n_full and not self.unlabelled_batch_size else 0))

    def __iter__(self) -> Iterator[list[int]]:
        order = np.random.default_rng(derive_seed(*self.seed_parts, "shuffle", self.epoch)).permutation(self.n)
        others = self._unlabelled(len(self) * self.unlabelled_batch_size)
        for k in range(len(self)):
            labelled = order[k * self.batch_size : (k + 1) * self.batch_size].tolist()
            yield labelled + others[k * self.unlabelled_batch_size : (k + 1) * self.unlabelled_batch_size]

    def _unlabelled(self, n: int) -> list[int]:
        rng = np.random.default_rng(derive_seed(*self.seed_parts, "unlabelled", self.epoch))
        order: list[int] = []
        while len(order) < n:
            order += (self.n + rng.permutation(self.n_unlabelled)).tolist()
        return order[:n]


def training_loader(dataset: SegmentDataset, batches: EpochBatches, collate: Collate) -> DataLoader:
    """Shuffled batches."""
    # A loader draws a number as it begins; from torch's own stream, a resumed training would miss it in its dropout.
    return DataLoader(dataset, batch_sampler=batches, collate_fn=collate, generator=torch.Generator())


def test_loader(dataset: SegmentDataset, batch_size: int) -> DataLoader:
    """Batches in order."""
    return DataLoader(dataset, batch_size=batch_size, collate_fn=Collate({}), generator=torch.Generator())
