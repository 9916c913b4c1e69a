"""Input that front ends take from the rows of a manifest: their recordings, or their texts."""

import math
import sys
from collections.abc import Sequence
from functools import partial
from typing import Any

import pandas as pd
from rich.console import Console
from rich.progress import Progress

from affectra.corpora.manifest import Corpus
from affectra.errors import AudioError, CorpusError
from affectra.features.extract import AudioSpan, CachedFrames, extract, extract_texts
from affectra.features.front_ends import FRONT_ENDS
from affectra.recipes.recipe import Augmentation, Component

COLUMN = {"audio": "file", "text": "text"}  # modality -> where a row says that it has it


def modality_of(front_end: Component) -> str:
    """Give the modality that a front end takes: "audio" or "text"."""
    return str(getattr(FRONT_ENDS[front_end.name], "modality", "audio"))


def with_modality(manifest: pd.DataFrame, modality: str) -> pd.DataFrame:
    """The rows that have a recording, or a text, which a corpus may lack for some and for all.

    Raises:
        AudioError: none has a recording.
        CorpusError: none has a text.
    """
    usable = manifest[COLUMN[modality]] != ""
    if not usable.any():
        name, first = manifest["corpus"].iloc[0], manifest["utterance"].iloc[0]
        if modality == "audio":
            raise AudioError(
                f"{name}: {len(manifest)} utterances have text and no audio, the first is {first}; extract the "
                "corpus's audio beside its tables, or use a recipe that needs text alone"
            )
        raise CorpusError(f"{name}: none of {len(manifest)} utterances has a text, the first is {first}")
    return manifest[usable]


def audio_spans(manifest: pd.DataFrame, corpora: Sequence[Corpus]) -> list[AudioSpan]:
    """Where the recording of each row is."""
    roots = {name: corpus.root for corpus in corpora for name in corpus.manifest["corpus"].unique()}
    return [
        AudioSpan(roots[row["corpus"]] / row["file"], _or(row["start"], 0.0), _or(row["end"], None))
        for row in manifest.to_dict("records")
    ]


def extract_rows(
    manifest: pd.DataFrame,
    corpora: Sequence[Corpus],
    front_end: Component,
    augmentation: Augmentation | None = None,
    loudness: float | None = None,
) -> list[list[CachedFrames]]:
    """Frames of each row, then those of each augmented copy of it.

    Raises:
        AffectraError: recordings that are refused.
    """
    n_copies = augmentation.copies if augmentation else 0
    modality, described = modality_of(front_end), front_end.model_dump()
    with Progress(console=Console(stderr=True), disable=not sys.stderr.isatty(), transient=True) as progress:
        task = progress.add_task(f"features of {len(manifest)} utterances", total=(1 + n_copies) * len(manifest))

        def advance(_: int) -> None:
            progress.advance(task)

        if modality == "text":
            return [extract_texts(manifest["text"].tolist(), described, advance)]
        spans = audio_spans(manifest, corpora)
        compute = partial(extract, spans, described, advance, loudness=loudness)
        return [compute(), *(compute(augmentation=augmentation, copy=k) for k in range(n_copies))]


def _or(number: float, default: float | None) -> Any:
    """A number of a manifest, or a default where it is empty."""
    return default if math.isnan(number) else number
