"""Protocols: what each promises, on any manifest."""

import json
from pathlib import Path

import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from affectra.corpora.utterance import manifest_from_rows, utterance_keys
from affectra.errors import ConfigError, ProtocolError
from affectra.protocols import PROTOCOLS, Fold, Splits, apply_protocol, write_splits
from affectra.protocols.folds import PARTS


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


manifests = st.lists(st.integers(0, 11), min_size=30, max_size=60).map(lambda s: make_manifest([0, 1, 2, 3, 4, *s], 4))


@pytest.mark.parametrize("name", [name for name in PROTOCOLS if name != "fixed"])
@given(manifest=manifests)
@settings(max_examples=30, deadline=None)
def test_no_speaker_is_on_two_sides_unless_stamped(name: str, manifest: pd.DataFrame) -> None:
    splits = apply_protocol(name, manifest)
    speakers = dict(zip(utterance_keys(manifest), manifest["speaker"], strict=True))
    shared = False
    for fold in splits.folds:
        sides = [{speakers[key] for key in getattr(fold, part)} for part in PARTS]
        shared |= bool(sides[0] & sides[1] or sides[0] & sides[2] or sides[1] & sides[2])
    assert splits.speaker_independent == (not shared)
    if PROTOCOLS[name].speaker_independent:
        assert not shared


@pytest.mark.parametrize("name", ["loso", "losession", "kfold-speaker"])
@pytest.mark.parametrize("dev", [True, False])
@given(manifest=manifests)
@settings(max_examples=20, deadline=None)
def test_each_utterance_is_tested_exactly_once(name: str, dev: bool, manifest: pd.DataFrame) -> None:
    folds = apply_protocol(name, manifest, {"dev": dev}).folds
    tested = sorted(key for fold in folds for key in fold.test)
    assert tested == sorted(utterance_keys(manifest))
    for fold in folds:
        assert sorted(fold.train + fold.dev + fold.test) == tested, "every utterance has a part in every fold"
        assert bool(fold.dev) == dev


@given(manifest=manifests, order=st.randoms())
@settings(max_examples=20, deadline=None)
def test_the_hash_ignores_the_order_of_rows(manifest: pd.DataFrame, order) -> None:
    rows = list(range(len(manifest)))
    order.shuffle(rows)
    shuffled = manifest.iloc[rows].reset_index(drop=True)
    for name in ("loso", "kfold-speaker", "random-80-20"):
        assert apply_protocol(name, manifest).hash == apply_protocol(name, shuffled).hash


def test_the_hash_changes_when_one_utterance_changes_sides() -> None:
    before = Splits("x", 1, True, {}, (Fold(("a", "b"), (), ("c",)),))
    after = Splits("x", 1, True, {}, (Fold(("a",), ("b",), ("c",)),))
    renamed = Splits("y", 2, False, {"k": 1}, (Fold(("b", "a"), (), ("c",)),))
    assert before.hash != after.hash
    assert before.hash == renamed.hash, "membership alone counts"


def test_random_80_20_tests_a_fifth_and_is_stamped() -> None:
    splits = apply_protocol("random-80-20", make_manifest([i % 5 for i in range(100)]))
    assert [len(splits.folds[0].train), len(splits.folds[0].test)] == [80, 20]
    assert splits.stamp()["speaker_independent"] is False


def test_kfold_speaker_spreads_each_gender() -> None:
    manifest = make_manifest([i % 10 for i in range(100)])
    genders = dict(zip(manifest["utterance"], manifest["gender"], strict=True))
    for fold in apply_protocol("kfold-speaker", manifest, {"k": 5}).folds:
        assert {genders[key] for key in fold.test} == {"female", "male"}


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
    splits = apply_protocol("fixed", make_manifest([0, 0, 1]), options, left_out={"fear"})
    assert splits.folds[0].test == ("u2",)


@pytest.mark.parametrize(
    ("content", "words"),
    [
        ("{", "not JSON"),
        ("[]", "expected an object with a list 'folds'"),
        ('{"folds": []}', "expected an object with a list 'folds'"),
        ('{"folds": [{"train": "u0", "test": ["u1"]}]}', "fold 0: train is not a list"),
        ('{"folds": [{"train": ["u0"], "test": ["nobody"]}]}', "fold 0: test names 'nobody'"),
        ('{"folds": [{"train": ["u0"], "test": ["u0"]}]}', "'u0' is in train and in test"),
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


@pytest.mark.parametrize(
    ("protocol", "options", "change", "words"),
    [
        ("loso", {}, {"speaker": ""}, "the speaker of 1 utterances is unknown"),
        ("losession", {}, {"session": ""}, "without a session"),
        ("losession", {}, {"session": "ses9"}, "is in several sessions"),
        ("official", {}, {"split": "validation"}, "train, dev or test everywhere, found 'validation'"),
        ("kfold-speaker", {"k": 9}, {}, "found 4 speakers"),
        ("fixed", {"file": "nowhere.json"}, {}, "no such splits file"),
    ],
)
def test_a_protocol_says_what_it_lacks(protocol: str, options: dict, change: dict, words: str) -> None:
    manifest = make_manifest([0, 0, 1, 1, 2, 3])
    for column, value in change.items():
        manifest.loc[0, column] = value
    with pytest.raises(ProtocolError, match=words):
        apply_protocol(protocol, manifest, options)


def test_unknown_names_list_the_known_ones() -> None:
    with pytest.raises(ConfigError, match="did you mean 'loso'"):
        apply_protocol("loss", make_manifest([0, 1, 2]))
    with pytest.raises(ConfigError, match="unknown option 'devv'; did you mean 'dev'"):
        apply_protocol("loso", make_manifest([0, 1, 2]), {"devv": True})
    with pytest.raises(ConfigError, match=r"option\(s\) missing: file"):
        apply_protocol("fixed", make_manifest([0, 1, 2]))
