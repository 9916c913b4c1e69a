"""LEAF: equal to the published function, exact and fast, forward and backward."""

import copy
import math

import numpy as np
import pytest
import soundfile
import torch
from torch import Tensor, nn

from affectra.errors import AudioError, ConfigError
from affectra.features.leaf import fast as leaf_fast
from affectra.features.leaf import guard as leaf_guard
from affectra.features.leaf import leaf as leaf_module
from affectra.features.leaf import planner as leaf_planner
from affectra.features.leaf.leaf import Leaf, convert_leaf_pytorch
from affectra.features.leaf.planner import Planner
from affectra.features.leaf.stream import LeafStream

RATE = 16_000
TIMES = torch.arange(RATE) / RATE


def sine(frequency_hz: float) -> Tensor:
    return torch.sin(2 * math.pi * frequency_hz * TIMES)


def make_signals() -> dict[str, Tensor]:
    """One second each, up to full scale."""
    noise = torch.randn(RATE, generator=torch.Generator().manual_seed(0))
    bins = torch.arange(RATE // 2 + 1)
    murmur = torch.fft.irfft(torch.fft.rfft(noise) / (1 + (bins / 300) ** 2), RATE)
    murmur *= (0.5 + 0.5 * sine(4)).clamp_min(0.01)
    clicks, step = torch.zeros(RATE), torch.zeros(RATE)
    clicks[::4001], clicks[77], step[7993:] = 1, -1, 1
    onset = torch.where(TIMES > 0.37, sine(1010), 1e-4 * noise)
    return {
        "noise": 0.3 * noise.clamp(-3, 3), "speech-like": 0.7 * murmur / murmur.abs().max(), "tone 94": sine(94),
        "tone 200": sine(200), "tone 1010": sine(1010), "tone 7900": sine(7900), "clicks": clicks, "step": step,
        "constant": torch.ones(RATE), "silence": torch.zeros(RATE), "near-silence": 1e-4 * noise, "onset": onset,
        "hiss then hum": torch.where(TIMES < 0.5, 0.5 * sine(3000), 0.8 * sine(94)),
        "pair": 0.5 * sine(94) + 0.5 * sine(260),
    }  # fmt: skip


SIGNALS = make_signals()


@pytest.fixture(scope="module")
def reference(data_dir):
    path = data_dir / "reference" / "leaf.npz"
    if not path.is_file():
        pytest.skip("no reference outputs")
    return np.load(path)


def from_reference(reference, bias: bool, hop_s: float, exact: bool) -> Leaf:
    state = {name[6:]: torch.from_numpy(reference[name]) for name in reference.files if name.startswith("param.")}
    state["_pooling._bias"] = torch.full((40,), float(bias))
    leaf = Leaf(hop_s=hop_s, pooling_bias=bias, exact=exact)
    leaf.load_state_dict(convert_leaf_pytorch(state, pooling_bias=bias))
    return leaf


@pytest.mark.parametrize("exact", [False, True])
@pytest.mark.parametrize("bias", [False, True])
@pytest.mark.parametrize("hop_s", [0.01, 0.03])
def test_outputs_are_those_of_leaf_pytorch(reference, bias: bool, hop_s: float, exact: bool) -> None:
    published = reference[f"bias{int(bias)}_hop{round(1000 * hop_s)}"]
    leaf = from_reference(reference, bias, hop_s, exact)
    with torch.no_grad():
        outputs = leaf(torch.from_numpy(reference["input"]))
    np.testing.assert_allclose(outputs.numpy(), published, atol=2e-5)


@pytest.mark.parametrize("exact", [False, True])
@pytest.mark.parametrize("hop_s", [0.01, 0.03])
def test_gradients_are_those_of_leaf_pytorch(reference, hop_s: float, exact: bool) -> None:
    leaf = from_reference(reference, bias=False, hop_s=hop_s, exact=exact)
    leaf(torch.from_numpy(reference["input"][:2])).square().mean().backward()
    start = f"bias0_hop{round(1000 * hop_s)}_grad."
    names = [name for name in reference.files if name.startswith(start)]
    published = {name[len(start) :]: torch.from_numpy(reference[name]) for name in names}
    converted = convert_leaf_pytorch(published, pooling_bias=True)
    for name, parameter in leaf.named_parameters():
        error = (parameter.grad - converted[name]).abs().max() / converted[name].abs().max()
        assert error < 2e-5, f"{name}: {error}"


def test_initial_filters_are_the_published_ones(reference) -> None:
    leaf = Leaf()
    kernel = torch.from_numpy(reference["param._complex_conv._kernel"])
    torch.testing.assert_close(torch.stack([leaf.centers, leaf.widths], dim=1).detach(), kernel)
    assert sum(parameter.numel() for parameter in leaf.parameters()) == 280


@pytest.mark.parametrize("bias", [False, True])
def test_fast_equals_float64_direct_on_every_signal(bias: bool) -> None:
    fast = Leaf(pooling_bias=bias)
    direct = copy.deepcopy(fast).double()
    waveforms = torch.stack(list(SIGNALS.values()))
    generator = torch.Generator().manual_seed(1)
    for name, waveform in zip(SIGNALS, waveforms[:, None], strict=True):
        outputs, truth = fast(waveform), direct(waveform.double())
        assert (outputs - truth).abs().max() < 3e-5, name
        weights = torch.rand(outputs.shape, generator=generator)
        for model, output in ((fast, outputs), (direct, truth)):
            model.zero_grad()
            (output * weights).sum().backward()
        for (parameter, p), (_, q) in zip(fast.named_parameters(), direct.named_parameters(), strict=True):
            scale = q.grad.norm().clamp_min(1)  # of thousands of outputs; for silence some are zero in theory
            assert (p.grad - q.grad).norm() / scale < 1e-3, f"{name}: {parameter}"


def test_speech_is_exact_to_a_ten_thousandth(data_dir) -> None:
    files = sorted((data_dir / "emodb" / "wav").glob("*.wav"))[::67]
    assert files
    fast = Leaf()
    direct = copy.deepcopy(fast).double()
    with torch.no_grad():
        for file in files:
            waveform = torch.from_numpy(soundfile.read(file)[0])[None, : 2 * RATE]
            assert (fast(waveform.float()) - direct(waveform)).abs().max() < 1e-4, file.name


def test_a_loud_tone_needs_the_guard(monkeypatch: pytest.MonkeyPatch) -> None:
    """What a filter's side lobes take from a tone far away is most of its energy; at reduced rates it would be lost."""
    waveform = torch.stack([SIGNALS["tone 1010"], SIGNALS["onset"]])
    leaf = Leaf()
    with torch.no_grad():
        truth = copy.deepcopy(leaf).double()(waveform.double())
        guarded = (leaf(waveform) - truth).abs().max()
        monkeypatch.setattr(leaf_guard, "TOLERANCE", math.inf)
        unguarded = (leaf(waveform) - truth).abs().max()
    assert guarded < 3e-5 and unguarded > 1e-3


def test_noise_needs_the_full_rate_nowhere_but_in_the_widest_filter(monkeypatch: pytest.MonkeyPatch) -> None:
    found = []
    decide = leaf_fast.needs_full_rate
    monkeypatch.setattr(leaf_fast, "needs_full_rate", lambda *args: found.append(decide(*args)) or found[-1])
    leaf = Leaf()
    leaf(0.1 * torch.randn(8, 4 * RATE, generator=torch.Generator().manual_seed(0)))
    assert found[0].float().mean() < 0.01  # of blocks and filters
    plan = leaf._ready_bank().plan
    assert [group.filters for group in plan.groups if group.size == plan.grid.block_length] == [[0]]
    n_values = plan.n_values / (plan.grid.n_frames * plan.grid.hop_length)  # complex, per sample of the signal
    direct_products, fft_products = 80 * 401, 10  # per sample; per value of an FFT of a few hundred
    assert n_values < 7.5 and n_values * fft_products < direct_products / 400


@pytest.mark.parametrize("n_samples", [1, 100, 159, 160, 161, 400, 1601, 2700, 5000, 16_123])
def test_any_length_gives_a_frame_per_started_hop(n_samples: int) -> None:
    leaf = Leaf()
    waveform = torch.randn(2, n_samples, generator=torch.Generator().manual_seed(n_samples))
    with torch.no_grad():
        outputs = leaf(waveform)
        assert outputs.shape == (2, 40, leaf.n_frames(n_samples)) == (2, 40, math.ceil(n_samples / 160))
        torch.testing.assert_close(outputs, Leaf(exact=True)(waveform), atol=3e-5, rtol=0)


def test_signals_of_a_batch_do_not_change_each_other() -> None:
    leaf, waveforms = Leaf(), torch.stack(list(SIGNALS.values()))
    with torch.no_grad():
        together = leaf(waveforms)
        for i, waveform in enumerate(waveforms):
            torch.testing.assert_close(leaf(waveform[None])[0], together[i], atol=1e-5, rtol=0)


def test_every_parameter_learns_and_fixed_ones_do_not() -> None:
    for leaf in (Leaf(), Leaf(pooling_bias=True), Leaf(exact=True), Leaf(8, 8000)):
        leaf(SIGNALS["noise"][None]).square().mean().backward()
        for name, parameter in leaf.named_parameters():
            assert parameter.grad is not None and (parameter.grad != 0).all(), name
    fixed = Leaf(learnable=False)
    assert not any(parameter.requires_grad for parameter in fixed.parameters())
    assert not fixed(SIGNALS["noise"][None]).requires_grad


def test_the_waveform_gets_its_gradient() -> None:
    leaf = Leaf(6, 8000)
    waveform = 0.1 * torch.randn(1, 900, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    truth = waveform.clone().requires_grad_()
    copy.deepcopy(leaf).double()(truth).sum().backward()
    single = waveform.float().requires_grad_()
    leaf(single).sum().backward()
    torch.testing.assert_close(single.grad, truth.grad.float(), rtol=1e-3, atol=1e-3 * truth.grad.abs().max().item())


def test_going_back_twice_through_a_kept_graph_gives_the_same() -> None:
    leaf = Leaf()
    loss = leaf(SIGNALS["pair"][None]).square().mean()
    parameters = list(leaf.parameters())
    first = torch.autograd.grad(loss, parameters, retain_graph=True)
    for a, b in zip(first, torch.autograd.grad(loss, parameters), strict=True):
        torch.testing.assert_close(a, b)


def test_autocast_changes_nothing() -> None:
    leaf = Leaf()
    waveform = torch.stack([SIGNALS["noise"], SIGNALS["tone 200"]])
    gradients = []
    for enabled in (False, True):
        leaf.zero_grad()
        with torch.autocast("cpu", dtype=torch.bfloat16, enabled=enabled):
            outputs = leaf(waveform)
            outputs.square().mean().backward()
        assert outputs.dtype == torch.float32
        gradients.append([parameter.grad for parameter in leaf.parameters()])
    for plain, mixed in zip(*gradients, strict=True):
        torch.testing.assert_close(plain, mixed)


def test_filters_that_moved_are_planned_anew() -> None:
    leaf = Leaf()
    truth = copy.deepcopy(leaf).double()
    waveform = torch.stack([SIGNALS["noise"], SIGNALS["tone 1010"]])
    first = leaf._ready_bank().plan
    with torch.no_grad():
        for model in (leaf, truth):
            model.centers.copy_(model.centers.flip(0))
            model.pooling_widths.fill_(0.01)
        torch.testing.assert_close(leaf(waveform).double(), truth(waveform.double()), atol=3e-5, rtol=0)
    assert leaf._ready_bank().plan is not first


def test_a_plan_is_the_same_however_training_came_there(monkeypatch: pytest.MonkeyPatch) -> None:
    asked = []
    choose = leaf_planner.choose_bands
    monkeypatch.setattr(leaf_planner, "choose_bands", lambda *args: asked.append(len(args[1])) or choose(*args))
    parameters = [parameter.detach() for parameter in (Leaf().centers, Leaf().widths, Leaf().pooling_widths)]
    gone = Planner(401, 160)
    for _ in range(20):
        steps = torch.randn(3, 40, generator=torch.Generator().manual_seed(len(asked))) * 1e-3
        parameters = [parameter + step for parameter, step in zip(parameters, steps, strict=True)]
        plan = gone.plan(*parameters)
    assert asked[0] == 40 and sum(asked[1:]) < 0.8 * 19 * 40  # narrow filters have not come to another step
    bands = [[(group.size, group.filters, group.starts) for group in made.groups]
             for made in (plan, Planner(401, 160).plan(*parameters))]  # fmt: skip
    assert bands[0] == bands[1]
    assert gone.plan(*parameters) is plan


def test_parameters_beyond_their_bounds_are_used_at_the_bounds() -> None:
    beyond, at = Leaf(4), Leaf(4)
    half = math.sqrt(2 * math.log(2)) / math.pi
    values = {
        "centers": ([-1, 4, 1, 1], [0, math.pi, 1, 1]),
        "widths": ([20, 20, 0.1, 900], [20, 20, 4 * half, 401 * half]),
    }
    values["pooling_widths"] = ([0.3, 0.3, 0.0001, 7], [0.3, 0.3, 2 / 401, 0.5])
    with torch.no_grad():
        for name, (outer, inner) in values.items():
            getattr(beyond, name).copy_(torch.tensor(outer))
            getattr(at, name).copy_(torch.tensor(inner))
    outputs = beyond(SIGNALS["noise"][None])
    torch.testing.assert_close(outputs, at(SIGNALS["noise"][None]), atol=1e-5, rtol=1e-5)
    outputs.sum().backward()
    for name, (outer, inner) in values.items():
        outside = torch.tensor(outer) != torch.tensor(inner)
        assert (getattr(beyond, name).grad[outside] == 0).all() and (getattr(beyond, name).grad[~outside] != 0).all()


def test_fast_and_direct_agree_after_a_thousand_training_steps() -> None:
    torch.manual_seed(0)
    leaf = Leaf(6, 8000)
    start = copy.deepcopy(leaf.state_dict())
    optimizer = torch.optim.Adam(leaf.parameters(), lr=3e-3)
    for group in optimizer.param_groups:
        group["foreach"] = False
    head = nn.Linear(6, 1)
    for _ in range(1000):
        optimizer.zero_grad()
        features = leaf(0.3 * torch.randn(1, 1200))
        (head(features.mean(2)) * torch.randn(1)).sum().backward()
        optimizer.step()
    assert all((start[name] != value).any() for name, value in leaf.state_dict().items())
    waveform = torch.stack(list(SIGNALS.values()))[:, ::2]
    with torch.no_grad():
        truth = copy.deepcopy(leaf).double()(waveform.double())
        torch.testing.assert_close(leaf(waveform).double(), truth, atol=1e-4, rtol=1e-5)


@pytest.mark.parametrize("frequency_hz", [300.0, 1000.0, 2500.0, 6000.0])
def test_a_tone_is_loudest_in_the_filter_around_it(frequency_hz: float) -> None:
    leaf = Leaf()
    with torch.no_grad():
        energies = leaf.energies(sine(frequency_hz)[None], 10, 80)[0]
    nearest = (leaf.centers.detach() * RATE / (2 * math.pi) - frequency_hz).abs().argmin()
    assert (energies.argmax(0) - nearest).abs().max() <= 1  # neighbours overlap


@pytest.mark.parametrize("block_length", [77, 160, 1000, 5000])
def test_blocks_of_a_stream_give_the_frames_of_the_whole(block_length: int) -> None:
    leaf = Leaf()
    names = ["noise", "speech-like", "tone 200", "tone 1010", "clicks", "step", "silence", "near-silence", "pair"]
    waveform = torch.stack([SIGNALS[name] for name in names])[:, :15_877]
    stream = LeafStream(leaf)
    blocks = [stream.push(block) for block in waveform.split(block_length, dim=1)]
    assert sum(block.shape[2] for block in blocks) > 90  # as they come, not all at the end
    with torch.no_grad():
        torch.testing.assert_close(torch.cat([*blocks, stream.finish()], dim=2), leaf(waveform), atol=1e-5, rtol=0)


def test_a_long_recording_in_stretches_is_the_whole(monkeypatch: pytest.MonkeyPatch) -> None:
    leaf, waveform = Leaf(), torch.stack([SIGNALS["noise"], SIGNALS["onset"]])
    with torch.no_grad():
        whole = leaf(waveform)
        monkeypatch.setattr(leaf_module, "CHUNK_FRAMES", 2 * 37)
        torch.testing.assert_close(leaf(waveform), whole, atol=2e-5, rtol=0)


def test_an_hour_is_never_in_memory_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """What becomes of a stretch grows with it, of which a batch has 8192 frames at most."""
    leaf, lengths = Leaf(20, 1000, window_s=0.03, hop_s=0.03), []
    compute = Leaf.chunk_energies
    monkeypatch.setattr(
        Leaf, "chunk_energies", lambda self, *args: lengths.append(args[0].shape[1]) or compute(self, *args)
    )
    with torch.no_grad():
        outputs = leaf(0.1 * torch.randn(1, 3600 * 1000, generator=torch.Generator().manual_seed(0)))
    assert outputs.shape == (1, 20, 120_000) and outputs.isfinite().all()
    assert len(lengths) > 10 and max(lengths) == leaf.reach(leaf_module.CHUNK_FRAMES)


def test_inference_mode_and_training_take_turns() -> None:
    leaf, waveform = Leaf(), SIGNALS["noise"][None]
    with torch.inference_mode():
        inferred = leaf(waveform)
    trained = leaf(waveform)
    trained.sum().backward()
    with torch.no_grad():
        leaf.centers.add_(0.001)
        assert (leaf(waveform) != inferred).any()
    torch.testing.assert_close(inferred, trained.detach(), atol=1e-6, rtol=1e-6)


def test_mistakes_are_named() -> None:
    with pytest.raises(AudioError, match=r"expects \(batch, sample\) .* found \(16000,\)"):
        Leaf()(torch.zeros(16_000))
    with pytest.raises(AudioError, match=r"found \(1, 0\)"):
        Leaf()(torch.zeros(1, 0))
    with pytest.raises(ConfigError, match="n_filters=0"):
        Leaf(0)
    with pytest.raises(ConfigError, match=r"hop_s=0\.0"):
        Leaf(hop_s=0.0)
    with pytest.raises(ConfigError, match=r"missing: _complex_conv\._kernel"):
        convert_leaf_pytorch({}, pooling_bias=True)
