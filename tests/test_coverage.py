"""The coverage-risk curve: its points equal naive counts, the model card tells the same of it twice, drawings hold."""

import math
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from affectra.evaluation.reliability import coverage_risk, curve_of
from affectra.files import write_json, write_text
from affectra.predict.calibration import nested_calibration
from affectra.predict.calibration.model_calibration import COVERAGES, calibrate
from affectra.reports.coverage_picture import draw_coverage_risk
from affectra.reports.figures import DARK, LIGHT, png
from affectra.tasks.tables import read_predictions, write_predictions

CLASSES = ["anger", "happiness", "neutral", "sadness"]
ROOT = Path(__file__).parent.parent
RECIPES = ROOT / "src" / "affectra" / "recipes"
PROTOCOLS = ("kfold-speaker", "loco")
BY = {"a new speaker": "speaker", "a new corpus": "corpus"}
PERCENT = st.integers(0, 100).map(lambda k: k / 100)


def table_of(scores: np.ndarray, truth: list[str], n_corpora: int = 3) -> pd.DataFrame:
    n = len(scores)
    return pd.DataFrame(
        {
            "utterance": [f"u{k}" for k in range(n)],
            "corpus": [f"c{min(k % 4, n_corpora - 1)}" for k in range(n)],  # the last is larger than the others
            "speaker": [f"s{k % 11}" for k in range(n)],
            "seed": 0,
            "fold": 0,
            "truth": truth,
            "predicted": [CLASSES[k] for k in scores.argmax(1)],
            **{f"score_{name}": scores[:, k] for k, name in enumerate(CLASSES)},
        }
    )


def drawn(n: int, seed: int, n_corpora: int = 3) -> pd.DataFrame:
    """Predictions that are better where they are more certain."""
    rng = np.random.default_rng(seed)
    scores = 0.96 * rng.dirichlet(np.full(4, 0.6), n) + 0.01
    truth = (scores.cumsum(1) > rng.random((n, 1))).argmax(1)
    return table_of(scores, [CLASSES[k] for k in truth], n_corpora)


def runs_of(folder: Path, *tables: pd.DataFrame) -> list[Path]:
    """What calibration reads of run directories."""
    runs = []
    for name, table in zip(PROTOCOLS, tables, strict=True):
        runs.append(folder / name)
        write_text(folder / name / "recipe.yaml", (RECIPES / "affectra-base.yaml").read_text(encoding="utf-8"))
        write_json(folder / name / "scores.json", {"classes": CLASSES, "protocol": {"name": name}})
        write_predictions(table, folder / name / "predictions.csv")
    return runs


def card_of(folder: Path, *tables: pd.DataFrame) -> str:
    (folder / "model").mkdir()
    return calibrate(CLASSES, runs_of(folder, *tables), folder / "model")


def tables_in(text: str) -> dict[str, list[list[str]]]:
    """What calibration was without -> the rows of the table below that, without its head."""
    found = {}
    for part in text.split("\nCalibrated without ")[1:]:
        title, *lines = part.splitlines()
        rows = [line.strip("| ").split(" | ") for line in lines if line.startswith("| ")]
        found[title.rstrip(":")] = rows[1:]
    return found


def nested_of(runs: list[Path], by: str) -> pd.DataFrame:
    parts = [read_predictions(run / "predictions.csv").assign(setting=run.name) for run in runs]
    return nested_calibration(pd.concat(parts, ignore_index=True), CLASSES, by)  # type: ignore[arg-type]


# The curve


@given(st.lists(st.tuples(PERCENT, st.booleans()), min_size=1, max_size=40), PERCENT)
def test_a_point_of_the_curve_equals_counting(answers: list[tuple[float, bool]], number: float) -> None:
    curve = coverage_risk(*zip(*answers, strict=True))
    given_ = [right for confidence, right in answers if confidence >= number]
    at = curve.at_threshold(number)
    if at is None:
        assert not given_
    else:
        assert at.coverage == pytest.approx(len(given_) / len(answers))
        assert at.risk == pytest.approx(given_.count(False) / len(given_))
    # The highest of the confidences there are that leaves at least this share.
    shares = {c: sum(other >= c for other, _ in answers) / len(answers) for c, _ in answers}
    expected = max(c for c, share in shares.items() if share >= number - 1e-9)
    assert curve.at_coverage(number) == curve.at_threshold(expected)
    assert curve.at_coverage(number).threshold == expected


@given(st.lists(st.tuples(PERCENT, st.booleans()), min_size=1, max_size=40))
def test_answering_everything_is_as_wrong_as_the_model_is(answers: list[tuple[float, bool]]) -> None:
    confidence, right = zip(*answers, strict=True)
    curve = coverage_risk(confidence, right)
    assert (
        curve.at_coverage(1.0) == curve.at_threshold(0.0) == (min(confidence), 1.0, pytest.approx(1 - np.mean(right)))
    )


@pytest.mark.parametrize("share", [-0.1, 1.1, math.nan])
def test_a_share_that_is_none_is_refused(share: float) -> None:
    with pytest.raises(ValueError, match=r"coverage .* is outside"):
        coverage_risk([0.5], [1]).at_coverage(share)


def test_the_curve_of_a_table_leaves_out_what_has_no_class() -> None:
    table = drawn(200, 1)
    nothing = table.assign(truth="", score_anger=1.0)
    curve, alone = curve_of(pd.concat([table, nothing]), CLASSES), curve_of(table, CLASSES)
    np.testing.assert_array_equal(curve.risk, alone.risk)
    assert alone.at_coverage(1.0).risk == pytest.approx((table["truth"] != table["predicted"]).mean())


# The card


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("runs")


@pytest.fixture(scope="module")
def card(folder: Path) -> str:
    return card_of(folder, drawn(240, 1), drawn(320, 2))


def test_the_cards_curve_equals_counting_on_predictions_calibrated_without_them(card: str, folder: Path) -> None:
    curves = tables_in(card[card.index("### Coverage and risk") :])
    assert list(curves) == list(BY)
    for title, by in BY.items():
        nested = nested_of([folder / name for name in PROTOCOLS], by)
        for k, protocol in enumerate(PROTOCOLS):
            mine = nested[nested["setting"] == protocol].sort_values("confidence", ascending=False)
            wrong = (mine["truth"] != mine["predicted"]).to_numpy()
            for share, row in zip(COVERAGES, curves[title], strict=False):
                n = math.ceil(share * len(mine) - 1e-9)
                expected = [n / len(mine), wrong[:n].mean(), mine["confidence"].iloc[n - 1]]
                assert row[0] == f"{100 * share:.0f} %"
                assert [float(cell) for cell in row[1 + 3 * k : 4 + 3 * k]] == pytest.approx(expected, abs=5.1e-4)


def test_the_cards_row_at_the_threshold_is_what_it_says_of_abstention_elsewhere(card: str, folder: Path) -> None:
    measures, curves = (tables_in(part) for part in card.split("### Coverage and risk"))
    for title, by in BY.items():
        nested = nested_of([folder / name for name in PROTOCOLS], by)
        label, *cells = curves[title][-1]
        assert label == "abstention"
        of_all = {row[0]: row for row in measures[title] if row[1] == "all"}
        for k, protocol in enumerate(PROTOCOLS):
            coverage, risk, threshold = cells[3 * k : 3 * k + 3]
            assert [coverage, risk] == of_all[protocol][-2:]
            limits = nested["abstain_below"][nested["setting"] == protocol]
            assert [float(x) for x in (threshold.split(" to ") * 2)[:2]] == pytest.approx(
                [limits.min(), limits.max()], abs=5.1e-4
            )
            answered = nested[(nested["setting"] == protocol) & (nested["confidence"] >= nested["abstain_below"])]
            assert float(risk) == pytest.approx((answered["truth"] != answered["predicted"]).mean(), abs=5.1e-4)


def test_the_cards_area_is_the_mean_risk_over_coverages(card: str, folder: Path) -> None:
    (place,) = (
        k for k, name in enumerate(next(x for x in card.splitlines() if "AURC |" in x).split("|")) if "AURC" in name
    )
    rows = {(row[0], row[1]): row for row in tables_in(card.split("### Coverage and risk")[0])["a new corpus"]}
    nested = nested_of([folder / name for name in PROTOCOLS], "corpus")
    for (protocol, corpus), row in rows.items():
        mine = nested[(nested["setting"] == protocol) & ((nested["corpus"] == corpus) | (corpus == "all"))]
        wrong = (mine["truth"] != mine["predicted"]).to_numpy()[np.argsort(-mine["confidence"].to_numpy())]
        naive = np.mean(np.cumsum(wrong) / np.arange(1, len(wrong) + 1))
        assert float(row[place - 1]) == pytest.approx(naive, abs=5.1e-4)


def test_scores_that_are_all_alike_are_answered_together_or_not_at_all(tmp_path: Path) -> None:
    sure, alike = drawn(240, 1), table_of(np.full((240, 4), 0.25), [CLASSES[k % 4] for k in range(240)])
    text = card_of(tmp_path, sure, alike)
    for rows in tables_in(text[text.index("### Coverage and risk") :]).values():
        assert all(row[4:6] == ["1.000", "0.750"] for row in rows[:-1])
        assert rows[-1][4:6] == ["0.000", "n/a"]
    assert "nan" not in text


def test_one_corpus_says_nothing_of_a_new_one_and_the_card_admits_it(tmp_path: Path, card: str) -> None:
    text = card_of(tmp_path, drawn(80, 1, 1), drawn(80, 2, 1))
    sentence = "how it does on a new corpus was not measured"
    assert set(tables_in(text)) == {"a new speaker"} and sentence in text and sentence not in card


def test_the_documentation_has_the_numbers_of_the_shipped_cards() -> None:
    docs = (ROOT / "docs" / "models.md").read_text(encoding="utf-8")
    part = docs[docs.index("### Coverage and risk") : docs.index("## What it does not know")]
    rows = [line.strip("| ").split(" | ") for line in part.splitlines() if line.startswith("| ")][1:]
    asked = (
        ("base", "a new speaker", "kfold-speaker"),
        ("base", "a new corpus", "loco"),
        ("free", "a new speaker", "kfold-speaker"),
    )
    for k, (name, title, protocol) in enumerate(asked):
        card = (ROOT / "src" / "affectra" / "shipped" / f"affectra-{name}" / "MODEL_CARD.md").read_text(
            encoding="utf-8"
        )
        measures, curves = (tables_in(half) for half in card.split("### Coverage and risk"))
        head = next(line for line in card.splitlines() if line.startswith("| at least |"))
        place = 1 + 3 * [f"{protocol}:" in cell for cell in head.strip("| ").split(" | ")[1::3]].index(True)
        (of_all,) = (row for row in measures[title] if row[:2] == [protocol, "all"])
        *shares, abstention = curves[title]
        expected = [*(row[place + 1] for row in shares), abstention[place], abstention[place + 1], of_all[6]]
        assert [f"0{row[1 + k]}" for row in rows] == expected
        assert [row[0] for row in rows[: len(shares)]] == [row[0] for row in shares]
        assert abstention[place : place + 2] == of_all[-2:]


# The drawing


@pytest.mark.parametrize(
    ("confidence", "right"),
    [([0.5], [1]), ([0.5], [0]), ([0.7] * 9, [1] * 4 + [0] * 5), ([0.3, 0.6, 0.9], [1, 1, 1]), ([0.3, 0.9], [1, 0])],
    ids=["one right", "one wrong", "constant", "all right", "upside down"],
)
def test_the_least_of_runs_is_drawn_and_the_area_below_the_line_is_the_curves(
    confidence: list[float], right: list[int]
) -> None:
    curve = coverage_risk(confidence, right)
    for theme in (LIGHT, DARK):
        figure = draw_coverage_risk({"all": curve, "_a$b$ ": curve}, 0.6, theme)
        assert png(figure).startswith(b"\x89PNG")
    axes = figure.axes[0]
    line = axes.get_lines()[0]
    x, y = line.get_xdata(), line.get_ydata()
    assert line.get_drawstyle() == "steps-pre" and x[0] == 0 and x[-1] == 1
    assert np.diff(x) @ y[1:] == pytest.approx(curve.area)
    assert axes.get_ylim()[1] >= max(y) and [text.get_text().strip() for text in axes.get_legend().get_texts()] == [
        "all",
        "_a$b$",
    ]
