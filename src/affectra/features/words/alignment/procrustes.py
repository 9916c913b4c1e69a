"""The orthogonal map between two spaces of word vectors, from pairs that are known to belong together."""

import numpy as np

from affectra.errors import ConfigError


def procrustes(source: np.ndarray, target: np.ndarray) -> np.ndarray:
    """The orthogonal W that brings each source vector nearest to its target: argmin ||X W^T - Y||_F.

    Everywhere in this package vectors are rows and a map acts on columns, y = W x, so a whole space is mapped by
    `source @ W.T`. With vectors as rows, Y^T X = U S V^T gives W = U V^T; the same data written as X^T Y gives the
    transpose, which is just as orthogonal and maps nothing to its place (Schönemann 1966; Conneau et al. 2018).

    Args:
        source: (pair, dim), X.
        target: (pair, dim), Y; row by row the partner of X.

    Returns:
        W, (dim, dim), float64, W W^T = 1. Reflections are allowed: what an axis of a space points to is arbitrary.

    Raises:
        ConfigError: shapes that differ, or values that are not finite.

    Example:
        >>> quarter_turn = np.array([[0.0, -1.0], [1.0, 0.0]])
        >>> points = np.array([[1.0, 0.0], [0.0, 2.0]])
        >>> procrustes(points, points @ quarter_turn.T).round(6) + 0.0
        array([[ 0., -1.],
               [ 1.,  0.]])
    """
    if source.shape != target.shape or source.ndim != 2 or len(source) == 0:
        raise ConfigError(
            f"procrustes: needs as many source as target vectors of one size, found {source.shape} and {target.shape}"
        )
    products = target.astype(np.float64).T @ source.astype(np.float64)
    if not np.isfinite(products).all():
        raise ConfigError("procrustes: word vectors hold NaN or infinity; remove these words")
    left, _, right = np.linalg.svd(products)
    return np.asarray(left @ right)
