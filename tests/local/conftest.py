"""A running bare cloud: every service, nothing provisioned. One per test session (moto keeps its state per process)."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from infra.local.cloud import LocalCloud
from infra.local.context import Cloud


@pytest.fixture(scope="session")
def local_cloud(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LocalCloud]:
    """The composition: services, control endpoints, clock."""
    with LocalCloud(tmp_path_factory.mktemp("cloud")) as running:
        yield running


@pytest.fixture(scope="session")
def cloud(local_cloud: LocalCloud) -> Cloud:
    """What services are handed: addresses, clock, credentials, clients. Name resources uniquely per test."""
    return local_cloud.cloud
