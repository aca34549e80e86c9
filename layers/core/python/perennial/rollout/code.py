"""A model version as Lambda code: its directory, checked against its manifest, in a zip of always the same bytes."""

from __future__ import annotations

import hashlib
import tempfile
from dataclasses import dataclass
from pathlib import Path

from perennial.errors import BundleInvalid, VersionRefused
from perennial.registry import ModelVersion
from perennial.serving.bundle import verify, zip_bundle
from perennial.storage.functions import base64_digest
from perennial.storage.objects import Objects


@dataclass(frozen=True)
class Code:
    """A zip; `sha256` is its digest as Lambda writes it (base64)."""

    zipped: bytes
    sha256: str


def code_of(version: ModelVersion, objects: Objects) -> Code:
    """The code of a registered version.

    Raises VersionRefused for one that failed its gates, BundleInvalid when its files are not those it was registered
    with.
    """
    if version.state == "refused":
        raise VersionRefused(f"model {version.model} version {version.version} failed its gates")
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder).resolve()
        for key in objects.list(version.prefix):
            path = (root / key.removeprefix(version.prefix)).resolve()
            if root not in path.parents:
                raise BundleInvalid(f"{key!r} is no name for a file of a bundle")
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(objects.get(key))
        bundle = verify(root)
        if (bundle.model, bundle.version, bundle.sha256) != (version.model, version.version, version.sha256):
            raise BundleInvalid(f"{version.prefix} is not what was registered as {version.model} {version.version}")
        zipped = zip_bundle(root)
    return Code(zipped, base64_digest(hashlib.sha256(zipped).hexdigest()))
