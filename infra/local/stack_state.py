"""What the local CloudFormation remembers of a stack: its resources as they were last made or updated."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from infra.local.intrinsics import TemplateError
from infra.local.resources import REGISTRY
from infra.local.resources.base import Handler, Made, Place, Properties
from infra.local.template import Declared


@dataclass
class Deployed:
    """A resource as it was last made or updated."""

    declared: Declared
    properties: Properties
    made: Made
    place: Place

    @property
    def handler(self) -> Handler:
        """What makes, changes and removes it."""
        return REGISTRY[self.declared.type]


@dataclass
class StackState:
    """What a stack has: resources in the order of their making, outputs, exports, imports; `source` made it so."""

    source: str = ""
    resources: dict[str, Deployed] = field(default_factory=dict)
    outputs: dict[str, Any] = field(default_factory=dict)
    exports: dict[str, Any] = field(default_factory=dict)
    imports: set[str] = field(default_factory=set)


@dataclass
class Known:
    """Ref and GetAtt over resources that exist (intrinsics.Resources)."""

    stack: str
    resources: dict[str, Deployed]

    def ref(self, logical_id: str) -> Any:
        """The physical id."""
        return self.resources[logical_id].made.ref

    def attribute(self, logical_id: str, name: str) -> Any:
        """A GetAtt attribute; raises TemplateError when the local cloud does not know it."""
        found = self.resources[logical_id]
        if name not in found.made.attributes:
            raise TemplateError(f"Fn::GetAtt {logical_id}.{name}: {found.declared.type} has no such attribute here")
        return found.made.attributes[name]
