"""The autoencoder, and attention over its latents (Gao et al. 2021); test_sequence has what all such networks obey."""

import pytest
import torch
from torch import Tensor, nn

from affectra.errors import ConfigError
from affectra.models.utterance.autoencoder import ConvAutoencoder, reconstruction_error
from affectra.models.utterance.autoencoder_fusion import AutoencoderFusion, FusionAttention
from affectra.models.utterance.sequence import segment_mask

OPTIONS = {"channels": [3, 4], "kernels": [[4, 6], [3, 3]], "pooled": [True, True], "n_vector": 8, "n_hidden": 5}
OPTIONS |= {"n_columns": 16, "autoencoder_channels": [3, 4], "n_heads": 2, "n_embedding": 6}


@pytest.mark.parametrize("size", [(129, 32), (40, 25), (7, 3), (64, 33), (1, 1)])
@pytest.mark.parametrize("n_layers", [1, 3])
def test_a_spectrogram_is_drawn_in_its_own_size(size: tuple[int, int], n_layers: int) -> None:
    autoencoder = ConvAutoencoder(*size, channels=[2, 3, 4][:n_layers], n_latent=5)
    latent, drawn = autoencoder(torch.randn(2, *size))
    assert latent.shape == (2, 5) and drawn.shape == (2, *size)


@pytest.mark.parametrize("n_frames", [1, 5, 8, 15])
def test_padded_frames_change_neither_latent_nor_error(n_frames: int) -> None:
    torch.manual_seed(0)
    autoencoder = ConvAutoencoder(21, 16, channels=[3, 4], n_latent=5).eval()
    for module in autoencoder.modules():
        if isinstance(module, nn.BatchNorm2d):
            nn.init.normal_(module.running_mean)
            nn.init.normal_(module.bias)
    features, lengths = torch.randn(2, 21, 16), torch.tensor([n_frames, 16])
    other = features.clone()
    other[0, :, n_frames:] = 100.0
    latent, drawn = autoencoder(features, lengths)
    torch.testing.assert_close(autoencoder.encode(other, lengths), latent)
    torch.testing.assert_close(autoencoder.encode(features[:1, :, :n_frames]), latent[:1])
    error = reconstruction_error(features, drawn, lengths)
    torch.testing.assert_close(reconstruction_error(other, drawn, lengths), error)
    redrawn = torch.where(torch.arange(16) < lengths[:, None, None], drawn, 100.0)
    torch.testing.assert_close(reconstruction_error(features, redrawn, lengths), error)


def test_columns_behind_the_last_frame_add_nothing_to_the_latent() -> None:
    autoencoder = ConvAutoencoder(21, 16, channels=[3, 4], n_latent=5).eval()
    for module in autoencoder.modules():
        if isinstance(module, nn.BatchNorm2d):
            nn.init.ones_(module.bias)
    maps: list[Tensor] = []
    autoencoder.compress.register_forward_pre_hook(lambda _, inputs: maps.append(inputs[0].unflatten(1, (4, 6, 4))))
    autoencoder.encode(torch.randn(1, 21, 16), torch.tensor([5]))  # two of the four columns, the second partly real
    assert (maps[0][..., :2] != 0).any() and (maps[0][..., 2:] == 0).all()


def test_the_reconstruction_error_is_a_mean_over_real_frames() -> None:
    features, drawn, lengths = torch.randn(3, 4, 6), torch.randn(3, 4, 8), [6, 2, 1]
    expected = [((features[i, :, :n] - drawn[i, :, :n]) ** 2).mean() for i, n in enumerate(lengths)]
    torch.testing.assert_close(reconstruction_error(features, drawn, torch.tensor(lengths)), torch.stack(expected))


def test_every_parameter_of_the_autoencoder_learns_from_the_reconstruction() -> None:
    autoencoder = ConvAutoencoder(21, 16, channels=[3, 4], n_latent=5)
    features, n_frames = torch.randn(4, 21, 16), torch.tensor([16, 9, 16, 3])
    reconstruction_error(features, autoencoder(features, n_frames)[1], n_frames).mean().backward()
    for name, parameter in autoencoder.named_parameters():
        assert parameter.grad is not None and parameter.grad.abs().sum() > 0, f"{name} learns nothing"


def test_the_autoencoder_learns_to_draw() -> None:
    torch.manual_seed(0)
    autoencoder = ConvAutoencoder(13, 10, channels=[4, 8], n_latent=4)
    optimizer = torch.optim.Adam(autoencoder.parameters(), lr=0.01)
    patterns = torch.randn(3, 13, 10)  # segments differ in three numbers, the latent holds four
    n_frames = torch.full((32,), 10)
    for _ in range(150):
        features = torch.einsum("np,pft->nft", torch.randn(32, 3), patterns)
        optimizer.zero_grad()
        reconstruction_error(features, autoencoder(features, n_frames)[1], n_frames).mean().backward()
        optimizer.step()
    features = torch.einsum("np,pft->nft", torch.randn(32, 3), patterns)
    error = reconstruction_error(features, autoencoder.eval()(features, n_frames)[1], n_frames).mean()
    assert error < 0.3 * features.var(), "a blank page has an error of the variance"


def test_a_segment_that_is_too_wide_names_the_option() -> None:
    with pytest.raises(ConfigError, match="built for 16 frames, found segments of 17; set the model's n_columns"):
        ConvAutoencoder(21, 16, channels=[3], n_latent=5).encode(torch.randn(1, 21, 17))


def naive_attention(attention: FusionAttention, queries: Tensor, keys: Tensor, values: Tensor) -> Tensor:
    """One utterance (segment, feature), head by head and segment by segment, as the formula reads."""
    size = queries.shape[1] // attention.n_heads
    heads = []
    for i in range(attention.n_heads):
        rows = slice(i * size, (i + 1) * size)
        q, k = queries @ attention.query.weight[rows].T, keys @ attention.key.weight[rows].T
        v = values @ attention.value.weight[rows].T
        head = torch.zeros(len(queries), size)
        for t in range(len(queries)):
            weights = torch.stack([q[t] @ k[u] / size**0.5 for u in range(len(queries))]).exp()
            for u in range(len(queries)):
                head[t] += weights[u] / weights.sum() * v[u]
        heads.append(head)
    return torch.cat(heads, dim=1)


@pytest.mark.parametrize("n_heads", [1, 2, 4])
def test_attention_is_the_papers_formula_for_each_utterance(n_heads: int) -> None:
    torch.manual_seed(0)
    attention, n_segments = FusionAttention(8, n_heads), [5, 1, 3]
    queries, keys, values = 3 * torch.randn(3, 3, 5, 8)
    found = attention(queries, keys, values, segment_mask(torch.tensor(n_segments), 5))
    for i, n in enumerate(n_segments):
        expected = naive_attention(attention, queries[i, :n], keys[i, :n], values[i, :n])
        torch.testing.assert_close(found[i, :n], expected, atol=1e-5, rtol=1e-4)


def test_a_single_segment_attends_to_itself() -> None:
    attention = FusionAttention(8, 2)
    queries, keys, values = torch.randn(3, 1, 1, 8)
    found = attention(queries, keys, values, torch.ones(1, 1, dtype=torch.bool))
    torch.testing.assert_close(found, attention.value(values))


def test_queries_come_from_the_cnn_keys_from_the_autoencoder_and_values_from_both() -> None:
    torch.manual_seed(0)
    network = AutoencoderFusion(21, 3, **OPTIONS).eval()
    seen: list[tuple[Tensor, ...]] = []
    network.attention.register_forward_pre_hook(lambda _, inputs: seen.append(inputs))
    features, n_frames = torch.randn(4, 21, 16), torch.tensor([16, 16, 16, 7])
    network(features, n_frames, torch.tensor([4]))
    deep, latent = network.cnn(features, n_frames), network.autoencoder.encode(features, n_frames)
    torch.testing.assert_close(seen[0][0][0], deep)
    torch.testing.assert_close(seen[0][1][0], latent)
    torch.testing.assert_close(seen[0][2][0], network.join(torch.cat([deep, latent], dim=1)))


def test_concatenation_has_all_but_the_attention() -> None:
    full, plain = (AutoencoderFusion(21, 3, **OPTIONS, fusion=form) for form in ("attention", "concatenation"))
    extra = {name for name in full.state_dict() if name not in plain.state_dict()}
    assert extra == {f"attention.{name}.weight" for name in ("query", "key", "value")}
    assert set(plain.state_dict()) < set(full.state_dict())


def test_a_frozen_autoencoder_stays_as_it_is_while_the_rest_learns() -> None:
    torch.manual_seed(0)
    network = AutoencoderFusion(21, 3, **OPTIONS).train()
    network.autoencoder.requires_grad_(False).eval()
    before = {name: tensor.clone() for name, tensor in network.state_dict().items()}
    optimizer = torch.optim.SGD([p for p in network.parameters() if p.requires_grad], lr=0.5)
    output = network(torch.randn(6, 21, 16), torch.full((6,), 16), torch.tensor([4, 2]))
    nn.functional.cross_entropy(output.scores, torch.tensor([0, 2])).backward()
    optimizer.step()
    for name, tensor in network.state_dict().items():
        assert torch.equal(tensor, before[name]) == name.startswith("autoencoder."), name


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"fusion": "atention"}, "fusion is one of attention, concatenation, found 'atention'"),
        ({"n_heads": 3}, "n_heads=3 does not divide n_vector=8"),
        ({"autoencoder_channels": []}, "numbers from 1 on"),
        ({"n_columns": 0}, "numbers from 1 on"),
    ],
)
def test_a_network_that_cannot_be_says_why(options: dict, words: str) -> None:
    with pytest.raises(ConfigError, match=words):
        AutoencoderFusion(21, 3, **{**OPTIONS, **options})
