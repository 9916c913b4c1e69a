"""Embeddings of a run read back, fold by fold, with who spoke and what."""

from collections.abc import Iterator, Mapping
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pandas as pd
from safetensors.numpy import load_file

from affectra.errors import CheckpointError
from affectra.files import read_json
from affectra.tasks.tables import read_predictions


def read_spaces(folder: str | Path) -> Iterator[tuple[pd.DataFrame, npt.NDArray[np.float32]]]:
    """The embeddings of each finished fold, which have a space of their own and are never to be mixed with others.

    Args:
        folder: a run directory.

    Yields:
        One row an utterance: part ("train" or "test"), corpus, speaker, gender, language and emotion (its class), ""
        where not known; and (utterance, feature), rows as before. A fold without training embeddings has its test part.

    Raises:
        CheckpointError: no finished fold, or embeddings that do not fit their utterances.
    """
    folder = Path(folder)
    done = [path.parent for path in folder.glob("seed-*/fold-*/predictions.csv")]
    if not done:
        raise CheckpointError(f"{folder}: no finished fold; expected seed-<s>/fold-<k>/predictions.csv")
    people = read_json(folder / "environment.json").get("people", {})
    tested = {
        fold: read_predictions(fold / "predictions.csv").rename(columns={"truth": "emotion"})
        for fold in sorted(done, key=_number)
    }
    known = ["corpus", "speaker", "emotion"]
    who = pd.concat(tested.values()).drop_duplicates("utterance").set_index("utterance")[known]
    for fold, predictions in tested.items():
        arrays = load_file(fold / "embeddings.safetensors")
        table = predictions[known].assign(part="test")
        if "train_embedding" in arrays:
            table = pd.concat([_trained(fold, who).assign(part="train"), table], ignore_index=True)
        embeddings = np.concatenate([arrays[name] for name in ("train_embedding", "embedding") if name in arrays])
        if len(embeddings) != len(table):
            raise CheckpointError(
                f"{fold}: {len(embeddings)} embeddings of {len(table)} utterances in split.json and predictions.csv"
            )
        if not np.isfinite(embeddings).all():
            raise CheckpointError(f"{fold}/embeddings.safetensors: holds values that are no numbers; train it again")
        yield _with_people(table, people), embeddings


def _number(fold: Path) -> tuple[int, ...]:
    return tuple(int(name.partition("-")[2]) for name in fold.parts[-2:])


def _trained(fold: Path, who: pd.DataFrame) -> pd.DataFrame:
    """Corpus, speaker and emotion of training utterances; what split.json does not say, as far as other folds do."""
    split = read_json(fold / "split.json")
    trained = who.reindex(split["train"]).fillna("").reset_index(drop=True)
    if "train_speakers" in split:
        trained[["corpus", "speaker"]] = [name.split("/", 1) for name in split["train_speakers"]]
    if "train_truth" in split:
        trained["emotion"] = split["train_truth"]
    return trained


def _with_people(table: pd.DataFrame, people: Mapping[str, Mapping[str, str]]) -> pd.DataFrame:
    known = [people.get(f"{c}/{s}", {}) for c, s in zip(table["corpus"], table["speaker"], strict=True)]
    return table.assign(**{domain: [person.get(domain) or "" for person in known] for domain in ("gender", "language")})
