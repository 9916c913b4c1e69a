"""Convolution, ReLU and max-pool in one against PyTorch's own, one after another."""

import pytest
import torch
from torch import Tensor
from torch.nn import functional

from affectra.errors import ConfigError
from affectra.models.frame import conv_pool
from affectra.models.frame.conv_pool import ConvReluPool, conv_relu_pool

# (batch, time, channels in), channels out, kernel, pool: whole windows, rests, kernels longer than windows and signals
SETTINGS = [
    ((2, 30, 1), 3, 8, 10),
    ((2, 23, 1), 3, 8, 10),
    ((3, 9, 2), 3, 6, 5),
    ((2, 11, 2), 2, 3, 1),
    ((1, 30, 1), 2, 25, 4),
    ((2, 13, 3), 2, 11, 4),
    ((2, 3, 1), 2, 2, 5),
    ((4, 12, 2), 3, 1, 3),
]


def one_after_another(x: Tensor, weight: Tensor, bias: Tensor, pool: int) -> Tensor:
    kernel = weight.shape[2]
    padded = functional.pad(x.transpose(1, 2), ((kernel - 1) // 2, kernel // 2))
    convolved = functional.conv1d(padded, weight, bias)
    return functional.max_pool1d(convolved.relu(), pool, ceil_mode=True).transpose(1, 2)


def inputs(shape: tuple, n_out: int, kernel: int, dtype: torch.dtype = torch.float64) -> tuple[Tensor, Tensor, Tensor]:
    torch.manual_seed(0)
    sizes = [shape, (n_out, shape[2], kernel), (n_out,)]
    return tuple(torch.randn(size, dtype=dtype, requires_grad=True) for size in sizes)


def assert_equal_gradients(leaves: tuple[Tensor, ...], pool: int, **tolerance: float) -> None:
    ours, theirs = conv_relu_pool(*leaves, pool), one_after_another(*leaves, pool)
    torch.testing.assert_close(ours, theirs, **tolerance)
    direction = torch.randn_like(ours)
    both = (torch.autograd.grad(output, leaves, direction) for output in (ours, theirs))
    for ours, theirs in zip(*both, strict=True):
        torch.testing.assert_close(ours, theirs, **tolerance)


@pytest.mark.parametrize("block", [1, 40, 2**18])  # a window at a time, a few, all
@pytest.mark.parametrize(("shape", "n_out", "kernel", "pool"), SETTINGS)
def test_values_and_gradients_are_those_of_three_layers(
    shape: tuple, n_out: int, kernel: int, pool: int, block: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(conv_pool, "BLOCK", block)
    assert_equal_gradients(inputs(shape, n_out, kernel), pool)


@pytest.mark.parametrize(("shape", "n_out", "kernel", "pool"), SETTINGS)
def test_gradients_are_differences(shape: tuple, n_out: int, kernel: int, pool: int) -> None:
    torch.autograd.gradcheck(lambda *leaves: conv_relu_pool(*leaves, pool), inputs(shape, n_out, kernel))


@pytest.mark.parametrize(("shape", "n_out", "kernel", "pool"), [((3, 2205, 1), 50, 8, 10), ((3, 221, 50), 125, 6, 5)])
def test_single_precision_is_as_exact_as_that_of_three_layers(shape: tuple, n_out: int, kernel: int, pool: int) -> None:
    x, weight, bias = inputs(shape, n_out, kernel, torch.float32)
    # as layers begin: outputs of about 1
    weight, bias = (0.5 * weight / weight[0].numel() ** 0.5).detach().requires_grad_(), (0.1 * bias).detach()
    assert_equal_gradients((x, weight, bias.requires_grad_()), pool, rtol=1e-4, atol=1e-5 * shape[0] * shape[1] ** 0.5)
    torch.testing.assert_close(
        conv_relu_pool(x, weight, bias, pool), one_after_another(x, weight, bias, pool), rtol=0, atol=1e-5
    )


@pytest.mark.parametrize("bias", [1.0, 0.0, -1.0])
def test_of_equal_values_the_first_is_taken_as_in_max_pool(bias: float) -> None:
    x, weight, offset = inputs((2, 23, 1), 3, 8)
    with torch.no_grad():
        weight.zero_()  # every step has the value of the bias: in silence it is so with any weight
        offset.fill_(bias)
    output = conv_relu_pool(x, weight, offset, 10)
    assert (output == max(bias, 0)).all()
    assert_equal_gradients((x, weight, offset), 10, rtol=0, atol=1e-12)


def test_equal_values_of_repeated_windows_have_the_gradient_of_one() -> None:
    x, weight, offset = inputs((1, 40, 1), 4, 4)
    with torch.no_grad():
        x.copy_(torch.tensor([1.0, -2.0, 0.5, 3.0, -1.0]).repeat(8)[None, :, None])  # twice the same in each window
    assert_equal_gradients((x, weight, offset), 10)


def test_what_is_not_a_number_stays_visible() -> None:
    x, weight, bias = inputs((1, 20, 1), 2, 3)
    with torch.no_grad():
        x[0, 4] = torch.nan
    output = conv_relu_pool(x, weight, bias, 10)
    assert output[0, 0].isnan().all() and not output[0, 1].isnan().any()
    output.sum().backward()


def test_what_is_kept_for_the_way_back_is_a_byte_a_window() -> None:
    kept = []
    x, weight, bias = inputs((4, 200, 1), 16, 8)
    with torch.autograd.graph.saved_tensors_hooks(lambda tensor: kept.append(tensor) or tensor, lambda tensor: tensor):
        output = conv_relu_pool(x, weight, bias, 10)
    n_bytes = sum(tensor.numel() * tensor.element_size() for tensor in kept if tensor is not x and tensor is not weight)
    assert n_bytes == output.numel()


@pytest.mark.parametrize(("shape", "n_out", "kernel", "pool"), SETTINGS)
def test_without_gradients_the_values_are_the_same(shape: tuple, n_out: int, kernel: int, pool: int) -> None:
    leaves = inputs(shape, n_out, kernel)
    with torch.no_grad():
        torch.testing.assert_close(conv_relu_pool(*leaves, pool), one_after_another(*leaves, pool))


def test_a_batch_of_none_has_a_gradient_of_zero() -> None:
    layer = ConvReluPool(1, 3, 8, 10)
    output = layer(torch.zeros(0, 20, 1))
    assert output.shape == (0, 2, 3)
    output.sum().backward()
    assert (layer.weight.grad == 0).all()


def test_under_mixed_precision_it_stays_single() -> None:
    layer, x = ConvReluPool(1, 3, 8, 10), torch.randn(2, 30, 1)
    with torch.autocast("cpu", torch.bfloat16):
        mixed = layer(x)
    torch.testing.assert_close(mixed, layer(x), rtol=0, atol=0)
    torch.testing.assert_close(layer(x.double()), layer(x), rtol=0, atol=0)


@pytest.mark.parametrize("sizes", [(0, 1, 1, 1), (1, 1, 0, 1), (1, 1, 1, 0), (1, 1, 1, 256)])
def test_a_layer_that_cannot_be_says_why(sizes: tuple[int, ...]) -> None:
    with pytest.raises(ConfigError, match=r"numbers from 1 on and pools from 1 to 255, found"):
        ConvReluPool(*sizes)
