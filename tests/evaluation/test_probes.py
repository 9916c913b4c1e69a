"""Linear probes find what was planted, stay at chance where nothing is, and never hear a speaker twice."""

from pathlib import Path

import numpy as np
import numpy.typing as npt
import pandas as pd
import pytest
from safetensors.numpy import save_file

from affectra.errors import CheckpointError
from affectra.evaluation.probes import Probe, deal_folds, probe, probe_embeddings, probe_run, proxy_a_distance
from affectra.files import read_json, write_json
from affectra.recipes.domains import DOMAINS

Array = npt.NDArray[np.float64]


def people(sizes: dict[str, int], takes: int = 12) -> pd.DataFrame:
    """Corpora of so many speakers, every other one female; each corpus has a language of its own but x and y."""
    rows = [
        (corpus, f"s{speaker}", ("female", "male")[speaker % 2], "en" if corpus in "xy" else corpus, "ab"[take % 2])
        for corpus, n_speakers in sizes.items()
        for speaker in range(n_speakers)
        for take in range(takes)
    ]
    return pd.DataFrame(rows, columns=["corpus", "speaker", "gender", "language", "emotion"])


def noise(n: int, seed: int, n_features: int = 6) -> Array:
    return np.random.default_rng(seed).normal(size=(n, n_features))


def plant(table: pd.DataFrame, column: str, seed: int = 0, strength: float = 6.0) -> Array:
    """Noise in which each value of a column stands at a place of its own."""
    values, codes = np.unique(table[column].to_numpy(dtype=str), return_inverse=True)
    directions = np.linalg.qr(noise(8, seed, 8))[0][: len(values)]
    return noise(len(table), seed + 1, 8) + strength * directions[codes]


def by_domain(probes: list[Probe]) -> dict[str, Probe]:
    return {found.label: found for found in probes}


@pytest.mark.parametrize("domain", ["corpus", "gender", "language"])
def test_a_planted_domain_is_found_and_the_others_are_not(domain: str) -> None:
    table = people({"x": 8, "y": 8, "z": 8})
    found = by_domain(probe_embeddings(table, plant(table, domain)))
    assert found[domain].balanced_accuracy > 0.95 and found[domain].interval[0] > 0.9
    if domain != "gender":  # which has nothing to do with the others
        assert found["gender"].balanced_accuracy == pytest.approx(0.5, abs=0.1)


def test_two_englishes_are_one_language_to_a_probe() -> None:
    table = people({"x": 4, "y": 4})
    table["language"] = table["corpus"].map({"x": "en-GB", "y": "en-US"})
    alone = by_domain(probe_embeddings(table, plant(table, "corpus")))
    assert alone["language"].balanced_accuracy is None and alone["language"].notes == ("one language alone",)
    assert alone["corpus"].balanced_accuracy > 0.95


def test_a_planted_speaker_is_found_among_all_speakers() -> None:
    table = people({"x": 4, "y": 4})
    table["name"] = table["corpus"] + table["speaker"]
    found = by_domain(probe_embeddings(table, plant(table, "name")))["speaker"]
    assert found.balanced_accuracy > 0.9 and found.chance == 1 / 8 and found.n_values == 8
    assert found.interval[0] <= found.balanced_accuracy <= found.interval[1]


def test_random_embeddings_stay_at_chance() -> None:
    table = people({"x": 6, "y": 6, "z": 6})
    runs = [by_domain(probe_embeddings(table, noise(len(table), seed))) for seed in range(10)]
    for domain in DOMAINS:
        mean = np.mean([run[domain].balanced_accuracy for run in runs])
        assert mean == pytest.approx(runs[0][domain].chance, abs=0.03), domain


def test_shuffled_labels_stay_at_chance_however_clear_the_voices_are() -> None:
    table = people({"x": 24}, takes=6)
    voices = noise(24, 0, 8).repeat(6, axis=0) * 4 + noise(len(table), 1, 8)
    accuracies = []
    for seed in range(20):
        gender = np.random.default_rng(seed).permutation(["female", "male"] * 12).repeat(6)
        accuracies.append(probe(voices, gender, table["speaker"], "gender").balanced_accuracy)
    assert np.mean(accuracies) == pytest.approx(0.5, abs=0.06)
    assert np.std(accuracies) > 0.02, "they are 20 different assignments"


def test_a_gender_that_is_plain_to_see_does_not_push_the_corpus_below_chance() -> None:
    table = people({"x": 6, "y": 6, "z": 10}, takes=6)
    runs = [by_domain(probe_embeddings(table, plant(table, "gender", seed, strength=20.0))) for seed in range(0, 20, 2)]
    assert np.mean([run["corpus"].balanced_accuracy for run in runs]) == pytest.approx(1 / 3, abs=0.04)


def test_a_speaker_is_never_on_both_sides() -> None:
    # An embedding that is the speaker's name and nothing else: whoever has heard the speaker knows the gender.
    table = people({"x": 10})
    names = np.eye(10).repeat(12, axis=0)
    disjoint = probe(names, table["gender"], table["speaker"], "gender")
    heard = probe(names, table["gender"], np.arange(len(table)).astype(str), "gender")
    assert heard.balanced_accuracy == 1.0 and disjoint.balanced_accuracy <= 0.5


@pytest.mark.parametrize("seed", range(5))
def test_folds_keep_units_whole_and_never_test_a_value_they_did_not_learn(seed: int) -> None:
    rng = np.random.default_rng(seed)
    units = rng.integers(0, 14, 300)
    labels = rng.integers(0, 3, 14)[units].astype(str)
    folds = deal_folds(labels, units)
    assert (pd.Series(folds).groupby(units).nunique() == 1).all()
    for value in np.unique(labels):
        n_units = len(np.unique(units[labels == value]))
        assert len(np.unique(folds[labels == value])) == min(n_units, 5)


def test_speakers_of_several_languages_leave_no_language_unlearnt() -> None:
    units = np.array(["a", "a", "b", "b", "c", "d", "e", "f"])
    labels = np.array(["de", "pl", "de", "pl", "de", "de", "de", "de"])
    folds = deal_folds(labels, units)
    assert folds[0] == folds[1] and folds[2] == folds[3] and folds[1] != folds[3]


def test_two_speakers_of_one_gender_each_cannot_be_told_from_their_gender() -> None:
    table = people({"x": 2})
    found = by_domain(probe_embeddings(table, plant(table, "gender")))
    gender = found["gender"]
    assert gender.balanced_accuracy is None and gender.interval is None
    assert gender.line() == "gender not measurable; left out for want of two speakers: female, male"
    assert found["speaker"].balanced_accuracy > 0.95, "there it is called what it is"


def test_a_corpus_of_one_speaker_is_left_out_by_name_and_the_rest_is_measured() -> None:
    table = people({"x": 6, "y": 6, "z": 1})
    found = by_domain(probe_embeddings(table, plant(table, "corpus")))["corpus"]
    assert found.n_values == 2 and found.chance == 0.5 and found.balanced_accuracy > 0.95
    assert "left out for want of two speakers: z" in found.notes


def test_what_is_one_value_or_unknown_is_not_measured() -> None:
    table = people({"x": 4}).assign(gender="")
    table.loc[0, "language"] = ""
    found = by_domain(probe_embeddings(table, noise(len(table), 0)))
    assert found["corpus"].notes == ("one corpus alone",)
    assert found["language"].notes == ("one language alone",)
    assert found["gender"].notes == ("gender or speaker unknown",)
    assert all(found[d].balanced_accuracy is None for d in ("corpus", "language", "gender"))


def test_utterances_of_unknown_value_are_left_out() -> None:
    table = people({"x": 8})
    embeddings = plant(table, "gender")
    unknown = np.arange(len(table)) % 4 == 0
    embeddings[unknown] = 1e6  # would upset any classifier
    found = probe(embeddings, table["gender"].where(~unknown, ""), table["speaker"], "gender")
    assert found.balanced_accuracy > 0.95 and found.n_utterances == (~unknown).sum()
    assert found.notes == ("utterances of unknown gender or speaker left out",)


def test_domains_that_follow_from_one_another_are_named() -> None:
    table = people({"x": 4, "y": 4, "z": 4})
    table.loc[table["corpus"] == "y", "gender"] = "female"
    found = by_domain(probe_embeddings(table, noise(len(table), 0)))
    assert "language follows from corpus" in found["language"].notes
    assert "corpus follows from language where that is z" in found["corpus"].notes
    assert "gender follows from corpus where that is y" in found["gender"].notes
    assert "corpus alone gives 0.250" in found["speaker"].notes  # 1 of 4 speakers of a known corpus


def test_what_the_emotion_alone_tells_of_a_domain_is_reached_by_embeddings_that_are_the_emotion() -> None:
    table = people({"x": 6, "y": 6})
    in_y = table["corpus"] == "y"
    table.loc[in_y & (np.arange(len(table)) % 4 == 0), "emotion"] = "b"  # x: half a; y: a quarter a
    embeddings = pd.get_dummies(table["emotion"]).to_numpy(dtype=float)
    found = by_domain(probe_embeddings(table, embeddings))["corpus"]
    assert "emotion alone gives 0.625" in found.notes
    assert found.balanced_accuracy == pytest.approx(0.625)


def test_values_weigh_the_same_however_many_utterances_they_have() -> None:
    table = pd.concat([people({"x": 20}), people({"y": 3}, takes=4)], ignore_index=True)
    accuracies = [
        probe(noise(len(table), seed), table["corpus"], table["corpus"] + table["speaker"], "corpus").balanced_accuracy
        for seed in range(10)
    ]
    assert np.mean(accuracies) == pytest.approx(0.5, abs=0.1)


def test_the_interval_holds_the_accuracy_and_shrinks_with_speakers() -> None:
    widths = []
    for n_speakers in (6, 60):
        table = people({"x": n_speakers}, takes=6)
        embeddings = plant(table, "gender", strength=1.5)
        for domain, labels in (("gender", table["gender"]), ("speaker", table["speaker"])):
            found = probe(embeddings, labels, table["speaker"], domain)
            assert found.interval[0] <= found.balanced_accuracy <= found.interval[1]
            widths.append(found.interval[1] - found.interval[0])
    assert widths[2] < widths[0] and widths[3] < widths[1]
    table = people({"x": 2})
    assert probe(plant(table, "speaker"), table["speaker"], table["speaker"], "speaker").interval is None


def test_proxy_a_distance_runs_from_nothing_to_two_and_is_symmetric() -> None:
    speakers = [f"s{i // 10}" for i in range(120)]
    others = [f"t{i // 10}" for i in range(60)]
    near = [proxy_a_distance(noise(120, seed), noise(60, seed + 100), speakers, others) for seed in range(5)]
    assert np.mean(near) == pytest.approx(0, abs=0.2)
    source, target = noise(120, 0), noise(60, 1) + 8
    assert proxy_a_distance(source, target, speakers, others) == 2.0
    middle = noise(60, 1) + 0.5
    there = proxy_a_distance(source, middle, speakers, others)
    assert 0.2 < there < 1.8 and proxy_a_distance(middle, source, others, speakers) == pytest.approx(there)


def test_a_distance_to_a_single_speaker_is_not_measured() -> None:
    assert proxy_a_distance(noise(40, 0), noise(10, 1), ["a", "b"] * 20, ["c"] * 10) is None


def test_probes_are_the_same_each_time() -> None:
    table = people({"x": 5, "y": 5})
    embeddings = plant(table, "gender", strength=1.0)
    assert probe_embeddings(table, embeddings) == probe_embeddings(table, embeddings)


def write_fold(run: Path, seed: int, fold: int, train: pd.DataFrame, test: pd.DataFrame, arrays: list[Array]) -> None:
    folder = run / f"seed-{seed}" / f"fold-{fold}"
    folder.mkdir(parents=True)
    names = {"train": [f"{fold}-train-{i}" for i in range(len(train))], "dev": [], "test": []}
    write_json(folder / "split.json", {**names, "train_speakers": (train["corpus"] + "/" + train["speaker"]).tolist()})
    save_file({"train_embedding": arrays[0], "embedding": arrays[1]}, folder / "embeddings.safetensors")
    test[["corpus", "speaker"]].assign(
        utterance=[f"{fold}-test-{i}" for i in range(len(test))],
        seed=seed,
        fold=fold,
        truth=test["emotion"],
        predicted=test["emotion"],
    ).to_csv(folder / "predictions.csv", index=False)


def write_people(run: Path, table: pd.DataFrame) -> None:
    rows = table.drop_duplicates(["corpus", "speaker"]).to_dict("records")
    known = {f"{r['corpus']}/{r['speaker']}": {"gender": r["gender"], "language": r["language"]} for r in rows}
    write_json(run / "environment.json", {"people": known})


@pytest.fixture
def run(tmp_path: Path) -> Path:
    """Two seeds of two folds, leave one corpus out; gender is planted in opposite directions from space to space."""
    table = people({"x": 6, "z": 6})
    for seed in range(2):
        for fold, corpus in enumerate("xz"):
            train, test = table[table["corpus"] != corpus], table[table["corpus"] == corpus]
            sign = (-1.0) ** (seed + fold)
            arrays = [
                noise(len(part), 10 * seed + 2 * fold + i) + sign * 8 * (part[["gender"]] == "male").to_numpy()
                for i, part in enumerate((train, test))
            ]
            write_fold(tmp_path, seed, fold, train, test, arrays)
    write_people(tmp_path, table)
    return tmp_path


def test_each_fold_of_a_run_is_read_in_its_own_space(run: Path) -> None:
    found = by_domain(probe_run(run))
    for part in ("all", "train", "test"):
        gender = found[f"gender ({part})"]
        assert gender.balanced_accuracy == 1.0 and gender.n_folds == 4, "spaces were not mixed"
        assert gender.n_speakers == 12 and gender.interval == [1.0, 1.0]
    assert found["gender (test)"].n_utterances == 72 and found["gender (all)"].n_utterances == 144


def test_a_run_averages_over_its_folds_and_seeds(run: Path) -> None:
    found = by_domain(probe_run(run))
    table = people({"x": 6, "z": 6})
    singly = []
    for seed in range(2):
        for fold, corpus in enumerate("xz"):
            test = table[table["corpus"] == corpus]
            part = noise(len(test), 10 * seed + 2 * fold + 1)
            part += (-1.0) ** (seed + fold) * 8 * (test[["gender"]] == "male").to_numpy()
            singly.append(by_domain(probe_embeddings(test, part.astype(np.float64)))["speaker"].balanced_accuracy)
    assert found["speaker (test)"].balanced_accuracy == pytest.approx(np.mean(singly))


def test_corpora_not_in_training_are_told_apart_from_it(run: Path) -> None:
    found = by_domain(probe_run(run))
    assert found["corpus (train)"].notes == ("one corpus alone",) == found["corpus (test)"].notes
    assert found["corpus (all)"].n_values == 2
    for corpus in "xz":
        distance = found[f"train/{corpus} (all)"]
        assert distance.n_folds == 2 and distance.a_distance == pytest.approx(0, abs=0.4), "nothing tells them apart"


def test_corpora_that_are_in_training_have_no_distance_from_it(tmp_path: Path) -> None:
    table = people({"x": 8, "z": 8})
    held = table["speaker"].isin(["s0", "s1", "s2", "s3"])
    parts = [table[~held], table[held]]
    write_fold(tmp_path, 0, 0, *parts, [plant(part, "corpus") for part in parts])
    write_people(tmp_path, table)
    found = by_domain(probe_run(tmp_path))
    assert not any(label.startswith("train/") for label in found)
    assert all(found[f"corpus ({part})"].balanced_accuracy > 0.95 for part in ("all", "train", "test"))


def test_a_fold_without_training_embeddings_is_read_in_its_test_part(run: Path) -> None:
    for path in run.glob("seed-*/fold-*/embeddings.safetensors"):
        save_file({"embedding": noise(72, 0)}, path)
    assert {found.part for found in probe_run(run)} == {"test"}


def test_probes_of_a_run_are_what_a_report_reads(run: Path) -> None:
    write_json(run / "probes.json", [found.to_json() for found in probe_run(run)])
    rows = {row["domain"]: row for row in read_json(run / "probes.json")}
    assert rows["gender (all)"]["balanced_accuracy"] == 1.0 and rows["gender (all)"]["a_distance"] == 2.0
    assert rows["corpus (test)"] | {"note": "one corpus alone", "balanced_accuracy": None} == rows["corpus (test)"]


def test_embeddings_that_do_not_fit_their_utterances_are_refused(run: Path) -> None:
    path = run / "seed-1" / "fold-0" / "embeddings.safetensors"
    save_file({"embedding": noise(3, 0), "train_embedding": noise(72, 0)}, path)
    with pytest.raises(CheckpointError, match="fold-0: 75 embeddings of 144 utterances"):
        probe_run(run)
    save_file({"embedding": noise(72, 0) * np.nan, "train_embedding": noise(72, 0)}, path)
    with pytest.raises(CheckpointError, match="holds values that are no numbers"):
        probe_run(run)


def test_a_folder_without_folds_is_refused(tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match="no finished fold"):
        probe_run(tmp_path)
