"""What the Lambda control plane remembers: functions, immutable versions, aliases, layers."""

from __future__ import annotations

import threading
import time
import uuid
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path
from types import MappingProxyType
from typing import Any

from infra.local.lambdas.arns import LATEST

# seconds of real time that a new function or version stays Pending, and an update InProgress
SETTLING = 0.4

# members of CreateFunction that configure a version, with the defaults AWS answers with
# https://docs.aws.amazon.com/lambda/latest/api/API_CreateFunction.html
DEFAULTS: Mapping[str, Any] = MappingProxyType(
    {
        "Description": "",
        "Timeout": 3,
        "MemorySize": 128,
        "PackageType": "Zip",
        "Architectures": ["x86_64"],
        "TracingConfig": {"Mode": "PassThrough"},
        "EphemeralStorage": {"Size": 512},
    }
)
SETTINGS = (
    "Runtime",
    "Role",
    "Handler",
    *DEFAULTS,
    "VpcConfig",
    "DeadLetterConfig",
    "Environment",
    "KMSKeyArn",
    "Layers",
    "ImageConfig",
    "SnapStart",
    "LoggingConfig",
)


@dataclass(frozen=True)
class Package:
    """Code: where its files lie (`tree`), and how the API identifies it (`sha256` in base64, `size` in bytes)."""

    sha256: str
    size: int
    unzipped: int
    tree: Path
    archive: Path | None = None
    image_uri: str | None = None


@dataclass(frozen=True)
class LayerVersion:
    """One immutable version of a layer."""

    arn: str
    number: int
    package: Package
    description: str = ""
    runtimes: tuple[str, ...] = ()
    architectures: tuple[str, ...] = ()
    license: str = ""
    created: datetime = field(default_factory=lambda: datetime.now(UTC))

    @property
    def version_arn(self) -> str:
        """ARN of this version."""
        return f"{self.arn}:{self.number}"


@dataclass(frozen=True)
class Version:
    """A snapshot of code and configuration: `$LATEST` as it stands, or a published version.

    States follow from time: Pending (or an update InProgress) until `settles`, a `time.monotonic` reading. The
    revision changes when a version settles, as on AWS. `failure` is why it never became active.
    """

    function: str
    number: str
    settings: Mapping[str, Any]
    package: Package
    layers: tuple[LayerVersion, ...]
    modified: datetime
    settles: float = 0.0
    former: Version | None = None
    failure: str = ""
    key: str = field(default_factory=lambda: uuid.uuid4().hex)
    revisions: tuple[str, str] = field(default_factory=lambda: (str(uuid.uuid4()), str(uuid.uuid4())))

    @property
    def settled(self) -> bool:
        """Whether the creation or the last update has finished."""
        return time.monotonic() >= self.settles

    @property
    def snapped(self) -> bool:
        """Whether its environments start from a snapshot that is taken when it is published."""
        chosen = (self.settings.get("SnapStart") or {}).get("ApplyOn")
        return self.number != LATEST and chosen == "PublishedVersions"

    @property
    def pending(self) -> bool:
        """Whether it has never been active yet."""
        return not self.settled and self.former is None

    @property
    def revision(self) -> str:
        """RevisionId at this moment."""
        return self.revisions[self.settled]

    @property
    def serving(self) -> Version:
        """What an invocation runs: the former snapshot while an update is in progress."""
        return self if self.settled or self.former is None else self.former

    @property
    def content(self) -> tuple[Any, ...]:
        """What publishing compares: code, layers and configuration without the description."""
        settings = {k: v for k, v in self.settings.items() if k != "Description"}
        return self.package.sha256, tuple(layer.version_arn for layer in self.layers), settings

    def changed(self, **members: Any) -> Version:
        """A new snapshot of `$LATEST`, in progress from now on."""
        now = datetime.now(UTC)
        fresh: dict[str, Any] = {"key": uuid.uuid4().hex, "revisions": (str(uuid.uuid4()), str(uuid.uuid4()))}
        former = replace(self, former=None)
        return replace(self, former=former, modified=now, settles=time.monotonic() + SETTLING, **fresh, **members)


@dataclass(frozen=True)
class Alias:
    """A name that points to a version, and to a second one with a weight."""

    name: str
    version: str
    description: str = ""
    weights: Mapping[str, float] = field(default_factory=dict)
    revision: str = field(default_factory=lambda: str(uuid.uuid4()))


@dataclass
class Function:
    """A function with everything that hangs on it. Change it with `lock` held."""

    name: str
    arn: str
    latest: Version
    versions: dict[str, Version] = field(default_factory=dict)
    aliases: dict[str, Alias] = field(default_factory=dict)
    # statements by qualifier ("" for the unqualified function), in the order in which they were added
    policies: dict[str, dict[str, dict[str, Any]]] = field(default_factory=dict)
    tags: dict[str, str] = field(default_factory=dict)
    event_configs: dict[str, dict[str, Any]] = field(default_factory=dict)
    reserved: int | None = None
    published: int = 0
    lock: threading.RLock = field(default_factory=threading.RLock, repr=False)

    def version(self, number: str) -> Version | None:
        """The snapshot of `$LATEST` or of a published version."""
        return self.latest if number == LATEST else self.versions.get(number)
