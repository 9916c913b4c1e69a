"""Laws that every network over the segments of an utterance obeys."""

import pytest
import torch
from torch import Tensor, nn

from affectra.models.utterance.autoencoder_fusion import AutoencoderFusion, FusionAttention
from affectra.models.utterance.cnn_blstm import CnnBlstm
from affectra.models.utterance.sequence import SegmentBlstm, pad_segments, segment_mask

N_CLASSES, N_FEATURES, N_COLUMNS = 3, 21, 16
CNN = {"channels": [3, 4], "kernels": [[4, 6], [3, 3]], "pooled": [True, True], "n_vector": 8, "n_hidden": 5}
FUSION = {**CNN, "n_columns": N_COLUMNS, "autoencoder_channels": [3, 4], "n_heads": 2, "n_embedding": 6}
NETWORKS = {
    "cnn-blstm": (CnnBlstm, {**CNN, "n_shared": 7, "n_embedding": 6}),
    "cnn-blstm first_stride": (CnnBlstm, {**CNN, "first_stride": 2, "pooled": [False, True]}),
    "autoencoder-fusion attention": (AutoencoderFusion, FUSION),
    "autoencoder-fusion concatenation": (AutoencoderFusion, {**FUSION, "fusion": "concatenation"}),
}
# Prediction does not draw spectrograms: what draws them learns from the reconstruction alone.
DECODER = ("autoencoder.expand", "autoencoder.decoder")


def build(name: str) -> nn.Module:
    torch.manual_seed(0)
    constructor, options = NETWORKS[name]
    network = constructor(n_features=N_FEATURES, n_classes=N_CLASSES, **options)
    for module in network.modules():  # offsets, so that padding would show
        if isinstance(module, nn.BatchNorm2d):
            nn.init.normal_(module.running_mean)
            nn.init.uniform_(module.running_var, 0.5, 2.0)
            nn.init.normal_(module.bias)
        if isinstance(module, FusionAttention):  # new ones look at all segments nearly alike, which hides much
            nn.init.normal_(module.query.weight, std=3)
    return network


def utterances(*n_segments: int) -> tuple[Tensor, Tensor, Tensor]:
    """Segments of utterances, all full but the last of each."""
    torch.manual_seed(1)
    n_frames = [n for k in n_segments for n in [N_COLUMNS] * (k - 1) + [int(torch.randint(1, N_COLUMNS, ()))]]
    return torch.randn(sum(n_segments), N_FEATURES, N_COLUMNS), torch.tensor(n_frames), torch.tensor(n_segments)


def assert_same(found: tuple, expected: tuple) -> None:
    for a, b in zip(found, expected, strict=True):
        assert (a is None) == (b is None)
        if a is not None:
            torch.testing.assert_close(a, b, atol=1e-5, rtol=1e-4)


@pytest.mark.parametrize("name", NETWORKS)
def test_every_parameter_but_the_decoders_receives_a_gradient(name: str) -> None:
    network = build(name)
    output = network(*utterances(4, 1, 6))
    nn.functional.cross_entropy(output.scores, torch.tensor([0, 1, 2])).backward()
    for parameter_name, parameter in network.named_parameters():
        learns = parameter.grad is not None and bool(parameter.grad.abs().sum() > 0)
        assert learns != parameter_name.startswith(DECODER), parameter_name


@pytest.mark.parametrize("name", NETWORKS)
@pytest.mark.parametrize("n_segments", [(5, 1, 3), (1, 1), (2, 9), (4, 4)])
def test_an_utterance_gets_the_same_scores_alone_and_in_any_batch(name: str, n_segments: tuple[int, ...]) -> None:
    network = build(name).eval()
    features, n_frames, counts = utterances(*n_segments)
    together = network(features, n_frames, counts)
    assert together.scores.shape == (len(n_segments), N_CLASSES) and torch.isfinite(together.scores).all()
    parts = zip(features.split(n_segments), n_frames.split(n_segments), counts[:, None], strict=True)
    for i, alone in enumerate(parts):
        assert_same(network(*alone), tuple(None if t is None else t[i : i + 1] for t in together))


@pytest.mark.parametrize("name", NETWORKS)
def test_the_order_of_utterances_does_not_matter(name: str) -> None:
    network, order = build(name).eval(), [2, 0, 1]
    features, n_frames, counts = utterances(4, 1, 6)
    output = network(features, n_frames, counts)
    moved = (torch.cat([x.split((4, 1, 6))[i] for i in order]) for x in (features, n_frames))
    assert_same(network(*moved, counts[order]), tuple(None if t is None else t[order] for t in output))


@pytest.mark.parametrize("name", NETWORKS)
def test_the_order_of_segments_matters(name: str) -> None:
    network = build(name).eval()
    vectors, counts = torch.randn_like(network.represent(*utterances(5)[:2])), torch.tensor([5])
    forwards, backwards = network.recognize(vectors, counts), network.recognize(vectors.flip(0), counts)
    assert (forwards.scores - backwards.scores).abs().max() > 1e-4


@pytest.mark.parametrize("name", NETWORKS)
def test_what_stands_in_padded_frames_never_changes_a_score(name: str) -> None:
    network = build(name).eval()
    features, n_frames, counts = utterances(3, 1, 2)
    output = network(features, n_frames, counts)
    padding = torch.arange(N_COLUMNS) >= n_frames[:, None]
    other = features.masked_fill(padding[:, None], 1000.0)
    assert_same(network(other, n_frames, counts), output)
    changed = features + padding.logical_not()[:, None]  # and real frames do change it
    assert (network(changed, n_frames, counts).scores - output.scores).abs().max() > 1e-6


@pytest.mark.parametrize("name", NETWORKS)
@pytest.mark.parametrize("n_columns", [1, 2, 7, 15])
def test_a_segment_cut_to_its_real_frames_gives_the_same_scores(name: str, n_columns: int) -> None:
    network = build(name).eval()
    features, counts = utterances(2)[0], torch.tensor([2])
    n_frames = torch.full((2,), n_columns)
    output = network(features, n_frames, counts)
    assert_same(network(features[..., :n_columns], n_frames, counts), output)


@pytest.mark.parametrize("name", NETWORKS)
def test_a_single_segment_can_be_learnt_from(name: str) -> None:
    network = build(name).train()
    nn.functional.cross_entropy(network(*utterances(1)).scores, torch.tensor([2])).backward()
    assert all(torch.isfinite(p.grad).all() for p in network.parameters() if p.grad is not None)


@pytest.mark.parametrize("name", NETWORKS)
def test_half_precision_gives_nearly_the_same_scores_and_gradients(name: str) -> None:
    network = build(name).eval()
    batch = utterances(4, 1, 6)
    expected = network(*batch).scores
    with torch.autocast("cpu", dtype=torch.bfloat16):
        found = network(*batch).scores
    found.float().sum().backward()
    torch.testing.assert_close(found.float(), expected, atol=0.02, rtol=0.05)
    assert all(torch.isfinite(p.grad).all() for p in network.parameters() if p.grad is not None)


@pytest.mark.parametrize("name", NETWORKS)
def test_segments_may_come_in_pieces(name: str) -> None:
    network = build(name).eval()
    features, n_frames, counts = utterances(7)
    pieces = [network.represent(x, n) for x, n in zip(features.split(3), n_frames.split(3), strict=True)]
    assert_same(network.recognize(torch.cat(pieces), counts), network(features, n_frames, counts))


@pytest.mark.parametrize("name", NETWORKS)
def test_weights_that_are_saved_and_loaded_give_the_same_scores(name: str) -> None:
    network, again = build(name).eval(), NETWORKS[name][0](N_FEATURES, N_CLASSES, **NETWORKS[name][1]).eval()
    again.load_state_dict({key: tensor.clone() for key, tensor in network.state_dict().items()})
    assert torch.equal(again(*utterances(2, 3)).scores, network(*utterances(2, 3)).scores)


def test_the_blstm_is_each_utterances_own_and_its_mean_is_over_real_segments() -> None:
    torch.manual_seed(0)
    network, n_segments = SegmentBlstm(3, 4), torch.tensor([2, 5, 1])
    vectors = torch.randn(8, 3)
    found = network(pad_segments(vectors, n_segments), n_segments)
    expected = [network.blstm(x[None])[0][0].mean(0) for x in vectors.split([2, 5, 1])]
    torch.testing.assert_close(found, torch.stack(expected))


def test_padded_utterances_hold_their_segments_and_zeros() -> None:
    vectors, n_segments = torch.randn(6, 2), torch.tensor([1, 3, 2])
    padded = pad_segments(vectors, n_segments)
    is_real = segment_mask(n_segments, 3)
    assert padded.shape == (3, 3, 2) and torch.equal(padded[is_real], vectors)
    assert (padded[~is_real] == 0).all() and is_real.sum(1).tolist() == [1, 3, 2]
