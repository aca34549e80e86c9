"""Which arithmetic a training uses. Import this before numpy: OpenBLAS chooses its kernel when it is loaded.

Logistic regression differs in its last bits between OpenBLAS kernels, and so would the graph's digest from machine to
machine. Haswell's kernels (AVX2, FMA) run on every x86-64-v3 machine, Fargate's and Lambda's among them; Neoverse N1's
on every Graviton since the second. OpenBLAS ignores the name of a kernel that it was not built with.
"""

from __future__ import annotations

import platform
from typing import Any

from perennial.settings import set_before_import

KERNELS = {"x86_64": "Haswell", "aarch64": "NEOVERSEN1"}


def pin() -> None:
    """Ask OpenBLAS for the kernel of this architecture, and OpenMP not to burn a core while it waits."""
    machine = platform.machine()
    if machine in KERNELS:
        set_before_import("OPENBLAS_CORETYPE", KERNELS[machine])
    set_before_import("OMP_WAIT_POLICY", "PASSIVE")


def recorded() -> list[dict[str, Any]]:
    """What is really loaded: library, kernel and version of each BLAS, sorted."""
    from threadpoolctl import threadpool_info

    found = [
        {name: info.get(name) for name in ("internal_api", "architecture", "version")}
        for info in threadpool_info()
        if info.get("user_api") == "blas"
    ]
    unique = {tuple(sorted((name, str(value)) for name, value in info.items())) for info in found}
    return [dict(pairs) for pairs in sorted(unique)]
