"""Build an environment's third-party layers and print what Lambda will count: `python -m infra.build_layers [ENV]`."""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
import zipfile
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from infra.environment import Environment
from infra.layers import DIRECT_LIMIT, LAMBDA_LIMIT, LAYERS, RECORD, LayerNotBuilt, asset_hash, build
from infra.lock import Layer, Target, read_lock
from infra.synth import synthesize
from infra.trimming import size

MIB = 2**20
EVERYWHERE = [Target(python, processor) for processor in ("x86_64", "arm64") for python in ("3.11", "3.12", "3.13")]


@dataclass(frozen=True)
class Built:
    """One layer on disk; sizes in bytes, `trimmed` by pattern."""

    packages: tuple[str, ...]
    unzipped: int
    zipped: int
    trimmed: Mapping[str, int]
    compiled: bool

    @classmethod
    def read(cls, layer: Layer, target: Target) -> Built:
        """Build the layer if it is not there, and measure it. Raises LayerNotBuilt."""
        folder = build(layer, target)
        record = json.loads((folder / RECORD).read_text(encoding="utf-8"))
        locked = read_lock((folder / "requirements.txt").read_text(encoding="utf-8"))
        names = tuple(f"{entry.name} {entry.version}" for entry in locked)
        return cls(names, size(folder), zipped(folder), record["trimmed"], record["compiled"])


@dataclass(frozen=True)
class Composition:
    """What one function is made of: third-party layers, and the bytes of its own code and layers."""

    function: str
    layers: tuple[str, ...]
    own: int

    def total(self, layers: Mapping[str, int]) -> int:
        """Bytes that Lambda unzips, given the layers' bytes."""
        return self.own + sum(layers[name] for name in self.layers)


def zipped(folder: Path) -> int:
    """Bytes of the folder as a deflated zip."""
    with tempfile.TemporaryFile() as file:
        with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive:
            for path in sorted(folder.rglob("*")):
                archive.write(path, path.relative_to(folder))
        return file.tell()


def compositions(assembly: Path, target: Target) -> list[Composition]:
    """Every zip function of a cloud assembly whose third-party layers were named for `target`."""
    known = {asset_hash(layer, target): layer.name for layer in LAYERS.values()}
    templates = [json.loads(path.read_text(encoding="utf-8")) for path in sorted(assembly.glob("*.template.json"))]
    return [found for template in templates for found in _compositions(assembly, template["Resources"], known)]


def _compositions(assembly: Path, resources: Mapping[str, Any], known: Mapping[str, str]) -> Iterable[Composition]:
    for resource in resources.values():
        if resource["Type"] != "AWS::Lambda::Function" or "S3Key" not in resource["Properties"]["Code"]:
            continue
        properties = resource["Properties"]
        layers = [_asset(resources[one["Ref"]]["Properties"]["Content"]) for one in properties.get("Layers", [])]
        own = [_asset(properties["Code"]), *(asset for asset in layers if asset not in known)]
        third_party = tuple(known[asset] for asset in layers if asset in known)
        yield Composition(
            properties["FunctionName"], third_party, sum(size(assembly / f"asset.{asset}") for asset in own)
        )


def _asset(code: Mapping[str, str]) -> str:
    return code["S3Key"].removesuffix(".zip")


def _mib(count: int) -> str:
    return f"{count / MIB:.1f}"


def _layers(target: Target, built: Mapping[str, Built]) -> Table:
    title = f"Layers for Python {target.python} on {target.architecture} (MiB)"
    table = Table("layer", "packages", title=title, title_justify="left")
    for heading in ("unzipped", "zipped", "upload", ".pyc"):
        table.add_column(heading, justify="right")
    table.add_column("trimmed")
    for name, layer in built.items():
        upload = "through S3" if layer.zipped > DIRECT_LIMIT else "any"
        large = [f"{pattern} {_mib(count)}" for pattern, count in layer.trimmed.items() if count >= MIB]
        rest = sum(count for count in layer.trimmed.values() if count < MIB)
        trimmed = f"{_mib(sum(layer.trimmed.values()))}: " + ", ".join([*large, f"others {_mib(rest)}"])
        compiled = "yes" if layer.compiled else "no"
        packages = ", ".join(layer.packages)
        table.add_row(name, packages, _mib(layer.unzipped), _mib(layer.zipped), upload, compiled, trimmed)
    return table


def _functions(target: Target, functions: Iterable[Composition], sizes: Mapping[str, int]) -> Table:
    title = f"Functions on Python {target.python}, {target.architecture}: of {LAMBDA_LIMIT // MIB} MiB unzipped"
    table = Table("function", "third-party layers", title=title, title_justify="left")
    for heading in ("its own", "total", "left"):
        table.add_column(heading, justify="right")
    for one in functions:
        total = one.total(sizes)
        left = LAMBDA_LIMIT - total
        table.add_row(one.function, ", ".join(one.layers), _mib(one.own), _mib(total), _mib(left))
    return table


def report(environment: Environment, targets: Iterable[Target], console: Console) -> bool:
    """Build and print for each target; False when a function would exceed what Lambda unzips. Raises LayerNotBuilt."""
    named = Target(environment.python, environment.architecture)
    functions = compositions(synthesize(env=environment.name), named)
    fits = True
    for target in targets:
        built = {layer.name: Built.read(layer, target) for layer in LAYERS.values()}
        sizes = {name: layer.unzipped for name, layer in built.items()}
        console.print(_layers(target, built), _functions(target, functions, sizes))
        fits &= all(one.total(sizes) <= LAMBDA_LIMIT for one in functions)
    return fits


def main() -> int:
    """Exit status 1 when a layer cannot be built or a function would be too large."""
    parser = argparse.ArgumentParser(prog="scripts/build-layers", description=__doc__)
    parser.add_argument("env", nargs="?", default="dev")
    parser.add_argument("--all", action="store_true", help="for every Python and processor, not only the environment's")
    asked = parser.parse_args()
    environment = Environment.load(asked.env)
    targets = EVERYWHERE if asked.all else [Target(environment.python, environment.architecture)]
    try:
        fits = report(environment, targets, Console(width=None if sys.stdout.isatty() else 160))
    except LayerNotBuilt as error:
        sys.stderr.write(f"{error}\n")
        return 1
    if not fits:
        sys.stderr.write(f"a function and its layers exceed {LAMBDA_LIMIT // MIB} MiB unzipped\n")
    return int(not fits)


if __name__ == "__main__":
    raise SystemExit(main())
