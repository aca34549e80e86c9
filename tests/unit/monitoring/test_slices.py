"""Slices: what is worse is found; what is only different is not."""

from __future__ import annotations

import json

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import false_discovery_control

from perennial.evaluation.blocks import Array
from perennial.monitoring.answered import Answered
from perennial.monitoring.slices import ALPHA, MISSING, labelled, reject, slices
from scripts.benchmarks.served import wandering
from tests.unit.monitoring.answered_made import EPOCH, answered, binary

MARGIN = 0.02
# In both of the simulations: a carrier's rows, and how many of them.
CARRIERS, DAYS, PER_DAY = 12, 28, 40


def world(
    rng: np.random.Generator, *, bases: float = 0.0, worse: float = 0.0, day_spread: float = 0.1
) -> tuple[Answered, Array]:
    """Rows with a carrier each. Base rates of the carriers differ by `bases` (log odds), which the scores know; the
    first one's classes lie `worse` closer together.
    """
    day = np.repeat(np.arange(DAYS), CARRIERS * PER_DAY)
    carrier = np.tile(np.arange(CARRIERS), DAYS * PER_DAY)
    base = -1.0 + bases * np.linspace(-1, 1, CARRIERS)[carrier]
    label = (rng.random(len(day)) < 1 / (1 + np.exp(-base))).astype(np.int64)
    quality = 1.0 + day_spread * wandering(DAYS, 0.0, rng)[day] - worse * (carrier == 0)
    score = base + quality * label + rng.normal(size=len(day))
    names = np.array([f"C{number:02d}" for number in range(CARRIERS)], dtype=object)[carrier]
    return answered(label, binary(1 / (1 + np.exp(-score))), EPOCH + day), names


def worse_ones(margin: float, rng: np.random.Generator, **world_of: float) -> list[str]:
    rows, carrier = world(rng, **world_of)
    number = rng.normal(size=len(rows))
    found = slices("binary", rows, {"carrier": carrier, "number": number}, margin=margin, support=200)
    assert len(found["slices"]) == CARRIERS + 4
    return [one["value"] for one in found["slices"] if one["worse"]]


def share_with_an_alarm(simulations: int, margin: float, **world_of: float) -> float:
    """Share of simulations in which at least one slice is called worse."""
    return float(np.mean([bool(worse_ones(margin, np.random.default_rng(s), **world_of)) for s in range(simulations)]))


@pytest.mark.parametrize("simulations", [25, pytest.param(1000, marks=[pytest.mark.full, pytest.mark.timeout(3600)])])
def test_where_no_slice_differs_none_is_called_worse_more_often_than_alpha_says(simulations: int) -> None:
    """Without a margin: of significance alone. Few simulations scatter by more."""
    scatter = 2.6 * np.sqrt(ALPHA * (1 - ALPHA) / simulations)
    assert share_with_an_alarm(simulations, 0.0) <= ALPHA + scatter


@pytest.mark.parametrize("simulations", [25, pytest.param(1000, marks=[pytest.mark.full, pytest.mark.timeout(3600)])])
def test_slices_with_other_base_rates_and_the_same_quality_are_not_worse(simulations: int) -> None:
    """Each ranks its own rows alike; over all rows together the ranking is better than within any of them."""
    rows, _ = world(np.random.default_rng(0), bases=1.5)
    whole = slices("binary", rows, {"all": np.full(len(rows), "x", dtype=object)}, margin=0, support=1)["slices"][0]
    rows, carrier = world(np.random.default_rng(0), bases=1.5)
    each = slices("binary", rows, {"carrier": carrier}, margin=0, support=1)["slices"]
    assert all(one["metric"]["value"] < whole["metric"]["value"] - MARGIN for one in each)
    scatter = 2.6 * np.sqrt(ALPHA * (1 - ALPHA) / simulations)
    assert share_with_an_alarm(simulations, 0.0, bases=1.5) <= ALPHA + scatter


@pytest.mark.parametrize("simulations", [10, pytest.param(300, marks=[pytest.mark.full, pytest.mark.timeout(3600)])])
def test_a_slice_that_is_worse_is_found_and_no_other(simulations: int) -> None:
    found = [worse_ones(MARGIN, np.random.default_rng(s), bases=0.5, worse=0.5) for s in range(simulations)]
    assert np.mean(["C00" in one for one in found]) >= 0.9
    assert np.mean([len(set(one) - {"C00"}) > 0 for one in found]) <= 0.1


def test_what_is_worse_by_less_than_the_margin_is_not_called_worse() -> None:
    rows, carrier = world(np.random.default_rng(3), worse=0.5, day_spread=0.0)
    (first, *_) = slices("binary", rows, {"carrier": carrier}, margin=0.02, support=200)["slices"]
    assert (first["value"], first["worse"]) == ("C00", True)
    assert first["rest"] - first["metric"]["value"] == pytest.approx(first["by"])
    (again, *_) = slices("binary", rows, {"carrier": carrier}, margin=first["by"] + 0.001, support=200)["slices"]
    assert (again["value"], again["p"], again["worse"]) == ("C00", first["p"], False)


def test_values_with_little_support_are_counted_and_not_judged() -> None:
    rows, _ = world(np.random.default_rng(4))
    rare = np.where(np.arange(len(rows)) < 150, "rare", "usual").astype(object)
    found = slices("binary", rows, {"kind": rare}, margin=0.02, support=200)
    assert [(one["value"], one["p"], one["rest"]) for one in found["slices"]] == [("usual", None, None)]
    assert found["left_out"] == [
        {"column": "kind", "rows": 150, "reason": "in slices of fewer than 200 outcomes"},
    ]  # fmt: skip
    json.dumps(found, allow_nan=False)


def test_few_days_have_no_test() -> None:
    rows, carrier = world(np.random.default_rng(5), worse=1.0)
    early = rows.days < EPOCH + 5
    found = slices("binary", rows.part(early), {"carrier": carrier[early]}, margin=0.02, support=100)
    assert {one["p"] for one in found["slices"]} == {None}
    assert {one["metric"]["low"] for one in found["slices"]} == {None}


def test_a_slice_of_one_class_has_no_auc_and_is_left_out() -> None:
    rows, _ = world(np.random.default_rng(6))
    found = slices("binary", rows, {"class": rows.label.astype(float)}, margin=0.02, support=200)
    assert (found["slices"], found["left_out"][0]["rows"]) == ([], len(rows))


def test_a_metric_that_moves_with_the_base_rate_is_not_what_slices_are_judged_by() -> None:
    rows, carrier = world(np.random.default_rng(7))
    assert slices("binary", rows, {"carrier": carrier}, metric="accuracy", margin=0, support=1)["metric"] == "auc"
    value = answered(np.zeros(len(rows)), np.zeros((len(rows), 1)), rows.days)
    assert slices("regression", value, {"carrier": carrier}, metric="r2", margin=0, support=1)["metric"] == "rmse"
    assert slices("regression", value, {"carrier": carrier}, metric="mae", margin=0, support=1)["metric"] == "mae"


def test_a_regression_is_worse_where_errors_are_larger() -> None:
    rng = np.random.default_rng(8)
    rows, carrier = world(rng)
    noise = rng.normal(size=len(rows)) * np.where(carrier == "C03", 1.5, 1.0)
    found = slices("regression", answered(noise, np.zeros((len(rows), 1)), rows.days), {"carrier": carrier},
                   margin=0.1, support=200)["slices"]  # fmt: skip
    assert [one["value"] for one in found if one["worse"]] == ["C03"]
    assert found[0]["by"] == pytest.approx(0.5, abs=0.1)


def test_numbers_are_put_into_bins_and_few_values_stay_themselves() -> None:
    assert labelled(np.array([1.0, 2.0, np.nan, 2.5])).tolist() == ["1", "2", MISSING, "2.5"]
    assert labelled(np.array(["a", "", None], dtype=object)).tolist() == ["a", MISSING, MISSING]
    bins = labelled(np.arange(100.0))
    assert sorted(set(bins.tolist())) == [
        "0 to below 24.75",
        "24.75 to below 49.5",
        "49.5 to below 74.25",
        "74.25 to 99",
    ]
    assert (np.unique(bins, return_counts=True)[1] == 25).all()
    mostly = np.concatenate([np.zeros(1000), np.arange(1.0, 12)])
    assert set(labelled(mostly).tolist()) == {"0 to 11"}


@given(ps=st.lists(st.floats(1e-6, 1), min_size=1, max_size=30), alpha=st.floats(0.01, 0.5))
def test_the_procedure_is_benjamini_and_hochbergs(ps: list[float], alpha: float) -> None:
    adjusted = false_discovery_control(ps)
    if np.isclose(adjusted, alpha, rtol=1e-9).any():
        return
    assert reject([None, *ps], alpha) == [False, *(adjusted <= alpha)]
