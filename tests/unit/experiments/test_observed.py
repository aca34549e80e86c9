"""From the prediction log and outcomes to the rows of two arms, and to what is said of them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from perennial.catalog.model import ModelSpec
from perennial.experiments.observed import CROSSED, UNLIKE, Observed, observe
from perennial.experiments.report import report
from perennial.outcomes import Outcome
from perennial.registry import Experiment
from perennial.serving.log import SHORTENED, rows_of
from tests.unit.serving.bundles import MODEL, VERSION
from tests.unit.serving.experiments import CHALLENGER, SALT, Experimenter
from tests.unit.serving.requests import ROW, request

AT = datetime(2013, 4, 2, tzinfo=UTC)
ROWS = [{**ROW, "carrier": f"C{row % 100}", "distance": float(row)} for row in range(400)]
SPEC = ModelSpec.model_validate(
    {"name": MODEL, "dataset": "flights", "task": "binary", "label": {"column": "late"}, "features": ["carrier"]}
)
EXPERIMENT = Experiment(
    champion=VERSION, challenger=CHALLENGER, share=0.5, entity=("carrier",), salt=SALT, metric="brier", alpha=0.05
)


@pytest.fixture(scope="module")
def log(tmp_path_factory: pytest.TempPathFactory) -> list[dict[str, Any]]:
    """The records of a few requests, one row of which takes no part."""
    running = Experimenter(tmp_path_factory.mktemp("running"))
    for start in range(0, len(ROWS), 90):
        running.infer(request(*ROWS[start : start + 90]))
    running.infer(request({**ROW, "carrier": None}))
    # one request id for all in this process
    return [{**one, "ids": f"{one['ids']}{number}"} for number, one in enumerate(running.records)]


def outcomes(log: Sequence[dict[str, Any]], label: Any = 1, amount: float | None = 2.0) -> list[Outcome]:
    ids = [prediction.id for record in log for prediction in rows_of(record)]
    return [Outcome(label, AT, AT, prediction_id=identity, amount=amount) for identity in ids]


def of(log: Sequence[dict[str, Any]], known: Sequence[Outcome], experiment: Experiment = EXPERIMENT) -> Observed:
    return observe(log, known, experiment, SPEC, (0, 1))


def test_every_row_is_in_its_entity_s_arm(log: list[dict[str, Any]]) -> None:
    found = of(log, outcomes(log))
    assert found.champion.rows + found.challenger.rows == len(ROWS)
    assert found.champion.entities + found.challenger.entities == 100
    assert found.excluded == {}
    for arm, name in ((found.champion, "champion"), (found.challenger, "challenger")):
        mine = [record for record in log if record.get("arm") == name]
        assert arm.rows == len(arm.label) == sum(record["rows"] for record in mine)
        answers = [row for record in mine for row in record["outputs"]["probability"]]
        assert sorted(arm.answers[:, 1].tolist()) == sorted(row[1] for row in answers)
        assert (arm.amount == 2.0).all()
        assert len(np.unique(arm.entity)) == arm.entities


def test_rows_without_an_outcome_count_towards_coverage_alone(log: list[dict[str, Any]]) -> None:
    found = of(log, outcomes(log)[::2])
    shown = report(EXPERIMENT, SPEC, found).to_json()
    for name, arm in (("champion", found.champion), ("challenger", found.challenger)):
        assert shown["arms"][name]["coverage"] == len(arm.label) / arm.rows
        assert 0.4 < shown["arms"][name]["coverage"] < 0.6


def test_what_is_of_no_use_is_counted_by_reason(log: list[dict[str, Any]]) -> None:
    first = next(record for record in log if record.get("arm"))
    others = [record for record in log if record is not first]
    shortened = of([*others, {**first, "inputs": None}], outcomes(log))
    assert shortened.excluded == {SHORTENED: first["rows"]}
    unlike = observe(log, outcomes(log, label="late"), EXPERIMENT, replace_above(), (0, 1))
    assert unlike.excluded == {UNLIKE: len(ROWS)}


def replace_above() -> ModelSpec:
    return SPEC.model_copy(update={"label": SPEC.label.model_copy(update={"above": 15.0})})


def test_a_label_above_a_bound_is_a_class(log: list[dict[str, Any]]) -> None:
    late, early = (observe(log, outcomes(log, label=m), EXPERIMENT, replace_above(), (0, 1)) for m in (16, 15))
    assert set(late.champion.label.tolist()) == {1}
    assert set(early.champion.label.tolist()) == {0}


def test_rows_that_met_another_arm_withhold_the_verdict(log: list[dict[str, Any]]) -> None:
    swapped = {"champion": "challenger", "challenger": "champion"}
    crossed = [{**one, "arm": swapped[one["arm"]]} if one.get("arm") and i < 2 else one for i, one in enumerate(log)]
    found = of(crossed, outcomes(log))
    assert found.excluded == {CROSSED: sum(record["rows"] for record in crossed[:2])}
    shown = report(EXPERIMENT, SPEC, found)
    assert shown.withheld is not None
    assert "another arm" in shown.withheld
    assert {one.verdict for one in shown.measures} == {"withheld"}


def test_a_wrong_split_withholds_the_verdict(log: list[dict[str, Any]]) -> None:
    found = of(log, outcomes(log))
    many = Observed(replace(found.champion, entities=9000), replace(found.challenger, entities=8000), {})
    shown = report(EXPERIMENT, SPEC, many)
    assert not shown.balance.held
    assert shown.withheld is not None
    assert "47.06% of the entities" in shown.withheld
    assert {one.verdict for one in shown.measures} == {"withheld"}


def test_another_experiment_s_rows_are_passed_over(log: list[dict[str, Any]], tmp_path: Path) -> None:
    other = EXPERIMENT.model_copy(update={"salt": "another"})
    found = of(log, outcomes(log), other)
    assert (found.champion.rows, found.challenger.rows, found.excluded) == (0, 0, {})
    shown = report(other, SPEC, found)
    assert (shown.measures, shown.balance.share) == ([], None)
    assert shown.withheld == "outcomes of 0 entities in one arm, at least 30 are needed"


def test_both_measures_are_of_all_rows(log: list[dict[str, Any]]) -> None:
    found = of(log, outcomes(log))
    shown = report(EXPERIMENT, SPEC, found)
    quality, value = shown.measures
    for arm, estimate in ((found.champion, quality.champion), (found.challenger, quality.challenger)):
        assert estimate.value == pytest.approx(float(((arm.answers[:, 1] - 1) ** 2).mean()))
    assert (value.champion.value, value.difference.value) == (2.0, 0.0)
    # the challenger's graph is the champion's turned around, and every row was of class 1
    assert quality.verdict in ("better", "worse")
    assert shown.withheld is None
