"""What LEAF is made of: the scan, PCEN, windows at reduced rates, and filters anywhere within their bounds."""

import copy
import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from affectra.features.leaf.edges import full_rate_energies
from affectra.features.leaf.filters import gabor_taps, initial_gabor, pooling_slopes, pooling_windows
from affectra.features.leaf.leaf import Leaf
from affectra.features.leaf.pcen import Pcen, linear_scan
from affectra.features.leaf.plan import block_grid, kernel, make_plan, next_length


@pytest.mark.parametrize("n_frames", [1, 2, 31, 32, 33, 64, 1000, 1100])
def test_the_scan_is_the_loop(n_frames: int) -> None:
    generator = torch.Generator().manual_seed(n_frames)
    inputs = torch.randn(3, 5, n_frames, dtype=torch.float64, generator=generator)
    decay = torch.tensor([0.0, 0.5, 0.96, 0.9999, 1.0], dtype=torch.float64)
    state = initial = torch.randn(3, 5, dtype=torch.float64, generator=generator)
    steps = []
    for t in range(n_frames):
        state = decay * state + inputs[..., t]
        steps.append(state)
    torch.testing.assert_close(linear_scan(inputs, decay, initial), torch.stack(steps, dim=2))


def test_pcen_is_its_formula_and_goes_on_from_a_state() -> None:
    pcen = Pcen(4).double()
    generator = torch.Generator().manual_seed(0)
    energies = torch.rand(2, 4, 90, dtype=torch.float64, generator=generator) * 10 + 1e-5
    mean, expected = energies[..., 0], []
    for t in range(90):
        mean = 0.96 * mean + 0.04 * energies[..., t]
        expected.append((energies[..., t] / (1e-12 + mean) ** 0.96 + 2) ** 0.5 - 2**0.5)
    with torch.no_grad():
        for parameter, value in ((pcen.alpha, 0.96), (pcen.smoothing, 0.04)):
            parameter.fill_(value)
        whole, _ = pcen(energies)
        first, state = pcen(energies[..., :41])
        second, _ = pcen(energies[..., 41:], state)
    torch.testing.assert_close(whole, torch.stack(expected, dim=2))
    torch.testing.assert_close(torch.cat([first, second], dim=2), whole)


def test_the_gradient_of_pcen_is_that_of_finite_differences() -> None:
    pcen = Pcen(3).double()
    energies = torch.rand(2, 3, 40, dtype=torch.float64, generator=torch.Generator().manual_seed(0)) + 0.01
    names = [name for name, _ in pcen.named_parameters()]

    def run(energies, *values):
        return torch.func.functional_call(pcen, dict(zip(names, values, strict=True)), (energies,))[0]

    values = [torch.tensor(v, dtype=torch.float64, requires_grad=True) for v in
              ([0.9, 0.5, 0.99], [2.0, 1.0, 0.5], [2.0, 1.5, 3.0], [0.04, 0.3, 0.9])]  # fmt: skip
    assert torch.autograd.gradcheck(run, (energies.requires_grad_(), *values))


@given(st.integers(2, 10_000))
def test_block_lengths_are_quick_and_no_longer_than_need_be(at_least: int) -> None:
    length = next_length(at_least)
    assert at_least <= length < at_least * 1.5
    while length % 2 == 0:
        length //= 2
    assert length in (1, 3)


def test_the_kernel_interpolates_what_is_sampled_often_enough() -> None:
    samples, places = np.arange(200), np.linspace(60, 140, 777)
    for frequency in (0.0, 0.05, 0.1, 0.2):  # of the sample rate
        found = kernel(places[:, None] - samples) @ np.cos(2 * math.pi * frequency * samples + 0.3)
        np.testing.assert_allclose(found, np.cos(2 * math.pi * frequency * places + 0.3), atol=1e-4)


def test_slopes_are_the_derivative_of_windows() -> None:
    widths = torch.tensor([0.1, 0.3, 0.45], dtype=torch.float64)
    change = 1e-6
    difference = (pooling_windows(widths + change, 401) - pooling_windows(widths - change, 401)) / (2 * change)
    torch.testing.assert_close(pooling_slopes(widths, 401), difference, atol=1e-7, rtol=1e-7)
    assert (pooling_slopes(torch.tensor([0.001, 0.7]), 401) == 0).all()


def test_no_two_initial_filters_are_alike_whatever_the_rate() -> None:
    for sample_rate in (8000, 16_000, 22_050, 48_000):
        for n_filters in (20, 40, 80):
            centers, widths = initial_gabor(n_filters, sample_rate, int(0.025 * sample_rate) + 1)
            assert (centers.diff() > 0).all() and (widths > 0).all() and centers.max() < math.pi


def test_energies_at_the_full_rate_have_the_gradient_of_finite_differences() -> None:
    generator = torch.Generator().manual_seed(0)
    samples = torch.randn(2, 60, generator=generator)
    taps = torch.randn(3, 9, dtype=torch.complex128, generator=generator)
    windows = torch.rand(3, 2, 9, dtype=torch.float64, generator=generator)
    weights = torch.rand(2, 3, 2, generator=generator)
    taps.requires_grad_(), windows.requires_grad_()
    (full_rate_energies(samples, taps, windows, [0, 30]) * weights).sum().backward()
    filtered = torch.einsum("bnt,ft->bfn", samples.double().unfold(1, 9, 1), torch.view_as_real(taps)[..., 0])
    other = torch.einsum("bnt,ft->bfn", samples.double().unfold(1, 9, 1), torch.view_as_real(taps)[..., 1])
    squares = (filtered**2 + other**2).unfold(2, 9, 1)[:, :, [0, 30]]
    truth = (torch.einsum("bfnt,fnt->bfn", squares, windows) * weights).sum()
    for ours, exact in zip((taps.grad, windows.grad), torch.autograd.grad(truth, (taps, windows)), strict=True):
        torch.testing.assert_close(ours, exact, rtol=1e-4, atol=1e-4)


def test_bands_hold_nearly_all_of_a_filter() -> None:
    centers, widths = initial_gabor(40, 16_000, 401)
    taps = gabor_taps(centers, widths, 401).numpy()
    plan = make_plan(block_grid(401, 160), taps, pooling_windows(torch.full((40,), 0.4), 401).numpy())
    power = np.abs(np.fft.ifft(taps.conj(), plan.grid.block_length, norm="forward")) ** 2
    assert sorted(f for group in plan.groups for f in group.filters) == list(range(40))
    for group in plan.groups:
        for index, start in zip(group.filters, group.starts, strict=True):
            band = power[index, (start + np.arange(group.size)) % plan.grid.block_length]
            assert band.sum() / power[index].sum() > 1 - 1e-5
            if group.size < plan.grid.block_length:
                assert 0.3 < (band.argmax() + 0.5) / group.size < 0.7  # the centre is in the middle


@given(
    seed=st.integers(0, 10_000),
    sample_rate=st.sampled_from([8000, 16_000, 22_050, 48_000]),
    n_filters=st.integers(20, 80),
    hop_s=st.sampled_from([0.01, 0.03]),
    bias=st.booleans(),
)
@settings(max_examples=6, deadline=None, derandomize=True)
def test_fast_equals_direct_wherever_the_parameters_are(
    seed: int, sample_rate: int, n_filters: int, hop_s: float, bias: bool
) -> None:
    generator = torch.Generator().manual_seed(seed)

    def between(low: float, high: float) -> torch.Tensor:
        return low + (high - low) * torch.rand(n_filters, generator=generator)

    leaf = Leaf(n_filters, sample_rate, hop_s=hop_s, pooling_bias=bias)
    length, half = leaf.window_length, math.sqrt(2 * math.log(2)) / math.pi
    with torch.no_grad():
        leaf.centers.copy_(between(0, math.pi))
        leaf.widths.copy_(between(math.log(4 * half), math.log(length * half)).exp())
        leaf.pooling_widths.copy_(between(math.log(2 / length), math.log(0.5)).exp())
        leaf.pcen.alpha.copy_(between(0.5, 1))
        leaf.pcen.delta.copy_(between(0.5, 3))
        leaf.pcen.root.copy_(between(1, 4))
        leaf.pcen.smoothing.copy_(between(0.01, 0.2))
    time_s = torch.arange(int(0.4 * sample_rate)) / sample_rate
    noise = torch.randn(len(time_s), generator=generator)
    tone = torch.sin(2 * math.pi * sample_rate / 16 * time_s)
    waveform = torch.stack([0.3 * noise, tone, torch.where(time_s > 0.21, tone, 1e-4 * noise), (time_s == 0.2).float()])
    direct = copy.deepcopy(leaf).double()
    outputs, truth = leaf(waveform), direct(waveform.double())
    scale = truth.detach().abs().max().clamp_min(4)  # 1e-4 of a usual range; roots near 1 give large outputs
    assert ((outputs - truth).abs().max() / scale * 4).item() < 1e-4
    weights = torch.rand(outputs.shape, generator=generator)
    (outputs * weights).sum().backward()
    (truth * weights).sum().backward()
    for (name, p), (_, q) in zip(leaf.named_parameters(), direct.named_parameters(), strict=True):
        assert (p.grad - q.grad).norm() < 1e-3 * q.grad.norm(), name
