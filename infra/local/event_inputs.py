"""What a rule hands to its target: the event, a part of it, a constant, or a template filled from it.

Source: https://docs.aws.amazon.com/eventbridge/latest/userguide/eb-transform-target-input.html
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from typing import Any

_PLACEHOLDER = re.compile(r"<([A-Za-z0-9_.\-]+)>")
_STEP = re.compile(r"\.([A-Za-z0-9_\-/]+)|\[(\d+)\]")
_NOTHING = object()


class InvalidInput(ValueError):
    """The input cannot be made from this event."""


def target_input(target: Mapping[str, Any], event: Mapping[str, Any], rule_arn: str, ingestion_time: str) -> str:
    """The text for the target (JSON, or any text from a template in quotes); raises InvalidInput."""
    if "Input" in target:
        return str(target["Input"])
    if "InputPath" in target:
        found = select(target["InputPath"], event)
        return "" if found is _NOTHING else dumps(found)
    if "InputTransformer" in target:
        return _transformed(target["InputTransformer"], event, rule_arn, ingestion_time)
    return dumps(event)


def dumps(value: Any) -> str:
    """Compact JSON, as EventBridge writes it."""
    return json.dumps(value, separators=(",", ":"), ensure_ascii=False)


def select(path: str, event: Any) -> Any:
    """What a path of names and indices (`$.detail.items[0].id`) points at; a private marker where there is nothing."""
    if not path.startswith("$") or _STEP.sub("", path[1:]):
        raise InvalidInput(f"the path {path!r} is not understood: names and indices only")
    for name, index in _STEP.findall(path):
        if name and isinstance(event, Mapping) and name in event:
            event = event[name]
        elif index and isinstance(event, list) and int(index) < len(event):
            event = event[int(index)]
        else:
            return _NOTHING
    return event


def _transformed(transformer: Mapping[str, Any], event: Mapping[str, Any], rule_arn: str, ingestion_time: str) -> str:
    values = {name: select(path, event) for name, path in (transformer.get("InputPathsMap") or {}).items()}
    values |= {
        "aws.events.rule-arn": rule_arn,
        "aws.events.rule-name": rule_arn.rpartition("/")[2],
        "aws.events.event": {name: value for name, value in event.items() if name != "detail"},
        "aws.events.event.json": dict(event),
        "aws.events.event.ingestion-time": ingestion_time,
    }
    template = str(transformer["InputTemplate"])
    parts, end = [], 0
    for place in _PLACEHOLDER.finditer(template):
        if place[1] in values:
            parts += [template[end : place.start()], _filled(values[place[1]], _quoted(template[: place.start()]))]
            end = place.end()
    return "".join(parts) + template[end:]


def _quoted(before: str) -> bool:
    """Whether the text that follows `before` is inside a JSON string."""
    return re.sub(r"\\.", "", before).count('"') % 2 == 1


def _filled(value: Any, quoted: bool) -> str:
    """A value in the place of its placeholder: a text gets quotes of its own unless it stands in some already."""
    if value is _NOTHING:
        return ""
    if not quoted:
        return dumps(value)
    if isinstance(value, Mapping | list):
        raise InvalidInput("an object or array inside quotes has no defined form: leave the quotes off")
    return dumps(value).strip('"') if not isinstance(value, str) else dumps(value)[1:-1]
