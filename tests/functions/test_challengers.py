"""Honest challengers replace the champion; bad ones are registered, refused, and the record says why."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from functions.evaluate.handler import lambda_handler as evaluate
from functions.register.handler import lambda_handler as register
from functions.train.handler import main as train
from perennial.registry import ModelVersion, Registry
from scripts.cli.versions import refusal
from tests.functions.conftest import World
from tests.functions.trips import CONTRACT, deploy, drop, request, trained, trips
from tests.unit.training.own import SOURCES

AT = "2024-06-01T00:00:00+00:00"
WINDOW = "window: 40d, refit: true"
FIRST = 40
EVENT_TIME = ", customProperties: [{property: eventTime, value: true}]"


def judged(world: World, run: str) -> tuple[dict[str, Any], ModelVersion]:
    """The run's evaluation and the version that it became."""
    message = {"model": "late-trips", "run": run, "as_of": AT}
    record: dict[str, Any] = world.data.get_json(evaluate(message, None)["evaluation_key"])
    version = register(message, None)["version"]
    return record, Registry(world.registry).get("late-trips", version)


def serve(world: World, version: ModelVersion) -> None:
    registry = Registry(world.registry)
    former = registry.champion(version.model)
    at = datetime(2024, 4, 1, tzinfo=UTC)
    registry.set_champion(version.model, version.version, former.version if former else None, at=at, why="test")


def refused(world: World, run: str, gate: str) -> str:
    """What the run is refused for, the same wherever a person may look for it."""
    record, version = judged(world, run)
    failed = {one["name"]: one["reason"] for one in record["gates"] if not one["passed"]}
    assert gate in failed, record["gates"]
    assert version.state == "refused"
    assert version.refused_for == list(failed.values())
    assert failed[gate] in (refusal(version) or "")
    assert record["deployed"]["refitted"] is False
    gated, registered = list(world.ledger.read("model/late-trips"))[-2:]
    assert (gated.fact, gated.evidence["passed"], gated.evidence["gates"]) == ("gated", False, record["gates"])
    assert (registered.fact, registered.evidence["passed"]) == ("registered", False)
    return str(failed[gate])


def with_label(table: pa.Table, late: Any, name: str = "late") -> pa.Table:
    return table.set_column(table.schema.get_field_index(name), name, pa.array(late))


def shuffled(table: pa.Table) -> pa.Table:
    late = table.column("late").to_numpy()
    return with_label(table, np.random.default_rng(1).permutation(late))


@pytest.fixture
def ready(world: World) -> World:
    """Forty days of trips, whose model serves, fitted again on all of them."""
    deploy(world, train=WINDOW)
    drop(world, trips(range(FIRST), per_day=100), "first")
    trained(world, "r1")
    record, version = judged(world, "r1")
    assert record["deployed"]["refitted"], record["refit"]
    serve(world, version)
    return world


def test_an_honest_challenger_is_compared_on_the_days_that_neither_has_seen(ready: World) -> None:
    drop(ready, trips(range(FIRST, 60), per_day=100), "second")
    trained(ready, "r2")
    record, version = judged(ready, "r2")
    assert record["passed"], record["gates"]
    assert refusal(version) is None
    assert record["comparison"]["rows"] == {
        "by": "day", "rows": 800, "days": 8, "champion_trained_until": "2024-02-09",
    }  # fmt: skip
    assert record["champion"]["rows"] == record["comparison"]["rows"]
    assert version.trained_until == record["deployed"]["trained_until"] == "2024-02-29T08:00:00Z"
    window = ready.data.get_json("staging/r2/training.json")["window"]
    assert (window["from"], window["to"], window["days"]) == ("2024-01-21T08:00:00Z", "2024-02-29T08:00:00Z", 40)
    assert window["left_out"] == {"before the window": 2000}


def test_without_a_new_day_nothing_can_be_shown(ready: World) -> None:
    trained(ready, "r2")
    reason = refused(ready, "r2", "auc.champion")
    assert "it was trained on rows until 2024-02-09, and the held-out rows end on 2024-02-09" in reason
    assert "with rows of 6 days more" in reason


def test_labels_shuffled_everywhere_teach_nothing(ready: World) -> None:
    drop(ready, shuffled(trips(range(FIRST, 90), per_day=100)), "second")
    trained(ready, "r2")
    assert "must be at least 0.55" in refused(ready, "r2", "auc.min")


def test_labels_shuffled_before_the_last_days_make_it_worse_than_the_champion(ready: World) -> None:
    deploy(ready, gates="{}", train=WINDOW)
    drop(ready, shuffled(trips(range(FIRST, 72), per_day=100)), "second")
    drop(ready, trips(range(72, 80), per_day=100), "third")
    trained(ready, "r2")
    assert "worse than the margin allows" in refused(ready, "r2", "auc.champion")


def test_lineage_leads_to_the_versions_of_which_rows_were_used(ready: World) -> None:
    drop(ready, trips(range(FIRST, 72), per_day=50), "second")
    drop(ready, trips(range(72, 80), per_day=50), "third")
    trained(ready, "r2")
    _, version = judged(ready, "r2")
    assert [use.version for use in version.datasets] == [2, 3]
    inputs = ready.data.get_json(f"{version.prefix}lineage.json")["inputs"]
    assert [one["name"] for one in inputs] == [f"curated/trips/version=0000000{number}" for number in (2, 3)]
    window = ready.data.get_json("staging/r2/training.json")["window"]
    assert window["versions_not_read"] == {"before the window": [1]}


def test_a_stale_window_cannot_be_compared(ready: World) -> None:
    drop(ready, trips(range(FIRST, 60), per_day=100), "second")
    trained(ready, "r2")
    record, version = judged(ready, "r2")
    assert record["passed"]
    serve(ready, version)
    given = request(ready, "r3")
    request(ready, "r3", versions=given["versions"][:1])
    assert train() == 0
    reason = refused(ready, "r3", "auc.champion")
    assert "trained on rows until 2024-02-29, and the held-out rows end on 2024-02-09: 0 days" in reason


def test_a_leaked_feature_is_too_good_to_be_true_and_is_named(ready: World) -> None:
    deploy(ready, features="[amount, city, sunny, noise]", gates="{}", train=WINDOW)
    table = trips(range(FIRST, 100), per_day=100)
    drop(ready, with_label(table, table.column("late").to_numpy() + 0.01, "noise"), "second")
    trained(ready, "r2")
    reason = refused(ready, "r2", "auc.plausible")
    assert "a column is suspected to leak the label" in reason
    assert "without 'noise' its auc is 0." in reason


def regression(world: World, **changed: str) -> None:
    """The model predicts how late, by the team's own estimator."""
    sources = {f"estimators/{name}": text for name, text in (SOURCES | changed).items()}
    deploy(world, algorithm="team.line:Shrunk", gates="{}", extra=sources, train=changed.pop("train", WINDOW))
    files = {name: text for name, text in _catalog(world).items() if name.endswith((".yaml", ".py"))}
    model = files["models/late-trips.yaml"].replace("task: binary", "task: regression")
    model = model.replace("{column: late, above: 0.5}", "{column: late}").replace("metric: auc", "metric: rmse")
    world.deploy_catalog(None, files | {"models/late-trips.yaml": model})


def _catalog(world: World) -> dict[str, str]:
    import io
    import os
    import zipfile

    with zipfile.ZipFile(io.BytesIO(world.assets.get(os.environ["CATALOG_KEY"]))) as archive:
        return {name: archive.read(name).decode() for name in archive.namelist()}


def test_a_wrong_conversion_never_becomes_a_candidate(world: World) -> None:
    wrong = SOURCES["team/line.py"].replace("twist=0.0", "twist=0.001")
    regression(world, **{"team/line.py": wrong})
    drop(world, trips(range(FIRST), per_day=100), "first")
    request(world, "r1")
    assert train() == 1
    error = world.data.get_json("staging/r1/error.json")
    assert error["error"] == "ParityFailed"
    assert "the pipeline answers" in error["cause"]
    assert world.data.find_json("staging/r1/training.json") is None


def deployed(world: World, run: str = "r1") -> tuple[dict[str, Any], ModelVersion]:
    drop(world, trips(range(FIRST), per_day=100), "first")
    trained(world, run)
    record, version = judged(world, run)
    assert version.state == "registered"
    return record, version


def test_a_refit_whose_conversion_is_wrong_leaves_the_model_that_was_evaluated(world: World) -> None:
    # right on the 3,200 rows of the training side, wrong on all 4,000
    source = SOURCES["team/line.py"].replace("self.middle_ =", "self.wrong_ = len(y) > 3500\n        self.middle_ =")
    regression(world, **{"team/line.py": source.replace("model.twist", "model.wrong_")})
    record, version = deployed(world)
    assert record["deployed"]["refitted"] is False
    assert "the graph does not predict what the pipeline predicts" in record["deployed"]["reason"]
    assert version.trained_until == "2024-02-01T08:00:00Z"
    assert world.data.get(f"{version.prefix}model.onnx") == world.data.get("staging/r1/model.onnx")


def test_a_refit_that_disagrees_leaves_the_model_that_was_evaluated(world: World) -> None:
    source = SOURCES["team/line.py"].replace("np.median(y))", "np.median(y)) + 2 * (len(y) > 3500)")
    regression(world, **{"team/line.py": source})
    record, version = deployed(world)
    assert record["passed"]
    assert [check["passed"] for check in record["refit"]["checks"]] == [False, False]
    assert record["deployed"]["refitted"] is False
    assert "fitted again, at some score" in record["deployed"]["reason"]
    assert version.trained_until == "2024-02-01T08:00:00Z"
    assert world.data.get(f"{version.prefix}model.onnx") == world.data.get("staging/r1/model.onnx")


def untimed(world: World, **given: Any) -> None:
    deploy(world, extra={"contracts/trips.yaml": CONTRACT.replace(EVENT_TIME, "")}, **given)


@pytest.mark.parametrize("refit", [False, True])
def test_without_event_times_rows_of_new_versions_are_compared(world: World, refit: bool) -> None:
    untimed(world, train=f"refit: {str(refit).lower()}")
    drop(world, trips(range(20), per_day=100), "first")
    trained(world, "r1")
    record, version = judged(world, "r1")
    assert record["deployed"]["refitted"] is refit
    assert version.trained_until is None
    serve(world, version)
    # the same rows, one feature more: only what nobody was fitted on again is the same as before
    untimed(world, features="[amount, city, sunny, noise]", train=f"refit: {str(refit).lower()}")
    trained(world, "r2")
    if refit:
        assert "a further version can change this" in refused(world, "r2", "auc.champion")
    else:
        assert judged(world, "r2")[0]["comparison"]["rows"] == {"by": "split", "rows": 400}
    drop(world, trips(range(20, 60), per_day=100), "second")
    trained(world, "r3")
    record, _ = judged(world, "r3")
    assert record["comparison"]["rows"]["versions"] == [2]
    assert 600 < record["comparison"]["rows"]["rows"] < 1000
    assert record["passed"], record["gates"]
