"""Laws of the GRU over the tokens of an utterance (Dutta & Ganapathy 2022)."""

import pytest
import torch
from safetensors.torch import load_file, save_file
from torch import nn

from affectra.errors import ConfigError
from affectra.models.utterance.text_gru import TextGru

POOLINGS = ("last", "mean", "attention")
SMALL = {"n_hidden": 5, "n_embedding": 6}


def build(**options) -> TextGru:
    torch.manual_seed(0)
    return TextGru(8, 4, **{**SMALL, **options}).eval()


def gru_direction(gru: nn.GRU, layer: int, suffix: str, inputs: list[torch.Tensor]) -> list[torch.Tensor]:
    """States by the equations of torch's documentation, one token after the other."""
    w_in, w_hidden = (getattr(gru, f"weight_{kind}_l{layer}{suffix}") for kind in ("ih", "hh"))
    b_in, b_hidden = (getattr(gru, f"bias_{kind}_l{layer}{suffix}") for kind in ("ih", "hh"))
    state, states = torch.zeros(gru.hidden_size, dtype=w_in.dtype), []
    for x in inputs:
        (r_in, z_in, n_in), (r_h, z_h, n_h) = (w_in @ x + b_in).chunk(3), (w_hidden @ state + b_hidden).chunk(3)
        reset, update = torch.sigmoid(r_in + r_h), torch.sigmoid(z_in + z_h)
        state = (1 - update) * torch.tanh(n_in + reset * n_h) + update * state
        states.append(state)
    return states


@pytest.mark.parametrize("pooling", POOLINGS)
@torch.no_grad()
def test_the_embedding_is_that_of_a_naive_loop_in_double_precision(pooling: str) -> None:
    model = build(pooling=pooling).double()
    tokens = torch.randn(1, 8, 6, dtype=torch.float64)
    states = [tokens[0, :, t] for t in range(6)]
    for layer in range(2):
        forward = gru_direction(model.gru, layer, "", states)
        backward = gru_direction(model.gru, layer, "_reverse", states[::-1])[::-1]
        states = [torch.cat(pair) for pair in zip(forward, backward, strict=True)]
    if pooling == "last":
        pooled = torch.cat([forward[-1], backward[0]])  # each direction's state after all it has read
    elif pooling == "mean":
        pooled = sum(states) / 6
    else:
        exponentials = [torch.exp(model.attend.weight[0] @ state) for state in states]
        pooled = sum(e / sum(exponentials) * state for e, state in zip(exponentials, states, strict=True))
    output = model(tokens, torch.tensor([6]))
    torch.testing.assert_close(output.embedding[0], model.embed.weight @ pooled + model.embed.bias)
    torch.testing.assert_close(output.scores, model.classify(output.embedding))


@pytest.mark.parametrize("pooling", POOLINGS)
@pytest.mark.parametrize("n_tokens", [0, 1, 2, 9])
def test_padding_never_changes_a_score(pooling: str, n_tokens: int) -> None:
    model, x = build(pooling=pooling), torch.randn(1, 8, n_tokens)
    alone = model(x, torch.tensor([n_tokens]))
    padded = nn.functional.pad(x, (0, 17), value=5.0)  # whatever stands in the padding
    together = model(torch.cat([torch.randn_like(padded), padded]), torch.tensor([n_tokens + 17, n_tokens]))
    torch.testing.assert_close(together.scores[1:], alone.scores, atol=1e-5, rtol=1e-4)
    torch.testing.assert_close(together.embedding[1:], alone.embedding, atol=1e-5, rtol=1e-4)
    torch.testing.assert_close(model(x).scores, alone.scores, atol=1e-5, rtol=1e-4)


@pytest.mark.parametrize("pooling", POOLINGS)
def test_an_utterance_without_tokens_is_one_zero_vector(pooling: str) -> None:
    model, one = build(pooling=pooling), torch.zeros(1, 8, 1)
    torch.testing.assert_close(model(torch.zeros(1, 8, 0), torch.tensor([0])).scores, model(one).scores)
    torch.testing.assert_close(model(torch.ones(1, 8, 3), torch.tensor([0])).scores, model(one).scores)


@pytest.mark.parametrize("pooling", POOLINGS)
def test_the_order_of_a_batch_does_not_matter(pooling: str) -> None:
    model, x, n = build(pooling=pooling), torch.randn(4, 8, 9), torch.tensor([9, 4, 0, 1])
    torch.testing.assert_close(model(x.flip(0), n.flip(0)).scores.flip(0), model(x, n).scores, atol=1e-5, rtol=1e-4)


@pytest.mark.parametrize("pooling", POOLINGS)
def test_every_parameter_receives_a_finite_gradient(pooling: str) -> None:
    model = build(pooling=pooling).train()
    scores = model(torch.randn(3, 8, 9), torch.tensor([9, 2, 0])).scores
    nn.functional.cross_entropy(scores, torch.tensor([0, 1, 2])).backward()
    for name, parameter in model.named_parameters():
        assert torch.isfinite(parameter.grad).all() and parameter.grad.abs().sum() > 0, f"{name} learns nothing"


def test_the_default_is_the_papers_size() -> None:
    model = TextGru(3072, 4)
    assert (model.gru.num_layers, model.gru.hidden_size, model.gru.bidirectional) == (2, 100, True)
    assert model.eval()(torch.randn(1, 3072, 3)).embedding.shape == (1, 100)


def test_one_layer_is_built_without_a_warning() -> None:
    assert build(n_layers=1)(torch.randn(2, 8, 5)).scores.shape == (2, 4)


@pytest.mark.parametrize("pooling", POOLINGS)
def test_weights_keep_their_names_through_a_file(pooling: str, tmp_path) -> None:
    model = build(pooling=pooling)
    save_file(model.state_dict(), tmp_path / "weights.safetensors")
    again = TextGru(8, 4, **SMALL, pooling=pooling).eval()
    again.load_state_dict(load_file(tmp_path / "weights.safetensors"))
    x = torch.randn(2, 8, 5)
    assert torch.equal(again(x).scores, model(x).scores)
    names = {"gru.weight_ih_l0", "gru.bias_hh_l1_reverse", "embed.weight", "classify.bias"}
    assert names | ({"attend.weight"} if pooling == "attention" else set()) <= set(model.state_dict())


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"pooling": "max"}, "pooling is one of last, mean, attention, found 'max'"),
        ({"n_layers": 0}, "n_layers and n_embedding are numbers from 1 on"),
        ({"dropout": -0.1}, "dropout is a share"),
    ],
)
def test_impossible_options_are_refused_by_name(options: dict, words: str) -> None:
    with pytest.raises(ConfigError, match=words):
        build(**options)
