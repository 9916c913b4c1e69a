"""Names of people: one spelling on reading, and a warning where a reader would take two spellings for one person."""

import json
import time
import unicodedata
from pathlib import Path

import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from affectra.cli import main
from affectra.corpora import read_corpus
from affectra.corpora.importers.table_and_folder import read_csv
from affectra.corpora.manifest import manifest_from_rows, read_manifest, write_manifest
from affectra.corpora.names import NAME_COLUMNS, alike_speakers, normalize_name, normalize_names, spelling_warnings
from affectra.corpora.sources import open_corpus
from affectra.predict.conversation.turns import read_conversations

# One name as it is after reading, and as tables have it.
SAME_ON_READING = {
    "Anna Smith": [
        "Anna Smith",
        " Anna\u00a0Smith ",
        "Anna\t\u2009 Smith",
        "\ufeffAnna Smith",
        "An\u00adna Smi\u200bth",
    ],
    "Zoë": ["Zoë", unicodedata.normalize("NFD", "Zoë"), "Zoë\u200e", "\u2060Zoë\u3000"],
}
ALIKE = [
    ("Anna", "ANNA"),
    ("spk01", "SPK 1", "spk_1", "Spk-001", "ｓｐｋ０１"),
    ("Anna Smith", "Smith, Anna", "anna_smith"),
    ("3", "03", "٣", "3.0"),
    ("Zoë", "Zoe"),
    ("Straße", "STRASSE"),
    ("Anna", "Аnna"),  # the second begins with a Cyrillic letter
    ("O'Brien", "OBrien", "O’Brien"),
    ("Søren", "Soren"),
]
APART = [
    ("1_10", "11_0", "110", "1-1-0"),
    ("-1", "1"),
    ("spk1", "spk10", "spk100"),
    ("A+", "A", "B"),
    ("?", "??", ""),
    ("मनु", "मन"),
    ("かな", "がな"),
    ("S1 M", "M1 S"),
    ("1, 2", "2, 1"),
    ("Dr. Green", "Mrs. Green", "Green"),
]


def people(*names: str, corpus: str = "mine") -> pd.DataFrame:
    return pd.DataFrame({"corpus": corpus, "speaker": list(names)})


# ---- on reading


@pytest.mark.parametrize("name", SAME_ON_READING)
def test_what_no_reader_can_see_makes_no_second_name(name: str) -> None:
    assert {normalize_name(spelling) for spelling in SAME_ON_READING[name]} == {name}


@given(st.lists(st.text() | st.sampled_from(["3.0", "3", "-1.00", "", "\u200b"])))
def test_names_that_were_read_once_are_read_again_as_they_are(names: list[str]) -> None:
    once = normalize_names(names)
    assert normalize_names(once) == once and len(once) == len(names)
    assert [normalize_name(name) for name in once] == once


def test_numbers_of_a_column_with_gaps_lose_the_point_that_programs_give_them() -> None:
    assert normalize_names(["3.0", "", "10.0"]) == normalize_names(["3", "", "10"]) == ["3", "", "10"]
    assert normalize_names(["007.0", "8"]) == ["007", "8"]
    assert normalize_names(["1.0", "1.5"]) == ["1.0", "1.5"], "versions are no whole numbers"
    assert normalize_names(["3.0", "anna"]) == ["3.0", "anna"]


@pytest.mark.parametrize("suffix", [".csv", ".parquet"])
@pytest.mark.parametrize("column", [column for column in NAME_COLUMNS if column != "corpus"])
def test_every_way_to_read_a_corpus_gives_a_person_one_name(column: str, suffix: str, tmp_path: Path) -> None:
    spellings = SAME_ON_READING["Anna Smith"]
    rows = [
        {"utterance": f"u{k}", "file": f"{k}.wav", "emotion": "anger", column: spelling}
        for k, spelling in enumerate(spellings)
    ]
    for row in rows:
        (tmp_path / str(row["file"])).touch()
    assert set(manifest_from_rows(rows, "mine")[column]) == {"Anna Smith"}
    (tmp_path / "t.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    assert set(read_csv(tmp_path / "t.jsonl").manifest[column]) == {"Anna Smith"}
    write_manifest(pd.DataFrame(rows), tmp_path / f"m{suffix}")  # as another program may have written it
    assert set(read_manifest(tmp_path / f"m{suffix}")[column]) == {"Anna Smith"}


def test_numbered_speakers_of_a_float_column_are_those_of_a_table_of_text(tmp_path: Path) -> None:
    rows = pd.DataFrame({"utterance": ["a", "b", "c"], "file": ["a.wav", "b.wav", "c.wav"], "speaker": [3, None, 10]})
    rows.to_parquet(tmp_path / "m.parquet")
    rows.to_csv(tmp_path / "m.csv", index=False)
    for suffix in (".parquet", ".csv"):
        assert list(read_manifest(tmp_path / f"m{suffix}")["speaker"]) == ["3", "", "10"]


def test_turns_and_tables_beside_a_manifest_name_people_as_the_manifest_does(tmp_path: Path) -> None:
    (tmp_path / "turns.csv").write_text("text,speaker\nhello,Anna \nyes,An\u200bna\n", encoding="utf-8")
    (conversation,) = read_conversations(tmp_path / "turns.csv")
    assert {turn.speaker for turn in conversation.turns} == {"Anna"}
    (tmp_path / "1.wav").touch()
    (tmp_path / "m.csv").write_text("utterance,file,speaker,emotion\nu,1.wav,Anna,anger\n")
    (tmp_path / "m.turns.csv").write_text("file,speaker,start,end\n1.wav,Anna\u00a0,0,1\n", encoding="utf-8")
    (tmp_path / "m.raters.csv").write_text("utterance,rater,emotion\nu,R\u200b1,anger\n", encoding="utf-8")
    tables = open_corpus(f"mine={tmp_path / 'm.csv'}").tables
    assert (tables["turns"]["speaker"][0], tables["raters"]["rater"][0]) == ("Anna", "R1")


# ---- what may be one person


@pytest.mark.parametrize("names", ALIKE)
def test_spellings_that_a_person_reads_as_one_name_are_one_group(names: tuple[str, ...]) -> None:
    assert [set(found.names) for found in alike_speakers(people("Bob", *names, *names))] == [set(names)]


@pytest.mark.parametrize("names", APART)
def test_names_that_a_person_reads_as_several_are_left_alone(names: tuple[str, ...]) -> None:
    assert alike_speakers(people(*names)) == []


def test_a_name_in_two_corpora_is_no_question_of_spelling() -> None:
    assert alike_speakers(pd.concat([people("Anna", corpus="a"), people("ANNA", corpus="b")])) == []


def test_a_warning_shows_the_names_and_the_letter_that_looks_the_same() -> None:
    assert spelling_warnings(people("Anna", "ANNA")) == ["may be the same speaker: 'ANNA', 'Anna' (corpus mine)"]
    (warning,) = spelling_warnings(people("Anna", "Аnna"))
    assert "'Аnna' (with CYRILLIC CAPITAL LETTER A)" in warning and "'Anna'," in warning
    assert spelling_warnings(people("Иван", "ИВАН")) == ["may be the same speaker: 'ИВАН', 'Иван' (corpus mine)"]


def test_many_groups_are_counted_and_not_all_shown() -> None:
    warnings = spelling_warnings(people(*(f"{name}{k}" for k in range(40) for name in ("a", "A"))))
    assert len(warnings) == 6 and warnings[-1] == "may be the same speaker: 35 more groups of names"


def test_a_hundred_thousand_speakers_are_compared_in_seconds() -> None:
    many = people(*(f"Speaker {k:06d}" for k in range(100_000)))
    begun = time.process_time()
    assert alike_speakers(many) == []
    assert time.process_time() - begun < 30  # about one; all pairs would take hours


@pytest.mark.parametrize("name", ["emodb", "ravdess", "nemo"])
def test_the_people_of_real_corpora_are_who_they_are(name: str, data_dir: Path) -> None:
    assert alike_speakers(read_corpus(name, data_dir / name).manifest) == []


def test_meld_writes_one_role_in_two_ways(data_dir: Path) -> None:
    (found,) = alike_speakers(read_corpus("meld", data_dir / "meld").manifest)
    assert found.names == ("Phoebe Sr", "Phoebe Sr.")


def test_prepare_and_split_warn_of_spellings(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    lines = ["file,speaker,emotion"]
    for k, speaker in enumerate(["Anna", "anna", "Bob", "Bob\u00a0"]):
        (tmp_path / f"{k}.wav").touch()
        lines.append(f"{k}.wav,{speaker},{('anger', 'neutral')[k % 2]}")
    (tmp_path / "t.csv").write_text("\n".join(lines), encoding="utf-8")
    manifest = tmp_path / "m.csv"
    assert main(["prepare", "csv", "--root", str(tmp_path / "t.csv"), "--out", str(manifest)]) == 0
    printed = capsys.readouterr()
    assert "4 utterances, 3 speakers" in printed.out
    assert printed.err == "affectra: may be the same speaker: 'Anna', 'anna' (corpus t)\n"
    assert main(["split", "loso", str(manifest), "--out", str(tmp_path / "s.json"), "--set", "dev=false"]) == 0
    assert "may be the same speaker: 'Anna', 'anna' (corpus t)" in capsys.readouterr().err
