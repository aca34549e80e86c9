"""Build every third-party layer of an environment and print sizes: `python -m infra.build_layers ENV`."""

from __future__ import annotations

import sys

from infra.environment import Environment
from infra.layers import LAMBDA_LIMIT, LAYERS, Target, build, unzipped_bytes

# The layers that meet in one function (infra/stages); the code of all of Perennial itself is under 1 MB.
TOGETHER = {"ingest": ("base", "data"), "other stages": ("base",), "predict": ("serving",)}


def main(name: str) -> int:
    """Build, report in MiB, fail when a function would exceed what Lambda unzips."""
    environment = Environment.load(name)
    target = Target(environment.python, environment.architecture)
    sizes = {layer.name: unzipped_bytes(build(layer, target)) for layer in LAYERS.values()}
    for layer, size in sizes.items():
        sys.stdout.write(f"layer {layer:<10} {size / 2**20:7.1f} MiB\n")
    totals = {users: sum(sizes[layer] for layer in layers) for users, layers in TOGETHER.items()}
    for users, total in totals.items():
        sys.stdout.write(f"{users:<16} {total / 2**20:7.1f} MiB of {LAMBDA_LIMIT // 2**20}\n")
    return int(any(total > LAMBDA_LIMIT for total in totals.values()))


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1]))
