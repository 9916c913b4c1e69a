"""What version 0.1.0 wrote before the source was rearranged stays readable, and says what it said then.

`earlier/` has a small finished run of each kind, one exported model and a split file. Their recordings are made again.
"""

import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

import affectra
from affectra.cli import main
from affectra.corpora import synthetic
from affectra.corpora.manifest import read_manifest, write_manifest
from affectra.files import read_json
from affectra.predict import conversation, frame_model
from affectra.runs.run import collect
from affectra.splits.protocols import apply_protocol, read_splits
from affectra.tasks.tables import read_predictions
from conversations import SILENT, scores

EARLIER = Path(__file__).with_name("earlier")
KINDS = ("utterance", "dialogue", "time")
WORDS = {"anger": "leave me alone", "sadness": "so it is"}
TOLERANCE = 1e-3  # processors differ in their rounding


@pytest.fixture(params=KINDS)
def run(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    """A copy of an earlier run, to be written to."""
    return shutil.copytree(EARLIER / request.param, tmp_path / request.param)


def test_scores_are_computed_again_from_the_directory(run: Path) -> None:
    before = read_json(run / "scores.json")
    assert before["complete"]
    now = collect(run)
    assert leaves(now).keys() == leaves(before).keys()
    for place, value in leaves(before).items():
        expected = pytest.approx(value, abs=1e-9) if isinstance(value, float) else value  # sums in another order
        assert leaves(now)[place] == expected, place


def leaves(value: Any, place: str = "") -> dict[str, Any]:
    """All single values of nested dictionaries and lists, by their place."""
    if isinstance(value, dict | list) and value:
        items = value.items() if isinstance(value, dict) else enumerate(value)
        return {name: leaf for key, part in items for name, leaf in leaves(part, f"{place}/{key}").items()}
    return {place: value}


def test_reports_and_comparisons_are_made(run: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["report", str(run)]) == 0
    assert (run / "report.html").is_file() and "report.html" in capsys.readouterr().out
    other = shutil.copytree(run, run.with_name("other"))
    assert main(["compare", str(run), str(other)]) == 0
    assert "+0.000" in capsys.readouterr().out, "a run does not differ from itself"


def test_a_run_of_utterances_predicts_what_it_predicted(tone_manifest: Path) -> None:
    for fold in (0, 1):
        model = affectra.load(EARLIER / f"utterance/seed-0/fold-{fold}")
        rows = pd.read_csv(EARLIER / f"utterance/seed-0/fold-{fold}/predictions.csv")
        assert len(rows) == 12
        for row in rows.to_dict("records"):
            found = model.recognize_file(tone_manifest.with_name(f"{row['utterance']}.wav"), abstain=False)
            expected = [row[f"score_{name}"] for name in found.scores]
            np.testing.assert_allclose([*found.scores.values()], expected, atol=TOLERANCE)
            assert found.emotion == row["predicted"] or np.ptp(expected) < 2 * TOLERANCE


def test_an_exported_model_answers_as_the_run_that_it_was_made_of(tone_manifest: Path) -> None:
    exported, run = (affectra.load(EARLIER / name) for name in ("exported", "utterance"))
    for path in sorted(tone_manifest.parent.glob("s0_*.wav")):
        one, other = (model.recognize_file(path, abstain=False) for model in (exported, run))
        np.testing.assert_allclose([*one.scores.values()], [*other.scores.values()], atol=TOLERANCE)


def test_a_run_of_dialogues_predicts_what_it_predicted(tone_manifest: Path, tmp_path: Path) -> None:
    manifest = read_manifest(tone_manifest)
    talks = []
    for pair in (("s0", "s1"), ("s2", "s3")):
        parts = [manifest[manifest["speaker"] == speaker].iloc[[0, 1, 3, 4]] for speaker in pair]
        rows = pd.concat([part.iloc[[k]] for k in range(4) for part in parts])
        talks.append(rows.assign(dialogue=pair[0], turn=range(8)))
    rows = pd.concat(talks, ignore_index=True)
    rows["text"] = rows["emotion"].map(WORDS)
    rows.loc[2, "text"] = ""
    rows["file"] = [str(tone_manifest.parent / file) for file in rows["file"]]
    write_manifest(rows, tmp_path / "talks.csv")
    for talk in conversation.read_conversations(tmp_path / "talks.csv"):
        of_talk = rows[rows["dialogue"] == talk.name]["utterance"]
        (fold,) = (k for k in (0, 1) if set(of_talk) <= set(predictions_of(EARLIER / "dialogue", k)["utterance"]))
        model = conversation.load(EARLIER / f"dialogue/seed-0/fold-{fold}")
        found = list(model.recognize(talk, words=SILENT, abstain=False))
        expected = predictions_of(EARLIER / "dialogue", fold).set_index("utterance").loc[of_talk]
        np.testing.assert_allclose(
            scores(found), expected[[f"score_{name}" for name in model.classes]].to_numpy(), atol=TOLERANCE
        )


def predictions_of(run: Path, fold: int) -> pd.DataFrame:
    """The predictions of a fold's test part."""
    return pd.read_csv(run / f"seed-0/fold-{fold}/predictions.csv")


def test_a_run_over_time_predicts_what_it_predicted() -> None:
    rendered = synthetic.render(n_dialogues=4)
    rows = read_predictions(EARLIER / "time/seed-0/fold-0/predictions.csv")
    key = min(name for name in rows["utterance"].unique() if name.split("-")[1] == "01")  # nothing comes before it
    model = frame_model.load(EARLIER / "time/seed-0/fold-0")
    found = model.timeline_of_file(rendered / f"wav/{key}.wav")
    expected = rows[rows["utterance"] == key][[f"predicted_{name}" for name in model.dimensions]].to_numpy()
    assert len(expected) > 10
    np.testing.assert_allclose(found.values[: len(expected)], expected, atol=TOLERANCE)


def test_a_split_file_is_read_and_is_what_its_protocol_gives_today(tone_manifest: Path) -> None:
    again = apply_protocol("loso", read_manifest(tone_manifest))
    assert read_splits(EARLIER / "splits.json") == list(again.folds)
    assert read_json(EARLIER / "splits.json")["protocol"]["hash"] == again.hash
