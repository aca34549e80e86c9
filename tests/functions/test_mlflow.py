"""A real, unmodified mlflow loads what stage register wrote, and predicts the same numbers."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from pathlib import Path

import pytest

from perennial.registry import Registry
from perennial.registry.registration import register
from scripts.benchmarks.interleave import once, peer
from scripts.benchmarks.peers import python_of
from scripts.cli.output import Failure
from tests.functions.conftest import World
from tests.runs import leave

AT = datetime(2026, 3, 1, 12, tzinfo=UTC)


@pytest.mark.full
@pytest.mark.timeout(1200)
@pytest.mark.parametrize("task", ["binary", "multiclass", "regression"])
def test_mlflow_loads_the_registered_directory(world: World, tmp_path: Path, task: str) -> None:
    try:
        python = python_of("mlflow", lambda _: None)
    except Failure as failure:
        pytest.skip(f"no mlflow to try it with: {failure}")
    leave(world.data, "r1", task=task)
    version = register("flight-delays", "r1", AT, world.data, Registry(world.registry))
    for key in world.data.list(version.prefix):
        (tmp_path / key.removeprefix(version.prefix)).write_bytes(world.data.get(key))
    found = json.loads(once(peer(python, "mlflow_check", str(tmp_path))))
    assert found["inputs"] == ["distance", "hour", "night", "carrier"]
    assert found["rows"] == 3
