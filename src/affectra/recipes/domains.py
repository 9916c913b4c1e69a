"""Domains of utterances: speaker, corpus, gender and language, and which of them are one and the same partition."""

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import combinations

DOMAINS = ("speaker", "corpus", "gender", "language")


def primary_language(tag: str) -> str:
    """The language of a BCP 47 tag without script, region and the like; "" where it is unknown.

    British and American English are one language, as they are to every paper here.

    Example:
        >>> [primary_language(tag) for tag in ("en-GB", "EN", "zh-Hans-CN", "de_AT", "")]
        ['en', 'en', 'zh', 'de', '']
    """
    return re.split("[-_]", tag)[0].lower()


def domain_value(domain: str, corpus: str, value: str) -> str:
    """A domain's value as it is compared: a speaker within the corpus, a language by its primary tag; "" if unknown.

    Args:
        domain: one of `DOMAINS`.
        corpus: of the utterance.
        value: what the manifest says in the domain's column.
    """
    if domain == "speaker":
        return f"{corpus}/{value}" if value else ""
    return primary_language(value) if domain == "language" else value


def domain_values(domain: str, corpora: Iterable[str], values: Iterable[str]) -> list[str]:
    """`domain_value` of several utterances, one after the other."""
    return [domain_value(domain, corpus, value) for corpus, value in zip(corpora, values, strict=True)]


def redundant_domains(domains: Mapping[str, Sequence[str]]) -> Iterator[str]:
    """Domains whose heads learn nothing of their own from these utterances, a sentence each.

    Args:
        domains: of each domain, its value for each utterance, "" where it is unknown.

    Example:
        >>> list(redundant_domains({"language": ["de", "en", "en"], "corpus": ["a", "b", "b"], "gender": ["male"] * 3}))
        ... # doctest: +NORMALIZE_WHITESPACE
        ['gender is male alone in training: its head has nothing to tell apart',
         'language and corpus are the same partition of the training utterances: their two heads learn one thing']
    """
    known = {name: set(values) - {""} for name, values in domains.items()}
    for name, found in known.items():
        if len(found) < 2:
            only = f"is {found.pop()} alone" if found else "is unknown"
            yield f"{name} {only} in training: its head has nothing to tell apart"
    for one, other in combinations((name for name, found in known.items() if len(found) > 1), 2):
        pairs = {pair for pair in zip(domains[one], domains[other], strict=True) if all(pair)}
        if len(pairs) > 1 and len(pairs) == len({a for a, _ in pairs}) == len({b for _, b in pairs}):
            yield (
                f"{one} and {other} are the same partition of the training utterances: their two heads learn one thing"
            )
