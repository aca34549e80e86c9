"""The synthesized templates, once per content: what is deployed is what is tested."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from infra.synth import synthesize

CATALOG = Path(__file__).parent / "catalog"
MODELS = ("hours", "late-parcels")


@dataclass(frozen=True)
class Resource:
    """One resource of a template."""

    stack: str
    id: str
    type: str
    props: dict[str, Any]
    raw: dict[str, Any]


@dataclass(frozen=True)
class App:
    """A cloud assembly: its folder, and its templates by stack (`data`, `loop`, `serving`)."""

    folder: Path
    templates: dict[str, dict[str, Any]]

    @classmethod
    def read(cls, folder: Path) -> App:
        paths = sorted(folder.glob("*.template.json"))
        return cls(folder, {_stack(path): json.loads(path.read_text(encoding="utf-8")) for path in paths})

    def all(self) -> Iterator[Resource]:
        for stack, template in self.templates.items():
            for name, raw in template["Resources"].items():
                yield Resource(stack, name, raw["Type"], raw.get("Properties", {}), raw)

    def of(self, *types: str) -> list[Resource]:
        """Every resource of these types. There must be some, or a test of all of them would test nothing."""
        found = [resource for resource in self.all() if resource.type in types]
        assert found, types
        return found

    def one(self, type_: str, **props: Any) -> Resource:
        """The one resource of that type with those properties."""
        found = [resource for resource in self.of(type_) if props.items() <= resource.props.items()]
        assert len(found) == 1, f"{len(found)} of {type_} with {props}"
        return found[0]


def _stack(path: Path) -> str:
    return path.name.removesuffix(".template.json").rsplit("-", 1)[1]


@pytest.fixture(scope="session")
def app() -> App:
    """Environment dev with a catalog of two models and datasets, checked by cdk-nag."""
    return App.read(synthesize(env="dev", catalog=CATALOG, nag=True))


def text(value: Any) -> str:
    """A template value as text, its references as `${LogicalId}` or `${LogicalId.Attribute}`."""
    if isinstance(value, str):
        return value
    if "Ref" in value:
        return f"${{{value['Ref']}}}"
    if "Fn::GetAtt" in value:
        return f"${{{'.'.join(value['Fn::GetAtt'])}}}"
    if "Fn::ImportValue" in value:
        return f"${{{value['Fn::ImportValue']}}}"
    if "Fn::Sub" in value:
        return str(value["Fn::Sub"])
    if "Fn::Select" in value:
        return str(value["Fn::Select"])
    separator, parts = value["Fn::Join"]
    return str(separator).join(text(part) for part in parts)


def listed(value: Any) -> list[Any]:
    """IAM writes lists of one as the one."""
    return value if isinstance(value, list) else [value]
