"""The one lock file, and the part of it that a layer or image gets for a Python and a processor."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

from packaging.markers import Marker
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).resolve().parent.parent

# Lambda's Amazon Linux 2023 has glibc 2.34. pip takes each tag literally, so older ones are named too.
_GLIBC = ("2_28", "2_27", "2_26", "2_24", "2_17", "2_12", "2_5")
_MACHINE = {"x86_64": "x86_64", "arm64": "aarch64"}


@dataclass(frozen=True)
class Locked:
    """One entry of the lock: a pinned package, its hashes, who needs it."""

    name: str
    version: str
    marker: str | None
    hashes: tuple[str, ...]
    needed_by: frozenset[str]


@dataclass(frozen=True)
class Layer:
    """A third-party layer: the dependency groups of pyproject.toml that it holds, and packages beside them."""

    name: str
    groups: tuple[str, ...]
    packages: tuple[str, ...] = ()
    without: frozenset[str] = field(default_factory=frozenset)


@dataclass(frozen=True)
class Target:
    """What the wheels are for."""

    python: str
    architecture: str

    def markers(self) -> dict[str, str]:
        """The environment that requirement markers are judged in: the Lambda runtime's, not this machine's."""
        return {
            "python_version": self.python,
            "python_full_version": f"{self.python}.0",
            "implementation_name": "cpython",
            "implementation_version": f"{self.python}.0",
            "platform_python_implementation": "CPython",
            "platform_machine": _MACHINE[self.architecture],
            "platform_system": "Linux",
            "sys_platform": "linux",
            "os_name": "posix",
        }

    def pip_options(self) -> list[str]:
        """pip's words for these wheels."""
        machine = _MACHINE[self.architecture]
        platforms = [f"manylinux_{glibc}_{machine}" for glibc in _GLIBC] + [f"manylinux2014_{machine}"]
        tag = self.python.replace(".", "")
        options = ["--python-version", self.python, "--implementation", "cp", "--abi", f"cp{tag}", "--abi", "abi3"]
        return [*options, "--abi", "none", *(word for platform in platforms for word in ("--platform", platform))]


def read_lock(text: str) -> list[Locked]:
    """The entries of a `uv pip compile --generate-hashes` file."""
    return [_entry(block) for block in _blocks(text)]


def _blocks(text: str) -> Iterator[list[str]]:
    block: list[str] = []
    for line in text.splitlines():
        if re.match(r"[A-Za-z0-9]", line) and block:
            yield block
            block = []
        if block or re.match(r"[A-Za-z0-9]", line):
            block.append(line)
    if block:
        yield block


def _entry(block: list[str]) -> Locked:
    requirement = Requirement(block[0].rstrip(" \\"))
    comments = [line.strip().lstrip("#").strip().removeprefix("via").strip() for line in block if "#" in line]
    return Locked(
        name=canonicalize_name(requirement.name),
        version=next(iter(requirement.specifier)).version,
        marker=str(requirement.marker) if requirement.marker else None,
        hashes=tuple(re.findall(r"--hash=(\S+)", "\n".join(block))),
        needed_by=frozenset(canonicalize_name(comment.split(" ")[0]) for comment in comments if comment),
    )


def group_packages(pyproject: dict[str, object], groups: Iterable[str]) -> set[str]:
    """Names of the packages that `groups` ask for themselves (PEP 735), included groups too."""
    tables: dict[str, list[str | dict[str, str]]] = pyproject["dependency-groups"]  # type: ignore[assignment]
    names: set[str] = set()
    for group in groups:
        for entry in tables[group]:
            if isinstance(entry, str):
                names.add(canonicalize_name(Requirement(entry).name))
            else:
                names |= group_packages(pyproject, [entry["include-group"]])
    return names


def closure(entries: Iterable[Locked], roots: set[str], without: frozenset[str], target: Target) -> list[Locked]:
    """`roots` and all they need, in the versions that hold for `target`."""
    held = [entry for entry in entries if entry.name not in without and _holds(entry, target)]
    names, size = set(roots), -1
    while size != len(names):
        size = len(names)
        names |= {entry.name for entry in held if entry.needed_by & names}
    return sorted((entry for entry in held if entry.name in names), key=lambda entry: entry.name)


def _holds(entry: Locked, target: Target) -> bool:
    return entry.marker is None or Marker(entry.marker).evaluate(target.markers())


def requirements(layer: Layer, target: Target) -> str:
    """A hashed requirements file for `layer`: the lock's own lines, markers already judged."""
    entries = read_lock((ROOT / "requirements.lock").read_text(encoding="utf-8"))
    pyproject = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    roots = group_packages(pyproject, layer.groups) | set(layer.packages)
    chosen = closure(entries, roots, layer.without, target)
    return "".join(
        " \\\n    ".join([f"{entry.name}=={entry.version}", *(f"--hash={value}" for value in entry.hashes)]) + "\n"
        for entry in chosen
    )
