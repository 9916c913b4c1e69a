"""Report of an alignment beside chance, so that noise is not taken for meaning."""

from affectra.features.words.alignment.alignment import Alignment
from affectra.features.words.alignment.homophones import HomophoneCheck

_VERDICTS = {
    "near": "words that sound alike lie together, as in a space learnt from sound.",
    "not near": "words that sound alike do not lie together: this space was hardly learnt from sound, or learnt badly.",
    "n/a": "too few homophones in this vocabulary to tell.",
}


def alignment_report(alignment: Alignment, homophones: HomophoneCheck) -> list[str]:
    """Lines on how well words find themselves in the other space, beside chance, and on homophones.

    Args:
        alignment: of speech vectors to text vectors.
        homophones: of the speech vectors.
    """
    return [_translation_line(alignment), _homophone_line(homophones)]


def alignment_numbers(alignment: Alignment, homophones: HomophoneCheck) -> dict[str, float | int | str | bool | None]:
    """The same as numbers, for traces.json; None where there is nothing to measure."""
    translation = alignment.translation
    return {
        "start": alignment.start,
        "n_anchors": alignment.n_anchors,
        "n_words": translation.n_words,
        "n_candidates": translation.n_candidates,
        **{f"precision_at_{place}": value for place, value in translation.precision.items()},
        **{f"chance_at_{place}": value for place, value in translation.chance.items()},
        "p_value": translation.p_value,
        "above_chance": translation.is_above_chance,
        "criterion": alignment.criterion[-1],
        "n_homophones": len(homophones.pairs),
        "homophone_place": homophones.median_place,
        "homophones": homophones.verdict,
    }


def _translation_line(alignment: Alignment) -> str:
    found = alignment.translation
    if found.n_words == 0:
        return "Word translation: n/a, every shared word was an anchor; keep some back to test the map."
    at_1, at_5 = found.precision[1], found.precision[5]
    given = f"{alignment.n_anchors} anchors" if alignment.n_anchors else f"no anchors ({alignment.start} start)"
    judgement = (
        "More than chance."
        if found.is_above_chance
        else "NOT more than chance: by this map the vectors of speech carry no meaning that those of text share."
    )
    return (
        f"Word translation from {given}: precision@1 {at_1:.3f}, @5 {at_5:.3f} for {found.n_words} words among "
        f"{found.n_candidates} (chance {found.chance[1]:.3f}, {found.chance[5]:.3f}). {judgement}"
    )


def _homophone_line(check: HomophoneCheck) -> str:
    if check.median_place is None:
        return f"Homophones: n/a, {_VERDICTS['n/a']}"
    pairs = ", ".join("/".join(pair) for pair in check.pairs[:5]) + (" ..." if len(check.pairs) > 5 else "")
    return (
        f"Homophones ({pairs}): {check.median_place:.0%} of all words lie nearer than the homophone (median of "
        f"{len(check.pairs)} pairs; chance 50%): {_VERDICTS[check.verdict]}"
    )
