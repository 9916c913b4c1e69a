"""A run is audited before it trains: what leaks is refused, or stamped on its first line where it was allowed."""

import json
import shutil
from pathlib import Path

import pandas as pd
import pytest
import soundfile

from affectra.cli import main
from affectra.corpora.manifest import read_manifest, write_manifest
from affectra.errors import AudioError, ConfigError, ProtocolError
from affectra.files import read_json
from affectra.recipes.config import load_recipe, parse_assignments
from affectra.reports.facts import summary_line
from affectra.runs.plan import outline, plan_run
from affectra.runs.run import execute

QUICK = parse_assignments(["training.epochs=1", "model.options.channels=[4, 4, 4, 4]"])


@pytest.fixture
def tones(tone_manifest: Path, tmp_path: Path) -> Path:
    """A copy of the tones that a test may spoil."""
    shutil.copytree(tone_manifest.parent, tmp_path / "tones")
    return tmp_path / "tones" / "tones.csv"


def test_a_random_split_is_refused_until_its_leak_is_allowed_by_name(
    tones: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    arguments = ["run", "li2018-cpu", "--corpus", f"tones={tones}", "--protocol", "random-80-20"]
    arguments += ["--out", str(tmp_path / "run"), "--set", "training.epochs=1"]
    assert main(arguments) == 2
    refused = capsys.readouterr().err
    assert "random-80-20 leaks (speaker)" in refused and "--allow-leak speaker" in refused and "s0" in refused
    assert not (tmp_path / "run").exists()
    assert main([*arguments, "--allow-leak", "dialogue"]) == 2, "another kind was allowed"
    capsys.readouterr()
    assert main([*arguments, "--allow-leak", "speaker"]) == 0
    assert capsys.readouterr().out.startswith("LEAK (speaker), UA")
    first = (tmp_path / "run" / "report.md").read_text().splitlines()[0]
    assert "LEAK (speaker)" in first
    assert read_json(tmp_path / "run" / "scores.json")["leaks"] == ["speaker"]
    assert load_recipe(str(tmp_path / "run" / "recipe.yaml")).recipe.allow_leak == ["speaker"]


def test_a_copy_under_another_name_is_heard_before_training(tones: Path, tmp_path: Path) -> None:
    samples, sample_rate = soundfile.read(tones.parent / "s0_anger_0.wav")
    soundfile.write(tones.parent / "s1_anger_0.wav", 0.5 * samples[800:], sample_rate)
    settings = {**QUICK, "protocol": {"name": "loso", "options": {"dev": False}}}
    plan = plan_run("li2018-cpu", [f"tones={tones}"], settings=settings, out=tmp_path / "run")
    assert plan.data.audit.ok, "by name alone there is nothing to see"
    with pytest.raises(ProtocolError, match=r"leaks \(near-duplicate\).*s0_anger_0.*--allow-leak near-duplicate"):
        execute(plan)
    assert not list(tmp_path.glob("run/seed-*"))
    plan = plan_run(
        "li2018-cpu", [f"tones={tones}"], settings=settings, out=tmp_path / "run", allow_leak=["near-duplicate"]
    )
    assert execute(plan)["leaks"] == ["near-duplicate"]
    assert "s1_anger_0" in (tmp_path / "run" / "report.md").read_text()


def test_a_clean_run_carries_its_audit(tones: Path, tmp_path: Path) -> None:
    settings = {**QUICK, "protocol": {"name": "kfold-speaker", "options": {"k": 2, "dev": False}}}
    scores = execute(plan_run("li2018-cpu", [f"tones={tones}"], settings=settings, out=tmp_path / "run"))
    environment = read_json(tmp_path / "run" / "environment.json")
    assert scores["leaks"] == [] and environment["audit"]["verdict"] == "clean"
    assert environment["audit"]["lines"][-1] == "verdict: no leak in 2 folds", "and the audio was compared"
    for report in ("report.md", "report.html"):
        assert "verdict: no leak in 2 folds" in (tmp_path / "run" / report).read_text()


def test_speakers_that_may_be_one_stand_in_every_result_that_is_called_speaker_independent(
    tones: Path, tmp_path: Path
) -> None:
    manifest = read_manifest(tones)
    write_manifest(manifest.assign(speaker=manifest["speaker"].replace({"s0": "Anna", "s1": "ANNA"})), tones)
    settings = {**QUICK, "protocol": {"name": "kfold-speaker", "options": {"k": 2, "dev": False}}}
    plan = plan_run("li2018-cpu", [f"tones={tones}"], settings=settings, out=tmp_path / "run")
    names = "'ANNA', 'Anna' (corpus tones)"
    warning = f"warning: speaker-spelling: 2 of 4 names may be the same speaker: {names}"
    assert f"audit     {warning}" in outline(plan)
    said: list[str] = []
    scores = execute(plan, say=said.append)
    assert f"audit: {warning}" in said and scores["alike_speakers"] == [names]
    assert f", speaker-independent, MAY BE THE SAME SPEAKER ({names})" in summary_line(scores)
    assert warning in read_json(tmp_path / "run" / "environment.json")["audit"]["lines"]
    for report in ("report.md", "report.html"):
        assert "MAY BE THE SAME SPEAKER" in (tmp_path / "run" / report).read_text()


RATED = "the ratings in the column arousal (24 of 24 rows) are not used"


def test_a_task_of_emotion_words_says_that_ratings_of_its_name_are_not_used(tones: Path, tmp_path: Path) -> None:
    settings = {**QUICK, "protocol": {"name": "kfold-speaker", "options": {"k": 2, "dev": False}}}
    given = [f"tones={tones}"]
    assert not any("ratings" in line for line in outline(plan_run("li2018-cpu", given, task="arousal")))
    write_manifest(read_manifest(tones).assign(arousal=3.0, valence=2.0), tones)
    assert not any("ratings" in line for line in outline(plan_run("li2018-cpu", given, task="emotion")))
    plan = plan_run("li2018-cpu", given, task="arousal", settings=settings, out=tmp_path / "run")
    assert any(line.startswith("labels    arousal is taken from the emotion words; " + RATED) for line in outline(plan))
    said: list[str] = []
    execute(plan, say=said.append)
    assert any(line.startswith("labels: ") and RATED in line for line in said)
    assert RATED in read_json(tmp_path / "run" / "environment.json")["labels"]["notes"][0]
    for report in ("report.md", "report.html"):
        assert RATED in (tmp_path / "run" / report).read_text()


def test_folds_of_ours_that_were_changed_are_held_to_their_protocol_and_it_is_said(
    tones: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    splits = tmp_path / "folds.json"
    assert main(["split", "losession", str(tones), "--out", str(splits), "--set", "dev=false"]) == 0
    content = read_json(splits)
    moved = next(key for key in content["folds"][0]["test"] if key.startswith("s1"))
    voices = [key for key in content["folds"][0]["test"] if key.startswith("s1")]
    for key in voices:  # a speaker whole, so that only the session is on two sides
        content["folds"][0]["test"].remove(key)
        content["folds"][0]["train"].append(key)
    splits.write_text(json.dumps(content))
    capsys.readouterr()
    assert main(["audit", str(splits), str(tones)]) == 1
    printed = capsys.readouterr()
    assert "LEAK (session)" in printed.out and moved in printed.out
    assert "changed after they were stamped" in printed.err


def test_text_without_audio_takes_no_part_and_is_counted(tones: Path) -> None:
    manifest = read_manifest(tones)
    manifest.loc[manifest["utterance"] == "s0_anger_0", ["file", "text"]] = ["", "No recording."]
    write_manifest(manifest, tones)
    plan = plan_run("li2018-cpu", [f"tones={tones}"], settings=QUICK)
    assert len(plan.data.labelled.manifest) == len(manifest) - 1
    assert any("without audio 1" in line for line in outline(plan))
    write_manifest(manifest.assign(file="", text="No recording."), tones)
    with pytest.raises(AudioError, match="24 utterances have text and no audio"):
        plan_run("li2018-cpu", [f"tones={tones}"], settings=QUICK)


def test_what_is_not_selected_may_be_broken_and_selections_are_text(tones: Path) -> None:
    (tones.parent / "s1_anger_0.wav").write_bytes(b"")
    manifest = read_manifest(tones)
    write_manifest(manifest.assign(session=manifest["speaker"].str[1:]), tones)
    for selection in ("only.session=[0, 2, 3]", "only={session: [0, 2, 3]}"):
        plan = plan_run("li2018-cpu", [f"tones={tones}"], settings={**QUICK, **parse_assignments([selection])})
        assert set(plan.data.labelled.manifest["session"]) == {"0", "2", "3"}


def test_a_kind_of_leakage_that_does_not_exist_is_named(tones: Path) -> None:
    with pytest.raises(ConfigError, match="unknown kind of leakage 'speakers'; did you mean 'speaker'"):
        plan_run("li2018-cpu", [f"tones={tones}"], allow_leak=["speakers"])


def test_folds_of_a_file_are_held_to_what_their_protocol_promises(tones: Path, tmp_path: Path) -> None:
    """Partners of a dialogue on two sides: by definition in a file that loso wrote, a leak in anybody else's."""
    manifest = read_manifest(tones)
    manifest["dialogue"] = manifest["utterance"].str[3:]  # each is a dialogue of all four speakers
    write_manifest(manifest, tones)
    assert main(["split", "loso", str(tones), "--out", str(tmp_path / "loso.json"), "--set", "dev=false"]) == 0
    (tmp_path / "theirs.json").write_text(json.dumps({"folds": read_json(tmp_path / "loso.json")["folds"]}))
    for name, leaks in (("loso.json", ()), ("theirs.json", ("session", "dialogue"))):
        settings = {**QUICK, "protocol": {"name": "fixed", "options": {"file": str(tmp_path / name)}}}
        plan = plan_run("li2018-cpu", [f"tones={tones}"], settings=settings, allow_leak=leaks)
        assert plan.data.audit.leaks == leaks
        assert main(["audit", str(tmp_path / name), str(tones)]) == bool(leaks)


def test_the_audit_command_says_what_it_heard_and_where(
    tones: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    splits, elsewhere = tmp_path / "folds.json", tmp_path / "elsewhere.csv"
    assert main(["split", "loso", str(tones), "--out", str(splits)]) == 0
    shutil.copy(tones.parent / "s0_anger_0.wav", tones.parent / "s1_anger_0.wav")
    shutil.copy(tones, elsewhere)
    capsys.readouterr()
    assert main(["audit", str(splits), str(elsewhere)]) == 0
    without = capsys.readouterr()
    assert "was not found" in without.err and "not the audio" in without.out
    assert main(["audit", str(splits), str(elsewhere), "--root", str(tones.parent), "--json"]) == 1
    verdict = json.loads(capsys.readouterr().out)
    assert verdict["leaks"] == ["duplicate"] and not verdict["ok"]
    assert main(["audit", str(splits), str(elsewhere), "--root", str(tmp_path)]) == 2
    assert "is not below it" in capsys.readouterr().err


def test_somebody_elses_table_of_folds_is_judged(tones: Path, tmp_path: Path) -> None:
    manifest = read_manifest(tones)
    theirs = pd.DataFrame({"file": manifest["file"], "fold": [k % 2 for k in range(len(manifest))]})
    theirs.to_csv(tmp_path / "theirs.csv", index=False)
    assert main(["audit", str(tmp_path / "theirs.csv"), str(tones)]) == 1
    theirs.assign(fold=manifest["speaker"].isin(["s0", "s1"]).astype(int)).to_csv(tmp_path / "fair.csv", index=False)
    assert main(["audit", str(tmp_path / "fair.csv"), str(tones)]) == 0


@pytest.mark.parametrize(("mode", "transductive"), [("speaker", True), ("corpus", False), ("train", False)])
def test_a_normalisation_over_test_utterances_is_stamped(
    tones: Path, tmp_path: Path, mode: str, transductive: bool
) -> None:
    settings = {
        **QUICK,
        "normalization": mode,
        "front_end.options.compression": "log",
        "protocol": {"name": "kfold-speaker", "options": {"k": 2, "dev": False}},
    }
    scores = execute(plan_run("li2018-cpu", [f"tones={tones}"], settings=settings, out=tmp_path / "run"))
    assert scores["normalization"] == {"mode": mode, "transductive": transductive}
    report = (tmp_path / "run" / "report.md").read_text()
    assert f"Normalisation of features: {mode}" in report and ("TRANSDUCTIVE" in report) == transductive


def test_normalising_per_speaker_needs_speakers(tones: Path) -> None:
    write_manifest(read_manifest(tones).assign(speaker=""), tones)
    settings = {**QUICK, "normalization": "speaker", "front_end.options.compression": "log"}
    with pytest.raises(ConfigError, match="whose speaker is unknown"):
        plan_run("li2018-cpu", [f"tones={tones}"], protocol="random-80-20", settings=settings)


def test_a_run_on_a_part_of_a_corpus_says_what_was_not_selected(tones: Path) -> None:
    settings = {**QUICK, **parse_assignments(["only.gender=female"])}
    plan = plan_run(
        "li2018-cpu", [f"tones={tones}"], protocol="random-80-20", settings=settings, allow_leak=["speaker"]
    )
    assert set(plan.data.labelled.manifest["gender"]) == {"female"}
    assert any("gender male 12" in line for line in outline(plan))


def test_counts_that_are_not_the_published_ones_are_said_before_training(tones: Path) -> None:
    manifest = read_manifest(tones).assign(corpus="emodb")
    write_manifest(manifest, tones)
    plan = plan_run("li2018-cpu", [f"emodb={tones}"], settings=QUICK)
    assert any("24 utterances, published 535" in line for line in outline(plan))
