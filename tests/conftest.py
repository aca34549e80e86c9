"""Switches for the whole suite."""

from __future__ import annotations

import os

import pytest

# onnxruntime reports its use to its maker unless told not to
os.environ["ORT_DISABLE_TELEMETRY"] = "1"


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--full", action="store_true", help="run the long checks too (crash sweeps, thousands of simulations)"
    )
    parser.addoption(
        "--update-snapshots", action="store_true", help="write tests/infra/snapshots anew instead of comparing"
    )


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    if config.getoption("--full"):
        return
    skipped = pytest.mark.skip(reason="runs with scripts/test --full")
    for item in items:
        if "full" in item.keywords:
            item.add_marker(skipped)
