"""An inference request of the Open Inference Protocol v2: JSON, or JSON followed by binary tensors.

Source: KServe's description of the protocol and its binary tensor data extension. One tensor per input of the model,
shape [n] or [n, 1], the same n ≥ 1 for all; `data` flat or nested as its shape.
"""

from __future__ import annotations

import zlib
from collections.abc import Mapping, Sequence
from typing import Any

from perennial.serving.datatypes import MAX_ID, MAX_ROWS
from perennial.serving.errors import RequestRefused
from perennial.serving.inputs import Array, Input, shown
from perennial.serving.prepared import PreparedRequests
from perennial.serving.record import Values
from perennial.serving.request import Outputs, Request
from perennial.serving.strict_json import parse
from perennial.serving.tensors import decode_tensor

MAX_BODY_BYTES = 10 * 1024 * 1024  # what API Gateway lets in; only compression could bring more
_WINDOW_BITS = {"gzip": 31, "deflate": 15}


class Reader:
    """Reads requests for one model. `outputs` are the names of its outputs."""

    def __init__(self, inputs: Sequence[Input], outputs: Sequence[str]) -> None:
        self._inputs = {spec.name: spec for spec in inputs}
        self._outputs = tuple(outputs)
        self._prepared = PreparedRequests(self._inputs)

    def read(self, body: str | bytes, header_length: str | None = None, encoding: str | None = None) -> Request:
        """Parse and check a body. Raises RequestRefused, naming input and row where there are such.

        `header_length` is the header Inference-Header-Content-Length: how much of the body is JSON; the rest is binary
        tensors. `encoding` is the header Content-Encoding.
        """
        if encoding is not None and encoding.lower() != "identity":
            body = _decompress(body, encoding.lower())
        binary: memoryview | None = None
        if header_length is not None:
            body, binary = _split(body, header_length)
        text = _text(body) if isinstance(body, bytes) else body
        if binary is None and (prepared := self._prepared.find(text)) is not None:
            return prepared
        request = parse(text)
        client_id = request.get("id")
        if client_id is not None and not _is_id(client_id):
            raise RequestRefused(f"id must be a string of at most {MAX_ID} characters")
        rows, values, feeds = self._tensors(request.get("inputs"), binary)
        wanted = self._wanted(request)
        if rows == 1 and binary is None and client_id is None:
            self._prepared.learn(text, wanted)
        return Request(client_id, rows, Values(values), feeds, wanted)

    def _tensors(self, listed: Any, binary: memoryview | None) -> tuple[int, dict[str, list[Any]], dict[str, Array]]:
        if type(listed) is not list or not listed:
            raise RequestRefused("inputs must be a list of one tensor per input of the model")
        columns: dict[str, list[Any]] = {}
        feeds: dict[str, Array] = {}
        position = rows = 0
        for tensor in listed:
            spec = self._known(tensor)
            if spec.name in columns:
                raise RequestRefused(f"input {spec.name!r} is given twice")
            count = _rows(spec.name, tensor.get("shape"))
            if rows != count and rows:
                raise RequestRefused(f"input {spec.name!r} has {count} rows, the inputs before it have {rows}")
            rows = count
            size = _binary_size(spec.name, tensor)
            if size is None:
                values = _values(spec.name, tensor, rows)
            else:
                values = _binary_values(spec.name, tensor, rows, binary, position, size)
                position += size
            columns[spec.name] = values
            datatype = tensor["datatype"]
            if rows == 1:
                spec.filler(datatype)(values[0])
                feeds[spec.tensor] = spec.cell
            else:
                feeds[spec.tensor] = spec.many(values, datatype)
        if len(columns) != len(self._inputs):
            missing = [name for name in self._inputs if name not in columns]
            raise RequestRefused(f"input {missing[0]!r} is missing" + _others(missing[1:]))
        if binary is not None and position != len(binary):
            raise RequestRefused(f"the body has {len(binary)} bytes of binary data, its tensors take {position}")
        return rows, columns, feeds

    def _known(self, tensor: Any) -> Input:
        if type(tensor) is not dict:
            raise RequestRefused(f"inputs must hold tensors, not {shown(tensor)}")
        name = tensor.get("name")
        if type(name) is not str:
            raise RequestRefused(f"an input has no name but {shown(name)}")
        spec = self._inputs.get(name)
        if spec is None:
            raise RequestRefused(f"the model has no input {shown(name)}; it takes {_listed(self._inputs)}")
        datatype = tensor.get("datatype")
        if datatype != spec.datatype and (type(datatype) is not str or datatype not in spec.accepted):
            raise RequestRefused(f"input {name!r} is {spec.datatype}; datatype {shown(datatype)} cannot stand for it")
        return spec

    def _wanted(self, request: Mapping[str, Any]) -> Outputs:
        parameters = request.get("parameters")
        binary = _flag(parameters, "binary_data_output", "parameters") if parameters is not None else None
        listed = request.get("outputs")
        if listed is None or listed == []:
            return [(name, True) for name in self._outputs] if binary else None
        if type(listed) is not list:
            raise RequestRefused("outputs must be a list")
        wanted: dict[str, bool] = {}
        for output in listed:
            name = output.get("name") if type(output) is dict else None
            if type(name) is not str or name not in self._outputs:
                raise RequestRefused(f"the model has no output {shown(name)}; it gives {_listed(self._outputs)}")
            if name in wanted:
                raise RequestRefused(f"output {name!r} is asked for twice")
            parameters = output.get("parameters")
            one = _flag(parameters, "binary_data", f"output {name!r}") if parameters is not None else None
            if parameters and parameters.get("classification"):
                raise RequestRefused(f"output {name!r}: the classification extension is not supported")
            wanted[name] = (binary is True) if one is None else one
        return list(wanted.items())


def _rows(name: str, shape: Any) -> int:
    if type(shape) is list and shape and type(shape[0]) is int and (len(shape) == 1 or shape[1:] == [1]):
        rows: int = shape[0]
        if 0 < rows <= MAX_ROWS and (len(shape) == 1 or type(shape[1]) is int):
            return rows
        if rows > MAX_ROWS:
            raise RequestRefused(f"input {name!r} has more than {MAX_ROWS} rows; send them in several requests", 413)
    raise RequestRefused(f"input {name!r}: its shape must be [n] or [n, 1] with n of 1 to {MAX_ROWS}")


def _values(name: str, tensor: Mapping[str, Any], rows: int) -> list[Any]:
    values = tensor.get("data")
    if type(values) is not list:
        raise RequestRefused(f"input {name!r}: data must be a list")
    if values and type(values[0]) is list and len(tensor["shape"]) == 2:
        for row, nested in enumerate(values):
            if type(nested) is not list or len(nested) != 1:
                raise RequestRefused(f"input {name!r}, row {row}: data is not nested as its shape says")
        values = [nested[0] for nested in values]
    if len(values) != rows:
        raise RequestRefused(f"input {name!r}: data has {len(values)} values, its shape says {rows}")
    return values


def _binary_size(name: str, tensor: Mapping[str, Any]) -> int | None:
    parameters = tensor.get("parameters")
    if parameters is None:
        return None
    if type(parameters) is not dict:
        raise RequestRefused(f"input {name!r}: parameters must be an object")
    if "shared_memory_region" in parameters:
        raise RequestRefused(f"input {name!r}: the shared memory extension is not supported")
    size = parameters.get("binary_data_size")
    if size is not None and (type(size) is not int or size < 0):
        raise RequestRefused(f"input {name!r}: binary_data_size must be a whole number")
    return size


def _binary_values(
    name: str, tensor: Mapping[str, Any], rows: int, binary: memoryview | None, position: int, size: int
) -> list[Any]:
    if "data" in tensor:
        raise RequestRefused(f"input {name!r} has both data and binary_data_size")
    if binary is None:
        raise RequestRefused(f"input {name!r} is binary, but there is no header Inference-Header-Content-Length")
    if position + size > len(binary):
        raise RequestRefused(f"input {name!r}: the body ends before its binary data does")
    return decode_tensor(name, tensor["datatype"], rows, binary[position : position + size])


def _flag(parameters: Any, name: str, where: str) -> bool | None:
    if type(parameters) is not dict:
        raise RequestRefused(f"{where}: parameters must be an object")
    value = parameters.get(name)
    if value is not None and type(value) is not bool:
        raise RequestRefused(f"{where}: {name} must be true or false")
    return value


def _split(body: str | bytes, header_length: str) -> tuple[bytes, memoryview]:
    content = body.encode("utf-8", "surrogatepass") if isinstance(body, str) else body
    text = header_length.strip()
    if not (text.isascii() and text.isdigit() and len(text) < 12) or int(text) > len(content):
        raise RequestRefused("Inference-Header-Content-Length must be the number of bytes of JSON in the body")
    return content[: int(text)], memoryview(content)[int(text) :]


def _decompress(body: str | bytes, encoding: str) -> bytes:
    if encoding not in _WINDOW_BITS:
        raise RequestRefused(f"Content-Encoding {shown(encoding)} is not supported; gzip and deflate are", 415)
    content = body.encode("utf-8", "surrogatepass") if isinstance(body, str) else body
    stream = zlib.decompressobj(_WINDOW_BITS[encoding])
    try:
        plain = stream.decompress(content, MAX_BODY_BYTES)
    except zlib.error as error:
        raise RequestRefused(f"the body is not {encoding}: {error}") from error
    if stream.unconsumed_tail:
        raise RequestRefused(f"the body is larger than {MAX_BODY_BYTES} bytes when decompressed", 413)
    if not stream.eof:
        raise RequestRefused(f"the body is not {encoding}: it is cut short")
    return plain


def _text(content: bytes) -> str:
    try:
        return content.decode("utf-8")
    except UnicodeDecodeError as error:
        raise RequestRefused(f"the body is not UTF-8: {error}") from error


def _is_id(value: Any) -> bool:
    if type(value) is not str or len(value) > MAX_ID:
        return False
    return value.isascii() or value.encode("utf-8", "replace").decode() == value


def _listed(names: Any) -> str:
    known = [repr(name) for name in names]
    return ", ".join(known[:20]) + (f" and {len(known) - 20} more" if len(known) > 20 else "")


def _others(names: Sequence[str]) -> str:
    return f", and so are {_listed(names)}" if names else ""
