"""Laws that every registered model obeys, and the attention pooling's own."""

import pytest
import torch
from torch import nn

from affectra.errors import ConfigError
from affectra.models import MODELS, AttentionCnn, fits_without_epochs
from affectra.models.layers import AttentionPool2d, GlobalPool2d
from affectra.recipes.config import load_recipe

N_CLASSES, N_TIME = 4, 40
LI = dict(load_recipe("li2018").recipe.model.options)
SMALL = {**LI, "n_filters": 2, "channels": [4, 6, 8, 8]}
TOKENS = ("last", "mean", "attention")
POOLINGS = ("attention", "mean_no_softmax", "softmax_mean", "average", "max")
# One row a model that can be built: the options it needs beyond the sizes, and its number of features.
VARIANTS = {
    **{f"attention-cnn {pooling}": ("attention-cnn", {**SMALL, "pooling": pooling}, 32) for pooling in POOLINGS},
    "attention-cnn first_stride": ("attention-cnn", {**SMALL, "first_stride": 2}, 32),
    "attention-cnn li2018-cpu": ("attention-cnn", dict(load_recipe("li2018-cpu").recipe.model.options), 100),
    "leaf-cnn": ("leaf-cnn", {"channels": [4, 4, 6, 6, 8, 5], "n_embedding": 7}, 40),
    "text-cnn": ("text-cnn", {"n_filters": 3, "n_embedding": 6}, 8),
    **{f"text-gru {p}": ("text-gru", {"n_hidden": 5, "n_embedding": 6, "pooling": p}, 8) for p in TOKENS},
}


def build(variant: str) -> tuple[nn.Module, int]:
    name, options, n_features = VARIANTS[variant]
    torch.manual_seed(0)
    return MODELS.build(name, options, n_features=n_features, n_classes=N_CLASSES), n_features


def test_every_registered_model_is_tested_here() -> None:
    elsewhere = {name for name in MODELS if fits_without_epochs(name)}  # in test_functionals.py, test_linear.py
    elsewhere |= {name for name in MODELS if getattr(MODELS[name], "is_sequence", False)}  # in test_sequence.py
    assert {name for name, _, _ in VARIANTS.values()} | elsewhere == set(MODELS)
    assert elsewhere == {"svm", "linear", "cnn-blstm", "autoencoder-fusion"}


@pytest.mark.parametrize("variant", VARIANTS)
def test_every_parameter_receives_a_gradient(variant: str) -> None:
    model, n_features = build(variant)
    output = model(torch.randn(3, n_features, N_TIME), torch.tensor([N_TIME, 30, 11]))
    nn.functional.cross_entropy(output.scores, torch.tensor([0, 1, 2])).backward()
    for name, parameter in model.named_parameters():
        assert parameter.grad is not None and parameter.grad.abs().sum() > 0, f"{name} learns nothing"


@pytest.mark.parametrize("variant", VARIANTS)
@pytest.mark.parametrize("n_time", [9, 40, 77])
def test_any_length_and_a_batch_of_one_give_scores(variant: str, n_time: int) -> None:
    model, n_features = build(variant)
    output = model.eval()(torch.randn(1, n_features, n_time))
    assert output.scores.shape == (1, N_CLASSES) and torch.isfinite(output.scores).all()
    assert output.embedding.ndim == 2


@pytest.mark.parametrize("variant", VARIANTS)
@pytest.mark.parametrize("n_time", [8, 9, 10, 11, 37])
def test_padding_never_changes_a_score(variant: str, n_time: int) -> None:
    model, n_features = build(variant)
    _randomise_statistics(model)
    x = torch.randn(1, n_features, n_time)
    alone = model.eval()(x, torch.tensor([n_time]))
    padded = nn.functional.pad(x, (0, 23), value=5.0)  # whatever stands in the padding
    together = model(torch.cat([padded, torch.randn_like(padded)]), torch.tensor([n_time, n_time + 23]))
    torch.testing.assert_close(together.scores[:1], alone.scores, atol=1e-5, rtol=1e-4)
    torch.testing.assert_close(together.embedding[:1], alone.embedding, atol=1e-5, rtol=1e-4)
    torch.testing.assert_close(model(x).scores, alone.scores, atol=1e-5, rtol=1e-4)


@pytest.mark.parametrize("variant", VARIANTS)
def test_the_order_of_a_batch_does_not_matter(variant: str) -> None:
    model, n_features = build(variant)
    x, n = torch.randn(4, n_features, N_TIME), torch.tensor([40, 20, 33, 8])
    scores = model.eval()(x, n).scores
    torch.testing.assert_close(model(x.flip(0), n.flip(0)).scores.flip(0), scores, atol=1e-5, rtol=1e-4)


@pytest.mark.parametrize("variant", VARIANTS)
def test_weights_that_are_saved_and_loaded_give_the_same_scores(variant: str) -> None:
    model, n_features = build(variant)
    _randomise_statistics(model)
    again, _ = build(variant)
    again.load_state_dict({name: tensor.clone() for name, tensor in model.state_dict().items()})
    x = torch.randn(2, n_features, N_TIME)
    assert torch.equal(again.eval()(x).scores, model.eval()(x).scores)


def _randomise_statistics(model: nn.Module) -> None:
    """Batch normalisation with an offset, so that padding would show."""
    for module in model.modules():
        if isinstance(module, nn.BatchNorm2d):
            nn.init.normal_(module.running_mean)
            nn.init.uniform_(module.running_var, 0.5, 2.0)
            nn.init.normal_(module.bias)


def test_li2018_has_the_papers_map_and_size() -> None:
    model = AttentionCnn(400, 4, **LI)
    output = model.eval()(torch.rand(2, 400, 200))
    assert output.attention.shape == (2, 1 + 4, 100, 50)
    # convolutions without bias, batch normalisation with two numbers a channel, two 1x1 convolutions
    convolutions = 8 * 20 + 8 * 16 + 9 * (16 * 32 + 32 * 48 + 48 * 64 + 64 * 80)
    expected = convolutions + 2 * (16 + 32 + 48 + 64 + 80) + 80 + (80 * 4 + 4)
    assert sum(p.numel() for p in model.parameters()) == expected
    assert abs(expected - 93_600) < 500, "about 93.6k by the notes on the paper"


def test_even_kernels_keep_the_size_of_the_map() -> None:
    model = AttentionCnn(37, 2, **{**LI, "pooled": [False] * 4})
    assert model(torch.rand(2, 37, 23)).attention.shape[2:] == (37, 23)


def test_attention_weights_sum_to_one_over_real_frames_only() -> None:
    maps = AttentionPool2d(5, 3)(torch.randn(2, 5, 6, 8), _mask(2, 8, [8, 3])).attention
    torch.testing.assert_close(maps[:, 0].sum(dim=(1, 2)), torch.ones(2))
    assert (maps[1, :, :, 3:] == 0).all()


def test_the_three_attention_forms_differ_by_the_expected_scale() -> None:
    x, mask = torch.randn(2, 5, 6, 8), _mask(2, 8, [8, 3])
    pools = {form: AttentionPool2d(5, 3, form) for form in ("attention", "softmax_mean", "mean_no_softmax")}
    for pool in pools.values():
        pool.bottom_up.weight.data = pools["attention"].bottom_up.weight.data
        pool.top_down.load_state_dict(pools["attention"].top_down.state_dict())
    sums, means = pools["attention"](x, mask).scores, pools["softmax_mean"](x, mask).scores
    n_positions = torch.tensor([[6 * 8.0], [6 * 3.0]])
    torch.testing.assert_close(means * n_positions, sums)
    plain = pools["mean_no_softmax"]
    where, what = plain.bottom_up(x) * mask, plain.top_down(x)
    torch.testing.assert_close(plain(x, mask).scores, (where * what).sum(dim=(2, 3)) / n_positions)


def test_attention_pooling_is_the_rank_one_bilinear_form_of_girdhar_and_ramanan() -> None:
    pool = AttentionPool2d(5, 3, "mean_no_softmax")
    nn.init.zeros_(pool.bottom_up.bias)
    nn.init.zeros_(pool.top_down.bias)
    x = torch.randn(1, 5, 2, 4)
    features = x[0].flatten(1).T  # X: (position, channel)
    b, a = pool.bottom_up.weight.flatten(), pool.top_down.weight.flatten(1)
    traces = [torch.trace(features.T @ features @ torch.outer(b, a[k])) for k in range(3)]  # Tr(X^T X W_k^T)
    torch.testing.assert_close(pool(x).scores[0], torch.stack(traces) / 8)


def test_average_and_max_pooling_ignore_padding() -> None:
    x, mask = torch.randn(1, 5, 6, 8), _mask(1, 8, [3])
    for form, reduce in (("average", torch.mean), ("max", torch.amax)):
        pool = GlobalPool2d(5, 3, form)
        torch.testing.assert_close(pool(x, mask).embedding, reduce(x[..., :3], dim=(2, 3)))


def test_an_unknown_pooling_lists_the_known_ones() -> None:
    with pytest.raises(ConfigError, match="pooling is one of attention, mean_no_softmax"):
        AttentionCnn(32, 4, **{**SMALL, "pooling": "atention"})
    with pytest.raises(ConfigError, match="3 channels but 4 values in pooled"):
        AttentionCnn(32, 4, **{**SMALL, "channels": [1, 2, 3]})


def _mask(batch: int, n_time: int, lengths: list[int]) -> torch.Tensor:
    return (torch.arange(n_time) < torch.tensor(lengths)[:, None]).float().view(batch, 1, 1, n_time)
