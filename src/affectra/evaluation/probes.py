"""Domain-leak probes: how much of speaker, corpus, gender and language a linear classifier reads from embeddings."""

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from affectra.evaluation.spaces import read_spaces
from affectra.metrics import unweighted_average_recall
from affectra.recipes.domains import DOMAINS, domain_values
from affectra.tasks.classes import Classes
from affectra.tasks.evaluation import speaker_bootstrap
from affectra.tasks.statistics import LEVEL, MIN_SPEAKERS, N_RESAMPLES, Interval

N_FOLDS = 5
MAX_ITERATIONS = 1000  # of the logistic regression; some tens are enough on standardised features
SEED = 0
N_NAMED = 4  # values or notes that are shown; of more, how many
Array = npt.NDArray[Any]


@dataclass(frozen=True)
class Probe:
    """Result of a linear classifier that predicts one domain; all values but counts and the distance are fractions.

    Attributes:
        part: which embeddings: "train", "test" or "all" of a run, "" outside of one.
        domain: what is read: one of `DOMAINS`, or "train/<corpus>" for training against a corpus that is not in it.
        balanced_accuracy: UA on rows the classifier was not fitted on; None where it cannot be measured.
        chance: UA of guessing, 1 / number of values; None as before.
        interval: of the accuracy, 95 %, by bootstrap over speakers; None with fewer than three. It does not count that
            other speakers would give another classifier too: with 24 of them it leaves out chance in up to one of five
            cases where there is nothing to read.
        a_distance: proxy A-distance 2 (1 - 2 error) of a domain of two values; None for others.
        n_values: of the domain; None where the folds of a run differ.
        n_utterances: that were read; in a run on average over its folds.
        n_speakers: of these; in a run over all folds together.
        n_folds: of a run and its seeds, in which it could be measured; each has a space of its own.
        notes: what was left out and why, and what else tells the domain.
    """

    part: str
    domain: str
    balanced_accuracy: float | None
    chance: float | None
    interval: Interval
    a_distance: float | None
    n_values: int | None
    n_utterances: int
    n_speakers: int
    n_folds: int
    notes: tuple[str, ...]

    @property
    def label(self) -> str:
        """Domain and part."""
        return f"{self.domain} ({self.part})" if self.part else self.domain

    def to_json(self) -> dict[str, Any]:
        """The same as JSON values, as a report wants them."""
        return {**asdict(self), "domain": self.label, "note": "; ".join(self.notes)}

    def line(self) -> str:
        """The same for a reader."""
        notes = "".join(f"; {note}" for note in self.notes)
        if self.balanced_accuracy is None:
            return f"{self.label} not measurable{notes}"
        interval = f" [{self.interval[0]:.3f}, {self.interval[1]:.3f}]" if self.interval else ""
        return (
            f"{self.label} {self.balanced_accuracy:.3f}{interval}, chance {self.chance:.3f}, {self.n_utterances} "
            f"utterances of {self.n_speakers} speakers{notes}"
        )


@dataclass(frozen=True)
class _Reading:
    """One domain read in one space: speaker, truth and predicted of each row tested, or None; notes."""

    rows: pd.DataFrame | None
    notes: tuple[str, ...]


def deal_folds(labels: Array, units: Array, strata: Array | None = None) -> npt.NDArray[np.int64]:
    """Folds that keep each unit whole and spread the units of each value and stratum as evenly as they go.

    The units of a value in a stratum are dealt one by one from the first fold on, large ones first. So a value with
    two or more units is always in the training part of the folds that test it, and each training part has about the
    same mixture of strata in each value. Else embeddings full of gender would read corpora below chance: without a
    female speaker of one corpus, training says that women are of the other one.

    Args:
        labels: (row,), values to read.
        units: (row,), what stays together: a speaker, or a number of its own for each row.
        strata: (row,), what the folds are balanced for; default: nothing.

    Returns:
        (row,), the fold that tests each row, below `N_FOLDS`; some folds stay empty where there are fewer units.

    Example:
        >>> deal_folds(np.array(["de", "de", "de", "pl", "pl"]), np.array(["a", "a", "b", "c", "d"]))
        array([0, 0, 1, 0, 1])
    """
    table = pd.DataFrame({"label": labels, "unit": units, "stratum": "" if strata is None else strata})
    pairs = table.groupby(["label", "stratum", "unit"]).size().rename("n").reset_index()
    pairs["rarity"] = pairs.groupby("label")["unit"].transform("nunique")
    # A unit of several values (a bilingual speaker) is dealt with those of its rarest.
    owners = pairs.sort_values(["rarity", "label"], kind="stable").drop_duplicates("unit")
    owners = owners.sort_values(["label", "stratum", "n", "unit"], ascending=[True, True, False, True], kind="stable")
    turn = owners.groupby(["label", "stratum"]).cumcount()
    # One unit a stratum: all would be tested together and none learnt from.
    single = turn.groupby(owners["label"]).transform("max") == 0
    turn = turn.where(~single, owners.groupby("label").cumcount())
    fold_of = dict(zip(owners["unit"], turn % N_FOLDS, strict=True))
    return np.array([fold_of[unit] for unit in units], dtype=np.int64)


def probe(
    embeddings: Array,
    labels: Sequence[str],
    speakers: Sequence[str],
    domain: str,
    strata: Sequence[str] | None = None,
) -> Probe:
    """Read a domain from embeddings by logistic regression on standardised features, in five folds.

    Corpus, gender and language are read from speakers the classifier was not fitted on: else it would know the voice. A
    speaker can only be read from other utterances of the same one, so there the folds are over utterances. Classes
    weigh the same. A value of fewer than two speakers (utterances where speakers are read) is left out and named, and
    with fewer than two values left nothing is measured.

    Args:
        embeddings: (utterance, feature), of one and the same network.
        labels: (utterance,), value of the domain; "" where it is not known, which is left out.
        speakers: (utterance,), unique over corpora; "" where not known, which is left out.
        domain: "speaker" for folds over utterances; any other name for folds over speakers.
        strata: (utterance,), what the folds are balanced for, see `deal_folds`.
    """
    balance = None if strata is None else np.asarray(strata)
    return _summary("", domain, [_read(embeddings, np.asarray(labels), np.asarray(speakers), domain, balance)])


def proxy_a_distance(
    source: Array, target: Array, source_speakers: Sequence[str], target_speakers: Sequence[str]
) -> float | None:
    """How well two sets of embeddings can be separated: 2 (1 - 2 error) (Ben-David et al. 2007).

    The error is the balanced one (1 - UA) of a linear classifier on speakers it was not fitted on, so neither the sizes
    of the sets nor single voices count. 2 means always separated, 0 not at all; chance may bring it slightly below 0.
    None where a set has fewer than two speakers.

    Args:
        source: (utterance, feature).
        target: (utterance, feature), of the same network.
        source_speakers: (utterance,) of the source, unique over corpora.
        target_speakers: (utterance,) of the target.
    """
    labels = ["source"] * len(source) + ["target"] * len(target)
    return probe(np.concatenate([source, target]), labels, [*source_speakers, *target_speakers], "set").a_distance


def probe_embeddings(table: pd.DataFrame, embeddings: Array) -> list[Probe]:
    """Read each of `DOMAINS` from the embeddings of one network.

    Args:
        table: columns corpus, speaker, gender and language, "" where not known; one row an utterance. With the column
            emotion the notes say what accuracy this alone allows: embeddings that tell emotions cannot tell less.
        embeddings: (utterance, feature), rows as in the table.

    Returns:
        One probe a domain. The notes name the domains that follow from one another in these utterances: what is then
        read may be the other one (where each corpus has one language, telling corpora apart is telling languages).
    """
    return [_summary("", domain, [reading]) for domain, reading in _read_domains(table, embeddings).items()]


def probe_run(folder: str | Path) -> list[Probe]:
    """Read each of `DOMAINS` from the embeddings of a run; averaged over its folds and seeds.

    Each fold has a network and thus a space of its own: classifiers are fitted and tested inside one, and only their
    accuracies are averaged. Training embeddings are of utterances the network learnt from, test embeddings of ones it
    had not heard; "all" has both, for domains of which one part holds a single value or speaker. Where none of the
    test corpora is in training, each is told apart from training too, as "train/<corpus>"; `Probe.a_distance`
    says how far. That distance counts how differently a network treats what it learnt from, as well as the corpus.

    Args:
        folder: a run directory whose folds keep "train_embedding" beside "embedding"; folds without it are read in
            their test part alone.

    Raises:
        CheckpointError: no finished fold, or embeddings that do not fit their utterances.
    """
    readings: dict[tuple[str, str], list[_Reading]] = {}
    for table, embeddings in read_spaces(folder):
        trained = (table["part"] == "train").to_numpy()
        parts = {"all": trained | True, "train": trained, "test": ~trained} if trained.any() else {"test": ~trained}
        for part, chosen in parts.items():
            for domain, reading in _read_domains(table[chosen], embeddings[chosen]).items():
                readings.setdefault((part, domain), []).append(reading)
        for corpus in _untrained(table):
            chosen, domain = trained | (table["corpus"] == corpus).to_numpy(), f"train/{corpus}"
            labels, speakers = np.where(trained, "train", corpus)[chosen], _speakers(table)[chosen]
            reading = _read(embeddings[chosen], labels, speakers, domain, table["gender"].to_numpy(dtype=str)[chosen])
            readings.setdefault(("all", domain), []).append(reading)
    return [_summary(part, domain, found) for (part, domain), found in readings.items()]


def _untrained(table: pd.DataFrame) -> list[str]:
    """The test corpora where none of them is in training."""
    trained, tested = (
        set(table["corpus"][is_part]) - {""} for is_part in (table["part"] == "train", table["part"] == "test")
    )
    return sorted(tested) if trained and not trained & tested else []


def _read_domains(table: pd.DataFrame, embeddings: Array) -> dict[str, _Reading]:
    speakers = _speakers(table)
    table = table.assign(language=domain_values("language", table["corpus"], table["language"]))
    found = {}
    for domain in DOMAINS:
        labels = speakers if domain == "speaker" else table[domain].to_numpy(dtype=str)
        strata = table["corpus" if domain == "gender" else "gender"].to_numpy(dtype=str)
        reading = _read(embeddings, labels, speakers, domain, None if domain == "speaker" else strata)
        if reading.rows is not None:
            used = table.iloc[reading.rows.index]
            reading = replace(reading, notes=(*reading.notes, *_confounds(used, domain)))
        found[domain] = reading
    return found


def _speakers(table: pd.DataFrame) -> Array:
    """corpus/speaker of each row; "" where the speaker is not known."""
    return np.array(domain_values("speaker", table["corpus"], table["speaker"]), dtype=str)


def _read(embeddings: Array, labels: Array, speakers: Array, domain: str, strata: Array | None) -> _Reading:
    """Predictions of rows by classifiers fitted on other folds; their index says which rows."""
    rows = np.flatnonzero((labels != "") & (speakers != ""))
    notes = [f"utterances of unknown {domain} or speaker left out"] * (len(rows) < len(labels))
    n_values = len(np.unique(labels[rows]))
    if n_values < 2:
        return _Reading(None, (f"one {domain} alone" if n_values else f"{domain} or speaker unknown",))
    # Numbers in random order: neighbours in a manifest are takes of one sentence, and go to different folds.
    units = np.random.default_rng(SEED).permutation(len(rows)) if domain == "speaker" else speakers[rows]
    folds = deal_folds(labels[rows], units, None if strata is None else strata[rows])
    dealt = pd.DataFrame({"label": labels[rows], "unit": units, "fold": folds}).groupby("label").nunique()
    lonely = dealt[dealt["fold"] < 2]
    if len(lonely):
        thing = "utterances" if domain == "speaker" else "speakers"
        more = f" and {len(lonely) - N_NAMED} more" if len(lonely) > N_NAMED else ""
        notes.append(f"left out for want of two {thing}: {', '.join(lonely.index[:N_NAMED])}{more}")
    if n_values - len(lonely) < 2:
        return _Reading(None, tuple(notes))
    kept = ~np.isin(labels[rows], lonely.index.to_numpy(dtype=str))
    rows, folds = rows[kept], folds[kept]
    x, y = np.asarray(embeddings, dtype=np.float64)[rows], labels[rows]
    predicted = np.empty_like(y)
    for fold in np.unique(folds):
        test = folds == fold
        predicted[test] = _classifier().fit(x[~test], y[~test]).predict(x[test])
    return _Reading(pd.DataFrame({"speaker": speakers[rows], "truth": y, "predicted": predicted}, rows), tuple(notes))


def _classifier() -> Any:
    # Balanced, since the accuracy is: without, a rare value would hide behind a frequent one.
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    return make_pipeline(StandardScaler(), LogisticRegression(class_weight="balanced", max_iter=MAX_ITERATIONS))


def _confounds(table: pd.DataFrame, domain: str) -> Iterator[str]:
    """Describe what else reveals a domain in these rows."""
    if domain == "speaker":
        of_corpus = table.drop_duplicates(["corpus", "speaker"])["corpus"]
        if of_corpus.nunique() > 1:
            yield f"corpus alone gives {of_corpus.nunique() / len(of_corpus):.3f}"
        return
    for other in DOMAINS[1:]:
        n_values = table[table[other] != ""].groupby(other)[domain].nunique()
        telling = n_values.index[n_values == 1]
        if other == domain or len(n_values) < 2 or telling.empty:
            continue
        extent = "" if len(telling) == len(n_values) else f" where that is {', '.join(telling)}"
        yield f"{domain} follows from {other}{extent}"
    if "emotion" in table and (table["emotion"] != "").all():
        # The best guess from the emotion: the value in which it is most frequent. UA is then the mean of these shares.
        shares = pd.crosstab(table[domain], table["emotion"], normalize="index")
        yield f"emotion alone gives {shares.max().sum() / len(shares):.3f}"


def _summary(part: str, domain: str, readings: Sequence[_Reading]) -> Probe:
    """Accuracy averaged over spaces, with its interval."""
    measured = [reading.rows for reading in readings if reading.rows is not None]
    # A note that holds in some folds alone says in how many.
    counts = Counter(note for reading in readings for note in reading.notes)
    notes = tuple(
        note if n == len(readings) else f"{note} ({n} of {len(readings)} folds)" for note, n in counts.items()
    )
    if not measured:
        return Probe(part, domain, None, None, None, None, None, 0, 0, 0, tuple(notes))
    rows = pd.concat([rows.assign(seed=space, corpus="") for space, rows in enumerate(measured)], ignore_index=True)
    if domain == "speaker":
        interval = _speaker_interval(rows)
    else:  # a space takes the place of a seed: each is scored by itself, speakers are drawn for all alike
        interval = speaker_bootstrap(rows, Classes(domain, tuple(sorted(rows["truth"].unique()))))["ua"]
    accuracy = float(np.mean([unweighted_average_recall(list(r["truth"]), list(r["predicted"])) for r in measured]))
    sizes = [r["truth"].nunique() for r in measured]
    return Probe(
        part=part,
        domain=domain,
        balanced_accuracy=accuracy,
        chance=float(np.mean([1 / n for n in sizes])),
        interval=interval,
        a_distance=4 * accuracy - 2 if set(sizes) == {2} else None,
        n_values=sizes[0] if len(set(sizes)) == 1 else None,
        n_utterances=round(len(rows) / len(measured)),
        n_speakers=int(rows["speaker"].nunique()),
        n_folds=len(measured),
        notes=tuple(notes),
    )


def _speaker_interval(rows: pd.DataFrame) -> Interval:
    """Percentile interval of the mean recall of speakers, each of which is a class and drawn as often as it comes."""
    right = rows.assign(right=rows["truth"] == rows["predicted"]).groupby(["seed", "truth"])["right"].mean()
    recall = right.unstack().to_numpy()  # (space, speaker); NaN where a space lacks one
    n_speakers = recall.shape[1]
    if n_speakers < MIN_SPEAKERS:
        return None
    uniform = np.full(n_speakers, 1 / n_speakers)
    draws = np.random.default_rng(SEED).multinomial(n_speakers, uniform, size=N_RESAMPLES)
    weights = draws @ ~np.isnan(recall).T  # (resample, space)
    totals = draws @ np.nan_to_num(recall).T
    means = np.divide(totals, weights, out=np.full(totals.shape, np.nan), where=weights > 0)
    low, high = np.quantile(np.nanmean(means, axis=1), [(1 - LEVEL) / 2, (1 + LEVEL) / 2])
    return [float(low), float(high)]
