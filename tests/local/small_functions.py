"""Lambda functions of a few lines, written by the tests that invoke them."""

from __future__ import annotations

import io
import json
import time
import uuid
import zipfile
from collections.abc import Callable, Mapping
from typing import Any, TypeVar

from infra.local.context import Cloud

T = TypeVar("T")
ROLE = "arn:aws:iam::123456789012:role/small"


def archive(files: Mapping[str, str | bytes]) -> bytes:
    """A zip with the same bytes for the same files."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as zipped:
        for name, content in sorted(files.items()):
            zipped.writestr(zipfile.ZipInfo(name), content)
    return buffer.getvalue()


def unique(prefix: str = "small") -> str:
    """A name that no other test uses."""
    return f"{prefix}-{uuid.uuid4().hex[:10]}"


def until(ask: Callable[[], T], seconds: float = 10.0) -> T:
    """Ask until the answer is truthy; fails after `seconds`."""
    deadline = time.monotonic() + seconds
    while not (answer := ask()):
        assert time.monotonic() < deadline, f"still {answer!r} after {seconds} s"
        time.sleep(0.05)
    return answer


def create(cloud: Cloud, body: str, *, name: str | None = None, wait: bool = True, **members: Any) -> str:
    """Create a function whose module is `body` with a `handle(event, context)`; returns its name once it is active."""
    name = name or unique()
    defaults: dict[str, Any] = {
        "Runtime": "python3.13",
        "Handler": "module.handle",
        "Role": ROLE,
        "Timeout": 10,
        "MemorySize": 256,
        "Code": {"ZipFile": archive({"module.py": body})},
    }
    cloud.client("lambda").create_function(FunctionName=name, **(defaults | members))
    if wait:
        settled(cloud, name)
    return name


def settled(cloud: Cloud, name: str, qualifier: str | None = None) -> dict[str, Any]:
    """The configuration, once neither creation nor an update is going on."""
    where = {"FunctionName": name} | ({"Qualifier": qualifier} if qualifier else {})

    def ask() -> dict[str, Any] | None:
        found: dict[str, Any] = cloud.client("lambda").get_function_configuration(**where)
        done = found["State"] == "Active" and found["LastUpdateStatus"] == "Successful"
        return found if done else None

    found = until(ask)
    assert found is not None
    return found


def invoke(cloud: Cloud, name: str, event: Any = None, **members: Any) -> tuple[dict[str, Any], Any]:
    """The reply of Invoke, and its payload as JSON."""
    payload = json.dumps({} if event is None else event).encode()
    reply = cloud.client("lambda").invoke(FunctionName=name, Payload=payload, **members)
    content = reply["Payload"].read()
    return reply, json.loads(content) if content else None


def log_lines(cloud: Cloud, group: str, marker: str) -> list[str]:
    """Lines of a log group without their ends, once one of them contains `marker`."""
    client = cloud.client("logs")

    def ask() -> list[str]:
        groups = client.describe_log_groups(logGroupNamePrefix=group)["logGroups"]
        if not groups:
            return []
        events = client.filter_log_events(logGroupName=group)["events"]
        lines = [event["message"].removesuffix("\n") for event in events]
        return lines if any(marker in line for line in lines) else []

    return until(ask)
