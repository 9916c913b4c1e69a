"""Splits in other people's formats: the same folds from each, names found as they are written, mistakes named."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from affectra.corpora.manifest import manifest_from_rows
from affectra.errors import ProtocolError
from affectra.splits.leakage.audit import audit
from affectra.splits.protocols import Fold, apply_protocol, write_splits
from affectra.splits.protocols.naming import path_ends
from affectra.splits.protocols.published import is_as_written, read_published


def make_manifest(corpus: str = "emodb") -> pd.DataFrame:
    names = [
        f"{speaker}{text}{emotion}" for speaker in ("03", "08", "09") for text in ("a01", "b02") for emotion in "FT"
    ]
    return manifest_from_rows(
        ({"utterance": name, "file": f"wav/{name}.wav", "speaker": name[:2], "emotion": name[-1]} for name in names),
        corpus,
    )


NAMES = tuple(make_manifest()["utterance"])
PARTS = {"train": NAMES[:4], "dev": NAMES[4:8], "test": NAMES[8:]}
FOLD = Fold(**PARTS)
BY_SPEAKER = [Fold(tuple(n for n in NAMES if n not in NAMES[i : i + 4]), (), NAMES[i : i + 4]) for i in (0, 4, 8)]
NUMBER = {name: i // 4 + 1 for i, name in enumerate(NAMES)}
PART = {name: part for part, names in PARTS.items() for name in names}


def table(*columns: str, rows: Any, separator: str = ",") -> str:
    return "\n".join(separator.join(map(str, row)) for row in [columns, *rows]) + "\n"


SINGLE: dict[str, tuple[str, Any]] = {
    "an object of parts": ("json", PARTS),
    "validation for dev": ("json", {"Training": PARTS["train"], "validation": PARTS["dev"], "TEST": PARTS["test"]}),
    "a list of one fold": ("json", [PARTS]),
    "folds as ours without a protocol": (
        "json",
        {"folds": [{"train": PARTS["train"], "val": PARTS["dev"], "test": PARTS["test"]}]},
    ),
    "with a seed": ("json", {"seed": 7, **PARTS}),
    "name to part": ("json", PART),
    "records": ("json", [{"file": f"wav/{name}.wav", "split": part} for name, part in PART.items()]),
    "parts of records": (
        "json",
        {p: [{"path": f"data/wav/{n}.wav", "label": 3} for n in names] for p, names in PARTS.items()},
    ),
    "parts of objects": ("json", {p: {n: {"wav": f"x/wav/{n}.wav"} for n in names} for p, names in PARTS.items()}),
    "a table": ("csv", table("utterance", "split", rows=PART.items())),
    "a table of files": (
        "csv",
        table("File", "Partition", rows=[(f"wav/{n}.wav", p.upper()) for n, p in PART.items()]),
    ),
    "semicolons": ("csv", table("name", "set", rows=PART.items(), separator=";")),
    "tabs": (
        "tsv",
        table("path", "subset", rows=[(f"/data/emodb/wav/{n}.wav", p) for n, p in PART.items()], separator="\t"),
    ),
    "backslashes and flac": (
        "csv",
        table("file", "part", rows=[(f"C:\\emodb\\wav\\{n}.flac", p) for n, p in PART.items()]),
    ),
    "json lines": ("jsonl", "\n".join(json.dumps({"key": n, "split": p}) for n, p in PART.items())),
    "a number beside a useless name": (
        "csv",
        table("id", "file", "split", rows=[(i, n, PART[n]) for i, n in enumerate(NAMES)]),
    ),
    "one fold with its number": ("csv", table("utterance", "fold", "split", rows=[(n, 1, p) for n, p in PART.items()])),
}

SEVERAL: dict[str, tuple[str, Any]] = {
    "named folds": ("json", {f"fold_{k}": {"train": f.train, "test": f.test} for k, f in enumerate(BY_SPEAKER)}),
    "a list": ("json", [{"train": f.train, "test": f.test} for f in BY_SPEAKER]),
    "name to fold": ("json", NUMBER),
    "a table of folds": ("csv", table("utterance", "fold", rows=NUMBER.items())),
    "folds with a point": ("csv", table("utterance", "fold", rows=[(n, f"{k}.0") for n, k in NUMBER.items()])),
    "folds and parts": (
        "csv",
        table(
            "utterance", "fold", "split",
            rows=[(n, k, p) for k, f in enumerate(BY_SPEAKER) for p in ("train", "test") for n in getattr(f, p)],
        ),
    ),
}  # fmt: skip


def write(folder: Path, kind: str, content: Any) -> Path:
    path = folder / f"splits.{kind}"
    path.write_text(content if isinstance(content, str) else json.dumps(content), encoding="utf-8")
    return path


@pytest.mark.parametrize("form", SINGLE)
def test_each_form_gives_the_same_fold(form: str, tmp_path: Path) -> None:
    assert read_published(write(tmp_path, *SINGLE[form]), make_manifest()) == ([FOLD], None)


@pytest.mark.parametrize("form", SEVERAL)
def test_each_form_of_several_folds_gives_the_same(form: str, tmp_path: Path) -> None:
    folds, protocol = read_published(write(tmp_path, *SEVERAL[form]), make_manifest())
    assert protocol is None
    assert [{p: set(getattr(f, p)) for p in PARTS} for f in folds] == [
        {p: set(getattr(f, p)) for p in PARTS} for f in BY_SPEAKER
    ]


def test_our_own_file_says_its_protocol(tmp_path: Path) -> None:
    splits = apply_protocol("loso", make_manifest())
    write_splits(splits, tmp_path / "folds.json")
    assert read_published(tmp_path / "folds.json", make_manifest()) == (list(splits.folds), "loso")
    assert is_as_written(tmp_path / "folds.json")
    content = json.loads((tmp_path / "folds.json").read_text())
    content["folds"][0]["train"].append(content["folds"][0]["test"].pop())
    (tmp_path / "folds.json").write_text(json.dumps(content))
    changed, protocol = read_published(tmp_path / "folds.json", make_manifest())
    assert protocol == "loso" and changed != list(splits.folds), "they are held to what they claim"
    assert not is_as_written(tmp_path / "folds.json")


def test_a_protocol_in_somebody_elses_file_hides_no_validation_part(tmp_path: Path) -> None:
    content = {"protocol": {"name": "loso"}, "folds": [{"train": NAMES[:4], "val": NAMES[4:8], "test": NAMES[8:]}]}
    assert read_published(write(tmp_path, "json", content), make_manifest()) == ([FOLD], None)


def test_ten_folds_come_in_the_order_of_their_numbers(tmp_path: Path) -> None:
    content = {f"fold_{k}": {"train": NAMES[:2], "test": [NAMES[k]]} for k in (10, 2, 3)}
    folds, _ = read_published(write(tmp_path, "json", content), make_manifest())
    assert [fold.test for fold in folds] == [(NAMES[2],), (NAMES[3],), (NAMES[10],)]


def test_what_is_marked_minus_one_is_trained_on_always(tmp_path: Path) -> None:
    content = table("utterance", "fold", rows=[(NAMES[0], -1), (NAMES[1], 0), (NAMES[2], 1), (NAMES[3], "")])
    folds, _ = read_published(write(tmp_path, "csv", content), make_manifest())
    assert folds == [Fold((NAMES[0], NAMES[2]), (), (NAMES[1],)), Fold(NAMES[:2], (), (NAMES[2],))]


def test_utterances_without_a_part_take_none(tmp_path: Path) -> None:
    content = table("utterance", "split", rows=[(NAMES[0], "train"), (NAMES[1], "test"), (NAMES[2], "")])
    folds, _ = read_published(write(tmp_path, "csv", content), make_manifest())
    assert folds == [Fold((NAMES[0],), (), (NAMES[1],))]


@given(parts=st.lists(st.sampled_from(["train", "dev", "test", ""]), min_size=12, max_size=12))
@settings(max_examples=40, deadline=None)
def test_any_assignment_comes_back_from_json_and_table(parts: list[str], tmp_path_factory: Any) -> None:
    part_of = dict(zip(NAMES, ["train", "test", *parts[2:]], strict=True))
    expected = Fold(*(tuple(n for n in NAMES if part_of[n] == part) for part in PARTS))
    folder = tmp_path_factory.mktemp("splits")
    for kind, content in (
        ("json", {part: getattr(expected, part) for part in PARTS}),
        ("csv", table("file", "split", rows=[(f"anywhere/wav/{n}.wav", p) for n, p in part_of.items()])),
    ):
        assert read_published(write(folder, kind, content), make_manifest()) == ([expected], None)


def test_an_utterance_on_both_sides_loads_and_is_the_auditors_business(tmp_path: Path) -> None:
    content = {"train": NAMES[:8], "test": [*NAMES[8:], NAMES[0], NAMES[9]]}
    folds, _ = read_published(write(tmp_path, "json", content), make_manifest())
    found = audit(folds, make_manifest())
    assert found.leaks == ("utterance", "speaker")
    assert {f.what for f in found.findings if f.kind == "utterance"} == {
        "utterances of test are in train too",
        "utterances are in test twice",
    }


def emobox_line(name: str, dataset: str = "emodb", wav: str | None = None) -> str:
    wav = wav or f"downloads/{dataset}/wav/{name}.wav"
    fields = {"dataset": dataset, "wav": wav, "type": "raw", "sample_rate": 16_000, "num_frame": 30_000.0}
    return json.dumps(
        {"key": f"{dataset}-{name}", **fields, "task": "category", "length": 1.9, "emo": "happy", "channel": 1}
    )


def write_emobox(folder: Path, folds: list[Fold], dataset: str = "emodb", line: str = "_") -> None:
    for k, fold in enumerate(folds, start=1):
        (folder / f"fold_{k}").mkdir(parents=True, exist_ok=True)
        for part, word in (("train", "train"), ("dev", "valid"), ("test", "test")):
            names = getattr(fold, part)
            if names:
                path = folder / f"fold_{k}" / f"{dataset}_{word}_fold{line}{k}.jsonl"
                path.write_text("".join(emobox_line(name, dataset) + "\n" for name in names))


def test_a_folder_of_emobox_is_read(tmp_path: Path) -> None:
    write_emobox(tmp_path / "emodb", BY_SPEAKER)
    (tmp_path / "emodb" / "emodb.jsonl").write_text(emobox_line(NAMES[0]))
    (tmp_path / "emodb" / "fold_1" / "emodb_train_fold_1.json").write_text("{}")
    assert read_published(tmp_path / "emodb", make_manifest()) == (BY_SPEAKER, None)
    assert read_published(tmp_path / "emodb" / "fold_2", make_manifest()) == (BY_SPEAKER[1:2], None)
    write_emobox(tmp_path / "with valid", [FOLD])
    assert read_published(tmp_path / "with valid", make_manifest()) == ([FOLD], None)


def test_an_older_file_of_emobox_does_not_count_beside_the_newer(tmp_path: Path) -> None:
    write_emobox(tmp_path, BY_SPEAKER[::-1], line="")
    assert read_published(tmp_path, make_manifest()) == (BY_SPEAKER[::-1], None)
    write_emobox(tmp_path, BY_SPEAKER)
    assert read_published(tmp_path, make_manifest()) == (BY_SPEAKER, None)


def test_emobox_keys_are_found_where_files_are_not_named(tmp_path: Path) -> None:
    """CREMA-D's keys have other separators than its files, MELD's clips have no audio but a part behind their key."""
    cremad = manifest_from_rows(
        ({"utterance": f"1001_{s}_ANG_XX", "file": f"AudioWAV/1001_{s}_ANG_XX.wav"} for s in ("IEO", "TIE")), "cremad"
    )
    meld = manifest_from_rows(({"utterance": f"{p}_dia0_utt0", "text": p} for p in ("train", "dev", "test")), "meld")
    for dataset, manifest, lines in (
        (
            "cremad",
            cremad,
            [
                emobox_line(f"1001-{s}-ANG-XX", "cremad", f"downloads/cremad/AudioWAV/1001_{s}_ANG_XX.wav")
                for s in ("IEO", "TIE")
            ],
        ),
        (
            "meld",
            meld,
            [
                emobox_line(f"dia0_utt0-{p}", "meld", f"downloads/meld/{p}_splits/dia0_utt0.mp4")
                for p in ("train", "test")
            ],
        ),
    ):
        folder = tmp_path / dataset / "fold_1"
        folder.mkdir(parents=True)
        for part, line in zip(("train", "test"), lines, strict=True):
            (folder / f"{dataset}_{part}_fold_1.jsonl").write_text(line)
        (fold,), _ = read_published(tmp_path / dataset, manifest)
        assert (fold.train, fold.test) == ((manifest["utterance"].iloc[0],), (manifest["utterance"].iloc[-1],))


def test_one_name_in_two_corpora_needs_its_corpus(tmp_path: Path) -> None:
    both = pd.concat([make_manifest("a"), make_manifest("b")], ignore_index=True)
    content = {"train": ["a/03a01F"], "test": ["b/03a01F"]}
    assert read_published(write(tmp_path, "json", content), both)[0] == [Fold(("a/03a01F",), (), ("b/03a01F",))]
    rows = [("03a01F", "a", "train"), ("03a01F", "b", "test")]
    by_column = write(tmp_path, "csv", table("utterance", "corpus", "split", rows=rows))
    assert read_published(by_column, both)[0] == [Fold(("a/03a01F",), (), ("b/03a01F",))]
    content = {"train": ["03a01F", "03a01T"], "test": ["b/08a01F"]}
    with pytest.raises(
        ProtocolError, match=r"'03a01F' may be 'a/03a01F' or 'b/03a01F', and 1 other name is as unclear"
    ):
        read_published(write(tmp_path, "json", content), both)


def folders_manifest(*files: str) -> pd.DataFrame:
    return manifest_from_rows(({"utterance": file.rpartition(".")[0], "file": file} for file in files), "own")


def test_paths_are_told_apart_by_their_folders(tmp_path: Path) -> None:
    manifest = folders_manifest("anger/01.wav", "fear/01.wav", "fear/02.wav")
    content = {"train": ["/x/anger/01.mp3", "02"], "test": ["fear/01.wav"]}
    folds, _ = read_published(write(tmp_path, "json", content), manifest)
    assert folds == [Fold(("anger/01", "fear/02"), (), ("fear/01",))]
    with pytest.raises(ProtocolError, match=r"'joy/01.wav' may be 'anger/01' or 'fear/01'"):
        read_published(write(tmp_path, "json", {"train": ["joy/01.wav"], "test": ["02"]}), manifest)


def test_files_of_one_name_are_not_taken_for_the_one_that_is_there(tmp_path: Path) -> None:
    content = {"train": ["a/01.wav"], "test": ["b/01.wav", "c/02.wav"]}
    with pytest.raises(ProtocolError, match="both 'a/01' and 'b/01' could be '01'"):
        read_published(write(tmp_path, "json", content), folders_manifest("01.wav", "02.wav"))


def test_stretches_of_one_file_need_their_own_names(tmp_path: Path) -> None:
    rows = [{"utterance": f"t{i}", "file": "long.wav", "start": i, "end": i + 1} for i in range(3)]
    manifest = manifest_from_rows(rows, "own")
    assert read_published(write(tmp_path, "json", {"train": ["t0"], "test": ["t2"]}), manifest)[0] == [
        Fold(("t0",), (), ("t2",))
    ]
    with pytest.raises(ProtocolError, match=r"'long.wav' may be 't0' or 't1'"):
        read_published(write(tmp_path, "json", {"train": ["long.wav"], "test": ["t2"]}), manifest)


def test_dots_in_names_are_no_suffixes() -> None:
    assert path_ends("wav/x_sp0.9") == ["wav/x_sp0.9", "x_sp0.9"]
    assert path_ends("wav/x_sp0.9.WAV") == ["wav/x_sp0.9", "x_sp0.9"]


WRONG: dict[str, tuple[str, Any, str]] = {
    "cut off": ("json", '{"train": [\n"a"', r"splits.json:2: not JSON"),
    "no splits": ("json", {"name": "x", "list": [1]}, "not splits; expected train, dev and test"),
    "empty": ("json", {}, "not splits"),
    "a number for a name": ("json", {"train": [1], "test": ["a"]}, "fold 0: train has 1, expected a name"),
    "an unknown part": ("json", {"train": [NAMES[0]], "test": [NAMES[1]], "eval": []}, "unknown part 'eval'"),
    "an empty part": ("json", [PARTS, {"train": [NAMES[0]], "test": []}], "fold 1: the test part is empty"),
    "no test part": ("json", {"train": [NAMES[0]]}, "fold 0: the test part is empty"),
    "unknown names": (
        "json", [PARTS, {"train": ["x", "y", "x"], "test": [NAMES[0]]}],
        r"fold 1: train: 'x' is not in the manifest, nor is 1 other name; expected names such as '03a01F'",
    ),
    "an unknown name in a table": ("csv", "file,split\n03a01F,train\nzzz.wav,test\n", r"line 3: 'zzz.wav' is not in"),
    "an unknown part in a table": ("csv", "file,split\n03a01F,training\n03a01T,evil\n", r"line 3: unknown part 'evil'"),
    "a row too short": ("csv", "file,split\n03a01F,train\n03a01T\n", r"splits.csv:3: 1 cells, expected 2"),
    "no name": ("csv", "file,split\n,train\n", "line 2: no name of an utterance"),
    "no column of names": ("csv", "speaker,split\n03,train\n", "columns speaker, split; expected one of key"),
    "no column of parts": ("csv", "file,emotion\n03a01F,anger\n", "and split, fold or both"),
    "one fold": ("csv", "file,fold\n03a01F,1\n03a01T,1\n", r"one fold alone \(1\)"),
    "no part at all": ("csv", "file,split\n03a01F,\n", "no row has a part"),
    "our own, damaged": ("json", {"protocol": {"name": "x"}, "folds": [{"train": "x"}]}, "fold 0: train is not a list"),
}  # fmt: skip


@pytest.mark.parametrize("mistake", WRONG)
def test_a_mistake_is_named_with_its_place(mistake: str, tmp_path: Path) -> None:
    kind, content, words = WRONG[mistake]
    with pytest.raises(ProtocolError, match=words) as caught:
        read_published(write(tmp_path, kind, content), make_manifest())
    assert "\n" not in str(caught.value) and str(tmp_path / f"splits.{kind}") in str(caught.value)


def no_test(folder: Path) -> None:
    write_emobox(folder, BY_SPEAKER)
    (folder / "fold_2" / "emodb_test_fold_2.jsonl").unlink()


def not_json(folder: Path) -> None:
    write_emobox(folder, BY_SPEAKER)
    with (folder / "fold_2" / "emodb_test_fold_2.jsonl").open("a") as file:
        file.write("{oops\n")


def two_corpora(folder: Path) -> None:
    write_emobox(folder, BY_SPEAKER)
    write_emobox(folder, BY_SPEAKER, "ravdess")


def nameless(folder: Path) -> None:
    write_emobox(folder, BY_SPEAKER)
    (folder / "fold_1" / "emodb_train_fold_1.jsonl").write_text('{"emo": "happy"}\n')


@pytest.mark.parametrize(
    ("damage", "words"),
    [
        (lambda folder: folder.mkdir(), "no folds; expected EmoBox's fold_1"),
        (no_test, "fold_2 has no file for test"),
        (not_json, r"emodb_test_fold_2.jsonl:5: not JSON"),
        (two_corpora, "fold_1 has several files for"),
        (nameless, r"emodb_train_fold_1.jsonl:1: no key and no wav"),
    ],
)
def test_a_damaged_folder_of_emobox_is_named(damage: Callable[[Path], None], words: str, tmp_path: Path) -> None:
    damage(tmp_path / "emodb")
    with pytest.raises(ProtocolError, match=words):
        read_published(tmp_path / "emodb", make_manifest())


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(ProtocolError, match="no such splits file"):
        read_published(tmp_path / "nowhere.json", make_manifest())
    (tmp_path / "latin.json").write_bytes('{"train": ["ä"]}'.encode("latin-1"))
    with pytest.raises(ProtocolError, match="not UTF-8 at byte 12"):
        read_published(tmp_path / "latin.json", make_manifest())
