"""A map between two spaces of word vectors without a single known pair: a discriminator that the map must fool.

The one training loop of its own in this package: two players take turns, which no trainer has a place for.
"""

from dataclasses import dataclass
from typing import Annotated

import numpy as np
import torch
from pydantic import Field
from torch import Tensor, nn

from affectra.errors import ConfigError
from affectra.features.words.alignment.csls import N_NEIGHBOURS, translations, unit_vectors

Count = Annotated[int, Field(ge=1)]
Positive = Annotated[float, Field(gt=0)]
Share = Annotated[float, Field(ge=0, lt=1)]


@dataclass(frozen=True)
class AdversarialSettings:
    """How both players learn.

    The defaults are ours, for the vocabulary of a speech corpus, of hundreds or thousands of words; those of Conneau
    et al. 2018 for 200,000 words (MUSE) stand in the recipe tzirakis2021. Small spaces have more wrong maps that look
    good from nearby: the map takes larger steps, which lead out of them, and is kept orthogonal, which the paper's step
    is too weak for.

    Attributes:
        n_hidden: units of each of the discriminator's two layers.
        n_epochs: epochs.
        n_steps: mapping steps of an epoch.
        n_discriminator_steps: of the discriminator before each of the map's.
        batch_size: words of each space in a step.
        learning_rate: of the discriminator's SGD.
        map_learning_rate: of the map's SGD.
        longest_step: what a step of the map is cut to, Frobenius norm; None cuts nothing, and large steps then leave
            what the orthogonality step can mend.
        decay: what the map's learning rate is multiplied by after an epoch.
        shrink: and by this once the criterion is below its best for the second time and each time from then on.
        input_dropout: share of the discriminator's inputs that are dropped while it learns.
        smoothing: what the labels 1 and 0 are moved towards each other.
        n_most_frequent: words of each space that the discriminator sees; at most as many as there are.
        orthogonality: beta, how far each step draws the map towards an orthogonal one; see `orthogonalized`.
    """

    n_hidden: Count = 128
    n_epochs: Count = 20
    n_steps: Count = 100
    n_discriminator_steps: Count = 5
    batch_size: Count = 32
    learning_rate: Positive = 0.1
    map_learning_rate: Positive = 2.0
    longest_step: Positive | None = 0.5
    decay: Positive = 0.93
    shrink: Positive = 1.0
    input_dropout: Share = 0.1
    smoothing: Annotated[float, Field(ge=0, lt=0.5)] = 0.1
    n_most_frequent: Count = 75_000
    orthogonality: Share = 0.5


@dataclass(frozen=True)
class AdversarialStart:
    """Result of the adversarial training of a map.

    Attributes:
        matrix: W (dim, dim) of the best epoch, y = W x.
        criterion: of each epoch, see `selection_criterion`.
        best_epoch: from 1 on.
    """

    matrix: np.ndarray
    criterion: tuple[float, ...]
    best_epoch: int


def orthogonalized(matrix: Tensor, strength: float) -> Tensor:
    """A step towards the nearest orthogonal matrix: (1 + beta) W - beta W W^T W (Cissé et al. 2017).

    With beta 1/2 it is Newton's iteration for it, and one step from nearby all but arrives.
    """
    return (1 + strength) * matrix - strength * matrix @ (matrix.T @ matrix)


def selection_criterion(mapped: np.ndarray, target: np.ndarray, n_most: int = 10_000) -> float:
    """How good a map is, without a dictionary: mean cosine of the most frequent words and what they translate to.

    The translations are those of CSLS (Conneau et al. 2018, unsupervised model selection).

    Args:
        mapped: (source word, dim), by frequency, in the target space.
        target: (target word, dim), by frequency.
        n_most: source words that count.
    """
    mapped, target = unit_vectors(mapped[:n_most]), unit_vectors(target)
    found = translations(mapped, target, N_NEIGHBOURS)
    return float((mapped * target[found]).sum(1).mean())


class Discriminator(nn.Sequential):
    """Tells mapped source words from target words: (word, dim) -> (word,) logits, positive for source.

    Args:
        n_dimensions: of the word vectors.
        n_hidden: units of each of the two hidden layers.
        input_dropout: share of inputs dropped in training.
    """

    def __init__(self, n_dimensions: int, n_hidden: int, input_dropout: float) -> None:
        super().__init__(
            nn.Dropout(input_dropout),
            nn.Linear(n_dimensions, n_hidden),
            nn.LeakyReLU(0.2),
            nn.Linear(n_hidden, n_hidden),
            nn.LeakyReLU(0.2),
            nn.Linear(n_hidden, 1),
            nn.Flatten(0),
        )


class _Game:
    """Both players, their optimizers and the words they draw."""

    def __init__(
        self, source: Tensor, target: Tensor, initial: np.ndarray, settings: AdversarialSettings, seed: int
    ) -> None:
        self.settings = settings
        n_most = min(settings.n_most_frequent, len(source), len(target))
        self.source, self.target = source[:n_most], target[:n_most]
        self.generator = torch.Generator().manual_seed(seed)
        self.discriminator = Discriminator(source.shape[1], settings.n_hidden, settings.input_dropout)
        self.matrix = torch.tensor(initial, dtype=torch.float32, requires_grad=True)
        self.map_optimizer = torch.optim.SGD([self.matrix], settings.map_learning_rate)
        self.optimizer = torch.optim.SGD(self.discriminator.parameters(), settings.learning_rate)
        is_source = torch.arange(2 * settings.batch_size) < settings.batch_size
        self.labels = torch.where(is_source, 1 - settings.smoothing, settings.smoothing)

    def batch(self) -> Tensor:
        """Mapped source words, then target words: (2 * batch_size, dim)."""
        size = (self.settings.batch_size,)
        source = torch.randint(len(self.source), size, generator=self.generator)
        target = torch.randint(len(self.target), size, generator=self.generator)
        return torch.cat([self.source[source] @ self.matrix.T, self.target[target]])

    def discriminator_step(self) -> None:
        """The discriminator learns to tell the spaces apart."""
        self.discriminator.train()
        loss = nn.functional.binary_cross_entropy_with_logits(self.discriminator(self.batch().detach()), self.labels)
        self.optimizer.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        self.optimizer.step()

    def mapping_step(self) -> None:
        """The map learns to make both look alike, and is drawn back towards an orthogonal one."""
        self.discriminator.eval()
        loss = nn.functional.binary_cross_entropy_with_logits(self.discriminator(self.batch()), 1 - self.labels)
        self.map_optimizer.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        rate = self.map_optimizer.param_groups[0]["lr"]
        if self.settings.longest_step is not None:
            nn.utils.clip_grad_norm_([self.matrix], self.settings.longest_step / rate)
        self.map_optimizer.step()
        with torch.no_grad():
            self.matrix.copy_(orthogonalized(self.matrix, self.settings.orthogonality))


def adversarial_start(
    source: np.ndarray,
    target: np.ndarray,
    *,
    settings: AdversarialSettings | None = None,
    initial: np.ndarray | None = None,
    seed: int = 0,
) -> AdversarialStart:
    """Learn W from both spaces' shapes alone (Conneau et al. 2018); the epoch best by `selection_criterion` counts.

    L_D = -mean log P(source | W s) - mean log P(target | t); the map minimises the same with the labels exchanged.
    It succeeds or fails as a whole, and by chance of the seed: compare the criterion of several.

    Args:
        source: (source word, dim), by frequency.
        target: (target word, dim), by frequency.
        settings: how both players learn.
        initial: W (dim, dim) to begin with; None is the identity, as in the paper.
        seed: of the discriminator's weights and of the words drawn.

    Raises:
        ConfigError: spaces of different size, or a map that grew beyond all numbers in the first epoch.
    """
    settings = settings or AdversarialSettings()
    n_dimensions = source.shape[1]
    if n_dimensions != target.shape[1]:
        raise ConfigError(f"adversarial start: vectors have {n_dimensions} and {target.shape[1]} dimensions")
    scale = n_dimensions**0.5  # inputs of variance one: from unit vectors of many dimensions little is learnt
    of_source, of_target = (torch.from_numpy(unit_vectors(space) * np.float32(scale)) for space in (source, target))
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        game = _Game(of_source, of_target, np.eye(n_dimensions) if initial is None else initial, settings, seed)
        return _play(game, source, target)


def _play(game: _Game, source: np.ndarray, target: np.ndarray) -> AdversarialStart:
    settings = game.settings
    best, best_epoch, history, has_fallen = np.eye(source.shape[1]), 0, [-np.inf], False
    for epoch in range(1, settings.n_epochs + 1):
        for _ in range(settings.n_steps):
            for _ in range(settings.n_discriminator_steps):
                game.discriminator_step()
            game.mapping_step()
        matrix = game.matrix.detach().numpy().astype(np.float64)
        if not np.isfinite(matrix).all():
            break
        value = selection_criterion(source @ matrix.T, target)
        rate = game.map_optimizer.param_groups[0]
        rate["lr"] *= settings.decay
        if value > max(history):
            best, best_epoch = matrix, epoch
        else:
            rate["lr"] *= settings.shrink if has_fallen else 1.0
            has_fallen = True
        history.append(value)
    if not best_epoch:
        raise ConfigError("adversarial start: the map grew beyond all numbers; lower map_learning_rate")
    return AdversarialStart(best, tuple(history[1:]), best_epoch)


def best_adversarial_start(
    source: np.ndarray,
    target: np.ndarray,
    *,
    settings: AdversarialSettings | None = None,
    n_starts: int = 1,
    seed: int = 0,
) -> AdversarialStart:
    """The best of several adversarial starts by the criterion, which needs no dictionary either.

    Every second one begins with a reflection (ours): no small step leads from a rotation to one, and which of both the
    truth is, is as good as tossed in spaces that were learnt apart.

    Args:
        source: (source word, dim), by frequency.
        target: (target word, dim), by frequency.
        settings: how both players learn.
        n_starts: how many.
        seed: of the first; the others follow from it.
    """
    found = []
    for start in range(n_starts):
        initial = np.eye(source.shape[1])
        initial[-1, -1] = (-1) ** start
        found.append(
            adversarial_start(source, target, settings=settings, initial=initial, seed=n_starts * seed + start)
        )
    return max(found, key=lambda one: max(one.criterion))
