"""Dialogues for training: their turns' embeddings and the classes that are learnt."""

from collections.abc import Mapping, Sequence

from torch.utils.data import Dataset

from affectra.models.turns import Dialogue, TurnBatch, Vectors, batch_of


class DialogueDataset(Dataset[Dialogue]):
    """Dialogues with the embeddings of their turns.

    Args:
        dialogues: what is heard.
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
