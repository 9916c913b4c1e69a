"""Gradient reversal against finite differences, and what domain heads learn and hide."""

import math
from itertools import product
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from affectra.errors import ConfigError
from affectra.models.layers import GradientReversal, reversal_scale
from affectra.models.utterance.domain import UNKNOWN, DomainHeads, domain_loss
from affectra.recipes.domains import primary_language, redundant_domains
from affectra.training.data import Utterance, domain_indices


@pytest.mark.parametrize("scale", [0.0, 0.3, 1.0, 2.5])
def test_gradient_reversal_gives_minus_scale_times_the_finite_difference(scale: float) -> None:
    torch.manual_seed(0)
    reversal = GradientReversal()
    reversal.scale = scale
    after = nn.Linear(3, 1).double()

    def value(x: Tensor) -> Tensor:
        return after(reversal(x)).tanh().sum()

    x = torch.randn(4, 3, dtype=torch.double, requires_grad=True)
    value(x).backward()
    for i in range(4):
        for j in range(3):
            shift = torch.zeros_like(x)
            shift[i, j] = 1e-6
            slope = (value(x.detach() + shift) - value(x.detach() - shift)).item() / 2e-6
            assert x.grad[i, j].item() == pytest.approx(-scale * slope, abs=1e-8)


def test_gradient_reversal_passes_features_on_and_trains_what_follows_as_usual() -> None:
    torch.manual_seed(0)
    after, x = nn.Linear(3, 2), torch.randn(5, 3)
    reversal = GradientReversal(0.7)
    assert torch.equal(reversal(x), x) and not list(reversal.parameters())
    after(reversal(x)).square().sum().backward()
    behind = after.weight.grad.clone()
    after.zero_grad()
    after(x).square().sum().backward()
    assert torch.equal(after.weight.grad, behind)


def test_the_scale_of_a_step_is_the_one_that_its_forward_pass_had() -> None:
    reversal, x = GradientReversal(0.5), torch.ones(1, requires_grad=True)
    loss = reversal(x).sum()
    reversal.scale = 9.0
    loss.backward()
    assert x.grad.item() == -0.5


def test_the_ramp_rises_from_nothing_to_nearly_one_and_the_constant_stays() -> None:
    progress = [i / 20 for i in range(21)]
    ramp = [reversal_scale(p, "ramp") for p in progress]
    assert ramp[0] == 0 and 0.9999 < ramp[-1] < 1 and ramp == sorted(set(ramp))
    assert ramp == pytest.approx([math.tanh(5 * p) for p in progress])  # the same function
    assert {reversal_scale(p, "constant") for p in progress} == {1.0}


def test_a_schedule_or_progress_that_does_not_exist_is_refused() -> None:
    with pytest.raises(ConfigError, match="one of constant, ramp, found 'linear'"):
        reversal_scale(0.5, "linear")  # type: ignore[arg-type]
    with pytest.raises(ConfigError, match=r"from 0 to 1, found 1\.5"):
        reversal_scale(1.5, "ramp")


@pytest.mark.parametrize("conditional_on", [0, 4])
@pytest.mark.parametrize("domains", [{"speaker": 5}, {"corpus": 3, "gender": 2, "language": 2}])
def test_every_head_learns_while_the_features_are_taught_the_opposite(
    domains: dict[str, int], conditional_on: int
) -> None:
    torch.manual_seed(0)
    heads = DomainHeads(8, domains, conditional_on)
    shared = torch.randn(6, 8, requires_grad=True)
    probabilities = torch.randn(6, 4).softmax(1) if conditional_on else None
    targets = {name: torch.arange(6) % n for name, n in domains.items()}
    gradients = []
    for scale in (1.0, -1.0, 0.25):  # -1 lets the plain gradient through
        heads.zero_grad()
        shared.grad = None
        heads.reversal.scale = scale
        domain_loss(heads(shared, probabilities), targets)[0].backward()
        gradients.append(shared.grad)
        assert all(p.grad is not None and p.grad.abs().sum() > 0 for p in heads.parameters())
    torch.testing.assert_close(gradients[0], -gradients[1])
    torch.testing.assert_close(gradients[2], 0.25 * gradients[0])
    heads.reversal.scale = 1.0
    step = shared.detach() - 0.1 * gradients[0]
    losses = [domain_loss(heads(x, probabilities), targets)[0] for x in (shared, step)]
    assert losses[1] > losses[0], "a step of the features makes the domains harder to read"


def test_conditional_heads_read_the_outer_product_of_features_and_probabilities() -> None:
    torch.manual_seed(0)
    heads = DomainHeads(3, {"corpus": 2}, conditional_on=4)
    shared, probabilities = torch.randn(5, 3), torch.randn(5, 4).softmax(1)
    scores = heads(shared, probabilities)["corpus"]
    for i in range(5):
        product = torch.stack([p * f for p in probabilities[i] for f in shared[i]])
        torch.testing.assert_close(scores[i], heads.heads["corpus"](product))


@pytest.mark.parametrize("standardized", [False, True])
def test_standardized_features_cannot_fool_the_heads_by_growing(standardized: bool) -> None:
    """Gradient ascent on the heads' loss: the size of the features is a way out, unless it is not seen."""
    torch.manual_seed(0)
    heads = DomainHeads(6, {"corpus": 3}, standardized=standardized)
    shared, targets = torch.randn(30, 6), {"corpus": torch.arange(30) % 3}
    wrong = domain_loss(heads(shared), targets)[0]
    grown = domain_loss(heads(1000 * shared + 7 * standardized), targets)[0]
    if standardized:
        torch.testing.assert_close(grown, wrong, rtol=1e-4, atol=1e-4)
    else:
        assert grown > 50 * wrong


def test_no_gradient_flows_through_the_probabilities_of_conditional_heads() -> None:
    heads = DomainHeads(3, {"corpus": 2}, conditional_on=4)
    emotion = torch.randn(5, 4, requires_grad=True)
    heads(torch.randn(5, 3), emotion.softmax(1))["corpus"].sum().backward()
    assert emotion.grad is None


def test_domain_loss_is_the_sum_of_cross_entropies_over_known_targets() -> None:
    torch.manual_seed(0)
    scores = {"corpus": torch.randn(6, 3), "gender": torch.randn(6, 2)}
    targets = {"corpus": torch.tensor([0, 1, 2, 0, 1, 2]), "gender": torch.tensor([0, UNKNOWN, 1, UNKNOWN, 1, 1])}
    expected, right = 0.0, {}
    for name in scores:
        known = [i for i in range(6) if targets[name][i] >= 0]
        log_p = scores[name].log_softmax(1)
        expected -= sum(log_p[i, targets[name][i]].item() for i in known) / len(known)
        right[name] = sum(int(scores[name][i].argmax()) == targets[name][i].item() for i in known) / len(known)
    loss, accuracies = domain_loss(scores, targets)
    assert loss.item() == pytest.approx(expected, rel=1e-6)
    assert accuracies == pytest.approx(right)


def test_a_domain_unknown_to_the_whole_batch_adds_nothing_and_teaches_nothing() -> None:
    torch.manual_seed(0)
    heads = DomainHeads(4, {"corpus": 2, "gender": 2})
    shared = torch.randn(3, 4, requires_grad=True)
    scores = heads(shared)
    targets = {"corpus": torch.tensor([0, 1, 1]), "gender": torch.full((3,), UNKNOWN)}
    loss, accuracies = domain_loss(scores, targets)
    alone, _ = domain_loss({"corpus": scores["corpus"]}, targets)
    assert torch.equal(loss, alone) and set(accuracies) == {"corpus"}
    loss.backward()
    assert all((p.grad == 0).all() for p in heads.heads["gender"].parameters())
    nothing, none = domain_loss({"gender": heads(shared)["gender"]}, targets)
    assert nothing.item() == 0.0 and none == {}


def test_a_domain_with_one_value_is_trivial() -> None:
    heads = DomainHeads(4, {"corpus": 1})
    shared = torch.randn(3, 4, requires_grad=True)
    loss, accuracies = domain_loss(heads(shared), {"corpus": torch.zeros(3, dtype=torch.long)})
    loss.backward()
    assert loss.item() == 0.0 and (shared.grad == 0).all() and accuracies == {"corpus": 1.0}


@pytest.mark.parametrize(
    ("domains", "message"),
    [
        ({}, "none is named"),
        ({"speakers": 4}, "unknown domain 'speakers'; did you mean 'speaker'"),
        ({"corpus": 0}, "no training utterance says its corpus"),
    ],
)
def test_domains_that_make_no_sense_are_refused(domains: dict[str, int], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        DomainHeads(4, domains)


def test_an_adversary_hides_a_domain_that_features_showed() -> None:
    """Two independent labels: an encoder trained against one keeps the other and loses this one."""
    torch.manual_seed(0)
    x = torch.randn(400, 6)
    emotion, corpus = (x[:, 0] > 0).long(), (x[:, 1] > 0).long()

    def read(gamma: float) -> tuple[float, float]:
        torch.manual_seed(1)
        encoder, classify = nn.Linear(6, 2), nn.Linear(2, 2)
        with torch.no_grad():
            encoder.weight[1, 1] = 1.0  # begins by showing the corpus
        heads = DomainHeads(2, {"corpus": 2})
        optimizer = torch.optim.Adam([*encoder.parameters(), *classify.parameters(), *heads.parameters()], lr=0.02)
        for _ in range(300):
            shared = encoder(x)
            loss = nn.functional.cross_entropy(classify(shared), emotion)
            (loss + gamma * domain_loss(heads(shared), {"corpus": corpus})[0]).backward()
            optimizer.step()
            optimizer.zero_grad()
        shared = encoder(x).detach()
        probe = torch.linalg.lstsq(torch.cat([shared, torch.ones(400, 1)], 1), corpus.float()[:, None] - 0.5).solution
        guess = (torch.cat([shared, torch.ones(400, 1)], 1) @ probe)[:, 0] > 0
        right = (classify(shared).argmax(1) == emotion).double().mean().item()
        return right, (guess == corpus.bool()).double().mean().item()

    plain_emotion, plain_corpus = read(0.0)
    emotion_right, corpus_right = read(1.0)
    assert plain_emotion > 0.95 and plain_corpus > 0.7
    assert emotion_right > 0.95 and corpus_right < 0.6


@pytest.mark.parametrize(
    ("tag", "language"),
    [("en", "en"), ("en-GB", "en"), ("EN-us", "en"), ("zh-Hans-CN", "zh"), ("de-CH-1996", "de"), ("pt_BR", "pt"),
     ("yue", "yue"), ("", "")],
)  # fmt: skip
def test_a_language_is_its_tag_without_script_and_region(tag: str, language: str) -> None:
    assert primary_language(tag) == language


def test_british_and_american_english_are_one_value_of_the_language_head() -> None:
    tags = ["en", "en-GB", "en-US", "de", "", "de-AT"]
    heard = [Utterance(str(i), "c", "s", "", tag, Path("x"), 1) for i, tag in enumerate(tags)]
    assert domain_indices(["language"], heard) == {"language": {"de": 0, "en": 1}}
    assert [one.domain("language") for one in heard] == ["en", "en", "en", "de", "", "de"]


def test_two_domains_are_one_partition_exactly_where_each_follows_from_the_other() -> None:
    rng = np.random.default_rng(0)
    for n_a, n_b in product((2, 3), (2, 3)):
        for _ in range(30):
            a, b = (rng.choice([*"wxyz"[:n]], 6) for n in (n_a, n_b))
            follows = all((a[i] == a[j]) == (b[i] == b[j]) for i in range(6) for j in range(6))
            if len(set(a)) > 1 and len(set(b)) > 1:
                said = list(redundant_domains({"language": list(a), "corpus": list(b)}))
                assert bool(said) == follows, (a, b)
    assert list(redundant_domains({"language": ["de", "en", "en"], "corpus": ["a", "b", "c"]})) == []


def test_what_is_unknown_is_no_value_of_its_own() -> None:
    (line,) = redundant_domains({"language": ["de", "en", ""], "corpus": ["a", "b", "c"]})
    assert "same partition" in line
    assert list(redundant_domains({"gender": ["", ""], "language": ["de", ""]})) == [
        "gender is unknown in training: its head has nothing to tell apart",
        "language is de alone in training: its head has nothing to tell apart",
    ]
