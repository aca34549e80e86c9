"""What a run is made of besides its data: code, libraries, interpreter, arithmetic."""

from __future__ import annotations

import hashlib
import platform
from collections.abc import Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Any

import perennial
from perennial.training import kernels

LIBRARIES = ("numpy", "scipy", "scikit-learn", "pandas", "pyarrow", "onnx", "onnxruntime", "skl2onnx", "protobuf")


def surroundings() -> dict[str, Any]:
    """Versions of all that shapes the graph, as JSON."""
    return {
        "python": platform.python_version(),
        "machine": platform.machine(),
        "libraries": {name: version(name) for name in LIBRARIES},
        "blas": kernels.recorded(),
    }


def code_sha256(functions: Sequence[Path]) -> str:
    """The digest of the library's sources and of the function folders given: relative names and contents, in order."""
    root = Path(perennial.__file__).parent
    digest = hashlib.sha256()
    for folder in [root, *sorted(functions)]:
        for path in sorted(folder.rglob("*.py")):
            content = path.read_bytes()
            digest.update(f"{path.relative_to(folder.parent).as_posix()}\0{len(content)}\0".encode() + content)
    return digest.hexdigest()
