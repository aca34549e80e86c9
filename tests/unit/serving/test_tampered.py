"""Bundles that somebody tampered with, by kind: each is refused by name before onnxruntime is so much as imported.

Where the manifest would give it away, a kind rewrites the manifest too: then only the rule itself can refuse it.
"""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from perennial.errors import BundleInvalid
from perennial.serving.bundle import MAX_BUNDLE_BYTES, MAX_SIGNATURE_BYTES, manifest, verify
from perennial.serving.service import Service, Unavailable, open_service
from tests.unit.serving.bundles import MODEL, VERSION, bundle_files, graph, signature, write_bundle
from tests.unit.serving.requests import infer_event
from tests.unit.serving.test_graph import nested, outside

Tamper = Callable[[Path], object]
KINDS: dict[str, tuple[Tamper, str]] = {}


def kind(says: str) -> Callable[[Tamper], Tamper]:
    """Register a way to tamper with the bundle in a directory, and the words that it is refused with."""

    def register(tamper: Tamper) -> Tamper:
        KINDS[tamper.__name__.replace("_", " ")] = (tamper, says)
        return tamper

    return register


def resealed(directory: Path, model: str = MODEL, **files: bytes) -> None:
    """Put files in place (`model_onnx`, `signature_json`) and list them in a manifest that is right again."""
    for name, content in files.items():
        (directory / name.replace("_", ".")).write_bytes(content)
    listed = {path.name: path.read_bytes() for path in directory.iterdir() if path.name != "manifest.json"}
    (directory / "manifest.json").write_bytes(manifest(model, VERSION, listed))


def regraphed(directory: Path, change: Callable[[onnx.ModelProto], object]) -> None:
    """Change the graph, and the manifest with it."""
    model = graph()
    change(model)
    resealed(directory, model_onnx=model.SerializeToString())


def rewritten(directory: Path, change: Callable[[dict[str, Any]], object]) -> None:
    """Change the manifest's content."""
    value = json.loads((directory / "manifest.json").read_bytes())
    change(value)
    (directory / "manifest.json").write_text(json.dumps(value))


# ---- files


@kind("model.onnx: its SHA-256 is not the one in the manifest")
def a_digest_that_does_not_match(directory: Path) -> None:
    content = bytearray((directory / "model.onnx").read_bytes())
    content[-1] ^= 1
    (directory / "model.onnx").write_bytes(content)


@kind("model.onnx: its SHA-256 is not the one in the manifest")
def the_graph_of_another_version(directory: Path) -> None:
    other = graph(weights=np.full((4, 1), 0.125, np.float32)).SerializeToString()
    assert len(other) == (directory / "model.onnx").stat().st_size
    (directory / "model.onnx").write_bytes(other)


@kind("signature.json: its SHA-256 is not the one in the manifest")
def the_signature_of_another_model(directory: Path) -> None:
    content = (directory / "signature.json").read_bytes()
    (directory / "signature.json").write_bytes(content.replace(b"flight-delays", b"flight-prices"))


@kind("signature.json is of model 'flight-prices', the manifest of 'flight-delays'")
def the_signature_of_another_model_resealed(directory: Path) -> None:
    content = (directory / "signature.json").read_bytes()
    resealed(directory, signature_json=content.replace(b"flight-delays", b"flight-prices"))


@kind("signature.json is of model 'flight-delays', the manifest of 'flight-prices'")
def the_manifest_of_another_model(directory: Path) -> None:
    resealed(directory, model="flight-prices")


@kind("MLmodel: is in the manifest but not in the bundle")
def a_missing_file(directory: Path) -> None:
    (directory / "MLmodel").unlink()


@kind("sitecustomize.py: is in the bundle but not in the manifest")
def an_extra_file(directory: Path) -> None:
    (directory / "sitecustomize.py").write_text("raise SystemExit")


@kind("MLmodel: is larger than")
def a_file_larger_than_listed_as_of_a_zip_bomb(directory: Path) -> None:
    with (directory / "MLmodel").open("r+b") as file:
        file.truncate(2**40)  # sparse: a terabyte to read, nothing on the disk


@kind("the bundle is larger than")
def files_too_large_together(directory: Path) -> None:
    rewritten(directory, lambda value: value["files"]["MLmodel"].update(bytes=MAX_BUNDLE_BYTES))


@kind("signature.json: larger than")
def a_signature_too_large(directory: Path) -> None:
    resealed(directory, signature_json=b" " * (MAX_SIGNATURE_BYTES + 1))


@kind("MLmodel: is no regular file")
def a_symbolic_link(directory: Path) -> None:
    (directory / "MLmodel").rename(directory.parent / "elsewhere")
    (directory / "MLmodel").symlink_to(directory.parent / "elsewhere")


@kind("MLmodel: is no regular file")
def a_pipe(directory: Path) -> None:
    (directory / "MLmodel").unlink()
    os.mkfifo(directory / "MLmodel")


@kind("model.onnx: is in the manifest but not in the bundle")
def a_graph_that_is_a_directory(directory: Path) -> None:
    (directory / "model.onnx").unlink()
    (directory / "model.onnx").mkdir()


@kind("'../../etc/passwd' is no file name for a bundle")
def a_name_that_leads_out(directory: Path) -> None:
    rewritten(directory, lambda value: value["files"].update({"../../etc/passwd": {"sha256": "0" * 64, "bytes": 1}}))


# ---- manifest and signature


@kind("manifest.json: not JSON: 'model.onnx' stands twice in one object")
def a_file_listed_twice(directory: Path) -> None:
    text = (directory / "manifest.json").read_text()
    first = '"model.onnx":{"sha256":"%s","bytes":1},' % ("0" * 64)
    (directory / "manifest.json").write_text(text.replace('"files":{', '"files":{' + first))


@kind("manifest.json: not JSON: nested too deeply")
def a_manifest_without_end(directory: Path) -> None:
    (directory / "manifest.json").write_bytes(b"[" * 200_000)


@kind("manifest.json: not JSON: 'utf-8' codec can't decode")
def a_manifest_that_is_not_utf8(directory: Path) -> None:
    text = (directory / "manifest.json").read_text()
    (directory / "manifest.json").write_bytes(text.encode("utf-16"))


@kind("manifest.json: not JSON: NaN is not JSON")
def a_version_that_is_no_number(directory: Path) -> None:
    text = (directory / "manifest.json").read_text()
    (directory / "manifest.json").write_text(text.replace(f'"version":{VERSION}', '"version":NaN'))


@kind("signature.json: ValueError: Infinity is not JSON")
def an_infinite_class(directory: Path) -> None:
    text = json.dumps({**signature(), "classes": [0, float("inf")]})
    resealed(directory, signature_json=text.encode())


@kind("signature.json: ValueError: 'task' stands twice in one object")
def a_signature_of_two_readings(directory: Path) -> None:
    text = (directory / "signature.json").read_text()
    resealed(directory, signature_json=text.replace("{", '{"task": "regression", ', 1).encode())


# ---- the graph


@kind("model.onnx: a tensor's data lies outside the file")
def data_at_an_absolute_path(directory: Path) -> None:
    regraphed(directory, lambda model: outside(model.graph.initializer[1], "/proc/self/environ"))


@kind("model.onnx: a tensor's data lies outside the file")
def data_in_a_folder_above(directory: Path) -> None:
    regraphed(directory, lambda model: outside(model.graph.initializer[1], "../../etc/passwd"))


@kind("model.onnx: a tensor's data lies outside the file")
def data_in_another_file_of_the_bundle(directory: Path) -> None:
    regraphed(directory, lambda model: outside(model.graph.initializer[1], "MLmodel"))


@kind("model.onnx: a tensor's data lies outside the file")
def data_at_an_address_in_memory(directory: Path) -> None:
    regraphed(directory, lambda model: outside(model.graph.initializer[1], "*/_ORT_MEM_ADDR_/*"))


@kind("model.onnx: the shape [4294967296, 4294967296] is larger than what is there")
def a_tensor_whose_size_overflows(directory: Path) -> None:
    regraphed(directory, lambda model: model.graph.initializer[1].dims.__setitem__(slice(None), [2**32, 2**32]))


@kind("model.onnx: the shape [-4, 1] is negative")
def a_tensor_of_negative_size(directory: Path) -> None:
    regraphed(directory, lambda model: model.graph.initializer[1].dims.__setitem__(0, -4))


@kind("model.onnx: a shape has 40 dimensions")
def a_tensor_of_forty_dimensions(directory: Path) -> None:
    regraphed(directory, lambda model: model.graph.initializer[1].dims.extend([1] * 38))


@kind("model.onnx: the shape [4611686018427387904] is larger than what is there")
def an_input_larger_than_any_memory(directory: Path) -> None:
    def change(model: onnx.ModelProto) -> None:
        model.graph.input[0].type.tensor_type.shape.dim[0].dim_value = 2**62
        del model.graph.input[0].type.tensor_type.shape.dim[1:]

    regraphed(directory, change)


@kind("model.onnx: ConstantOfShape makes 1,099,511,627,776 elements out of nothing")
def a_giant_constant(directory: Path) -> None:
    def change(model: onnx.ModelProto) -> None:
        model.graph.initializer.append(numpy_helper.from_array(np.array([2**20, 2**20]), "giant"))
        model.graph.node.append(helper.make_node("ConstantOfShape", ["giant"], ["zeros"]))

    regraphed(directory, change)


@kind("model.onnx: Expand makes 10,000,000,000 elements out of nothing")
def a_giant_out_of_one_number(directory: Path) -> None:
    def change(model: onnx.ModelProto) -> None:
        model.graph.node.append(helper.make_node("Constant", [], ["giant"], value_ints=[10**5, 10**5]))
        model.graph.node.append(helper.make_node("Expand", ["one", "giant"], ["ones"]))

    regraphed(directory, change)


@kind("model.onnx: the shape [1099511627776] is larger than what is there")
def a_sparse_tensor_that_is_dense_when_loaded(directory: Path) -> None:
    values, indices = numpy_helper.from_array(np.ones(1, np.float32), "s"), numpy_helper.from_array(np.zeros(1, int))
    sparse = helper.make_sparse_tensor(values, indices, [2**40])
    regraphed(directory, lambda model: model.graph.sparse_initializer.append(sparse))


@kind("model.onnx: has more than 100,000 nodes")
def nodes_without_number(directory: Path) -> None:
    def change(model: onnx.ModelProto) -> None:
        model.graph.node.extend([helper.make_node("Identity", ["one"], [""])] * 100_001)

    regraphed(directory, change)


@kind("model.onnx: graphs are nested too deeply")
def graphs_in_graphs(directory: Path) -> None:
    content = b""
    for _ in range(1000):
        content = nested(0x0A, nested(0x2A, nested(0x32, content)))
    resealed(directory, model_onnx=b"\x08\x08" + nested(0x3A, content))


@kind("model.onnx: defines functions of its own")
def a_function_that_calls_itself(directory: Path) -> None:
    def change(model: onnx.ModelProto) -> None:
        call = helper.make_node("Again", [], ["y"], domain="local")
        model.functions.append(helper.make_function("local", "Again", [], ["y"], [call], [helper.make_opsetid("", 17)]))

    regraphed(directory, change)


@kind("model.onnx: holds a graph for training")
def a_graph_for_training(directory: Path) -> None:
    regraphed(directory, lambda model: model.training_info.add())


@kind("model.onnx: it needs operators of domain 'com.example', which is not served")
def operators_of_another_maker(directory: Path) -> None:
    regraphed(directory, lambda model: model.opset_import.append(helper.make_opsetid("com.example", 1)))


@kind("model.onnx: operator 'Shell' is of domain 'com.example', which is not served")
def an_operator_of_another_maker(directory: Path) -> None:
    regraphed(
        directory,
        lambda model: model.graph.node.append(helper.make_node("Shell", ["one"], ["x2"], domain="com.example")),
    )


@kind("model.onnx: IR version 99 is none of 3 to 14")
def a_format_of_the_future(directory: Path) -> None:
    regraphed(directory, lambda model: setattr(model, "ir_version", 99))


@kind("model.onnx: opset 999 of domain '' is none of 7 to 28")
def an_opset_of_the_future(directory: Path) -> None:
    regraphed(directory, lambda model: setattr(model.opset_import[0], "version", 999))


@kind("model.onnx: is cut short")
def a_graph_cut_short(directory: Path) -> None:
    resealed(directory, model_onnx=graph().SerializeToString()[:-7])


@kind("model.onnx: has two graphs")
def two_graphs_that_are_merged_when_read(directory: Path) -> None:
    content = graph().SerializeToString()
    resealed(directory, model_onnx=content + nested(0x3A, TensorProto(name="x").SerializeToString()))


@kind("model.onnx: IR version 0 is none of 3 to 14")
def onnxruntimes_own_format(directory: Path) -> None:
    resealed(directory, model_onnx=b"\x08\x00\x00\x00ORTM" + b"\0" * 64)


@kind("model.onnx: has no IR version")
def an_empty_graph(directory: Path) -> None:
    resealed(directory, model_onnx=b"")


@kind("model.onnx: is no ONNX file")
def a_pickle_for_a_graph(directory: Path) -> None:
    import pickle

    resealed(directory, model_onnx=pickle.dumps({"model": [1.0] * 100}))


@pytest.fixture
def poisoned(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever imports onnxruntime fails."""
    monkeypatch.setitem(sys.modules, "onnxruntime", None)


@pytest.mark.usefixtures("poisoned")
@pytest.mark.parametrize("name", KINDS)
def test_it_is_refused_by_name_before_onnxruntime_is_imported(tmp_path: Path, name: str) -> None:
    tamper, says = KINDS[name]
    directory = write_bundle(tmp_path / "bundle")
    tamper(directory)
    lines: list[str] = []

    service = open_service(str(directory), "7", lines.append)

    assert isinstance(service, Unavailable)
    assert says in service.message
    assert says in json.loads(lines[0])["error"]
    reply = service.handle(infer_event({}), "id")
    assert (reply["statusCode"], says in json.loads(reply["body"])["error"]) == (503, True)


@pytest.mark.usefixtures("poisoned")
def test_an_untouched_bundle_gets_as_far_as_onnxruntime(tmp_path: Path) -> None:
    """So that the test above can fail."""
    with pytest.raises(ImportError, match="onnxruntime"):
        open_service(str(write_bundle(tmp_path)), "7", lambda line: None)


def test_there_are_many_kinds() -> None:
    assert len(KINDS) >= 40


def test_what_is_served_are_the_bytes_that_were_checked(tmp_path: Path) -> None:
    """A hard link lets a file be changed from elsewhere; by then it is in memory."""
    directory = write_bundle(tmp_path / "bundle")
    os.link(directory / "model.onnx", tmp_path / "the same")
    bundle = verify(directory)
    (tmp_path / "the same").write_bytes(b"something else")
    Service(bundle, "7", lambda line: None)
    with pytest.raises(BundleInvalid, match=r"^model\.onnx: "):
        verify(directory)


def test_the_kinds_start_from_a_bundle_that_is_served(tmp_path: Path) -> None:
    directory = write_bundle(tmp_path, bundle_files())
    regraphed(directory, lambda model: None)
    assert isinstance(open_service(str(directory), "7", lambda line: None), Service)
