"""A registered version goes to another environment: the same graph, golden rows and evidence, never a new training.

What travels is the run's workspace, taken out of the version's directory after that was checked against its manifest,
with a note of where it comes from. The other environment registers it as it registers every run, under its own next
number, and rolls it out. The same version always arrives as the same run, so promoting it twice adds nothing.
"""

from __future__ import annotations

from datetime import datetime
from pathlib import Path
from tempfile import TemporaryDirectory

from perennial.registry.fetch import fetch
from perennial.registry.models import ModelVersion, Origin
from perennial.registry.registration import COPIED, OPTIONAL, ORIGIN
from perennial.storage.objects import Objects, canonical_json


def workspace_of(
    version: ModelVersion, objects: Objects, *, environment: str, by: str, at: datetime
) -> dict[str, bytes]:
    """The files that another environment registers `version` from, by name within its workspace.

    `environment` is where it is registered now, `by` the ARN of who promotes it. Raises VersionRefused for one that
    failed its gates, BundleInvalid when its files are not those it was registered with.
    """
    origin = Origin(
        environment=environment,
        bucket=objects.bucket,
        version=version.version,
        run=version.run,
        sha256=version.sha256,
        by=by,
        at=at,
    )
    with TemporaryDirectory() as folder:
        fetch(version, objects, Path(folder))
        there = [*COPIED, *(name for name in OPTIONAL if Path(folder, name).exists())]
        files = {name: Path(folder, name).read_bytes() for name in there}
    return files | {ORIGIN: canonical_json(origin.model_dump(mode="json"))}
