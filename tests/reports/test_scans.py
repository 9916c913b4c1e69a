"""Runs that differ in one number: which belong together, in what order, and with which scores."""

from dataclasses import replace

import pytest

from affectra.evaluation.run_directory import read_run
from affectra.reports.overview import write_overview
from affectra.reports.scans import scans
from fake_runs import fake_run

SIZES = [(16, 8), (2, 8), (10, 8), (10, 2), (10, 16)]  # 10, 8 lies on both scans


@pytest.fixture
def runs(tmp_path):
    """Of five pairs of filters, one scanned over its height, one over its width, and what each recognises."""
    found = {}
    for height, width in SIZES:
        name = f"h{height}-w{width}"
        run = read_run(fake_run(tmp_path / name, ["emodb"], "loso", recipe=name, right=(height + width) / 40))
        options = {"filter_a": [height, 2], "filter_b": [2, width], "pooling": "max"}
        found[name] = replace(run, recipe={**run.recipe, "model": {"name": "attention-cnn", "options": options}})
    return found


def changed(run, **recipe):
    return replace(run, recipe={**run.recipe, **recipe})


def test_each_number_that_alone_differs_is_a_scan_in_its_order(runs):
    height, width = scans(runs)
    assert height.name == "height of the frequency filter, bins" and height.values == [2, 10, 16]
    assert height.runs == ["h2-w8", "h10-w8", "h16-w8"]
    assert width.name == "width of the time filter, frames" and width.values == [2, 8, 16]
    for scan in (height, width):
        for k, name in enumerate(scan.runs):
            scores = runs[name].scores
            assert scan.wa[k] == scores["metrics"]["wa"] and scan.intervals[k] == scores["interval"]["wa"]
            assert {label: recall[k] for label, recall in scan.recalls.items()} == scores["metrics"]["recall"]
            assert f"{scan.values[k]:g}: WA {scan.wa[k]:.3f}" in scan.text
    assert height.wa == sorted(height.wa) and height.wa[0] < height.wa[-1]


def test_two_values_are_no_scan(runs):
    assert scans({name: run for name, run in runs.items() if not name.startswith("h10")}) == []


@pytest.mark.parametrize("key", ["training", "seeds", "normalization"])
def test_what_differs_in_anything_else_is_kept_apart(runs, key):
    runs["h2-w8"] = changed(runs["h2-w8"], **{key: {"epochs": 99}})
    assert [scan.name[:5] for scan in scans(runs)] == ["width"]


def test_other_folds_or_other_recordings_are_kept_apart(runs):
    run = runs["h2-w8"]
    folds = replace(run, scores={**run.scores, "protocol": {**run.scores["protocol"], "hash": "1" * 64}})
    other = replace(run, environment={**run.environment, "corpora": {"emodb": {"fingerprint": "another"}}})
    for apart in (folds, other):
        assert [scan.name[:5] for scan in scans({**runs, "h2-w8": apart})] == ["width"]


def test_over_a_number_of_the_protocol_the_folds_differ_and_the_recordings_do_not(runs):
    run = runs["h10-w8"]
    found = {}
    for n in (4, 1, 2):
        options = {"name": "kfold-speaker", "options": {"train_speakers": n}}
        scores = {**run.scores, "protocol": {**run.scores["protocol"], "hash": str(n) * 64}}
        found[f"n{n}"] = replace(changed(run, protocol=options), scores=scores)
    (scan,) = scans(found)
    assert (scan.name, scan.values, scan.runs) == ("training speakers", [1, 2, 4], ["n1", "n2", "n4"])
    others = {"emodb": {"fingerprint": "another"}}
    assert scans({**found, "n2": replace(found["n2"], environment={**run.environment, "corpora": others})}) == []


def test_any_number_may_be_scanned_but_no_switch(runs):
    run = runs["h10-w8"]
    rates = {f"r{rate}": changed(run, rate=rate, model={}) for rate in (0.5, 0.1, 1)}
    switched = {f"s{value}": changed(run, model={}, rate="none", on=value) for value in (True, False, "auto")}
    (scan,) = scans({**rates, **switched})
    assert (scan.name, scan.values, scan.runs) == ("rate", [0.1, 0.5, 1], ["r0.1", "r0.5", "r1"])


def test_the_overview_draws_a_scan_and_says_what_its_runs_are_stamped_with(tmp_path, monkeypatch):
    monkeypatch.setattr("affectra.reports.pages.png", lambda figure: b"\x89PNG" + bytes(20))
    folders = [
        fake_run(tmp_path / f"e{epochs}", ["emodb"], "loso", epochs=epochs, synthetic=epochs == 2)
        for epochs in (1, 2, 4)
    ]
    write_overview(folders, tmp_path / "out")
    text = (tmp_path / "out" / "overview.md").read_text()
    assert "## Over one number" in text and "training.epochs; 1: WA 0." in text
    assert "runs: e1, e2, e4; synthetic" in text and (tmp_path / "out" / "figures" / "scan-0.png").is_file()
    assert 'alt="training.epochs; 1: WA 0.' in (tmp_path / "out" / "overview.html").read_text()
    write_overview(folders[:2], tmp_path / "two")
    assert "Over one number" not in (tmp_path / "two" / "overview.md").read_text()
