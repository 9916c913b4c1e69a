"""Usual values: what a recipe means where it leaves something out that depends on its other parts.

Names of front ends and models are written down here, since what they construct is in rooms above; a front end that is
not named here has frames of its own making, which are cut into segments and normalised by nobody.
"""

from collections.abc import Callable, Mapping
from typing import Any

VECTORS = ("functionals", "voice-statistics", "utterance-views")  # one vector an utterance: no segments
TEXTS = ("hashed-words", "word-vectors", "transformer-text")
NORMALIZED = ("log-mel", "mfcc", *VECTORS)  # on scales that differ from feature to feature
CLOSED_FORM = ("svm", "linear")  # fitted without epochs
SEGMENT_S = 4.0  # ours: most acted utterances are shorter, and memory stays small
N_TOKENS_S = 0.512  # a token counts as a millisecond; BERT reads 512 at most
SEQUENCES = 8  # ours, of a batch
CLIP_NORM = 5.0  # ours: a recurrent network over long sequences
DIALOGUES = 8  # ours, of a batch: a small corpus still gives several steps an epoch

Raw = Mapping[str, Any]


def name_of(component: Any) -> str:
    """The name of a component as a recipe writes it: a name alone, or a mapping that has it; "" where there is none."""
    found = component.get("name") if isinstance(component, Mapping) else component
    return found if isinstance(found, str) else ""


def named(name: str) -> Callable[[Any], Any]:
    """A function that gives `name` to a component of which a recipe says the options alone.

    Example:
        >>> named("adam")({"options": {"lr": 0.01}}), named("adam")("sgd")
        ({'name': 'adam', 'options': {'lr': 0.01}}, 'sgd')
    """
    return lambda given: {"name": name, **given} if isinstance(given, Mapping) else given


def usual_normalization(front_end: Any) -> str:
    """The statistics of the training part for features on unlike scales, else none."""
    return "train" if name_of(front_end) in NORMALIZED else "none"


def usual_segments(front_end: Any, given: Any) -> Any:
    """Complete the segments of a recipe: a text is one, a recording has one of 4 s each 2 s.

    Args:
        front_end: as the recipe writes it.
        given: what the recipe says of segments, {} where it says nothing.

    Returns:
        A whole mapping, or None for a front end that gives one vector an utterance.

    Example:
        >>> usual_segments("log-mel", {"length_s": 2.0})
        {'length_s': 2.0, 'frames': None, 'train_shift_s': 1.0, 'test_shift_s': 1.0}
    """
    if not isinstance(given, Mapping) or (not given and name_of(front_end) in VECTORS):
        return given or None
    is_text = name_of(front_end) in TEXTS
    length_s = given.get("length_s", N_TOKENS_S if is_text else SEGMENT_S)
    shift_s = length_s if is_text or isinstance(length_s, bool | str) or length_s is None else length_s / 2
    return {"length_s": length_s, "frames": None, "train_shift_s": shift_s, "test_shift_s": shift_s, **given}


def of_turns(given: Raw) -> Raw:
    """A modality with what is usual for its front end."""
    front_end = given.get("front_end")
    segments = usual_segments(front_end, given.get("segments", {}))
    return {"normalization": usual_normalization(front_end), **given, "segments": segments}


def of_utterances(given: Raw) -> Raw:
    """A recipe over utterances with what is usual for its front end, and epochs where its model learns in epochs."""
    return {"training": None if name_of(given.get("model")) in CLOSED_FORM else {}, **of_turns(given)}


def of_dialogues(given: Raw) -> Raw:
    """A recipe over dialogues with a context in each modality, and with a fusion where there are several."""
    modalities = given.get("modalities")
    n_modalities = len(modalities) if isinstance(modalities, Mapping) else 1
    usual: dict[str, Any] = {"context": {}, "fusion": {} if n_modalities > 1 else None, **given}
    for part, model in (("context", "dialogue-gru"), ("fusion", "multimodal-transformer")):
        if isinstance(usual[part], Mapping):
            usual[part] = {"model": model, **usual[part]}
    return usual


def of_time(given: Raw) -> Raw:
    """A recipe over time whose network takes frames as they are, where they are no waveform."""
    training = given.get("training", {})
    if isinstance(training, Mapping):
        objective = named("concordance")(training.get("objective", "concordance"))
        training = {"batch_size": SEQUENCES, "clip_norm": CLIP_NORM, **training, "objective": objective}
        given = {**given, "training": training}
    frames, model = given.get("frames"), given.get("model")
    front_end = name_of(frames.get("front_end")) if isinstance(frames, Mapping) else ""
    if front_end in ("", "waveform") or name_of(model) != "semantic-paralinguistic":
        return given
    parts = model if isinstance(model, Mapping) else {"name": model}
    options = parts.get("options", {})
    if not isinstance(options, Mapping):
        return given
    return {**given, "model": {**parts, "options": {**options, "acoustic": options.get("acoustic", "frames")}}}


def of_head(given: Raw) -> Raw:
    """A network over turns, whose batches are of a few dialogues."""
    training = given.get("training", {})
    return {**given, "training": {"batch_size": DIALOGUES, **training} if isinstance(training, Mapping) else training}


def of_frames(given: Raw) -> Raw:
    """Frames of a run over time with the usual normalisation, which for dialogues and time is never by speaker."""
    return {"normalization": usual_normalization(given.get("front_end")), **given}


def usual_description(given: Raw) -> str:
    """One line on a recipe that has no description: its models and front ends.

    Example:
        >>> usual_description({"model": "leaf-cnn", "front_end": {"name": "log-mel"}})
        'leaf-cnn on log-mel.'
    """
    if isinstance(given.get("modalities"), Mapping):
        parts = [(f"{name}: ", part) for name, part in given["modalities"].items() if isinstance(part, Mapping)]
    else:
        frames = given.get("frames")
        front_end = frames.get("front_end") if isinstance(frames, Mapping) else given.get("front_end")
        parts = [("", {"model": given.get("model"), "front_end": front_end})]
    parts_text = [f"{label}{name_of(part.get('model'))} on {name_of(part.get('front_end'))}" for label, part in parts]
    return f"{', '.join(parts_text)}."
