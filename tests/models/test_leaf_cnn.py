"""Laws of the LEAF that learns and of the CNN over it (Dutta & Ganapathy 2022)."""

import math

import pytest
import torch
from safetensors.torch import load_file, save_file
from torch import nn

from affectra.errors import ConfigError
from affectra.features.leaf.frames import FixedLeaf
from affectra.features.leaf.leaf import Leaf
from affectra.features.leaf.learned import LearnedLeaf
from affectra.models.utterance.leaf_cnn import LeafCnn, MaskedBatchNorm2d, halved

SMALL = {"channels": [4, 4, 6, 6, 8, 5], "n_embedding": 7}
HOPS_S = [0.010, 0.0125, 0.020, 0.030]


def noise(*shape: int, seed: int = 0) -> torch.Tensor:
    return 0.1 * torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def cnn(**options) -> LeafCnn:
    """With statistics and biases of batch normalisation that would show padding."""
    torch.manual_seed(0)
    model = LeafCnn(40, 4, **{**SMALL, **options})
    for module in model.modules():
        if isinstance(module, nn.BatchNorm2d):
            nn.init.normal_(module.running_mean)
            nn.init.uniform_(module.running_var, 0.5, 2.0)
            nn.init.normal_(module.bias)
    return model.eval()


@pytest.mark.parametrize("hop_s", HOPS_S)
@pytest.mark.parametrize("n_samples", [1, 159, 160, 161, 800, 16_001])
def test_samples_come_back_from_their_frames_and_give_a_column_each(hop_s: float, n_samples: int) -> None:
    front_end = LearnedLeaf(hop_s=hop_s)
    frames = front_end.frames(noise(n_samples))
    assert frames.shape == (front_end.n_frames(n_samples), front_end.hop_length)
    assert torch.equal(frames.flatten()[:n_samples], noise(n_samples)) and not frames.flatten()[n_samples:].any()
    features = front_end(frames[None])
    assert features.shape == (1, 40, front_end.n_frames(n_samples)) and torch.isfinite(features).all()


def test_at_the_papers_hop_it_is_leaf_of_the_waveform_up_to_the_next_hop() -> None:
    front_end, samples = LearnedLeaf(hop_s=0.030), noise(48 * 480)
    with torch.no_grad():
        torch.testing.assert_close(front_end(front_end.frames(samples)[None]), Leaf(hop_s=0.030)(samples[None]))


def test_at_a_short_hop_it_is_the_fixed_leaf_but_where_the_signal_ends() -> None:
    front_end, samples = LearnedLeaf(), noise(16_000)
    with torch.no_grad():
        ours, fixed = front_end(front_end.frames(samples)[None])[0].T, FixedLeaf().frames(samples)
    torch.testing.assert_close(ours[:-2], fixed[:-2], atol=1e-4, rtol=0)


@pytest.mark.parametrize("hop_s", HOPS_S)
@pytest.mark.parametrize("n_frames", [1, 2, 30, 120])
def test_zeros_behind_change_no_real_frame(hop_s: float, n_frames: int) -> None:
    front_end = LearnedLeaf(hop_s=hop_s)
    segments = noise(1, n_frames, front_end.hop_length)
    with torch.no_grad():
        alone = front_end(segments)
        for extra in (1, 40, 300):
            padded = front_end(nn.functional.pad(segments, (0, 0, 0, extra)))
            torch.testing.assert_close(padded[..., :n_frames], alone, atol=1e-5, rtol=0)


@pytest.mark.parametrize("pooling_bias", [False, True])
def test_gradients_of_the_scores_reach_every_parameter_of_leaf_and_of_the_cnn(pooling_bias: bool) -> None:
    front_end, model = LearnedLeaf(hop_s=0.030, pooling_bias=pooling_bias), cnn().train()
    output = model(front_end(noise(3, 30, 480)), torch.tensor([30, 21, 4]))
    nn.functional.cross_entropy(output.scores, torch.tensor([0, 1, 2])).backward()
    named = [*front_end.named_parameters(), *model.named_parameters()]
    assert sum(p.numel() for p in front_end.parameters()) == 280 + 40 * pooling_bias
    for name, parameter in named:
        assert parameter.grad is not None and torch.isfinite(parameter.grad).all(), name
        assert parameter.grad.abs().sum() > 0, f"{name} learns nothing"


def test_a_step_against_the_gradient_of_leaf_lowers_the_loss() -> None:
    front_end, model, segments = LearnedLeaf(hop_s=0.030), cnn(), noise(4, 20, 480)
    targets = torch.tensor([0, 1, 2, 3])

    def loss() -> torch.Tensor:
        return nn.functional.cross_entropy(model(front_end(segments)).scores, targets)

    before = loss()
    before.backward()
    with torch.no_grad():
        for parameter in front_end.leaf.pcen.parameters():
            parameter -= 1e-3 * parameter.grad / parameter.grad.norm()
        assert loss() < before


def test_a_recording_of_34_seconds_is_like_any_other() -> None:
    """Fault 7 of the released code: it pads to 34 s, and what is as long has no value at all."""
    front_end, model, samples = LearnedLeaf(hop_s=0.030), cnn(), noise(34 * 16_000 + 480)
    scores = []
    for n_samples in (34 * 16_000 - 480, 34 * 16_000, 34 * 16_000 + 480):
        frames = front_end.frames(samples[:n_samples])
        with torch.inference_mode():
            scores.append(model(front_end(frames[None]), torch.tensor([len(frames)])).scores)
    assert torch.isfinite(torch.cat(scores)).all()
    torch.testing.assert_close(scores[1].expand(2, -1), torch.cat([scores[0], scores[2]]), atol=0.02, rtol=0)


@pytest.mark.parametrize("n_time", [1, 2, 3, 7, 8, 9, 37])
def test_padding_never_changes_a_score(n_time: int) -> None:
    model, x = cnn(), torch.randn(1, 40, n_time)
    alone = model(x, torch.tensor([n_time]))
    padded = nn.functional.pad(x, (0, 23), value=5.0)  # whatever stands in the padding
    together = model(torch.cat([padded, torch.randn_like(padded)]), torch.tensor([n_time, n_time + 23]))
    torch.testing.assert_close(together.scores[:1], alone.scores, atol=1e-5, rtol=1e-4)
    torch.testing.assert_close(together.embedding[:1], alone.embedding, atol=1e-5, rtol=1e-4)
    torch.testing.assert_close(model(x).scores, alone.scores, atol=1e-5, rtol=1e-4)
    assert alone.scores.shape == (1, 4) and alone.embedding.shape == (1, 7)


def test_padding_changes_neither_the_loss_nor_a_gradient_of_training() -> None:
    x, n = torch.randn(3, 40, 20), torch.tensor([20, 13, 5])
    results = []
    for width in (0, 31):
        model = cnn().train()
        scores = model(nn.functional.pad(x, (0, width), value=5.0), n).scores
        nn.functional.cross_entropy(scores, torch.tensor([0, 1, 2])).backward()
        statistics = [b.clone() for b in model.buffers()]
        results.append([scores, *statistics, *(p.grad for p in model.parameters())])
    for short, long in zip(*results, strict=True):
        torch.testing.assert_close(long, short, atol=1e-5, rtol=1e-4)


def test_masked_batch_normalisation_has_the_statistics_of_real_columns() -> None:
    x, n = 3 + 2 * torch.randn(3, 5, 6, 11), [11, 4, 1]
    layer = MaskedBatchNorm2d(5, momentum=1.0)
    normalized = layer(x, torch.tensor(n))
    real = torch.cat([x[i, :, :, :k].flatten(1) for i, k in enumerate(n)], dim=1)
    torch.testing.assert_close(layer.running_mean, real.mean(1))
    torch.testing.assert_close(layer.running_var, real.var(1))
    expected = (x[1, :, :, :4] - real.mean(1)[:, None, None]) / real.std(1, correction=0)[:, None, None]
    torch.testing.assert_close(normalized[1, :, :, :4], expected, atol=1e-4, rtol=1e-4)
    assert not normalized[1, :, :, 4:].any()


@pytest.mark.parametrize(("n_freq", "n_time", "n_real"), [(4, 6, 6), (5, 7, 7), (5, 8, 5), (1, 3, 1)])
def test_halving_is_the_mean_of_what_is_real_of_each_cell(n_freq: int, n_time: int, n_real: int) -> None:
    x = torch.randn(1, 1, n_freq, n_time)
    y = halved(x, torch.tensor([n_real]))
    assert y.shape == (1, 1, math.ceil(n_freq / 2), math.ceil(n_time / 2))
    for f in range(y.shape[2]):
        for t in range(math.ceil(n_real / 2)):
            cell = x[0, 0, 2 * f : 2 * f + 2, 2 * t : min(2 * t + 2, n_real)]
            torch.testing.assert_close(y[0, 0, f, t], cell.mean())


def test_the_order_of_a_batch_does_not_matter() -> None:
    model, x, n = cnn(), torch.randn(4, 40, 30), torch.tensor([30, 20, 8, 1])
    torch.testing.assert_close(model(x.flip(0), n.flip(0)).scores.flip(0), model(x, n).scores, atol=1e-5, rtol=1e-4)


def test_the_default_has_the_released_networks_convolutions() -> None:
    model = LeafCnn(40, 4)
    sizes = [tuple(layer.convolve.weight.shape) for layer in model.convolutions]
    pairs = [(1, 32), (32, 32), (32, 64), (64, 64), (64, 128), (128, 100)]
    assert sizes == [(n_out, n_in, 3, 3) for n_in, n_out in pairs]
    assert model.eval()(torch.randn(2, 40, 50)).embedding.shape == (2, 100)


def test_weights_keep_their_names_through_a_file(tmp_path) -> None:
    model, front_end = cnn(), LearnedLeaf()
    state = {**model.state_dict(), **{f"front_end.{k}": v for k, v in front_end.state_dict().items()}}
    save_file(state, tmp_path / "weights.safetensors")
    loaded = load_file(tmp_path / "weights.safetensors")
    again, ears = LeafCnn(40, 4, **SMALL).eval(), LearnedLeaf()
    ears.load_state_dict({k.removeprefix("front_end."): v for k, v in loaded.items() if k.startswith("front_end.")})
    again.load_state_dict({k: v for k, v in loaded.items() if not k.startswith("front_end.")})
    x = noise(1, 12, 160)
    assert torch.equal(again(ears(x)).scores, model(front_end(x)).scores)
    names = ("convolutions.0.convolve.weight", "embed.weight", "classify.bias", "front_end.leaf.centers")
    assert set(names) <= set(loaded)


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"channels": [4, 4, 4]}, r"channels are pairs .* found channels \[4, 4, 4\]"),
        ({"channels": []}, "channels are pairs"),
        ({"n_embedding": 0}, "n_embedding 0"),
        ({"dropout": 1.0}, "dropout is a share"),
    ],
)
def test_impossible_options_are_refused_by_name(options: dict, words: str) -> None:
    with pytest.raises(ConfigError, match=words):
        LeafCnn(40, 4, **options)
