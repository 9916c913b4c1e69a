"""How much two runs differ in one score, whether others would say so too, and how a reader is told."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from affectra.tasks.statistics import MAX_EXACT, Interval, holm


@dataclass(frozen=True)
class Difference:
    """One score of two runs.

    Attributes:
        a: of the one run, averaged over seeds.
        b: of the other.
        effect: a - b.
        interval: of the effect, 95 %, by bootstrap over groups (speakers, dialogues, ...); None with fewer than three.
        p: two-sided, by exchanging the runs' predictions group by group.
        p_holm: p corrected for the other comparisons beside it; None in a comparison alone.
    """

    a: float
    b: float
    effect: float
    interval: Interval
    p: float
    p_holm: float | None = None

    def line(self, name: str) -> str:
        """The same for a reader, under the score's name."""
        interval = f" [{_signed(self.interval[0])}, {_signed(self.interval[1])}]" if self.interval else ""
        corrected = "" if self.p_holm is None else f", {self.p_holm:.4f} by Holm"
        return f"{name} {self.a:.3f} against {self.b:.3f}: {_signed(self.effect)}{interval}, p {self.p:.4f}{corrected}"


def _signed(value: float) -> str:
    return f"{round(value, 3) + 0.0:+.3f}"  # + 0.0: no minus before a zero


def corrected(comparisons: Sequence[Mapping[str, Difference]]) -> list[dict[str, Difference]]:
    """Several comparisons' differences by score, each p corrected for the number of comparisons that have that score.

    Example:
        >>> one, other = ({"ua": Difference(0.7, 0.6, 0.1, None, p)} for p in (0.01, 0.04))
        >>> [found["ua"].p_holm for found in corrected([one, other])]
        [0.02, 0.04]
    """
    found: list[dict[str, Difference]] = [{} for _ in comparisons]
    for name in dict.fromkeys(name for one in comparisons for name in one):
        having = [k for k, one in enumerate(comparisons) if name in one]
        for k, p in zip(having, holm([comparisons[k][name].p for k in having]), strict=True):
            found[k][name] = replace(comparisons[k][name], p_holm=p)
    return found


def seeds_text(n_seeds: tuple[int, int]) -> str:
    """How many seeds the two runs have, or nothing where both have one."""
    return "" if n_seeds == (1, 1) else f", {n_seeds[0]} and {n_seeds[1]} seed(s)"


def how_tested(by: str, n_groups: int, n_exchanges: int) -> str:
    """Where interval and p come from."""
    all_of = "all " if n_groups <= MAX_EXACT else ""
    return f"interval: bootstrap over {by}s; p: {all_of}{n_exchanges} exchanges of both, {by} by {by}"
