"""Dialogues for training: their turns' embeddings, the classes that are learnt, and which of them share a batch."""

from collections.abc import Iterator, Mapping, Sequence

import numpy as np
from torch.utils.data import Dataset, Sampler

from affectra.models.dialogue.turns import Dialogue, TurnBatch, Vectors, batch_of
from affectra.training.seeds import derive_seed

POOL = 8  # batches that are sorted by length together; ours, more pad less and mix less


class DialogueDataset(Dataset[Dialogue]):
    """Dialogues with the embeddings of their turns.

    Args:
        dialogues: with their turns.
        vectors: of each modality.
        sizes: features of each modality.
        targets: class index of the turns that are learnt or scored.
    """

    def __init__(
        self,
        dialogues: Sequence[Dialogue],
        vectors: Sequence[Vectors],
        sizes: Sequence[int],
        targets: Mapping[str, int],
    ) -> None:
        self.dialogues, self.vectors, self.sizes, self.targets = dialogues, vectors, sizes, targets

    def __len__(self) -> int:
        return len(self.dialogues)

    def __getitem__(self, index: int) -> Dialogue:
        return self.dialogues[index]

    def collate(self, dialogues: Sequence[Dialogue]) -> TurnBatch:
        """Put dialogues together."""
        return batch_of(dialogues, self.vectors, self.sizes, self.targets)


class DialogueBatches(Sampler[list[int]]):
    """Batches of dialogues of similar length, in an order that depends on the seed and the epoch alone.

    All dialogues are shuffled, those of `POOL` batches at a time are sorted by length and cut into batches, and the
    batches are shuffled: so little is padded, and who shares a batch with whom changes from epoch to epoch. Lightning
    calls `set_epoch`, and a resumed training draws what an uninterrupted one would.

    Args:
        lengths: turns of each dialogue.
        batch_size: dialogues a batch; the last one may be smaller.
        seed_parts: where in a run this is.
    """

    def __init__(self, lengths: Sequence[int], batch_size: int, *seed_parts: int | str) -> None:
        self.lengths, self.batch_size = np.asarray(lengths), batch_size
        self.seed_parts, self.epoch = seed_parts, 0
        self.sampler = self  # where Lightning looks for `set_epoch`

    def set_epoch(self, epoch: int) -> None:
        """Choose the epoch, counted from 0."""
        self.epoch = epoch

    def __len__(self) -> int:
        return -(-len(self.lengths) // self.batch_size)

    def __iter__(self) -> Iterator[list[int]]:
        rng = np.random.default_rng(derive_seed(*self.seed_parts, "shuffle", self.epoch))
        order = rng.permutation(len(self.lengths))
        n_pooled = POOL * self.batch_size
        pools = [order[first : first + n_pooled] for first in range(0, len(order), n_pooled)]
        alike = np.concatenate([pool[np.argsort(self.lengths[pool], kind="stable")] for pool in pools])
        for k in rng.permutation(len(self)):
            yield alike[k * self.batch_size : (k + 1) * self.batch_size].tolist()
