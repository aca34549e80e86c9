"""What may not be served is seen in the bytes of a graph, before onnxruntime; what onnxruntime runs, passes."""

from __future__ import annotations

import re
from collections.abc import Callable

import numpy as np
import onnx
import onnxruntime
import pytest
from hypothesis import given
from hypothesis import strategies as st
from onnx import TensorProto, helper, numpy_helper
from onnxruntime.capi import onnxruntime_pybind11_state as state

from perennial.errors import BundleInvalid
from perennial.serving.graph import IR_VERSIONS, OPSETS, check_graph
from perennial.serving.wire import NUMBERS, fields
from tests.unit.serving.bundles import INPUTS, bundle_files, graph
from tests.unit.serving.requests import RELAXED

GRAPH = bundle_files()["model.onnx"]


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


@pytest.mark.parametrize("hide", [as_initializer, as_memory_address, as_constant, as_branch, as_sparse])
def test_external_data_is_found_wherever_a_tensor_may_be(hide: Callable[[onnx.ModelProto], None]) -> None:
    model = graph()
    hide(model)
    with pytest.raises(BundleInvalid, match=r"model\.onnx: a tensor's data lies outside the file"):
        check_graph(model.SerializeToString())


@pytest.mark.parametrize("task", ["binary", "regression"])
def test_a_graph_of_ours_passes(task: str) -> None:
    check_graph(bundle_files(task, (0, 1) if task == "binary" else None)["model.onnx"])


def test_a_feature_called_location_is_no_external_data() -> None:
    model = graph()
    model.graph.input[0].name = "location"
    model.metadata_props.add(key="location", value="New York")
    check_graph(model.SerializeToString())


def test_a_tag_that_overflows_is_read_as_protobuf_reads_it() -> None:
    model = graph()
    as_initializer(model)
    plain = model.graph.initializer[-1].SerializeToString()
    # field 13, length-delimited, behind a varint of five bytes whose upper bits are dropped
    hidden = plain.replace(b"\x6a", b"\xea\x80\x80\x80\x10", 1)
    content = model.SerializeToString()
    assert hidden != plain
    with pytest.raises(BundleInvalid):
        check_graph(content.replace(plain, hidden))


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
        check_graph(nested(0x3A, content))


@RELAXED
@given(st.binary(max_size=200))
def test_what_is_no_graph_is_refused_by_name(content: bytes) -> None:
    with pytest.raises(BundleInvalid, match=r"^model\.onnx: "):
        check_graph(content)


@RELAXED
@given(place=st.integers(0, 2000), byte=st.integers(0, 255))
def test_a_changed_byte_never_fails_by_another_name(place: int, byte: int) -> None:
    content = bytearray(GRAPH)
    content[place % len(content)] = byte
    try:
        check_graph(bytes(content))
    except BundleInvalid as error:
        assert str(error).startswith("model.onnx: ")


@RELAXED
@given(
    floats=st.lists(st.floats(width=32), max_size=40),
    integers=st.lists(st.integers(-(2**63), 2**63 - 1), max_size=40),
    texts=st.lists(st.binary(max_size=70), max_size=40),
)
def test_runs_of_numbers_are_passed_over_and_what_is_behind_them_is_seen(
    floats: list[float], integers: list[int], texts: list[bytes]
) -> None:
    """They are skipped by a pattern instead of field by field; both must end at the same place."""
    model = graph()
    for made in (
        onnx.AttributeProto(name="a", floats=floats, ints=integers, strings=texts),
        onnx.AttributeProto(name="b", ints=integers, strings=texts, floats=floats),
    ):
        plain = [found for found in fields(memoryview(made.SerializeToString())) if found[0] not in (7, 8, 9)]
        passed = [found for found in fields(memoryview(made.SerializeToString()), NUMBERS) if found[0] not in (7, 8, 9)]
        assert passed == plain
        model.graph.node[0].attribute.append(made)
    check_graph(model.SerializeToString())
    model.graph.node[0].attribute[-1].t.CopyFrom(outside(tensor()))
    with pytest.raises(BundleInvalid, match="lies outside the file"):
        check_graph(model.SerializeToString())


def opens(model: onnx.ModelProto) -> bool:
    """Whether onnxruntime takes the graph."""
    try:
        onnxruntime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    except (state.Fail, state.InvalidGraph):
        return False
    return True


def test_the_newest_that_is_served_is_the_newest_that_onnxruntime_runs() -> None:
    model = graph()
    for change in (0, 1):
        model.ir_version = IR_VERSIONS[-1] + change
        assert opens(model) == (change == 0)
    model = graph()
    for place, domain in enumerate((b"", b"ai.onnx.ml")):
        for change in (1, 0):
            model.opset_import[place].version = OPSETS[domain][-1] + change
            assert opens(model) == (change == 0), domain


def sized(*nodes: onnx.NodeProto, **stated: list[int] | int) -> onnx.ModelProto:
    """The graph with more nodes, and tensors of these integers."""
    model = graph()
    model.graph.node.extend(nodes)
    model.graph.initializer.extend(
        numpy_helper.from_array(np.array(value, np.int64), name) for name, value in stated.items()
    )
    return model


node = helper.make_node
SHAPE = node("Shape", [INPUTS[0]["tensor"]], ["shape"])

OF_ANY_SIZE: dict[str, tuple[onnx.ModelProto, str]] = {
    "a constant behind Identity": (
        sized(node("Identity", ["s"], ["t"]), node("ConstantOfShape", ["t"], ["c"]), s=[2**20, 2**20]),
        "ConstantOfShape makes 1,099,511,627,776 elements out of nothing",
    ),
    "a constant in two pieces": (
        sized(node("Concat", ["s", "s"], ["t"], axis=0), node("ConstantOfShape", ["t"], ["c"]), s=[2**20]),
        "ConstantOfShape makes 1,099,511,627,776 elements out of nothing",
    ),
    "a product": (
        sized(node("Mul", ["s", "s"], ["t"]), node("ConstantOfShape", ["t"], ["c"]), s=[2**20]),
        "ConstantOfShape makes as many elements as the graph computes",
    ),
    "a number that a caller says": (
        sized(node("ConstantOfShape", [INPUTS[0]["tensor"]], ["c"])),
        "ConstantOfShape makes as many elements as the graph computes",
    ),
    "a number from nowhere": (
        sized(node("ConstantOfShape", ["nowhere"], ["c"])),
        "ConstantOfShape makes as many elements as the graph computes",
    ),
    "another output of a node": (
        sized(node("Split", ["s"], ["t", "u"], axis=0), node("ConstantOfShape", ["u"], ["c"]), s=[1, 2**40]),
        "ConstantOfShape makes as many elements as the graph computes",
    ),
    "a name that is stated and made": (
        sized(node("Mul", ["big", "big"], ["s"]), node("ConstantOfShape", ["s"], ["c"]), s=[1], big=[2**20]),
        "ConstantOfShape makes as many elements as the graph computes",
    ),
    "rows by rows": (
        sized(SHAPE, node("Concat", ["shape", "shape"], ["t"], axis=0), node("ConstantOfShape", ["t"], ["c"])),
        "ConstantOfShape makes as many elements as the graph computes",
    ),
    "one size many times": (
        sized(SHAPE, node("Gather", ["shape", "i"], ["t"]), node("ConstantOfShape", ["t"], ["c"]), i=[0, 0, 0]),
        "ConstantOfShape makes as many elements as the graph computes",
    ),
    "rows by much": (
        sized(SHAPE, node("Concat", ["shape", "k"], ["t"], axis=0), node("Expand", ["one", "t"], ["c"]), k=[10**6]),
        "Expand makes 1,000,000 elements for each row out of nothing",
    ),
    "a little more each time": (
        sized(
            SHAPE,
            *(
                one
                for step, of in enumerate(["shape", "shape1", "shape2"])
                for one in (
                    node("Concat", [of, "k"], [f"t{step}"], axis=0),
                    node("ConstantOfShape", [f"t{step}"], [f"c{step}"]),
                    node("Shape", [f"c{step}"], [f"shape{step + 1}"]),
                )
            ),
            k=[1000],
        ),
        "sizes grow by 1,000,000,000 from one tensor to the next",
    ),
    "a long way": (
        sized(node("Range", ["from", "to", "by"], ["c"]), **{"from": -(2**40), "to": 0, "by": 1}),
        "Range makes 1,099,511,627,776 elements out of nothing",
    ),
    "a way that is computed": (
        sized(node("Neg", ["to"], ["t"]), node("Range", ["from", "t", "by"], ["c"]), **{"from": 0, "to": 9, "by": 1}),
        "Range makes as many elements as the graph computes",
    ),
    "rows of rows": (
        sized(SHAPE, node("Tile", [INPUTS[0]["tensor"], "shape"], ["c"])),
        "Tile makes as many elements as the graph computes",
    ),
    "padding that is computed": (
        sized(SHAPE, node("Pad", [INPUTS[0]["tensor"], "shape"], ["c"])),
        "Pad makes as many elements as the graph computes",
    ),
    "classes without end": (
        sized(node("OneHot", ["x", "depth", "values"], ["c"]), depth=2**40),
        "OneHot makes 1,099,511,627,776 elements out of nothing",
    ),
    "a picture": (sized(node("Resize", ["x", "", "scales"], ["c"])), "operator Resize makes tensors of any size"),
    "noise": (
        sized(node("RandomNormal", [], ["c"], shape=[2**20, 2**20])),
        "operator RandomNormal makes tensors of any size",
    ),
}


@pytest.mark.parametrize("how", OF_ANY_SIZE)
def test_a_size_that_the_graph_makes_up_is_refused_before_it_is_loaded(how: str) -> None:
    model, why = OF_ANY_SIZE[how]
    with pytest.raises(BundleInvalid, match=re.escape(f"model.onnx: {why}")):
        check_graph(model.SerializeToString())


BOUNDED: dict[str, onnx.ModelProto] = {
    "as large as another": sized(SHAPE, node("ConstantOfShape", ["shape"], ["c"])),
    "a number for each row": sized(
        SHAPE,
        node("Gather", ["shape", "i"], ["n"]),
        node("Concat", ["n", "k"], ["t"], axis=0),
        node("ConstantOfShape", ["t"], ["c"]),
        i=[0],
        k=[3],
    ),
    "the rows, counted": sized(
        SHAPE, node("Gather", ["shape", "i"], ["n"]), node("Range", ["i", "n", "by"], ["c"]), i=0, by=1
    ),
    "a stated shape": sized(node("Expand", ["one", "s"], ["c"]), s=[100, 100]),
    "a scalar": sized(node("ConstantOfShape", ["s"], ["c"]), s=[]),
    "stated times": sized(node("Tile", [INPUTS[0]["tensor"], "s"], ["c"]), s=[1, 10]),
    "a constant node": sized(
        node("Constant", [], ["k"], value_int=5), node("Unsqueeze", ["k"], ["s"]), node("ConstantOfShape", ["s"], ["c"])
    ),
}


@pytest.mark.parametrize("how", BOUNDED)
def test_a_size_that_is_stated_or_that_of_a_tensor_passes(how: str) -> None:
    check_graph(BOUNDED[how].SerializeToString())


def test_a_shape_that_an_operator_takes_may_be_as_large_as_a_bundle() -> None:
    model = graph()
    model.graph.initializer.append(numpy_helper.from_array(np.array([2**11, 2**14]), "shape"))
    model.graph.node.append(helper.make_node("ConstantOfShape", ["shape"], ["c"]))
    check_graph(model.SerializeToString())
