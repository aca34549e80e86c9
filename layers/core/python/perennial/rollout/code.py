"""A model version as Lambda code: its directory, checked against its manifest, in a zip of always the same bytes."""

from __future__ import annotations

import hashlib
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from perennial.registry import ModelVersion
from perennial.registry.fetch import fetch
from perennial.serving.bundle import zip_bundle
from perennial.storage.functions import base64_digest
from perennial.storage.objects import Objects

# Where the zip of a version waits for Lambda to take it.
STAGING = "staging/code/"


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
    with tempfile.TemporaryDirectory() as folder:
        fetch(version, objects, Path(folder))
        return zipped(folder)


def zipped(source: str | Mapping[str, bytes]) -> Code:
    """The code of a folder, or of files by name."""
    content = zip_bundle(source)
    return Code(content, base64_digest(hashlib.sha256(content).hexdigest()))
