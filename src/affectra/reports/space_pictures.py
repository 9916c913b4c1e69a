"""A space of many dimensions as points in a plane, coloured by what should and should not be separable there."""

from collections.abc import Iterator, Sequence
from functools import partial

import numpy as np
import numpy.typing as npt
import pandas as pd

from affectra.reports.figures import N_NAMED, draw_points
from affectra.reports.pages import Picture, Section
from affectra.tasks.tables import speaker_names

MIN_POINTS = 24  # fewer make no picture of a space
MAX_POINTS = 1500  # more take minutes and hide each other
PERPLEXITY = 30.0  # scikit-learn's default, less where there are few points
Array = npt.NDArray[np.floating]


def draw_space(
    title: str, name: str, rows: pd.DataFrame, vectors: Array, classes: Sequence[str], what: str
) -> Iterator[Section]:
    """A section with the same points by emotion, and by speaker and corpus where there are several.

    Args:
        title: of the section.
        name: of its files.
        rows: corpus, speaker and emotion of each vector, "" where not known.
        vectors: (row, feature).
        classes: the order of the emotions.
        what: what the points are, for readers.

    Yields:
        The section, unless there are too few points or all are the same.
    """
    kept = np.arange(len(rows))
    if len(rows) > MAX_POINTS:
        kept = np.sort(np.random.default_rng(0).choice(len(rows), MAX_POINTS, replace=False))
    places = plane_of(vectors[kept])
    if places is None:
        return
    rows = rows.iloc[kept].assign(name=speaker_names(rows))
    chosen = f"{len(kept)} of the {len(vectors)}" if len(kept) < len(vectors) else f"all {len(kept)}"
    emotions = rows["emotion"].replace("", "unknown")
    colourings = [("emotion", emotions, [one for one in [*classes, "unknown"] if one in set(emotions)])]
    for domain, column in (("speaker", "name"), ("corpus", "corpus")):
        known = rows[column].replace("", "unknown")
        if known.nunique() > 1:
            counts = known.value_counts()
            frequent = sorted(counts.index, key=lambda one: (-counts[one], one))
            colourings.append((domain, known, [*sorted(frequent[:N_NAMED]), *frequent[N_NAMED:]]))
    pictures = [
        Picture(
            f"{name}-{domain}",
            f"t-SNE of {chosen} {what} by {domain}",
            partial(draw_points, places, list(values), order, domain),
        )
        for domain, values, order in colourings
    ]
    note = (
        f"t-SNE of {chosen} {what}: near points are near for the network, far ones need not be far. Clusters by "
        "emotion are what it should make; clusters by speaker or corpus are what it should forget."
    )
    yield Section(title, note, pictures)


def plane_of(embeddings: Array) -> Array | None:
    """t-SNE: points in a plane whose neighbours are neighbours in the space (van der Maaten & Hinton 2008).

    The start is PCA and the seed fixed, so equal embeddings give an equal picture.

    Args:
        embeddings: (point, feature).

    Returns:
        (point, 2); None where there are fewer than `MIN_POINTS` or all are the same.
    """
    embeddings = np.asarray(embeddings, dtype=np.float64)
    if len(embeddings) < MIN_POINTS or embeddings.shape[1] < 2 or not np.ptp(embeddings, axis=0).any():
        return None
    from sklearn.manifold import TSNE

    perplexity = min(PERPLEXITY, len(embeddings) / 4)
    places: Array = TSNE(init="pca", perplexity=perplexity, random_state=0).fit_transform(embeddings)
    return places
