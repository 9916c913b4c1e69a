"""How long convolution, ReLU and max-pool take and what memory: in one (`conv_pool`) and one after another.

    python benchmarks/waveform_cnn.py [--repeats 9]

Three settings: the first layer on 10 s at 22,050 Hz as one signal, the same layer on 100 frames of 100 ms, and the
whole CNN of Tzirakis et al. 2021 on 100 frames. One thread; both candidates in turn in one process, times are medians
of its CPU time; memory is what one pass of training adds at most to a process of its own. Then a recording of 30
minutes through the whole model without gradients, as one and in blocks of 10 s (beside its samples, 151 MiB), and whole
steps of training, dropout and optimizer included.
"""

import argparse
import os
import platform
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from statistics import median

import torch
from torch import Tensor, nn
from torch.nn import functional

from affectra.losses import concordance_loss
from affectra.models.frame.conv_pool import ConvReluPool
from affectra.models.frame.semantic_paralinguistic import SemanticParalinguistic
from affectra.models.frame.waveform_cnn import WaveformCnn

N_SAMPLES = 2205  # 100 ms at 22,050 Hz
SETTINGS = {"layer 1, 10 s": (1, 100 * N_SAMPLES), "layer 1, 100 frames": (100, N_SAMPLES), "CNN, 100 frames": (100, 0)}
SMALL = {"channels": (32, 64, 128), "n_projected": 256, "n_stream": 128, "n_hidden": 128}
STEPS = {
    "the paper's": (2205, 25, 300, {}),
    "the paper's, concat": (2205, 25, 300, {"fusion": "concat"}),
    "the released code's, 10 s": (2205, 5, 100, {"compat": "glam-imperial"}),
    "small, 16 kHz": (1600, 10, 100, SMALL),
    "small, 8 kHz": (800, 10, 100, SMALL),
    "small, 64 features a frame": (64, 10, 100, {**SMALL, "acoustic": "frames"}),
}


class OneAfterAnother(nn.Module):
    """A `ConvReluPool` by PyTorch's own layers."""

    def __init__(self, n_in: int, n_out: int, kernel: int, pool: int) -> None:
        super().__init__()
        self.padding, self.pool = ((kernel - 1) // 2, kernel // 2), pool
        self.convolution = nn.Conv1d(n_in, n_out, kernel)

    def forward(self, x: Tensor) -> Tensor:
        """(batch, time, n_in) -> (batch, time / pool, n_out)."""
        convolved = self.convolution(functional.pad(x.transpose(1, 2), self.padding))
        return functional.max_pool1d(convolved.relu(), self.pool, ceil_mode=True).transpose(1, 2)


def make(setting: str, fused: bool) -> tuple[nn.Module, Tensor]:
    """A candidate and its input."""
    torch.manual_seed(0)
    layer = ConvReluPool if fused else OneAfterAnother
    batch, n_samples = SETTINGS[setting]
    if n_samples:
        return layer(1, 50, 8, 10), 0.1 * torch.randn(batch, n_samples, 1)
    cnn = WaveformCnn(N_SAMPLES)
    cnn.layers = nn.ModuleList([layer(1, 50, 8, 10), layer(50, 125, 6, 5), layer(125, 250, 6, 5)])
    return cnn, 0.1 * torch.randn(1, batch, N_SAMPLES)


def seconds(run: Callable[[], object]) -> float:
    """CPU seconds of one call."""
    start = time.process_time()
    run()
    return time.process_time() - start


def train(model: nn.Module, x: Tensor) -> None:
    """Forward and backward."""
    model(x).square().mean().backward()


@torch.no_grad()
def infer(model: nn.Module, x: Tensor) -> None:
    """Forward."""
    model.eval()(x)
    model.train()


def measure(setting: str, repeats: int) -> str:
    """A row of a Markdown table."""
    candidates = {fused: make(setting, fused) for fused in (True, False)}
    times: dict[tuple[bool, Callable], list[float]] = {}
    for i in range(repeats + 1):
        for fused, (model, x) in candidates.items():
            for run in (infer, train):
                elapsed = seconds(lambda run=run, model=model, x=x: run(model, x))
                if i:  # the first time makes buffers
                    times.setdefault((fused, run), []).append(elapsed)
    cells = [setting]
    for run in (infer, train):
        ours, theirs = (median(times[fused, run]) for fused in (True, False))
        cells += [f"{1000 * ours:.0f}", f"{1000 * theirs:.0f}", f"{theirs / ours:.2f}"]
    ours, theirs = (memory("layer", setting, "fused" if fused else "eager") for fused in (True, False))
    cells += [f"{ours:.0f}", f"{theirs:.0f}", f"{ours / theirs:.2f}"]
    return "| " + " | ".join(cells) + " |"


def memory(*what: str) -> float:
    """MiB that a task adds at most to a process of its own."""
    command = [sys.executable, __file__, "--memory", *what]
    return float(subprocess.run(command, check=True, capture_output=True, text=True).stdout.split()[-1])


def print_memory(kind: str, *what: str) -> None:
    """What `memory` runs."""
    torch.set_num_threads(1)
    if kind == "layer":
        model, x = make(what[0], what[1] == "fused")
        small = x[:, : x.shape[1] // 50] if len(x) == 1 else x[:2]
        train(model, small)  # loads what the first pass of a process loads
        before = _kibibytes("VmRSS")
        train(model, x)
    else:
        model, x = SemanticParalinguistic(N_SAMPLES, 100, 3).eval(), 0.1 * torch.randn(1, 18_000, N_SAMPLES)
        words = torch.randn(1, 18_000, 100)
        model.forward_stream(x[:, :5], words[:, :5])
        before = _kibibytes("VmRSS")
        state = None
        for block in range(0, 18_000, int(what[0])):
            stretch = slice(block, block + int(what[0]))
            _, state = model.forward_stream(x[:, stretch], words[:, stretch], state)
    print((_kibibytes("VmHWM") - before) / 1024)


def _kibibytes(field: str) -> int:
    """Of this process, by Linux; the peak of `resource` would begin with that of the process that started it."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith(field))


def step(name: str) -> str:
    """A row about one step of training."""
    n_samples, n_batch, n_frames, options = STEPS[name]
    torch.manual_seed(0)
    model = SemanticParalinguistic(n_samples, 100, 3, **options)
    optimizer = torch.optim.Adam(model.parameters(), 1e-4)
    acoustic, semantic = 0.1 * torch.randn(n_batch, n_frames, n_samples), torch.randn(n_batch, n_frames, 100)
    truth, lengths = torch.rand(n_batch, n_frames, 3), torch.full((n_batch,), n_frames)

    def run() -> None:
        optimizer.zero_grad()
        concordance_loss(model(acoustic, semantic, lengths).predictions, truth).backward()
        nn.utils.clip_grad_norm_(model.parameters(), 5.0)
        optimizer.step()

    elapsed = min(seconds(run) for _ in range(2))
    n_parameters = sum(parameter.numel() for parameter in model.parameters())
    per_minute = 600 * elapsed / n_batch / n_frames
    return f"| {name} | {n_batch} x {n_frames} | {n_parameters:,} | {elapsed:.2f} | {per_minute:.2f} |"


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--repeats", type=int, default=9)
    parser.add_argument("--memory", nargs="+", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.memory:
        print_memory(*arguments.memory)
        return
    torch.set_num_threads(1)
    print(f"torch {torch.__version__}, {_processor()}, one thread\n")
    print("| setting | forward ms | eager | x | training ms | eager | x | MiB training | eager | share |")
    print("|---|---|---|---|---|---|---|---|---|---|")
    for setting in SETTINGS:
        print(measure(setting, arguments.repeats), flush=True)
    print("\n| 30 minutes of audio, no gradients | MiB |\n|---|---|")
    for name, n_frames in {"as one": 18_000, "in blocks of 10 s": 100}.items():
        print(f"| {name} | {memory('long', str(n_frames)):.0f} |", flush=True)
    print("\n| training | batch x frames | parameters | s a step | s a minute of audio |\n|---|---|---|---|---|")
    for name in STEPS:
        print(step(name), flush=True)


def _processor() -> str:
    lines = Path("/proc/cpuinfo").read_text().splitlines() if Path("/proc/cpuinfo").is_file() else []
    models = [line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")]
    return f"{models[0] if models else platform.processor()}, {os.cpu_count()} cores"


if __name__ == "__main__":
    main()
