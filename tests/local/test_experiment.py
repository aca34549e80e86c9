"""Two versions on live traffic: started, asked, looked at and ended from the command line, on the running cloud."""

from __future__ import annotations

from typing import Any

import pytest

from scripts.cli.deployment import Deployment
from tests.local.shop import Shop, eventually, orders, write_orders

pytestmark = [pytest.mark.xdist_group("main-job"), pytest.mark.timeout(600)]
WAIT = ("--wait", "--timeout", "120")


@pytest.fixture(scope="module")
def arms(served: Shop) -> tuple[int, int]:
    """Champion and challenger: the shop's two newest versions that may serve."""
    if len(served.json("versions", "returns")) < 2:
        before = len(served.lifecycles())
        served.drop("second.csv", orders(2))
        eventually(lambda: [one["status"] for one in served.lifecycles()].count("SUCCEEDED") > before)
    champion = next(one["champion"] for one in served.json("models"))
    others = [one["version"] for one in served.json("versions", "returns") if one["state"] == "registered"]
    return champion, others[-1]


def answered(shop: Shop, name: str, rows: list[list[Any]]) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = shop.json("predict", "returns", str(write_orders(shop.workdir / name, rows)))
    return found


def test_an_experiment_from_its_start_to_its_end(served: Shop, arms: tuple[int, int]) -> None:
    champion, challenger = arms
    words = ("challenge", "returns", str(challenger), "--entity", "price", "--share", "0.4")
    assert "nothing speaks" not in served.run("experiment", "returns", expect=1)
    started = served.json(*words, *WAIT)
    assert started["experiment"]["champion"] == champion
    assert started["experiment"]["salt"].startswith(f"returns/{champion}-{challenger}/20")
    assert "is running" in served.run(*words, expect=1)

    rows = orders(6, 300)
    first = answered(served, "first.csv", rows)
    again = answered(served, "again.csv", rows[::-1])[::-1]
    assert {row["model_version"] for row in first} == {str(champion), str(challenger)}
    assert [row["model_version"] for row in first] == [row["model_version"] for row in again]

    outcomes = [
        {"prediction_id": answer["prediction_id"], "outcome": row[-1] == "true", "amount": float(row[2])}
        for row, answer in zip(rows, first, strict=True)
    ]
    told = served.api.json("POST", "/v2/models/returns/feedback", {"outcomes": outcomes})
    assert told == {"accepted": len(rows), "duplicates": 0}
    served.json("tick", "30m")
    shown = eventually(lambda: complete(served, 2 * len(rows)), seconds=60)
    assert (shown["balance"]["held"], shown["withheld"], shown["excluded"]) == (True, None, {})
    assert [one["measure"] for one in shown["measures"]] == ["auc", "amount"]
    for name, version in zip(("champion", "challenger"), arms, strict=True):
        arm = shown["arms"][name]
        assert arm["rows"] == 2 * sum(row["model_version"] == str(version) for row in first)
        assert arm["coverage"] == 0.5
    told = served.run("experiment", "returns")
    assert "nothing speaks against it" in told

    # what was served by the champion, it would answer again; the challenger's rows it would answer otherwise
    report = served.json("shadow", "returns", str(champion), "--by", "größe")
    assert report["skipped"] == {}
    assert report["differences"]["rows"] >= 2 * len(rows)
    assert report["differences"]["quantiles"]["1"] > 1e-6
    assert sum(one["rows"] for one in report["differences"]["slices"]) == report["differences"]["rows"]

    served.json("experiment", "returns", "--winner", str(champion), *WAIT)
    ended = served.json("experiment", "returns")
    assert ended["ended"] is not None
    assert {row["model_version"] for row in answered(served, "after.csv", rows)} == {str(champion)}
    (record,) = [
        one.evidence
        for one in Deployment("dev").ledger.read("model/returns")
        if one.fact == "deployed" and one.evidence.get("experiment")
    ]
    assert record["experiment"] == started["experiment"]

    # the same two once more, on the same day and even by the same assignment: an experiment of its own
    salted = ("--salt", started["experiment"]["salt"])
    assert served.json(*words, *salted, *WAIT)["experiment"] == started["experiment"]
    shown = served.json("experiment", "returns")
    assert ([arm["rows"] for arm in shown["arms"].values()], shown["excluded"]) == ([0, 0], {})
    served.json("experiment", "returns", "--winner", str(champion), *WAIT)


def complete(shop: Shop, rows: int) -> dict[str, Any] | None:
    """The experiment once the log has all its rows."""
    found: dict[str, Any] = shop.json("experiment", "returns")
    return found if sum(arm["rows"] for arm in found["arms"].values()) == rows else None


def test_a_version_that_is_not_there_is_no_challenger(served: Shop) -> None:
    assert "has no version 999" in served.run("challenge", "returns", "999", "--entity", "price", expect=1)
    assert "is no input of the model" in served.run("challenge", "returns", "1", "--entity", "colour", expect=1)
