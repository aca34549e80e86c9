"""The bench: its arithmetic, its table, and a small run of real contenders."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import psutil
import pytest

from infra.lock import ROOT, read_lock
from scripts.benchmarks import __main__ as bench
from scripts.benchmarks import drift_alarms, over_http
from scripts.benchmarks.ingest import CONTRACT
from scripts.benchmarks.interleave import Command, Effort, cold, contenders, interleaved, once, own, there_and_back
from scripts.benchmarks.model import prepare
from scripts.benchmarks.peers import REQUIREMENTS
from scripts.benchmarks.rows import Bound, Row, compare, times, wanted
from scripts.benchmarks.servers import PEERS, Peer
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


ANSWERING = """
import http.server, json, sys
class Answer(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    asked = 0
    def do_POST(self):
        rows = json.loads(self.rfile.read(int(self.headers["content-length"])))
        Answer.asked += 1
        sum(range(50_000 * len(rows)))
        body = json.dumps([[1 - 0.25, 0.25]]).encode()
        self.send_response(503 if Answer.asked < 3 else 200)
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)
http.server.HTTPServer(("127.0.0.1", int(sys.argv[1])), Answer).serve_forever()
"""


def server(script: str = ANSWERING) -> Peer:
    """A peer that runs in this environment."""
    return Peer(
        "own", ("pip",), lambda python, folder, place, port: Command(python, ["-c", script, str(port)], {}),
        "/predict", lambda records, inputs: list(records), lambda reply: float(reply[0][-1]),
    )  # fmt: skip


@pytest.fixture
def own_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    def python_of(peer: str, say: Any) -> Path:
        if peer != "own":
            raise Failure(f"{peer} cannot be installed")
        return PYTHON

    monkeypatch.setattr(over_http, "python_of", python_of)
    monkeypatch.setattr("scripts.benchmarks.servers.versions", lambda python, packages: {"pip": "1"})


@pytest.fixture
def ended() -> Iterator[None]:
    """Whatever the test starts has ended with it."""
    before = set(psutil.Process().children(recursive=True))
    yield
    assert set(psutil.Process().children(recursive=True)) <= before


def answered(folder: Path, probability: float = 0.25) -> Path:
    (folder / "first.json").write_text(json.dumps({"probability": probability}))
    return prepared(folder)


@pytest.mark.usefixtures("own_environment", "ended")
def test_servers_are_measured_as_trees_and_what_cannot_run_is_left_out_by_name(tmp_path: Path) -> None:
    folder, said = answered(tmp_path), list[str]()
    peers = {"ours too": server(), "broken": server("raise SystemExit('no model')")}
    peers["absent"] = replace(server(), environment="absent")
    field = over_http.Field(folder, (1, 10), said.append, peers)
    rows = list(
        over_http.warm(field, handler(folder), Effort(rounds=2, turn=0.08))
    )  # CPU time is told in hundredths of a second
    by_name = {row.name: row for row in rows}
    assert len(rows) == 6
    measured = by_name["API event of 10 rows / ours too, a request"]
    assert measured.peer is not None
    assert measured.peer > 100  # µs: it counts half a million
    assert by_name["API event of 1 row / absent, not measured"].peer is None
    assert set(field.out) == {"broken", "absent"}
    assert "no model" in field.out["broken"]
    assert any("absent cannot be installed" in line for line in said)


@pytest.mark.usefixtures("own_environment", "ended")
def test_servers_are_started_for_their_first_answer_and_ended(tmp_path: Path) -> None:
    field = over_http.Field(answered(tmp_path), (1,), lambda _: None, {"peer": server()})
    ours = Command(PYTHON, ["-c", "print(40.0)"], {})
    seconds, memory = over_http.cold(field, ours, rounds=2)
    assert seconds.unit == "CPU ms"
    assert seconds.peer is not None
    assert seconds.peer > 5
    assert memory.ours == 40.0
    assert memory.peer is not None
    assert 2 < memory.peer < 200


@pytest.mark.usefixtures("own_environment", "ended")
def test_a_server_with_another_answer_is_left_out(tmp_path: Path) -> None:
    field = over_http.Field(answered(tmp_path, 0.5), (1,), lambda _: None, {"peer": server()})
    assert list(over_http.cold(field, Command(PYTHON, ["-c", "print(40.0)"], {}), rounds=1)) == []
    assert field.out == {"peer": "answered 0.25, not 0.5"}


def test_bodies_are_what_each_peer_takes() -> None:
    inputs = [
        {"name": "Air Time", "tensor": "air_time", "element": "float"},
        {"name": "carrier", "tensor": "carrier", "element": "string"},
    ]
    rows = [{"Air Time": 5, "carrier": "UA"}, {"Air Time": 6, "carrier": "AA"}]
    split = PEERS["mlflow models serve"].body(rows, inputs)["dataframe_split"]
    assert split == {"columns": ["air_time", "carrier"], "data": [[5, "UA"], [6, "AA"]]}
    tensors = PEERS["MLServer + scikit-learn"].body(rows, inputs)["inputs"]
    assert [(one["name"], one["datatype"], one["shape"], one["data"]) for one in tensors] == [
        ("air_time", "FP32", [2], [5, 6]),
        ("carrier", "BYTES", [2], ["UA", "AA"]),
    ]
    assert (
        PEERS["MLServer + scikit-learn"].probability({"outputs": [{"shape": [2, 2], "data": [0.9, 0.1, 0, 1]}]}) == 0.1
    )
    assert PEERS["BentoML + onnxruntime"].body(rows, inputs) == {
        "columns": {"Air Time": [5, 6], "carrier": ["UA", "AA"]}
    }
    assert {peer.environment for peer in PEERS.values()} <= {path.stem for path in REQUIREMENTS.iterdir()}


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
    prepare(tmp_path, [month], [month], (1, 10), lambda _: None)
    with contenders({"ours": handler(tmp_path), "peer": bare(tmp_path)}) as started:
        taken = interleaved(started, "10", Effort(rounds=1, turn=0.001))
    assert all(seconds > 0 for rounds in taken.values() for seconds in rounds)
    with contenders(
        {name: own(PYTHON, "batch", name, str(tmp_path)) for name in ("perennial", "scikit-learn")}
    ) as many:
        taken = interleaved(many, "all", Effort(rounds=1, turn=0.001))
    assert all(seconds > 0 for rounds in taken.values() for seconds in rounds)
    telling = replace(cold_command(tmp_path), arguments=[*cold_command(tmp_path).arguments, "memory"])
    assert 20 < float(once(telling).splitlines()[-1]) < 500
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
    assert "no benchmark 'speed'; there are serving, ingest, judge, monitoring" in capsys.readouterr().err


def test_drift_detection_is_measured_as_its_peers_are(tmp_path: Path) -> None:
    halves = []
    for number, month in enumerate(months(tmp_path)[:2]):
        halves.append(str(tmp_path / f"{number}.csv"))
        Path(halves[-1]).write_bytes(b"".join(month.read_bytes().splitlines(keepends=True)[:20_000]))
    command = own(PYTHON, "perennial_drift", *halves, str(CONTRACT))
    assert 50 < float(once(replace(command, arguments=[*command.arguments, "once"]))) < 1000
    with contenders({"ours": command}) as started:
        assert interleaved(started, "halves", Effort(rounds=1, turn=0.01))["ours"][0] > 0


def test_on_few_splits_of_real_months_large_changes_are_found_and_nothing_else() -> None:
    false, found = drift_alarms.measured(*drift_alarms.flights(), drift_alarms.at_random(9000, 9000), 3)
    assert false == 0
    assert found["5 % of a category"] == 1


@pytest.mark.parametrize("size", [(13_500, 13_500), (20_000, 500), (500, 500)])
def test_splits_of_a_month_have_the_sizes_asked_for_and_share_no_row(size: tuple[int, int]) -> None:
    days = np.zeros(27_004)
    first, second = drift_alarms.at_random(*size)(np.random.default_rng(1), days)
    assert (len(first), len(second)) == size
    assert not set(first.tolist()) & set(second.tolist())


@pytest.mark.parametrize("peer", ["mlflow", "mlserver", "bentoml"])
def test_peers_have_the_versions_of_the_lock_where_they_share_a_model(peer: str) -> None:
    lines = (REQUIREMENTS / f"{peer}.txt").read_text().splitlines()
    pinned = dict(line.split("==") for line in lines if not line.startswith("#"))
    locked: dict[str, set[str]] = {}
    for entry in read_lock((ROOT / "requirements.lock").read_text()):
        locked.setdefault(entry.name, set()).add(entry.version)
    assert peer in pinned
    assert peer not in locked
    for name in {"scikit-learn", "joblib", "onnx", "onnxruntime", "numpy", "pandas"} & set(pinned):
        assert pinned[name] in locked[name], name
