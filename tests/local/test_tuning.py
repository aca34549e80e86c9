"""A model whose parameters several tasks search side by side, from the template to what serves."""

from __future__ import annotations

import json
from collections.abc import Iterator

import pytest

from tests.local.shop import Shop, eventually, new_shop, orders, running, write_catalog

TUNE = "  tune: {space: {C: [0.01, 0.1, 1.0, 10.0, 100.0]}, candidates: 4, tasks: 2}\n  refit: true\n"


@pytest.fixture(scope="module")
def tuned(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Shop]:
    """A shop of its own, whose model is tuned by two tasks."""
    shop = new_shop(tmp_path_factory.mktemp("tuned"))
    catalog = write_catalog(shop.workdir / "catalog")
    model = catalog / "models" / "returns.yaml"
    text = model.read_text("utf-8")
    model.write_text(text.replace("  algorithm:", f"{TUNE}  algorithm:"), encoding="utf-8")
    with running(shop, catalog):
        yield shop


@pytest.mark.full
def test_tasks_search_side_by_side_and_the_best_of_theirs_is_trained(tuned: Shop) -> None:
    tuned.drop("january.csv", orders(1))
    eventually(lambda: [one for one in tuned.lifecycles() if one["status"] != "RUNNING"])
    (lifecycle,) = tuned.lifecycles()
    assert lifecycle["status"] == "SUCCEEDED", lifecycle
    bucket = tuned.client("ssm").get_parameter(Name="/perennial/dev/data-bucket")["Parameter"]["Value"]
    s3 = tuned.client("s3")
    keys = [one["Key"] for one in s3.list_objects_v2(Bucket=bucket, Prefix="staging/")["Contents"]]
    assert sorted(key.rpartition("/")[2] for key in keys if "/tune/" in key) == ["00.json", "01.json"]
    (key,) = [key for key in keys if key.endswith("/training.json")]
    record = json.loads(s3.get_object(Bucket=bucket, Key=key)["Body"].read())
    assert [len(chunk["candidates"]) for chunk in record["tune"]["chunks"]] == [2, 2]
    assert record["params"]["C"] == record["tune"]["chosen"]["C"]
    (version,) = tuned.json("versions", "returns")
    assert (version["state"], version["trained_until"]) == ("deployed", record["refit"]["trained_until"])
