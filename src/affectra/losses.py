"""Losses beyond cross-entropy: center loss, concordance, and distances between two sets of features."""

import torch
from torch import Tensor, nn
from torch.nn import functional

KERNEL_WIDTHS = (0.25, 0.5, 1.0, 2.0, 4.0)  # times the median squared distance; ours, as in Long et al. 2015


class CenterLoss(nn.Module):
    """Pull the features of a class together: the squared distance to the center of their class.

    loss = 1/M sum_i ||x_i - c_{y_i}||^2 over the M examples of a batch (Gao et al. 2022, equation 4; Wen et al. 2016
    take half the sum instead). There is no 1/2, so a weight of Wen's does not carry over.

    Centers are no parameters: no gradient reaches them and no optimizer moves them. After the loss of a training batch
    each follows the features of its class by Wen's rule,

        c_j <- c_j - rate * sum_{i: y_i = j} (c_j - x_i) / (1 + n_j),

    whose 1 in the denominator keeps a class with few examples from jumping; one without any stays where it is. They
    begin at zero (ours: the paper does not say), which a few batches forget.

    Args:
        n_classes: number of centers.
        n_features: of an example.
        rate: how far centers move, in (0, 1] (alpha in Wen et al. 2016, whose value is the default).

    Shape:
        - features: (batch, n_features)
        - targets: (batch,), classes as integers
        - loss: ()

    Example:
        >>> loss = CenterLoss(n_classes=2, n_features=1)
        >>> loss(torch.tensor([[2.0], [4.0]]), torch.tensor([1, 1]))
        tensor(10.)
        >>> loss.centers.flatten()
        tensor([0., 1.])
    """

    centers: Tensor  # (class, feature)

    def __init__(self, n_classes: int, n_features: int, rate: float = 0.5) -> None:
        super().__init__()
        self.rate = rate
        self.register_buffer("centers", torch.zeros(n_classes, n_features))

    def forward(self, features: Tensor, targets: Tensor) -> Tensor:
        """Loss against the centers as they stand; in training mode they move afterwards."""
        features = features.float()  # under mixed precision too: centers add up small steps
        loss = (features - self.centers[targets]).square().sum(1).mean()
        if self.training:
            self._follow(features.detach(), targets)
        return loss

    @torch.no_grad()
    def _follow(self, features: Tensor, targets: Tensor) -> None:
        # A product with one-hot rows, since scattered additions are not deterministic on a GPU.
        members = functional.one_hot(targets, len(self.centers)).to(features.dtype)  # (batch, class)
        counts = members.sum(0)[:, None]
        self.centers -= self.rate * (counts * self.centers - members.T @ features) / (1 + counts)


def concordance_loss(prediction: Tensor, truth: Tensor, mask: Tensor | None = None) -> Tensor:
    """1 - CCC, averaged over dimensions with equal weight.

    CCC = 2 cov(x, y) / (var x + var y + (mean x - mean y)^2) (Lin 1989), with biased (1/N) moments over all valid
    frames of the batch together, as an evaluation over concatenated recordings has it. Where nothing varies there is
    nothing to agree on: a constant prediction, a constant truth and a batch without valid frames give 1, never NaN.

    Args:
        prediction: (batch, time, dimension).
        truth: (batch, time, dimension); its padding may hold anything, NaN too.
        mask: (batch, time), true or 1 for a frame and false or 0 for padding; default: all are frames.

    Returns:
        (), from 0 (equal) to 2 (opposed).

    Example:
        >>> truth = torch.tensor([[[0.0], [1.0], [2.0]]])
        >>> concordance_loss(truth, truth), concordance_loss(torch.zeros(1, 3, 1), truth)
        (tensor(0.), tensor(1.))
    """
    valid = torch.ones(truth.shape[:2], device=truth.device) if mask is None else mask
    valid = valid.bool()[..., None]  # (batch, time, 1)
    count = valid.sum().clamp(min=1)

    def mean(values: Tensor) -> Tensor:  # (dimension,)
        return values.sum((0, 1)) / count

    x, y = (torch.where(valid, values.float(), 0.0) for values in (prediction, truth))
    mean_x, mean_y = mean(x), mean(y)
    centred_x, centred_y = (torch.where(valid, values - m, 0.0) for values, m in ((x, mean_x), (y, mean_y)))
    spread = mean(centred_x.square()) + mean(centred_y.square()) + (mean_x - mean_y).square()
    # Equal constants leave 0 / 0, or what rounding makes of it.
    rounding = (10 * torch.finfo(x.dtype).eps) ** 2 * (mean(x.square()) + mean(y.square())).detach()
    varies = spread > rounding
    concordance = 2 * mean(centred_x * centred_y) / torch.where(varies, spread, 1.0)
    return (1 - torch.where(varies, concordance, 0.0)).mean()


def coral_loss(source: Tensor, target: Tensor) -> Tensor:
    """How far apart two sets of features are in their second moments (Sun & Saenko 2016, Deep CORAL).

    ||C_s - C_t||^2 / (4 d^2) of the unbiased covariances over d features; means do not matter. A set of fewer than two
    examples has no covariance, and the loss is 0.

    Args:
        source: (batch, feature).
        target: (batch, feature); as many features, any number of examples.

    Returns:
        (), at least 0.
    """
    if min(len(source), len(target)) < 2:
        return (source.sum() + target.sum()) * 0.0
    difference = torch.cov(source.float().T) - torch.cov(target.float().T)
    return difference.square().sum() / (4 * source.shape[1] ** 2)


def mmd_loss(source: Tensor, target: Tensor) -> Tensor:
    """How far apart two sets of features are in distribution: squared maximum mean discrepancy (Gretton et al. 2012).

    mean k(s, s') + mean k(t, t') - 2 mean k(s, t), over all pairs including an example with itself, so it is never
    below 0. k is the mean of Gaussians exp(-||a - b||^2 / w); the widths w are `KERNEL_WIDTHS` times the median of the
    squared distances between the examples of both sets, through which no gradient flows.

    Args:
        source: (batch, feature).
        target: (batch, feature); as many features, any number of examples.

    Returns:
        (), from 0 to 2.
    """
    if min(len(source), len(target)) == 0:
        return (source.sum() + target.sum()) * 0.0
    both = torch.cat([source, target]).float()
    both = both - both.mean(0).detach()  # distances stay; large means would cost digits below
    lengths = both.square().sum(1)
    distances = (lengths[:, None] + lengths - 2 * both @ both.T).clamp(min=0)  # (example, example), squared
    pairs = torch.triu_indices(len(both), len(both), offset=1, device=both.device)
    median = distances.detach()[pairs[0], pairs[1]].median().clamp(min=torch.finfo(both.dtype).tiny)
    kernel = torch.stack([torch.exp(-distances / (width * median)) for width in KERNEL_WIDTHS]).mean(0)
    n = len(source)
    return kernel[:n, :n].mean() + kernel[n:, n:].mean() - 2 * kernel[:n, n:].mean()
