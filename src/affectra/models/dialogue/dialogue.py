"""Output, names, masks and speakers that networks over the turns of a dialogue share."""

from typing import NamedTuple

import torch
from torch import Tensor

from affectra.errors import ConfigError
from affectra.models.utterance.sequence import segment_mask
from affectra.registry import Registry

# Constructors (n_features, n_classes, *, options): n_features is a number, or with the class attribute `is_fusion` one
# for each modality. forward(turns, n_turns, speakers) -> DialogueOutput; a fusion takes a sequence of turns.
DIALOGUE_MODELS: Registry = Registry("dialogue model")
N_SPEAKERS = 8  # kept apart in a dialogue, ours; one of the 1,152 dialogues of MELD (train, dev) has more


class DialogueOutput(NamedTuple):
    """Output of a network for a batch of dialogues; values at padding have no meaning.

    Attributes:
        scores: (dialogue, turn, class), unbounded; softmax gives probabilities.
        embedding: (dialogue, turn, feature), what the scores were read from.
    """

    scores: Tensor
    embedding: Tensor


def check_features(label: str, n_features: int, turns: Tensor) -> None:
    """Raise a `ConfigError` unless turns (dialogue, turn, feature) have as many features as a network was built for.

    Stages are built one after the other, each on what the one before gives; a size of another run is met here by name.

    Args:
        label: whose turns, for the message: the network, and the modality where it has several.
        n_features: what it was built for.
        turns: what it is given.
    """
    if turns.ndim != 3:
        raise ConfigError(f"{label}: expects turns (dialogue, turn, feature), found {tuple(turns.shape)}")
    if turns.shape[2] != n_features:
        raise ConfigError(
            f"{label}: built for {n_features} features a turn, found {turns.shape[2]}; use the embeddings of the stage "
            "it was trained on, or train it anew on these"
        )


def key_mask(n_turns: Tensor, n_padded: int, causal: bool) -> Tensor:
    """Which turns a turn may look at: (dialogue, 1 or turn, turn), False for padding and, if causal, for later turns.

    Args:
        n_turns: (dialogue,), real turns of each, at least 1; so every row has at least the first turn.
        n_padded: turns of the longest.
        causal: only the turn itself and those before.

    Example:
        >>> key_mask(torch.tensor([2]), 3, causal=True)[0].int()
        tensor([[1, 0, 0],
                [1, 1, 0],
                [1, 1, 0]], dtype=torch.int32)
    """
    real = segment_mask(n_turns, n_padded)[:, None]
    if not causal:
        return real
    return real & torch.ones(n_padded, n_padded, dtype=torch.bool, device=n_turns.device).tril()


def speaker_indices(speakers: Tensor) -> Tensor:
    """Speakers (dialogue, turn) renamed by the order in which they first speak: 0, 1, ..., at most `N_SPEAKERS` - 1.

    What they are called does not matter, nor what is spoken later, so this suits live use too.

    Example:
        >>> speaker_indices(torch.tensor([[7, 3, 7, 5, 3]]))
        tensor([[0, 1, 0, 2, 1]])
    """
    first = (speakers[:, :, None] == speakers[:, None]).int().argmax(2)  # the turn in which each turn's speaker begins
    begins = first == torch.arange(speakers.shape[1], device=speakers.device)
    return (begins.cumsum(1) - 1).gather(1, first).clamp_max(N_SPEAKERS - 1)


def required_speakers(label: str, speakers: Tensor | None) -> Tensor:
    """The indices of speakers, for a network that was built to use them; without any a `ConfigError`."""
    if speakers is None:
        raise ConfigError(f"{label}: built with speaker_embedding, so it needs the speaker of each turn; found none")
    return speaker_indices(speakers)
