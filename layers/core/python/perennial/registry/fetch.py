"""The directory of a registered version, out of S3 and checked against what the registry knows of it."""

from __future__ import annotations

from pathlib import Path

from perennial.errors import BundleInvalid, VersionRefused
from perennial.registry.models import ModelVersion
from perennial.serving.bundle import Bundle, verify
from perennial.storage.objects import Objects


def fetch(version: ModelVersion, objects: Objects, root: Path) -> Bundle:
    """Write the files of `version` below the empty folder `root`, and verify them.

    Raises VersionRefused for a version that failed its gates or was not approved, BundleInvalid when its files are not
    those it was registered with.
    """
    if version.state == "refused":
        why = f"was rejected: {version.review.reason}" if version.review else "failed its gates"
        raise VersionRefused(f"model {version.model} version {version.version} {why}")
    if version.state == "unapproved":
        raise VersionRefused(f"model {version.model} version {version.version} is not approved")
    root = root.resolve()
    for key in objects.list(version.prefix):
        path = (root / key.removeprefix(version.prefix)).resolve()
        if root not in path.parents:
            raise BundleInvalid(f"{key!r} is no name for a file of a bundle")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(objects.get(key))
    bundle = verify(root)
    if (bundle.model, bundle.version, bundle.sha256) != (version.model, version.version, version.sha256):
        raise BundleInvalid(f"{version.prefix} is not what was registered as {version.model} {version.version}")
    return bundle
