"""The champion's graph, verified before it is parsed, and its answers to the challenger's held-out rows."""

from __future__ import annotations

import hashlib
import json
from typing import Any

import numpy as np

from perennial.errors import BundleInvalid, PerennialError
from perennial.evaluation.holdout import Holdout
from perennial.evaluation.scoring import Graph
from perennial.registry import ModelVersion
from perennial.serving.graph import check_graph
from perennial.storage.objects import Objects

Array = np.ndarray[Any, Any]


class NotComparable(PerennialError):
    """The champion cannot be asked about these rows; the message says why, `rows` which there were (JSON).

    It never leaves the stage.
    """

    def __init__(self, why: str, rows: dict[str, Any] | None = None) -> None:
        super().__init__(why)
        self.rows = rows


def verified(objects: Objects, version: ModelVersion, name: str) -> bytes:
    """A file of a model directory whose digests lead back to the registry. Raises BundleInvalid, ObjectMissing."""
    manifest = objects.get(f"{version.prefix}manifest.json")
    if hashlib.sha256(manifest).hexdigest() != version.sha256:
        raise BundleInvalid(f"{version.prefix}manifest.json does not have the digest that the registry recorded")
    listed = json.loads(manifest)["files"].get(name)
    content = objects.get(version.prefix + name)
    if listed is None or hashlib.sha256(content).hexdigest() != listed["sha256"]:
        raise BundleInvalid(f"{version.prefix}{name} does not have the digest in its manifest")
    return content


def champion_answers(objects: Objects, version: ModelVersion, holdout: Holdout, signature: dict[str, Any]) -> Array:
    """The champion's answers float64 [n, k] to rows made for the challenger with `signature`.

    Raises NotComparable when the champion takes another column or kind, or answers something else; BundleInvalid when
    its files are not the registered ones.
    """
    theirs = json.loads(verified(objects, version, "signature.json"))
    for word in ("task", "label", "classes"):
        if theirs[word] != signature[word]:
            raise NotComparable(f"its {word} is {theirs[word]!r}, the challenger's {signature[word]!r}")
    for one in theirs["inputs"]:
        if one["name"] not in holdout.columns:
            raise NotComparable(f"it takes {one['name']!r}, which the held-out rows lack")
        element = "string" if holdout.columns[one["name"]].dtype == object else "float"
        if element != one["element"]:
            raise NotComparable(f"it takes {one['name']!r} as {one['element']}, held-out rows have it as {element}")
    content = verified(objects, version, "model.onnx")
    check_graph(content)
    return Graph(content).score({one["tensor"]: holdout.columns[one["name"]] for one in theirs["inputs"]})
