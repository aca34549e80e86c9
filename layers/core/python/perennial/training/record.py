"""What a run is made of: code, libraries, kernels. All that a bit-identical retrain needs besides the data."""

from __future__ import annotations

import hashlib
import platform
from collections.abc import Iterable
from importlib.metadata import version
from pathlib import Path
from typing import Any

from threadpoolctl import threadpool_info

import perennial

LIBRARIES = ("numpy", "scipy", "scikit-learn", "pandas", "pyarrow", "onnx", "onnxruntime", "skl2onnx", "protobuf")


def environment() -> dict[str, Any]:
    """Versions of Python and of every library that shapes the model, and the BLAS kernels in use."""
    blas = [
        {name: info.get(name) for name in ("internal_api", "version", "architecture")}
        for info in threadpool_info()
        if info.get("user_api") == "blas"
    ]
    return {
        "python": platform.python_version(),
        "machine": platform.machine(),
        "libraries": {name: version(name) for name in LIBRARIES},
        "blas": sorted(blas, key=str),
    }


def code_sha256() -> str:
    """The digest of the domain library's sources, in path order."""
    root = Path(perennial.__file__).parent
    digest = hashlib.sha256()
    for path in _sources(root):
        digest.update(path.relative_to(root).as_posix().encode() + b"\0" + path.read_bytes() + b"\0")
    return digest.hexdigest()


def _sources(root: Path) -> Iterable[Path]:
    return sorted(path for path in root.rglob("*.py") if "__pycache__" not in path.parts)
