"""Third-party layers: subsets of the one lock file, installed by wheel tag for the Lambda runtime.

A layer's identity is its locked requirements, runtime and architecture, never the bytes pip happened to unpack, so a
template reads the same whether the layer was built (to deploy) or only named (to test, or to run on a laptop).
"""

from __future__ import annotations

import hashlib
import re
import shutil
import subprocess
import sys
import tempfile
import tomllib
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

from packaging.markers import Marker
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).resolve().parent.parent
BUILD = ROOT / "build" / "layers"

# Function and layers together, unzipped (Lambda quotas).
LAMBDA_LIMIT = 250 * 1024 * 1024
# Part of every layer's hash: raise it when what is trimmed or how it is installed changes.
RECIPE = "1"

# Lambda's Amazon Linux 2023 has glibc 2.34. pip takes each tag literally, so older ones are named too.
_GLIBC = ("2_28", "2_27", "2_26", "2_24", "2_17", "2_12", "2_5")
_MACHINE = {"x86_64": "x86_64", "arm64": "aarch64"}

# Never loaded by the library: test suites, headers, sources, Arrow's servers and ORC, second copies of the same core
# (onnxruntime's Python module links it statically). A test imports what is left.
TRIMMED = (
    "**/__pycache__",
    "**/tests",
    "bin",
    "**/include",
    "**/*.pyx",
    "**/*.pxd",
    "**/*.pyi",
    "pyarrow/src",
    "pyarrow/libarrow_flight*",
    "pyarrow/libarrow_python_flight*",
    "pyarrow/_flight*",
    "pyarrow/libarrow_python.so",
    "pyarrow/libarrow_python.so.*.*.*",
    "pyarrow/libarrow_python_parquet_encryption.so",
    "pyarrow/libarrow_python_parquet_encryption.so.*.*.*",
    "pyarrow/_pyarrow_cpp_tests*",
    "pyarrow/_substrait*",
    "pyarrow/_orc*",
    "onnxruntime/capi/libonnxruntime.so*",
    "onnxruntime/datasets",
    "onnxruntime/tools",
    "onnxruntime/transformers",
    "onnxruntime/quantization",
)


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


# flatbuffers, protobuf and sympy serve onnxruntime's own model tools; scoring a graph imports none of them.
_TOOLS = frozenset({"sympy", "mpmath", "flatbuffers", "protobuf", "packaging"})
LAYERS = {
    "base": Layer("base", groups=("core",)),
    "data": Layer("data", groups=("data",), packages=("numpy",)),
    "serving": Layer("serving", groups=("serving",), without=_TOOLS),
}


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


def layer_hash(layer: Layer, target: Target) -> str:
    """Identity of a layer: the same on every machine, whether built or not."""
    words = [RECIPE, layer.name, target.python, target.architecture, *TRIMMED, requirements(layer, target)]
    return hashlib.sha256("\0".join(words).encode()).hexdigest()


def locked(layer: Layer, target: Target) -> Path:
    """A folder with nothing but the layer's requirements.txt: enough to synthesize, not to deploy."""
    folder = BUILD / f"{layer.name}-{layer_hash(layer, target)[:16]}-locked"
    return once(folder, lambda made: _write_requirements(made, layer, target))


def build(layer: Layer, target: Target) -> Path:
    """A folder with the layer's packages under `python/`; installed at most once per lock."""
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


def _write_requirements(folder: Path, layer: Layer, target: Target) -> None:
    (folder / "requirements.txt").write_text(requirements(layer, target), encoding="utf-8")


def _install(folder: Path, layer: Layer, target: Target) -> None:
    _write_requirements(folder, layer, target)
    command = [sys.executable, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--no-input"]
    command += ["--no-compile", "--no-deps", "--only-binary=:all:", "--require-hashes", *target.pip_options()]
    command += ["--target", str(folder / "python"), "--requirement", str(folder / "requirements.txt")]
    subprocess.run(command, check=True)
    trim(folder / "python")
    _compile(folder / "python", target)


def trim(folder: Path) -> None:
    """Delete what no function imports."""
    for pattern in TRIMMED:
        for path in sorted(folder.glob(pattern)):
            if path.is_dir():
                shutil.rmtree(path)
            elif path.exists():
                path.unlink()


def _compile(folder: Path, target: Target) -> None:
    """Ship .pyc when the runtime's own interpreter is here: Lambda's file system is read-only and keeps none."""
    interpreter = f"python{target.python}"
    # a version manager may answer to the name and have no such Python
    if shutil.which(interpreter) is None or subprocess.run([interpreter, "-c", ""], check=False).returncode:
        return
    words = ["-m", "compileall", "-q", "-j", "0", "--invalidation-mode", "unchecked-hash", str(folder)]
    subprocess.run([interpreter, *words], check=True)


def unzipped_bytes(folder: Path) -> int:
    """Bytes of all files under `folder`, as Lambda counts them."""
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())
