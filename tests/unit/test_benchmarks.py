"""The bench: its arithmetic, its table, and a small run of real contenders."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from infra.lock import ROOT, read_lock
from scripts.benchmarks import __main__ as bench
from scripts.benchmarks.interleave import Command, Effort, cold, contenders, interleaved, own, there_and_back
from scripts.benchmarks.model import prepare
from scripts.benchmarks.peers import REQUIREMENTS
from scripts.benchmarks.rows import Bound, Row, compare, times, wanted
from scripts.benchmarks.serving import bare, cold_command, cold_peer, handler
from scripts.cli.output import Failure
from scripts.flights import months
from tests.unit.serving.bundles import shipped_files, write_bundle

PYTHON = Path(sys.executable)


def test_ratios_are_paired_by_round_before_the_median_is_taken() -> None:
    # the machine was disturbed in the second round: both took ten times as long
    row = compare("x", [2.0, 30.0, 4.0], [1.0, 10.0, 4.0], unit="s", versions={}, goal=2.0)
    assert (row.ours, row.peer, row.ratio, row.met) == (4.0, 4.0, 2.0, True)
    assert compare("x", [3.0], [1.0], unit="s", versions={}, goal=2.0).met is False


def test_a_row_without_a_goal_neither_meets_nor_misses_it() -> None:
    row = Row("loop", 12.5, None, "s", None, None, {"perennial": "1"})
    assert row.as_json() == {
        "name": "loop", "ours": 12.5, "peer": None, "unit": "s", "ratio": None, "goal": None, "met": None,
        "versions": {"perennial": "1"},
    }  # fmt: skip


@pytest.mark.parametrize(
    ("bound", "met", "text"), [("ratio", True, "≤ 2.00×"), ("most", False, "≤ 2"), ("least", True, "≥ 2")]
)
def test_a_goal_bounds_the_ratio_or_what_is_ours(bound: Bound, met: bool, text: str) -> None:
    row = Row("x", 3.0, 3.0, "%", 1.0, 2.0, {}, bound)
    assert (row.met, wanted(row)) == (met, text)
    assert "bound" not in row.as_json()


@pytest.mark.parametrize(
    ("ratio", "text"),
    [(1.5, "1.50×"), (1 / 150, "1/150×"), (1 / 1212, "1/1,212×"), (0.3, "1/3.33×"), (0.5, "0.50×"), (None, "–")],
)
def test_ratios_read_well(ratio: float | None, text: str) -> None:
    assert times(ratio) == text


def test_every_other_round_goes_the_other_way() -> None:
    assert there_and_back("abc", 1) == ["a", "b", "c"]
    assert there_and_back("abc", 2) == ["c", "b", "a"]


def prepared(folder: Path) -> Path:
    """What `model.prepare` leaves, with a small graph."""
    files = shipped_files()
    (folder / "bundle").mkdir()
    write_bundle(folder / "bundle", files)
    signature = json.loads(files["signature.json"])
    record: dict[str, Any] = {one["name"]: "UA" if one["datatype"] == "BYTES" else 5 for one in signature["inputs"]}
    work = {"records": [record] * 20, "inputs": signature["inputs"], "sizes": [1, 10]}
    (folder / "workload.json").write_text(json.dumps(work))
    event = (ROOT / "events" / "predict.json").read_text()
    (folder / "event.json").write_text(event)
    return folder


def test_contenders_are_asked_in_turn(tmp_path: Path) -> None:
    folder = prepared(tmp_path)
    with contenders({"ours": handler(folder), "peer": bare(folder)}) as started:
        for size in ("1", "10"):
            taken = interleaved(started, size, Effort(rounds=3, turn=0.002))
            assert {name: len(rounds) for name, rounds in taken.items()} == {"ours": 3, "peer": 3}
            assert all(seconds > 1e-6 for rounds in taken.values() for seconds in rounds)
        assert set(started["ours"].versions) == {"numpy", "onnxruntime"}


def test_a_model_of_one_month_is_measured_warm_and_cold(tmp_path: Path) -> None:
    (month,) = months(tmp_path / "flights")[:1]
    prepare(tmp_path, [month], month, (1, 10), lambda _: None)
    with contenders({"ours": handler(tmp_path), "peer": bare(tmp_path)}) as started:
        taken = interleaved(started, "10", Effort(rounds=1, turn=0.001))
    assert all(seconds > 0 for rounds in taken.values() for seconds in rounds)
    # each checks that it answers what the pipeline answers
    own_and_peers = {name: cold_peer(PYTHON, name, tmp_path) for name in ("onnxruntime", "scikit-learn")}
    assert {len(rounds) for rounds in cold({"ours": cold_command(tmp_path), **own_and_peers}, 1).values()} == {1}


def test_a_contender_that_ends_is_told_with_its_last_words(tmp_path: Path) -> None:
    broken = own(PYTHON, "bare_onnxruntime", str(tmp_path))
    with pytest.raises(Failure, match=r"contender x ended: (?s:.*)workload\.json"), contenders({"x": broken}):
        pass


def test_a_cold_start_with_another_answer_is_no_figure(tmp_path: Path) -> None:
    folder = prepared(tmp_path)
    (folder / "first.json").write_text(json.dumps({"probability": 0.99}))
    with pytest.raises(Failure, match=r"ours ended with 1: (?s:.*)not 0\.99"):
        cold({"ours": cold_command(folder)}, 1)


def test_whole_processes_are_measured_after_a_warm_up() -> None:
    busy = Command(PYTHON, ["-c", "sum(range(10**6))"], {})
    (rounds,) = cold({"busy": busy}, 2).values()
    assert len(rounds) == 2
    assert all(0.001 < seconds < 10 for seconds in rounds)


@pytest.mark.parametrize(("failing", "status"), [(False, 0), (True, 1)])
def test_a_missed_goal_is_no_failure_and_what_did_not_run_is(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, failing: bool, status: int
) -> None:
    missed = compare("x", [3.0], [1.0], unit="s", versions={"peer": "2"}, goal=2.0)

    def run(say: Any) -> Iterator[Row]:
        yield missed
        if failing:
            raise Failure("no such peer")

    monkeypatch.setattr(bench, "_benchmark", lambda name: run)
    assert bench.main(["ingest", "--json", str(tmp_path / "rows.json")]) == status
    assert json.loads((tmp_path / "rows.json").read_text()) == [missed.as_json()]
    printed = capsys.readouterr()
    assert "NO" in printed.out
    assert ("no such peer" in printed.err) == failing


def test_a_name_that_is_none_is_refused(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit, match="2"):
        bench.main(["speed"])
    assert "no benchmark 'speed'; there are serving, ingest, judge" in capsys.readouterr().err


def test_peers_have_the_versions_of_the_lock_where_they_share_a_model() -> None:
    pinned = dict(
        line.split("==") for line in (REQUIREMENTS / "mlflow.txt").read_text().splitlines() if not line.startswith("#")
    )
    locked: dict[str, set[str]] = {}
    for entry in read_lock((ROOT / "requirements.lock").read_text()):
        locked.setdefault(entry.name, set()).add(entry.version)
    assert "mlflow" not in locked
    for name in ("scikit-learn", "joblib", "onnx", "onnxruntime", "numpy"):
        assert pinned[name] in locked[name], name
