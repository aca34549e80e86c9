"""Third-party packages of layers: exactly those that a layer lists, linked from this interpreter's own packages.

Locally a third-party layer holds only its locked `requirements.txt`. A function must see what its layers list and
nothing else that happens to be installed, or a missing layer would only be noticed in the account.
"""

from __future__ import annotations

import compileall
import re
from collections.abc import Iterable, Sequence
from functools import cache
from importlib import metadata
from pathlib import Path

# What AWS's managed Python runtimes contain beside the standard library:
# https://docs.aws.amazon.com/lambda/latest/dg/lambda-python.html#python-sdk-included
RUNTIME = (
    "awslambdaric",
    "snapshot-restore-py",
    "simplejson",
    "boto3",
    "botocore",
    "jmespath",
    "python-dateutil",
    "s3transfer",
    "six",
    "urllib3",
)
PINNED = re.compile(r"^([A-Za-z0-9][A-Za-z0-9._-]*)(?:\[[^\]]*\])?\s*==", re.MULTILINE)


class NotInstalled(LookupError):
    """A listed package is not among this interpreter's packages."""


def listed(requirements: str) -> list[str]:
    """Names of the packages that a locked requirements file pins."""
    return PINNED.findall(requirements)


def link(names: Iterable[str], folder: Path) -> None:
    """Make the packages importable from `folder` by links; raises NotInstalled."""
    folder.mkdir(parents=True, exist_ok=True)
    for name in names:
        for source in top_level(name):
            target = folder / source.name
            if not target.exists():
                target.symlink_to(source, target_is_directory=source.is_dir())
    modules = [path for path in folder.glob("*.py") if path.is_symlink()]
    for module in modules:
        compileall.compile_file(module, quiet=2)


def site_packages() -> Sequence[Path]:
    """Where this interpreter's packages lie (what an image installs by itself is not installed again)."""
    return tuple(dict.fromkeys(source.parent for source in top_level("awslambdaric")))


@cache
def top_level(name: str) -> tuple[Path, ...]:
    """The files and folders that a distribution puts into site-packages; raises NotInstalled."""
    try:
        distribution = metadata.distribution(name)
    except metadata.PackageNotFoundError as error:
        raise NotInstalled(f"package {name} is not installed here; run scripts/setup") from error
    parts = {file.parts[0] for file in distribution.files or ()}
    base = Path(str(distribution.locate_file("")))
    return tuple(sorted(base / part for part in parts - {"..", "__pycache__"} if (base / part).exists()))
