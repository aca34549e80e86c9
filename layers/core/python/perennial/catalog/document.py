"""YAML that people wrote, read within limits: size, depth, no aliases, no key twice."""

from __future__ import annotations

from typing import Any

import yaml

from perennial.errors import CatalogInvalid

MAX_CHARACTERS = 1024 * 1024
MAX_DEPTH = 24

# libyaml where the wheel carries it: ten times faster, which counts in a cold start
_Loader: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)


def parse_document(text: str, source: str) -> dict[str, Any]:
    """The mapping in a YAML text; `source` names the file in errors. Raises CatalogInvalid."""
    if len(text) > MAX_CHARACTERS:
        raise CatalogInvalid(f"{source}: longer than {MAX_CHARACTERS} characters")
    try:
        _check_events(text, source)
        loader = _Loader(text)
        try:
            node = loader.get_single_node()
            _check_keys(node, source)
            value = loader.construct_document(node) if node is not None else None
        finally:
            loader.dispose()
    except (yaml.YAMLError, ValueError, OverflowError) as error:
        # ValueError: SafeLoader builds dates and integers from text that only looks like one (2013-02-31)
        raise CatalogInvalid(f"{source}: {error}") from error
    if not isinstance(value, dict):
        raise CatalogInvalid(f"{source}: a mapping is expected at the top")
    return value


def _check_events(text: str, source: str) -> None:
    """Depth and aliases are judged on the flat event stream, before anything recursive sees the text."""
    depth = 0
    for event in yaml.parse(text, Loader=_Loader):
        if isinstance(event, yaml.AliasEvent):
            raise CatalogInvalid(f"{source}: line {_line(event)}: aliases are not allowed")
        if isinstance(event, yaml.MappingStartEvent | yaml.SequenceStartEvent):
            depth += 1
            if depth > MAX_DEPTH:
                raise CatalogInvalid(f"{source}: line {_line(event)}: nested deeper than {MAX_DEPTH}")
        elif isinstance(event, yaml.MappingEndEvent | yaml.SequenceEndEvent):
            depth -= 1


def _check_keys(node: yaml.Node | None, source: str) -> None:
    """YAML lets the last of two equal keys win silently; a contract must not."""
    if isinstance(node, yaml.MappingNode):
        seen = set()
        for key, value in node.value:
            if not isinstance(key, yaml.ScalarNode):
                raise CatalogInvalid(f"{source}: line {_line(key)}: a key must be a plain word")
            if key.value in seen:
                raise CatalogInvalid(f"{source}: line {_line(key)}: {key.value!r} is written twice")
            seen.add(key.value)
            _check_keys(value, source)
    elif isinstance(node, yaml.SequenceNode):
        for value in node.value:
            _check_keys(value, source)


def _line(part: yaml.Event | yaml.Node) -> int:
    return part.start_mark.line + 1 if part.start_mark else 0
