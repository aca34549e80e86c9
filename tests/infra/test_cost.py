"""An idle environment costs almost nothing, counted from the template and the price table of docs/cost.md."""

from __future__ import annotations

import re
from collections import Counter
from pathlib import Path

from tests.infra.conftest import App

TABLE = Path(__file__).parents[2] / "docs" / "cost.md"
LIMIT = 3.00


def idle_prices() -> dict[str, float]:
    """Resource type → US dollars a month, from the first table of docs/cost.md."""
    row = re.compile(r"^\| (AWS::\S+) \| ([\d.]+) \| (.+) \|$", re.M)
    return {type_: float(price) for type_, price, _ in row.findall(TABLE.read_text(encoding="utf-8"))}


def test_every_resource_type_of_the_templates_has_a_price_and_no_other(app: App) -> None:
    assert {resource.type for resource in app.all()} == set(idle_prices())


def test_an_idle_environment_costs_less_than_the_limit(app: App) -> None:
    prices = idle_prices()
    counted = Counter(resource.type for resource in app.all())
    assert sum(prices[type_] * count for type_, count in counted.items()) <= LIMIT


def test_the_stated_sum_is_the_sum(app: App) -> None:
    prices = idle_prices()
    total = sum(prices[resource.type] for resource in app.all())
    assert f"**${total:.2f} a month**" in TABLE.read_text(encoding="utf-8")
