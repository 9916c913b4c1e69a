"""Laws of the networks over the turns of a dialogue (Dutta & Ganapathy 2022): equations, padding, causality, faults."""

import itertools
import math

import pytest
import torch
from safetensors.torch import load_file, save_file
from torch import nn

from affectra.errors import ConfigError
from affectra.models.dialogue.dialogue import DIALOGUE_MODELS, N_SPEAKERS, DialogueOutput, key_mask, speaker_indices
from affectra.models.dialogue.dialogue_gru import DialogueGru, TurnAttention
from affectra.models.dialogue.multimodal_transformer import (
    EncoderLayer,
    MultimodalTransformer,
    drop_modality,
    sinusoids,
)

N_CLASSES, SIZES = 4, (6, 5)  # SIZES: of the two modalities; a network of one takes the first
GRU = {"n_hidden": 7}
FUSION = {"n_hidden": 12, "n_heads": 3, "n_layers": 2, "n_feedforward": 20}
ALL = {"positions": True, "modality_embedding": True, "speaker_embedding": True}
# One row a network: name and options. Those with "causal" must not look ahead; "iiscleap" has laws of its own.
VARIANTS = {
    "gru": ("dialogue-gru", GRU),
    "gru no-attention": ("dialogue-gru", {**GRU, "attention": False}),
    "gru speakers": ("dialogue-gru", {**GRU, "speaker_embedding": True, "n_layers": 1}),
    "gru causal": ("dialogue-gru", {**GRU, "causal": True}),
    "gru causal speakers": ("dialogue-gru", {**GRU, "causal": True, "speaker_embedding": True, "attention": False}),
    "transformer": ("multimodal-transformer", FUSION),
    "transformer all": ("multimodal-transformer", {**FUSION, **ALL}),
    "transformer causal": ("multimodal-transformer", {**FUSION, "causal": True}),
    "transformer causal all": ("multimodal-transformer", {**FUSION, **ALL, "causal": True}),
}
CAUSAL = [name for name in VARIANTS if "causal" in name]
NOT_CAUSAL = [name for name in VARIANTS if "causal" not in name]


def build(variant: str, **options) -> nn.Module:
    name, fixed = VARIANTS[variant]
    torch.manual_seed(0)
    sizes = list(SIZES) if DIALOGUE_MODELS[name].is_fusion else SIZES[0]
    return DIALOGUE_MODELS.build(name, {**fixed, **options}, n_features=sizes, n_classes=N_CLASSES).eval()


def features(n_dialogues: int, n_turns: int, seed: int = 1) -> list[torch.Tensor]:
    generator = torch.Generator().manual_seed(seed)
    return [torch.randn(n_dialogues, n_turns, size, generator=generator) for size in SIZES]


def call(model: nn.Module, turns: list[torch.Tensor], n_turns: list[int], speakers: torch.Tensor) -> DialogueOutput:
    return model(turns if model.is_fusion else turns[0], torch.tensor(n_turns), speakers)


def alternating(n_dialogues: int, n_turns: int) -> torch.Tensor:
    return (torch.arange(n_turns) % 3).repeat(n_dialogues, 1)


def assert_same(found: torch.Tensor, expected: torch.Tensor) -> None:
    torch.testing.assert_close(found, expected, atol=1e-5, rtol=1e-4)


def test_every_registered_dialogue_model_is_tested_here() -> None:
    assert {name for name, _ in VARIANTS.values()} == set(DIALOGUE_MODELS)


# What every network obeys


@pytest.mark.parametrize("variant", VARIANTS)
def test_scores_and_embedding_are_one_row_a_turn_of_the_size_that_is_said(variant: str) -> None:
    model = build(variant)
    output = call(model, features(3, 5), [5, 1, 4], alternating(3, 5))
    assert output.scores.shape == (3, 5, N_CLASSES)
    assert output.embedding.shape == (3, 5, model.n_embedding)
    assert_same(model.classify(output.embedding), output.scores)


@pytest.mark.parametrize("variant", VARIANTS)
@pytest.mark.parametrize("n_turns", [1, 2, 9])
def test_padding_never_changes_a_score(variant: str, n_turns: int) -> None:
    model, turns, speakers = build(variant), features(1, n_turns), alternating(1, n_turns)
    alone = call(model, turns, [n_turns], speakers)
    longer = [nn.functional.pad(x, (0, 0, 0, 11), value=5.0) for x in turns]  # whatever stands in the padding
    together = call(
        model,
        [torch.cat([torch.randn_like(x), x]) for x in longer],
        [n_turns + 11, n_turns],
        nn.functional.pad(speakers, (0, 11), value=9).repeat(2, 1),
    )
    assert_same(together.scores[1:, :n_turns], alone.scores)
    assert_same(together.embedding[1:, :n_turns], alone.embedding)


@pytest.mark.parametrize("variant", VARIANTS)
def test_neither_the_order_of_dialogues_nor_who_shares_a_batch_changes_a_score(variant: str) -> None:
    model, turns, speakers, n_turns = build(variant), features(4, 8), alternating(4, 8), [8, 3, 1, 6]
    scores = call(model, turns, n_turns, speakers).scores
    turned = call(model, [x.flip(0) for x in turns], n_turns[::-1], speakers.flip(0)).scores.flip(0)
    for i, n in enumerate(n_turns):
        assert_same(turned[i, :n], scores[i, :n])
        alone = call(model, [x[i : i + 1, :n] for x in turns], [n], speakers[i : i + 1, :n]).scores
        assert_same(alone[0], scores[i, :n])


@pytest.mark.parametrize("variant", CAUSAL)
def test_a_causal_score_does_not_change_when_later_turns_are_removed_or_altered(variant: str) -> None:
    model, turns, speakers = build(variant), features(2, 9), alternating(2, 9)
    whole = call(model, turns, [9, 9], speakers)
    for n in (1, 2, 5, 8):
        shorter = call(model, [x[:, :n] for x in turns], [n, n], speakers[:, :n])
        assert_same(shorter.scores, whole.scores[:, :n])
        assert_same(shorter.embedding, whole.embedding[:, :n])
        altered = [torch.cat([x[:, :n], 10 * torch.randn_like(x[:, n:])], dim=1) for x in turns]
        others = torch.cat([speakers[:, :n], torch.full_like(speakers[:, n:], 7)], dim=1)
        assert_same(call(model, altered, [9, 9], others).scores[:, :n], whole.scores[:, :n])


@pytest.mark.parametrize("variant", NOT_CAUSAL)
def test_what_is_not_causal_hears_the_turns_that_follow(variant: str) -> None:
    model, turns, speakers = build(variant), features(1, 6), alternating(1, 6)
    whole = call(model, turns, [6], speakers).scores
    shorter = call(model, [x[:, :5] for x in turns], [5], speakers[:, :5]).scores
    assert (whole[:, :5] - shorter).abs().amax(2).min() > 1e-4


@pytest.mark.parametrize("variant", VARIANTS)
def test_every_turn_hears_those_before_it(variant: str) -> None:
    model, turns, speakers = build(variant), features(1, 6), alternating(1, 6)
    before = call(model, turns, [6], speakers).scores
    altered = [torch.cat([x[:, :1] + 1, x[:, 1:]], dim=1) for x in turns]
    assert (call(model, altered, [6], speakers).scores - before).abs().amax(2).min() > 1e-5


@pytest.mark.parametrize("variant", VARIANTS)
def test_every_parameter_receives_a_finite_gradient(variant: str) -> None:
    model = build(variant).train()
    speakers = (torch.arange(12) % N_SPEAKERS).repeat(3, 1)
    output = call(model, features(3, 12), [12, 1, 7], speakers)
    real = torch.arange(12) < torch.tensor([12, 1, 7])[:, None]
    nn.functional.cross_entropy(output.scores[real], torch.arange(20) % N_CLASSES).backward()
    for name, parameter in model.named_parameters():
        assert torch.isfinite(parameter.grad).all() and parameter.grad.abs().sum() > 0, f"{name} learns nothing"


@pytest.mark.parametrize("variant", VARIANTS)
def test_six_hundred_turns_beside_one_turn_are_scored(variant: str) -> None:
    with torch.no_grad():
        scores = call(build(variant), features(2, 600), [600, 1], alternating(2, 600)).scores
    assert torch.isfinite(scores[0]).all() and torch.isfinite(scores[1, 0]).all()


@pytest.mark.parametrize("variant", VARIANTS)
def test_weights_keep_their_names_through_a_file(variant: str, tmp_path) -> None:
    model = build(variant)
    save_file(model.state_dict(), tmp_path / "weights.safetensors")
    again = build(variant)
    for parameter in again.parameters():
        nn.init.zeros_(parameter)
    again.load_state_dict(load_file(tmp_path / "weights.safetensors"))
    arguments = (features(2, 4), [4, 3], alternating(2, 4))
    assert torch.equal(call(again, *arguments).scores, call(model, *arguments).scores)


@pytest.mark.parametrize("variant", [name for name, (_, options) in VARIANTS.items() if "speaker_embedding" in options])
def test_speakers_matter_and_their_names_do_not(variant: str) -> None:
    model, turns = build(variant), features(1, 6)
    scores = call(model, turns, [6], torch.tensor([[0, 1, 0, 2, 1, 0]])).scores
    assert_same(call(model, turns, [6], torch.tensor([[7, -1, 7, 3, -1, 7]])).scores, scores)
    assert (call(model, turns, [6], torch.tensor([[0, 0, 0, 0, 0, 0]])).scores - scores).abs().max() > 1e-4
    with pytest.raises(ConfigError, match="needs the speaker of each turn; found none"):
        model(turns if model.is_fusion else turns[0], torch.tensor([6]))


@pytest.mark.parametrize(
    ("variant", "words"),
    [
        ("gru", "dialogue-gru: built for 6 features a turn, found 200; use the embeddings of the stage"),
        ("transformer", "multimodal-transformer: modality 1 of 2: built for 6 features a turn, found 200"),
    ],
)
def test_embeddings_of_another_size_are_refused_by_name(variant: str, words: str) -> None:
    with pytest.raises(ConfigError, match=words):  # fault 4: 200 numbers for a stage that was built for 100
        call(build(variant), [torch.zeros(1, 3, 200), *features(1, 3)[1:]], [3], alternating(1, 3))


@pytest.mark.parametrize(
    ("variant", "options", "words"),
    [
        ("gru", {"n_hidden": 0}, "n_hidden and n_layers are numbers from 1 on"),
        ("gru", {"dropout": 1.0}, "dropout is a share"),
        ("gru", {"causal": True, "compat": "iiscleap"}, "each weight depends on all turns, so it cannot be causal"),
        ("transformer", {"n_heads": 5}, "n_heads divides n_hidden, found n_hidden 12, n_heads 5"),
        ("transformer", {"modality_dropout": 1.5}, "modality_dropout are shares"),
    ],
)
def test_impossible_options_are_refused_by_name(variant: str, options: dict, words: str) -> None:
    with pytest.raises(ConfigError, match=words):
        build(variant, **options)


def test_an_unknown_compat_and_a_missing_modality_are_refused_by_name() -> None:
    with pytest.raises(ConfigError, match="compat is one of paper, iiscleap, found 'code'"):
        DialogueGru(6, 4, compat="code")
    with pytest.raises(ConfigError, match="built for 2 modalities, found 1"):
        build("transformer")(features(1, 3)[:1], torch.tensor([3]))
    with pytest.raises(ConfigError, match=r"expects turns \(dialogue, turn, feature\), found \(3, 6\)"):
        build("gru")(torch.zeros(3, 6), torch.tensor([3]))


def test_speakers_are_numbered_in_the_order_in_which_they_first_speak() -> None:
    drawn = torch.randint(20, (5, 30), generator=torch.Generator().manual_seed(0))
    for names, numbers in zip(drawn.tolist(), speaker_indices(drawn).tolist(), strict=True):
        order = list(dict.fromkeys(names))
        assert numbers == [min(order.index(name), N_SPEAKERS - 1) for name in names]


def test_a_turn_may_look_at_real_turns_and_if_causal_at_no_later_one() -> None:
    for causal in (False, True):
        mask = key_mask(torch.tensor([3, 1]), 4, causal).expand(2, 4, 4)
        for d, query, key in itertools.product(range(2), range(4), range(4)):
            assert mask[d, query, key] == (key < [3, 1][d] and (key <= query or not causal))


# The context network: the paper's equations, and the released code's


@torch.no_grad()
def naive_attention(states: torch.Tensor, weight: torch.Tensor, causal: bool) -> torch.Tensor:
    """A^ij = exp(a^ij) / sum_j exp(a^ij), o_i = sum_j A^ij O_j, with a = (O W)(O W)^T, number by number."""
    n = len(states)
    projected = [[sum(weight[k][m] * row[m] for m in range(len(row))) for k in range(len(row))] for row in states]
    rows = []
    for i in range(n):
        seen = range(i + 1) if causal else range(n)
        a = {j: math.exp(sum(p * q for p, q in zip(projected[i], projected[j], strict=True))) for j in seen}
        total = sum(a.values())
        rows.append(sum(a[j] / total * states[j] for j in seen))
    return torch.stack(rows)


@pytest.mark.parametrize("causal", [False, True])
@torch.no_grad()
def test_the_embedding_follows_the_papers_equations_in_double_precision(causal: bool) -> None:
    model = build("gru", causal=causal).double()
    turns, n_turns = torch.randn(2, 5, 6, dtype=torch.float64), [5, 3]
    output = model(turns, torch.tensor(n_turns))
    for d, n in enumerate(n_turns):
        states = model.gru(turns[d : d + 1, :n])[0][0]  # of this dialogue alone, without padding
        directions = states.chunk(1 if causal else 2, dim=1)
        attended = [
            naive_attention(o, layer.project.weight, causal)
            for o, layer in zip(directions, model.attention, strict=True)
        ]
        torch.testing.assert_close(output.embedding[d, :n], torch.cat(attended, dim=1))
    assert_same(output.scores, model.classify(output.embedding))


def test_without_attention_the_embedding_is_the_states() -> None:
    model, turns = build("gru no-attention"), features(1, 5)[0]
    assert_same(model(turns, torch.tensor([5])).embedding, model.gru(turns)[0])


def test_the_causal_network_has_one_direction() -> None:
    model = build("gru causal")
    assert not model.gru.bidirectional and model.n_embedding == 7 and len(model.attention) == 1


def states_and_mask() -> tuple[torch.Tensor, torch.Tensor]:
    return torch.randn(2, 6, 7, generator=torch.Generator().manual_seed(2)), key_mask(torch.tensor([6, 4]), 6, False)


def test_fault_1_the_papers_rows_sum_to_one_over_real_turns_and_the_codes_columns_do() -> None:
    states, mask = states_and_mask()
    torch.manual_seed(0)
    paper, code = TurnAttention(7), TurnAttention(7, "iiscleap")
    weights = paper.weights(states, mask)
    torch.testing.assert_close(weights.sum(2), torch.ones(2, 6))
    assert not weights[1, :, 4:].any()
    weights = code.weights(states, mask)
    torch.testing.assert_close(weights.sum(1), torch.ones(2, 6))
    assert (weights.sum(2) - 1).abs().max() > 0.05, "rows are no convex combinations"
    code.project.bias.data.zero_()
    code.project.weight.data = paper.project.weight.data  # similarities are symmetric: the code's A is A transposed
    torch.testing.assert_close(code.weights(states, mask)[0], paper.weights(states, mask)[0].T)


def test_fault_1_the_papers_outputs_stay_within_the_states_and_the_codes_do_not() -> None:
    states, mask = states_and_mask()
    torch.manual_seed(0)
    paper, code = TurnAttention(7), TurnAttention(7, "iiscleap")
    lowest, highest = states[0].amin(0) - 1e-6, states[0].amax(0) + 1e-6
    output = paper(states, mask)[0]
    assert ((output >= lowest) & (output <= highest)).all()
    code.project.bias.data.zero_()
    code.project.weight.data = torch.eye(7)  # so that values are the states themselves
    output = code(states, mask)[0]
    assert not ((output >= lowest) & (output <= highest)).all()


def test_fault_2_the_code_averages_projected_states_and_has_a_bias() -> None:
    states, mask = states_and_mask()
    paper, code = TurnAttention(7), TurnAttention(7, "iiscleap")
    assert paper.project.bias is None and code.project.bias is not None
    torch.testing.assert_close(code(states, mask), code.weights(states, mask) @ code.project(states))
    torch.testing.assert_close(paper(states, mask), paper.weights(states, mask) @ states)


def test_fault_3_padding_changes_the_codes_scores_by_its_attention_and_by_its_gru() -> None:
    turns = features(1, 5)[0]
    longer = nn.functional.pad(turns, (0, 0, 0, 10))
    for attention in (True, False):
        model = build("gru", compat="iiscleap", attention=attention)
        alone = model(turns, torch.tensor([5])).scores
        padded = model(longer, torch.tensor([5])).scores[:, :5]
        assert (padded - alone).abs().amax(2).min() > 1e-4
    states, mask = states_and_mask()
    assert TurnAttention(7, "iiscleap").weights(states, mask)[1, :4, 4:].min() > 0, "padding is attended to"


@torch.no_grad()
def test_the_codes_embedding_is_that_of_a_naive_loop_in_double_precision() -> None:
    model = build("gru", compat="iiscleap").double()
    turns = torch.randn(1, 5, 6, dtype=torch.float64)
    directions = model.gru(turns)[0][0].chunk(2, dim=1)
    expected = []
    for states, layer in zip(directions, model.attention, strict=True):
        p = [layer.project.weight @ state + layer.project.bias for state in states]
        e = [[torch.exp(p[i] @ p[j]) for j in range(5)] for i in range(5)]
        totals = [sum(e[i][j] for i in range(5)) for j in range(5)]  # over queries i
        expected.append(torch.stack([sum(e[i][j] / totals[j] * p[j] for j in range(5)) for i in range(5)]))
    torch.testing.assert_close(model(turns, torch.tensor([5])).embedding[0], torch.cat(expected, dim=1))


# The fusion


def reference_layer(layer: EncoderLayer, n_feedforward: int) -> nn.TransformerEncoderLayer:
    """Torch's own layer with the same weights."""
    size = layer.merge.in_features
    reference = nn.TransformerEncoderLayer(size, layer.n_heads, n_feedforward, activation="gelu", batch_first=True)
    parts = {
        "self_attn.in_proj_": layer.project,
        "self_attn.out_proj.": layer.merge,
        "norm1.": layer.normalize_attention,
        "linear1.": layer.feedforward[0],
        "linear2.": layer.feedforward[3],
        "norm2.": layer.normalize_feedforward,
    }
    state = {f"{name}{kind}": getattr(part, kind) for name, part in parts.items() for kind in ("weight", "bias")}
    reference.load_state_dict(state)
    return reference.double()


@pytest.mark.parametrize("causal", [False, True])
def test_the_fusion_is_projections_torchs_encoder_and_turns_paired_again(causal: bool) -> None:
    model = build("transformer", causal=causal).double()
    for layer in model.layers:
        nn.init.normal_(layer.normalize_attention.weight)
        nn.init.normal_(layer.project.bias)
    turns = [x.double() for x in features(1, 5)]
    tokens = torch.cat([linear(x) for linear, x in zip(model.project, turns, strict=True)], dim=1)
    later = torch.ones(5, 5, dtype=torch.bool).triu(1).repeat(2, 2) if causal else None
    for layer in model.layers:  # in training mode without dropout, which is the path that takes any mask
        reference = reference_layer(layer, 20)
        for part in reference.modules():
            if isinstance(part, nn.Dropout):
                part.p = 0.0
        reference.self_attn.dropout = 0.0
        tokens = reference(tokens, src_mask=later)
    expected = torch.cat([tokens[:, :5], tokens[:, 5:]], dim=2)
    output = model(turns, torch.tensor([5]))
    torch.testing.assert_close(output.embedding, expected)
    torch.testing.assert_close(output.scores, model.classify(expected))


def test_the_default_has_the_papers_sizes() -> None:
    model = MultimodalTransformer([200, 200], 4)
    assert (model.n_hidden, model.n_embedding, len(model.layers), model.layers[0].n_heads) == (120, 240, 3, 12)
    assert model.layers[0].feedforward[0].out_features == 480
    context = DialogueGru(100, 4)
    assert (context.gru.hidden_size, context.gru.bidirectional, context.n_embedding) == (100, True, 200)


@pytest.mark.parametrize("n_modalities", [1, 2, 3])
def test_any_number_of_modalities_is_fused(n_modalities: int) -> None:
    model = MultimodalTransformer([6] * n_modalities, 4, **FUSION, **ALL).eval()
    turns = [torch.randn(2, 4, 6) for _ in range(n_modalities)]
    output = model(turns, torch.tensor([4, 2]), alternating(2, 4))
    assert output.embedding.shape == (2, 4, 12 * n_modalities) and torch.isfinite(output.scores[0]).all()


def test_without_positions_the_order_of_turns_does_not_matter_and_with_them_it_does() -> None:
    turns, order = features(1, 5), torch.tensor([3, 0, 4, 1, 2])
    for positions in (False, True):
        model = build("transformer", positions=positions)
        scores = model(turns, torch.tensor([5])).scores[:, order]
        moved = model([x[:, order] for x in turns], torch.tensor([5])).scores
        assert ((moved - scores).abs().max() < 1e-5) is not positions


def test_sinusoids_are_those_of_the_transformer_paper_for_even_and_odd_sizes() -> None:
    for size in (8, 7):
        for turn, row in enumerate(sinusoids(4, size).tolist()):
            for k, value in enumerate(row):
                phase = turn / 10_000 ** (2 * (k // 2) / size)
                assert value == pytest.approx(math.cos(phase) if k % 2 else math.sin(phase), abs=1e-5)


@pytest.mark.parametrize("variant", ["transformer", "transformer all", "transformer causal all"])
def test_what_an_absent_modality_says_is_never_heard(variant: str) -> None:
    model, turns, speakers, n = build(variant), features(2, 5), alternating(2, 5), torch.tensor([5, 3])
    present = torch.ones(2, 2, 5, dtype=torch.bool)
    present[0, 1, 2:] = False
    present[1, 0] = False
    scores = model(turns, n, speakers, present).scores
    altered = [x.masked_fill(~present[:, i, :, None], torch.nan) for i, x in enumerate(turns)]
    assert_same(model(altered, n, speakers, present).scores, scores)
    assert (model(turns, n, speakers).scores - scores).abs().max() > 1e-3
    assert_same(model(turns, n, speakers, torch.ones_like(present)).scores, model(turns, n, speakers).scores)


@pytest.mark.parametrize("causal", [False, True])
def test_turns_that_are_absent_might_as_well_not_have_been(causal: bool) -> None:
    model = build("transformer", causal=causal)
    turns, there = features(1, 7), torch.tensor([1, 2, 4, 6])
    present = torch.zeros(1, 2, 7, dtype=torch.bool)
    present[:, :, there] = True
    scores = model(turns, torch.tensor([7]), None, present).scores[:, there]
    assert_same(scores, model([x[:, there] for x in turns], torch.tensor([4])).scores)


def test_absent_turns_ask_the_others_what_nothing_would_ask() -> None:
    present = torch.ones(1, 2, 5, dtype=torch.bool)
    present[:, :, [1, 3]] = False
    embedding = build("transformer")(features(1, 5), torch.tensor([5]), None, present).embedding
    one, other = embedding[0, [1, 3]].chunk(2, dim=1)  # neither turn nor modality is known without embeddings
    assert_same(one, other)
    assert_same(one[0], one[1])


@pytest.mark.parametrize("variant", ["transformer", "transformer all", "transformer causal", "transformer causal all"])
def test_turns_without_any_modality_are_scored_and_unheard_by_others(variant: str) -> None:
    model, speakers, n = build(variant), alternating(1, 5), torch.tensor([5])
    turns = [x.requires_grad_() for x in features(1, 5)]
    present = torch.ones(1, 2, 5, dtype=torch.bool)
    present[:, :, [0, 3]] = False
    scores = model(turns, n, speakers, present).scores
    assert torch.isfinite(scores).all()
    scores.sum().backward()
    for x in turns:
        assert torch.isfinite(x.grad).all() and not x.grad[0, [0, 3]].any() and x.grad[0, [1, 2, 4]].any(1).all()


@pytest.mark.parametrize("variant", ["transformer", "transformer causal all"])
def test_a_dialogue_of_which_nothing_is_present_has_scores_that_padding_does_not_change(variant: str) -> None:
    model = build(variant)
    scores = [
        model(features(1, width), torch.tensor([3]), alternating(1, width), torch.zeros(1, 2, width).bool()).scores
        for width in (3, 8)
    ]
    assert torch.isfinite(scores[0]).all()
    assert_same(scores[1][:, :3], scores[0])


def test_modality_dropout_takes_one_modality_of_the_dialogues_it_hits_and_never_the_last() -> None:
    torch.manual_seed(0)
    there = torch.ones(4000, 3, 2, dtype=torch.bool)
    there[:1000, 1:] = False  # these have one modality
    left = drop_modality(there, 0.5).all(2)
    assert left[:1000, 0].all() and not left[:1000, 1:].any()
    n_left = left[1000:].sum(1)
    assert set(n_left.tolist()) == {2, 3}
    assert abs((n_left == 2).float().mean() - 0.5) < 0.05
    lost = (~left[1000:]).float().mean(0)
    assert (lost - 0.5 / 3).abs().max() < 0.03, "each modality is lost as often"
    assert torch.equal(drop_modality(there, 0.0), there)


def test_modality_dropout_acts_in_training_alone() -> None:
    model = build("transformer", modality_dropout=1.0, dropout=0.0, layer_dropout=0.0)
    turns, n = features(3, 4), torch.tensor([4, 4, 4])
    whole = model(turns, n).scores
    assert_same(build("transformer")(turns, n).scores, whole)
    lacking = []
    for modality in range(2):
        present = torch.ones(3, 2, 4, dtype=torch.bool)
        present[:, modality] = False
        lacking.append(model(turns, n, None, present).scores)
    dropped = model.train()(turns, n).scores
    for d in range(3):
        assert any(torch.allclose(dropped[d], scores[d], atol=1e-5) for scores in lacking)
        assert not torch.allclose(dropped[d], whole[d], atol=1e-4)
