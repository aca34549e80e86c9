"""What goes into an asset: folders staged by content, so that equal sources give equal templates."""

from __future__ import annotations

import hashlib
import shutil
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path

from infra import layers
from infra.environment import Environment
from infra.layers import once
from infra.lock import ROOT, Layer, Target, requirements

STAGED = ROOT / "build" / "stage"
EXCLUDED = ["**/__pycache__", "**/*.pyc", "**/.*"]

IMAGE_SOURCES = (
    "functions/__init__.py",
    "functions/train",
    "functions/evaluate",
    "functions/monitor",
    "functions/score",
    "layers/core/python",
)
TRAINING = Layer("training", groups=("training",))


def source_files(folder: Path) -> Iterator[Path]:
    """Files that belong into an asset, in a stable order."""
    for path in sorted(folder.rglob("*")) if folder.is_dir() else [folder]:
        hidden = any(part == "__pycache__" or part.startswith(".") for part in path.relative_to(folder).parts)
        if path.is_file() and not hidden and path.suffix != ".pyc":
            yield path


def stage(name: str, files: Mapping[str, Path | str]) -> Path:
    """A folder `build/stage/<name>-<hash>` with `files`: relative path → a file to copy, or text to write."""
    contents = {path: _bytes(source) for path, source in sorted(files.items())}
    digest = hashlib.sha256()
    for path, content in contents.items():
        digest.update(f"{path}\0{len(content)}\0".encode())
        digest.update(content)
    return once(STAGED / f"{name}-{digest.hexdigest()[:16]}", lambda folder: _write(folder, contents))


def _bytes(source: Path | str) -> bytes:
    return source.encode() if isinstance(source, str) else source.read_bytes()


def _write(folder: Path, contents: Mapping[str, bytes]) -> None:
    for path, content in contents.items():
        target = folder / path
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(content)


def predict_layer() -> Path:
    """The predict handler as a layer (`python/predict/…`), without the bootstrap code that the functions start with."""
    source = ROOT / "functions" / "predict"
    files = [path for path in source_files(source) if path.relative_to(source).parts[0] != "bootstrap"]
    return stage("predict", {f"python/predict/{path.relative_to(source)}": path for path in files})


def image_context(target: Target) -> Path:
    """Build context of the training image: the few folders it copies, and its part of the lock."""
    files: dict[str, Path | str] = {
        str(path.relative_to(ROOT)): path for source in IMAGE_SOURCES for path in source_files(ROOT / source)
    }
    files["Dockerfile"] = ROOT / "functions" / "train" / "Dockerfile"
    files["requirements.txt"] = requirements(TRAINING, target)
    return stage("image", files)


def third_party(layer: Layer, target: Target, *, build: bool) -> Path:
    """The folder of a third-party layer, really built or only its requirements."""
    return layers.build(layer, target) if build else layers.locked(layer, target)


def forget_unbuilt(folder: Path) -> None:
    """Drop a layer from an earlier assembly that held only its requirements: it has the name of the real one."""
    if folder.is_dir() and not (folder / "python").is_dir():
        shutil.rmtree(folder)


def main() -> None:
    """Print the build context of an environment's training image, to build it without CDK: `infra.assets ENV`."""
    environment = Environment.load(sys.argv[1])
    sys.stdout.write(f"{image_context(Target(environment.python, environment.architecture))}\n")


if __name__ == "__main__":
    main()
