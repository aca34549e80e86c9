"""The model bundle: a directory of files under a manifest of their digests, verified before anything is parsed.

`manifest.json` is `{"model", "version", "files": {name: {"sha256", "bytes"}}}` and lists every file but itself.
"""

from __future__ import annotations

import hashlib
import io
import json
import os
import re
import stat
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from perennial.errors import BundleInvalid
from perennial.serving.graph import check_graph
from perennial.serving.strict_json import load

MANIFEST = "manifest.json"
# Stands in the place of a manifest where two bundles lie side by side, see assignment
DESIGN = "experiment.json"
GRAPH = "model.onnx"
SIGNATURE = "signature.json"
REQUIRED = (GRAPH, SIGNATURE)

MAX_FILES = 100
MAX_DEPTH = 4
MAX_MANIFEST_BYTES = 256 * 1024
MAX_SIGNATURE_BYTES = 4 * 1024 * 1024
# Lambda unzips code and layers into 250 MB together; the predict layers take about 100.
MAX_BUNDLE_BYTES = 128 * 1024 * 1024

_NAME = re.compile(r"[a-z][a-z0-9-]{0,39}")
_SEGMENT = re.compile(r"[A-Za-z0-9_][A-Za-z0-9._-]{0,99}")
_SHA256 = re.compile(r"[0-9a-f]{64}")
_EPOCH = (1980, 1, 1, 0, 0, 0)


@dataclass(frozen=True)
class Bundle:
    """A bundle whose bytes are the ones its manifest lists.

    `sha256` is the digest of manifest.json, hence of every file. `graph` and `signature` are the very bytes that were
    checked: what is loaded from them cannot have changed since.
    """

    model: str
    version: int
    sha256: str
    graph: bytes
    signature: bytes


@dataclass(frozen=True)
class _Entry:
    sha256: str
    size: int


def verify(directory: str | os.PathLike[str]) -> Bundle:
    """Check the bundle in `directory` against its manifest, byte for byte, and return it.

    Raises BundleInvalid, naming the file and the rule, for a file that is missing, extra, changed, too large, a link or
    no regular file; for a manifest that is not of its schema; for a graph that may not be served (see check_graph).
    """
    root = Path(directory)
    manifest_bytes = read_file(root, MANIFEST, MAX_MANIFEST_BYTES)
    model, version, entries = _parse_manifest(manifest_bytes)
    _check_listing(_listing(root), entries)
    contents: dict[str, bytes] = {}
    for name, entry in sorted(entries.items()):
        content = read_file(root, name, entry.size)
        if len(content) != entry.size:
            raise BundleInvalid(f"{name}: has {len(content)} bytes, the manifest lists {entry.size}")
        if hashlib.sha256(content).hexdigest() != entry.sha256:
            raise BundleInvalid(f"{name}: its SHA-256 is not the one in the manifest")
        if name in REQUIRED:
            contents[name] = content
    check_graph(contents[GRAPH])
    return Bundle(model, version, hashlib.sha256(manifest_bytes).hexdigest(), contents[GRAPH], contents[SIGNATURE])


def manifest(model: str, version: int, files: Mapping[str, bytes]) -> bytes:
    """The manifest.json of a bundle with these files: sorted keys, so that equal bundles have equal manifests."""
    listed = {
        name: {"sha256": hashlib.sha256(content).hexdigest(), "bytes": len(content)}
        for name, content in files.items()
        if name != MANIFEST
    }
    value = {"model": model, "version": version, "files": listed}
    return json.dumps(value, sort_keys=True, separators=(",", ":")).encode()


def zip_bundle(source: str | os.PathLike[str] | Mapping[str, bytes]) -> bytes:
    """The zip of a directory, or of `{name: content}`: equal contents give equal bytes, on any machine.

    Entries are in name order, dated 1980, readable by all (Lambda's sandbox user is not the file's owner) and stored
    uncompressed, because deflate's output differs between builds of zlib. Costs upload time, not cold-start time.
    """
    import zipfile

    files = source if isinstance(source, Mapping) else _read_directory(Path(source))
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_STORED) as archive:
        for name in sorted(files):
            _check_name(name)
            entry = zipfile.ZipInfo(name, _EPOCH)
            entry.create_system = 3
            entry.external_attr = (stat.S_IFREG | 0o644) << 16
            archive.writestr(entry, files[name])
    return buffer.getvalue()


def _parse_manifest(content: bytes) -> tuple[str, int, dict[str, _Entry]]:
    try:
        value = load(content)
    except ValueError as error:
        raise BundleInvalid(f"{MANIFEST}: not JSON: {error}") from error
    if not isinstance(value, dict) or set(value) != {"model", "version", "files"}:
        raise BundleInvalid(f"{MANIFEST}: must have exactly model, version and files")
    model, version, files = value["model"], value["version"], value["files"]
    if not isinstance(model, str) or not _NAME.fullmatch(model):
        raise BundleInvalid(f"{MANIFEST}: model {model!r} is no model name")
    if type(version) is not int or version < 1:
        raise BundleInvalid(f"{MANIFEST}: version {version!r} is no version number")
    if not isinstance(files, dict) or not 0 < len(files) <= MAX_FILES:
        raise BundleInvalid(f"{MANIFEST}: files must list 1 to {MAX_FILES} files")
    entries = {name: _parse_entry(name, entry) for name, entry in files.items()}
    for name in REQUIRED:
        if name not in entries:
            raise BundleInvalid(f"{MANIFEST}: {name} is not listed")
    if entries[SIGNATURE].size > MAX_SIGNATURE_BYTES:
        raise BundleInvalid(f"{SIGNATURE}: larger than {MAX_SIGNATURE_BYTES} bytes")
    if sum(entry.size for entry in entries.values()) > MAX_BUNDLE_BYTES:
        raise BundleInvalid(f"the bundle is larger than {MAX_BUNDLE_BYTES} bytes")
    return model, version, entries


def _parse_entry(name: str, entry: Any) -> _Entry:
    _check_name(name)
    if name == MANIFEST:
        raise BundleInvalid(f"{MANIFEST}: lists itself")
    if not isinstance(entry, dict) or set(entry) != {"sha256", "bytes"}:
        raise BundleInvalid(f"{MANIFEST}: {name} must have exactly sha256 and bytes")
    sha256, size = entry["sha256"], entry["bytes"]
    if not isinstance(sha256, str) or not _SHA256.fullmatch(sha256):
        raise BundleInvalid(f"{MANIFEST}: the sha256 of {name} is not 64 lower-case hex digits")
    if type(size) is not int or size < 0:
        raise BundleInvalid(f"{MANIFEST}: the bytes of {name} are not a whole number")
    return _Entry(sha256, size)


def _check_name(name: str) -> None:
    segments = name.split("/")
    if len(segments) > MAX_DEPTH or not all(_SEGMENT.fullmatch(segment) for segment in segments):
        raise BundleInvalid(f"{name!r} is no file name for a bundle")


def _check_listing(found: set[str], entries: Mapping[str, _Entry]) -> None:
    extra = sorted(found - set(entries) - {MANIFEST})
    if extra:
        raise BundleInvalid(f"{extra[0]}: is in the bundle but not in the manifest")
    missing = sorted(set(entries) - found)
    if missing:
        raise BundleInvalid(f"{missing[0]}: is in the manifest but not in the bundle")


def _listing(root: Path) -> set[str]:
    """Names of the regular files below `root`; refuses anything that is neither file nor directory, and floods."""
    found: set[str] = set()
    pending = [(root, "", 1)]
    while pending:
        directory, prefix, depth = pending.pop()
        with os.scandir(directory) as entries:
            for entry in entries:
                name = prefix + entry.name
                if entry.is_file(follow_symlinks=False):
                    found.add(name)
                elif entry.is_dir(follow_symlinks=False) and depth < MAX_DEPTH:
                    pending.append((Path(entry.path), f"{name}/", depth + 1))
                else:
                    raise BundleInvalid(f"{name}: is no regular file")
                if len(found) + len(pending) > 2 * MAX_FILES:
                    raise BundleInvalid(f"the bundle holds more than {MAX_FILES} files")
    return found


def read_file(root: Path, name: str, limit: int) -> bytes:
    """The file's bytes; at most one more than `limit`, so that a file that lies about its size costs no memory."""
    path = root / name
    try:
        if not stat.S_ISREG(path.lstat().st_mode):
            raise BundleInvalid(f"{name}: is no regular file")
        with path.open("rb") as file:
            content = file.read(limit + 1)
    except OSError as error:
        raise BundleInvalid(f"{name}: cannot be read: {error.strerror}") from error
    if len(content) > limit:
        raise BundleInvalid(f"{name}: is larger than {limit} bytes")
    return content


def _read_directory(root: Path) -> dict[str, bytes]:
    return {name: read_file(root, name, MAX_BUNDLE_BYTES) for name in _listing(root)}
