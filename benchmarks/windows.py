"""How long the segments of a test recording take: frames shared between them, or a spectrogram of each.

    python benchmarks/windows.py [--seconds 15 60] [--repeats 21]

Segments of 2 s every 0.4 s, as li2018 tests them (NFFT 1600, 40 ms Hamming windows every 10 ms, bins 0 to 399).
"Magnitudes" ends with those of each segment, as the front end keeps them; "network input" also has each segment's
peak, the mu-law and one array of all. The baseline is `librosa.stft` of each segment with its own defaults; librosa is
not a dependency (`pip install librosa`). One thread; candidates in turn in one process, times are medians of its CPU
time.
"""

import argparse
import math
import os
import platform
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from statistics import median

import librosa
import numpy as np
import numpy.typing as npt
import torch

from affectra.features.audio.spectrogram import Spectrogram
from affectra.features.frames.spectral import LOG_FLOOR, MU
from affectra.features.specification import segment_grid, stack_segments
from affectra.recipes.config import load_recipe
from affectra.recipes.recipe import Recipe

Array = npt.NDArray[np.float32]


class Windows:
    """The candidates, on one recording.

    Args:
        duration_s: of white noise; no candidate is faster on some sound than on another.
    """

    def __init__(self, duration_s: float) -> None:
        recipe = load_recipe("li2018").recipe
        assert isinstance(recipe, Recipe) and recipe.segments is not None
        self.front_end = front_end = Spectrogram(**recipe.front_end.options)
        self.grid = segment_grid(
            recipe.segments.model_dump(), front_end.sample_rate, front_end.window_length, front_end.hop_length
        )
        n_samples = round(duration_s * front_end.sample_rate)
        self.waveform: Array = (0.1 * np.random.default_rng(0).standard_normal(n_samples)).astype(np.float32)
        self.starts = self.grid.starts(front_end.n_frames(n_samples), train=False)
        length = (self.grid.segment_frames - 1) * front_end.hop_length + front_end.window_length
        self.pieces = [self.waveform[i * front_end.hop_length :][:length] for i in self.starts]
        short = length - len(self.pieces[-1])
        self.pieces[-1] = np.pad(self.pieces[-1], (0, short))

    def shared(self) -> list[Array]:
        """Ours: each frame once, segments are views, (time, freq)."""
        frames = self.front_end.frames(torch.from_numpy(self.waveform)).numpy()
        return [frames[i : i + self.grid.segment_frames] for i in self.starts]

    def librosa_each(self) -> list[Array]:
        """`librosa.stft` of each segment, (freq, time)."""
        options = {"n_fft": self.front_end.n_fft, "hop_length": self.front_end.hop_length}
        options |= {"win_length": self.front_end.window_length, "window": "hamming"}
        return [np.abs(librosa.stft(piece, **options)[: self.front_end.n_bins]) for piece in self.pieces]

    def torch_batch(self) -> torch.Tensor:
        """`torch.stft` of all segments at once, (segment, freq, time)."""
        f = self.front_end
        pieces, window = torch.from_numpy(np.stack(self.pieces)), torch.hamming_window(f.window_length)
        spectra = torch.stft(pieces, f.n_fft, f.hop_length, f.window_length, window, return_complex=True)
        return spectra[:, : f.n_bins].abs()

    def shared_input(self) -> torch.Tensor:
        """Ours, as the network is fed."""
        frames = self.front_end.frames(torch.from_numpy(self.waveform)).numpy()
        cut = stack_segments([self.grid.cut(frames, start)[0] for start in self.starts])
        return self.front_end(torch.from_numpy(cut)).contiguous()

    def librosa_input(self) -> Array:
        """The same by librosa and numpy."""
        scaled = [piece / max(piece.max(), LOG_FLOOR) for piece in self.librosa_each()]
        return np.stack([np.log1p(MU * piece) / np.float32(math.log1p(MU)) for piece in scaled])

    def torch_input(self) -> torch.Tensor:
        """The same by torch."""
        return self.front_end(self.torch_batch().transpose(1, 2)).contiguous()


def measure(candidates: Sequence[Callable[[], object]], repeats: int) -> list[float]:
    """Seconds of CPU time of each."""
    times: list[list[float]] = [[] for _ in candidates]
    for i in range(repeats + 1):
        for k, run in enumerate(candidates):
            start = time.process_time()
            run()
            if i:  # the first time loads and plans
                times[k].append(time.process_time() - start)
    return [median(found) for found in times]


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=float, nargs="+", default=[15, 60])
    parser.add_argument("--repeats", type=int, default=21)
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    print(f"librosa {librosa.__version__}, torch {torch.__version__}, {_processor()}, one thread\n")
    print("| recording | segments | what | affectra ms | librosa.stft each ms | x | torch.stft, one batch ms | x |")
    print("|---|---|---|---|---|---|---|---|")
    for duration_s in arguments.seconds:
        windows = Windows(duration_s)
        for what, candidates in {
            "magnitudes": (windows.shared, windows.librosa_each, windows.torch_batch),
            "network input": (windows.shared_input, windows.librosa_input, windows.torch_input),
        }.items():
            ours, by_librosa, by_torch = measure(candidates, arguments.repeats)
            cells = [f"{1000 * ours:.1f}"]
            for theirs in (by_librosa, by_torch):
                cells += [f"{1000 * theirs:.1f}", f"{theirs / ours:.1f}"]
            print(f"| {duration_s:g} s | {len(windows.starts)} | {what} | {' | '.join(cells)} |", flush=True)


def _processor() -> str:
    lines = Path("/proc/cpuinfo").read_text().splitlines() if Path("/proc/cpuinfo").is_file() else []
    models = [line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")]
    return f"{models[0] if models else platform.processor()}, {os.cpu_count()} cores"


if __name__ == "__main__":
    main()
