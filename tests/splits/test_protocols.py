"""Protocols: what each promises, on any manifest."""

import inspect
import itertools
import json
import unicodedata
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from affectra.corpora import read_corpus
from affectra.corpora.manifest import manifest_from_rows, utterance_keys
from affectra.errors import ConfigError, ProtocolError
from affectra.splits.protocols import PROTOCOLS, Fold, Splits, apply_protocol, write_splits
from affectra.splits.protocols.counts import TESTS, TOTALS, compare_with_published, published_counts
from affectra.splits.protocols.folds import PARTS, check_folds
from affectra.splits.protocols.groups import balanced_groups
from affectra.splits.protocols.kinds import KINDS
from affectra.splits.protocols.sentences import spoken_sentences
from affectra.tasks.labels import map_labels

# What speakers may say: few sentences, some of them the same words in another spelling.
TEXTS = (
    "Kids are talking.",
    "kids are TALKING",
    "Dogs sit, by the door!",
    "Dogs sit by the door",
    "It's eleven",
    "Maybe",
)
TEXTS += (
    "The airplane is almost full.",
    "I wonder",
    "Don't forget a jacket",
    "We'll stop",
    "Tomorrow",
    "not now",
    "Not, now",
)


def make_manifest(speakers: list[int], n_sessions: int = 2, corpus: str = "c") -> pd.DataFrame:
    """One row per entry; speakers are spread over sessions, splits by speaker."""
    return manifest_from_rows(
        (
            {
                "utterance": f"u{i}",
                "file": f"u{i}.wav",
                "speaker": f"s{s}",
                "gender": ("female", "male")[s % 2],
                "session": f"ses{s % n_sessions}",
                "split": ("train", "dev", "test")[s % 3],
                "emotion": "anger",
            }
            for i, s in enumerate(speakers)
        ),
        corpus,
    )


def make_corpus(
    name: str,
    n_speakers: int,
    *,
    n_sessions: int = 0,
    genders: Sequence[str] = ("female", "male"),
    n_sentences: int = 10,
    takes: int = 1,
) -> pd.DataFrame:
    """A corpus where everything is known: each speaker says each sentence; neighbours share a session."""
    rows: list[dict[str, Any]] = []
    for s, sentence, take in itertools.product(range(n_speakers), range(n_sentences), range(takes)):
        session = str(s * n_sessions // n_speakers + 1) if n_sessions else ""
        rows.append(
            {
                "utterance": f"{s}-{sentence}-{take}",
                "file": "x.wav",
                "speaker": f"s{s}",
                "text": f"Sentence {sentence}.",
            }
            | {"gender": genders[s % len(genders)], "session": session, "dialogue": f"{session}-{sentence}"}
            | {"split": PARTS[s % 3], "emotion": ("anger", "sadness")[take % 2]}
        )
    return manifest_from_rows(rows, name)


def several(*corpora: pd.DataFrame) -> pd.DataFrame:
    return pd.concat(corpora, ignore_index=True)


@st.composite
def corpora(draw: Any, name: str, complete: bool = False) -> pd.DataFrame:
    """One corpus of 1-12 speakers: unbalanced, with or without sessions, genders, texts and sentence ids.

    Where it is complete it has at least three speakers, and speakers, sessions and sentences are known.
    """
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    n_speakers = draw(st.integers(3 if complete else 1, 12))
    sessions = draw(st.sampled_from(("pairs", "uneven", "own", *(() if complete else ("crossed", "none")))))
    sentences = draw(st.sampled_from(("texts", "ids", "both", "unique", *(() if complete else ("none",)))))
    gap = draw(st.sampled_from(("gender",) if complete else ("", "", "", "speaker", "session", "sentence", "gender")))
    most = draw(st.integers(1, 8))
    rows = []
    for s in range(n_speakers):
        session = {"pairs": s // 2 + 4, "uneven": s * s // 30 + 3, "own": s + 3, "crossed": 0, "none": ""}[sessions]
        for take in range(int(rng.integers(1, most + 1))):
            choice = int(rng.integers(len(TEXTS)))
            text = {"texts": TEXTS[choice], "both": TEXTS[choice], "unique": f"{s} {take}"}.get(sentences, "")
            row = {
                "utterance": f"u{len(rows)}",
                "file": f"{len(rows)}.wav",
                "speaker": f"s{s}",
                "gender": ("female", "male")[s % 3 % 2],
                "session": str(rng.integers(1, 6)) if sessions == "crossed" else str(session),
                "dialogue": f"{session}-{take // 3}",
                "text": text,
                "sentence": str(rng.integers(12)) if sentences in ("ids", "both") else "",
                "split": PARTS[(s if most % 2 else take) % 3],
                "emotion": ("anger", "sadness")[take % 2],
            }
            if gap and rng.random() < 0.1:
                row |= {"sentence": "", "text": ""} if gap == "sentence" else {gap: ""}
            rows.append(row)
    return manifest_from_rows(rows, name)


@st.composite
def manifests(draw: Any, fewest: int = 1, complete: bool = False) -> pd.DataFrame:
    """One to four corpora, in any order of their names."""
    names = draw(st.permutations("abcd"))[: draw(st.sampled_from((fewest, *range(fewest, 5))))]
    return several(*(draw(corpora(name, complete)) for name in names))


def draw_options(data: st.DataObject, name: str, manifest: pd.DataFrame, folder: Path) -> dict[str, Any]:
    """Any options a protocol takes, possible or not, known from its signature alone."""
    options: dict[str, Any] = {}
    for parameter in list(inspect.signature(PROTOCOLS[name].folds).parameters.values())[1:]:
        if parameter.default is parameter.empty:  # the one thing without a default is a file of folds
            keys = sorted(utterance_keys(manifest))
            cut = data.draw(st.integers(0, len(keys)), label="cut")
            folds = (Fold(tuple(keys[:cut]), (), tuple(keys[cut:])),)
            write_splits(Splits("mine", 1, False, {}, folds), folder / "folds.json")
            options[parameter.name] = str(folder / "folds.json")
        elif data.draw(st.booleans(), label=f"{parameter.name} given"):
            values: dict[type, st.SearchStrategy[Any]] = {
                bool: st.booleans(),
                int: st.integers(-1, 6),
                type(None): st.none() | st.integers(-1, 6),  # the one such option is a number
                str: st.sampled_from(["", "nowhere", *manifest["corpus"].unique()]),
            }
            options[parameter.name] = data.draw(values[type(parameter.default)], label=parameter.name)
    return options


def naive_sentences(rows: list[dict[str, Any]]) -> list[int | None]:
    """The smallest row of all that say the same words, found by asking again until nothing changes."""
    keys = []
    for row in rows:
        words = "".join(letter for letter in row["text"].lower() if letter.isalnum())
        keys.append([k for k, known in ((words, words), ((row["corpus"], row["sentence"]), row["sentence"])) if known])
    labels = list(range(len(rows)))
    before: list[int] = []
    while labels != before:
        before = list(labels)
        smallest: dict[Any, int] = {}
        for label, held in zip(labels, keys, strict=True):
            for key in held:
                smallest[key] = min(smallest.get(key, label), label)
        labels = [min([label, *(smallest[key] for key in held)]) for label, held in zip(labels, keys, strict=True)]
    return [label if held else None for label, held in zip(labels, keys, strict=True)]


def naive_kinds(manifest: pd.DataFrame) -> dict[str, dict[str, Any]]:
    """By kind and key, what an utterance belongs to; None where that is unknown."""
    rows = manifest.to_dict("records")
    keys = list(utterance_keys(manifest))
    kinds: dict[str, dict[str, Any]] = {"sentence": dict(zip(keys, naive_sentences(rows), strict=True))}
    kinds["corpus"] = {key: row["corpus"] for key, row in zip(keys, rows, strict=True)}
    for kind in ("speaker", "session", "dialogue"):
        kinds[kind] = {
            key: (row["corpus"], row[kind]) if row[kind] else None for key, row in zip(keys, rows, strict=True)
        }
    return kinds


def naive_independent(folds: Sequence[Fold], manifest: pd.DataFrame) -> bool:
    """Whether no two sides have a speaker in common; one who is unknown may be any of the corpus."""
    rows = dict(zip(utterance_keys(manifest), manifest.to_dict("records"), strict=True))
    for fold in folds:
        sides = [{(rows[key]["corpus"], rows[key]["speaker"]) for key in getattr(fold, part)} for part in PARTS]
        for one, other in itertools.combinations(sides, 2):
            for (c1, s1), (c2, s2) in itertools.product(one, other):
                if c1 == c2 and (s1 == s2 or not s1 or not s2):
                    return False
    return True


def check_naively(name: str, splits: Splits, manifest: pd.DataFrame) -> None:
    """All that a protocol owes, checked row by row and without its own helpers."""
    keys = sorted(utterance_keys(manifest))
    promises = PROTOCOLS[name].promises
    assert promises <= set(KINDS)
    kinds = naive_kinds(manifest)
    for fold in splits.folds:
        members = [*fold.train, *fold.dev, *fold.test]
        assert set(members) <= set(keys) and len(set(members)) == len(members), "no utterance twice in a fold"
        assert fold.train and fold.test
        assert bool(fold.dev) == splits.options.get("dev", bool(fold.dev)), "a dev part where and only where wanted"
        for kind in promises:
            tested = {kinds[kind][key] for key in fold.test} - {None}
            others = {kinds[kind][key] for key in (*fold.train, *fold.dev)}
            assert not tested & others, f"{kind} on two sides"
    independent = naive_independent(splits.folds, manifest)
    assert splits.speaker_independent == independent
    assert independent or "speaker" not in promises
    tested = Counter(key for fold in splits.folds for key in fold.test)
    assert all(n == 1 for n in tested.values()), "no utterance is tested twice"
    if len(splits.folds) > 1:  # folds that leave one out in turn
        assert sorted(tested) == keys, "each utterance is tested"


@pytest.mark.parametrize("name", PROTOCOLS)
@given(data=st.data())
@settings(max_examples=60, deadline=None)
def test_a_protocol_keeps_its_promises_or_says_in_a_line_why_not(
    name: str, tmp_path_factory: pytest.TempPathFactory, data: st.DataObject
) -> None:
    manifest = data.draw(manifests(complete=data.draw(st.sampled_from((True, True, False)), label="complete")))
    options = draw_options(data, name, manifest, tmp_path_factory.getbasetemp())
    try:
        splits = apply_protocol(name, manifest, options)
    except (ConfigError, ProtocolError) as error:
        place = "folds.json" if name == "fixed" else name
        assert place in str(error) and "\n" not in str(error)
        return
    check_naively(name, splits, manifest)
    assert splits.hash == apply_protocol(name, manifest, options).hash, "the same input gives the same folds"
    order = np.random.default_rng(data.draw(st.integers(0, 99), label="order")).permutation(len(manifest) - 1) + 1
    shuffled = manifest.iloc[[0, *order]].reset_index(drop=True)  # the first row names cross-corpus's training corpus
    assert splits.hash == apply_protocol(name, shuffled, options).hash, "the order of rows changes nothing"


def rich_manifest(name: str) -> pd.DataFrame:
    """A manifest that has all a protocol asks for."""
    one = make_corpus("b", 10, n_sessions=5)
    return (
        one
        if name == "session5"
        else several(one, make_corpus("a", 4, n_sessions=2), make_corpus("c", 6, n_sessions=3))
    )


def rich_options(name: str, manifest: pd.DataFrame, folder: Path) -> dict[str, Any]:
    if name != "fixed":
        return {}
    write_splits(apply_protocol("random-80-20", manifest), folder / "folds.json")
    return {"file": str(folder / "folds.json")}


@pytest.mark.parametrize("name", PROTOCOLS)
def test_every_protocol_gives_folds_where_everything_is_known(name: str, tmp_path: Path) -> None:
    manifest = rich_manifest(name)
    splits = apply_protocol(name, manifest, rich_options(name, manifest, tmp_path))
    check_naively(name, splits, manifest)
    without_dev = {"dev": False} if "dev" in splits.options else {}
    splits = apply_protocol(name, manifest, {**rich_options(name, manifest, tmp_path), **without_dev})
    check_naively(name, splits, manifest)


@pytest.mark.parametrize("name", PROTOCOLS)
def test_columns_that_say_nothing_of_the_folds_leave_the_hash(name: str, tmp_path: Path) -> None:
    manifest = rich_manifest(name)
    options = rich_options(name, manifest, tmp_path)
    changed = manifest.assign(
        file="y.flac",
        emotion="fear",
        language="pl",
        style="acted",
        intensity="strong",
        arousal=1.0,
        start=0.5,
        turn=3.0,
    )
    assert apply_protocol(name, manifest, options).hash == apply_protocol(name, changed, options).hash


@pytest.mark.parametrize("name", ["loso", "losession", "session5", "kfold-speaker", "sentence-disjoint"])
@pytest.mark.parametrize("dev", [True, False])
def test_every_utterance_of_one_corpus_has_a_part_in_every_fold(name: str, dev: bool) -> None:
    manifest = make_corpus("iemocap", 10, n_sessions=5)
    for fold in apply_protocol(name, manifest, {"dev": dev}).folds:
        assert sorted(fold.train + fold.dev + fold.test) == sorted(manifest["utterance"])


@st.composite
def moves(draw: Any) -> tuple[list[Fold], list[Fold]]:
    """Folds, and the same with one utterance in another part or fold."""
    n_folds = draw(st.integers(1, 3))
    places = draw(st.lists(st.tuples(st.integers(0, n_folds - 1), st.sampled_from(PARTS)), min_size=1, max_size=8))
    i = draw(st.integers(0, len(places) - 1))
    moved = draw(st.tuples(st.integers(0, n_folds - 1), st.sampled_from(PARTS)))
    assume(moved != places[i])

    def build(places: Sequence[tuple[int, str]]) -> list[Fold]:
        held: list[dict[str, list[str]]] = [{part: [] for part in PARTS} for _ in range(n_folds)]
        for key, (fold, part) in enumerate(places):
            held[fold][part].append(f"u{key}")
        return [Fold(**{part: tuple(keys) for part, keys in fold.items()}) for fold in held]

    return build(places), build([*places[:i], moved, *places[i + 1 :]])


@given(moves())
@settings(max_examples=100, deadline=None)
def test_the_hash_changes_when_one_utterance_changes_its_part_or_fold(moved: tuple[list[Fold], list[Fold]]) -> None:
    before, after = (Splits("x", 1, True, {}, tuple(folds)) for folds in moved)
    assert before.hash != after.hash


def test_the_hash_knows_membership_alone() -> None:
    before = Splits("x", 1, True, {}, (Fold(("a", "b"), (), ("c",)),))
    renamed = Splits("y", 2, False, {"k": 1}, (Fold(("b", "a"), (), ("c",)),))
    assert before.hash == renamed.hash
    both = several(make_corpus("b", 5), make_corpus("a", 5))
    assert apply_protocol("cross-corpus", both).hash == apply_protocol("cross-corpus", both, {"train": "b"}).hash
    each_in_one = make_corpus("a", 5, n_sessions=5)
    assert apply_protocol("loso", each_in_one).hash == apply_protocol("losession", each_in_one).hash


def test_random_80_20_tests_a_fifth_and_is_stamped() -> None:
    splits = apply_protocol("random-80-20", make_manifest([i % 5 for i in range(100)]))
    assert [len(splits.folds[0].train), len(splits.folds[0].test)] == [80, 20]
    assert splits.stamp()["speaker_independent"] is False


def test_kfold_speaker_spreads_each_gender() -> None:
    manifest = make_manifest([i % 10 for i in range(100)])
    genders = dict(zip(manifest["utterance"], manifest["gender"], strict=True))
    for fold in apply_protocol("kfold-speaker", manifest, {"k": 5}).folds:
        assert {genders[key] for key in fold.test} == {"female", "male"}


def test_fewer_training_speakers_leave_the_tests_as_they_are_and_are_spread_over_genders() -> None:
    """A learning curve: the same tests, speakers of both genders, each smaller set within the larger."""
    manifest = make_manifest([i % 10 for i in range(100)])
    speakers = dict(zip(manifest["utterance"], manifest["speaker"], strict=True))
    genders = dict(zip(manifest["speaker"], manifest["gender"], strict=True))
    options = {"k": 5, "dev": False}
    whole = apply_protocol("kfold-speaker", manifest, options).folds
    heard: dict[int, list[set[str]]] = {}
    for n in (1, 2, 4, 8):
        folds = apply_protocol("kfold-speaker", manifest, {**options, "train_speakers": n}).folds
        assert [fold.test for fold in folds] == [fold.test for fold in whole]
        heard[n] = [{speakers[key] for key in fold.train} for fold in folds]
        assert {len(found) for found in heard[n]} == {n}
        for fold, found in zip(folds, heard[n], strict=True):  # of a speaker that is kept, all utterances are
            assert set(fold.train) == {key for key, speaker in speakers.items() if speaker in found}
    assert [fold.train for fold in folds] == [fold.train for fold in whole]
    for n in (1, 2, 4):
        assert all(few < more for few, more in zip(heard[n], heard[2 * n], strict=True))
        assert n == 1 or all({genders[name] for name in found} == {"female", "male"} for found in heard[n])
    assert len(set.union(*heard[1])) > 2  # not the same voice for all folds


def test_more_training_speakers_than_there_are_is_refused() -> None:
    manifest = make_manifest([i % 4 for i in range(40)])
    with pytest.raises(ProtocolError, match="train_speakers=3, but fold 0 has 2 to train on"):
        apply_protocol("kfold-speaker", manifest, {"k": 2, "dev": False, "train_speakers": 3})


def test_equal_names_in_two_corpora_are_two_speakers() -> None:
    both = pd.concat([make_manifest([0, 1, 2], corpus="a"), make_manifest([0, 1, 2], corpus="b")], ignore_index=True)
    splits = apply_protocol("loso", both)
    assert len(splits.folds) == 6
    assert splits.folds[0].test == ("a/u0",)


def test_an_utterance_that_stands_twice_is_refused() -> None:
    with pytest.raises(ProtocolError, match="'u0' stands in the manifests twice"):
        apply_protocol("loso", pd.concat([make_manifest([0, 1, 2]), make_manifest([0, 1, 2])], ignore_index=True))


def test_a_splits_file_gives_the_same_folds_back(tmp_path: Path) -> None:
    manifest = make_manifest([0, 0, 1, 1, 2, 3])
    splits = apply_protocol("loso", manifest)
    write_splits(splits, tmp_path / "folds.json")
    again = apply_protocol("fixed", manifest, {"file": str(tmp_path / "folds.json")})
    assert again.hash == splits.hash and again.speaker_independent
    content = json.loads((tmp_path / "folds.json").read_text())
    assert content["protocol"] == {**splits.stamp(), "options": {"dev": True}}


def test_a_gender_that_some_rows_leave_open_changes_no_fold() -> None:
    manifest = make_manifest([i % 8 for i in range(40)])
    before = apply_protocol("kfold-speaker", manifest, {"k": 4}).hash
    for speaker in ("s0", "s1", "s2"):
        manifest.loc[manifest.index[manifest["speaker"] == speaker][0], "gender"] = ""
    assert apply_protocol("kfold-speaker", manifest, {"k": 4}).hash == before


def test_fixed_folds_may_name_utterances_that_the_task_leaves_out(tmp_path: Path) -> None:
    (tmp_path / "folds.json").write_text('{"folds": [{"train": ["u0", "u1"], "test": ["u2", "fear"]}]}')
    options = {"file": str(tmp_path / "folds.json")}
    everything = make_manifest([0, 0, 1, 1]).replace({"utterance": {"u3": "fear"}})
    splits = apply_protocol("fixed", everything.iloc[:3], options, everything=everything)
    assert splits.folds[0].test == ("u2",)
    with pytest.raises(ProtocolError, match="fear"):
        apply_protocol("fixed", everything.iloc[:3], options)


def speakers_of(manifest: pd.DataFrame, keys: Sequence[str], column: str = "speaker") -> set[str]:
    values = dict(zip(utterance_keys(manifest), manifest["corpus"] + "/" + manifest[column], strict=True))
    return {values[key] for key in keys}


def test_session5_tests_the_fifth_session_and_chooses_on_the_first() -> None:
    manifest = make_corpus("iemocap", 10, n_sessions=5)
    fold = apply_protocol("session5", manifest).folds[0]
    sides = [speakers_of(manifest, getattr(fold, part), "session") for part in PARTS]
    assert sides == [{"iemocap/2", "iemocap/3", "iemocap/4"}, {"iemocap/1"}, {"iemocap/5"}]
    losession = apply_protocol("losession", manifest).folds[4]
    assert set(fold.test) == set(losession.test) and set(fold.dev) == set(losession.dev)


@pytest.mark.parametrize("train", ["", "b", "a", "c"])
def test_cross_corpus_trains_on_one_corpus_and_tests_on_all_others(train: str) -> None:
    manifest = several(make_corpus("b", 10), make_corpus("a", 4), make_corpus("c", 24))
    fold = apply_protocol("cross-corpus", manifest, {"train": train}).folds[0]
    chosen = train or "b"
    assert speakers_of(manifest, fold.test, "corpus") == {f"{n}/{n}" for n in "abc" if n != chosen}
    assert speakers_of(manifest, fold.train + fold.dev, "corpus") == {f"{chosen}/{chosen}"}
    assert len(speakers_of(manifest, fold.dev)) == {"a": 1, "b": 2, "c": 5}[chosen]


def test_loco_chooses_the_same_speakers_of_a_corpus_in_every_fold() -> None:
    manifest = several(make_corpus("b", 10), make_corpus("a", 4), make_corpus("c", 24))
    folds = apply_protocol("loco", manifest).folds
    tested = [speakers_of(manifest, fold.test, "corpus") for fold in folds]
    assert tested == [{"a/a"}, {"b/b"}, {"c/c"}]
    dev = [speakers_of(manifest, fold.dev) for fold in folds]
    assert {name for name in dev[0] if name[0] == "c"} == {name for name in dev[1] if name[0] == "c"}
    assert [len(names) for names in dev] == [2 + 5, 1 + 5, 1 + 2]
    cross = apply_protocol("cross-corpus", manifest, {"train": "c"}).folds[0]
    assert speakers_of(manifest, cross.dev) <= dev[0], "and in cross-corpus"


def test_corpora_are_apart_even_where_speakers_are_unknown() -> None:
    nobody = make_corpus("a", 3).assign(speaker="")
    splits = apply_protocol("cross-corpus", several(make_corpus("b", 5), nobody))
    assert splits.speaker_independent
    within = several(make_corpus("b", 5), nobody).assign(split=lambda rows: ["train", "test"] * (len(rows) // 2))
    assert not apply_protocol("official", within).speaker_independent


GAO2022 = {  # corpus: speakers, sessions, genders, speakers tested
    "iemocap": (10, 5, ("female", "male"), 2),
    "mspimprov": (12, 6, ("female", "male"), 2),
    "savee": (4, 0, ("male",), 1),
    "emodb": (10, 0, ("female", "male"), 2),
}


@pytest.mark.parametrize("seed", range(5))
def test_multi_corpus_tests_as_many_speakers_as_gao_2022(seed: int) -> None:
    manifest = several(*(make_corpus(n, k, n_sessions=m, genders=g) for n, (k, m, g, _) in GAO2022.items()))
    fold = apply_protocol("multi-corpus", manifest, {"seed": seed}).folds[0]
    for name, (_, n_sessions, genders, n_tested) in GAO2022.items():
        rows = manifest[manifest["corpus"] == name]
        for part in ("test", "dev"):
            held = rows[utterance_keys(manifest)[rows.index].isin(getattr(fold, part))]
            assert held["speaker"].nunique() == n_tested
            assert set(held["gender"]) == set(genders if n_tested > 1 else held["gender"]), "both where it has both"
            if n_sessions:
                whole = rows[rows["session"].isin(held["session"])]
                assert held["session"].nunique() == 1 and set(held.index) == set(whole.index), "one whole session"
    other = apply_protocol("multi-corpus", manifest, {"seed": seed + 5})
    assert set(other.folds[0].test) != set(fold.test), "another seed, other speakers"


@given(manifest=manifests(fewest=2, complete=True), seed=st.integers(0, 99))
@settings(max_examples=60, deadline=None)
def test_multi_corpus_tests_a_tenth_to_two_fifths_of_four_speakers_or_more(manifest: pd.DataFrame, seed: int) -> None:
    fold = apply_protocol("multi-corpus", manifest, {"seed": seed}).folds[0]
    for name, rows in manifest.groupby("corpus"):
        n_tested = sum(voice.startswith(f"{name}/") for voice in speakers_of(manifest, fold.test))
        n_speakers = rows["speaker"].nunique()
        assert n_speakers < 4 or 0.1 <= n_tested / n_speakers <= 0.4


@given(n_female=st.integers(2, 12), n_male=st.integers(2, 12), seed=st.integers(0, 99))
@settings(max_examples=40, deadline=None)
def test_two_speakers_or_more_are_of_both_genders(n_female: int, n_male: int, seed: int) -> None:
    assume(n_female + n_male >= 8)
    genders = ["female"] * n_female + ["male"] * n_male
    manifest = several(make_corpus("b", len(genders), genders=genders, n_sentences=1), make_corpus("a", 3))
    fold = apply_protocol("cross-corpus", manifest, {"seed": seed}).folds[0]
    held = manifest[utterance_keys(manifest).isin(fold.dev)]
    assert set(held["gender"]) == {"female", "male"}
    expected = len(held) * n_female / len(genders)
    assert abs((held["gender"] == "female").sum() - expected) <= 1


def test_the_choice_of_speakers_does_not_depend_on_the_task_or_on_other_corpora() -> None:
    corpora = [make_corpus(name, n, takes=2) for name, n in (("a", 5), ("b", 10), ("c", 7))]
    chosen = []
    for manifest in (
        several(*corpora),
        several(*corpora[:2]),
        several(*corpora)[lambda rows: rows["emotion"] == "anger"],
    ):
        rows = manifest.reset_index(drop=True)
        fold = apply_protocol("multi-corpus", rows).folds[0]
        chosen.append({name for name in speakers_of(rows, fold.test) if name[0] in "ab"})
    assert chosen[0] == chosen[1] == chosen[2]


def test_sessions_that_share_speakers_do_not_count() -> None:
    crossed = make_corpus("b", 10, n_sessions=5)
    crossed.loc[crossed["text"] == "Sentence 9.", "session"] = "6"  # where all meet
    other = make_corpus("a", 4)
    hashes = [apply_protocol("multi-corpus", several(rows, other)).hash for rows in (crossed, make_corpus("b", 10))]
    assert hashes[0] == hashes[1]


def test_speaker_sentence_disjoint_tests_each_cell_of_speakers_and_sentences() -> None:
    manifest = make_corpus("ravdess", 10, n_sentences=4)
    splits = apply_protocol("speaker-sentence-disjoint", manifest)
    assert len(splits.folds) == 10
    for fold in splits.folds:
        assert [len(fold.train), len(fold.dev), len(fold.test)] == [6 * 2, 2 * 2, 2 * 2]
        assert len(speakers_of(manifest, fold.test, "gender")) == 2
    assert splits.speaker_independent
    assert not apply_protocol("sentence-disjoint", manifest, {"k": 4}).speaker_independent


def test_a_cell_in_which_nothing_is_spoken_gives_no_fold() -> None:
    manifest = make_corpus("x", 3, n_sentences=2)
    rest = manifest[manifest["utterance"] != "0-1-0"].reset_index(drop=True)  # the first never says the second sentence
    splits = apply_protocol("speaker-sentence-disjoint", rest, {"speakers": 3, "dev": False})
    assert len(splits.folds) == 5
    check_naively("speaker-sentence-disjoint", splits, rest)


def test_groups_of_speakers_have_both_genders() -> None:
    genders = ("female", "male", "female", "male", "female") * 2  # names dealt in turn would make groups of one gender
    manifest = make_corpus("x", 10, genders=genders, n_sentences=2)
    for fold in apply_protocol("speaker-sentence-disjoint", manifest).folds:
        tested = manifest[manifest["utterance"].isin(fold.test)]
        assert (tested["gender"] == "male").sum() <= 1, "four men in five groups"


@given(
    sizes=st.lists(st.integers(1, 50), min_size=2, max_size=30),
    k=st.integers(2, 6),
    n_strata=st.integers(1, 4),
)
@settings(max_examples=100, deadline=None)
def test_groups_are_balanced(sizes: list[int], k: int, n_strata: int) -> None:
    names = {f"n{i}": size for i, size in enumerate(sizes)}
    groups = balanced_groups(names, k)
    load = [sum(names[name] for name, group in groups.items() if group == i) for i in range(k)]
    assert max(load) - min(load) <= max(sizes), "greedy: no group is ahead by more than the name that came last"
    strata = {name: i % n_strata for i, name in enumerate(names)}
    spread = balanced_groups(names, k, strata)
    for stratum in range(n_strata):
        count = Counter(group for name, group in spread.items() if strata[name] == stratum)
        assert max(count.values(), default=0) - min((count[i] for i in range(k)), default=0) <= 1
    for dealt in (groups, spread):
        assert len(set(dealt.values())) == min(k, len(names)), "no group is empty"


@given(manifest=manifests(), order=st.randoms())
@settings(max_examples=100, deadline=None)
def test_equal_labels_are_equal_words(manifest: pd.DataFrame, order: Any) -> None:
    labels = spoken_sentences(manifest)
    expected = naive_sentences(manifest.to_dict("records"))
    assert [bool(label) for label in labels] == [known is not None for known in expected]
    pairs = set(zip(labels, expected, strict=True)) - {("", None)}
    assert len(pairs) == len({a for a, _ in pairs}) == len({b for _, b in pairs}), "the same partition of the rows"
    rows = list(manifest.index)
    order.shuffle(rows)
    assert spoken_sentences(manifest.loc[rows]).sort_index().equals(labels)


def test_a_sentence_is_its_words_in_any_spelling_and_its_id_within_a_corpus() -> None:
    def label(*rows: dict[str, str]) -> list[str]:
        parts = [manifest_from_rows([{"utterance": "u", "file": "f", **row}], row["corpus"]) for row in rows]
        return list(spoken_sentences(several(*parts)))

    text = "Was sind denn das für Tüten, die da unter dem Tisch stehen?"
    decomposed = unicodedata.normalize("NFD", text.upper().replace(",", " -"))
    assert len(set(label({"corpus": "a", "text": text}, {"corpus": "b", "text": decomposed}))) == 1
    assert len(set(label({"corpus": "a", "text": "Straße"}, {"corpus": "b", "text": "STRASSE"}))) == 1
    assert len(set(label({"corpus": "a", "text": "की"}, {"corpus": "a", "text": "का"}))) == 2, "vowel signs count"
    assert len(set(label({"corpus": "a", "sentence": "01"}, {"corpus": "b", "sentence": "01"}))) == 2
    assert label({"corpus": "a", "text": "..."}, {"corpus": "a"}) == ["", ""]
    joined = label(
        {"corpus": "a", "text": "Dogs sit"},
        {"corpus": "b", "text": "dogs sit", "sentence": "7"},
        {"corpus": "b", "sentence": "7"},
    )
    assert joined == ["dogssit"] * 3


def labelled_corpus(name: str, sessions: Sequence[dict[str, int]]) -> pd.DataFrame:
    """A corpus with as many utterances of each class in each session as `sessions` says, of two speakers each."""
    rows = [
        {"utterance": f"{i} {emotion} {take}", "file": "x.wav", "emotion": emotion}
        | {"session": f"{i + 1}", "speaker": f"{i + 1}{'FM'[take % 2]}"}
        for i, counts in enumerate(sessions)
        for emotion, n in counts.items()
        if emotion != "all"
        for take in range(n)
    ]
    return manifest_from_rows(rows, name).assign(target=lambda made: made["emotion"])


def test_published_counts_add_up() -> None:
    for (corpus, task), total in TOTALS.items():
        classes = [n for name, n in total.items() if name != "all"]
        assert not classes or sum(classes) == total["all"], (corpus, task)
    for (corpus, task, protocol), tests in TESTS.items():
        total = TOTALS[corpus, task]
        for name in set.intersection(*(set(counts) for counts in tests)):
            tested = sum(counts[name] for counts in tests)
            assert tested == total[name] if len(tests) > 1 else tested < total[name], (corpus, task, protocol, name)


@pytest.mark.parametrize("protocol", ["loso", "losession", "session5", "kfold-speaker", "random-80-20"])
def test_folds_that_agree_with_the_published_ones_are_passed_over(protocol: str) -> None:
    manifest = labelled_corpus("IEMOCAP", TESTS["iemocap", "emotion4", "losession"])
    assert len(manifest) == 5531
    assert compare_with_published(apply_protocol(protocol, manifest), manifest, "emotion4") == []


def test_each_difference_from_the_published_folds_is_a_line() -> None:
    manifest = labelled_corpus("iemocap", TESTS["iemocap", "emotion4", "losession"])
    last = manifest.index[(manifest["session"] == "5") & (manifest["target"] == "sadness")][0]
    less = manifest.drop(index=last).reset_index(drop=True)
    assert compare_with_published(apply_protocol("losession", less), less, "emotion4") == [
        "the task has 5530 utterances, published 5531",
        "the task has 1083 utterances of sadness, published 1084",
        "test of fold 4 has 1240 utterances, published 1241",
        "test of fold 4 has 244 utterances of sadness, published 245",
    ]
    four = manifest[manifest["session"] != "2"].reset_index(drop=True)
    assert compare_with_published(apply_protocol("losession", four), four, "emotion4")[-1] == (
        "there are 4 folds, published 5"
    )
    assert compare_with_published(apply_protocol("losession", four), four, "arousal") == []
    mine = manifest.assign(corpus="mine")
    assert compare_with_published(apply_protocol("losession", mine), mine, "emotion4") == []
    assert published_counts("losession", ["iemocap", "emodb"], "emotion4") is None


def test_the_folds_of_the_real_emo_db_are_the_published_ones(data_dir: Path) -> None:
    labelled = map_labels(read_corpus("emodb", data_dir / "emodb").manifest, "emotion")
    for protocol in ("loso", "kfold-speaker", "sentence-disjoint", "speaker-sentence-disjoint"):
        splits = apply_protocol(protocol, labelled.manifest)
        assert compare_with_published(splits, labelled.manifest, "emotion") == []
        check_naively(protocol, splits, labelled.manifest)


@pytest.mark.parametrize(
    ("content", "words"),
    [
        ("{", "not JSON"),
        ("[]", "not splits; expected train, dev and test"),
        ('{"folds": []}', "not splits; expected train, dev and test"),
        ('{"folds": [{"train": "u0", "test": ["u1"]}]}', "fold 0: train is not a list"),
        ('{"folds": [{"train": ["u0"], "test": ["nobody"]}]}', "fold 0: test: 'nobody' is not in the manifest"),
        ('{"folds": [{"train": ["u0"], "test": ["u0"]}]}', "'u0' is in train and in test"),
        ('{"folds": [{"train": ["u0", "u0"], "test": ["u1"]}]}', "'u0' is in train twice"),
        ('{"folds": [{"train": ["u0"], "test": []}]}', "the test part is empty"),
        ('{"folds": [{"train": ["u0"], "test": ["u1"]}, {"train": ["u0"], "test": ["u1"]}]}', "tested in fold 0 and"),
    ],
)
def test_a_damaged_splits_file_is_named(tmp_path: Path, content: str, words: str) -> None:
    (tmp_path / "folds.json").write_text(content)
    with pytest.raises(ProtocolError, match=words) as caught:
        apply_protocol("fixed", make_manifest([0, 1]), {"file": str(tmp_path / "folds.json")})
    assert "\n" not in str(caught.value)


def test_fixed_folds_that_share_a_speaker_are_stamped_so(tmp_path: Path) -> None:
    (tmp_path / "folds.json").write_text('{"folds": [{"train": ["u0"], "test": ["u1"]}]}')
    splits = apply_protocol("fixed", make_manifest([0, 0]), {"file": str(tmp_path / "folds.json")})
    assert not splits.speaker_independent


@given(
    folds=st.lists(st.lists(st.sampled_from((*PARTS, "none")), min_size=6, max_size=6), min_size=1, max_size=3),
    speakers=st.lists(st.sampled_from(("", "s", "t")), min_size=6, max_size=6),
)
@settings(max_examples=200, deadline=None)
def test_checking_folds_agrees_with_a_naive_check(folds: list[list[str]], speakers: list[str]) -> None:
    manifest = several(make_manifest([0, 1, 2], corpus="a"), make_manifest([0, 1, 2], corpus="b"))
    manifest["speaker"] = speakers
    keys = utterance_keys(manifest)
    built = [Fold(*(tuple(keys[[p == part for p in places]]) for part in PARTS)) for places in folds]
    tested = Counter(key for fold in built for key in fold.test)
    if any(n > 1 for n in tested.values()) or not all(fold.train and fold.test for fold in built):
        with pytest.raises(ProtocolError, match=r"is tested in fold|part is empty"):
            check_folds(built, manifest, "mine")
    else:
        assert check_folds(built, manifest, "mine") == naive_independent(built, manifest)


@pytest.mark.parametrize(
    ("protocol", "options", "change", "words"),
    [
        ("loso", {}, {"speaker": ""}, "the speaker of 1 utterances is unknown .first: 'u0'"),
        ("losession", {}, {"session": ""}, "the session of 1 utterances is unknown"),
        ("losession", {}, {"session": "ses9"}, "speaker 'c/s0' is in several sessions"),
        (
            "losession",
            {"dev": False},
            {"dialogue": ["d", "", "d", "", "", ""]},
            "dialogue 'c/d' is in several sessions",
        ),
        (
            "losession",
            {},
            {},
            "needs at least 3 sessions with a dev part, found 2; 2 are enough without one, dev=false",
        ),
        ("session5", {}, {}, "no session '5', found 'ses0', 'ses1'; losession tests each in turn"),
        ("session5", {}, {"session": "5"}, "at least 3 sessions .here '5'. with a dev part, found 1"),
        ("session5", {}, {"corpus": list("ababab")}, "is for one corpus, found 'a', 'b'"),
        ("official", {}, {"split": "validation"}, "train, dev or test everywhere, found 'validation'"),
        ("kfold-speaker", {"k": 9}, {}, "found 4 speakers"),
        ("kfold-speaker", {"k": 2}, {}, "needs at least 3 folds with a dev part, found 2"),
        ("fixed", {"file": "nowhere.json"}, {}, "no such splits file"),
        ("cross-corpus", {}, {}, "needs at least 2 corpora, found 'c' alone"),
        ("loco", {}, {}, "needs at least 2 corpora, found 'c' alone"),
        ("multi-corpus", {}, {}, "needs at least 2 corpora, found 'c' alone; kfold-speaker"),
        (
            "sentence-disjoint",
            {},
            {},
            "the sentence of 6 utterances is unknown .first: 'u0'.; fill the manifest's text",
        ),
        ("sentence-disjoint", {}, {"text": list("abcabc")}, "k=5 groups of sentences, found 3 sentences"),
        ("speaker-sentence-disjoint", {}, {"text": list("abcabc")}, "speakers=5 groups of speakers, found 4 speakers"),
        ("speaker-sentence-disjoint", {"speakers": 2}, {"text": "a"}, "speakers=2 groups leave none to train on"),
        (
            "speaker-sentence-disjoint",
            {"speakers": 4, "sentences": 9},
            {"text": "a"},
            "sentences=9 groups of sentences",
        ),
        ("speaker-sentence-disjoint", {"speakers": 4}, {"text": list("aabbcc")}, "leave the (dev|train) part empty"),
        ("random-80-20", {}, None, "there are no utterances"),
    ],
)
def test_a_protocol_says_what_it_lacks(protocol: str, options: dict, change: dict | None, words: str) -> None:
    manifest = make_manifest([0, 0, 1, 1, 2, 3])
    for column, value in (change or {}).items():
        if isinstance(value, list) or column in ("text",) or value == "5":
            manifest[column] = value
        else:
            manifest.loc[0, column] = value
    if change is None:
        manifest = manifest.iloc[:0]
    with pytest.raises(ProtocolError, match=words) as caught:
        apply_protocol(protocol, manifest, options)
    assert str(caught.value).startswith((f"protocol {protocol}: ", "nowhere.json")) and "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("protocol", "options", "error", "words"),
    [
        ("cross-corpus", {"train": "c"}, ConfigError, "option train: unknown corpus 'c'. Known: a, b"),
        (
            "cross-corpus",
            {"train": "b"},
            ProtocolError,
            "training corpus 'b': needs at least 2 speakers with a dev part",
        ),
        (
            "loco",
            {},
            ProtocolError,
            "training corpus 'b': needs at least 2 speakers with a dev part, found 1; 1 are enough",
        ),
        ("multi-corpus", {}, ProtocolError, "corpus 'b': needs at least 3 speakers with a dev part, found 1"),
        ("multi-corpus", {"dev": False}, ProtocolError, "corpus 'b': needs at least 2 speakers without a dev part"),
        (
            "multi-corpus",
            {"seed": -1},
            ConfigError,
            "option seed: input should be greater than or equal to 0, found -1",
        ),
        ("kfold-speaker", {"k": 1}, ConfigError, "option k: input should be greater than or equal to 2, found 1"),
        ("speaker-sentence-disjoint", {"sentences": 1}, ConfigError, "option sentences: input should be greater than"),
    ],
)
def test_several_corpora_and_options_that_are_impossible_are_refused(
    protocol: str, options: dict, error: type, words: str
) -> None:
    with pytest.raises(error, match=words) as caught:
        apply_protocol(protocol, several(make_corpus("a", 3), make_corpus("b", 1)), options)
    assert "\n" not in str(caught.value)


def test_unknown_names_list_the_known_ones() -> None:
    with pytest.raises(ConfigError, match="did you mean 'loso'"):
        apply_protocol("loss", make_manifest([0, 1, 2]))
    with pytest.raises(ConfigError, match="unknown option 'devv'; did you mean 'dev'"):
        apply_protocol("loso", make_manifest([0, 1, 2]), {"devv": True})
    with pytest.raises(ConfigError, match=r"option\(s\) missing: file"):
        apply_protocol("fixed", make_manifest([0, 1, 2]))
