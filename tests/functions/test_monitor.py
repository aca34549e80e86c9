"""Stage monitor from outside: days of traffic and outcomes in; a report, and alarms that mean something, out."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from functions.feedback.handler import lambda_handler as feedback
from functions.monitor.handler import lambda_handler
from perennial.errors import BundleInvalid, ModelUnknown, WindowInvalid
from perennial.monitoring.events import DRIFT_DETECTED, PERFORMANCE_DEGRADED, MonitorInput
from perennial.monitoring.grid import make_grid
from perennial.monitoring.profile import profile
from perennial.monitoring.reference import refer
from perennial.monitoring.scores import score_columns
from perennial.outcomes import Outcome, write_outcomes
from perennial.registry.models import version_prefix
from perennial.stage import InputInvalid
from tests.functions import watched
from tests.functions.conftest import EVENTS, World
from tests.functions.watched import ROWS, SPEC, at, day, draw, ids, live, predict, serve, tell
from tests.unit.monitoring.logs import counted
from tests.unit.serving.bundles import MODEL


@pytest.fixture
def ready(world: World) -> World:
    """The world with a model whose first version serves."""
    watched.deploy(world)
    serve(world)
    return world


def look(number: float, **more: Any) -> dict[str, Any]:
    """A look as of so many days after the first one."""
    return lambda_handler({"model": MODEL, "as_of": at(number).isoformat(), **more}, None)


def report(world: World, seen: dict[str, Any]) -> dict[str, Any]:
    found: dict[str, Any] = world.data.get_json(seen["report_key"])
    return found


def objects(world: World) -> dict[str, str]:
    return {one.key: one.etag for one in world.data.entries("")}


@pytest.mark.parametrize("sample", ["monitor", "monitor-window"])
def test_the_sample_events_are_looks(sample: str) -> None:
    MonitorInput.model_validate_json((EVENTS / f"{sample}.json").read_text("utf-8"))


def test_a_quiet_model_is_watched_and_nobody_is_told(ready: World) -> None:
    live(ready, range(24))
    seen = look(24.3)
    assert (seen["state"], seen["alarms"], seen["raised"]) == ("watched", [], False)
    assert (seen["first"], seen["last"], seen["predictions"]) == ("2026-03-11", "2026-03-24", 14 * ROWS)
    found = report(ready, seen)
    assert found["drift"]["state"] == "compared"
    assert {one["name"] for one in found["drift"]["columns"]} == {
        "distance", "hour", "night", "carrier", "__score__", "__confidence__",
    }  # fmt: skip
    assert found["quality"] == {
        "findings": [],
        "freshness": {"last": "2026-03-24T12:00:00+00:00", "silent_days": [], "forgotten_days": []},
    }
    assert not ready.facts(DRIFT_DETECTED)
    assert not ready.facts(PERFORMANCE_DEGRADED)
    assert ready.ledger_facts(f"model/{MODEL}") == ["registered"]


def test_performance_is_told_of_complete_cohorts_beside_what_training_had(ready: World) -> None:
    live(ready, range(24))
    found = report(ready, look(24.3))
    cohort, performance = found["performance"]["cohort"], found["performance"]
    # day 19 is the newest whose outcomes, three days later, are all there
    assert (cohort["from"], cohort["to"], cohort["coverage"]) == (str(day(6)), str(day(19)), 1.0)
    assert performance["rows"] == 14 * ROWS
    auc = performance["metrics"]["auc"]
    assert auc["low"] < auc["value"] < auc["high"]
    assert 0.7 < auc["value"] < 0.9
    assert performance["trained"]["auc"] == pytest.approx(auc["value"], abs=0.05)
    assert [one["day"] for one in performance["by_day"]] == [str(day(number)) for number in range(6, 20)]
    assert (found["harm"]["alarm"], found["harm"]["days"]) == (False, 21)
    assert {one["value"] for one in performance["slices"]} == {"AA", "UA", "é <b>&amp;</b>"}
    value = found["value"]
    assert value["unit"] == "EUR"
    assert value["versions"][0]["total"] == pytest.approx(sum(one["total"] for one in value["by_day"]))


def test_what_moved_is_told_with_how_much_since_when_and_what_happens_next(ready: World) -> None:
    live(ready, range(14))
    live(ready, range(14, 24), moved=1.0)
    seen = look(24.3)
    (alarm,) = report(ready, seen)["alarms"]
    assert alarm["what"] == "distance has moved from what version 1 was trained on"
    assert alarm["how_much"].startswith("distance: mean ")
    assert (alarm["since"], alarm["predictions"]) == (str(day(14)), 14 * ROWS)
    assert "asked for a training" in alarm["next"]
    assert "100 new outcomes and 48 hours" in alarm["next"]
    (fact,) = ready.facts(DRIFT_DETECTED)
    told = fact["detail"]
    assert (told["model"], told["version"], told["reason"], told["key"]) == (MODEL, 1, "drift", alarm["key"])
    assert (told["outcomes"], told["report_key"]) == (14 * ROWS, seen["report_key"])
    assert told["summary"] == seen["alarms"][0]
    (record,) = [one for one in ready.ledger.read(f"model/{MODEL}") if one.fact == "alarmed"]
    assert record.evidence["key"] == alarm["key"]
    assert record.evidence["what"] == alarm["what"]


def test_an_alarm_that_is_found_again_has_the_same_key_and_one_record(ready: World) -> None:
    live(ready, range(14))
    live(ready, range(14, 26), moved=1.0)
    for number in (24.3, 25.3, 26.3):
        look(number)
    facts = ready.facts(DRIFT_DETECTED)
    assert len(facts) == 3
    assert {fact["detail"]["key"] for fact in facts} == {f"drift/{MODEL}/1/{day(23)}"}
    assert ready.ledger_facts(f"model/{MODEL}").count("alarmed") == 1


def test_a_model_that_became_worse_is_told_apart_from_inputs_that_moved(ready: World) -> None:
    live(ready, range(10))
    live(ready, range(10, 34), skill=0.1)
    found = report(ready, look(34.3))
    performance = [one for one in found["alarms"] if one["reason"] == "performance"]
    assert [one["version"] for one in performance] == [1]
    harm = found["harm"]
    assert harm["alarm"]
    assert str(day(8)) <= harm["since"] <= str(day(16))
    (fact,) = ready.facts(PERFORMANCE_DEGRADED)
    assert fact["detail"]["outcomes"] == 14 * ROWS


def test_an_alarm_of_harm_stays_when_outcomes_stop_coming(ready: World) -> None:
    live(ready, range(10))
    live(ready, range(10, 34), skill=0.1)
    (before,) = [one for one in report(ready, look(34.3))["alarms"] if one["reason"] == "performance"]
    live(ready, range(34, 56), told=False)
    look(44.3)
    seen = look(56.3)
    found = report(ready, seen)
    assert found["performance"] is None
    (after,) = [one for one in found["alarms"] if one["reason"] == "performance"]
    assert (after["key"], after["since"], after["how_much"]) == (before["key"], before["since"], before["how_much"])
    page = ready.data.get(seen["html_key"]).decode()
    assert "Performance degraded" in page
    assert "Harm is shown" in page


def test_the_next_champion_starts_anew_and_is_judged_by_its_own_rows(ready: World) -> None:
    live(ready, range(10), moved=1.0)
    serve(ready, "r2", when=9.5)
    live(ready, range(10, 24), version=2)
    predict(ready, 100, draw(0), version=2)
    found = report(ready, look(24.3))
    assert found["champion"] == 2
    assert [(one["version"], one["rows"]) for one in found["versions"]] == [(2, 14 * ROWS)]
    assert not found["alarms"]
    assert {one["version"] for one in found["performance"]["by_day"]} == {1, 2}
    assert found["performance"]["rows"] == 10 * ROWS
    assert [one["version"] for one in found["value"]["versions"]] == [1, 2]


@pytest.mark.parametrize(("refitted", "alarm"), [(None, True), (0.02, True), (0.1, False)])
def test_a_version_fitted_again_may_score_as_far_off_as_evaluation_measured(
    world: World, refitted: float | None, *, alarm: bool
) -> None:
    watched.deploy(world)
    serve(world, refitted=refitted)
    for number in range(24):
        rows = draw(number)
        # 6 % of the rows elsewhere
        predict(
            world, number, replace(rows, score=np.where(rows.score > np.quantile(rows.score, 0.94), 0.02, rows.score))
        )
    drift = report(world, look(24.3))["drift"]
    score = next(one for one in drift["columns"] if one["name"] == "__score__")
    assert 0.04 < score["effect"] < 0.1 and score["p"] is not None
    assert score["threshold"] == pytest.approx(0.02 + (refitted or 0.0))
    assert (score["moved"], drift["alarm"]) == (alarm, alarm)
    assert next(one for one in drift["columns"] if one["name"] == "distance")["threshold"] == 0.02


# ---- states


def test_where_nothing_serves_that_is_the_state(world: World) -> None:
    watched.deploy(world)
    seen = look(24.3)
    assert (seen["state"], seen["predictions"], seen["alarms"]) == ("nothing serves", 0, [])
    assert set(report(world, seen)["why"].values()) == {"nothing serves"}


def test_an_empty_window_is_a_state_and_no_drift(ready: World) -> None:
    seen = look(24.3)
    assert (seen["state"], seen["alarms"]) == ("no traffic", [])
    found = report(ready, seen)
    assert found["drift"] is found["performance"] is found["value"] is None
    assert found["why"]["drift"] == "version 1, which serves, answered nothing in this window"
    assert found["why"]["performance"].startswith("no predictions between 2026-03-07 and 2026-03-20")
    assert len(found["quality"]["freshness"]["silent_days"]) == 14


def test_a_version_without_a_profile_is_watched_by_its_outcomes_alone(world: World) -> None:
    watched.deploy(world)
    serve(world, referenced=False)
    live(world, range(24), moved=3.0)
    seen = look(24.3)
    found = report(world, seen)
    assert (seen["state"], found["drift"], found["reference"]) == ("no reference", None, None)
    assert found["performance"]["rows"] == 14 * ROWS


def test_predictions_without_outcomes_are_a_state_of_performance_alone(ready: World) -> None:
    live(ready, range(24), told=False)
    seen = look(24.3)
    found = report(ready, seen)
    assert (seen["state"], found["performance"]) == ("watched", None)
    assert found["why"]["performance"] == ("none of the 1,680 predictions from 2026-03-07 to 2026-03-20 has an outcome")
    assert found["cohort"]["coverage"] == 0.0


def test_days_with_too_little_to_judge_by_say_so(ready: World) -> None:
    live(ready, range(20, 24))
    found = report(ready, look(24.3))
    assert (found["drift"]["state"], found["drift"]["alarm"]) == ("too few days", False)


def test_the_estimate_is_withheld_until_it_has_been_better(ready: World) -> None:
    live(ready, range(24))
    estimate = report(ready, look(24.3))["estimate"]
    assert (estimate["shown"], estimate["cbpe"]) == (False, None)
    assert "past windows" in estimate["reason"]


# ---- bad input


def test_outcomes_that_are_wrong_are_named_and_nothing_counts_twice(ready: World) -> None:
    live(ready, range(24), told=False)
    rows = draw(10)
    tell(ready, 10, rows)
    tell(ready, 10, rows, after=1.5)  # the same again, later

    def said(row: int, outcome: bool, *, asked: int = 10, after: float = 1.0, known: float | None = None) -> Outcome:
        moment = at(asked + 0.5 + after)
        observed = moment if known is None else at(known)
        return Outcome(outcome, observed, moment, prediction_id=f"{ids(asked)}-{row}")

    write_outcomes(
        ready.data,
        MODEL,
        [
            said(0, not rows.late[0], after=2.0),  # contradicts
            said(5000, True),  # no such row
            said(0, True, asked=11, after=3.4),  # hours after the horizon
            said(1, True, asked=11, known=11.0),  # true before it was asked
            said(0, True, asked=-340, after=360.0),  # nearly a year late
        ],
    )
    cohort = report(ready, look(24.3))["cohort"]
    wanted = {"with_outcome": ROWS, "contradicting": 1, "unknown": 1, "before": 1, "late": 1, "older": 1}
    assert {name: cohort[name] for name in wanted} == wanted
    assert cohort["predictions"] == 14 * ROWS


def test_dates_that_are_none_are_refused_and_stop_no_look_where_they_are_stored_already(ready: World) -> None:
    live(ready, range(24))
    rest = ids(10)[10:]
    rows = [f"2024-02-30{rest}-0,true", f"{ids(19)}-{ROWS},true"]
    body = "\n".join(["prediction_id,outcome", *rows]).encode()
    answer = feedback(ready.drop(f"feedback/{MODEL}/march.csv", body) | {"as_of": at(19.9).isoformat()}, None)
    assert (answer["status"], answer["outcomes"], answer["quarantined"]) == ("accepted", 1, 1)
    assert ready.data.get_json(answer["report_key"])["problems"][0]["rule"] == "pattern"
    wrong = ("2024-02-30", "2026-13-01", "0000-01-01", "9999-12-31")
    stored = [Outcome(True, at(12), at(12), prediction_id=f"{one}{rest}-0") for one in wrong]
    write_outcomes(ready.data, MODEL, stored)
    seen = look(24.3)
    cohort = report(ready, seen)["cohort"]
    assert (cohort["unknown"], cohort["late"], cohort["with_outcome"]) == (5, 0, 14 * ROWS)


def test_amounts_that_no_sum_can_hold_leave_a_look_without_value_alone(ready: World) -> None:
    live(ready, range(24))
    huge = [Outcome(True, at(12), at(12), prediction_id=f"{ids(10)}-{row}", amount=1.7e308) for row in range(2)]
    write_outcomes(ready.data, MODEL, huge)
    seen = look(24.3)
    found = report(ready, seen)
    assert (found["value"], found["performance"]["rows"]) == (None, 14 * ROWS)
    assert found["why"]["value"] == ("outcomes with amounts beyond 1,000,000,000,000,000, which no sum can hold: 2")
    assert found["why"]["value"][1:] in ready.data.get(seen["html_key"]).decode()


def test_an_export_that_says_everything_again_each_night_is_not_late(ready: World) -> None:
    live(ready, range(24))
    tell(ready, 7, draw(7), after=15.0)  # day 22: said again, by a clock of its own
    tell(ready, 8, draw(8), after=14.0, said=[*draw(8).late.tolist(), True, True])  # and of two rows more
    tell(ready, 2, draw(2), after=20.0)  # of a day before the cohort's
    write_outcomes(ready.data, MODEL, [Outcome(not draw(9).late[0], at(22), at(22), prediction_id=f"{ids(9)}-0")])
    cohort = report(ready, look(24.3))["cohort"]
    assert (cohort["late"], cohort["older"], cohort["with_outcome"]) == (3, ROWS, 14 * ROWS)


def test_late_outcomes_never_change_what_was_told(ready: World) -> None:
    live(ready, range(24))
    before = report(ready, look(24.3))
    for number in range(19):
        tell(ready, number, draw(number + 1000), after=24 - number)
    sealed = {key: etag for key, etag in objects(ready).items() if key.startswith("monitoring/")}
    window = {"from": before["window"]["from"], "to": before["window"]["to"]}
    again = report(ready, look(24.9, **window))
    assert again["performance"]["metrics"] == before["performance"]["metrics"]
    assert {key: etag for key, etag in objects(ready).items() if key in sealed} == sealed


@pytest.mark.parametrize(
    ("asked", "message"),
    [
        ({"from": "2026-03-10", "to": "2026-03-01"}, "2026-03-10 and end on 2026-03-01"),
        ({"to": "2026-03-26"}, "has not been yet"),
        ({"from": "2025-11-01", "to": "2026-03-10"}, "130 days; it may have 92"),
        ({"from": "2025-11-01", "to": "2025-11-10"}, "are kept for 90 days"),
    ],
)
def test_days_that_are_no_window_are_refused(ready: World, asked: dict[str, str], message: str) -> None:
    with pytest.raises(WindowInvalid, match=message):
        look(24.3, **asked)


def test_what_is_no_look_is_refused(ready: World) -> None:
    with pytest.raises(ModelUnknown):
        lambda_handler({"model": "nothing", "as_of": at(1).isoformat()}, None)
    for wrong in ({"from": "yesterday"}, {"as_of": "2026-03-01T00:00:00"}):
        with pytest.raises(InputInvalid):
            look(24.3, **wrong)


def test_files_that_are_not_the_registered_ones_are_not_believed(ready: World) -> None:
    live(ready, range(24))
    ready.data.put(f"{version_prefix(MODEL, 1)}profile.json.gz", b"another")
    with pytest.raises(BundleInvalid, match=r"profile\.json\.gz"):
        look(24.3)


# ---- once, and at what cost


def test_a_look_that_a_person_asks_for_at_other_days_tells_that_person_alone(ready: World) -> None:
    live(ready, range(24), moved=1.0)
    seen = look(24.3, **{"from": str(day(2)), "to": str(day(20))})
    assert (len(seen["alarms"]), seen["raised"]) == (1, False)
    assert not ready.facts(DRIFT_DETECTED)
    assert "alarmed" not in ready.ledger_facts(f"model/{MODEL}")


def test_a_schedule_that_fires_twice_leaves_the_same_objects_and_one_record(ready: World) -> None:
    live(ready, range(24), moved=1.0)
    seen = look(24.3)
    before = objects(ready)
    assert look(24.3) == seen
    assert objects(ready) == before
    assert ready.ledger_facts(f"model/{MODEL}").count("alarmed") == 1


@pytest.mark.parametrize("windows", [14, pytest.param(365, marks=pytest.mark.full)])
@pytest.mark.timeout(1800)
def test_a_look_costs_the_same_after_many_windows_as_after_one(world: World, windows: int) -> None:
    watched.deploy(world, SPEC.replace("window: 14d, horizon: 3d", "window: 7d, horizon: 2d"))
    serve(world)
    world.setenv(PREDICTION_LOG_DAYS="500")
    live(world, range(14), rows=3)
    look(14.3)

    def next_look(number: int) -> list[str]:
        live(world, [number], rows=3)
        with counted() as calls:
            look(number + 1.3)
        return calls

    first = next_look(14)
    # past windows of seven days are judged each seventh day: the same weekday is compared
    last = 14 + windows // 7 * 7
    for number in range(15, last):
        next_look(number)
    assert sorted(next_look(last)) == sorted(first)


# ---- other tasks

LABELS = {"regression": ("delay", "number"), "multiclass": ("kind", "string")}
OTHERS = {
    task: SPEC.replace("task: binary", f"task: {task}").replace("{column: late}", f"{{column: {label}}}")
    for task, (label, _) in LABELS.items()
}


def other(world: World, task: str) -> None:
    """A champion of another task, 24 days of its answers, and what came of them."""
    spec = "\n".join(line for line in OTHERS[task].splitlines() if not line.startswith("value:"))
    later = "customProperties: [{property: availableAtPrediction, value: false}]"
    labels = [f"      - {{name: {name}, logicalType: {kind}, {later}}}\n" for name, kind in LABELS.values()]
    contract = watched.CONTRACT + "".join(labels)
    world.deploy_catalog(None, {"contracts/flights.yaml": contract, f"models/{MODEL}.yaml": spec})
    classes = ["a", "b", "c"] if task == "multiclass" else None
    rng = np.random.default_rng(7)

    def answers(rows: int) -> tuple[Any, Any]:
        """Answers [n, k], and labels that follow them."""
        if classes is None:
            value = rng.normal(20, 8, (rows, 1))
            return value, value[:, 0] + rng.normal(0, 4, rows)
        shares = rng.dirichlet((1, 1, 1), rows)
        return shares, np.array([rng.choice(3, p=one) for one in shares])

    held, label = answers(20 * ROWS)
    days = np.repeat([np.datetime64(day(number - 40), "D") for number in range(20)], ROWS)
    reference = refer(task, label, held, days)
    distances = {"distance": rng.normal(900, 250, 20 * ROWS)}
    columns = distances | score_columns(task, held, classes)
    watched.serve(world, task=task, held_out=reference, profiled=profile(make_grid(columns), days, columns))
    for number in range(24):
        found, came = answers(ROWS)
        told = {"prediction": found[:, 0].tolist()}
        if classes is not None:
            told = {"prediction": [classes[place] for place in found.argmax(axis=1)], "probability": found.tolist()}
        predict(world, number, draw(number), outputs=told)
        said = came.tolist() if classes is None else [classes[place] for place in came]
        tell(world, number, draw(number), said=said)


@pytest.mark.parametrize("task", sorted(OTHERS))
def test_other_tasks_are_watched_by_their_own_measures(world: World, task: str) -> None:
    other(world, task)
    seen = look(24.3)
    found = report(world, seen)
    assert (seen["state"], seen["alarms"]) == ("watched", [])
    performance = found["performance"]
    assert performance["metric"] == {"regression": "rmse", "multiclass": "auc"}[task]
    assert performance["rows"] == 14 * ROWS
    assert performance["metrics"][performance["metric"]]["value"] == pytest.approx(
        performance["trained"][performance["metric"]], rel=0.15
    )
    names = {one["name"] for one in found["drift"]["columns"]}
    assert names == {"distance", "__score__"} | ({"__confidence__"} if task == "multiclass" else set())
    assert found["harm"]["alarm"] is False
    assert performance["calibration"]
    page = world.data.get(seen["html_key"]).decode()
    assert {"regression": "RMSE", "multiclass": "AUC"}[task] in page
