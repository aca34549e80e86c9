"""Peers live in environments of their own, made once per pinned list under `.perennial/bench/`."""

from __future__ import annotations

import hashlib
import shutil
import subprocess
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

from scripts.benchmarks.interleave import Command, once
from scripts.cli.local import ROOT
from scripts.cli.output import Failure

CACHE = ROOT / ".perennial" / "bench"
REQUIREMENTS = Path(__file__).parent / "requirements"


def python_of(peer: str, say: Callable[[str], None], cache: Path = CACHE) -> Path:
    """The interpreter of the environment that has `requirements/<peer>.txt` installed. Raises Failure."""
    listed = REQUIREMENTS / f"{peer}.txt"
    key = hashlib.sha256(listed.read_bytes() + sys.version.encode()).hexdigest()[:12]
    folder = cache / f"{peer}-{key}"
    python, done = folder / "bin" / "python", folder / ".installed"
    if done.exists():
        return python
    say(f"installing {peer} into an environment of its own (once)")
    shutil.rmtree(folder, ignore_errors=True)
    _run([sys.executable, "-m", "venv", str(folder)], f"{peer}: no environment")
    options = ["--quiet", "--disable-pip-version-check", "--no-input", "--requirement", str(listed)]
    _run([str(python), "-m", "pip", "install", *options], f"{peer} cannot be installed")
    done.touch()
    return python


def versions(python: Path, packages: Sequence[str]) -> dict[str, str]:
    """The versions that an environment has of some packages."""
    code = "import sys; from importlib.metadata import version; print(*map(version, sys.argv[1:]))"
    return dict(zip(packages, once(Command(python, ["-c", code, *packages], {})).split(), strict=True))


def _run(command: list[str], what: str) -> None:
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        raise Failure(f"{what}: {done.stderr.strip()[-500:]}")
