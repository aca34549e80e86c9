"""A small catalog and data files that are not flights: will a customer return what was ordered?"""

from __future__ import annotations

import csv
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np

CONTRACT = """
apiVersion: v3.1.0
kind: DataContract
id: perennial:dataset:orders
name: Orders
version: 1.0.0
status: active
schema:
  - name: orders
    properties:
      - {name: order id, logicalType: string, required: true, unique: true}
      - name: ordered_at
        logicalType: timestamp
        required: true
        customProperties: [{property: eventTime, value: true}]
      - {name: price, logicalType: number, logicalTypeOptions: {minimum: 0}}
      - {name: größe, logicalType: string}
      - {name: first order, logicalType: boolean, required: true}
      - name: returned
        logicalType: boolean
        customProperties: [{property: availableAtPrediction, value: false}]
"""

MODEL = """
name: returns
dataset: orders
task: binary
label: {column: returned}
features: [price, größe, first order]
train:
  when: {min_rows: 300, settle: 1s}
  algorithm: logistic_regression
  min_rows: 50
gates:
  auc: {min: 0.6}
comparison: {metric: auc, margin: 0.2}
"""

HEADER = ["order id", "ordered_at", "price", "größe", "first order", "returned"]


def write_catalog(directory: Path) -> Path:
    """The catalog in `directory`."""
    for folder, name, text in (("contracts", "orders", CONTRACT), ("models", "returns", MODEL)):
        (directory / folder).mkdir(parents=True, exist_ok=True)
        (directory / folder / f"{name}.yaml").write_text(text, encoding="utf-8")
    return directory


def orders(month: int, count: int = 400, *, returned: bool | None = None) -> list[list[Any]]:
    """Orders of one month of 2024; dear and large ones come back more often. `returned` makes all labels alike."""
    rng = np.random.default_rng(month)
    rows: list[list[Any]] = []
    for index in range(count):
        price, size = round(float(rng.gamma(3, 20)), 2), str(rng.choice(["S", "M", "L", "XL"]))
        back = bool(rng.random() < 1 / (1 + np.exp(-(price / 30 - 2 + 1.5 * (size == "XL")))))
        at = datetime(2024, month, 1) + timedelta(hours=28 * 24 * index / count)
        shown = back if returned is None else returned
        first = bool(rng.random() < 0.3)
        rows.append([f"{month}-{index}", at.isoformat(sep=" "), price, size, str(first).lower(), str(shown).lower()])
    return rows


def write_orders(path: Path, rows: list[list[Any]], header: list[str] | None = None) -> Path:
    """The rows as CSV."""
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(header or HEADER)
        writer.writerows(rows)
    return path
