"""Fusion by attention and the network of Tzirakis et al. 2021, against the formulas written out."""

import itertools
import math

import pytest
import torch
from torch import Tensor, nn

from affectra.errors import ConfigError
from affectra.losses import concordance_loss
from affectra.models.frame import recurrence, semantic_paralinguistic
from affectra.models.frame.recurrence import CausalTransformer
from affectra.models.frame.semantic_paralinguistic import SemanticParalinguistic
from affectra.models.utterance.attention_fusion import AttentionFusion, HierarchicalFusion

SMALL = {"channels": (3, 4), "kernels": (4, 3), "pools": (5, 2), "n_projected": 12, "n_stream": 8, "n_hidden": 8}
N_SAMPLES, N_SEMANTIC = 40, 5
VARIANTS = [
    dict(zip(("streams", "fusion", "recurrent", "acoustic"), names, strict=True))
    for names in itertools.product(
        ("both", "semantic", "paralinguistic"),
        ("attention", "concat"),
        ("lstm", "gru", "transformer"),
        ("waveform-cnn", "frames"),
    )
]


def build(**options: object) -> SemanticParalinguistic:
    torch.manual_seed(0)
    return SemanticParalinguistic(N_SAMPLES, N_SEMANTIC, 3, **{**SMALL, **options})


def recordings(n_batch: int, n_frames: int) -> tuple[Tensor, Tensor]:
    torch.manual_seed(1)
    return torch.randn(n_batch, n_frames, N_SAMPLES), torch.randn(n_batch, n_frames, N_SEMANTIC)


def written_out(first: list[float], second: list[float], w: list[float], b: float) -> tuple[list[float], list[float]]:
    """Attention of two vectors: the sum, and the weights."""
    scores = [(sum(p * q for p, q in zip(w, x, strict=True)) + b) / math.sqrt(len(w)) for x in (first, second)]
    weights = [math.exp(score) / sum(map(math.exp, scores)) for score in scores]
    return [weights[0] * p + weights[1] * q for p, q in zip(first, second, strict=True)], weights


def relu_layer(layer: nn.Linear, x: list[float]) -> list[float]:
    rows = zip(layer.weight.tolist(), layer.bias.tolist(), strict=True)
    return [max(sum(p * q for p, q in zip(row, x, strict=True)) + bias, 0.0) for row, bias in rows]


@pytest.fixture
def _double() -> None:
    torch.set_default_dtype(torch.float64)
    yield
    torch.set_default_dtype(torch.float32)


@pytest.mark.usefixtures("_double")
@pytest.mark.parametrize("bias", [0.0, 3.0])  # that of the paper, which a softmax does not see
def test_attention_is_its_formula(bias: float) -> None:
    torch.manual_seed(0)
    fusion, first, second = AttentionFusion(6, 6), torch.randn(4, 6), torch.randn(4, 6)
    fused, weights = fusion(first, second)
    for i in range(4):
        expected = written_out(first[i].tolist(), second[i].tolist(), fusion.score.weight[0].tolist(), bias)
        torch.testing.assert_close(fused[i], torch.tensor(expected[0]))
        torch.testing.assert_close(weights[i], torch.tensor(expected[1]))


@pytest.mark.usefixtures("_double")
def test_streams_of_different_sizes_are_projected_with_relu_and_equal_ones_are_not() -> None:
    torch.manual_seed(0)
    fusion, first, second = AttentionFusion(6, 3, 5), torch.randn(6), torch.randn(3)
    projected = [relu_layer(layer[0], x.tolist()) for layer, x in zip(fusion.project, (first, second), strict=True)]
    expected, _ = written_out(*projected, fusion.score.weight[0].tolist(), 0.0)
    torch.testing.assert_close(fusion(first, second)[0], torch.tensor(expected))
    assert AttentionFusion(6, 6).n_outputs == 6 and AttentionFusion(6, 3).n_outputs == 1024


@pytest.mark.usefixtures("_double")
@pytest.mark.parametrize("order", ["arousal-liking-valence", "arousal-valence-liking"])
def test_the_hierarchy_fuses_two_streams_and_then_the_third(order: str) -> None:
    torch.manual_seed(0)
    fusion, x = HierarchicalFusion(6, 4, order), torch.randn(6)
    streams = {name: relu_layer(layer[0], x.tolist()) for name, layer in fusion.streams.items()}
    first, second, third = (streams[name] for name in order.split("-"))
    two, _ = written_out(first, second, fusion.fuse_two.score.weight[0].tolist(), 0.0)
    expected, _ = written_out(two, third, fusion.fuse_third.score.weight[0].tolist(), 0.0)
    torch.testing.assert_close(fusion(x), torch.tensor(expected))


def test_the_papers_order_is_arousal_liking_valence_and_the_codes_is_another() -> None:
    orders = {compat: build(compat=compat).fuse.rank.order for compat in (None, "glam-imperial")}
    assert orders[None] == ["arousal", "liking", "valence"]
    assert orders["glam-imperial"] == ["arousal", "valence", "liking"]


def test_attention_weighs_the_acoustic_stream_first() -> None:
    model = build().eval()
    acoustic, semantic = recordings(1, 4)
    with torch.no_grad():
        acoustic_layer, semantic_layer = (project[0] for project in model.fuse.weigh.project)
        for layer, value in ((acoustic_layer, 9.0), (semantic_layer, 0.0)):
            layer.weight.zero_()
            layer.bias.fill_(value)
        model.fuse.weigh.score.weight.fill_(1.0)
        weights = model(acoustic, semantic, torch.tensor([4])).attention
    assert (weights[..., 0] > 0.99).all()
    torch.testing.assert_close(weights.sum(-1), torch.ones(1, 4))


def test_a_prediction_is_the_tanh_of_a_line_through_an_lstm() -> None:
    model = build(fusion="concat").eval()
    acoustic, semantic = recordings(2, 6)
    output = model(acoustic, semantic, torch.tensor([6, 6]))
    cell = nn.LSTMCell(model.recur.network.input_size, 8)
    cell.load_state_dict({name.removesuffix("_l0"): value for name, value in model.recur.network.state_dict().items()})
    fused, state = torch.cat([model.listen(acoustic), semantic], dim=2), None
    for frame in range(6):
        state = cell(fused[:, frame], state)
        torch.testing.assert_close(output.embedding[:, frame], state[0])
        torch.testing.assert_close(output.predictions[:, frame], model.predict(state[0]).tanh())
    assert output.attention is None


@pytest.mark.parametrize("options", VARIANTS, ids=lambda options: "-".join(options.values()))
def test_padding_and_company_never_change_a_prediction(options: dict) -> None:
    model, (acoustic, semantic), n_frames = build(**options).eval(), recordings(3, 12), torch.tensor([1, 12, 7])
    padded = model(acoustic, semantic, n_frames)
    assert padded.predictions.shape == (3, 12, 3) and padded.predictions.abs().max() <= 1
    for row, n in enumerate(n_frames.tolist()):
        alone = model(acoustic[row : row + 1, :n], semantic[row : row + 1, :n], n_frames[row : row + 1])
        for ours, theirs in zip(padded, alone, strict=True):
            assert (ours is None) == (theirs is None)
            if ours is not None:
                torch.testing.assert_close(ours[row, :n], theirs[0], atol=1e-6, rtol=1e-5)
                assert (ours[row, n:] == 0).all()


def test_padding_never_changes_a_prediction_of_the_released_code() -> None:
    model, (acoustic, semantic) = build(compat="glam-imperial", channels=(5, 10)).eval(), recordings(2, 12)
    padded = model(acoustic, semantic, torch.tensor([12, 7])).predictions
    alone = model(acoustic[1:, :7], semantic[1:, :7], torch.tensor([7])).predictions
    torch.testing.assert_close(padded[1:, :7], alone)


@pytest.mark.parametrize("options", VARIANTS, ids=lambda options: "-".join(options.values()))
def test_every_parameter_learns(options: dict) -> None:
    model, (acoustic, semantic) = build(**options, fusion_dropout=0.1), recordings(4, 12)
    output = model(acoustic, semantic, torch.tensor([12, 3, 12, 7]))
    output.predictions.square().sum().backward()
    assert not [name for name, value in model.named_parameters() if value.grad is None or not value.grad.any()]


@pytest.mark.parametrize("n_block", [1, 3, 50])
@pytest.mark.parametrize("options", VARIANTS, ids=lambda options: "-".join(options.values()))
def test_a_stream_block_by_block_is_the_whole_recording(
    options: dict, n_block: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(recurrence, "WINDOW", 6)  # shorter than the recording, so that frames leave it
    model, (acoustic, semantic) = build(**options).eval(), recordings(2, 20)
    whole = model(acoustic, semantic, torch.tensor([20, 20]))
    state, parts = None, []
    for block in range(0, 20, n_block):
        stretch = slice(block, block + n_block)
        output, state = model.forward_stream(acoustic[:, stretch], semantic[:, stretch], state)
        parts.append(output)
    for of_blocks, of_whole in zip(zip(*parts, strict=True), whole, strict=True):
        assert (of_whole is None) == (of_blocks[0] is None)
        if of_whole is not None:
            torch.testing.assert_close(torch.cat(of_blocks, dim=1), of_whole, atol=1e-5, rtol=0)


def test_what_is_carried_does_not_grow_with_the_recording(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(recurrence, "WINDOW", 6)
    for recurrent, expected in (("lstm", 2 * 8), ("gru", 8), ("transformer", 2 * 5 * 8)):
        model, (acoustic, semantic) = build(recurrent=recurrent).eval(), recordings(1, 20)
        _, state = model.forward_stream(acoustic, semantic)
        assert sum(part.numel() for part in state) == expected
        _, state = model.forward_stream(acoustic, semantic, state)
        assert sum(part.numel() for part in state) == expected


def test_the_transformer_looks_back_so_far_and_never_ahead(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(recurrence, "WINDOW", 4)
    torch.manual_seed(0)
    network, x = CausalTransformer(5, 8, 0.0), torch.randn(1, 20, 5, requires_grad=True)
    network(x)[0][0, 11].square().sum().backward()
    seen = x.grad[0].abs().sum(1).nonzero().flatten().tolist()
    assert seen == list(range(11 - 2 * 3, 12))  # two layers, three frames back each


@pytest.mark.usefixtures("_double")
def test_attention_of_the_transformer_is_its_formula(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(recurrence, "WINDOW", 4)
    torch.manual_seed(0)
    layer, x = recurrence._Layer(8, 0.0, n_heads=2), torch.randn(1, 6, 8)
    nn.init.normal_(layer.distance)
    query, (key, value) = layer.query(layer.norm(x))[0], layer.key_value(layer.norm(x))[0].chunk(2, dim=-1)
    mixed = torch.zeros(6, 8)
    for i, head in itertools.product(range(6), range(2)):
        part, frames = slice(4 * head, 4 * head + 4), range(max(0, i - 3), i + 1)
        scores = torch.stack([query[i, part] @ key[j, part] / 2 + layer.distance[head, i - j] for j in frames])
        mixed[i, part] = sum(w * value[j, part] for w, j in zip(scores.softmax(0), frames, strict=True))
    new = x[0] + layer.mix(mixed)
    torch.testing.assert_close(layer(x, 6)[0], new + layer.connect(new))


def test_long_recordings_are_fused_in_blocks(monkeypatch: pytest.MonkeyPatch) -> None:
    model, (acoustic, semantic) = build().eval(), recordings(2, 20)
    whole = model(acoustic, semantic, torch.tensor([20, 20]))
    sizes: list[int] = []
    model.fuse.register_forward_hook(lambda _, given, __: sizes.append(given[0].shape[1]))
    monkeypatch.setattr(semantic_paralinguistic, "AT_ONCE", 16)
    blocks = model(acoustic, semantic, torch.tensor([20, 20]))
    torch.testing.assert_close(blocks.predictions, whole.predictions)
    torch.testing.assert_close(blocks.attention, whole.attention)
    assert sizes == [8, 8, 4]


def trained_loss(truth_of: str, **options: object) -> float:
    """1 - CCC on new recordings, after learning a trace that only one stream tells of."""
    model = build(**options, dropout=0.0)
    optimizer = torch.optim.Adam(model.parameters(), 1e-2)
    generator = torch.Generator().manual_seed(2)

    def batch() -> tuple[Tensor, Tensor, Tensor]:
        trace = 2 * torch.rand(8, 12, 1, generator=generator) - 1
        loudness = (trace if truth_of == "acoustic" else torch.zeros_like(trace)) + 1.5
        acoustic = loudness * torch.randn(8, 12, N_SAMPLES, generator=generator)
        semantic = torch.randn(8, 12, N_SEMANTIC, generator=generator)
        if truth_of == "semantic":
            semantic[..., :1] = trace
        return acoustic, semantic, trace.expand(-1, -1, 3)

    n_frames = torch.full((8,), 12)
    for _ in range(30):
        acoustic, semantic, truth = batch()
        optimizer.zero_grad()
        concordance_loss(model(acoustic, semantic, n_frames).predictions, truth).backward()
        optimizer.step()
    acoustic, semantic, truth = batch()
    with torch.no_grad():
        return float(concordance_loss(model.eval()(acoustic, semantic, n_frames).predictions, truth))


@pytest.mark.parametrize("fusion", ["attention", "concat"])
def test_each_stream_tells_what_it_knows_and_no_more(fusion: str) -> None:
    for truth_of, deaf in (("acoustic", "semantic"), ("semantic", "paralinguistic")):
        assert trained_loss(truth_of, fusion=fusion) < 0.5
        assert trained_loss(truth_of, fusion=fusion, streams=deaf) > 0.7


def test_a_stream_that_is_not_used_may_be_missing() -> None:
    acoustic, semantic = recordings(1, 4)
    assert build(streams="semantic").eval()(None, semantic, torch.tensor([4])).predictions.shape == (1, 4, 3)
    assert build(streams="paralinguistic").eval()(acoustic, None, torch.tensor([4])).predictions.shape == (1, 4, 3)


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"streams": "speech"}, "streams is one of both, semantic, paralinguistic, found 'speech'"),
        ({"fusion": "sum"}, "fusion is one of attention, concat, found 'sum'"),
        ({"acoustic": "mel"}, "acoustic is one of waveform-cnn, frames, found 'mel'"),
        ({"recurrent": "rnn"}, "recurrent is one of lstm, gru, transformer, found 'rnn'"),
        ({"recurrent": "transformer", "n_hidden": 6}, "n_hidden is a multiple of 4, found 6"),
        ({"n_hidden": 0}, "n_hidden is a number from 1 on"),
        ({"n_projected": 0}, "streams have features from 1 on"),
        ({"acoustic": "frames", "compat": "glam-imperial"}, "is about samples, but there are none"),
        ({"streams": "semantic", "compat": "glam-imperial"}, "is about samples, but there are none"),
    ],
)
def test_a_model_that_cannot_be_says_why(options: dict, words: str) -> None:
    with pytest.raises(ConfigError, match=words):
        build(**options)


def test_streams_that_do_not_fit_are_refused() -> None:
    model, (acoustic, semantic), n_frames = build(), recordings(1, 4), torch.tensor([4])
    with pytest.raises(ConfigError, match=r"the semantic stream is \(batch, frame, 5\).* found none"):
        model(acoustic, None, n_frames)
    with pytest.raises(ConfigError, match=r"the acoustic stream is \(batch, frame, 40\).*found \(1, 4, 5\)"):
        model(semantic, semantic, n_frames)
    with pytest.raises(ConfigError, match=r"same recordings and frames, found \(1, 4\) and \(1, 3\)"):
        model(acoustic, semantic[:, :3], n_frames)


def test_the_released_code_cannot_stream() -> None:
    model, (acoustic, semantic) = build(compat="glam-imperial", channels=(5, 10)), recordings(1, 4)
    with pytest.raises(ConfigError, match="convolves a sequence as a whole"):
        model.forward_stream(acoustic, semantic)


def test_the_papers_sizes_are_the_defaults() -> None:
    model = SemanticParalinguistic(2205, 100, 3)
    assert model.recur.network.hidden_size == 256 and model.recur.network.input_size == 512
    assert model.fuse.weigh.n_outputs == 1024
