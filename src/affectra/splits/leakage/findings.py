"""The result of an audit: findings with their evidence, a verdict per fold and over all, as text and as JSON."""

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

SEVERITIES = ("leak", "warning", "note")

# Kinds of leakage, which may be allowed by name, in the order in which they are shown.
KINDS = (
    "utterance", "duplicate", "near-duplicate", "segment", "augmented", "corpus",
    "speaker", "session", "dialogue", "sentence",
)  # fmt: skip
CAVEATS = ("class-missing", "constant-labels", "speaker-missing", "unknown-speaker", "speaker-spelling", "unheard")
N_EXAMPLES = 3


@dataclass(frozen=True)
class Finding:
    """Something found.

    Attributes:
        kind: one of `KINDS` or `CAVEATS`.
        severity: "leak": the score of the fold says less than it seems to; "warning": look at it; "note": good to know.
        fold: number of the fold, from 0; None if it is about all of them.
        count: how many.
        total: of how many; 0 where that says nothing.
        what: what is counted and where, the same words in all folds.
        examples: all of them by name; text shows the first ones.
    """

    kind: str
    severity: str
    fold: int | None
    count: int
    total: int
    what: str
    examples: tuple[str, ...] = ()

    @property
    def message(self) -> str:
        """The finding in one line, with fold and examples."""
        place = "" if self.fold is None else f"fold {self.fold}: "
        examples = f": {_examples(self)}" if self.examples else ""
        return f"{place}{_amount([self])} {self.what}{examples}"

    def to_json(self) -> dict[str, Any]:
        """Everything, as values that JSON has."""
        return {**vars(self), "examples": list(self.examples), "message": self.message}


def _amount(findings: Sequence[Finding]) -> str:
    count = _span(finding.count for finding in findings)
    return f"{count} of {_span(finding.total for finding in findings)}" if findings[0].total else count


def _span(numbers: Iterable[int]) -> str:
    distinct = sorted(set(numbers))
    return str(distinct[0]) if len(distinct) == 1 else f"{distinct[0]}-{distinct[-1]}"


def _examples(finding: Finding) -> str:
    """The first examples in one line; of what is no leak one is enough, unless they are all there is to say."""
    is_all = finding.severity == "leak" or finding.kind == "speaker-spelling"
    shown = finding.examples[: N_EXAMPLES if is_all else 1]
    return "; ".join([*shown, *(["..."] if len(finding.examples) > len(shown) else [])])


@dataclass(frozen=True)
class Audit:
    """Result of auditing folds.

    Attributes:
        n_folds: how many folds.
        findings: leaks first, by kind and fold.
        audio_compared: whether the audio was compared too, and not names and labels alone.
    """

    n_folds: int
    findings: tuple[Finding, ...]
    audio_compared: bool

    @property
    def leaks(self) -> tuple[str, ...]:
        """The kinds of leakage found, in the order of `KINDS`."""
        found = {finding.kind for finding in self.findings if finding.severity == "leak"}
        return tuple(kind for kind in KINDS if kind in found)

    @property
    def ok(self) -> bool:
        """Whether no leak was found."""
        return not self.leaks

    @property
    def verdicts(self) -> tuple[str, ...]:
        """For each fold "leak", "warning" or "ok"; what is about all folds counts for none."""
        worst = ["ok"] * self.n_folds
        for finding in reversed(self.findings):  # leaks last, so that they win
            if finding.fold is not None and finding.severity != "note":
                worst[finding.fold] = finding.severity
        return tuple(worst)

    def lines(self) -> list[str]:
        """Text: findings, equal ones of many folds in one line, then the verdict."""
        alike: dict[tuple[str, str, str], list[Finding]] = defaultdict(list)
        for finding in self.findings:
            alike[finding.severity, finding.kind, finding.what].append(finding)
        return [*map(_condense, alike.values()), self._verdict()]

    def _verdict(self) -> str:
        basis = "" if self.audio_compared else "; names and labels alone were compared, not the audio"
        folds = "1 fold" if self.n_folds == 1 else f"{self.n_folds} folds"
        if self.ok:
            return f"verdict: no leak in {folds}{basis}"
        leaky = [k for k, verdict in enumerate(self.verdicts) if verdict == "leak"]
        return f"verdict: LEAK ({', '.join(self.leaks)}) in {len(leaky)} of {folds} ({_ranges(leaky)}){basis}"

    def to_json(self) -> dict[str, Any]:
        """Everything, as values that JSON has."""
        return {
            "ok": self.ok,
            "leaks": list(self.leaks),
            "heard": self.audio_compared,
            "verdict": self._verdict().removeprefix("verdict: "),
            "folds": [
                {
                    "fold": k,
                    "verdict": verdict,
                    "findings": [finding.to_json() for finding in self.findings if finding.fold == k],
                }
                for k, verdict in enumerate(self.verdicts)
            ],
            "findings": [finding.to_json() for finding in self.findings if finding.fold is None],
        }


def make_audit(n_folds: int, findings: Iterable[Finding], audio_compared: bool) -> Audit:
    """Put findings in order: by severity, kind, and fold."""
    kinds = (*KINDS, *CAVEATS)

    def order(finding: Finding) -> tuple[int, int, str, int]:
        fold = -1 if finding.fold is None else finding.fold
        return SEVERITIES.index(finding.severity), kinds.index(finding.kind), finding.what, fold

    return Audit(n_folds, tuple(sorted(findings, key=order)), audio_compared)


def _condense(alike: Sequence[Finding]) -> str:
    """One line for equal findings of several folds, with the examples of the first."""
    first = alike[0]
    if len(alike) == 1:
        return f"{first.severity}: {first.kind}: {first.message}"
    folds = _ranges([finding.fold for finding in alike if finding.fold is not None])
    examples = f"; fold {first.fold}: {_examples(first)}" if first.examples else ""
    return f"{first.severity}: {first.kind}: folds {folds}: {_amount(alike)} {first.what}{examples}"


def _ranges(numbers: Sequence[int]) -> str:
    """Numbers in order, neighbours drawn together.

    Example:
        >>> _ranges([0, 1, 2, 5])
        '0-2, 5'
    """
    runs: list[list[int]] = []
    for number in numbers:
        if runs and number == runs[-1][-1] + 1:
            runs[-1].append(number)
        else:
            runs.append([number])
    return ", ".join(str(run[0]) if len(run) == 1 else f"{run[0]}-{run[-1]}" for run in runs)
