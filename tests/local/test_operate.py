"""Operating what runs: a lost event is made up for, and a version goes to the next environment as it is."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import boto3
import pytest

from scripts.cli.local import free_port
from tests.local.shop import Shop, eventually, new_shop, orders, write_orders

pytestmark = [pytest.mark.xdist_group("main-job"), pytest.mark.timeout(600)]


def client(service: str) -> Any:
    factory: Any = boto3.client
    return factory(service)


def test_a_file_whose_event_was_lost_is_swept_up(served: Shop) -> None:
    path, events = write_orders(served.workdir / "lost.csv", orders(4, 25)), client("events")
    events.disable_rule(Name="perennial-dev-ingest")
    try:
        dropped = served.json("drop", str(path), "--dataset", "orders")
    finally:
        events.enable_rule(Name="perennial-dev-ingest")

    assert served.json("sweep", "--older", "1h") == []
    [found] = served.json("sweep", "--older", "0s", "--dry-run")
    assert (found["key"], found["state"], found["execution"]) == ("raw/orders/lost.csv", "unseen", None)
    assert [one["key"] for one in served.json("sweep", "--older", "0s")] == [found["key"]]

    [version] = eventually(lambda: [one for one in served.json("datasets") if one["batch"] == dropped["batch"]])
    assert version["rows"] == 25
    assert served.json("sweep", "--older", "0s") == []


@pytest.fixture
def staging(served: Shop, tmp_path: Path) -> Iterator[Shop]:
    """Environment staging in a cloud of its own, as it would be in another account."""
    shop = new_shop(tmp_path)
    catalog = served.workdir / "catalog"
    shop.json("up", "--env", "staging", "--detach", "--port", str(free_port()), "--catalog", str(catalog))
    try:
        shop.environment.update(shop.json("env"))
        yield shop
    finally:
        shop.run("down")


def person(folder: Path, **accounts: Shop) -> Shop:
    """Somebody with an AWS profile for each account; the first is the one that is meant unless another is named."""
    folder.mkdir()
    lines = []
    for name, shop in accounts.items():
        known = shop.environment
        lines.append(
            f"[profile {name}]\naws_access_key_id = {known['AWS_ACCESS_KEY_ID']}\n"
            f"aws_secret_access_key = {known['AWS_SECRET_ACCESS_KEY']}\n"
            f"region = {known['AWS_REGION']}\nendpoint_url = {known['AWS_ENDPOINT_URL']}\n"
        )
    (folder / "aws-config").write_text("".join(lines), encoding="utf-8")
    shop = new_shop(folder)
    shop.environment |= {"AWS_CONFIG_FILE": str(folder / "aws-config"), "AWS_PROFILE": next(iter(accounts))}
    return shop


def test_a_version_is_promoted_as_it_is_and_serves_there(served: Shop, staging: Shop, tmp_path: Path) -> None:
    ana = person(tmp_path / "ana", dev=served, staging=staging)
    promotion = ("promote", "returns", "1", "--to", "staging", "--to-profile", "staging", "--wait")

    assert [ana.json(*promotion)["promoted_as"], ana.json(*promotion)["promoted_as"]] == [1, 1]

    [version] = staging.json("versions", "returns")
    [source] = [one for one in served.json("versions", "returns") if one["version"] == 1]
    assert version["state"] == "deployed"
    assert version["metrics"] == source["metrics"]
    assert version["promoted_from"]["sha256"] == source["sha256"]
    told = {record["fact"]: record["evidence"] for record in staging.json("ledger", "show", "model/returns")}
    assert told["registered"]["promoted_from"]["environment"] == "dev"
    assert "deployed" in told
    rows = write_orders(staging.workdir / "ask.csv", orders(5, 10))
    here, there = (shop.json("predict", "returns", str(rows), *more) for shop, more in
                   ((served, ("--version", "1")), (staging, ())))  # fmt: skip
    scores = [[row["probability_true"] for row in answers] for answers in (here, there)]
    assert scores[0] == scores[1]


def test_an_unknown_version_is_not_promoted(served: Shop) -> None:
    assert "no version 99" in served.run("promote", "returns", "99", "--to", "staging", expect=1)
