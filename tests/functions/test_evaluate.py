"""Stage evaluate from outside: a trained run in; evaluation.json, a ledger fact and a verdict out."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import Any

import pytest

from functions.evaluate.handler import lambda_handler
from functions.register.handler import lambda_handler as register
from perennial.errors import BundleInvalid, CatalogInvalid, ObjectMissing
from perennial.events import RunInput
from perennial.registry import Registry
from tests.functions.conftest import EVENTS, World
from tests.functions.trips import deploy, drop, trained, trips

AT = "2024-02-01T00:00:00+00:00"


def evaluated(world: World, run: str) -> dict[str, Any]:
    output = lambda_handler({"model": "late-trips", "run": run, "as_of": AT}, None)
    record: dict[str, Any] = world.data.get_json(output["evaluation_key"])
    assert output["passed"] == record["passed"]
    return record


def promoted(world: World, run: str) -> int:
    """Evaluate, register and let serve."""
    evaluated(world, run)
    version = int(register({"model": "late-trips", "run": run, "as_of": AT}, None)["version"])
    registry = Registry(world.registry)
    former = registry.champion("late-trips")
    registry.set_champion(
        "late-trips", version, former.version if former else None, at=datetime(2024, 2, 1, tzinfo=UTC), why="test"
    )
    return version


@pytest.fixture
def ready(world: World) -> World:
    """The world with ten days of trips and run r1 trained on them."""
    deploy(world)
    drop(world, trips(range(10), per_day=200), "first")
    trained(world, "r1")
    return world


def test_the_sample_event_names_a_run() -> None:
    RunInput.model_validate_json((EVENTS / "evaluate.json").read_text("utf-8"))


def test_a_first_model_is_judged_by_its_bounds(ready: World) -> None:
    record = evaluated(ready, "r1")
    assert record["passed"]
    assert [gate["name"] for gate in record["gates"]] == ["auc.min", "auc.max"]
    assert (record["champion"], record["comparison"]) == (None, None)
    # of every held-out row, what a rollout will compare live scores with
    assert sum(record["scores"]["counts"]) == record["rows"]
    # and what the monitor will compare live quality with
    assert record["held_out"]["rows"] == record["rows"]
    assert record["held_out"]["metrics"]["auc"] == pytest.approx(record["metrics"]["auc"]["value"])
    assert record["held_out"]["calibration"]
    assert 0 <= record["scores"]["low"] < record["scores"]["high"] <= 1
    # two held-out days are too few to draw from
    assert record["blocks"] == {"kind": "rows", "count": 20}
    auc = record["metrics"]["auc"]
    assert auc["low"] < auc["value"] < auc["high"]
    assert auc["value"] == pytest.approx(ready.data.get_json("staging/r1/training.json")["metrics"]["auc"])
    assert ready.ledger_facts("model/late-trips") == ["trained", "gated"]


def test_the_same_run_again_is_the_same_record_and_one_ledger_fact(ready: World) -> None:
    assert evaluated(ready, "r1") == evaluated(ready, "r1")
    assert ready.ledger_facts("model/late-trips") == ["trained", "gated"]


def test_a_bound_that_is_missed_fails_the_gate_and_not_the_stage(ready: World) -> None:
    deploy(ready, gates="{auc: {min: 0.99}}")
    record = evaluated(ready, "r1")
    assert not record["passed"]
    (gate,) = record["gates"]
    assert "must be at least 0.99" in gate["reason"]
    history = list(ready.ledger.read("model/late-trips"))
    assert history[-1].evidence["passed"] is False


def test_a_challenger_as_good_as_the_champion_passes(ready: World) -> None:
    promoted(ready, "r1")
    drop(ready, trips(range(10, 50), per_day=200), "second")
    trained(ready, "r2")
    record = evaluated(ready, "r2")
    assert record["blocks"] == {"kind": "day", "count": 10}
    assert record["champion"]["version"] == 1
    assert set(record["champion"]["metrics"]) == set(record["metrics"])
    assert record["comparison"]["comparable"]
    assert record["comparison"]["difference"]["low"] > -0.02
    assert record["passed"]


def test_a_challenger_that_dropped_what_matters_is_refused(ready: World) -> None:
    promoted(ready, "r1")
    drop(ready, trips(range(10, 50), per_day=200), "second")
    deploy(ready, features="[noise]", gates="{}")
    trained(ready, "r2")
    record = evaluated(ready, "r2")
    assert record["comparison"]["difference"]["high"] < -0.1
    assert "worse than the margin allows" in record["comparison"]["reason"]
    assert not record["passed"]


def test_a_challenger_with_one_feature_more_is_compared(ready: World) -> None:
    promoted(ready, "r1")
    deploy(ready, features="[amount, city, sunny, noise]", algorithm="hist_gradient_boosting")
    trained(ready, "r2")
    assert evaluated(ready, "r2")["comparison"]["comparable"]


def test_a_champion_that_takes_what_the_rows_lack_is_not_comparable(ready: World) -> None:
    promoted(ready, "r1")
    trained(ready, "r2")
    _without(ready, "r2", "city")
    record = evaluated(ready, "r2")
    assert record["comparison"]["comparable"] is False
    assert "it takes 'city', which the held-out rows lack" in record["comparison"]["reason"]
    assert not record["passed"]


def test_a_champion_that_is_not_the_registered_one_stops_the_stage(ready: World) -> None:
    promoted(ready, "r1")
    trained(ready, "r2")
    ready.data.put("models/late-trips/00000001/model.onnx", b"another")
    with pytest.raises(BundleInvalid, match=r"model\.onnx does not have the digest"):
        evaluated(ready, "r2")


def test_a_gate_on_a_metric_that_the_task_lacks_is_an_error_of_the_catalog(ready: World) -> None:
    deploy(ready, gates="{rmse: {max: 1}}")
    with pytest.raises(CatalogInvalid, match="no metric 'rmse' for task binary"):
        evaluated(ready, "r1")


def test_a_run_without_candidate_is_an_error(ready: World) -> None:
    with pytest.raises(ObjectMissing):
        evaluated(ready, "r9")


def _without(world: World, run: str, column: str) -> None:
    """The run's model and rows as if the feature had never been."""
    deploy(world, features="[amount, sunny]")
    trained(world, run)
    from perennial.evaluation.holdout import read_holdout, write_holdout

    key = f"staging/{run}/holdout.parquet"
    held = read_holdout(world.data.get(key))
    columns = {name: values for name, values in held.columns.items() if name != column}
    time = None if held.days is None else held.days.astype("datetime64[us]")
    world.data.put(key, write_holdout(columns, held.label, time))
    json.loads(world.data.get(f"staging/{run}/signature.json"))
