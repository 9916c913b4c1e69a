"""Segments for training: cut from cached frames on the fly, shuffled by a seed of the epoch."""

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset, Sampler

from affectra.errors import CorpusError
from affectra.features.cache import load_frames
from affectra.features.normalization import GROUPED, Statistics, measure
from affectra.models.recognizer import Recognizer
from affectra.training.seeds import derive_seed


@dataclass(frozen=True)
class Example:
    """One utterance as training sees it.

    Attributes:
        key: its name in splits and predictions.
        corpus: its corpus.
        speaker: its speaker.
        target: index of its class.
        frames: file with its cached frames.
        n_frames: how many there are.
    """

    key: str
    corpus: str
    speaker: str
    target: int
    frames: Path
    n_frames: int

    def load(self) -> npt.NDArray[np.float16]:
        """The frames (frame, feature) as a memory map."""
        frames = load_frames(self.frames)
        if frames is None:
            raise CorpusError(f"{self.frames}: cached features vanished or are damaged; start again with --resume")
        return frames


def group_statistics(mode: str, *parts: Sequence[Example]) -> dict[str, Statistics]:
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
        members: dict[tuple[str, ...], list[Example]] = defaultdict(list)
        for example in part:
            members[(example.corpus, example.speaker) if mode == "speaker" else (example.corpus,)].append(example)
        for group, examples in members.items():
            if group not in measured:
                measured[group] = measure(example.load() for example in examples)
            of_key |= dict.fromkeys((example.key for example in examples), measured[group])
    return of_key


class SegmentDataset(Dataset[tuple[Tensor, int, int, int]]):
    """Segments of utterances: (frames padded, real frames, class, index of the utterance).

    Args:
        examples: utterances.
        recognizer: says how they are normalised and cut.
        train: with the training shift or the test shift.
        groups: statistics of an utterance's group by its key, for the normalisation modes that want them.
    """

    def __init__(
        self,
        examples: Sequence[Example],
        recognizer: Recognizer,
        train: bool,
        groups: Mapping[str, Statistics],
    ) -> None:
        self.examples = examples
        self.recognizer = recognizer
        self.groups = groups
        places = [(i, start) for i, e in enumerate(examples) for start in recognizer.starts(e.n_frames, train)]
        self.places = np.array(places, dtype=np.int32)

    def __len__(self) -> int:
        return len(self.places)

    def __getitem__(self, index: int) -> tuple[Tensor, int, int, int]:
        i, start = map(int, self.places[index])
        example = self.examples[i]
        frames = example.load()
        normalization = self.recognizer.normalization
        if normalization.mode == "utterance":
            segment, n = self.recognizer.segment(normalization.of_utterance(frames), start)
        else:  # convert no more than the segment
            stretch = frames[start : start + self.recognizer.segment_frames]
            values = normalization.of_utterance(stretch, self.groups.get(example.key))
            segment, n = self.recognizer.segment(values, 0)
        return torch.from_numpy(segment), n, example.target, i


class EpochShuffle(Sampler[int]):
    """A permutation that depends on the seed and the epoch alone (Lightning calls `set_epoch`)."""

    def __init__(self, n: int, *seed_parts: int | str) -> None:
        self.n, self.seed_parts, self.epoch = n, seed_parts, 0

    def set_epoch(self, epoch: int) -> None:
        """Choose the epoch, counted from 0."""
        self.epoch = epoch

    def __len__(self) -> int:
        return self.n

    def __iter__(self) -> Iterator[int]:
        seed = derive_seed(*self.seed_parts, "shuffle", self.epoch)
        return iter(np.random.default_rng(seed).permutation(self.n).tolist())


def loader(dataset: SegmentDataset, batch_size: int, shuffle: EpochShuffle | None = None) -> DataLoader:
    """Batches of segments; with a shuffle a last batch of one segment is left out, batch normalisation needs two."""
    drop = shuffle is not None and len(dataset) > batch_size and len(dataset) % batch_size == 1
    return DataLoader(dataset, batch_size=batch_size, sampler=shuffle, drop_last=drop)
