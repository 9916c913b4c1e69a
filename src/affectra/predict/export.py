"""A trained model as a folder that needs no torch: one ONNX graph, what belongs to it, and a model card."""

import inspect
import logging
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from shutil import copyfile
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import torch
from safetensors.torch import save_file
from torch import Tensor, nn

from affectra.errors import CheckpointError, ConfigError, require_extra
from affectra.features.description import FILE, WEIGHTS, folders_of, kinds_at
from affectra.features.frames.registry import numpy_front_end
from affectra.features.front_ends import FRONT_ENDS
from affectra.features.specification import Specification, write_specification
from affectra.files import write_json
from affectra.models.recognizer import Recognizer, load_networks
from affectra.predict.calibration import FILE as CALIBRATION
from affectra.predict.calibration import read_calibration, to_json
from affectra.predict.calibration.model_calibration import calibrate
from affectra.predict.model_card import model_card
from affectra.predict.onnx import AUXILIARY, EMBEDDING, FRAMES, GRAPH, LENGTHS, PROBABILITIES, OnnxRecognizer
from affectra.predict.torch_folds import TorchRecognizer

CARD = "MODEL_CARD.md"
TOLERANCE = 1e-4  # between the graph's probabilities and torch's
PURPOSE = "exporting a model"


def export(
    source: str | Path, out: str | Path, *, licence: str | None = None, calibrate_on: Sequence[Path] = ()
) -> Path:
    """Export a run directory, all its finished folds as one graph that averages them, or a single fold of one.

    Written are model.onnx; model.json; model.safetensors, for those who have torch; MODEL_CARD.md; and calibration.json
    where the run has one. The graph is compared with torch first.

    Args:
        source: the run directory or fold.
        out: a new or empty folder.
        licence: what the weights may be used for; written into the card and model.json.
        calibrate_on: runs of the same recipe under other protocols, such as leave-one-corpus-out, on whose predictions
            the calibration is fitted as well as on those of `source`.

    Returns:
        The folder.

    Raises:
        CheckpointError: no finished fold there, a damaged one, or folds that are not of one kind.
        ConfigError: `out` holds something, a part of the model cannot be exported, or a package is missing.
    """
    source, out = Path(source), Path(out)
    for package in ("onnx", "onnxscript", "onnxruntime"):
        require_extra(package, "onnx", PURPOSE)
    if out.exists() and (not out.is_dir() or any(out.iterdir())):
        raise ConfigError(f"{out}: there is something already; give a new folder with --out")
    if calibrate_on and _run_of(source) != source:  # distances are in the space of the run's first network
        raise ConfigError(f"{source}: one fold cannot be calibrated on several runs; give its run, {_run_of(source)}")
    recognizers = [network for folder in folders_of("utterance", source) for network in load_networks(folder)]
    if not recognizers:
        kinds = kinds_at(source)
        if "dialogue" in kinds:
            raise CheckpointError(
                f"{source}: a model of conversations, which is not exported; give the run itself to `affectra predict "
                "--dialogue` or, in Python, affectra.load"
            )
        if "time" in kinds:
            raise CheckpointError(
                f"{source}: a model over time, which is not exported; give the run itself to `affectra predict` or, in "
                "Python, affectra.load"
            )
        raise CheckpointError(f"{source}: no finished fold here; expected seed-*/fold-*/{FILE} or {FILE}")
    specification = _specification(recognizers, source, licence)
    with _folder(out) as folder:
        _write(recognizers, source, folder)
        card = model_card(specification, out.name, _run_of(source))
        if calibrate_on:
            card += "\n" + calibrate(specification.classes, [_run_of(source), *calibrate_on], folder)
        (folder / CARD).write_text(card, encoding="utf-8")
        parts = [name for name in (GRAPH, WEIGHTS, CALIBRATION) if (folder / name).is_file()]
        write_specification(specification, folder, parts)
        check_parity(recognizers, folder)
    return out


@contextmanager
def _folder(out: Path) -> Iterator[Path]:
    """A folder beside `out` that takes its name when all went well: there is never half a model."""
    out.parent.mkdir(parents=True, exist_ok=True)
    with TemporaryDirectory(prefix=f".{out.name}-", dir=out.parent) as above:
        folder = Path(above) / "model"
        folder.mkdir()
        yield folder
        folder.replace(out)


def _write(recognizers: Sequence[Recognizer], source: Path, folder: Path) -> None:
    """Graph, weights and calibration."""
    write_graph(recognizers, folder / GRAPH)
    tensors = {
        (name if len(recognizers) == 1 else f"{k}.{name}"): tensor.contiguous()
        for k, recognizer in enumerate(recognizers)
        for name, tensor in recognizer.state_dict().items()
    }
    save_file(tensors, folder / WEIGHTS)
    run = _run_of(source)
    calibration = read_calibration(run)
    if calibration is None:
        return
    if source.resolve() in (run.resolve(), folders_of("utterance", run)[0].resolve()):
        copyfile(run / CALIBRATION, folder / CALIBRATION)
    else:  # distances are in the space of the first fold's network
        write_json(folder / CALIBRATION, to_json(replace(calibration, space=None)))


def _run_of(source: Path) -> Path:
    """The run directory of a fold; a run directory or exported model is its own."""
    above = source.resolve().parent.parent
    return above if source.name.startswith("fold-") and (above / "scores.json").is_file() else source


def _specification(recognizers: Sequence[Recognizer], source: Path, licence: str | None) -> Specification:
    """Give the specification that all share, with every option of the front end: its numpy form has no defaults."""
    first = recognizers[0].specification
    for other in recognizers[1:]:
        if replace(other.specification, provenance={}) != replace(first, provenance={}):
            raise CheckpointError(f"{source}: its folds are not of one kind; was it begun with another recipe?")
    name, given = first.front_end["name"], first.front_end["options"]
    parameters = inspect.signature(FRONT_ENDS[name]).parameters.values()
    defaults = {p.name: p.default for p in parameters if p.default is not p.empty}
    front_end = {"name": name, "options": {**defaults, **given}}
    numpy_front_end(name, front_end["options"])
    provenance = {**first.provenance, "n_networks": len(recognizers), **({"licence": licence} if licence else {})}
    return replace(first, front_end=front_end, provenance=provenance)


class Graph(nn.Module):
    """Network as it is exported: frames in, probabilities of segments out, averaged over networks.

    Segments come without padding, so that no layer has to mask any; where a network takes the segments of an utterance
    together, their last one may be padded and their lengths come too.

    Args:
        recognizers: with equal front ends, segments and classes.

    Shape:
        - frames: (segment, time, feature), as the front end's `frames` gives them
        - n_frames: (segment,), only for networks that take all segments together
        - probabilities: (segment, class), or (1, class) of the utterance
        - embedding: (segment, feature), or (1, feature), of the first network, whose space the calibration knows
        - auxiliary: the same with a probability for each auxiliary task, if there are any
    """

    def __init__(self, recognizers: Sequence[Recognizer]) -> None:
        super().__init__()
        self.recognizers = nn.ModuleList(recognizers)
        self.is_sequence = recognizers[0].is_sequence
        # Networks for which None means that all frames are real then leave their masks out.
        default = inspect.signature(recognizers[0].network.forward).parameters["n_frames"].default
        self.is_maskable = default is not None

    def forward(self, frames: Tensor, n_frames: Tensor | None = None) -> tuple[Tensor, ...]:
        """Probabilities, embedding and, where there are any, probabilities of the auxiliary tasks."""
        lengths = torch.full_like(frames[:, 0, 0], frames.shape[1], dtype=torch.int64) if n_frames is None else n_frames
        outputs = []
        for recognizer in self.recognizers:
            features = recognizer.features(frames, lengths)  # type: ignore[operator]
            if self.is_sequence:
                n_segments = torch.full((1,), frames.shape[0], dtype=torch.int64)
                outputs.append(recognizer.network(features, lengths, n_segments))  # type: ignore[operator]
            else:
                outputs.append(recognizer.network(features, lengths if self.is_maskable else None))  # type: ignore[operator]
        probabilities = torch.stack([output.scores.softmax(-1) for output in outputs]).mean(0)
        auxiliary = [output.auxiliary.sigmoid() for output in outputs if output.auxiliary is not None]
        more = (torch.stack(auxiliary).mean(0),) if auxiliary else ()
        return probabilities, outputs[0].embedding, *more


def write_graph(recognizers: Sequence[Recognizer], path: Path) -> None:
    """Write recognisers of one kind as one ONNX graph, its numbers of segments and frames open.

    Raises:
        ConfigError: a network that cannot be written so.
    """
    first = recognizers[0]
    graph = Graph(recognizers).eval()
    anything = torch.export.Dim.DYNAMIC
    n_features = first.front_end.n_features
    examples: tuple[Tensor, ...] = (torch.rand(3, first.grid.segment_frames, n_features),)
    names: list[str] = [FRAMES]
    shapes: tuple[dict[int, Any], ...] = ({0: anything} if first.is_whole else {0: anything, 1: anything},)
    if first.is_sequence:
        width = first.grid.input_frames or first.grid.segment_frames
        examples, names = (torch.rand(3, width, n_features), torch.full((3,), width)), [FRAMES, LENGTHS]
        shapes = ({0: anything}, {0: anything})
    outputs = [PROBABILITIES, EMBEDDING, *([AUXILIARY] if first.specification.auxiliary else [])]
    try:
        with _quiet():
            program = torch.onnx.export(
                graph, examples, dynamo=True, dynamic_shapes=shapes, input_names=names, output_names=outputs,
                verbose=False,
            )  # fmt: skip
    except torch.onnx.OnnxExporterError as error:
        reason = str(error.__cause__ or error).splitlines()[0]
        raise ConfigError(f"model {first.specification.model['name']!r} cannot be exported: {reason}") from error
    assert program is not None
    for node in program.model.graph.all_nodes():
        node.metadata_props.clear()  # where in whose files each operation was written
    program.save(path, external_data=False)


@contextmanager
def _quiet() -> Iterator[None]:
    """Without the exporter's notes on its own dependencies."""
    logs = [logging.getLogger(name) for name in ("torch.onnx", "onnx_ir", "onnxscript")]
    levels = [log.level for log in logs]
    for log in logs:
        log.setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        for log, level in zip(logs, levels, strict=True):
            log.setLevel(level)


def check_parity(recognizers: Sequence[Recognizer], folder: Path) -> None:
    """Raise a `CheckpointError` unless an exported folder says the same as torch, of short and long sounds."""
    by_torch, by_graph = TorchRecognizer(recognizers), OnnxRecognizer(folder)
    random = np.random.default_rng(0)
    for duration_s in (0.1, 1.0, 4.7):
        samples = (0.1 * random.standard_normal(round(duration_s * by_torch.sample_rate))).astype(np.float32)
        one, other = by_torch(samples), by_graph(samples)
        auxiliary = [abs(other.auxiliary[name] - p) for name, p in one.auxiliary.items()]
        difference = max(np.abs(other.probabilities - one.probabilities).max(), *auxiliary, 0.0)
        if not difference <= TOLERANCE:
            raise CheckpointError(
                f"{GRAPH}: differs from torch by {difference:.1e} on {duration_s} s of noise, expected at most "
                f"{TOLERANCE}; nothing is exported. This is a fault of Affectra or of the exporter: please report it"
            )
