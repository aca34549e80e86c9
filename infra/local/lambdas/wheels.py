"""Strict mode: layers unpacked from their wheels, for a Python that runs here.

The wheels, the lock and the trimming are those that an account gets. The Python is the function's own when this machine
has it, else the one that runs the local cloud; the processor is this machine's. Nothing of the checkout's environment
is seen: what AWS's runtime brings along is unpacked in the same way.
"""

from __future__ import annotations

import platform
import sys
from collections.abc import Sequence
from pathlib import Path

from infra.layers import LAYERS, LayerNotBuilt, build, interpreter
from infra.local.lambdas.third_party import RUNTIME
from infra.lock import Layer, Target, requirements

ARCHITECTURES = {"x86_64": "x86_64", "aarch64": "arm64", "arm64": "arm64"}
SDK = Layer("runtime", groups=(), packages=RUNTIME)


def target(runtime: str) -> Target:
    """What functions of `runtime` (`python3.13`) run on here. Raises LayerNotBuilt when Lambda's wheels cannot run."""
    machine = ARCHITECTURES.get(platform.machine())
    if sys.platform != "linux" or platform.libc_ver()[0] != "glibc" or machine is None:
        here = f"{platform.system()} on {platform.machine()}"
        raise LayerNotBuilt(f"Lambda's wheels run on Linux with glibc, on x86_64 or arm64; this is {here}")
    wanted = runtime.removeprefix("python")
    own = f"{sys.version_info.major}.{sys.version_info.minor}"
    return Target(wanted if interpreter(wanted) else own, machine)


def python(runtime: str) -> Path:
    """The interpreter for functions of `runtime`, outside of any virtual environment. Raises LayerNotBuilt."""
    chosen = target(runtime).python
    found = interpreter(chosen)
    if found is None:
        raise LayerNotBuilt(f"python{chosen} is neither on the PATH nor in {sys.base_prefix}/bin")
    return found


def sdk(runtime: str) -> Path:
    """What AWS's Python runtime brings along: the runtime client and the SDK. Raises LayerNotBuilt."""
    return build(SDK, target(runtime)) / "python"


def layer(listed: str, runtimes: Sequence[str], architectures: Sequence[str]) -> Path:
    """The layer that was published with just the requirements `listed`, unpacked. Raises LayerNotBuilt."""
    named = [Target(one.removeprefix("python"), processor) for one in runtimes for processor in architectures]
    for known in LAYERS.values():
        if any(requirements(known, each) == listed for each in named):
            return build(known, target(runtimes[0]))
    raise LayerNotBuilt("its requirements are not those of a layer of this checkout's lock; synthesize again")


def prepare(runtime: str) -> Target:
    """Unpack everything that functions of `runtime` may ask for; what it was unpacked for. Raises LayerNotBuilt."""
    chosen = target(runtime)
    for each in (SDK, *LAYERS.values()):
        build(each, chosen)
    return chosen
