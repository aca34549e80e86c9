"""Container images without a container engine: a Dockerfile's files and settings, run by this interpreter.

COPY, WORKDIR, ENV, ARG, ENTRYPOINT and CMD are honoured. FROM, RUN, USER and LABEL are read and not executed: what
they install is expected among this interpreter's packages. Every other instruction is refused.
Source: https://docs.docker.com/reference/dockerfile/
"""

from __future__ import annotations

import hashlib
import json
import re
import shlex
import shutil
import sys
import tempfile
import threading
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath

from infra.assets import image_context
from infra.environment import IMAGE
from infra.local.context import Cloud, ImageSource
from infra.local.lambdas import third_party
from infra.lock import Target

VARIABLE = re.compile(r"\$(?:\{(\w+)(?::-([^}]*))?\}|(\w+))")
PYTHON = re.compile(r"^(?:/\S*/)?python(?:3(?:\.\d+)?)?$")
_building = threading.Lock()
IGNORED = frozenset({"FROM", "RUN", "USER", "LABEL"})


class ImageError(ValueError):
    """The Dockerfile says something that is not imitated, or copies something that is not there."""


@dataclass
class Image:
    """What a container of the image starts from. `root` stands for `/`."""

    root: Path
    workdir: str = "/"
    environment: dict[str, str] = field(default_factory=dict)
    entrypoint: list[str] = field(default_factory=list)
    command: list[str] = field(default_factory=list)

    def directory(self, workdir: str | None = None) -> Path:
        """The working directory on this machine."""
        return self._inside(workdir or self.workdir)

    def arguments(self, entrypoint: Sequence[str] | None = None, command: Sequence[str] | None = None) -> list[str]:
        """The command line on this machine: `python` is this interpreter, absolute paths lie under `root`.

        As with containers, an entry point of one's own drops the image's command. Raises ImageError when there is none.
        """
        words = list(self.entrypoint if entrypoint is None else entrypoint)
        words += (self.command if entrypoint is None else []) if command is None else command
        if not words:
            raise ImageError("no command specified")
        program, *rest = words
        python = [sys.executable, "-S", "-s"] if PYTHON.match(program) else [self.located(program)]
        return [*python, *(self.located(word) for word in rest)]

    def variables(self) -> dict[str, str]:
        """The image's environment on this machine, with this interpreter's packages importable."""
        mapped = {
            name: ":".join(self.located(part) for part in value.split(":")) for name, value in self.environment.items()
        }
        packages = [str(path) for path in third_party.site_packages()]
        mapped["PYTHONPATH"] = ":".join(filter(None, [mapped.get("PYTHONPATH"), *packages]))
        return mapped

    def located(self, word: str) -> str:
        """An absolute path of the image that exists in it, as a path of this machine; anything else as it is."""
        return str(self._inside(word)) if word.startswith("/") and self._inside(word).exists() else word

    def _inside(self, path: str) -> Path:
        return self.root.joinpath(*PurePosixPath(path).parts[1:])


def source_of(cloud: Cloud, uri: str) -> ImageSource | None:
    """What an image URI stands for. None is pulled: one with a digest stands for this checkout's training image."""
    if uri in cloud.images or not IMAGE.fullmatch(uri):
        return cloud.images.get(uri)
    python = f"{sys.version_info.major}.{sys.version_info.minor}"
    return ImageSource(image_context(Target(python, "x86_64")))


def build(source: ImageSource, folder: Path) -> Image:
    """Lay out the image of `source` under `folder` (once per content); raises ImageError."""
    dockerfile = source.directory / source.dockerfile
    if not dockerfile.is_file():
        raise ImageError(f"there is no {source.dockerfile} in {source.directory.name}")
    words = [str(source.directory), dockerfile.read_text(encoding="utf-8"), repr(source.build_args)]
    target = folder / hashlib.sha256("\0".join(words).encode()).hexdigest()
    with _building:
        return _laid_out(source, target)


def _laid_out(source: ImageSource, target: Path) -> Image:
    folder = target.parent
    if target.exists():
        return _Builder(source, target, copying=False).run()
    folder.mkdir(parents=True, exist_ok=True)
    made = Path(tempfile.mkdtemp(prefix=".image-", dir=folder))
    try:
        image = _Builder(source, made, copying=True).run()
        made.chmod(0o755)
        made.rename(target)
    finally:
        shutil.rmtree(made, ignore_errors=True)
    image.root = target
    return image


class _Builder:
    """One pass over a Dockerfile."""

    def __init__(self, source: ImageSource, root: Path, copying: bool) -> None:
        self._source = source
        self._image = Image(root)
        self._args = dict(source.build_args)
        self._copying = copying

    def run(self) -> Image:
        text = (self._source.directory / self._source.dockerfile).read_text(encoding="utf-8")
        for name, rest in instructions(text):
            if name in IGNORED:
                continue
            handler = getattr(self, f"_{name.lower()}", None)
            if handler is None:
                raise ImageError(f"instruction {name} is not imitated")
            handler(rest)
        if self._copying:
            self._image.directory().mkdir(parents=True, exist_ok=True)
        return self._image

    def _arg(self, rest: str) -> None:
        name, _, default = self._expand(rest).partition("=")
        self._args.setdefault(name.strip(), shlex.split(default)[0] if default else "")

    def _env(self, rest: str) -> None:
        words = shlex.split(rest)
        if words and "=" not in words[0]:
            words = [f"{words[0]}={rest.split(maxsplit=1)[1]}"]
        for word in words:
            name, _, value = word.partition("=")
            self._image.environment[name] = self._expand(value)

    def _workdir(self, rest: str) -> None:
        self._image.workdir = str(PurePosixPath(self._image.workdir) / self._expand(rest))

    def _entrypoint(self, rest: str) -> None:
        self._image.entrypoint = _exec_form("ENTRYPOINT", rest)
        self._image.command = []

    def _cmd(self, rest: str) -> None:
        self._image.command = _exec_form("CMD", rest)

    def _copy(self, rest: str) -> None:
        words = json.loads(rest) if rest.startswith("[") else shlex.split(self._expand(rest))
        options = [word for word in words if word.startswith("--")]
        if any(not option.startswith(("--chown=", "--chmod=")) for option in options):
            raise ImageError(f"COPY {' '.join(options)} is not imitated")
        *sources, target = words[len(options) :]
        if not sources:
            raise ImageError("COPY wants sources and a destination")
        if self._copying:
            self._transfer([self._context(source) for source in sources], target)

    def _transfer(self, groups: Sequence[list[Path]], target: str) -> None:
        sources = [path for group in groups for path in group]
        place = self._image.root.joinpath(*(PurePosixPath(self._image.workdir) / target).parts[1:])
        for source in sources:
            if source.is_dir():
                shutil.copytree(source, place, dirs_exist_ok=True)
            elif target.endswith(("/", ".")) or len(sources) > 1 or place.is_dir():
                place.mkdir(parents=True, exist_ok=True)
                shutil.copy2(source, place / source.name)
            else:
                place.parent.mkdir(parents=True, exist_ok=True)
                shutil.copy2(source, place)

    def _context(self, pattern: str) -> list[Path]:
        if ".." in PurePosixPath(pattern).parts:
            raise ImageError(f"COPY {pattern}: outside of the build context")
        relative = pattern.lstrip("/").rstrip("/") or "."
        base = self._source.directory
        found = sorted(base.glob(relative)) if any(char in relative for char in "*?[") else [base / relative]
        if not found or not all(path.exists() for path in found):
            raise ImageError(f"COPY {pattern}: not found in the build context")
        return found

    def _expand(self, text: str) -> str:
        known: Mapping[str, str] = self._args | self._image.environment
        return VARIABLE.sub(lambda match: known.get(match[1] or match[3]) or match[2] or "", text)


def instructions(text: str) -> Iterator[tuple[str, str]]:
    """The instructions of a Dockerfile, comments dropped and continued lines joined."""
    joined = ""
    for line in text.splitlines():
        if line.lstrip().startswith("#") or not line.strip():
            continue
        joined += line.strip()
        if joined.endswith("\\"):
            joined = joined[:-1] + " "
            continue
        name, _, rest = joined.partition(" ")
        yield name.upper(), rest.strip()
        joined = ""


def _exec_form(name: str, rest: str) -> list[str]:
    try:
        words = json.loads(rest)
    except ValueError as error:
        raise ImageError(f"{name} in shell form is not imitated: write it as a JSON array") from error
    if not isinstance(words, list) or not all(isinstance(word, str) for word in words):
        raise ImageError(f"{name} is not an array of strings")
    return words
