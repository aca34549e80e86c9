"""A bundle is served only if it is byte for byte what its manifest lists."""

from __future__ import annotations

import io
import json
import os
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from perennial.errors import BundleInvalid
from perennial.serving import bundle
from perennial.serving.bundle import manifest, verify, zip_bundle
from tests.unit.serving.bundles import MODEL, VERSION, bundle_files, write_bundle
from tests.unit.serving.requests import RELAXED


def rewrite(directory: Path, change: Callable[[dict[str, Any]], Any]) -> None:
    value = json.loads((directory / "manifest.json").read_bytes())
    change(value)
    (directory / "manifest.json").write_text(json.dumps(value))


def refusal(directory: Path) -> str:
    with pytest.raises(BundleInvalid) as caught:
        verify(directory)
    return str(caught.value)


def test_a_bundle_as_listed_is_accepted(tmp_path: Path) -> None:
    found = verify(write_bundle(tmp_path))
    assert (found.model, found.version) == (MODEL, VERSION)
    assert found.graph == (tmp_path / "model.onnx").read_bytes()
    assert found.signature == (tmp_path / "signature.json").read_bytes()


def test_its_digest_is_that_of_the_manifest_and_changes_with_any_file(tmp_path: Path) -> None:
    one = verify(write_bundle(tmp_path / "one", bundle_files()))
    same = verify(write_bundle(tmp_path / "same", bundle_files()))
    other = verify(write_bundle(tmp_path / "other", {**bundle_files(), "MLmodel": b"changed"}))
    assert one.sha256 == same.sha256 != other.sha256


@pytest.mark.parametrize("name", ["model.onnx", "signature.json", "MLmodel"])
def test_a_changed_byte_is_found(tmp_path: Path, name: str) -> None:
    path = write_bundle(tmp_path) / name
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)
    assert refusal(tmp_path) == f"{name}: its SHA-256 is not the one in the manifest"


def test_a_file_that_grew_or_shrank_is_found(tmp_path: Path) -> None:
    path = write_bundle(tmp_path) / "MLmodel"
    path.write_bytes(path.read_bytes() + b"!")
    assert refusal(tmp_path).startswith("MLmodel: is larger than")
    path.write_bytes(b"")
    assert refusal(tmp_path).startswith("MLmodel: has 0 bytes")


@pytest.mark.parametrize("name", ["extra.py", "sub/extra.so", ".hidden"])
def test_a_file_that_is_not_listed_is_found(tmp_path: Path, name: str) -> None:
    write_bundle(tmp_path)
    (tmp_path / name).parent.mkdir(exist_ok=True)
    (tmp_path / name).touch()
    assert refusal(tmp_path) == f"{name}: is in the bundle but not in the manifest"


def test_a_listed_file_that_is_missing_is_found(tmp_path: Path) -> None:
    (write_bundle(tmp_path) / "MLmodel").unlink()
    assert refusal(tmp_path) == "MLmodel: is in the manifest but not in the bundle"


def test_a_link_is_refused_even_to_the_right_bytes(tmp_path: Path) -> None:
    directory = write_bundle(tmp_path / "bundle")
    (directory / "model.onnx").rename(tmp_path / "elsewhere.onnx")
    (directory / "model.onnx").symlink_to(tmp_path / "elsewhere.onnx")
    assert refusal(directory) == "model.onnx: is no regular file"


def test_linked_directories_and_manifests_are_refused(tmp_path: Path) -> None:
    directory = write_bundle(tmp_path / "bundle")
    (directory / "sub").symlink_to(tmp_path)
    assert refusal(directory) == "sub: is no regular file"
    (directory / "sub").unlink()
    (directory / "manifest.json").rename(tmp_path / "manifest.json")
    (directory / "manifest.json").symlink_to(tmp_path / "manifest.json")
    assert refusal(directory) == "manifest.json: is no regular file"


def test_a_pipe_is_refused_without_waiting_for_its_writer(tmp_path: Path) -> None:
    directory = write_bundle(tmp_path)
    (directory / "MLmodel").unlink()
    os.mkfifo(directory / "MLmodel")
    assert refusal(directory) == "MLmodel: is no regular file"


@pytest.mark.parametrize(
    "name", ["../model.onnx", "/etc/passwd", "a/../../b", "", ".", "a//b", "a\\b", "a\nb", "a/b/c/d/e", "é", "x" * 200]
)
def test_a_manifest_may_not_name_what_is_no_plain_file(tmp_path: Path, name: str) -> None:
    write_bundle(tmp_path)
    rewrite(tmp_path, lambda value: value["files"].update({name: {"sha256": "0" * 64, "bytes": 0}}))
    assert "is no file name for a bundle" in refusal(tmp_path)


@pytest.mark.parametrize("name", ["model.onnx", "signature.json"])
def test_graph_and_signature_are_required(tmp_path: Path, name: str) -> None:
    files = bundle_files()
    del files[name]
    write_bundle(tmp_path, files)
    assert refusal(tmp_path) == f"manifest.json: {name} is not listed"


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (lambda value: value.update(model="../x"), "is no model name"),
        (lambda value: value.update(version=0), "is no version number"),
        (lambda value: value.update(version=True), "is no version number"),
        (lambda value: value.update(version="3"), "is no version number"),
        (lambda value: value.update(more=1), "must have exactly model, version and files"),
        (lambda value: value.update(files={}), "files must list 1 to 100 files"),
        (lambda value: value.update(files=[]), "files must list 1 to 100 files"),
        (lambda value: value["files"]["MLmodel"].update(sha256="A" * 64), "is not 64 lower-case hex digits"),
        (lambda value: value["files"]["MLmodel"].update(bytes=-1), "are not a whole number"),
        (lambda value: value["files"]["MLmodel"].update(bytes=True), "are not a whole number"),
        (lambda value: value["files"]["MLmodel"].update(bytes=2**40), "the bundle is larger than"),
        (lambda value: value["files"]["signature.json"].update(bytes=2**23), "signature.json: larger than"),
        (lambda value: value["files"]["MLmodel"].update(mode=7), "must have exactly sha256 and bytes"),
        (
            lambda value: value["files"].update({"manifest.json": {"sha256": "0" * 64, "bytes": 1}}),
            "manifest.json: lists itself",
        ),
        (
            lambda value: value["files"].update({f"f{i}": {"sha256": "0" * 64, "bytes": 0} for i in range(100)}),
            "files must list 1 to 100 files",
        ),
    ],
)
def test_a_manifest_of_another_shape_is_refused(
    tmp_path: Path, change: Callable[[dict[str, Any]], Any], reason: str
) -> None:
    write_bundle(tmp_path)
    rewrite(tmp_path, change)
    assert reason in refusal(tmp_path)


@pytest.mark.parametrize("content", [b"", b"{", b"[]", b"\xff", b"[" * 100_000, b" " * (bundle.MAX_MANIFEST_BYTES + 1)])
def test_a_manifest_that_is_no_json_object_is_refused(tmp_path: Path, content: bytes) -> None:
    write_bundle(tmp_path)
    (tmp_path / "manifest.json").write_bytes(content)
    assert refusal(tmp_path).startswith("manifest.json: ")


def test_a_directory_without_manifest_is_refused(tmp_path: Path) -> None:
    assert refusal(tmp_path) == "manifest.json: cannot be read: No such file or directory"


@RELAXED
@given(st.binary(max_size=300))
def test_no_manifest_makes_verification_fail_by_another_name(
    tmp_path_factory: pytest.TempPathFactory, content: bytes
) -> None:
    directory = tmp_path_factory.mktemp("bundle")
    (directory / "manifest.json").write_bytes(content)
    refusal(directory)


def test_the_zip_of_a_bundle_is_the_same_for_the_same_files(tmp_path: Path) -> None:
    files = {**bundle_files(), "metadata/notes.txt": b"later"}
    directory = write_bundle(tmp_path, files)
    everything = {**files, "manifest.json": manifest(MODEL, VERSION, files)}
    shuffled = dict(reversed(everything.items()))
    assert zip_bundle(directory) == zip_bundle(everything) == zip_bundle(shuffled)


def test_an_unpacked_zip_is_the_bundle_readable_by_all(tmp_path: Path) -> None:
    source = write_bundle(tmp_path / "source")
    with zipfile.ZipFile(io.BytesIO(zip_bundle(source))) as archive:
        archive.extractall(tmp_path / "unpacked")
        assert {entry.external_attr >> 16 for entry in archive.infolist()} == {0o100644}
        assert {entry.date_time for entry in archive.infolist()} == {(1980, 1, 1, 0, 0, 0)}
    assert verify(tmp_path / "unpacked") == verify(source)


def test_no_zip_is_made_of_links_or_of_names_that_lead_out(tmp_path: Path) -> None:
    directory = write_bundle(tmp_path / "bundle")
    (directory / "link").symlink_to("/etc/passwd")
    with pytest.raises(BundleInvalid, match="link: is no regular file"):
        zip_bundle(directory)
    with pytest.raises(BundleInvalid, match="is no file name"):
        zip_bundle({"../out": b""})
