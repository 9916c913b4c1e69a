"""How long a step of training takes in bfloat16 and with channels last, against plain float32.

    python benchmarks/training_step.py [--batch 4] [--repeats 5] [--threads 1]

The network of li2018 on its own input, 400 x 200: forward, cross-entropy, backward and SGD. "bf16" is autocast, as
`training.precision: bf16-mixed` switches it on; "channels last" is `training.channels_last: true`. Processors without
AMX have no fast bfloat16: the first line says which this is. Candidates in turn in one process, times are medians of
its CPU time. The last column is the largest difference of a score from float32's, over the largest score, with the
same weights: what the cheaper number costs.
"""

import argparse
import os
import platform
import time
from pathlib import Path
from statistics import median

import torch
from torch import Tensor, nn

from affectra.models.utterance.attention_cnn import AttentionCnn
from affectra.recipes.config import load_recipe
from affectra.recipes.recipe import Recipe

N_BINS, N_FRAMES, N_CLASSES = 400, 200, 4
CANDIDATES = {  # bf16, channels last
    "float32 (the baseline)": (False, False),
    "float32, channels last": (False, True),
    "bf16": (True, False),
    "bf16, channels last": (True, True),
}


class Step:
    """One candidate with a network of its own; all begin with the same weights."""

    def __init__(self, bf16: bool, channels_last: bool) -> None:
        recipe = load_recipe("li2018").recipe
        assert isinstance(recipe, Recipe)
        torch.manual_seed(0)
        self.bf16, self.network = bf16, AttentionCnn(N_BINS, N_CLASSES, **recipe.model.options)
        if channels_last:
            self.network = self.network.to(memory_format=torch.channels_last)
        plan = recipe.training
        assert plan is not None
        self.optimizer = torch.optim.SGD(self.network.parameters(), **plan.optimizer.options)

    def scores(self, features: Tensor) -> Tensor:
        """Of a batch (batch, freq, time)."""
        with torch.autocast("cpu", torch.bfloat16, enabled=self.bf16):
            scores: Tensor = self.network(features).scores
        return scores

    def train(self, features: Tensor, truth: Tensor) -> None:
        """One step."""
        self.optimizer.zero_grad()
        nn.functional.cross_entropy(self.scores(features), truth).backward()
        self.optimizer.step()


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--batch", type=int, default=4, help="segments; the paper's 64 take a GB and minutes")
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--threads", type=int, default=1)
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    has_amx = torch.cpu._is_amx_tile_supported()
    print(
        f"torch {torch.__version__}, {_processor()}, {'AMX' if has_amx else 'no AMX'}, {arguments.threads} thread(s)\n"
    )
    features, truth = torch.rand(arguments.batch, N_BINS, N_FRAMES), torch.arange(arguments.batch) % N_CLASSES
    steps = {name: Step(*how) for name, how in CANDIDATES.items()}
    with torch.no_grad():
        scores = {name: step.scores(features).float() for name, step in steps.items()}
    times: dict[str, list[float]] = {name: [] for name in steps}
    for i in range(arguments.repeats + 1):
        for name, step in steps.items():
            start = time.process_time()
            step.train(features, truth)
            if i:  # the first step makes buffers
                times[name].append(time.process_time() - start)
    baseline = next(iter(CANDIDATES))
    exact, slow = scores[baseline], median(times[baseline])
    print("| step | ms a segment | x | difference of scores |\n|---|---|---|---|")
    for name in steps:
        elapsed = median(times[name])
        error = float((scores[name] - exact).abs().max() / exact.abs().max())
        print(f"| {name} | {1000 * elapsed / arguments.batch:.0f} | {slow / elapsed:.2f} | {error:.0e} |")


def _processor() -> str:
    lines = Path("/proc/cpuinfo").read_text().splitlines() if Path("/proc/cpuinfo").is_file() else []
    models = [line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")]
    return f"{models[0] if models else platform.processor()}, {os.cpu_count()} cores"


if __name__ == "__main__":
    main()
