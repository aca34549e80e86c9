"""Where code lies: archives are checked, unpacked once per content and compiled; layers are merged into /opt trees."""

from __future__ import annotations

import base64
import compileall
import hashlib
import io
import shutil
import stat
import tempfile
import threading
import zipfile
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from botocore.exceptions import ClientError

from infra.layers import LayerNotBuilt
from infra.local.context import Cloud
from infra.local.lambdas import third_party, wheels
from infra.local.lambdas.errors import ApiError, InvalidParameter, RequestTooLarge
from infra.local.lambdas.images import ImageError, build, source_of
from infra.local.lambdas.model import LayerVersion, Package
from infra.trimming import size

# https://docs.aws.amazon.com/lambda/latest/dg/gettingstarted-limits.html
UNZIPPED_LIMIT = 262_144_000
DIRECT_UPLOAD_LIMIT = 70_167_211  # bytes of a request that carries a zip of at most 50 MB in base64


class CodeStore:
    """Unpacked packages under `<workdir>/lambda`, keyed by content, so that equal code is unpacked once."""

    def __init__(self, cloud: Cloud) -> None:
        self._cloud = cloud
        self._root = cloud.workdir / "lambda"
        self._lock = threading.Lock()

    def fetch(self, code: dict[str, Any]) -> bytes:
        """The archive that `ZipFile` or `S3Bucket`/`S3Key` name; raises ApiError when there is none."""
        if code.get("ZipFile"):
            return base64.b64decode(code["ZipFile"])
        if not code.get("S3Bucket") or not code.get("S3Key"):
            raise InvalidParameter("Please provide a source for function code.")
        where = {"Bucket": code["S3Bucket"], "Key": code["S3Key"]}
        if code.get("S3ObjectVersion"):
            where["VersionId"] = code["S3ObjectVersion"]
        try:
            body: bytes = self._cloud.client("s3").get_object(**where)["Body"].read()
        except ClientError as error:
            found = error.response["Error"]
            raise InvalidParameter(
                f"Error occurred while GetObject. S3 Error Code: {found['Code']}. S3 Error Message: {found['Message']}"
            ) from error
        return body

    def zipped(self, archive: bytes) -> Package:
        """Unpack an archive; raises ApiError when it is no zip, escapes its folder or is too large."""
        digest = hashlib.sha256(archive)
        tree = self._root / "code" / digest.hexdigest()
        unzipped = _checked(archive)
        with self._lock:
            if not tree.exists():
                _replace(tree, lambda made: _unpack(archive, made))
            kept = self._root / "archives" / f"{digest.hexdigest()}.zip"
            kept.parent.mkdir(parents=True, exist_ok=True)
            kept.write_bytes(archive)
        return Package(base64.b64encode(digest.digest()).decode(), len(archive), unzipped, tree, kept)

    def layer(self, archive: bytes, runtimes: Sequence[str], architectures: Sequence[str]) -> Package:
        """As `zipped`; in strict mode a layer that only lists its requirements is unpacked from their wheels."""
        package = self.zipped(archive)
        listed = package.tree / "requirements.txt"
        if not self._cloud.strict or not listed.is_file() or (package.tree / "python").is_dir():
            return package
        try:
            tree = wheels.layer(listed.read_text(encoding="utf-8"), runtimes, architectures)
        except LayerNotBuilt as error:
            raise InvalidParameter(f"The layer cannot be provided: {error}") from error
        return replace(package, tree=tree, unzipped=size(tree))

    def image(self, uri: str) -> Package:
        """The package of an image whose source was registered; raises ApiError when it is unknown or not understood."""
        source = source_of(self._cloud, uri)
        if source is None:
            raise InvalidParameter(f"Source image {uri} does not exist. Provide a valid source image.")
        try:
            with self._lock:
                built = build(source, self._cloud.workdir / "images")
        except ImageError as error:
            raise InvalidParameter(f"Source image {uri} is not valid: {error}") from error
        return Package(hashlib.sha256(uri.encode()).hexdigest(), 0, 0, built.root, image_uri=uri)

    def opt(self, layers: Sequence[LayerVersion]) -> Path:
        """The /opt tree of these layers, later ones over earlier ones."""
        # the tree too: the same layer is another one once it is unpacked from its wheels
        words = [word for layer in layers for word in (layer.package.sha256, layer.package.tree.name)]
        name = hashlib.sha256("\n".join(words).encode()).hexdigest()
        tree = self._root / "opt" / name
        with self._lock:
            if not tree.exists():
                _replace(tree, lambda made: _merge(layers, made))
        return tree

    def runtime(self, name: str) -> Path:
        """What AWS's runtime `name` brings along: the runtime client and the SDK."""
        if self._cloud.strict:
            return wheels.sdk(name)
        tree = self._root / "runtime"
        with self._lock:
            if not tree.exists():
                _replace(tree, lambda made: third_party.link(third_party.RUNTIME, made))
        return tree

    @staticmethod
    def check_total(package: Package, layers: Sequence[LayerVersion]) -> None:
        """Raise ApiError when code and layers together exceed what Lambda unzips."""
        total = package.unzipped + sum(layer.package.unzipped for layer in layers)
        if total > UNZIPPED_LIMIT:
            raise InvalidParameter(
                "Function code combined with layers exceeds the maximum allowed size of "
                f"{UNZIPPED_LIMIT} bytes. The actual size is {total} bytes."
            )


def check_upload(size: int) -> None:
    """Raise ApiError when a request with code inside is larger than the API takes."""
    if size > DIRECT_UPLOAD_LIMIT:
        raise RequestTooLarge(
            f"Request must be smaller than {DIRECT_UPLOAD_LIMIT} bytes for the CreateFunction operation"
        )


def _checked(archive: bytes) -> int:
    try:
        with zipfile.ZipFile(io.BytesIO(archive)) as opened:
            entries = opened.infolist()
    except (zipfile.BadZipFile, NotImplementedError) as error:
        raise InvalidParameter(
            "Could not unzip uploaded file. Please check your file, then try to upload again."
        ) from error
    for entry in entries:
        if entry.filename.startswith("/") or ".." in Path(entry.filename).parts:
            raise InvalidParameter(f"Could not unzip uploaded file: {entry.filename} lies outside of it.")
    size = sum(entry.file_size for entry in entries)
    if size > UNZIPPED_LIMIT:
        raise InvalidParameter(f"Unzipped size must be smaller than {UNZIPPED_LIMIT} bytes")
    return size


def _unpack(archive: bytes, tree: Path) -> None:
    with zipfile.ZipFile(io.BytesIO(archive)) as opened:
        opened.extractall(tree)
        for entry in opened.infolist():
            mode = stat.S_IMODE(entry.external_attr >> 16)
            if mode and not entry.is_dir():
                (tree / entry.filename).chmod(mode | stat.S_IRUSR)
    # functions run with -B: on AWS their file system is read-only and no .pyc is ever kept there
    compileall.compile_dir(tree, quiet=2)


def _merge(layers: Sequence[LayerVersion], tree: Path) -> None:
    for layer in layers:
        source = layer.package.tree
        shutil.copytree(source, tree, dirs_exist_ok=True, copy_function=shutil.copy2)
        listed = source / "requirements.txt"
        if listed.is_file() and not (source / "python").is_dir():
            try:
                third_party.link(third_party.listed(listed.read_text(encoding="utf-8")), tree / "python")
            except third_party.NotInstalled as error:
                raise ApiError(f"Layer version {layer.version_arn} cannot be provided: {error}") from error


def _replace(target: Path, fill: Any) -> None:
    """Fill a folder beside and move it in place, so that a crash never leaves half of one."""
    target.parent.mkdir(parents=True, exist_ok=True)
    made = Path(tempfile.mkdtemp(prefix=f".{target.name}-", dir=target.parent))
    try:
        fill(made)
        made.chmod(0o755)
        made.rename(target)
    finally:
        shutil.rmtree(made, ignore_errors=True)
