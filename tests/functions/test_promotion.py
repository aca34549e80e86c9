"""A version goes to another environment: the same bytes under that environment's next number, and its origin told."""

from __future__ import annotations

import json
from dataclasses import dataclass
from datetime import UTC, datetime

import pytest

from functions.register.handler import lambda_handler
from perennial.errors import BundleInvalid, VersionRefused
from perennial.registry import Registry
from perennial.registry.promotion import workspace_of
from perennial.storage.items import Items
from perennial.storage.objects import Objects
from tests.functions.conftest import World
from tests.runs import leave
from tests.unit.serving.bundles import MODEL

AT = datetime(2026, 5, 1, tzinfo=UTC)
PERSON = "arn:aws:iam::123456789012:user/ana"


def register(run: str) -> int:
    return int(lambda_handler({"model": MODEL, "run": run, "as_of": AT.isoformat()}, None)["version"])


@dataclass(frozen=True)
class Two:
    """Environment dev, and what staging has."""

    dev: World
    data: Objects
    ledger: Objects
    registry: Registry

    def promote(self) -> int:
        version = Registry(self.dev.registry).get(MODEL, 1)
        for name, body in workspace_of(version, self.dev.data, environment="dev", by=PERSON, at=AT).items():
            self.data.put(f"staging/dev-r1/{name}", body)
        return register("dev-r1")


@pytest.fixture
def staging(world: World) -> Two:
    """Version 1 of MODEL in dev; then the stage works for staging, which has a version of its own already."""
    leave(world.data, "r1")
    register("r1")
    data, ledger = (Objects(world.account.bucket(f"staging-{name}")) for name in ("data", "ledger"))
    items = Items(world.account.table("perennial-staging-registry"))
    world.setenv(DATA_BUCKET=data.bucket, LEDGER_BUCKET=ledger.bucket, REGISTRY_TABLE=items.table)
    leave(data, "r1", auc=0.6)
    register("r1")
    return Two(world, data, ledger, Registry(items))


def test_the_same_bytes_arrive_under_the_next_number(staging: Two) -> None:
    assert staging.promote() == 2

    there = staging.registry.get(MODEL, 2)
    here = Registry(staging.dev.registry).get(MODEL, 1)
    for name in ("model.onnx", "golden.json", "training.json", "evaluation.json"):
        assert staging.data.get(there.prefix + name) == staging.dev.data.get(here.prefix + name)
    assert there.metrics == here.metrics
    assert there.promoted_from is not None
    assert (there.promoted_from.environment, there.promoted_from.version) == ("dev", 1)
    assert there.promoted_from.sha256 == here.sha256 != there.sha256
    assert there.promoted_from.by == PERSON


def test_promoting_twice_adds_nothing(staging: Two) -> None:
    assert [staging.promote(), staging.promote()] == [2, 2]
    assert len(staging.registry.list_versions(MODEL)) == 2


def test_ledger_and_lineage_tell_where_it_comes_from(staging: Two) -> None:
    staging.promote()

    records = [json.loads(staging.ledger.get(key)) for key in staging.ledger.list("model/")]
    assert records[-1]["fact"] == "registered"
    assert records[-1]["evidence"]["promoted_from"]["environment"] == "dev"
    lineage = staging.data.get_json(f"models/{MODEL}/00000002/lineage.json")
    assert {one["namespace"] for one in lineage["inputs"]} == {f"s3://{staging.dev.data.bucket}"}
    assert lineage["outputs"][0]["namespace"] == f"s3://{staging.data.bucket}"
    assert lineage["run"]["facets"]["perennial_run"]["run"] == "r1"


def test_a_refused_or_changed_version_does_not_leave(world: World) -> None:
    leave(world.data, "r1", passed=False)
    leave(world.data, "r2")
    register("r1")
    register("r2")
    registry = Registry(world.registry)
    with pytest.raises(VersionRefused, match="failed its gates"):
        workspace_of(registry.get(MODEL, 1), world.data, environment="dev", by=PERSON, at=AT)
    changed = registry.get(MODEL, 2)
    world.data.put(f"{changed.prefix}golden.json", b"{}")
    with pytest.raises(BundleInvalid, match=r"golden\.json"):
        workspace_of(changed, world.data, environment="dev", by=PERSON, at=AT)
