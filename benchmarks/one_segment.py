"""How long one segment takes through ONNX Runtime and through eager torch, and a short recording in all.

    python benchmarks/one_segment.py [--repeats 41]

Networks come from recipes, with random weights: speed does not depend on them. Both candidates get the frames of one
full segment and give its scores, float32, one thread; they run in turn in one process, times are medians of wall and
of processor time. Eight segments in one run of the graph, as a server might gather them from several people, show what
batching is worth. Then a recording of 5 s (noise, which every detector of speech has to hear out) with affectra-base,
warm: decoding, detection of speech, voice statistics and graph. Exit code 1 if ONNX Runtime is less than 3.5 times as
fast as eager torch, by processor time, or the recording takes 30 ms or more of it.
"""

import argparse
import os
import platform
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from statistics import median

import numpy as np
import onnxruntime
import soundfile
import torch

from affectra import load
from affectra.audio import read
from affectra.audio.speech_track import speech_share
from affectra.features.specification import Specification
from affectra.models.recognizer import Recognizer
from affectra.predict.export import write_graph
from affectra.predict.onnx import FRAMES
from affectra.recipes.config import load_recipe

RECIPES = ("li2018", "li2018-cpu")
CLASSES = ("anger", "happiness", "neutral", "sadness")
LEAST_GAIN, MOST_MS = 3.5, 30.0  # the goals
TOGETHER = 8  # segments
RATE, RECORDING_S = 16_000, 5
Step = Callable[[], object]


def untrained(recipe_name: str) -> Recognizer:
    """A recipe's recogniser with random weights."""
    recipe = load_recipe(recipe_name).recipe
    assert recipe.segments is not None
    torch.manual_seed(0)
    parts = recipe.model.model_dump(), recipe.front_end.model_dump(), recipe.normalization
    specification = Specification(*parts, recipe.segments.model_dump(), "emotion4", CLASSES, synthetic=True)
    return Recognizer(specification).eval()


def candidates(recognizer: Recognizer, folder: Path) -> dict[str, Step]:
    """Eager torch and ONNX Runtime on the same segment, and the latter on several at once."""
    n_frames, n_features = recognizer.grid.segment_frames, recognizer.front_end.n_features
    frames = np.random.default_rng(0).random((1, n_frames, n_features), dtype=np.float32)
    segment, lengths, alone = torch.from_numpy(frames), torch.tensor([n_frames]), torch.tensor([1])
    write_graph([recognizer], folder / "model.onnx")
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    session = onnxruntime.InferenceSession(folder / "model.onnx", options, providers=["CPUExecutionProvider"])

    def eager() -> torch.Tensor:
        with torch.inference_mode():
            scores: torch.Tensor = recognizer(segment, lengths, alone).scores.softmax(-1)
        return scores

    def graph(heard: np.ndarray = frames) -> np.ndarray:
        found: np.ndarray = session.run(None, {FRAMES: heard})[0]
        return found

    np.testing.assert_allclose(graph(), eager().numpy(), atol=1e-4)
    several = np.repeat(frames, TOGETHER, axis=0)
    return {"eager": eager, "graph": graph, "together": lambda: graph(several)}


def timed(steps: dict[str, Step], repeats: int) -> dict[str, tuple[float, float]]:
    """Medians of wall and processor time of each step, ms; the steps take turns."""
    found: dict[str, list[tuple[float, float]]] = {name: [] for name in steps}
    for _ in range(repeats):
        for name, step in steps.items():
            wall, busy = time.perf_counter(), time.process_time()
            step()
            found[name].append((1e3 * (time.perf_counter() - wall), 1e3 * (time.process_time() - busy)))
    return {name: (median(w for w, _ in times), median(b for _, b in times)) for name, times in found.items()}


def recording(folder: Path) -> dict[str, Step]:
    """A warm recording of 5 s with affectra-base: in all, and without decoding and detection of speech."""
    path = folder / "five.wav"
    soundfile.write(path, 0.1 * np.random.default_rng(0).standard_normal(RECORDING_S * RATE), RATE)
    model = load("affectra-base")
    samples = read(path, model.sample_rate).samples
    steps: dict[str, Step] = {
        "file": lambda: model.recognize_file(path),
        "speech detection": lambda: speech_share(samples, model.sample_rate),
        "recogniser": lambda: model.recognizer(samples),
    }
    for step in steps.values():
        step()
    return steps


def main() -> int:
    """Measure, print tables, and judge."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--repeats", type=int, default=41)
    repeats = parser.parse_args().repeats
    torch.set_num_threads(1)
    print(
        f"{platform.machine()}, {os.cpu_count()} cores; torch {torch.__version__}, "
        f"ONNX Runtime {onnxruntime.__version__}"
    )
    print(f"| one segment, processor time | eager torch, ms | ONNX Runtime, ms | x | one of {TOGETHER} together, ms |")
    print("|---|---|---|---|---|")
    gains = []
    with tempfile.TemporaryDirectory() as folder:
        for name in RECIPES:
            times = timed(candidates(untrained(name), Path(folder)), repeats)
            eager, graph = times["eager"][1], times["graph"][1]
            gains.append(eager / graph)
            together = times["together"][1] / TOGETHER
            print(f"| {name} | {eager:.1f} | {graph:.1f} | {gains[-1]:.1f} | {together:.1f} |")
        times = timed(recording(Path(folder)), repeats)
    print(f"\n| {RECORDING_S} s, affectra-base, warm | processor ms | wall ms |\n|---|---|---|")
    for name, (wall, busy) in times.items():
        print(f"| {name} | {busy:.1f} | {wall:.1f} |")
    return 1 if min(gains) < LEAST_GAIN or times["file"][1] >= MOST_MS else 0


if __name__ == "__main__":
    raise SystemExit(main())
