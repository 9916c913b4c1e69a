"""Domain heads: classifiers of speaker, corpus, language or gender whose gradient trains features to hide these."""

from collections.abc import Mapping

from torch import Tensor, nn
from torch.nn import functional

from affectra.errors import ConfigError
from affectra.models.layers import GradientReversal
from affectra.recipes.domains import DOMAINS
from affectra.registry import unknown_name

UNKNOWN = -1  # target of an utterance whose value is not known


class DomainHeads(nn.Module):
    """One linear classifier for each named domain, all behind one gradient reversal (Gao et al. 2022, Fig. 1).

    The heads learn to tell the domains apart, the features learn not to let them (Ganin & Lempitsky 2015). Add the
    loss of the heads to the task's; the reversal has its sign already.

    Args:
        n_features: of the shared features.
        n_domains: number of values of each domain; any subset of `DOMAINS`.
        conditional_on: number of classes whose probabilities condition the heads: they read the outer product of
            features and probabilities, so that classes are aligned one by one (CDAN, Long et al. 2018); 0 for none.
        standardized: whether they read each row of features with mean 0 and variance 1. The loss that features behind a
            reversal are to raise has no upper bound, and merely growing raises it; so read, growing changes nothing.

    Shape:
        - shared: (batch, n_features)
        - probabilities: (batch, conditional_on), through which no gradient flows
        - scores: (batch, values of the domain), unbounded, by domain

    Raises:
        ConfigError: no domain, an unknown one, or one without a value.

    Example:
        >>> import torch
        >>> heads = DomainHeads(8, {"corpus": 3, "gender": 2})
        >>> {name: tuple(scores.shape) for name, scores in heads(torch.zeros(5, 8)).items()}
        {'corpus': (5, 3), 'gender': (5, 2)}
    """

    def __init__(
        self, n_features: int, n_domains: Mapping[str, int], conditional_on: int = 0, *, standardized: bool = False
    ) -> None:
        super().__init__()
        if not n_domains:
            raise ConfigError(f"domain heads: none is named; expected one or more of {', '.join(DOMAINS)}")
        for name, n_values in n_domains.items():
            if name not in DOMAINS:
                raise ConfigError(f"domain heads: {unknown_name('domain', name, DOMAINS)}")
            if n_values < 1:
                raise ConfigError(
                    f"domain heads: no training utterance says its {name}; leave {name} out of "
                    "training.objective.options.domains, or fill that column of the manifest"
                )
        self.conditional_on, self.standardized = conditional_on, standardized
        self.reversal = GradientReversal()
        n_inputs = n_features * max(1, conditional_on)
        self.heads = nn.ModuleDict({name: nn.Linear(n_inputs, n_values) for name, n_values in n_domains.items()})

    def forward(self, shared: Tensor, probabilities: Tensor | None = None) -> dict[str, Tensor]:
        """Scores by domain."""
        assert (probabilities is not None) == (self.conditional_on > 0), "class probabilities: if and only if CDAN"
        features: Tensor = self.reversal(shared)
        if self.standardized:
            features = nn.functional.layer_norm(features, features.shape[1:])
        if probabilities is not None:
            features = (probabilities.detach()[:, :, None] * features[:, None]).flatten(1)
        return {name: head(features) for name, head in self.heads.items()}


def domain_loss(scores: Mapping[str, Tensor], targets: Mapping[str, Tensor]) -> tuple[Tensor, dict[str, float]]:
    """Unweighted sum over domains of their cross-entropies (Gao et al. 2022, equation 2), and their accuracies.

    Args:
        scores: (batch, value) by domain, from `DomainHeads`.
        targets: (batch,) by domain; `UNKNOWN` (-1) for an utterance that is to be ignored there.

    Returns:
        The loss, to which a domain without a known target in the batch adds 0; and the share of known targets that is
        right, of the domains that have any.

    Example:
        >>> import torch
        >>> loss, accuracies = domain_loss({"gender": torch.zeros(3, 2)}, {"gender": torch.tensor([0, 1, -1])})
        >>> round(loss.item(), 3), accuracies
        (0.693, {'gender': 0.5})
    """
    losses, accuracies = [], {}
    for name, of_domain in scores.items():
        target = targets[name]
        known = target != UNKNOWN
        # The sum over none is 0 and still reaches every parameter; a mean would be NaN.
        total = functional.cross_entropy(of_domain.float(), target, ignore_index=UNKNOWN, reduction="sum")
        losses.append(total / known.sum().clamp(min=1))
        if known.any():
            accuracies[name] = (of_domain.argmax(1) == target)[known].double().mean().item()
    return sum(losses[1:], start=losses[0]), accuracies
