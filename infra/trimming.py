"""What a third-party layer leaves out: files that no function loads, by pattern.

A native library stays for as long as something that stays is linked against it (Arrow's Substrait, numpy's OpenBLAS),
and nothing in `*.libs/` is touched: those libraries find each other by position.
"""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

TRIMMED = (
    # for people and compilers
    "**/__pycache__",
    "**/tests",
    "bin",
    "**/include",
    "**/*.a",
    "**/*.pyx",
    "**/*.pxd",
    "**/*.pxi",
    "**/*.pyi",
    "numpy/distutils",
    "numpy/f2py",
    # Arrow's servers, ORC and remote file systems: objects are read through boto3
    "pyarrow/src",
    "pyarrow/libarrow_flight*",
    "pyarrow/libarrow_python_flight*",
    "pyarrow/_flight*",
    "pyarrow/libarrow_s3*",
    "pyarrow/_s3fs*",
    "pyarrow/_gcsfs*",
    "pyarrow/_azurefs*",
    "pyarrow/_hdfs*",
    "pyarrow/_orc*",
    "pyarrow/_dataset_orc*",
    "pyarrow/_substrait*",
    "pyarrow/*_encryption*",
    "pyarrow/_pyarrow_cpp_tests*",
    # second names of the same library: modules ask for `.so.<number>`
    "pyarrow/libarrow_python.so",
    "pyarrow/libarrow_python.so.*.*.*",
    # onnxruntime's Python module has the library built in; the rest makes and shrinks models
    "onnxruntime/capi/libonnxruntime.so*",
    "onnxruntime/datasets",
    "onnxruntime/tools",
    "onnxruntime/transformers",
    "onnxruntime/quantization",
)


class StillNeeded(RuntimeError):
    """A native library was trimmed that one which stays is linked against."""


def trim(folder: Path) -> dict[str, int]:
    """Delete from `folder` what no function imports; bytes gone, by pattern. Raises StillNeeded."""
    before = {path.name for path in _libraries(folder)}
    gone: dict[str, int] = {}
    for pattern in TRIMMED:
        for path in sorted(folder.glob(pattern)):
            if path.exists():  # not within a folder that is gone already
                gone[pattern] = gone.get(pattern, 0) + size(path)
                shutil.rmtree(path) if path.is_dir() else path.unlink()
    _check_links(folder, before)
    return gone


def _check_links(folder: Path, before: set[str]) -> None:
    """Look for the names of libraries that are gone in those that stay, for any processor and without running one."""
    libraries = list(_libraries(folder))
    trimmed = sorted(before - {path.name for path in libraries})
    for path in libraries:
        content = path.read_bytes()
        for name in trimmed:
            # as the linker writes it: a whole string of the table of needed libraries
            if f"\0{name}\0".encode() in content:
                raise StillNeeded(f"{path.relative_to(folder)} is linked against {name}, which trimming deletes")


def _libraries(folder: Path) -> Iterator[Path]:
    return (path for path in folder.rglob("*.so*") if path.is_file())


def size(path: Path) -> int:
    """Bytes of a file, or of all files under a folder, as Lambda counts them."""
    return sum(each.stat().st_size for each in (path.rglob("*") if path.is_dir() else [path]) if each.is_file())
