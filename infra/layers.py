"""Third-party layers: subsets of the one lock file, installed by wheel tag for a Lambda runtime.

A layer's identity is its locked requirements, runtime and architecture, never the bytes pip happened to unpack, so a
template reads the same whether the layer was built (to deploy) or only named (to test, or to run on a laptop).
"""

from __future__ import annotations

import hashlib
import json
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable
from functools import cache
from pathlib import Path

from infra.lock import ROOT, Layer, Target, requirements
from infra.trimming import TRIMMED, StillNeeded, trim

BUILD = ROOT / "build" / "layers"
# Beside the packages: what was left out, in bytes by pattern, and whether .pyc files are there.
RECORD = "layer.json"

# Function and layers together, unzipped, and a zip that is not uploaded by way of S3 (Lambda quotas).
LAMBDA_LIMIT = 250 * 1024 * 1024
DIRECT_LIMIT = 50 * 1024 * 1024
# Part of every layer's hash: raise it when how a layer is installed changes.
RECIPE = "2"

# flatbuffers, protobuf and sympy serve onnxruntime's own model tools; scoring a graph imports none of them.
_TOOLS = frozenset({"sympy", "mpmath", "flatbuffers", "protobuf", "packaging"})
LAYERS = {
    "base": Layer("base", groups=("core",)),
    "data": Layer("data", groups=("data",), packages=("numpy",)),
    "serving": Layer("serving", groups=("serving",), without=_TOOLS),
}


class LayerNotBuilt(RuntimeError):
    """pip found no wheels, or not those of the lock."""


def layer_hash(layer: Layer, target: Target) -> str:
    """Identity of a layer: the same on every machine, whether built or not."""
    words = [RECIPE, layer.name, target.python, target.architecture, *TRIMMED, requirements(layer, target)]
    return hashlib.sha256("\0".join(words).encode()).hexdigest()


def asset_hash(layer: Layer, target: Target) -> str:
    """The layer's name in a cloud assembly and its bucket: CDK digests a hash that it is given once more."""
    return hashlib.sha256(layer_hash(layer, target).encode()).hexdigest()


def locked(layer: Layer, target: Target) -> Path:
    """A folder with nothing but the layer's requirements.txt: enough to synthesize, not to deploy."""
    folder = BUILD / f"{layer.name}-{layer_hash(layer, target)[:16]}-locked"
    return once(folder, lambda made: _write_requirements(made, layer, target))


def build(layer: Layer, target: Target) -> Path:
    """A folder with the layer's packages under `python/`; installed at most once per lock. Raises LayerNotBuilt."""
    folder = BUILD / f"{layer.name}-{layer_hash(layer, target)[:16]}"
    return once(folder, lambda made: _install(made, layer, target))


def once(folder: Path, fill: Callable[[Path], None]) -> Path:
    """Fill a folder beside and move it in place, so that a second process or a crash never sees half of one."""
    if folder.exists():
        return folder
    folder.parent.mkdir(parents=True, exist_ok=True)
    made = Path(tempfile.mkdtemp(prefix=f".{folder.name}-", dir=folder.parent))
    try:
        fill(made)
        made.chmod(0o755)
        made.rename(folder)
    except OSError:
        if not folder.exists():
            raise
    finally:
        shutil.rmtree(made, ignore_errors=True)
    return folder


@cache
def interpreter(python: str) -> Path | None:
    """A Python of version `python` (`3.13`) on this machine, outside of any virtual environment; None without one."""
    asked = "import sys; print('%d.%d' % sys.version_info[:2], sys.prefix == sys.base_prefix)"
    for path in (Path(sys.base_prefix, "bin", f"python{python}"), shutil.which(f"python{python}")):
        if path is None or not Path(path).exists():
            continue
        # a version manager may answer to the name and have no such Python
        answer = subprocess.run([str(path), "-I", "-c", asked], capture_output=True, text=True, check=False).stdout
        if answer.split() == [python, "True"]:
            return Path(path)
    return None


def _write_requirements(folder: Path, layer: Layer, target: Target) -> None:
    (folder / "requirements.txt").write_text(requirements(layer, target), encoding="utf-8")


def _install(folder: Path, layer: Layer, target: Target) -> None:
    _write_requirements(folder, layer, target)
    command = [sys.executable, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--no-input"]
    command += ["--no-compile", "--no-deps", "--only-binary=:all:", "--require-hashes", *target.pip_options()]
    command += ["--target", str(folder / "python"), "--requirement", str(folder / "requirements.txt")]
    ended = subprocess.run(command, capture_output=True, text=True, check=False)
    if ended.returncode:
        errors = [line for line in ended.stderr.splitlines() if line.startswith("ERROR:")] or [ended.stderr.strip()]
        where = f"Python {target.python} on {target.architecture}"
        raise LayerNotBuilt(f"layer {layer.name} cannot be built for {where}: pip says {' '.join(errors)}")
    try:
        trimmed = trim(folder / "python")
    except StillNeeded as error:
        raise LayerNotBuilt(f"layer {layer.name} cannot be built: {error}") from error
    compiled = _compile(folder / "python", target)
    record = {"python": target.python, "architecture": target.architecture, "compiled": compiled, "trimmed": trimmed}
    (folder / RECORD).write_text(json.dumps(record, indent=2) + "\n", encoding="utf-8")


def _compile(folder: Path, target: Target) -> bool:
    """Ship .pyc when the runtime's own interpreter is here: Lambda's file system is read-only and keeps none."""
    python = interpreter(target.python)
    if python is None:
        return False
    words = ["-I", "-m", "compileall", "-q", "-j", "0", "-s", str(folder), "-p", "/opt/python"]
    subprocess.run([str(python), *words, "--invalidation-mode", "unchecked-hash", str(folder)], check=True)
    return True
