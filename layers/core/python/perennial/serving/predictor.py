"""The graph of a bundle, ready to answer."""

from __future__ import annotations

from collections.abc import Mapping
from math import isfinite
from typing import Any, NamedTuple

import numpy as np

from perennial.errors import BundleInvalid
from perennial.serving.bundle import Bundle
from perennial.serving.errors import ModelFault
from perennial.serving.inputs import Array, Input, make_input
from perennial.serving.signature import Signature, parse_signature


class Scores(NamedTuple):
    """What the graph says of n rows. `values` is [n][k]: probabilities by class, or the one predicted value.

    `chosen` is the index of the likeliest class of each row (the first of equals); None for a regression.
    """

    values: list[list[float]]
    chosen: list[int] | None


class Predictor:
    """One model version in memory. `inputs` keep the array of a one-row request: not for several threads at once."""

    def __init__(self, bundle: Bundle) -> None:
        """Load a verified bundle. Raises BundleInvalid when graph and signature do not fit each other."""
        self.signature: Signature = parse_signature(bundle.signature)
        if self.signature.model != bundle.model:
            raise BundleInvalid(
                f"signature.json is of model {self.signature.model!r}, the manifest of {bundle.model!r}"
            )
        try:
            self.inputs: tuple[Input, ...] = tuple(make_input(**one) for one in self.signature.inputs)
        except ValueError as error:
            raise BundleInvalid(f"signature.json: {error}") from error
        self._session, self._faults, self._options = _open(bundle.graph)
        # the session below onnxruntime's Python layer, which checks the names that are checked here: an eighth of a run
        self._run = getattr(self._session, "_sess", self._session).run
        self._output = [self.signature.graph_output]
        self._width = len(self.signature.classes or (0,))
        self._check_graph()

    def score(self, feeds: Mapping[str, Array], rows: int) -> Scores:
        """Run the graph on feeds of `rows` rows. Raises ModelFault when it fails or answers no finite numbers."""
        array = self._answer(feeds, rows)
        if rows == 1:
            return self._one(array.ravel().tolist())
        array = self._finite(array, rows)
        return Scores(array.tolist(), array.argmax(axis=1).tolist() if self.signature.classes else None)

    def values(self, feeds: Mapping[str, Array], rows: int) -> Array:
        """As `score`, but its values as the array [rows, k] of float32."""
        return self._finite(self._answer(feeds, rows), rows)

    def _answer(self, feeds: Mapping[str, Array], rows: int) -> Array:
        try:
            array: Array = self._run(self._output, feeds, self._options)[0]
        except self._faults as error:
            raise ModelFault(f"the graph failed: {error}") from error
        if array.size != rows * self._width:
            raise ModelFault(f"the graph answered {rows} rows with the shape {array.shape}")
        return array

    def _finite(self, array: Array, rows: int) -> Array:
        array = array.reshape(rows, self._width)
        if not np.isfinite(array).all():
            row = int(np.flatnonzero(~np.isfinite(array).all(axis=1))[0])
            raise ModelFault(f"the graph answered row {row} with no finite number")
        return array

    def _one(self, values: list[float]) -> Scores:
        for value in values:
            if not isfinite(value):
                raise ModelFault(f"the graph answered row 0 with {value}")
        return Scores([values], [values.index(max(values))] if self.signature.classes else None)

    def _check_graph(self) -> None:
        """Inputs and outputs of the graph are those of the signature, in name and element type."""
        found = {one.name: one.type for one in self._session.get_inputs()}
        wanted = {one.tensor: "tensor(string)" if one.cell.dtype == object else "tensor(float)" for one in self.inputs}
        if found != wanted:
            wrong = sorted(name for name in found.keys() | wanted.keys() if found.get(name) != wanted.get(name))
            raise BundleInvalid(
                f"model.onnx: input {wrong[0]!r} is {found.get(wrong[0], 'missing')} in the graph, "
                f"{wanted.get(wrong[0], 'missing')} in the signature"
            )
        outputs = {one.name: one.type for one in self._session.get_outputs()}
        if outputs.get(self._output[0]) != "tensor(float)":
            raise BundleInvalid(f"model.onnx: output {self._output[0]!r} is {outputs.get(self._output[0], 'missing')}")


def _open(graph: bytes) -> tuple[Any, tuple[type[BaseException], ...], Any]:
    """A session of one thread (a Lambda of this size has one core; sums keep their order), what its runs raise, and
    their options: the defaults, made once, where each run would make them anew (a thirtieth of one).
    """
    import onnxruntime
    from onnxruntime.capi import onnxruntime_pybind11_state as state

    faults: tuple[type[BaseException], ...] = (
        state.Fail,
        state.InvalidArgument,
        state.InvalidGraph,
        state.InvalidProtobuf,
        state.NoSuchFile,
        state.NotImplemented,
        state.RuntimeException,
        RuntimeError,
    )
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    options.log_severity_level = 3
    # ONNX and nothing else: onnxruntime's own format would not have been looked into
    options.add_session_config_entry("session.load_model_format", "ONNX")
    try:
        session = onnxruntime.InferenceSession(graph, options, providers=["CPUExecutionProvider"])
    except faults as error:
        raise BundleInvalid(f"model.onnx: cannot be loaded: {error}") from error
    return session, faults, onnxruntime.RunOptions()
