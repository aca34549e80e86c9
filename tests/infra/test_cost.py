"""An idle environment costs almost nothing, counted from the template and the price table of docs/cost.md."""

from __future__ import annotations

import re
from pathlib import Path

from tests.infra.conftest import App

TABLE = Path(__file__).parents[2] / "docs" / "cost.md"
LIMIT = 3.00


def idle_prices() -> dict[str, float]:
    """Resource type → US dollars a month, from the first table of docs/cost.md."""
    row = re.compile(r"^\| (AWS::\S+) \| ([\d.]+) \| (.+) \|$", re.M)
    return {type_: float(price) for type_, price, _ in row.findall(TABLE.read_text(encoding="utf-8"))}


def idle(app: App) -> float:
    """Of all resources; an alarm on an expression costs as much as one for each metric in it."""
    prices = idle_prices()
    return sum(prices[one.type] * len([m for m in one.props.get("Metrics", [{"MetricStat": {}}]) if "MetricStat" in m])
               if one.type == "AWS::CloudWatch::Alarm" else prices[one.type] for one in app.all())  # fmt: skip


def test_every_resource_type_of_the_templates_has_a_price_and_no_other(app: App) -> None:
    assert {resource.type for resource in app.all()} == set(idle_prices())


def test_an_idle_environment_costs_less_than_the_limit(app: App) -> None:
    assert idle(app) <= LIMIT


def test_the_stated_sum_is_the_sum(app: App) -> None:
    assert f"**${idle(app):.2f} a month**" in TABLE.read_text(encoding="utf-8")
