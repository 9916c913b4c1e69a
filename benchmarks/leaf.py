"""How long LEAF takes and what memory, beside direct LEAF, log-mel and, where there are checkouts, its public versions.

    python benchmarks/leaf.py [--threads 1 2] [--repeats 7] [--wav FILE ...] [--peer leaf-pytorch=DIR ...]

Every candidate is run in turn, again and again, in one process; times are medians of CPU time, so that other work on
the machine does as little harm as possible. Memory is what one pass adds to the largest size of a process of its own.
Peers are imported from checkouts in the given directories: leaf-pytorch (SarthakYadav/leaf-pytorch), speechbrain,
efficientleaf (CPJKU/EfficientLEAF: 8 groups, stride factor 16, PCEN). The first two import torchaudio for their mel
filters, speechbrain hyperpyyaml as well; `PYTHONPATH` may point at them. `--only` measures some candidates beside ours.
"""

import argparse
import contextlib
import importlib.util
import math
import os
import platform
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from statistics import median

import soundfile
import torch
from torch import Tensor, nn

from affectra.features.audio.mel import mel_filters
from affectra.features.leaf.filters import initial_gabor
from affectra.features.leaf.leaf import ENERGY_FLOOR, Leaf
from affectra.features.leaf.pcen import FLOOR

RATE, BATCH, LENGTH_S = 16_000, 16, 4


class DirectLeaf(nn.Module):
    """The operations of leaf-pytorch: convolution with 80 real filters, grouped convolution, a loop over frames."""

    def __init__(self) -> None:
        super().__init__()
        centers, widths = initial_gabor(40, RATE, 401)
        self.centers, self.widths = nn.Parameter(centers.float()), nn.Parameter(widths.float())
        starts = {"pooling": 0.4, "alpha": 0.96, "delta": 2.0, "root": 2.0, "smoothing": 0.04}
        self.others = nn.ParameterDict({name: torch.full((40, 1), value) for name, value in starts.items()})

    def forward(self, waveform: Tensor) -> Tensor:
        """(batch, sample) -> (batch, 40, frame)."""
        times, p = torch.arange(-200.0, 201.0), self.others
        gaussians = (
            torch.exp(-0.5 * (times / self.widths[:, None]) ** 2) / self.widths[:, None] / math.sqrt(2 * math.pi)
        )
        angles = self.centers[:, None] * times
        taps = torch.stack([gaussians * angles.cos(), gaussians * angles.sin()], dim=1).reshape(80, 1, 401)
        filtered = nn.functional.conv1d(waveform[:, None], taps, padding=200)
        squares = (filtered**2).transpose(1, 2)
        energies = 2 * nn.functional.avg_pool1d(squares, 2, 2).transpose(1, 2)
        windows = torch.exp(-0.5 * (times / 200 / p["pooling"]) ** 2)
        pooled = nn.functional.conv1d(energies, windows[:, None], stride=160, padding=200, groups=40)
        pooled = pooled.clamp_min(ENERGY_FLOOR)
        state, means = pooled[..., 0], []
        for t in range(pooled.shape[2]):
            state = p["smoothing"][:, 0] * pooled[..., t] + (1 - p["smoothing"][:, 0]) * state
            means.append(state[None])
        means = torch.cat(means).permute(1, 2, 0)
        exponent = 1 / p["root"]
        return (pooled / (FLOOR + means) ** p["alpha"] + p["delta"]) ** exponent - p["delta"] ** exponent


class LogMel(nn.Module):
    """Log-mel energies by `torch.stft`."""

    def __init__(self) -> None:
        super().__init__()
        self.window, self.filters = torch.hann_window(400), mel_filters(40, RATE, 512, 60, 7800).T.float()

    def forward(self, waveform: Tensor) -> Tensor:
        """(batch, sample) -> (batch, frame, 40)."""
        spectra = torch.stft(waveform, 512, 160, 400, self.window, return_complex=True)
        return (spectra.abs().square().transpose(1, 2) @ self.filters).clamp_min(1e-10).log()


def librosa_mel() -> Callable[[Tensor], object]:
    """Log-mel energies by librosa, one signal at a time as its users do."""
    import librosa

    def run(waveform: Tensor) -> object:
        options = {"sr": RATE, "n_fft": 512, "hop_length": 160, "win_length": 400, "n_mels": 40}
        return [librosa.power_to_db(librosa.feature.melspectrogram(y=signal.numpy(), **options)) for signal in waveform]

    return run


def peer(name: str, folder: str) -> nn.Module:
    """A public LEAF from its checkout."""
    sys.path.insert(0, str(Path(folder).resolve()))
    if name == "leaf-pytorch":
        from leaf_pytorch.frontend import Leaf as Peer

        with contextlib.redirect_stdout(None):  # it prints a shape
            module = Peer(n_filters=40, sample_rate=RATE)
        return _Reshaped(module, lambda waveform: waveform[:, None])
    if name == "speechbrain":
        from speechbrain.lobes.features import Leaf as Peer

        return Peer(out_channels=40, window_len=25.0, window_stride=10.0, sample_rate=RATE, in_channels=1)
    if name == "efficientleaf":
        from model.efficientleaf import EfficientLeaf

        # A stride factor of 16 is the largest its authors tried; its default of 1 takes ten times as long.
        return EfficientLeaf(n_filters=40, num_groups=8, sample_rate=RATE, stride_factor=16, compression="pcen")
    raise SystemExit(f"unknown peer {name!r}; known: efficientleaf, leaf-pytorch, speechbrain")


class _Reshaped(nn.Module):
    def __init__(self, module: nn.Module, reshape: Callable[[Tensor], Tensor]) -> None:
        super().__init__()
        self.module, self.reshape = module, reshape

    def forward(self, waveform: Tensor) -> Tensor:
        return self.module(self.reshape(waveform))


def make(name: str, peers: dict[str, str]) -> Callable[[Tensor], object]:
    """A candidate by its name."""
    builders = {"affectra": Leaf, "affectra exact": lambda: Leaf(exact=True), "direct": DirectLeaf, "log-mel": LogMel}
    if name == "librosa log-mel":
        return librosa_mel()
    return builders[name]() if name in builders else peer(name, peers[name])


def run(model: Callable[[Tensor], object], waveform: Tensor, train: bool, flush: bool) -> float:
    """CPU seconds of a forward pass, or of forward and backward. `flush` spares a CPU the slowness of denormals."""
    torch.set_flush_denormal(flush)
    start = time.process_time()
    if train:
        model(waveform).square().mean().backward()
    else:
        with torch.no_grad():
            model(waveform)
    elapsed = time.process_time() - start
    torch.set_flush_denormal(False)
    return elapsed


def measure_memory(name: str, peers: dict[str, str], train: bool) -> float:
    """MiB that one pass adds at most to a process that has made a small one."""
    command = [sys.executable, __file__, "--memory", name, "train" if train else "infer"]
    for peer_name, folder in peers.items():
        command += ["--peer", f"{peer_name}={folder}"]
    return float(subprocess.run(command, check=True, capture_output=True, text=True).stdout.split()[-1])


def print_memory(name: str, mode: str, peers: dict[str, str]) -> None:
    """What `measure_memory` runs."""
    torch.set_num_threads(1)
    model = make(name, peers)
    run(model, torch.randn(1, 2 * RATE), mode == "train", flush=True)
    waveform = 0.1 * torch.randn(BATCH, LENGTH_S * RATE)
    before = _kibibytes("VmRSS")
    run(model, waveform, mode == "train", flush=True)
    print((_kibibytes("VmHWM") - before) / 1024)


def _kibibytes(field: str) -> int:
    """Of this process, by Linux; the peak of `resource` would begin with that of the process that started it."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith(field))


def signals(files: list[Path]) -> Tensor:
    """Recordings one after another, cut into a batch; without any, white noise."""
    if not files:
        return 0.1 * torch.randn(BATCH, LENGTH_S * RATE, generator=torch.Generator().manual_seed(0))
    samples = torch.cat([torch.from_numpy(soundfile.read(file, dtype="float32")[0]) for file in files])
    n = BATCH * LENGTH_S * RATE
    return samples.repeat(-(-n // len(samples)))[:n].reshape(BATCH, -1)


def table(names: list[str], peers: dict[str, str], waveform: Tensor, n_threads: int, repeats: int) -> list[str]:
    """Rows of a Markdown table."""
    torch.set_num_threads(n_threads)
    models = {name: make(name, peers) for name in names}
    kinds = [(name, train) for name in names for train in (False, True) if not (train and "mel" in name)]
    times: dict[tuple[str, bool], list[float]] = {kind: [] for kind in kinds}
    for i in range(repeats + 1):
        for name, train in kinds:
            elapsed = run(models[name], waveform, train, flush="affectra" not in name)
            if i:  # the first time makes plans and buffers
                times[name, train].append(elapsed)
    rows = []
    for name in names:
        cells = [name, str(n_threads)]
        for train in (False, True):
            if (name, train) not in times:
                cells += ["", ""]
                continue
            seconds = median(times[name, train])
            ours = median(times["affectra", train])
            cells += [f"{1000 * seconds:.0f}", f"{seconds / ours:.1f}"]
        if n_threads == 1:
            memory = [measure_memory(name, peers, train) if (name, train) in times else None for train in (False, True)]
            cells += ["" if value is None else f"{value:.0f}" for value in memory]
        else:
            cells += ["", ""]
        rows.append("| " + " | ".join(cells) + " |")
    return rows


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--threads", type=int, nargs="+", default=[1, 2])
    parser.add_argument("--repeats", type=int, default=7)
    parser.add_argument("--wav", type=Path, nargs="+", default=[], help="16 kHz recordings instead of noise")
    parser.add_argument("--peer", action="append", default=[], metavar="NAME=DIR")
    parser.add_argument("--only", nargs="+", metavar="NAME", help="of direct, log-mel, the peers, ...; default: all")
    parser.add_argument("--memory", nargs=2, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    peers = dict(item.split("=", 1) for item in arguments.peer)
    if arguments.memory:
        print_memory(*arguments.memory, peers)
        return
    names = ["affectra", "affectra exact", "direct", "log-mel", *peers]
    if importlib.util.find_spec("librosa"):
        names.append("librosa log-mel")
    if arguments.only:
        names = ["affectra", *(name for name in names[1:] if name in arguments.only)]
    waveform = signals(arguments.wav)
    what = f"{len(arguments.wav)} recordings" if arguments.wav else "white noise"
    print(f"{BATCH} x {LENGTH_S} s of {what}, hop 10 ms; torch {torch.__version__}, {_processor()}\n")
    print("| candidate | threads | forward ms | x ours | forward+backward ms | x ours | MiB forward | MiB training |")
    print("|---|---|---|---|---|---|---|---|")
    for n_threads in arguments.threads:
        print("\n".join(table(names, peers, waveform, n_threads, arguments.repeats)), flush=True)


def _processor() -> str:
    lines = Path("/proc/cpuinfo").read_text().splitlines() if Path("/proc/cpuinfo").is_file() else []
    models = [line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")]
    return f"{models[0] if models else platform.processor()}, {os.cpu_count()} cores"


if __name__ == "__main__":
    main()
