"""A graph that takes data from outside its file is refused before onnxruntime sees it."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import onnx
import pytest
from hypothesis import given
from hypothesis import strategies as st
from onnx import TensorProto, helper, numpy_helper

from perennial.errors import BundleInvalid
from perennial.serving.graph import refuse_external_data
from tests.unit.serving.bundles import bundle_files, graph
from tests.unit.serving.requests import RELAXED


def outside(tensor: onnx.TensorProto, location: str = "/etc/passwd") -> onnx.TensorProto:
    tensor.data_location = TensorProto.EXTERNAL
    entry = tensor.external_data.add()
    entry.key, entry.value = "location", location
    tensor.ClearField("raw_data")
    return tensor


def tensor(name: str = "t") -> onnx.TensorProto:
    return numpy_helper.from_array(np.zeros(4, np.float32), name)


def subgraph() -> onnx.GraphProto:
    output = helper.make_tensor_value_info("o", TensorProto.FLOAT, [4])
    return helper.make_graph([], "inner", [], [output], [outside(tensor("o"))])


def as_initializer(model: onnx.ModelProto) -> None:
    model.graph.initializer.append(outside(tensor()))


def as_memory_address(model: onnx.ModelProto) -> None:
    model.graph.initializer.append(outside(tensor(), "*/_ORT_MEM_ADDR_/*"))


def as_constant(model: onnx.ModelProto) -> None:
    model.graph.node.append(helper.make_node("Constant", [], ["c"], value=outside(tensor())))


def as_branch(model: onnx.ModelProto) -> None:
    model.graph.node.append(helper.make_node("If", ["c"], ["d"], then_branch=subgraph(), else_branch=subgraph()))


def as_sparse(model: onnx.ModelProto) -> None:
    sparse = model.graph.sparse_initializer.add()
    sparse.values.CopyFrom(outside(tensor()))


def as_function(model: onnx.ModelProto) -> None:
    function = model.functions.add()
    function.name = "f"
    function.node.append(helper.make_node("Constant", [], ["c"], value=outside(tensor())))


def as_training(model: onnx.ModelProto) -> None:
    model.training_info.add().algorithm.CopyFrom(subgraph())


@pytest.mark.parametrize(
    "hide", [as_initializer, as_memory_address, as_constant, as_branch, as_sparse, as_function, as_training]
)
def test_external_data_is_found_wherever_a_tensor_may_be(hide: Callable[[onnx.ModelProto], None]) -> None:
    model = graph()
    hide(model)
    with pytest.raises(BundleInvalid, match=r"model\.onnx: a tensor's data lies outside the file"):
        refuse_external_data(model.SerializeToString())


@pytest.mark.parametrize("task", ["binary", "regression"])
def test_a_graph_of_ours_passes(task: str) -> None:
    refuse_external_data(bundle_files(task, (0, 1) if task == "binary" else None)["model.onnx"])


def test_a_feature_called_location_is_no_external_data() -> None:
    model = graph()
    model.graph.input[0].name = "location"
    model.metadata_props.add(key="location", value="New York")
    refuse_external_data(model.SerializeToString())


def test_a_tag_that_overflows_is_read_as_protobuf_reads_it() -> None:
    model = graph()
    as_initializer(model)
    plain = model.graph.initializer[-1].SerializeToString()
    # field 13, length-delimited, behind a varint of five bytes whose upper bits are dropped
    hidden = plain.replace(b"\x6a", b"\xea\x80\x80\x80\x10", 1)
    content = model.SerializeToString()
    assert hidden != plain
    with pytest.raises(BundleInvalid):
        refuse_external_data(content.replace(plain, hidden))


def nested(tag: int, content: bytes) -> bytes:
    """A length-delimited field."""
    length, size = b"", len(content)
    while size > 127:
        length, size = length + bytes([size & 127 | 128]), size >> 7
    return bytes([tag]) + length + bytes([size]) + content


def test_graphs_in_graphs_without_end_are_refused() -> None:
    content = b"\x0a\x08location"
    for _ in range(2000):  # graph in attribute in node in graph
        content = nested(0x0A, nested(0x2A, nested(0x32, content)))
    with pytest.raises(BundleInvalid, match="nested too deeply"):
        refuse_external_data(nested(0x3A, content))


@RELAXED
@given(st.binary(max_size=200))
def test_what_is_no_graph_is_refused_or_left_to_onnxruntime(content: bytes) -> None:
    try:
        refuse_external_data(content + b"location")
    except BundleInvalid as error:
        assert str(error).startswith("model.onnx: ")
