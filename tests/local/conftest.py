"""Running clouds, one of each per test session: a bare one in this process, and the shop's deployment in its own.

Tests that use the shop belong to the xdist group "main-job", so that one process has it.
"""

from __future__ import annotations

from collections.abc import Iterator

import boto3
import pytest

from infra.local.cloud import LocalCloud
from infra.local.context import Cloud
from perennial.storage import translate
from tests.local.principals import standing_roles
from tests.local.shop import Shop, eventually, new_shop, orders, running, write_catalog


@pytest.fixture(scope="session")
def local_cloud(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LocalCloud]:
    """The composition: services, control endpoints, clock."""
    with LocalCloud(tmp_path_factory.mktemp("cloud")) as composed:
        standing_roles(composed.cloud)
        yield composed


@pytest.fixture(scope="session")
def cloud(local_cloud: LocalCloud) -> Cloud:
    """What services are handed: addresses, clock, credentials, clients. Name resources uniquely per test."""
    return local_cloud.cloud


@pytest.fixture(scope="session")
def shop_deployment(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Shop]:
    """The shop's catalog, up; in the end `perennial down` must leave no process behind."""
    shop = new_shop(tmp_path_factory.mktemp("shop"))
    with running(shop, write_catalog(shop.workdir / "catalog")):
        yield shop


@pytest.fixture(scope="session")
def served_deployment(shop_deployment: Shop) -> Shop:
    """The shop once its first model serves."""
    shop_deployment.drop("january.csv", orders(1))
    eventually(lambda: [one for one in shop_deployment.lifecycles() if one["status"] != "RUNNING"])
    assert [one["status"] for one in shop_deployment.lifecycles()] == ["SUCCEEDED"]
    return shop_deployment


@pytest.fixture(scope="module", autouse=True)
def fresh_clients() -> Iterator[None]:
    """No client of this process keeps the keys of the cloud that another module's tests spoke to."""
    _forget_clients()
    yield
    _forget_clients()


def _forget_clients() -> None:
    boto3.DEFAULT_SESSION = None
    translate.client.cache_clear()


@pytest.fixture(scope="module")
def served(served_deployment: Shop) -> Iterator[Shop]:
    """The shop that serves; AWS clients of this process speak to it as long as the module's tests run."""
    with pytest.MonkeyPatch.context() as patch:
        for name, value in served_deployment.environment.items():
            if name.startswith(("AWS_", "PERENNIAL_")):
                patch.setenv(name, value)
        yield served_deployment
