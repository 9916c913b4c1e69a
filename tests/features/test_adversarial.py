"""Domain-adversarial training: labels of the target corpus are out of reach, stages hand over what they should."""

import shutil
from collections.abc import Callable
from dataclasses import fields
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import soundfile
import torch
from safetensors.numpy import load_file

from affectra.corpora.manifest import manifest_from_rows, read_manifest, write_manifest
from affectra.errors import ConfigError, ProtocolError
from affectra.evaluation.run_directory import read_run
from affectra.files import read_json, write_json, write_text
from affectra.models.recognizer import load_checkpoint
from affectra.recipes.config import parse_assignments
from affectra.reports.class_pictures import sections
from affectra.reports.facts import summary_line
from affectra.runs.plan import plan_run
from affectra.runs.run import execute
from affectra.runs.sweep import execute_variants, plan_variants
from affectra.runs.units.plan_types import Plan
from affectra.training.data import Example, Utterance

PITCHES_HZ = {"anger": 1800.0, "happiness": 1100.0, "neutral": 600.0, "sadness": 250.0}
ARRAYS = ("model.safetensors", "objective.safetensors", "history.csv")
QUICK = [
    "training.epochs=2", "training.batch_size=8", "protocol.options={dev: false}", "model.options.channels=[2, 2, 4]",
    "model.options.n_vector=8", "model.options.n_hidden=8", "model.options.n_embedding=8",
]  # fmt: skip

WriteCorpus = Callable[[str], Path]


@pytest.fixture(scope="module")
def write_corpus(tmp_path_factory: pytest.TempPathFactory) -> WriteCorpus:
    """Name -> manifest of 4 speakers with 4 emotions of one tone each; corpora differ in their noise."""
    folder = tmp_path_factory.mktemp("corpora")

    def write(name: str) -> Path:
        rng = np.random.default_rng(sum(map(ord, name)))
        rows = []
        for speaker in range(4):
            for emotion, pitch_hz in PITCHES_HZ.items():
                time_s = np.arange(int(16_000 * rng.uniform(0.6, 1.0))) / 16_000
                tone = 0.3 * np.sin(2 * np.pi * pitch_hz * rng.uniform(0.9, 1.1) * time_s)
                utterance = f"s{speaker}_{emotion}"
                noise = 0.01 * len(name) * rng.standard_normal(len(tone))
                soundfile.write(folder / f"{name}_{utterance}.wav", tone + noise, 16_000)
                rows.append(
                    {"utterance": utterance, "file": f"{name}_{utterance}.wav", "speaker": f"s{speaker}"}
                    | {"emotion": emotion, "gender": "female" if speaker % 2 else "male", "language": "en"}
                )
        write_manifest(manifest_from_rows(rows, name), folder / f"{name}.csv")
        return folder / f"{name}.csv"

    return write


@pytest.fixture(scope="module")
def corpora(write_corpus: WriteCorpus) -> dict[str, Path]:
    return {name: write_corpus(name) for name in ("red", "green", "yellow")}


def plan_of(recipe: str, corpora: dict[str, Path], out: Path, *settings: str, **options: object) -> Plan:
    sources = [f"{name}={path}" for name, path in corpora.items()]
    return plan_run(recipe, sources, settings=parse_assignments([*QUICK, *settings]), out=out, **options)  # type: ignore[arg-type]


def loco(corpora: dict[str, Path], out: Path, *settings: str, recipe: str = "gao2022-dann2-center-cpu") -> Plan:
    sized = ["model.options.n_shared=8", "training.unlabelled_batch_size=4", *settings]
    return plan_of(recipe, corpora, out, *sized, protocol="loco")


def test_a_planted_target_label_changes_not_a_byte_of_what_is_trained(corpora: dict[str, Path], tmp_path: Path) -> None:
    """Fold 0 tests one corpus and hears its audio; with other labels there the same weights come out."""
    first = sorted(corpora)[0]
    manifest = read_manifest(corpora[first])
    planted = corpora[first].with_name("planted.csv")
    write_manifest(manifest.assign(emotion=manifest["emotion"].to_numpy()[::-1]), planted)
    execute(loco(corpora, tmp_path / "true"))
    execute(loco({**corpora, first: planted}, tmp_path / "planted"))
    folds = [tmp_path / run / "seed-0" / "fold-0" for run in ("true", "planted")]
    for name in ARRAYS:
        one, other = ((fold / name).read_bytes() for fold in folds)
        assert one == other, name
    truths = [list(pd.read_csv(fold / "predictions.csv")["truth"]) for fold in folds]
    assert truths[0] != truths[1], "the labels were planted, so the scores do see them"


def test_the_target_audio_does_reach_training_through_the_domain_heads(
    corpora: dict[str, Path], tmp_path: Path
) -> None:
    scores = {}
    weights = {}
    for name, setting in (("adapted", "4"), ("source-only", "0")):
        scores[name] = execute(loco(corpora, tmp_path / name, f"training.unlabelled_batch_size={setting}"))
        weights[name] = (tmp_path / name / "seed-0" / "fold-0" / "model.safetensors").read_bytes()
    assert weights["adapted"] != weights["source-only"]
    assert scores["adapted"]["adaptation"] == "unlabelled test audio" != scores["source-only"]["adaptation"]
    stamped = {name: "TRANSDUCTIVE" in summary_line(found) for name, found in scores.items()}
    assert stamped == {"adapted": True, "source-only": False}


def test_an_unlabelled_utterance_has_no_place_for_a_label() -> None:
    labels = {f.name for f in fields(Example)} - {f.name for f in fields(Utterance)}
    assert labels == {"target", "auxiliary"}
    example = Example("key", "corpus", "speaker", "male", "en", Path("frames.npy"), 3, target=1, auxiliary=(0,))
    assert type(example.unlabelled()) is Utterance and example.unlabelled().key == "key"


def test_where_training_has_every_corpus_no_test_audio_is_heard(corpora: dict[str, Path], tmp_path: Path) -> None:
    plan = plan_of(
        "gao2022-dann2-cpu", corpora, tmp_path / "run", "model.options.n_shared=8", "training.unlabelled_batch_size=4"
    )
    assert execute(plan)["adaptation"] == "none"


def test_domain_accuracies_stand_in_the_history(corpora: dict[str, Path], tmp_path: Path) -> None:
    execute(loco(corpora, tmp_path / "run"))
    history = pd.read_csv(tmp_path / "run" / "seed-0" / "fold-1" / "history.csv")
    assert history[["corpus_accuracy", "gender_accuracy", "language_accuracy"]].stack().between(0, 1).all()


def test_two_englishes_are_one_language_to_the_head_and_the_run_says_what_it_tells_apart(
    corpora: dict[str, Path], tmp_path: Path
) -> None:
    """Red is British, green American, yellow German: two languages, three corpora."""
    tags = {"red": "en-GB", "green": "en-US", "yellow": "de"}
    spoken = {}
    for name, tag in tags.items():
        spoken[name] = corpora[name].with_name(f"{name}-{tag}.csv")
        write_manifest(read_manifest(corpora[name]).assign(language=tag), spoken[name])
    run = tmp_path / "run"
    execute(loco(spoken, run))
    for k in range(3):
        arrays = load_file(run / f"seed-0/fold-{k}/objective.safetensors")
        assert [len(arrays[f"heads.heads.{name}.weight"]) for name in ("gender", "language", "corpus")] == [2, 2, 3]
    expected = {"heads": {"gender": [2] * 3, "language": [2] * 3, "corpus": [3] * 3}, "notes": []}
    assert read_json(run / "environment.json")["domains"] == {"train": expected}
    assert "Domains: heads for gender 2, language 2, corpus 3." in (run / "report.md").read_text()
    read = {probe["domain"]: probe["n_values"] for probe in read_json(run / "probes.json")}
    assert read["language (all)"] == 2 and read["corpus (all)"] == 3
    environment = read_json(run / "environment.json")
    write_json(run / "environment.json", {key: value for key, value in environment.items() if key != "domains"})
    with pytest.raises(ConfigError, match="whose language heads told de, en-GB, en-US apart"):
        execute(loco(spoken, run), resume=True)


def gao2021(corpora: dict[str, Path], out: Path, *settings: str, recipe: str = "gao2021-cpu") -> Plan:
    small = ["model.options.autoencoder_channels=[2, 2]", "protocol={name: kfold-speaker, options: {k: 2, dev: false}}"]
    return plan_of(recipe, corpora, out, *small, "pretraining.corpora=[red, green]", *settings)


@pytest.fixture(scope="module")
def pretrained(corpora: dict[str, Path], tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("gao2021") / "run"
    execute(gao2021(corpora, out))
    return out


def test_variants_pretrain_once_and_one_without_pretraining_is_not_tested_on_those_corpora(
    corpora: dict[str, Path], pretrained: Path, tmp_path: Path
) -> None:
    recipe = tmp_path / "three.yaml"
    none = "{pretraining: null, stages: [{name: adapt, data: train, training: %s}]}"
    plain = "{epochs: 1, batch_size: 8, optimizer: {name: adadelta, options: {}}, schedule: {name: constant}, "
    plain += "precision: 32-true, channels_last: true, objective: {name: reconstruction, options: {}}}"
    write_text(
        recipe,
        "extends: gao2021-cpu\nname: three\nvariants:\n  as-is: {training.batch_size: 8}\n"
        f"  slower: {{training.batch_size: 4}}\n  none: {none % plain}\n",
    )
    settings = parse_assignments([one for one in QUICK if "batch_size" not in one])
    settings |= parse_assignments(
        ["model.options.autoencoder_channels=[2, 2]", "protocol={name: kfold-speaker, options: {k: 2, dev: false}}"]
    )
    sources = [f"{name}={path}" for name, path in corpora.items()]
    plans = plan_variants(
        str(recipe), sources, settings={**settings, "pretraining.corpora": ["red", "green"]}, out=tmp_path / "runs"
    )
    assert [corpus.name for corpus in plans["none"].data.corpora] == ["yellow"]
    execute_variants(plans, resume=False, n_processes=1, say=lambda _: None)
    assert len(list((tmp_path / "runs" / ".stages").iterdir())) == 1
    name = Path("seed-0") / "pretrain" / "model.safetensors"
    first, second = (tmp_path / "runs" / variant / name for variant in ("as-is", "slower"))
    assert first.read_bytes() == second.read_bytes() == (pretrained / name).read_bytes()
    assert not (tmp_path / "runs" / "none" / "seed-0" / "pretrain").exists()


def test_adapting_changes_the_encoder_and_leaves_the_adversary_as_it_was(pretrained: Path) -> None:
    """Stage 2 on the two folds' target audio: other encoders, one adversary, which only stage 1 wrote."""
    seed = pretrained / "seed-0"
    encoders = [
        {k: v for k, v in load_file(folder / "model.safetensors").items() if "autoencoder" in k and "weight" in k}
        for folder in (seed / "pretrain", seed / "fold-0" / "adapt", seed / "fold-1" / "adapt")
    ]
    for one, other in ((0, 1), (0, 2), (1, 2)):
        assert any((encoders[one][name] != encoders[other][name]).any() for name in encoders[one])
    heads = load_file(seed / "pretrain" / "objective.safetensors")
    assert {"heads.heads.corpus.weight", "emotion.weight"} <= set(heads)
    written = sorted(path.relative_to(seed) for path in seed.glob("**/objective.safetensors"))
    assert written == [Path("pretrain/objective.safetensors")]


def test_two_target_batches_leave_the_adversary_at_the_same_bytes(
    corpora: dict[str, Path], pretrained: Path, tmp_path: Path, write_corpus: WriteCorpus
) -> None:
    """Another target corpus, the same seed: stage 1 is the same to the byte, stage 2 is not."""
    other = {"red": corpora["red"], "green": corpora["green"], "blue-grey": write_corpus("blue-grey")}
    execute(gao2021(other, tmp_path / "other"))
    for name in ("objective.safetensors", "model.safetensors"):
        one, two = ((run / "seed-0" / "pretrain" / name).read_bytes() for run in (pretrained, tmp_path / "other"))
        assert one == two, name
    one, two = (
        load_file(r / "seed-0" / "fold-0" / "adapt" / "model.safetensors") for r in (pretrained, tmp_path / "other")
    )
    assert any((one[name] != two[name]).any() for name in one if "autoencoder.encoder" in name)


def test_classification_leaves_the_frozen_autoencoder_as_adapting_left_it(pretrained: Path) -> None:
    fold = pretrained / "seed-0" / "fold-0"
    adapted, final = (load_file(path / "model.safetensors") for path in (fold / "adapt", fold))
    frozen = [name for name in adapted if ".autoencoder." in name]
    assert frozen and all((adapted[name] == final[name]).all() for name in frozen)
    assert any((adapted[name] != final[name]).any() for name in adapted if ".cnn." in name)


def test_the_latent_of_pretraining_is_kept_and_drawn_by_emotion_speaker_and_corpus(pretrained: Path) -> None:
    folder = pretrained / "seed-0" / "pretrain"
    rows = pd.read_csv(folder / "latent.csv", dtype=str)
    assert set(rows["corpus"]) == {"red", "green"} and len(rows) == 32 and set(rows["emotion"]) <= set(PITCHES_HZ)
    latent = load_file(folder / "latent.safetensors")["latent"]
    recognizer = load_checkpoint(folder)
    for k in (0, 17, 31):  # one utterance, segment by segment
        name, corpus = rows["utterance"][k].split("/")[1], rows["corpus"][k]
        path = next(p for p in pretrained.parent.parent.glob(f"**/{corpus}_{name}.wav"))
        frames = recognizer.front_end.frames(torch.from_numpy(soundfile.read(path, dtype="float32")[0])).numpy()
        starts = recognizer.grid.starts(len(frames), train=False)
        found = []
        for start in starts:
            cut, n_frames = recognizer.grid.cut(recognizer.normalization.of_utterance(frames, None), start)
            heard = recognizer.features(torch.from_numpy(cut)[None], torch.tensor([n_frames]))
            with torch.inference_mode():
                found.append(recognizer.network.autoencoder.encode(heard, torch.tensor([n_frames]))[0].numpy())
        np.testing.assert_allclose(latent[k], np.mean(found, axis=0), rtol=1e-3, atol=1e-4)
    shown = {section.title: section for section in sections(read_run(pretrained))}["Latent space of pre-training"]
    assert [picture.name for picture in shown.pictures] == ["latent-emotion", "latent-speaker", "latent-corpus"]


def test_the_run_tells_its_pretraining_and_tests_one_corpus(pretrained: Path) -> None:
    environment = read_json(pretrained / "environment.json")
    assert sorted(environment["pretraining"]) == ["green", "red"] and list(environment["corpora"]) == ["yellow"]
    assert set(pd.read_csv(pretrained / "predictions.csv")["corpus"]) == {"yellow"}


def test_a_recording_that_was_pretrained_on_is_not_tested(corpora: dict[str, Path], tmp_path: Path) -> None:
    """A copy under another name: heard, not believed."""
    manifest = read_manifest(corpora["yellow"])
    copied = corpora["yellow"].with_name("copied.csv")
    write_manifest(manifest.assign(corpus="copied", file=manifest["file"]), copied)
    plan = plan_of(
        "gao2021-cpu", {"copied": copied, "yellow": corpora["yellow"]}, tmp_path / "run",
        "model.options.autoencoder_channels=[2, 2]", "pretraining.corpora=[copied]",
        "protocol={name: kfold-speaker, options: {k: 2, dev: false}}",
    )  # fmt: skip
    with pytest.raises(ProtocolError, match="sample by sample: yellow/s0_anger in test, copied/s0_anger"):
        execute(plan)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        (["pretraining.corpora=[blue]"], "pretraining wants the corpus blue; give --corpus blue=FOLDER"),
        (["pretraining.corpora=[red, green, yellow]"], "are for pretraining; give one more to test on"),
        (["pretraining.task=arousal"], "has the classes high, low, the task emotion4 has anger"),
        (["training.freeze=[autoencoder]"], "part 'autoencoder'; did you mean 'network.autoencoder'? Known: network, "),
        (["training.objective={name: domain-adversarial, options: {domains: [sex]}}"], "unknown domain 'sex'"),
    ],
)
def test_what_does_not_fit_is_said(corpora: dict[str, Path], tmp_path: Path, settings: list[str], message: str) -> None:
    with pytest.raises(ConfigError) as caught:
        execute(gao2021(corpora, tmp_path / "run", *settings))
    assert message in str(caught.value)


def test_pretraining_that_was_killed_is_done_again_and_folds_share_it(
    corpora: dict[str, Path], pretrained: Path, tmp_path: Path
) -> None:
    """Without its last file a stage is trained again to the same bytes; finished folds stay."""
    out = tmp_path / "run"
    execute(gao2021(corpora, out))
    (out / "seed-0" / "pretrain" / "model.json").unlink()
    (out / "seed-0" / "fold-1" / "predictions.csv").unlink()
    execute(gao2021(corpora, out), resume=True)
    for name in ("predictions.csv", "seed-0/pretrain/model.safetensors", "seed-0/fold-1/model.safetensors"):
        assert (out / name).read_bytes() == (pretrained / name).read_bytes(), name


def test_pretraining_on_other_labels_is_another_run(corpora: dict[str, Path], pretrained: Path, tmp_path: Path) -> None:
    out = tmp_path / "run"
    shutil.copytree(pretrained, out)
    manifest = read_manifest(corpora["red"])
    changed = corpora["red"].with_name("changed.csv")
    write_manifest(manifest.assign(emotion=manifest["emotion"].to_numpy()[::-1]), changed)
    with pytest.raises(ConfigError, match="was begun with other pretraining"):
        execute(gao2021({**corpora, "red": changed}, out), resume=True)
