"""Objectives by name: the loss of a batch, with the parts that training needs and prediction does not."""

from collections.abc import Mapping, Sequence
from typing import Any, Literal, get_args

import torch
from torch import Tensor, nn

from affectra.errors import ConfigError
from affectra.losses import CenterLoss, concordance_loss, coral_loss
from affectra.models.layers import ReversalSchedule, reversal_scale
from affectra.models.recognizer import Recognizer
from affectra.models.utterance.autoencoder import reconstruction_error
from affectra.models.utterance.domain import DomainHeads, domain_loss
from affectra.recipes.domains import DOMAINS
from affectra.recipes.recipe import Component
from affectra.registry import Registry, unknown_name
from affectra.training.data import UNKNOWN, Batch
from affectra.training.objective import ClassLoss, ClassWeights, Loss, Objective, Sizes

OBJECTIVES: Registry = Registry("objective")


@OBJECTIVES.register("cross-entropy")
class CrossEntropy(Objective):
    """Cross-entropy of each segment, utterance or turn against its class.

    Args:
        sizes: of the run.
        label_smoothing: see `ClassLoss`.
        class_weights: see `ClassLoss`.
        focal: see `ClassLoss`.
        auxiliary_weight: of the mean binary cross-entropy of the tasks beside the classes.
        mean: "turn", over all items of a batch; "dialogue", over each dialogue's turns and then over dialogues, as the
            released code of Dutta & Ganapathy 2022 has it.
        balanced: the same as `class_weights: balanced`.
    """

    units = ("utterance", "dialogue")

    def __init__(
        self,
        *,
        sizes: Sizes,
        label_smoothing: float = 0.0,
        class_weights: ClassWeights | None = None,
        focal: float = 0.0,
        auxiliary_weight: float = 1.0,
        mean: Literal["turn", "dialogue"] = "turn",
        balanced: bool = False,
    ) -> None:
        super().__init__()
        if mean not in ("turn", "dialogue"):
            raise ConfigError(f"objective: mean is turn or dialogue, found {mean!r}")
        if balanced and class_weights is not None:
            raise ConfigError("objective: balanced and class_weights are two ways to say one thing; give one of them")
        self.of_classes = ClassLoss(sizes, label_smoothing, "balanced" if balanced else class_weights, focal)
        self.auxiliary_weight, self.mean = auxiliary_weight, mean

    def forward(self, model: nn.Module, batch: Any, progress: float) -> Loss:
        """The loss of a batch."""
        del progress
        output = batch.through(model)
        if self.mean == "turn":
            loss = self.of_classes(output.scores, batch.targets)
        else:
            known = (
                (batch.targets != UNKNOWN).flatten(1) if batch.targets.ndim > 1 else batch.targets[:, None] != UNKNOWN
            )
            each = self.of_classes.each(output.scores, batch.targets).view_as(known)
            loss = (each.sum(1) / known.sum(1).clamp_min(1))[known.any(1)].mean()
        logits = getattr(output, "auxiliary", None)
        if logits is not None:
            known = batch.auxiliary != UNKNOWN
            each = nn.functional.binary_cross_entropy_with_logits(
                logits, batch.auxiliary.clamp_min(0).to(logits.dtype), reduction="none"
            )
            loss = loss + self.auxiliary_weight * (each * known).sum() / known.sum().clamp_min(1)
        return Loss(loss, {}, output.scores)


@OBJECTIVES.register("concordance")
class Concordance(Objective):
    """1 - CCC of each dimension over the known frames of a batch, averaged.

    Args:
        sizes: of the run.
        compat: "glam-imperial" adds the losses of the dimensions up with the weights 1, 1/2, 1/3, ... as the released
            code of Tzirakis et al. 2021 does, where a running mean was meant.
    """

    units = ("time",)

    def __init__(self, *, sizes: Sizes, compat: Literal["glam-imperial"] | None = None) -> None:
        super().__init__()
        del sizes
        self.compat = compat

    def forward(self, model: nn.Module, batch: Any, progress: float) -> Loss:
        """The loss of sequences (sequence, frame, dimension); what is not known may be anything."""
        del progress
        return Loss(self.of_frames(batch.through(model).predictions, batch.labels, batch.known), {}, None)

    def of_frames(self, predictions: Tensor, labels: Tensor, known: Tensor) -> Tensor:
        """The loss of predictions (sequence, frame, dimension)."""
        losses = torch.stack(
            [
                concordance_loss(predictions[..., k : k + 1], labels[..., k : k + 1], known[..., k])
                for k in range(labels.shape[-1])
            ]
        )
        if self.compat is None:
            return losses.mean()
        return (losses / torch.arange(1, len(losses) + 1, device=losses.device)).sum()


@OBJECTIVES.register("domain-adversarial")
class DomainAdversarial(Objective):
    """Emotion from the labelled utterances, and domains that all utterances of a batch are to lose.

    Gao et al. 2022: `(1 - center) CE + center C + weight (sum of the domains' CE)`, the domains behind a gradient
    reversal, on FC_1; center = 0.5 with the center loss C and 0 without it, weight (gamma) = 0.3.

    Args:
        sizes: of the run.
        domains: of speaker, corpus, language, gender; what the heads tell apart.
        domain_weight: gamma of the paper.
        center: share of the center loss in the emotion loss, 1 - lambda of the paper.
        center_rate: how fast a center follows its class; ours, the paper does not say.
        reversal: "constant", or the "ramp" of Ganin et al. 2016 from 0 to 1 over the training.
        conditional: whether the heads read the product of features and class probabilities (Long et al. 2018).
        standardized: whether the heads read each row of features with mean 0 and variance 1; see `DomainHeads`.
        alignment: weight of the distance between the covariances of labelled and unlabelled utterances (Sun & Saenko
            2016), where there are unlabelled ones.
        class_weights: see `ClassLoss`.
        focal: see `ClassLoss`.
    """

    uses_unlabelled = True

    def __init__(
        self,
        *,
        sizes: Sizes,
        domains: Sequence[str],
        domain_weight: float = 0.3,
        center: float = 0.0,
        center_rate: float = 0.5,
        reversal: ReversalSchedule = "constant",
        conditional: bool = False,
        standardized: bool = False,
        alignment: float = 0.0,
        class_weights: ClassWeights | None = None,
        focal: float = 0.0,
    ) -> None:
        super().__init__()
        check_domains(domains)
        if reversal not in get_args(ReversalSchedule):
            raise ConfigError(f"objective: reversal is constant or ramp, found {reversal!r}")
        if not 0 <= center < 1:
            raise ConfigError(f"objective: needs 0 <= center < 1, found {center}")
        self.domain_weight, self.center, self.reversal, self.alignment = domain_weight, center, reversal, alignment
        self.conditional = conditional
        self.of_classes = ClassLoss(sizes, class_weights=class_weights, focal=focal)
        n_given = len(sizes.classes) if conditional else 0
        self.heads = DomainHeads(sizes.n_shared, sizes.n_domains, n_given, standardized=standardized)
        self.centers = CenterLoss(len(sizes.classes), sizes.n_embedding, center_rate) if center else None

    def forward(self, recognizer: Recognizer, batch: Batch, progress: float) -> Loss:
        """The loss of a batch; domain accuracies are logged, chance is what the adversary is after."""
        output = batch.through(recognizer)
        n = len(batch.targets)
        scores = output.scores[:n]
        loss = (1 - self.center) * self.of_classes(scores, batch.targets)
        if self.centers is not None:
            loss = loss + self.center * self.centers(output.embedding[:n], batch.targets)
        shared = output.embedding if output.shared is None else output.shared
        self.heads.reversal.scale = reversal_scale(progress, self.reversal)
        guesses = self.heads(shared, output.scores.softmax(-1) if self.conditional else None)
        of_domains, accuracies = domain_loss(guesses, batch.domains)
        loss = loss + self.domain_weight * of_domains
        if self.alignment and len(shared) > n + 1:
            loss = loss + self.alignment * coral_loss(shared[:n], shared[n:])
        return Loss(loss, {f"{name}_accuracy": value for name, value in accuracies.items()}, scores)


@OBJECTIVES.register("adversarial-autoencoder")
class AdversarialAutoencoder(Objective):
    """Reconstruct segments while the latent tells emotion and not speaker and corpus (Gao et al. 2021).

    `L = L_AE + alpha (L_e + beta L_s + (1 - beta) L_c)`, L_s and L_c behind a gradient reversal of scale lambda, which
    is what the paper's `L_AE + alpha (L_e - lambda (beta L_s + (1 - beta) L_c))` is to the encoder. Without domains the
    plain autoencoder is left. Ours: the domain heads read the latent standardized; else the encoder wins by letting it
    grow without end.

    Args:
        sizes: of the run.
        domains: [speaker, corpus], or none.
        adversarial_weight: alpha; the paper does not print it.
        speaker_share: beta; the paper does not print it.
        reversal: lambda, "constant" or the "ramp" of Ganin et al. 2016; the paper does not print it.
        class_weights: see `ClassLoss`.
        focal: see `ClassLoss`.
    """

    of_segments = True
    uses_unlabelled = True

    def __init__(
        self,
        *,
        sizes: Sizes,
        domains: Sequence[str],
        adversarial_weight: float = 1.0,
        speaker_share: float = 0.5,
        reversal: ReversalSchedule = "ramp",
        class_weights: ClassWeights | None = None,
        focal: float = 0.0,
    ) -> None:
        super().__init__()
        self.of_classes = ClassLoss(sizes, class_weights=class_weights, focal=focal)
        check_domains(domains)
        self.adversarial_weight, self.reversal = adversarial_weight, reversal
        self.shares = {"speaker": speaker_share, "corpus": 1 - speaker_share}
        if set(domains) - set(self.shares):
            raise ConfigError(f"objective adversarial-autoencoder: domains are speaker and corpus, found {domains}")
        self.emotion = nn.Linear(sizes.n_embedding, len(sizes.classes)) if domains else None
        self.heads = DomainHeads(sizes.n_embedding, sizes.n_domains, standardized=True) if domains else None

    def forward(self, recognizer: Recognizer, batch: Batch, progress: float) -> Loss:
        """The loss of a batch of segments."""
        latent, of_reconstruction = _reconstruct(recognizer, batch)
        if self.emotion is None or self.heads is None:
            return Loss(of_reconstruction, {}, None)
        scores = self.emotion(latent[: len(batch.targets)])  # each labelled item is one segment
        of_emotion = self.of_classes(scores, batch.targets)
        self.heads.reversal.scale = reversal_scale(progress, self.reversal)
        loss = of_emotion
        logged: dict[str, Tensor | float] = {"reconstruction": of_reconstruction.detach()}
        for name, guess in self.heads(latent).items():
            of_domain, accuracies = domain_loss({name: guess}, batch.domains)
            loss = loss + self.shares[name] * of_domain
            logged |= {f"{name}_accuracy": value for name, value in accuracies.items()}
        return Loss(of_reconstruction + self.adversarial_weight * loss, logged, scores)


@OBJECTIVES.register("reconstruction")
class Reconstruction(Objective):
    """The autoencoder alone, without any label: stage 2 of Gao et al. 2021, where the adversary is frozen.

    Args:
        sizes: of the run.
    """

    of_segments = True
    uses_unlabelled = True

    def __init__(self, *, sizes: Sizes) -> None:
        super().__init__()
        del sizes

    def forward(self, recognizer: Recognizer, batch: Batch, progress: float) -> Loss:
        """Mean squared error of a batch of segments."""
        del progress
        return Loss(_reconstruct(recognizer, batch)[1], {}, None)


def build_objective(
    component: Component,
    recognizer: Recognizer,
    domains: Mapping[str, Mapping[str, int]],
    batch: Batch,
    counts: Sequence[int] | None = None,
) -> nn.Module:
    """An objective with parts of the sizes that a recogniser gives.

    Args:
        component: name and options.
        recognizer: whose outputs it reads.
        domains: domain -> value -> index, of the domains that it asks for.
        batch: an example or more, to see the sizes of what the network gives.
        counts: (class,), how often each class is learnt from.
    """
    recognizer.eval()
    with torch.no_grad():
        if is_of_segments(component.name):
            features = recognizer.features(batch.segments, batch.n_frames)
            n_embedding = n_shared = recognizer.network.autoencoder.encode(features, batch.n_frames).shape[1]
        else:
            output = batch.through(recognizer)
            n_embedding = output.embedding.shape[1]
            n_shared = n_embedding if output.shared is None else output.shared.shape[1]
    recognizer.train()
    n_domains = {name: len(values) for name, values in domains.items()}
    sizes = Sizes(tuple(recognizer.specification.classes), n_embedding, n_shared, n_domains, counts)
    objective: nn.Module = OBJECTIVES.build(component.name, component.options, sizes=sizes)
    return objective


def is_of_segments(objective: str) -> bool:
    """Whether the objective of this name learns from single segments; see `Objective`."""
    return bool(OBJECTIVES[objective].of_segments)


def check_classes(component: Component, classes: Sequence[str]) -> None:
    """Raise a `ConfigError` for a weight of a class that there is not."""
    weights = component.options.get("class_weights")
    for name in weights if isinstance(weights, Mapping) else ():
        if name not in classes:
            raise ConfigError(f"objective: class_weights: {unknown_name('class', name, classes)}")


def check_domains(domains: Sequence[str]) -> None:
    """Raise a `ConfigError` unless each is a domain, once."""
    for name in domains:
        if name not in DOMAINS:
            raise ConfigError(f"objective: {unknown_name('domain', name, DOMAINS)}")
    if len(set(domains)) < len(domains):
        raise ConfigError(f"objective: a domain is named twice in {list(domains)}")


def _reconstruct(recognizer: Recognizer, batch: Batch) -> tuple[Tensor, Tensor]:
    """Latent (segment, feature), and the mean over segments of the squared error over their real frames."""
    features = recognizer.features(batch.segments, batch.n_frames)
    autoencoder = recognizer.network.autoencoder
    latent = autoencoder.encode(features, batch.n_frames)
    return latent, reconstruction_error(features, autoencoder.reconstruct(latent), batch.n_frames).mean()
