"""The CNN on samples: what a frame's vector depends on, against the three layers written out."""

import pytest
import torch
from torch import Tensor
from torch.nn import functional

from affectra.errors import ConfigError
from affectra.models.frame import waveform_cnn
from affectra.models.frame.waveform_cnn import WaveformCnn

SMALL = {"channels": (3, 4, 6), "kernels": (8, 6, 6), "pools": (5, 3, 2), "dropout": 0.0}


def three_layers(cnn: WaveformCnn, signal: Tensor) -> Tensor:
    """(batch, sample) -> (batch, step, channel) by PyTorch's own layers."""
    x = signal[:, None]
    for layer in cnn.layers:
        kernel = layer.weight.shape[2]
        x = functional.conv1d(functional.pad(x, ((kernel - 1) // 2, kernel // 2)), layer.weight, layer.bias)
        x = functional.max_pool1d(x.relu(), layer.pool, ceil_mode=True)
    return x.transpose(1, 2)


def changed_frames(cnn: WaveformCnn, frame: int, n_frames: int = 12) -> list[int]:
    """Frames whose vectors change when the samples of one do."""
    torch.manual_seed(1)
    frames = torch.randn(1, n_frames, cnn.n_samples)
    other = frames.clone()
    other[0, frame] = torch.randn(cnn.n_samples)
    return ((cnn(frames) - cnn(other)).abs().amax((0, 2)) > 0).nonzero().flatten().tolist()


def test_the_papers_sizes_are_the_defaults() -> None:
    cnn = WaveformCnn(2205)
    assert [tuple(layer.weight.shape) for layer in cnn.layers] == [(50, 1, 8), (125, 50, 6), (250, 125, 6)]
    assert [layer.pool for layer in cnn.layers] == [10, 5, 5]
    assert cnn(torch.zeros(1, 2, 2205)).shape == (1, 2, 750)


@pytest.mark.parametrize("n_positions", [1, 2, 3])
@pytest.mark.parametrize("n_samples", [90, 101])
def test_a_frames_vector_is_the_mean_of_its_map_in_parts(n_samples: int, n_positions: int) -> None:
    torch.manual_seed(0)
    cnn = WaveformCnn(n_samples, **SMALL, n_positions=n_positions)
    frames = torch.randn(2, 4, n_samples)
    maps = three_layers(cnn, frames.flatten(0, 1))
    expected = torch.cat([part.mean(1) for part in maps.tensor_split(n_positions, dim=1)], dim=1).view(2, 4, -1)
    torch.testing.assert_close(cnn(frames), expected)
    assert cnn.n_outputs == expected.shape[2]


def test_a_frames_vector_depends_on_its_samples_alone() -> None:
    cnn = WaveformCnn(90, **SMALL)
    assert changed_frames(cnn, 5) == [5]


def test_every_sample_of_a_frame_counts() -> None:
    torch.manual_seed(0)
    cnn = WaveformCnn(101, channels=(64, 64), kernels=(8, 6), pools=(5, 3), dropout=0.0)
    frames = torch.randn(1, 20, 101, requires_grad=True)
    cnn(frames).sum().backward()
    assert (frames.grad.abs().amax((0, 1)) > 0).all()


def test_the_released_code_crosses_the_borders_of_frames() -> None:
    torch.manual_seed(0)
    cnn = WaveformCnn(95, **SMALL, compat="glam-imperial")
    assert set(changed_frames(cnn, 5)) > {5}


@pytest.mark.parametrize("n_samples", [95, 60])
def test_the_released_code_cuts_the_map_of_the_whole_sequence(n_samples: int) -> None:
    torch.manual_seed(0)
    cnn = WaveformCnn(n_samples, **SMALL, compat="glam-imperial")
    frames = torch.randn(2, 12, n_samples)  # 12 * 95 = 38 * 30 samples: no rest
    maps = three_layers(cnn, frames.flatten(1))
    torch.testing.assert_close(cnn(frames), maps.reshape(2, 12, -1))


def test_the_released_codes_sizes_and_pieces() -> None:
    # 100 frames of 4410: the map has 1764 steps of 250 channels, 17.64 steps a frame
    assert WaveformCnn(4410, compat="glam-imperial").n_outputs == 4410 == 1764 * 250 // 100
    assert WaveformCnn(2205, compat="glam-imperial").n_outputs == 2205
    assert [WaveformCnn(n, compat="glam-imperial").quantum for n in (4410, 2205, 2000)] == [25, 50, 1]


def test_the_released_code_completes_other_lengths_by_silence() -> None:
    torch.manual_seed(0)
    cnn = WaveformCnn(95, **SMALL, compat="glam-imperial")
    frames = torch.randn(1, 7, 95)
    assert cnn.quantum == 6
    completed = functional.pad(frames, (0, 0, 0, 5))
    torch.testing.assert_close(cnn(frames), three_layers(cnn, completed.flatten(1)).reshape(1, 12, -1)[:, :7])


@pytest.mark.parametrize("compat", [None, "glam-imperial"])
def test_padding_never_changes_a_vector(compat: str | None) -> None:
    torch.manual_seed(0)
    cnn = WaveformCnn(95, **SMALL, compat=compat)
    frames, n_frames = torch.randn(3, 20, 95), torch.tensor([1, 20, 12])  # 12: no silence completes it
    padded = cnn(frames, n_frames)
    assert (padded[0, 1:] == 0).all() and (padded[2, 12:] == 0).all()
    for row, n in enumerate(n_frames.tolist()):
        torch.testing.assert_close(padded[row, :n], cnn(frames[row : row + 1, :n])[0])


@pytest.mark.parametrize("compat", [None, "glam-imperial"])
def test_every_parameter_learns(compat: str | None) -> None:
    torch.manual_seed(0)
    cnn = WaveformCnn(95, **{**SMALL, "dropout": 0.5}, compat=compat)
    cnn(torch.randn(4, 20, 95), torch.tensor([20, 3, 20, 7])).square().sum().backward()
    assert all(parameter.grad.abs().sum() > 0 for parameter in cnn.parameters())


def test_a_long_recording_comes_in_blocks(monkeypatch: pytest.MonkeyPatch) -> None:
    torch.manual_seed(0)
    cnn, frames = WaveformCnn(95, **SMALL), torch.randn(1, 20, 95)
    whole = cnn(frames)
    sizes: list[int] = []
    cnn.layers[0].register_forward_hook(lambda _, given, __: sizes.append(len(given[0])))
    monkeypatch.setattr(waveform_cnn, "AT_ONCE", 8)
    torch.testing.assert_close(cnn(frames), whole)
    assert sizes == [8, 8, 4]


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"pools": (10, 5)}, "one thing a convolution each, found 3, 3 and 2"),
        ({"n_positions": 10}, r"leave 9 steps, which can be from 1 to 9 positions, found n_positions=10"),
        ({"dropout": 1.0}, "dropout is a share below 1"),
        ({"pools": (10, 5, 0)}, "pools from 1 to 255"),
        ({"compat": "glam-imperial", "channels": (50, 125, 7)}, "cuts 2205 samples x 7 channels / 250 values a frame"),
    ],
)
def test_a_cnn_that_cannot_be_says_why(options: dict, words: str) -> None:
    with pytest.raises(ConfigError, match=words):
        WaveformCnn(2205, **options)


def test_frames_of_another_length_are_refused() -> None:
    with pytest.raises(ConfigError, match="made for frames of 2205 samples, found 4410"):
        WaveformCnn(2205)(torch.zeros(1, 2, 4410))
