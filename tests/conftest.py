"""Switches for the whole suite."""

from __future__ import annotations

import gc
import os
from typing import TYPE_CHECKING

import pytest
from _pytest.nodeid import NodeId
from hypothesis import HealthCheck, settings

# the same examples in every run, and no verdict that depends on how busy the machine is
settings.register_profile(
    "same", derandomize=True, deadline=None, database=None, suppress_health_check=[HealthCheck.too_slow]
)
settings.load_profile("same")

if TYPE_CHECKING:
    from infra.lock import Target

# onnxruntime reports its use to its maker unless told not to
os.environ["ORT_DISABLE_TELEMETRY"] = "1"


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--full", action="store_true", help="run the long checks too (crash sweeps, thousands of simulations)"
    )
    parser.addoption(
        "--update-snapshots", action="store_true", help="write tests/infra/snapshots anew instead of comparing"
    )


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    if getattr(config.option, "loadgroup", False):
        _keep_groups_together(items)
    if config.getoption("--full"):
        _give_long_checks_time(items)
        return
    skipped = pytest.mark.skip(reason="runs with scripts/test --full")
    for item in items:
        if "full" in item.keywords:
            item.add_marker(skipped)


def pytest_collection_finish() -> None:
    """What has been imported by now stays: the collector need not go through a million objects again and again."""
    gc.collect()
    gc.freeze()


def _give_long_checks_time(items: list[pytest.Item]) -> None:
    """What takes minutes on a quiet machine may take an hour on a busy one; some others do more than usual, too."""
    for item in items:
        item.add_marker(pytest.mark.timeout(3600), append=False)


def _keep_groups_together(items: list[pytest.Item]) -> None:
    """Give tests of an xdist group the id by which xdist sends them to one process.

    xdist 3.8 writes it where pytest 9.2 no longer looks: https://github.com/pytest-dev/pytest-xdist/issues/1386
    """
    for item in items:
        group = item.get_closest_marker("xdist_group")
        if group is not None and "@" not in item.nodeid.rpartition("]")[2]:
            item._id = NodeId.parse(f"{item.nodeid}@{group.args[0]}")


@pytest.fixture(scope="session")
def unpacked(request: pytest.FixtureRequest) -> Target:
    """The layers, unpacked for what functions run on here.

    Skips when their wheels are neither here nor to be had, which --full does not forgive.
    """
    from infra.layers import LayerNotBuilt
    from infra.local.lambdas import wheels

    try:
        return wheels.prepare("python3.13")
    except LayerNotBuilt as error:
        if request.config.getoption("--full"):
            raise
        pytest.skip(str(error))
