"""A service per test module: loading a graph takes longer than a hundred requests."""

from __future__ import annotations

import pytest

from tests.unit.serving.bundles import bundle_files
from tests.unit.serving.requests import Server


@pytest.fixture(scope="module")
def loaded(tmp_path_factory: pytest.TempPathFactory) -> Server:
    return Server(tmp_path_factory.mktemp("bundle"))


@pytest.fixture
def server(loaded: Server) -> Server:
    """The binary model, its records emptied."""
    loaded.records.clear()
    loaded.lines.clear()
    return loaded


@pytest.fixture(scope="module")
def multiclass(tmp_path_factory: pytest.TempPathFactory) -> Server:
    classes = ("early", "on time", 'la"te\u2028')
    return Server(tmp_path_factory.mktemp("multiclass"), bundle_files("multiclass", classes))


@pytest.fixture(scope="module")
def regression(tmp_path_factory: pytest.TempPathFactory) -> Server:
    return Server(tmp_path_factory.mktemp("regression"), bundle_files("regression", None))
