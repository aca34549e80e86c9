"""Checks of a state machine's definition that moto leaves out: where states lead, and whether any is out of reach.

Source: https://states-language.net/spec.html and
https://docs.aws.amazon.com/step-functions/latest/apireference/API_CreateStateMachine.html
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any

TERMINAL = frozenset({"Succeed", "Fail"})
TYPES = TERMINAL | {"Task", "Pass", "Choice", "Wait", "Parallel", "Map"}


def problems(definition: str) -> list[str]:
    """What is wrong with a definition, as AWS words it; empty when nothing is."""
    try:
        machine = json.loads(definition)
    except ValueError as error:
        return [f"INVALID_JSON_DESCRIPTION: {error}"]
    if not isinstance(machine, dict):
        return ["SCHEMA_VALIDATION_FAILED: a state machine is a JSON object at /"]
    return list(_machine(machine, ""))


def _machine(machine: Mapping[str, Any], where: str) -> Iterator[str]:
    states = machine.get("States")
    if not isinstance(states, dict) or not states:
        yield f"SCHEMA_VALIDATION_FAILED: These fields are required: [States] at {where or '/'}"
        return
    start = machine.get("StartAt")
    if not isinstance(start, str):
        yield f"SCHEMA_VALIDATION_FAILED: These fields are required: [StartAt] at {where or '/'}"
        return
    if start not in states:
        yield f"MISSING_TRANSITION_TARGET: Missing 'Next' target: {start} at {where}/StartAt"
    for name, state in states.items():
        yield from _state(name, state, states, f"{where}/States/{name}")
    reached = _reached(start, states)
    for name in states:
        if name not in reached:
            yield f'MISSING_TRANSITION_TARGET: State "{name}" is not reachable. at {where}/States/{name}'


def _state(name: str, state: Any, states: Mapping[str, Any], where: str) -> Iterator[str]:
    if not isinstance(state, dict) or state.get("Type") not in TYPES:
        yield f"SCHEMA_VALIDATION_FAILED: Value is not a valid state type at {where}/Type"
        return
    if len(name) > 80:
        yield f"SCHEMA_VALIDATION_FAILED: state name must be at most 80 characters at {where}"
    for field, target in _targets(state):
        if target not in states:
            yield f"MISSING_TRANSITION_TARGET: Missing 'Next' target: {target} at {where}/{field}"
    kind = state["Type"]
    if kind not in TERMINAL | {"Choice"} and ("Next" in state) == (state.get("End") is True):
        yield f"SCHEMA_VALIDATION_FAILED: These fields are required: exactly one of [Next, End] at {where}"
    if kind == "Task" and not isinstance(state.get("Resource"), str):
        yield f"SCHEMA_VALIDATION_FAILED: These fields are required: [Resource] at {where}"
    if kind == "Choice" and not state.get("Choices"):
        yield f"SCHEMA_VALIDATION_FAILED: These fields are required: [Choices] at {where}"
    for field, inner in _inner(state):
        yield from _machine(inner, f"{where}/{field}")


def _inner(state: Mapping[str, Any]) -> Iterator[tuple[str, Mapping[str, Any]]]:
    for field in ("ItemProcessor", "Iterator"):
        if isinstance(state.get(field), dict):
            yield field, state[field]
    for number, branch in enumerate(state.get("Branches") or []):
        yield f"Branches[{number}]", branch


def _targets(state: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    for field in ("Next", "Default"):
        if field in state:
            yield field, state[field]
    for field in ("Choices", "Catch"):
        for number, rule in enumerate(state.get(field) or []):
            if isinstance(rule, dict) and "Next" in rule:
                yield f"{field}[{number}]/Next", rule["Next"]


def _reached(start: str, states: Mapping[str, Any]) -> set[str]:
    reached: set[str] = set()
    waiting = [start]
    while waiting:
        name = waiting.pop()
        state = states.get(name)
        if name in reached or not isinstance(state, dict):
            continue
        reached.add(name)
        waiting.extend(target for _, target in _targets(state))
    return reached
