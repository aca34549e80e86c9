"""A replay compares what was served with what a version would have answered, and says what it could not compare."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from perennial.experiments.difference import Differences, differences
from perennial.experiments.replay import FAULT, OTHER_ANSWERS, Pairs, Replay
from perennial.serving.bundle import verify
from perennial.serving.log import SHORTENED
from perennial.serving.predictor import Predictor
from perennial.serving.signature import Signature, parse_signature
from tests.unit.serving.bundles import INPUTS, WEIGHTS, bundle_files, expected_probability, graph, write_bundle
from tests.unit.serving.bundles import signature as signature_json
from tests.unit.serving.requests import RELAXED, ROW, Server, infer_event, request

ROWS = [{**ROW, "distance": float(row), "carrier": ["AA", "UA", None][row % 3]} for row in range(0, 3000, 100)]
SIGNATURE = parse_signature(bundle_files()["signature.json"])
Replaying = Callable[..., Replay]


def predictor(folder: Path, files: Mapping[str, bytes]) -> Predictor:
    folder.mkdir()
    return Predictor(verify(write_bundle(folder, files, version=4)))


def files(task: str = "binary", classes: Any = (0, 1), **more: Any) -> dict[str, bytes]:
    """A version of another graph: `more` as bundles.graph takes it."""
    inputs = more.get("inputs", INPUTS)
    model = graph(task, classes=len(classes or ()), **more)
    listed = {**signature_json(task, classes), "inputs": inputs}
    return {"model.onnx": model.SerializeToString(), "signature.json": json.dumps(listed).encode()}


@pytest.fixture(scope="module")
def log(tmp_path_factory: pytest.TempPathFactory) -> list[dict[str, Any]]:
    """What version 3 served, as it is in the prediction log: requests of one row and of many."""
    server = Server(tmp_path_factory.mktemp("served"))
    for body in (request(*ROWS), request(), request({**ROW, "distance": None})):
        server.send(infer_event(body))
    return server.records


def report(replay: Replay) -> Differences:
    found = differences(replay.pairs(), replay.predictor.signature)
    assert found is not None
    return found


def test_the_same_version_does_not_differ(tmp_path: Path, log: list[dict[str, Any]]) -> None:
    replay = Replay(predictor(tmp_path / "v", bundle_files()), lambda _: SIGNATURE)
    for record in log:
        replay.add(record)
    found = report(replay)
    assert (found.rows, found.flips, sum(replay.skipped.values())) == (len(ROWS) + 2, 0, 0)
    assert found.quantiles["1"] < 1e-6
    assert found.histogram["served"] == found.histogram["replayed"]


def test_another_version_differs_by_what_its_graph_says(tmp_path: Path, log: list[dict[str, Any]]) -> None:
    replay = Replay(predictor(tmp_path / "v", files(weights=-WEIGHTS)), lambda _: SIGNATURE)
    for record in log:
        replay.add(record)
    found = report(replay)
    # the sigmoid of −z is one minus that of z, and each row's class turns over
    served = [expected_probability(row) for row in [*ROWS, ROW, {**ROW, "distance": None}]]
    assert found.mean == pytest.approx(np.mean([abs(1 - 2 * p) for p in served]), abs=1e-4)
    assert found.served == pytest.approx(np.mean(served), abs=1e-4)
    assert found.replayed == pytest.approx(1 - np.mean(served), abs=1e-4)
    assert found.flips == len(served)
    assert {(old, new) for old, new, _ in found.changes} <= {(0, 1), (1, 0)}
    assert sum(count for *_, count in found.changes) == len(served)
    assert found.histogram["replayed"] == found.histogram["served"][::-1]
    worst = found.worst[0]
    record = next(one for one in log if worst.prediction_id.startswith(one["ids"]))
    row = int(worst.prediction_id.rpartition("-")[2]) - record["first"]
    assert worst.served == record["outputs"]["probability"][row][1]
    assert worst.difference == max(one.difference for one in found.worst)


def test_slices_are_of_every_row_once(tmp_path: Path, log: list[dict[str, Any]]) -> None:
    replay = Replay(predictor(tmp_path / "v", files(weights=WEIGHTS * 2)), lambda _: SIGNATURE, by="carrier")
    for record in log:
        replay.add(record)
    found = report(replay)
    assert {one.value for one in found.slices} == {"AA", "UA", None}
    assert sum(one.rows for one in found.slices) == found.rows
    weighted = sum(one.rows * one.mean_difference for one in found.slices) / found.rows
    assert weighted == pytest.approx(found.mean)


def test_what_cannot_be_replayed_is_counted_by_reason(tmp_path: Path, log: list[dict[str, Any]]) -> None:
    wanting = [{**INPUTS[0], "name": "weather", "tensor": "weather"}, *INPUTS[1:]]
    replay = Replay(predictor(tmp_path / "v", files(inputs=wanting)), lambda _: SIGNATURE)
    replay.add(log[0])
    assert dict(replay.skipped) == {"the record has no input 'weather'": len(ROWS)}

    replay = Replay(predictor(tmp_path / "w", bundle_files()), lambda _: SIGNATURE)
    replay.add({**log[1], "inputs": None, "shortened": True})
    assert dict(replay.skipped) == {SHORTENED: 1}
    assert differences(replay.pairs(), SIGNATURE) is None

    replay = Replay(predictor(tmp_path / "x", bundle_files("multiclass", ("a", "b", "c"))), lambda _: SIGNATURE)
    replay.add(log[0])
    assert dict(replay.skipped) == {OTHER_ANSWERS: len(ROWS)}


def test_a_value_that_the_version_refuses_costs_its_row_alone(tmp_path: Path, log: list[dict[str, Any]]) -> None:
    stricter = [INPUTS[0] | {"datatype": "INT64"}, *INPUTS[1:]]
    replay = Replay(predictor(tmp_path / "v", files(inputs=stricter)), lambda _: SIGNATURE)
    broken = dict(log[0]["inputs"], distance=[0.5, *log[0]["inputs"]["distance"][1:]])
    replay.add({**log[0], "inputs": broken})
    assert dict(replay.skipped) == {"the version refuses the value of input 'distance'": 1}
    assert replay.pairs().ids == [f"{log[0]['ids']}-{row}" for row in range(1, len(ROWS))]


def test_a_graph_that_fails_is_no_crash(tmp_path: Path, regression: Server) -> None:
    regression.records.clear()
    regression.infer(request({**ROW, "distance": 0.0}))
    fault = bundle_files("regression", None, fault=True)
    replay = Replay(predictor(tmp_path / "v", fault), lambda _: parse_signature(fault["signature.json"]))
    replay.add(regression.records[0])
    assert dict(replay.skipped) == {FAULT: 1}


def test_a_regression_differs_in_its_own_spread(tmp_path: Path, regression: Server) -> None:
    regression.records.clear()
    regression.infer(request(*ROWS))
    other = files("regression", None, weights=WEIGHTS * 1.1)
    replay = Replay(predictor(tmp_path / "v", other), lambda _: parse_signature(other["signature.json"]))
    replay.add(regression.records[0])
    found = report(replay)
    served = np.array(regression.records[0]["outputs"]["prediction"])
    assert found.flips is None
    assert found.unit == pytest.approx(served.std())
    assert found.beyond["0.1"] == np.mean(np.abs(served) * 0.1 > 0.1 * served.std())
    assert sum(found.histogram["replayed"]) == len(ROWS)


@RELAXED
@given(st.lists(st.tuples(st.floats(0, 1), st.floats(0, 1)), min_size=1, max_size=60), st.randoms())
def test_a_report_does_not_depend_on_the_order_of_the_log(rows: list[tuple[float, float]], random: Any) -> None:
    def of(order: list[int]) -> Differences:
        served, ours = (np.array([[1 - rows[i][side], rows[i][side]] for i in order]) for side in (0, 1))
        found = differences(Pairs(served, ours, [str(i) for i in order], []), Signature("m", "binary", (), (0, 1)))
        assert found is not None
        return found

    order = list(range(len(rows)))
    one = of(order)
    random.shuffle(order)
    other = of(order)
    assert one.histogram == other.histogram
    assert (one.flips, one.beyond) == (other.flips, other.beyond)
    assert one.mean == pytest.approx(other.mean)
    assert [worst.difference for worst in one.worst] == [worst.difference for worst in other.worst]
