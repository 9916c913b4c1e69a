"""The space that pre-training made: where its autoencoder puts the utterances it learnt from."""

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from safetensors.numpy import save_file

from affectra.features.normalization import Statistics
from affectra.features.segments import pool_segments
from affectra.files import atomic_path
from affectra.models.recognizer import load_checkpoint
from affectra.training.data import UNKNOWN, Example, SegmentDataset, test_loader

TABLE = "latent.csv"  # written last
BATCH = 32  # utterances


def has_latent(folder: Path) -> bool:
    """Whether `write_latent` has been there."""
    return (folder / TABLE).is_file()


@torch.inference_mode()
def write_latent(folder: Path, examples: Sequence[Example], groups: Mapping[str, Statistics]) -> None:
    """Write latent.safetensors, `latent` (utterance, feature), the mean over segments, and whose rows they are.

    Args:
        folder: of a checkpoint whose network has an `autoencoder`.
        examples: the utterances.
        groups: statistics by utterance, for the normalisation modes that want them.
    """
    recognizer = load_checkpoint(folder)
    if torch.cuda.is_available():
        recognizer.cuda()
    device = next(recognizer.parameters()).device
    found, owners = [], []
    for batch in test_loader(SegmentDataset(examples, recognizer, False, groups, True), BATCH):
        n_frames = batch.n_frames.to(device)
        features = recognizer.features(batch.segments.to(device), n_frames)
        found.append(recognizer.network.autoencoder.encode(features, n_frames).float().cpu().numpy())
        owners.append(batch.owners.repeat_interleave(batch.n_segments).numpy())
    latent = pool_segments(np.concatenate(found), np.concatenate(owners)).astype(np.float32)
    classes = recognizer.specification.classes
    rows = [
        {
            "utterance": example.key,
            "corpus": example.corpus,
            "speaker": example.speaker,
            "emotion": "" if example.target == UNKNOWN else classes[example.target],
        }
        for example in examples
    ]
    with atomic_path(folder / "latent.safetensors") as temporary:
        save_file({"latent": latent}, temporary)
    with atomic_path(folder / TABLE) as temporary:
        pd.DataFrame(rows).to_csv(temporary, index=False, lineterminator="\n")
