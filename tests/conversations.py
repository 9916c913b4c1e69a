"""Conversations to test with, and untrained models of them."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import soundfile
import torch

from affectra.features.specification import Specification
from affectra.models.dialogue.dialogue_checkpoint import build_head, save_head
from affectra.models.dialogue.dialogue_folds import write_dialogue
from affectra.models.recognizer import Recognizer, save_checkpoint
from affectra.predict.conversation import Conversation, Turn, TurnPrediction, Words
from affectra.recipes.config import load_recipe
from affectra.recipes.recipe import DialogueRecipe, Head

WORDS = {"name": "hashed-words", "options": {"n_dimensions": 8, "n_buckets": 64}}


MEL = {"name": "log-mel", "options": {}}


SEGMENTS = {"length_s": 4.0, "frames": None, "train_shift_s": 2.0, "test_shift_s": 2.0}


CLASSES = ("anger", "sadness")


SILENT = Words("", None, "no recogniser")


def untrained(folder: Path, *modalities: str, causal: bool = False, context: bool = True) -> Path:
    """A fold whose weights are those it begins with: what is tested with it does not depend on what it knows."""
    torch.manual_seed(0)
    recipe = load_recipe("dutta2022-cpu").recipe
    assert isinstance(recipe, DialogueRecipe) and recipe.context is not None and recipe.fusion is not None
    for name in modalities:
        part = recipe.modalities[name]
        specification = Specification(
            # More alive before training than the recipe's CNN.
            model=recipe.modalities["text"].model.model_dump(), front_end=WORDS if name == "text" else MEL,
            segments=part.segments.model_dump() if name == "text" else SEGMENTS, normalization="none",
            task="emotion", classes=CLASSES, synthetic=True,
        )  # fmt: skip
        save_checkpoint(Recognizer(specification).eval(), folder / name)
    size = 100
    if context:
        head = with_options(recipe.context, n_hidden=8, causal=causal)
        for name in modalities:
            network = build_head(head, [size], len(CLASSES))
            save_head(network, head, [size], CLASSES, folder / f"{name}-context")
        size = 8 if causal else 16
    if len(modalities) > 1:
        head = with_options(recipe.fusion, causal=causal)
        save_head(build_head(head, [size] * 2, len(CLASSES)), head, [size] * 2, CLASSES, folder / "fusion")
    description = {
        "task": "emotion", "synthetic": True, "provenance": {"recipe": "untrained"}, "classes": list(CLASSES),
        "modalities": list(modalities), "context": context, "fusion": len(modalities) > 1,
    }  # fmt: skip
    write_dialogue(description, folder)
    return folder


def with_options(head: Head, **options: Any) -> Head:
    model = head.model.model_copy(update={"options": {**head.model.options, **options}})
    return head.model_copy(update={"model": model})


def scores(predictions: Sequence[TurnPrediction]) -> np.ndarray:
    return np.array([[*found.prediction.scores.values()] for found in predictions])


def talk(folder: Path, durations_s: Sequence[float] = (1.0, 1.5, 0.8, 1.2)) -> list[Path]:
    """Recordings of a conversation: each a tone of its own in noise."""
    rng = np.random.default_rng(1)
    files = []
    for k, duration_s in enumerate(durations_s):
        time_s = np.arange(round(16_000 * duration_s)) / 16_000
        tone = 0.3 * np.sin(2 * np.pi * (200 + 150 * k) * time_s) + 0.01 * rng.standard_normal(len(time_s))
        files.append(folder / f"turn{k}.wav")
        soundfile.write(files[-1], tone, 16_000, subtype="FLOAT")
    return files


def turns_of(files: Sequence[Path], texts: Sequence[str] = ("a", "b c", "d", "e f")) -> Conversation:
    return Conversation("", tuple(Turn(k, file, speaker="AB"[k % 2], text=text)
                                  for k, (file, text) in enumerate(zip(files, texts, strict=False))))  # fmt: skip
