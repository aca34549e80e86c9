"""Two small versions side by side, as a function carries them during an experiment."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from perennial.serving.assignment import Arm, Design, design_bytes
from perennial.serving.service import Service, open_service
from tests.unit.serving.bundles import VERSION, WEIGHTS, bundle_files, graph, write_bundle
from tests.unit.serving.requests import REQUEST_ID, infer_event

CHALLENGER = VERSION + 1
SALT = "a salt"


def other_files() -> dict[str, bytes]:
    """The challenger: the champion's graph with its weights turned around, so p becomes 1 − p."""
    return bundle_files() | {"model.onnx": graph(weights=-WEIGHTS).SerializeToString()}


def write_experiment(
    folder: Path,
    *,
    champion: Mapping[str, bytes] | None = None,
    challenger: Mapping[str, bytes] | None = None,
    share: float = 0.5,
    entity: tuple[str, ...] = ("carrier",),
) -> Design:
    """Both bundles and experiment.json in `folder`."""
    arms = []
    for name, files, version in (
        ("champion", champion or bundle_files(), VERSION),
        ("challenger", challenger or other_files(), CHALLENGER),
    ):
        (folder / name).mkdir(parents=True)
        write_bundle(folder / name, files, version)
        arms.append(Arm(version, hashlib.sha256((folder / name / "manifest.json").read_bytes()).hexdigest()))
    design = Design(arms[0], arms[1], share, entity, SALT)
    (folder / "experiment.json").write_bytes(design_bytes(design))
    return design


class Experimenter:
    """A service of two versions in this process, with the records it wrote."""

    def __init__(self, folder: Path, **how: Any) -> None:
        self.design = write_experiment(folder, **how)
        self.records: list[dict[str, Any]] = []
        service = open_service(str(folder), "9", lambda line: self.records.append(json.loads(line)))
        assert isinstance(service, Service), vars(service)
        self.service = service

    def infer(self, body: Any, **more: Any) -> tuple[int, Any]:
        """Status and parsed body of an inference request."""
        reply = self.service.handle(infer_event(body, **more), REQUEST_ID)
        return reply["statusCode"], json.loads(reply["body"])
