"""Overviews of made-up runs: who was trained and tested on what, the papers' numbers, and no trust in names."""

import re

import numpy as np
import pytest

from affectra.errors import CheckpointError
from affectra.evaluation.published import BASELINE, DANN_2_CENTER, DEVIATIONS, TABLES
from affectra.evaluation.run_directory import read_run
from affectra.files import read_json, write_json
from affectra.reports.overview import _matrices, _sections, write_overview
from fake_runs import fake_run
from parsed_page import Page


def across(folder, task="arousal", recipe="tiny", corpora=("emodb", "nemo", "ravdess"), **options):
    """A run trained on each corpus, one that leaves each out, and one within the first."""
    corpora, options = list(corpora), {"task": task, "recipe": recipe, **options}
    runs = []
    for k, train in enumerate(corpora):
        tested = [corpus for corpus in corpora if corpus != train]
        right = {corpus: 0.45 + 0.1 * k + 0.05 * j for j, corpus in enumerate(tested)}
        runs.append(fake_run(folder / f"from-{train}", corpora, "cross-corpus", tested, right=right, **options))
    number = {corpus: k for k, corpus in enumerate(corpora)}
    runs.append(fake_run(folder / "loco", corpora, "loco", n_folds=3, fold_of=number.get, **options))
    runs.append(fake_run(folder / "within", corpora[:1], "loso", right=0.9, **options))
    return runs


def both(runs, out):
    """The overview's text as HTML and as Markdown."""
    return Page(write_overview(runs, out).read_text()).text, (out / "overview.md").read_text()


def ua_of(run, corpus):
    return read_json(run / "scores.json")["per_corpus"][corpus]["ua"]


def rows_of(page, word):
    """The cells' texts of the HTML table rows with a word in them."""
    rows = [row for row in re.findall("<tr.*?</tr>", page, re.DOTALL) if word in row]
    return [[Page(cell).text for cell in re.findall("<t[hd].*?</t[hd]>", row, re.DOTALL)] for row in rows]


def matrices_of(runs):
    return _matrices({run.name: read_run(run) for run in runs})


def test_each_run_has_a_row_with_its_result_and_all_its_caveats(tmp_path):
    run = fake_run(
        tmp_path / "loud", ["emodb"], "random-80-20", independent=False, transductive=True, leaks=["speaker"],
        synthetic=True, adaptation="unlabelled test audio", n_folds=5, n_seeds=2,
    )  # fmt: skip
    quiet = fake_run(tmp_path / "quiet", ["emodb", "nemo"], "multi-corpus", recipe="other")
    caveats = [
        "LEAK (speaker)", "PARTIAL (2/10 folds)", "SPEAKER-DEPENDENT", "TRANSDUCTIVE (normalised per corpus)",
        "TRANSDUCTIVE (unlabelled test audio)", "synthetic",
    ]  # fmt: skip
    out = tmp_path / "out"
    write_overview([run, quiet], out)
    scores = read_json(run / "scores.json")["metrics"]
    markdown = [line for line in (out / "overview.md").read_text().splitlines() if "| loud |" in line]
    html = [" ".join(row) for row in rows_of((out / "overview.html").read_text(), ">loud<")]
    assert len(markdown) == len(html) == 1
    for row in (markdown[0], html[0]):
        for fact in (
            *caveats,
            f"{scores['ua']:.3f}",
            f"{scores['wa']:.3f}",
            "random-80-20",
            "arousal",
            "emodb",
            "2/10",
        ):
            assert fact in row, fact
    for line in (out / "overview.md").read_text().splitlines():
        assert "| quiet |" not in line or not any(caveat in line for caveat in caveats)


def test_the_matrix_has_what_was_trained_on_each_and_tested_on_each(tmp_path):
    runs = across(tmp_path)
    (matrix,) = matrices_of(runs)
    corpora = ["emodb", "nemo", "ravdess"]
    assert matrix.columns == corpora
    assert list(matrix.rows) == [*corpora, *(f"all but {corpus}" for corpus in corpora)]
    for train in corpora:
        cells = {test: cell.ua for test, cell in matrix.rows[train].items() if cell.marks == ()}
        assert cells == {test: ua_of(tmp_path / f"from-{train}", test) for test in corpora if test != train}
        assert {c: cell.ua for c, cell in matrix.rows[f"all but {train}"].items()} == {train: ua_of(runs[3], train)}
    within = matrix.rows["emodb"]["emodb"]
    assert (within.ua, within.marks) == (ua_of(tmp_path / "within", "emodb"), ("loso",))
    assert "nemo" not in matrix.rows["nemo"], "not tested, so blank"


def test_the_matrix_is_drawn_with_its_numbers_and_blanks(tmp_path):
    (section,) = _sections(matrices_of(across(tmp_path)))
    values, texts, rows, columns, chance = section.pictures[0].draw.args
    assert (columns, chance) == (["emodb", "nemo", "ravdess"], 0.5)
    assert np.isnan(values).sum() == values.size - 6 - 3 - 1
    for i, j in np.argwhere(~np.isnan(values)):
        assert texts[i][j].startswith(f"{values[i, j]:.3f}\n[")
        assert f"{rows[i]} on {columns[j]} {values[i, j]:.3f}" in section.pictures[0].alt


def test_what_differs_in_more_than_the_corpora_is_not_in_one_matrix(tmp_path):
    pair = ["emodb", "nemo"]
    runs = [
        fake_run(tmp_path / "a", pair, "cross-corpus", ["nemo"]),
        fake_run(tmp_path / "b", pair, "cross-corpus", ["emodb"], epochs=9),
        fake_run(tmp_path / "c", pair, "cross-corpus", ["emodb"], task="valence"),
        fake_run(tmp_path / "d", pair, "cross-corpus", ["emodb"], recipe="other"),
        fake_run(tmp_path / "e", pair, "cross-corpus", ["emodb"], n_seeds=2),
    ]
    assert [matrix.names for matrix in matrices_of(runs)] == [["a", "e"], ["b"], ["c"], ["d"]]


def test_runs_within_corpora_alone_make_no_matrix(tmp_path):
    assert matrices_of([fake_run(tmp_path / "a", ["emodb"], "loso"), fake_run(tmp_path / "b", ["emodb", "nemo"])]) == []


def test_a_speaker_dependent_run_is_no_diagonal(tmp_path):
    runs = [
        fake_run(tmp_path / "dependent", ["emodb"], "random-80-20", independent=False),
        fake_run(tmp_path / "across", ["emodb", "nemo"], "cross-corpus", ["nemo"]),
    ]
    (matrix,) = matrices_of(runs)
    assert matrix.names == ["across"]
    assert list(matrix.rows["emodb"]) == ["nemo"]


def test_leaving_one_of_two_corpora_out_is_training_on_the_other(tmp_path):
    run = fake_run(tmp_path / "loco", ["emodb", "nemo"], "loco", n_folds=2, fold_of=["emodb", "nemo"].index)
    (matrix,) = matrices_of([run])
    assert {label: list(cells) for label, cells in matrix.rows.items()} == {"emodb": ["nemo"], "nemo": ["emodb"]}


def test_a_second_run_of_the_same_cell_has_a_row_of_its_own(tmp_path):
    pair = ["emodb", "nemo"]
    runs = [
        fake_run(tmp_path / name, pair, "cross-corpus", ["nemo"], right=right) for name, right in (("a", 1), ("b", 0))
    ]
    (matrix,) = matrices_of(runs)
    assert {label: cells["nemo"].ua for label, cells in matrix.rows.items()} == {"emodb": 1.0, "emodb (b)": 0.0}


def test_a_cell_says_what_is_wrong_with_it(tmp_path):
    pair = ["emodb", "nemo"]
    run = fake_run(
        tmp_path / "a", pair, "cross-corpus", ["nemo"], leaks=["duplicate"], adaptation="unlabelled test audio"
    )
    (matrix,) = matrices_of([run])
    assert matrix.rows["emodb"]["nemo"].marks == ("LEAK", "TRANSDUCTIVE")


FOUR = ["emodb", "iemocap", "mspimprov", "savee"]


def test_published_numbers_stand_below_and_say_where_they_cannot_be_compared(tmp_path):
    def like_it(name, **changes):
        return fake_run(tmp_path / name, FOUR, **{"utterances": TABLES[0].utterances, **changes})

    ours = [fake_run(tmp_path / "ours", ["emodb", "nemo"])]
    same = [like_it("same")]
    part = [like_it("part", only="{style: [acted]}")]
    watched = [like_it("watched", dev=True)]
    small = [like_it("small", utterances={**TABLES[0].utterances, "savee": 120})]
    because = "{} is not comparable with Gao et al. 2022, ICASSP, table 2: {}."
    for runs, words, absent in (
        (ours, ["table 2, not comparable", because.format("ours", "corpora emodb, nemo, the paper has emodb, "
                "iemocap, mspimprov, savee")], ["comparable with same"]),
        (part, ["table 2, not comparable", because.format("part", "only style acted")], ["alone"]),
        (watched, [because.format("watched", "a dev part is set aside, the paper has none")], ["alone"]),
        (small, [because.format("small", "savee 120 utterances, the paper has 480")], ["alone"]),
        (same, ["table 2"], ["comparable"]),
        (small + same, ["comparable with same alone", "small is not comparable"], ["same is not comparable"]),
    ):  # fmt: skip
        for text in both(runs, tmp_path / "out"):
            table = text[text.index("By corpus: arousal, multi-corpus") : text.index("About the paper's numbers")]
            for word in ("Gao et al. 2022", "DANN_2, S + C", "0.921", *words):
                assert word in table, word
            for word in absent:
                assert word not in table, word


def test_the_paper_is_only_beside_its_own_task(tmp_path):
    for text in both([fake_run(tmp_path / "a", ["emodb", "nemo"], task="emotion4")], tmp_path / "out"):
        assert "By corpus: emotion4, multi-corpus" in text
        assert "Gao" not in text
        assert "IEMOCAP" not in text


@pytest.mark.parametrize(
    ("task", "number", "table"), [("arousal", "0.699", "table 3"), ("valence", "0.549", "table 4")]
)
def test_tables_3_and_4_stand_below_runs_across_corpora(tmp_path, task, number, table):
    run = fake_run(tmp_path / "a", ["iemocap", "mspimprov", "savee", "emodb"], "cross-corpus",
                   ["mspimprov", "savee", "emodb"], task=task, utterances=TABLES[0].utterances)  # fmt: skip
    for text in both([run], tmp_path / "out"):
        assert table in text
        assert number in text
        assert "comparable" not in text
        for deviation in DEVIATIONS:
            assert deviation[:60].replace("'", "") in text.replace("'", "")
    loco = fake_run(
        tmp_path / "b", ["emodb", "iemocap"], "loco", task=task, n_folds=2, fold_of=["emodb", "iemocap"].index
    )
    for text in both([loco], tmp_path / "out"):
        assert f"{table}, not comparable" in text


def test_the_mean_over_corpora_is_of_the_corpora_tested(tmp_path):
    run = fake_run(
        tmp_path / "a", ["emodb", "nemo", "savee"], "cross-corpus", ["nemo", "savee"], right={"nemo": 1, "savee": 0}
    )
    write_overview([run], tmp_path / "out")
    row = rows_of((tmp_path / "out" / "overview.html").read_text(), ">a<")[1]
    assert row[1:] == ["0.500", "1.000[1.000, 1.000]", "0.000[0.000, 0.000]", "", "", "emodb"], (
        "emodb and mspimprov: paper"
    )


def test_probes_of_several_runs_stand_side_by_side(tmp_path):
    runs = [fake_run(tmp_path / name, ["emodb", "nemo"]) for name in ("before", "after", "unprobed")]
    for text in both(runs, tmp_path / "out"):
        assert "Probes" not in text
    for run, value in zip(runs, (0.951, 0.552), strict=False):
        probe = {"domain": "corpus (test)", "n_values": 2, "chance": 0.5, "balanced_accuracy": value, "interval": None}
        unknown = dict.fromkeys(["n_values", "chance", "balanced_accuracy", "interval"])
        write_json(run / "probes.json", [{**probe, "note": ""}, {"domain": "gender (test)", **unknown, "note": "x"}])
    for text in both(runs, tmp_path / "out"):
        probes = text[text.index("Probes") :]
        assert probes.index("0.951") < probes.index("0.552") < probes.index("not measurable")
        assert "unprobed" not in probes


def test_names_of_runs_and_corpora_cannot_become_markup(tmp_path):
    evil, corpus = "<script>|[x](y)", "<img src=x>|$\\frac{"
    pair = [corpus, "nemo"]
    runs = [fake_run(tmp_path / evil, pair, "cross-corpus", [corpus], recipe="'<b>|bold'")]
    page = Page(write_overview(runs, tmp_path / "out").read_text())
    assert not {"script", "b"} & set(page.tags)
    assert all(address.startswith("data:image/png;base64,") for address in page.addresses)
    assert evil in page.text
    assert corpus in page.text
    markdown = (tmp_path / "out" / "overview.md").read_text()
    assert "<script" not in markdown
    assert "<img" not in markdown
    assert "](y)" not in markdown
    tables = re.findall(r"(?:^\|.*\n)+", markdown, re.MULTILINE)
    assert len(tables) == 3
    for table in tables:
        assert len({line.count("|") for line in table.splitlines()}) == 1, "a bar in a name opens no column"


def test_runs_of_one_name_are_told_apart_and_one_run_twice_is_one(tmp_path):
    runs = [fake_run(tmp_path / part / "run", ["emodb"], "loso") for part in ("x", "y")]
    for text in both([*runs, runs[0]], tmp_path / "out"):
        assert "2 runs" in text
        assert "x/run" in text
        assert "y/run" in text


def test_what_is_no_run_is_named(tmp_path):
    with pytest.raises(CheckpointError, match="none was given"):
        write_overview([], tmp_path / "out")
    run = fake_run(tmp_path / "a", ["emodb"], "loso")
    (run / "scores.json").unlink()
    with pytest.raises(CheckpointError, match=r"a/scores\.json: no such file"):
        write_overview([run], tmp_path / "out")
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("table", TABLES, ids=lambda table: f"{table.task}-{table.protocol}")
def test_the_published_averages_follow_from_the_published_cells(table):
    for values in table.rows.values():
        assert len(values) == len(table.test) + 1
        assert values[-1] == pytest.approx(np.mean(values[:-1]), abs=0.0051)


def test_the_published_tables_bear_out_what_is_said_of_them():
    by = {(table.task, table.protocol): table for table in TABLES}
    multi, across_ = by["valence", "multi-corpus"], by["valence", "cross-corpus"]
    gain = multi.rows[DANN_2_CENTER][3] - multi.rows[BASELINE][3]
    assert gain == pytest.approx(10.45), "the paper's text, on EMO-DB"
    assert multi.rows[DANN_2_CENTER][-1] - multi.rows["DANN_2, S"][-1] == pytest.approx(3.28)
    assert across_.rows[DANN_2_CENTER][-1] - across_.rows[BASELINE][-1] == pytest.approx(0.27)
    assert all(values[across_.test.index("emodb")] < 50 for values in across_.rows.values())
    whole = []
    for table in TABLES:
        n = 120 if table.protocol == "multi-corpus" else 480
        for values in table.rows.values():
            ua = values[table.test.index("savee")]
            # printed digits are cut off or rounded
            whole.append(any(0 <= 100 * k / n - ua < 0.01 or abs(100 * k / n - ua) <= 0.005 for k in range(n + 1)))
    assert (sum(whole), len(whole)) == (12, 16)
