"""What the bench `monitoring` is made of: the models that serve for years, and the estimates it sets side by side."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from perennial.monitoring.harm import ALPHA
from perennial.monitoring.losses import DayLoss
from scripts.benchmarks import harm, label_free
from scripts.benchmarks.interleave import contenders, own
from scripts.benchmarks.served import FIRST, WINDOW, Days, champion, fixed_windows, in_processes, wandering

MODELS = 20


def quiet(say: str) -> None:
    """Nobody listens."""


def scored() -> label_free.Scored:
    """March and the nine months after it, in which inputs move and what is true given them does not."""
    rng = np.random.default_rng(11)
    month = np.repeat(np.arange(3, 13), 4000)
    x = rng.normal(size=len(month)) * (1.4 - month / 12)
    late = (rng.random(len(month)) < 1 / (1 + np.exp(1 - x))).astype(int)
    return label_free.Scored(pd.DataFrame({"month": month, "score": 1 / (1 + np.exp(-2 * x)), "late": late}))


def test_our_side_estimates_each_month(tmp_path: Path) -> None:
    flights = scored()
    flights.write(tmp_path / "scores.csv")
    command = own(Path(sys.executable), "label_free", str(tmp_path / "scores.csv"), str(tmp_path / "found.csv"))
    with contenders({"perennial": command}) as started:
        assert started["perennial"].work("months", 1) > 0
    found = label_free.estimates(tmp_path / "found.csv")
    assert sorted(found) == list(range(4, 13))
    for month, auc in found.items():
        assert auc == pytest.approx(flights.auc(month), abs=0.04)


def test_the_estimate_is_set_beside_the_peers_and_beside_no_change() -> None:
    flights = scored()
    truth = {month: flights.auc(month) for month in range(4, 13)}
    ours = {month: auc + 0.001 for month, auc in truth.items()}
    apart, error = label_free._agreement(flights, ours, truth, {"nannyml": "0"})
    assert apart.met
    assert apart.ours == pytest.approx(0.001)
    assert error.ours == pytest.approx(0.001)
    assert error.peer is not None
    assert error.peer > 0.01
    assert "(shown)" in error.name


def test_the_harm_test_is_set_beside_fixed_windows() -> None:
    false, quiet_years, *delays = harm.rows(quiet, MODELS)
    assert (false.ours, false.met) == (0.0, True)
    assert false.peer is not None
    assert false.peer > 100 * ALPHA
    assert quiet_years.ours == 0.0
    assert [row.unit for row in delays] == ["days", "days"]
    assert all(row.met for row in delays)


def test_models_are_the_same_in_one_process_and_in_several() -> None:
    alone = in_processes(harm.at_the_edge, 4)
    assert in_processes(harm.at_the_edge, 4, processes=2) == alone
    assert len(set(alone)) > 1


def test_a_fixed_window_is_looked_at_when_it_is_full() -> None:
    state = champion(Days(), np.random.default_rng(0))
    rng = np.random.default_rng(1)
    noise = 0.001 * rng.normal(size=4 * WINDOW)
    bad = [DayLoss(state.bound + 0.2 * (day >= WINDOW) + noise[day] - 0.01, 50.0) for day in range(4 * WINDOW)]
    assert fixed_windows(state, bad) == 2 * WINDOW - 1
    assert fixed_windows(state, bad[: 2 * WINDOW - 1]) == np.inf
    assert state.last is None
    assert FIRST.isoformat() == "2024-01-01"


def test_a_memory_leaves_as_much_as_it_says() -> None:
    found = wandering(50_000, 0.7, np.random.default_rng(2))
    assert found.std() == pytest.approx(1, abs=0.03)
    assert np.corrcoef(found[1:], found[:-1])[0, 1] == pytest.approx(0.7, abs=0.02)
