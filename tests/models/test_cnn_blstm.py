"""The CNN of a segment, and the network on top (Gao et al. 2022); test_sequence has what all such networks obey."""

import pytest
import torch
from torch import nn

from affectra.errors import ConfigError
from affectra.models.utterance.cnn_blstm import CnnBlstm
from affectra.models.utterance.segment_cnn import SegmentCnn

SATT = {"channels": [16, 24, 32], "kernels": [[12, 16], [8, 12], [5, 7]], "pooled": [True, True, True]}
SMALL = {"channels": [3, 4], "kernels": [[4, 6], [3, 3]], "pooled": [True, False]}


def multiply_adds(cnn: SegmentCnn, n_features: int, n_columns: int) -> int:
    """Of the convolutions, for one segment."""
    count = 0

    def add(layer: nn.Conv2d, _: object, output: torch.Tensor) -> None:
        nonlocal count
        count += output[0].numel() * layer.weight[0].numel()

    for module in cnn.modules():
        if isinstance(module, nn.Conv2d):
            module.register_forward_hook(add)
    cnn.eval()(torch.randn(1, n_features, n_columns))
    return count


def test_the_cnn_has_the_notes_kernels_and_the_expected_cost() -> None:
    cnn = SegmentCnn(129, 128, **SATT)
    kernels = [tuple(m.weight.shape) for m in cnn.modules() if isinstance(m, nn.Conv2d)]
    assert kernels == [(16, 1, 12, 16), (24, 16, 8, 12), (32, 24, 5, 7)]
    # maps of 129x32, 65x16 and 33x8
    expected = 129 * 32 * 16 * 192 + 65 * 16 * 24 * 16 * 96 + 33 * 8 * 32 * 24 * 35
    assert multiply_adds(cnn, 129, 32) == expected


def test_a_first_stride_of_two_quarters_what_follows() -> None:
    full, strided = (SegmentCnn(128, 8, **SMALL, first_stride=stride) for stride in (1, 2))
    assert multiply_adds(full, 128, 32) == 4 * multiply_adds(strided, 128, 32)


@pytest.mark.parametrize("first_stride", [1, 2, 3])
@pytest.mark.parametrize("n_frames", [1, 2, 9, 16, 31])
def test_a_padded_segment_has_the_features_of_the_segment_cut_short(n_frames: int, first_stride: int) -> None:
    torch.manual_seed(0)
    cnn = SegmentCnn(21, 8, **SMALL, first_stride=first_stride).eval()
    for module in cnn.modules():
        if isinstance(module, nn.BatchNorm2d):
            nn.init.normal_(module.running_mean)
            nn.init.normal_(module.bias)
    features = torch.randn(2, 21, 32)
    padded = cnn(features, torch.tensor([n_frames, 32]))
    torch.testing.assert_close(padded[:1], cnn(features[:1, :, :n_frames]))
    torch.testing.assert_close(padded[1:], cnn(features[1:]))


def test_segments_do_not_mix() -> None:
    cnn = SegmentCnn(21, 8, **SMALL).eval()
    features = torch.randn(3, 21, 16, requires_grad=True)
    cnn(features)[1].sum().backward()
    assert features.grad[1].abs().sum() > 0 and (features.grad[[0, 2]] == 0).all()


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"kernels": [[3, 3]]}, "one thing a convolution each, found 2, 1 and 2"),
        ({"kernels": [[3], [3]]}, "pairs, frequency bins and frames"),
        ({"first_stride": 0}, "numbers from 1 on"),
        ({"channels": [], "kernels": [], "pooled": []}, "found 0, 0 and 0"),
    ],
)
def test_a_cnn_that_cannot_be_says_why(options: dict, words: str) -> None:
    with pytest.raises(ConfigError, match=words):
        SegmentCnn(21, 8, **{**SMALL, **options})


def test_domain_heads_read_fc_1_and_the_center_loss_fc_2() -> None:
    torch.manual_seed(0)
    network = CnnBlstm(21, 2, **SMALL, n_shared=7, n_embedding=5).eval()
    output = network(torch.randn(4, 21, 16), torch.full((4,), 16), torch.tensor([3, 1]))
    assert output.shared.shape == (2, 7) and (output.shared >= 0).all() and output.attention is None
    torch.testing.assert_close(output.embedding, network.embed(output.shared))
    torch.testing.assert_close(output.scores, network.classify(output.embedding))
    output.shared.sum().backward()  # a head on FC_1 teaches all below it and nothing above
    above = {"embed", "classify"}
    for name, parameter in network.named_parameters():
        assert (parameter.grad is None) == (name.split(".")[0] in above), name


def test_the_network_learns_which_of_two_sounds_comes_first() -> None:
    torch.manual_seed(0)
    network = CnnBlstm(12, 2, **SMALL, n_vector=8, n_hidden=8, n_shared=8, n_embedding=4)
    optimizer = torch.optim.Adam(network.parameters(), lr=0.02)
    n_segments, n_frames = torch.full((16,), 2), torch.full((32,), 8)
    truth = torch.arange(16) % 2

    def batch() -> torch.Tensor:
        features = 0.3 * torch.randn(16, 2, 12, 8)
        rows = torch.arange(16)
        features[rows, truth, :6] += 1  # a low sound in one of the two segments, a high one in the other
        features[rows, 1 - truth, 6:] += 1
        return features.flatten(0, 1)

    for _ in range(40):
        optimizer.zero_grad()
        nn.functional.cross_entropy(network(batch(), n_frames, n_segments).scores, truth).backward()
        optimizer.step()
    scores = network.eval()(batch(), n_frames, n_segments).scores
    assert (scores.argmax(1) == truth).float().mean() > 0.9
