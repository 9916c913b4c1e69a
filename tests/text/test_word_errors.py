"""Word errors against a recursive definition, their laws, and which words count."""

from functools import cache

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from affectra.text.asr.word_errors import WordErrors, corpus_word_errors, word_errors
from affectra.text.asr.words import spoken_words

TEXTS = st.lists(st.sampled_from("abcd"), max_size=7).map(tuple)


def all_ways(reference: tuple[str, ...], hypothesis: tuple[str, ...]) -> set[tuple[int, int, int]]:
    """(substitutions, deletions, insertions) of every way from one to the other; a word may also be kept."""

    @cache
    def ways(i: int, j: int) -> frozenset[tuple[int, int, int]]:
        if i == len(reference) and j == len(hypothesis):
            return frozenset({(0, 0, 0)})
        found = set()
        if i < len(reference):
            found |= {(s, d + 1, n) for s, d, n in ways(i + 1, j)}
        if j < len(hypothesis):
            found |= {(s, d, n + 1) for s, d, n in ways(i, j + 1)}
        if i < len(reference) and j < len(hypothesis):
            differs = reference[i] != hypothesis[j]
            found |= {(s + differs, d, n) for s, d, n in ways(i + 1, j + 1)}
        return frozenset(found)

    return set(ways(0, 0))


@settings(max_examples=200, deadline=None)
@given(TEXTS, TEXTS)
def test_counts_are_those_of_the_shortest_way_with_the_most_substitutions(reference, hypothesis) -> None:
    ways = all_ways(reference, hypothesis)
    fewest = min(sum(way) for way in ways)
    best = max(way for way in ways if sum(way) == fewest)
    found = word_errors(reference, hypothesis)
    assert (found.substitutions, found.deletions, found.insertions) == best
    assert found.n_reference == len(reference)


@settings(deadline=None)
@given(TEXTS, TEXTS)
def test_the_other_direction_exchanges_deletions_and_insertions(reference, hypothesis) -> None:
    there, back = word_errors(reference, hypothesis), word_errors(hypothesis, reference)
    assert (there.substitutions, there.deletions, there.insertions) == (
        back.substitutions, back.insertions, back.deletions,
    )  # fmt: skip


@settings(deadline=None)
@given(TEXTS, TEXTS, TEXTS)
def test_a_detour_never_has_fewer_errors(one, two, three) -> None:
    assert word_errors(one, three).n_errors <= word_errors(one, two).n_errors + word_errors(two, three).n_errors


def test_a_corpus_pools_counts_and_does_not_average_rates() -> None:
    pairs = [("no", "yes"), ("one two three four five six seven eight nine", "one two three four five six seven eight")]
    assert corpus_word_errors(pairs) == WordErrors(1, 1, 0, 10)
    assert corpus_word_errors(pairs).rate == pytest.approx(0.2)  # the mean of rates is 0.56
    assert corpus_word_errors([]) == WordErrors() and WordErrors().rate == 0.0


def test_a_reference_without_words_has_no_rate_unless_nothing_was_heard() -> None:
    assert word_errors("", "") == WordErrors() and word_errors("", "").rate == 0.0
    assert word_errors("...", "uh huh") == WordErrors(insertions=2)
    assert word_errors("", "uh").rate == float("inf")
    assert word_errors("all of it", "") == WordErrors(deletions=3, n_reference=3)
    assert word_errors("yes", "well yes of course").rate == 3.0


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("I'm HERE, you know!", "i’m here you know"),
        ("Ärger über Größe", "a\u0308rger u\u0308ber gro\u0308ße"),  # composed and decomposed
        ("well-known", "well known"),
        ("No [door slams] way <laughter>", "no way"),
        ("\ufb01ne １２", "fine 12"),
        ("", "?! …"),
    ],
)
def test_case_punctuation_tags_and_spelling_of_characters_are_no_errors(one: str, other: str) -> None:
    assert spoken_words(one) == spoken_words(other)
    assert word_errors(one, other).n_errors == 0


def test_words_given_as_such_are_taken_as_they_are() -> None:
    assert word_errors(["Yes"], ["yes"]).substitutions == 1
    assert word_errors("Yes", ["yes"]).n_errors == 0
