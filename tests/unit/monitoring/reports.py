"""A report as stage monitor writes it, with something in every part; texts that would break a page if they were let."""

from __future__ import annotations

from datetime import date, timedelta
from itertools import pairwise
from typing import Any

import numpy as np

EVIL = "<script>alert('x')</script> & \"co\""
FIRST = date(2013, 4, 1)
DAYS = 28


def _bins(seed: int, moved: float) -> dict[str, Any]:
    """Shares of a number in bins of about equal counts."""
    rng = np.random.default_rng(seed)
    before, now = rng.gamma(3, 200, 20_000), rng.gamma(3, 200 * (1 + moved), 4_000)
    edges = [0.0, *np.quantile(before, np.linspace(0, 1, 25))[1:-1].round(1).tolist(), float(before.max().round(1))]
    names = [f"{low:g} – {high:g}" for low, high in pairwise(edges)]

    def shares(values: Any) -> list[float]:
        counts = np.histogram(values, edges)[0] / len(values)
        return [0.0, *counts.round(6).tolist(), round(float((values > edges[-1]).mean()), 6), 0.0]

    return {
        "labels": ["below 0", *names, f"from {edges[-1]:g}", "missing"],
        "edges": edges,
        "reference": shares(before),
        "window": shares(now),
    }


def column(
    name: str, *, kind: str = "number", moved: float = 0.0, role: str = "plain", seed: int = 1
) -> dict[str, Any]:
    bins = _bins(seed, moved)
    if kind == "category":
        bins = {
            "labels": ["UA", "B6", "EV", EVIL, "DL", "AA", "MQ", "US", "9E", "other", "unseen", "missing"],
            "edges": [],
            "reference": [0.2, 0.16, 0.15, 0.1, 0.1, 0.09, 0.08, 0.05, 0.04, 0.03, 0, 0],
            "window": [0.16, 0.2, 0.15, 0.06, 0.12, 0.09, 0.06, 0.05, 0.02, 0.03, 0.05, 0.01],
        }
    return {
        "name": name, "role": role, "kind": kind, "effect": 0.1234 if moved else 0.0081, "p": 0.0004 if moved else 0.41,
        "threshold": 0.02, "moved": bool(moved), "since": "2013-04-11" if moved else None,
        "words": "mean 601.2 -> 783.4; below 540.1: 50 % -> 31.2 %", "bins": bins,
    }  # fmt: skip


def _by_day(rng: np.random.Generator) -> list[dict[str, Any]]:
    found = []
    for number in range(DAYS):
        value = 0.69 - 0.004 * max(number - 14, 0) + rng.normal(0, 0.012)
        for version in (3, 4) if number == 12 else (3,) if number < 12 else (4,):
            found.append(
                {"day": str(FIRST + timedelta(days=number)), "version": version, "rows": 900 + number,
                 "value": None if number == 20 else value, "low": value - 0.03, "high": value + 0.03}
            )  # fmt: skip
    return found


def full() -> dict[str, Any]:
    """A window in which everything is wrong."""
    rng = np.random.default_rng(3)
    metric = {"value": 0.6512, "low": 0.6301, "high": 0.6723}
    slices = [
        {"column": "carrier", "value": EVIL, "rows": 812, "metric": {"value": 0.58, "low": 0.55, "high": 0.61},
         "rest": 0.664, "by": 0.084, "p": 0.0008, "worse": True},
        {"column": "carrier", "value": "UA", "rows": 5012, "metric": metric, "rest": 0.655, "by": 0.004, "p": 0.31,
         "worse": False},
        {"column": "origin", "value": "JFK", "rows": 7301, "metric": {"value": 0.67, "low": None, "high": None},
         "rest": None, "by": None, "p": None, "worse": False},
    ]  # fmt: skip
    drift = {
        "alarm": True, "alpha": 1 / 365, "state": "compared", "days": {"reference": 90, "window": 28}, "version": 4,
        "rows": 14_211,
        "columns": [
            column("distance", moved=0.3), column("__score__", moved=0.12, seed=5), column(EVIL, kind="category"),
            column("hour", seed=7), column("month", role="calendar"),
        ],
    }  # fmt: skip
    cohort = {
        "from": "2013-04-01", "to": "2013-04-28", "days": 28, "coverage": 0.9712, "predictions": 25_917,
        "with_outcome": 25_171, "late": 41, "older": 9, "before": 2, "unknown": 3, "further": 0,
        "contradicting": 7, "repeated": 120,
        "left_out": {"the outcome is no label of the model": 4},
    }  # fmt: skip
    harm = {
        "alarm": True, "version": 4, "since": "2013-04-15", "alarmed": "2013-04-26", "e_value": 143.2,
        "threshold": 100.0, "days": 28, "skipped": [], "words": "1 − AUC within a day is 0.412 since 2013-04-15",
    }  # fmt: skip
    by_day = _by_day(rng)
    performance = {
        "cohort": cohort, "metric": "auc", "version": 4, "rows": 14_211, "horizon_days": 7, "undefined": [],
        "metrics": {"auc": metric, "log_loss": {"value": 0.5131, "low": 0.49, "high": 0.53}},
        "trained": {"auc": 0.6934, "log_loss": 0.4702}, "intervals": {"confidence": 0.95, "days": 28, "missing": None},
        "versions": [
            {"version": 3, "rows": 10_960, "first": "2013-04-01", "last": "2013-04-13", "metrics": {"auc": metric}},
            {"version": 4, "rows": 14_211, "first": "2013-04-13", "last": "2013-04-28", "metrics": {"auc": metric}},
        ],
        "by_day": by_day, "slices": slices,
        "sliced": {"metric": "auc", "margin": 0.02, "alpha": 0.05, "left_out": [
            {"column": "carrier", "rows": 97, "reason": "in slices of fewer than 200 outcomes"}]},
        "calibration": [
            {"predicted": (k + 0.5) / 10, "observed": (k + 0.5) / 11, "rows": 1_421, "low": k / 12,
             "high": (k + 1) / 10}
            for k in range(10)
        ],
    }  # fmt: skip
    total = {"rows": 14_211, "total": 20_113.5, "total_low": 18_002.1, "total_high": 22_224.9, "mean": 1.4153,
             "low": 1.2667, "high": 1.5639}  # fmt: skip
    return {
        "model": "flight-delays", "task": "binary", "unit": EVIL, "champion": 4, "state": "watched", "why": {},
        "window": {"from": "2013-04-01", "to": "2013-04-28", "days": 28}, "as_of": "2013-05-07T06:00:00+00:00",
        "versions": [
            {"version": 3, "rows": 11_317, "first": "2013-04-01", "last": "2013-04-13"},
            {"version": 4, "rows": 14_600, "first": "2013-04-13", "last": "2013-04-28"},
        ],
        "predictions": 25_917,
        "by_day": [{"day": str(FIRST + timedelta(days=k)), "rows": 900 + 13 * (k % 7)} for k in range(DAYS)],
        "quality": {
            "findings": [
                {"column": EVIL, "rule": "unseen", "before": 0.0, "now": 0.0512, "p": 0.001, "example": EVIL},
                {"column": "distance", "rule": "missing", "before": 0.0012, "now": 0.0634, "p": 0.002, "example": None},
            ],
            "freshness": {"last": "2013-04-28T23:59:01+00:00", "silent_days": ["2013-04-07"], "forgotten_days": []},
        },
        "reference": {"version": 4, "rows": 80_789, "days": 90},
        "drift": drift, "performance": performance, "harm": harm, "cohort": cohort,
        "estimate": {"shown": True, "reason": "better than “unchanged” over 5 past windows", "metric": "auc",
                     "cbpe": 0.6612, "unchanged": 0.6934,
                     "past": {"windows": 5, "cbpe_error": 0.0142, "unchanged_error": 0.0311}},
        "value": {"unit": EVIL, "of": ["matrix", "amounts"], "rows": 25_171, "missing": {"amount": 3, "class": 0},
                  "intervals": {"days": 28, "missing": None},
                  "versions": [{"version": 3, **total}, {"version": 4, **total}],
                  "by_day": [{"day": one["day"], "version": one["version"], "rows": one["rows"],
                              "total": 700.0 - 12 * k, "low": 500.0 - 12 * k, "high": 900.0 - 12 * k}
                             for k, one in enumerate(by_day[:28])]},
        "alarms": [
            {"reason": "drift", "key": "drift/flight-delays/4/2013-04-28", "version": 4,
             "what": f"distance and {EVIL} have moved from what version 4 was trained on",
             "how_much": "distance: mean 601.2 -> 783.4", "since": "2013-04-11", "slice": None, "predictions": 14_211,
             "next": "the governor is asked for a training and decides"},
            {"reason": "performance", "key": "performance/flight-delays/4/2013-04-28", "version": 4,
             "what": "version 4 has become worse than it was when it was trained", "how_much": harm["words"],
             "since": "2013-04-15", "slice": {"column": "carrier", "value": EVIL, "rows": 812, "metric": metric},
             "predictions": 14_211, "next": "nothing is trained: train.when.performance is false"},
        ],
    }  # fmt: skip


def bare(state: str) -> dict[str, Any]:
    """A window of which nothing is known but its state."""
    found = full()
    parts = dict.fromkeys(("reference", "drift", "performance", "harm", "estimate", "value"))
    why = dict.fromkeys(parts, f"{state}, {EVIL}")
    empty = {"versions": [], "predictions": 0, "by_day": [], "alarms": [], "champion": None, "cohort": None}
    fresh = {"last": None, "silent_days": ["2013-04-01"], "forgotten_days": []}
    return found | parts | empty | {"state": state, "why": why, "quality": {"findings": [], "freshness": fresh}}
