"""The auditor: every planted leak is found where it was planted, and clean folds pass."""

import json
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from affectra.corpora import read_corpus
from affectra.corpora.manifest import manifest_from_rows, utterance_keys
from affectra.errors import ProtocolError
from affectra.splits.leakage.audit import audit
from affectra.splits.leakage.by_ear.fingerprint import Fingerprint
from affectra.splits.leakage.by_ear.matching import bit_error
from affectra.splits.leakage.by_name.codes import SPEEDS, STRIDE
from affectra.splits.leakage.by_name.names import Name, take_apart, take_number
from affectra.splits.leakage.findings import KINDS, Audit, Finding
from affectra.splits.protocols import PROTOCOLS, Fold, apply_protocol

N_SPEAKERS = 8
EMOTIONS = ("anger", "sadness")
Rows = list[dict[str, Any]]


def make_rows() -> Rows:
    """Eight speakers in four sessions; each talks to the other of the session in dialogues; no sentence comes twice."""
    return [
        {
            "utterance": f"s{speaker}_{i}x",
            "file": f"wav/s{speaker}_{i}x.wav",
            "speaker": f"s{speaker}",
            "session": str(speaker // 2),
            "dialogue": f"d{speaker // 2}_{i % 2}",
            "text": f"words of {speaker} and {i}",
            "emotion": EMOTIONS[i % 2],
        }
        for speaker in range(N_SPEAKERS)
        for i in range(6)
    ]


def make_folds(rows: Rows) -> list[Fold]:
    """Leave one session out; the next is the dev part."""
    return [
        Fold(
            *(
                tuple(row["utterance"] for row in rows if (int(row["session"]) - k) % 4 in chosen)
                for chosen in ((2, 3), (1,), (0,))
            )
        )
        for k in range(4)
    ]


def as_manifest(rows: Rows) -> pd.DataFrame:
    return pd.concat(
        [manifest_from_rows([r for r in rows if r.get("corpus", "c") == name], name) for name in corpora(rows)],
        ignore_index=True,
    )


def corpora(rows: Rows) -> list[str]:
    return list(dict.fromkeys(row.get("corpus", "c") for row in rows))


def codes(seed: int) -> np.ndarray:
    return np.random.default_rng(seed).integers(1, 2**32, 200).astype(np.uint32)


def sounds(rows: Rows) -> dict[str, Fingerprint]:
    """Each row's own sound: random codes, and the row's number for a hash."""
    keys = utterance_keys(as_manifest(rows))
    return {key: Fingerprint(codes(i), f"{i + 1:064x}") for i, key in enumerate(keys)}


FOLD = 1  # where leaks are planted, between session 0 (speakers 0 and 1) and session 2 (speakers 4 and 5)
TESTED, TRAINED = "s4_0x", "s0_0x"


def make_planted_folds(rows: Rows) -> list[Fold]:
    """Three folds of which the one in the middle alone has what is planted on two sides."""
    of_session = {k: tuple(row["utterance"] for row in rows if row["session"] == k) for k in "0123"}
    return [Fold(of_session[train], (), of_session[test]) for train, test in ("13", "02", "31")]


def row(rows: Rows, name: str) -> dict[str, Any]:
    return next(row for row in rows if row["utterance"] == name)


def rename(rows: Rows, folds: list[Fold], before: str, after: str) -> None:
    row(rows, before).update(utterance=after, file=f"wav/{after}.wav")
    for k, fold in enumerate(folds):
        folds[k] = Fold(*(tuple(after if key == before else key for key in part) for part in vars(fold).values()))


Plant = Callable[[Rows, list[Fold], dict[str, Fingerprint]], str]
PLANTS: dict[str, tuple[str, Plant]] = {}


def plant(kind: str) -> Callable[[Plant], Plant]:
    def add(function: Plant) -> Plant:
        PLANTS[function.__name__] = kind, function
        return function

    return add


@plant("speaker")
def same_speaker(rows: Rows, folds: list[Fold], heard: dict[str, Fingerprint]) -> str:
    row(rows, TESTED)["speaker"] = "s0"
    return "s0 (s4_0x in test, s0_0x in train)"


@plant("session")
def same_session(rows: Rows, folds: list[Fold], heard: dict[str, Fingerprint]) -> str:
    row(rows, TESTED)["session"] = "0"
    return "0 (s4_0x in test, s0_0x in train)"


@plant("dialogue")
def same_dialogue(rows: Rows, folds: list[Fold], heard: dict[str, Fingerprint]) -> str:
    row(rows, TESTED)["dialogue"] = "d0_1"
    return "d0_1 (s4_0x in test, s0_1x in train)"


@plant("sentence")
def same_sentence(rows: Rows, folds: list[Fold], heard: dict[str, Fingerprint]) -> str:
    row(rows, TESTED)["text"] = "Words of 0, and 0!"
    return "'words of 0 and 0' (s4_0x in test, s0_0x in train)"


@plant("utterance")
def utterance_on_both_sides(rows: Rows, folds: list[Fold], heard: dict[str, Fingerprint]) -> str:
    folds[FOLD] = replace(folds[FOLD], test=(*folds[FOLD].test, "s0_3x"))
    row(rows, "s0_3x").update(speaker="", session="", dialogue="", text="")  # by which it would be found besides
    return "s0_3x"


@plant("utterance")
def utterance_in_test_twice(rows: Rows, folds: list[Fold], heard: dict[str, Fingerprint]) -> str:
    folds[FOLD] = replace(folds[FOLD], test=(*folds[FOLD].test, TESTED))
    return TESTED


@plant("segment")
def overlapping_stretches(rows: Rows, folds: list[Fold], heard: dict[str, Fingerprint]) -> str:
    row(rows, TRAINED).update(file="wav/long.wav", start=3.0, end=5.0, dialogue="d0_0")
    row(rows, TESTED).update(file="wav/long.wav", start=4.9, end=7.0, speaker="")
    return "s4_0x in test, s0_0x in train"


@plant("segment")
def stretch_of_a_whole(rows: Rows, folds: list[Fold], heard: dict[str, Fingerprint]) -> str:
    row(rows, TRAINED).update(file="wav/long.wav")
    row(rows, TESTED).update(file="wav/long.wav", start=4.0, end=7.0)
    return "s4_0x in test, s0_0x in train"


@plant("segment")
def segments_by_name(rows: Rows, folds: list[Fold], heard: dict[str, Fingerprint]) -> str:
    rename(rows, folds, TRAINED, "talk_seg01")
    rename(rows, folds, TESTED, "talk_seg02")
    row(rows, "talk_seg01")["speaker"] = row(rows, "talk_seg02")["speaker"] = ""
    return "talk_seg02 in test, talk_seg01 in train"


@plant("segment")
def segments_by_number(rows: Rows, folds: list[Fold], heard: dict[str, Fingerprint]) -> str:
    rename(rows, folds, TRAINED, "talk-0000")
    rename(rows, folds, TESTED, "talk-0001")
    for name in ("talk-0000", "talk-0001"):
        row(rows, name).update(speaker="", text="", emotion="anger")
    return "talk-0001 in test, talk-0000 in train"


@plant("augmented")
def augmented_copy(rows: Rows, folds: list[Fold], heard: dict[str, Fingerprint]) -> str:
    rename(rows, folds, TESTED, f"{TRAINED}_noise_10db")
    row(rows, f"{TRAINED}_noise_10db")["speaker"] = ""
    return "s0_0x_noise_10db in test, s0_0x in train"


@plant("augmented")
def two_augmented_copies_by_file(rows: Rows, folds: list[Fold], heard: dict[str, Fingerprint]) -> str:
    row(rows, TESTED)["file"] = "augmented/talk_sp0.9.wav"
    row(rows, TRAINED)["file"] = "augmented/talk_pitch+2.wav"
    row(rows, TESTED)["speaker"] = row(rows, TRAINED)["speaker"] = ""
    return "s4_0x in test, s0_0x in train"


@plant("duplicate")
def same_samples(rows: Rows, folds: list[Fold], heard: dict[str, Fingerprint]) -> str:
    heard[TESTED] = heard[TRAINED]
    return "s4_0x in test, s0_0x in train"


@plant("near-duplicate")
def same_sound(rows: Rows, folds: list[Fold], heard: dict[str, Fingerprint]) -> str:
    noise = np.random.default_rng(1).integers(0, 2**32, (3, 200)).astype(np.uint32)
    flipped = heard[TRAINED].codes ^ (noise[0] & noise[1] & noise[2])  # one bit in eight
    later = np.concatenate([np.zeros(50, np.uint32), np.where(np.arange(200) % 9, flipped, heard[TRAINED].codes)])
    heard[TESTED] = replace(heard[TESTED], codes=later)
    error, _ = bit_error(heard[TRAINED].codes, later, 50)
    assert 0.05 < error < 0.2
    return f"s4_0x in test, s0_0x in train ({1 - error:.0%} alike, 0.40 s apart)"


@plant("augmented")
def same_sound_at_another_speed(rows: Rows, folds: list[Fold], heard: dict[str, Fingerprint]) -> str:
    faster = [codes(100 + i) for i in range(len(SPEEDS))]
    heard[TRAINED] = replace(heard[TRAINED], faster=tuple(faster))
    heard[TESTED] = replace(heard[TESTED], codes=np.repeat(faster[-1], STRIDE))
    return f"s4_0x in test, s0_0x in train (100% alike, s4_0x {SPEEDS[-1]:.2f} times as fast)"


@plant("corpus")
def same_recording_at_another_speed_in_two_corpora(rows: Rows, folds: list[Fold], heard: dict[str, Fingerprint]) -> str:
    same_recording_in_two_corpora(rows, folds, heard)
    heard[f"d/{TESTED}"] = Fingerprint(codes(99), faster=(*[codes(98)] * (len(SPEEDS) - 1), codes(97)))
    heard[f"c/{TRAINED}"] = replace(heard[f"c/{TRAINED}"], codes=np.repeat(codes(97), STRIDE))
    return f"d/s4_0x in test, c/s0_0x in train (100% alike, c/s0_0x {SPEEDS[-1]:.2f} times as fast)"


@plant("corpus")
def same_recording_in_two_corpora(rows: Rows, folds: list[Fold], heard: dict[str, Fingerprint]) -> str:
    for r in rows:
        if r["session"] == "2":
            r["corpus"] = "d"
    names = {r["utterance"]: f"{r.get('corpus', 'c')}/{r['utterance']}" for r in rows}
    folds[:] = [Fold(*(tuple(names[key] for key in part) for part in vars(fold).values())) for fold in folds]
    for name in list(heard):
        heard[names[name]] = heard.pop(name)
    heard[f"d/{TESTED}"] = heard[f"c/{TRAINED}"]
    return "d/s4_0x in test, c/s0_0x in train"


def leaks_of(audited: Audit) -> list[Finding]:
    return [finding for finding in audited.findings if finding.severity == "leak"]


PROMISES = ("speaker", "session", "dialogue", "sentence")


@pytest.mark.parametrize("promises", [PROMISES, None])
def test_clean_folds_pass(promises: Any) -> None:
    rows = make_rows()
    found = audit(make_folds(rows), as_manifest(rows), promises=promises, fingerprints=sounds(rows))
    assert found.ok and found.audio_compared and not found.findings
    assert found.lines() == ["verdict: no leak in 4 folds"]
    assert found.verdicts == ("ok",) * 4


def test_an_utterance_tested_twice_counts_twice_and_leaks_nothing() -> None:
    rows = make_rows()
    folds = make_folds(rows)
    extra = folds[0].test[0]
    folds.append(folds[0])  # as in repeated cross-validation
    found = audit(folds, as_manifest(rows), promises=None)
    assert found.ok and any("so they count twice: " in line and extra in line for line in found.lines())


@pytest.mark.parametrize("name", PLANTS)
def test_a_planted_leak_is_caught_with_its_kind_fold_and_name(name: str) -> None:
    kind, function = PLANTS[name]
    rows = make_rows()
    folds, heard = make_planted_folds(rows), sounds(rows)
    example = function(rows, folds, heard)
    heard = {key: sound for key, sound in heard.items() if key in set(utterance_keys(as_manifest(rows)))}
    found = audit(folds, as_manifest(rows), promises=PROMISES, fingerprints=heard)
    assert found.leaks == (kind,), found.lines()
    assert {leak.fold for leak in leaks_of(found)} == {FOLD}, found.lines()
    assert any(example in leak.message for leak in leaks_of(found)), found.lines()
    assert found.verdicts[FOLD] == "leak" and found.lines()[-1].startswith(f"verdict: LEAK ({kind}) in 1 of ")
    assert json.loads(json.dumps(found.to_json()))["folds"][FOLD]["verdict"] == "leak"


@given(st.data())
@settings(max_examples=60, deadline=None)
def test_any_utterance_of_a_test_speaker_in_training_is_caught(data: st.DataObject) -> None:
    rows = make_rows()
    folds = make_folds(rows)
    k = data.draw(st.integers(0, len(folds) - 1))
    moved = data.draw(st.sampled_from(folds[k].test))
    stays = data.draw(st.booleans())
    test = folds[k].test if stays else tuple(key for key in folds[k].test if key != moved)
    folds[k] = Fold((*folds[k].train, moved), folds[k].dev, test)
    found = audit(folds, as_manifest(rows), promises=data.draw(st.sampled_from([PROMISES, (), None])))
    assert "speaker" in found.leaks and ("utterance" in found.leaks) == stays
    assert {leak.fold for leak in leaks_of(found) if leak.kind == "speaker"} == {k}
    assert [verdict == "leak" for verdict in found.verdicts] == [i == k for i in range(4)]


@pytest.mark.parametrize(
    ("kind", "expected"),
    [
        ("session", {"promised": "leak", "not promised": "warning", "unknown": "leak"}),
        ("dialogue", {"promised": "leak", "not promised": "warning", "unknown": "leak"}),
        ("sentence", {"promised": "leak", "not promised": "note", "unknown": "note"}),
        ("speaker", {"promised": "leak", "not promised": "leak", "unknown": "leak"}),
    ],
)
def test_how_bad_it_is_depends_on_what_was_promised(kind: str, expected: dict[str, str]) -> None:
    rows = make_rows()
    folds = make_planted_folds(rows)
    PLANTS[f"same_{kind}"][1](rows, folds, {})
    for promises, claim in (((kind,), "promised"), ((), "not promised"), (None, "unknown")):
        found = audit(folds, as_manifest(rows), promises=promises)
        assert [f.severity for f in found.findings if f.kind == kind] == [expected[claim]]
        assert found.ok == (expected[claim] != "leak")


@pytest.mark.parametrize(("promised", "severity"), [(True, "leak"), (False, "warning")])
@pytest.mark.parametrize("sides", [("train", "dev"), ("dev", "test")])
def test_a_speaker_shared_with_dev_is_a_warning_unless_promised(sides: Any, promised: bool, severity: str) -> None:
    rows = make_rows()
    first, second = ({"train": "s0_0x", "dev": "s6_0x", "test": "s4_0x"}[side] for side in sides)
    row(rows, second)["speaker"] = row(rows, first)["speaker"]
    folds = make_folds(rows)[2:3]
    found = audit(folds, as_manifest(rows), promises=("speaker",) if promised else ())
    assert [f.severity for f in found.findings if f.kind == "speaker"] == [severity]


def test_a_copy_that_chose_the_epoch_is_a_leak_and_one_that_was_trained_on_is_a_warning() -> None:
    rows = make_rows()
    folds = make_folds(rows)[2:3]
    for one, other, severity in (("s6_0x", "s4_0x", "leak"), ("s6_0x", "s0_0x", "warning")):
        heard = sounds(rows)
        heard[one] = heard[other]
        found = audit(folds, as_manifest(rows), fingerprints=heard)
        assert [(f.kind, f.severity) for f in found.findings] == [("duplicate", severity)]


def test_leaving_a_speaker_out_leaves_the_partner_in_and_says_so() -> None:
    rows = make_rows()
    manifest = as_manifest(rows)
    splits = apply_protocol("loso", manifest, {"dev": False})
    found = audit(splits.folds, manifest, promises=PROTOCOLS["loso"].promises)
    assert found.ok
    dialogues = [f for f in found.findings if f.kind == "dialogue"]
    assert len(dialogues) == 8 and all(f.severity == "warning" and f.count == 2 for f in dialogues)
    line = next(line for line in found.lines() if "dialogue" in line)
    assert line.startswith("warning: dialogue: folds 0-7: 2 of 2 dialogues") and "by its definition" in line


def test_an_augmented_copy_that_sounds_alike_is_one_finding_with_evidence() -> None:
    rows = make_rows()
    folds, heard = make_planted_folds(rows), sounds(rows)
    augmented_copy(rows, folds, heard)
    heard[f"{TRAINED}_noise_10db"] = replace(heard[TESTED], codes=np.append(heard[TRAINED].codes, codes(99)))
    found = audit(folds, as_manifest(rows), fingerprints={k: v for k, v in heard.items() if k != TESTED})
    assert found.leaks == ("augmented",)
    assert "and they sound alike" in leaks_of(found)[0].message


def test_a_doubled_corpus_is_found_by_names_alone_unless_the_audio_says_otherwise() -> None:
    rows = [{**r, "corpus": name} for name in ("c", "d") for r in make_rows()]
    keys = utterance_keys(as_manifest(rows))
    folds = [Fold(tuple(key for key in keys if key[0] == "c"), (), tuple(key for key in keys if key[0] == "d"))]
    found = audit(folds, as_manifest(rows))
    assert found.leaks == ("corpus",) and leaks_of(found)[0].count == 48
    assert audit(folds, as_manifest(rows), fingerprints=sounds(rows)).ok
    for r in rows:
        r.update(speaker="", text="")  # anger/001.wav of two corpora says nothing
    assert audit(folds, as_manifest(rows)).ok


def test_corpora_are_apart_only_if_that_was_promised() -> None:
    rows = [{**r, "corpus": "cd"[int(r["session"]) % 2]} for r in make_rows()]
    manifest = as_manifest(rows)
    keys = dict(zip(manifest["utterance"], utterance_keys(manifest), strict=True))
    fold = make_folds(rows)[2]
    folds = [Fold(*(tuple(keys[name] for name in part) for part in vars(fold).values()))]
    assert audit(folds, manifest, promises=("speaker",)).ok
    assert audit(folds, manifest, promises=("speaker", "corpus")).leaks == ("corpus",)


def test_classes_and_people_that_spoil_a_result_are_warned_of() -> None:
    rows = make_rows()
    for r in rows:
        r["emotion"] = "anger" if r["session"] in "01" else "fear" if r["utterance"] == TESTED else "sadness"
    row(rows, "s4_1x")["speaker"] = ""
    folds = [Fold(("s0_0x", "s0_1x"), (), (TESTED, "s4_1x", "s4_2x"))]
    found = audit(folds, as_manifest(rows))
    assert found.ok and found.verdicts == ("warning",)
    said = {finding.kind: finding for finding in found.findings if finding.severity == "warning"}
    assert said.keys() == {"class-missing", "constant-labels", "speaker-missing", "unknown-speaker"}
    assert said["class-missing"].examples == ("fear", "sadness")
    assert "class alone is in train: anger" in said["constant-labels"].message
    assert (said["speaker-missing"].count, said["speaker-missing"].total) == (6, 8)
    assert said["unknown-speaker"].examples == ("s4_1x",)


def test_spellings_that_may_be_one_speaker_are_warned_of_and_are_no_leak() -> None:
    rows = make_rows()
    for r in rows:
        r["speaker"] = {"s4": "S0", "s5": "s01", "s6": "s02", "s2": "s-2"}.get(r["speaker"], r["speaker"])
    found = audit(make_folds(rows), as_manifest(rows), promises=("speaker", "session"))
    (finding,) = found.findings
    assert (finding.kind, finding.severity, finding.fold) == ("speaker-spelling", "warning", None)
    assert (finding.count, finding.total) == (6, 8) and found.ok
    groups = ["'S0', 's0' (corpus c)", "'s-2', 's02' (corpus c)", "'s01', 's1' (corpus c)"]
    assert found.lines()[0].endswith(f"6 of 8 names may be the same speaker: {'; '.join(groups)}")
    assert json.loads(json.dumps(found.to_json()))["findings"][0]["examples"] == list(finding.examples)
    elsewhere = [Fold(("s0_0x",), (), ("s3_0x",))]
    assert not any("same speaker" in line for line in audit(elsewhere, as_manifest(rows)).lines()), "takes no part"


def test_what_could_not_be_heard_is_said() -> None:
    rows = make_rows()
    heard = sounds(rows)
    heard[TESTED] = Fingerprint(np.zeros(0, np.uint32), fault="s4_0x.wav: is empty (0 bytes)")
    del heard[TRAINED]
    row(rows, "s0_1x")["file"] = ""  # text alone, nothing to hear
    del heard["s0_1x"]
    found = audit(make_folds(rows), as_manifest(rows), fingerprints=heard)
    (finding,) = found.findings
    assert (finding.kind, finding.severity, finding.count) == ("unheard", "warning", 2) and found.ok
    assert "s4_0x.wav: is empty" in " ".join(finding.examples)


def test_silent_recordings_and_texts_without_audio_are_no_copies() -> None:
    rows = make_rows()
    for r in rows:
        r["file"] = ""
    silent = {r["utterance"]: Fingerprint(np.zeros(0, np.uint32)) for r in rows}
    assert audit(make_folds(rows), as_manifest(rows), fingerprints=silent).ok


def test_stretches_that_touch_and_turns_that_cross_are_no_leak() -> None:
    rows = make_rows()
    row(rows, TRAINED).update(file="wav/long.wav", start=3.0, end=5.0)
    row(rows, TESTED).update(file="wav/long.wav", start=5.0, end=7.0)
    folds = make_folds(rows)[2:3]
    assert not audit(folds, as_manifest(rows), promises=PROMISES).findings
    row(rows, TESTED)["start"] = 4.6
    (finding,) = audit(folds, as_manifest(rows), promises=PROMISES).findings
    assert (finding.kind, finding.severity) == ("segment", "warning") and "another speaker's turn" in finding.what
    row(rows, TESTED)["start"] = 3.5  # most of a turn is no crosstalk
    assert audit(folds, as_manifest(rows), promises=PROMISES).leaks == ("segment",)


def test_rows_of_one_file_without_dialogues_are_one_dialogue() -> None:
    rows = make_rows()
    for name, start in ((TRAINED, 3.0), (TESTED, 5.0)):
        row(rows, name).update(file="wav/long.wav", start=start, end=start + 1, dialogue="")
    folds = make_folds(rows)[2:3]
    found = audit(folds, as_manifest(rows))
    assert found.leaks == ("dialogue",) and "wav/long.wav (s4_0x in test, s0_0x in train)" in found.lines()[0]


def test_equal_file_names_in_two_corpora_are_two_files() -> None:
    rows = [
        {"utterance": f"{name}{i}", "file": f"{i}.wav", "speaker": f"{name}{i}", "emotion": "anger", "corpus": name}
        for name in "cd"
        for i in range(3)
    ]
    keys = list(utterance_keys(as_manifest(rows)))
    assert audit([Fold(tuple(keys[:3]), (), tuple(keys[3:]))], as_manifest(rows)).ok


@pytest.mark.parametrize(
    "names",
    [
        ["EB0_anger_1", "EB0_anger_2"],  # nEMO
        ["Ses01F_impro01_F000", "Ses01F_impro01_F001"],  # IEMOCAP
        ["03-01-06-01-02-01-12", "03-01-06-01-02-02-12"],  # RAVDESS
        ["amused_1-15_0001", "amused_1-15_0002", "amused_16-28_0016"],  # EmoV-DB, with its sentences
        ["0001_000351", "0001_000352"],  # ESD
        ["dia0_utt0", "dia0_utt1"],  # MELD
        ["MSP-IMPROV-S01A-F01-P-FM01", "MSP-IMPROV-S01A-F01-P-FM02"],
        ["OAF_pitch_angry", "OAF_gain_angry"],  # TESS
        ["noise_001", "music_001"],
        ["a01 (1)", "a01 (2)"],  # AESDD's number of the speaker
        ["03a01Fa", "03a01Fb"],
    ],
)
def test_names_of_corpora_are_not_taken_for_segments_or_copies(names: list[str]) -> None:
    rows = [
        {"utterance": name, "file": f"{name}.wav", "speaker": "s", "sentence": str(i), "emotion": "anger"}
        for i, name in enumerate(names)
    ]
    found = audit([Fold(tuple(names[:1]), (), tuple(names[1:]))], as_manifest(rows))
    assert found.leaks == ("speaker",), found.lines()
    assert not any(finding.kind in ("segment", "augmented") for finding in found.findings)


def test_what_looks_like_a_copy_counts_beside_its_original() -> None:
    rows = [{"utterance": name, "file": f"{name}.wav", "emotion": "anger"} for name in ("x1", "noise_x1", "y", "y (1)")]
    for original, copy in (("x1", "noise_x1"), ("y", "y (1)")):
        assert audit([Fold((copy,), (), (original,))], as_manifest(rows)).leaks == ("augmented",)


def test_numbered_utterances_with_several_labels_are_no_segments_and_others_may_be() -> None:
    rows = [{"utterance": f"talk_{i:03}", "file": f"{i}.wav", "speaker": "s", "emotion": "anger"} for i in range(5, 9)]
    folds = [Fold(("talk_005", "talk_006"), (), ("talk_007", "talk_008"))]
    found = audit(folds, as_manifest(rows))
    assert [f.severity for f in found.findings if f.kind == "segment"] == ["warning"]
    rows[0]["emotion"] = "fear"
    assert not [f for f in audit(folds, as_manifest(rows)).findings if f.kind == "segment"]


@pytest.mark.parametrize(
    ("name", "taken"),
    [
        ("x_aug", Name("x", "aug")),
        ("x_aug3", Name("x", "aug3")),
        ("x-noise-20dB", Name("x", "noise-20dB")),
        ("x_sp0.9", Name("x", "sp0.9")),
        ("sp1.1-x", Name("x", "sp1.1", weak=True)),
        ("x_speed1.1_reverb", Name("x", "reverb_speed1.1")),
        ("x (copy)", Name("x", "(copy)")),
        ("x - Copy", Name("x", "Copy")),
        ("x (1)", Name("x", "(1)", weak=True)),
        ("x_8k", Name("x", "8k")),
        ("x_pitch_shift+2", Name("x", "pitch_shift+2")),
        ("x_seg07", Name("x", "", "07", True)),
        ("x_part2", Name("x", "", "2", False)),
        ("x_0.00_2.50", Name("x", "", "0.00-2.50", True)),
        ("x-0000000-0000250", Name("x", "", "0000000-0000250", True)),
        ("x_gain_chunk3", Name("x", "gain", "3", True)),
        ("speed", Name("speed")),
        ("x_sp", Name("x_sp")),
        ("loud_x", Name("loud_x")),
    ],
)
def test_marks_and_stretches_are_taken_off_names(name: str, taken: Name) -> None:
    assert take_apart(name) == taken


def test_only_long_numbers_behind_a_word_count() -> None:
    assert take_number("x_000") == ("x", 0)
    assert [take_number(name) for name in ("x_01", "x000", "2020-001", "000")] == [None] * 4


def test_equal_findings_of_many_folds_are_one_line() -> None:
    rows = make_rows()
    for r in rows:
        r["text"] = "the same"
    lines = audit(make_folds(rows), as_manifest(rows), promises=()).lines()
    assert len(lines) == 2
    assert lines[0].startswith("note: sentence: folds 0-3: 1 of 1 sentences of test are spoken in train too")
    assert "fold 0: 'the same' (s0_0x in test, s4_0x in train)" in lines[0]


def test_the_order_and_numbering_of_rows_change_nothing() -> None:
    for name, (_, function) in PLANTS.items():
        rows = make_rows()
        folds, heard = make_planted_folds(rows), sounds(rows)
        function(rows, folds, heard)
        manifest = as_manifest(rows)
        shuffled = manifest.sample(frac=1, random_state=0)  # with the numbers that rows had before
        heard = {key: heard[key] for key in utterance_keys(manifest) if key in heard}
        before, after = (audit(folds, m, promises=PROMISES, fingerprints=heard) for m in (manifest, shuffled))
        assert [(f.kind, f.severity, f.fold, f.count) for f in before.findings] == [
            (f.kind, f.severity, f.fold, f.count) for f in after.findings
        ], name


def test_an_unknown_or_doubled_utterance_is_refused() -> None:
    rows = make_rows()
    with pytest.raises(ProtocolError, match="fold 1: dev names 'nobody', which the manifest does not have"):
        audit([*make_folds(rows)[:1], Fold(("s0_0x",), ("nobody",), ("s1_0x",))], as_manifest(rows))
    with pytest.raises(ProtocolError, match="'s0_0x' stands in the manifests twice"):
        audit([], as_manifest([*rows, rows[0]]))


def test_every_kind_of_leakage_is_planted_above() -> None:
    assert {kind for kind, _ in PLANTS.values()} == set(KINDS)


def test_ten_thousand_turns_in_ten_folds_are_compared_in_seconds() -> None:
    rng = np.random.default_rng(0)
    rows = []
    for i in range(10_039):
        dialogue = i // 67
        name = f"Ses{dialogue // 30:02}F_impro{dialogue:03}_{'FM'[i % 2]}{i % 67:03}"
        rows.append(
            {
                "utterance": name,
                "file": f"Session{dialogue // 30}/{name}.wav",
                "speaker": f"{dialogue // 30}{'FM'[i % 2]}",
                "session": str(dialogue // 30),
                "dialogue": str(dialogue),
                "text": f"words {rng.integers(8000)}",
                "emotion": str(rng.integers(8)),
            }
        )
    manifest = manifest_from_rows(rows, "iemocap")
    folds = apply_protocol("loso", manifest).folds
    begun = time.process_time()
    found = audit(folds, manifest, promises=("speaker",))
    assert time.process_time() - begun < 20  # about one on an idle core; all pairs would take hours
    assert found.ok and len(found.lines()) < 8


def test_emodb_shares_its_sentences_and_leaks_nothing(data_dir: Path) -> None:
    corpus = read_corpus("emodb", data_dir / "emodb")
    folds = apply_protocol("loso", corpus.manifest).folds
    found = audit(folds, corpus.manifest, promises=PROTOCOLS["loso"].promises)
    assert found.ok and {finding.kind for finding in found.findings} == {"sentence"}
    assert all((f.severity, f.count, f.total) == ("note", 10, 10) for f in found.findings)
    assert "10 of 10 sentences of test are spoken in train too, which speakers share in this corpus" in found.lines()[0]
    assert audit(folds, corpus.manifest, promises=("speaker", "sentence")).leaks == ("sentence",)
    random = apply_protocol("random-80-20", corpus.manifest).folds
    assert audit(random, corpus.manifest, promises=()).leaks == ("speaker",)


@pytest.mark.parametrize("name", ["loso", "kfold-speaker", "losession", "speaker-sentence-disjoint"])
def test_protocols_keep_what_they_promise_in_the_auditors_eyes(name: str) -> None:
    manifest = as_manifest(make_rows())
    splits = apply_protocol(name, manifest)
    found = audit(splits.folds, manifest, promises=PROTOCOLS[name].promises)
    assert found.ok, found.lines()
