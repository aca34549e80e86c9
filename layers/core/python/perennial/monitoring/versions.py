"""What a look knows of the versions that answered: what they give, and what they were like when they were trained."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import Any

from perennial.errors import ObjectMissing
from perennial.evaluation.champion import verified
from perennial.monitoring.names import CONFIDENCE, REFERENCE, SCORE
from perennial.monitoring.profile import Profile
from perennial.monitoring.reference import Reference, read_reference
from perennial.monitoring.rows import Classes
from perennial.registry import ModelVersion, Registry
from perennial.storage.objects import Objects

EVALUATION, SIGNATURE = "evaluation.json", "signature.json"


@dataclass
class Versions:
    """The versions of a model, each file read once. Raises BundleInvalid for files that are not the registered ones."""

    model: str
    registry: Registry
    objects: Objects
    _found: dict[int, ModelVersion | None] = field(default_factory=dict)
    _evaluations: dict[int, dict[str, Any]] = field(default_factory=dict)

    def find(self, version: int) -> ModelVersion | None:
        """What the registry knows of a version; None where it is gone, or of another environment."""
        if version not in self._found:
            self._found[version] = self.registry.find(self.model, version)
        return self._found[version]

    def classes(self, version: int) -> tuple[str, Classes] | None:
        """Task and classes of a version; None where nobody knows."""
        known = self.find(version)
        if known is None:
            return None
        signature = json.loads(verified(self.objects, known, SIGNATURE))
        classes = signature["classes"]
        return str(signature["task"]), None if classes is None else tuple(classes)

    def trained(self, version: int) -> dict[str, float]:
        """The metrics on the rows that were held out in training."""
        known, told = self.find(version), self.held_out(version)
        return dict(told.metrics) if told else dict(known.metrics) if known else {}

    def profile(self, version: int) -> Profile | None:
        """What the rows of training looked like; None for a version that has no profile."""
        known = self.find(version)
        try:
            return Profile.from_bytes(verified(self.objects, known, REFERENCE)) if known else None
        except ObjectMissing:
            return None

    def held_out(self, version: int) -> Reference | None:
        """What the version was on its held-out rows; None where its evaluation did not tell."""
        told = self._evaluation(version).get("held_out")
        return read_reference(told) if told else None

    def allowance(self, version: int) -> dict[str, float]:
        """What of a version's scores differs from those of its profile, as a share of rows; empty for most versions.

        The profile has the scores of the model that was evaluated. One that was fitted again answers in its place, and
        evaluation measured how far apart the scores of the two are on the same rows. Of two classes the confidence may
        be twice as far apart: it has both ends of the score in one.
        """
        told = self._evaluation(version)
        if not (told.get("deployed") or {}).get("refitted"):
            return {}
        measured = next(float(check["value"]) for check in told["refit"]["checks"] if check["name"] == "scores")
        return {SCORE: measured, CONFIDENCE: 2 * measured}

    def _evaluation(self, version: int) -> dict[str, Any]:
        if version not in self._evaluations:
            known = self.find(version)
            told = json.loads(verified(self.objects, known, EVALUATION)) if known else {}
            self._evaluations[version] = told
        return self._evaluations[version]
