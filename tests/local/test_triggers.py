"""Why trainings are asked for, through the cloud: facts on the bus, a person, and what the governor decides."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

import pytest

from perennial.monitoring.events import DRIFT_DETECTED, AlarmRaised
from scripts.cli.local import free_port
from tests.local.shop import Shop, eventually, new_shop, orders, write_catalog

pytestmark = [pytest.mark.xdist_group("triggers"), pytest.mark.timeout(600)]

# data alone never suffices here
WHEN = "when: {min_rows: 100000, settle: 1s, drift: true, cool_down: 1h, monthly: 2}"


@pytest.fixture(scope="module")
def shop(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Shop]:
    shop = new_shop(tmp_path_factory.mktemp("triggers"))
    catalog = write_catalog(shop.workdir / "catalog")
    spec = catalog / "models" / "returns.yaml"
    spec.write_text(spec.read_text("utf-8").replace("when: {min_rows: 300, settle: 1s}", WHEN), encoding="utf-8")
    shop.json("up", "--detach", "--port", str(free_port()), "--catalog", str(catalog))
    try:
        shop.environment.update(shop.json("env"))
        yield shop
    finally:
        shop.run("down")


def detect(shop: Shop, key: str) -> None:
    """What the monitor would put on the bus."""
    alarm = AlarmRaised(
        model="returns",
        version=1,
        reason="drift",
        key=key,
        outcomes=0,
        summary="price moved (effect 0.31) since 2024-02-03: mean 60 -> 84 of 2,750 predictions",
        report_key="reports/returns/2024-02-01_2024-02-28/monitor.json",
        as_of=datetime(2024, 3, 1, tzinfo=UTC),
    )
    entry = {
        "EventBusName": "perennial-dev", "Source": "perennial", "DetailType": DRIFT_DETECTED,
        "Detail": alarm.model_dump_json(),
    }  # fmt: skip
    assert shop.client("events").put_events(Entries=[entry])["FailedEntryCount"] == 0


def asked(shop: Shop, reason: str) -> list[dict[str, Any]]:
    """What was asked for a reason, newest first."""
    return [one for one in shop.json("triggers", "returns") if one["reason"] == reason]


def test_alarms_and_people_ask_and_the_governor_decides(shop: Shop) -> None:
    shop.drop("january.csv", orders(1))
    [arrival] = eventually(lambda: asked(shop, "data"))
    assert (arrival["decided"], arrival["why"]) == ("declined", "400 unseen rows are fewer than 100000")

    # the same fact twice is one training
    for _ in range(2):
        detect(shop, "1/drift/price")
    [drift] = eventually(lambda: asked(shop, "drift"))
    assert (drift["decided"], drift["evidence"]["alarm"]) == ("started", "1/drift/price")
    eventually(lambda: [one for one in shop.lifecycles() if one["status"] != "RUNNING"])
    assert [(one["name"], one["status"]) for one in shop.lifecycles()] == [(drift["flight"], "SUCCEEDED")]
    assert asked(shop, "drift") == [drift]

    # another within the cool-down is declined
    detect(shop, "1/drift/size")
    declined, _ = eventually(lambda: asked(shop, "drift")[1:] and asked(shop, "drift"))
    assert (declined["decided"], declined["flight"]) == ("declined", None)
    assert "cool-down until" in declined["why"]

    # a person may ask all the same, as long as the budget lasts
    told = shop.json("retrain", "returns", "--reason", "prices were raised", "--wait")
    assert (told["decided"], told["status"]) == ("started", "SUCCEEDED")
    refused = shop.run("retrain", "returns", expect=1)
    assert "Declined: 2 of 2 trainings in 30 days" in refused
    last, first = asked(shop, "person")
    assert (first["evidence"]["words"], first["evidence"]["by"]) == ("prices were raised", told["by"])
    assert (last["decided"], first["flight"]) == ("declined", told["flight"])
    assert sorted(one["name"] for one in shop.lifecycles()) == sorted([drift["flight"], told["flight"]])

    # what became of it, for people and in the lineage of the model
    shown = shop.shell("COLUMNS=100 perennial triggers returns")
    lines = shown.splitlines()
    assert all(len(line.rstrip()) <= 100 for line in lines), shown
    assert [line.split()[2] for line in lines if line.startswith("20") and len(line.split()) > 3] == [
        "person",
        "person",
        "drift",
        "drift",
        "data",
    ]
    [version] = [one for one in shop.json("versions", "returns") if one["version"] == 1]
    facts = [one["fact"] for one in shop.json("ledger", "show", "model/returns")]
    assert (version["run"], facts.count("requested"), facts.count("declined")) == (drift["flight"], 2, 3)
