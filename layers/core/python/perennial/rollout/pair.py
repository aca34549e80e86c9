"""Two versions that are rolled out together: the arms of an experiment, in one Lambda version."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from perennial.errors import ExperimentInvalid
from perennial.registry import Experiment, ModelVersion, Registry
from perennial.registry.fetch import fetch
from perennial.rollout.code import Code, zipped
from perennial.rollout.golden import check_versions, request_event
from perennial.rollout.questions import Question, golden_of, question
from perennial.serving.assignment import CHALLENGER, CHAMPION, Arm, Design, design_bytes, mismatch
from perennial.serving.bundle import DESIGN, MAX_BUNDLE_BYTES
from perennial.serving.signature import parse_signature
from perennial.storage.objects import Objects


@dataclass(frozen=True)
class Pair:
    """An experiment with the versions of its arms."""

    experiment: Experiment
    champion: ModelVersion
    challenger: ModelVersion

    def code(self, objects: Objects) -> Code:
        """Both directories and experiment.json, in a zip of always the same bytes.

        Raises VersionRefused and BundleInvalid as for one version alone, ExperimentInvalid when no request is for both,
        or the two are too large together.
        """
        files: dict[str, bytes] = {DESIGN: design_bytes(self.design)}
        signatures = []
        for arm, version in ((CHAMPION, self.champion), (CHALLENGER, self.challenger)):
            with tempfile.TemporaryDirectory() as folder:
                root = Path(folder)
                signatures.append(parse_signature(fetch(version, objects, root).signature))
                files |= {f"{arm}/{path.relative_to(root)}": path.read_bytes() for path in _files(root)}
        why = mismatch(signatures[0], signatures[1], self.experiment.entity)
        if why is not None:
            raise ExperimentInvalid(f"model {self.champion.model}: {why}")
        if sum(map(len, files.values())) > MAX_BUNDLE_BYTES:
            raise ExperimentInvalid(f"model {self.champion.model}: both versions take over {MAX_BUNDLE_BYTES} bytes")
        return zipped(files)

    def questions(self, objects: Objects, at: datetime) -> list[Question]:
        """The golden rows of both, each asked by its number, and whether a request is split as the log will say."""
        ours, theirs = (question(version, objects, at, by_number=True) for version in (self.champion, self.challenger))
        return [ours, theirs, self._split(objects, at)]

    def _split(self, objects: Objects, at: datetime) -> Question:
        signature, golden = golden_of(self.champion, objects)
        columns = {name: [row[name] for row in golden.rows] for name in self.experiment.entity}
        arms = self.design.arms(columns, len(golden.rows))
        versions = [(self.challenger if arm == CHALLENGER else self.champion).version for arm in arms]
        return Question(request_event(signature, golden, at), lambda payload: check_versions(payload, versions))

    @property
    def design(self) -> Design:
        """What the function is told of the experiment."""
        arms = [Arm(version.version, version.sha256) for version in (self.champion, self.challenger)]
        return Design(arms[0], arms[1], self.experiment.share, self.experiment.entity, self.experiment.salt)


def pair_of(model: str, experiment: Experiment, registry: Registry) -> Pair:
    """The registered versions of an experiment. Raises VersionUnknown."""
    return Pair(experiment, registry.get(model, experiment.champion), registry.get(model, experiment.challenger))


def _files(root: Path) -> Iterator[Path]:
    return (path for path in sorted(root.rglob("*")) if path.is_file())
