"""The whole state of a world, in a form in which two worlds can be compared.

Two runs in accounts of the same number agree byte for byte. What may differ all the same is left out here:

- how often a key of S3 was written and an event was put: both happen at least once. The *contents* that a key ever had
  are kept, so that a reader who came at a bad moment is not forgotten (but `staging/` is read by the run alone, which
  may start again); of the events, which there are;
- times and ids that AWS gives: creation and event times, version ids of objects, revision ids of functions;
- metrics and logs: they count attempts.
"""

from __future__ import annotations

import json
from collections import defaultdict
from typing import Any

from tests.crash.calls import unheard
from tests.functions.conftest import World
from tests.lambda_api import LambdaApi, digest

Snapshot = dict[str, Any]


def snapshot(world: World, functions: LambdaApi) -> Snapshot:
    """Objects, items, events, partitions, executions, functions; and what the ledger's own check says."""
    with unheard():
        return {
            "objects": _objects(world),
            "uploads": _uploads(world),
            "items": _items(world),
            "events": sorted({json.dumps(_told(event), sort_keys=True) for event in world.facts()}),
            "partitions": _partitions(world),
            "executions": {one["name"]: [one["status"], one["input"]] for one in world.executions()},
            "functions": _functions(functions),
            "ledger": world.ledger.verify().problems,
        }


def differences(found: Snapshot, wanted: Snapshot) -> list[str]:
    """One line per thing that is not as it should be."""
    lines = []
    for part, value in wanted.items():
        mine = found[part]
        if isinstance(value, dict):
            names = sorted(value.keys() | mine.keys())
            lines += [
                f"{part} {name}: {mine.get(name)} instead of {value.get(name)}"
                for name in names
                if mine.get(name) != value.get(name)
            ]
        elif mine != value:
            more, less = [one for one in mine if one not in value], [one for one in value if one not in mine]
            lines.append(f"{part}: too much {more}, missing {less}")
    return lines


def _buckets(world: World) -> list[str]:
    return [bucket["Name"] for bucket in world.client("s3").list_buckets()["Buckets"]]


def _objects(world: World) -> dict[str, list[str]]:
    """What each key that is there holds, and then whatever else it once held (digests)."""
    found: dict[str, list[str]] = {}
    for bucket in _buckets(world):
        there, ever = {}, defaultdict(set)
        for page in world.client("s3").get_paginator("list_object_versions").paginate(Bucket=bucket):
            for version in page.get("Versions", []):
                key = f"{bucket}/{version['Key']}"
                if not version["Key"].startswith("staging/"):
                    ever[key].add(version["ETag"])
                if version["IsLatest"]:
                    there[key] = version["ETag"]
        found |= {key: [now, *sorted(ever[key] - {now})] for key, now in there.items()}
    return found


def _uploads(world: World) -> list[str]:
    s3 = world.client("s3")
    return [
        f"{bucket}/{one['Key']}"
        for bucket in _buckets(world)
        for one in s3.list_multipart_uploads(Bucket=bucket).get("Uploads", [])
    ]


def _items(world: World) -> dict[str, Any]:
    dynamodb = world.client("dynamodb")
    return {
        f"{table} {item['pk']['S']} {item['sk']['S']}": item
        for table in dynamodb.list_tables()["TableNames"]
        for page in dynamodb.get_paginator("scan").paginate(TableName=table)
        for item in page["Items"]
    }


def _told(event: dict[str, Any]) -> dict[str, Any]:
    return {name: event[name] for name in ("source", "detail-type", "detail")}


def _partitions(world: World) -> dict[str, str]:
    glue = world.client("glue")
    return {
        f"{table['DatabaseName']}.{table['Name']} {partition['Values']}": partition["StorageDescriptor"]["Location"]
        for database in glue.get_databases()["DatabaseList"]
        for table in glue.get_tables(DatabaseName=database["Name"])["TableList"]
        for partition in glue.get_partitions(DatabaseName=database["Name"], TableName=table["Name"])["Partitions"]
    }


def _functions(api: LambdaApi) -> dict[str, Any]:
    return {
        name: {
            "code": digest(state.code),
            "versions": {version: digest(code) for version, code in state.versions.items()},
            "live": [state.alias, state.weights],
        }
        for name, state in api.functions.items()
    }
