"""Looks an ONNX file through before anything uses it, and sees how its graph ends.

Refused are tensors in other files, which this file's hash would not cover (onnxruntime looks for
them in the working directory), and operators that draw random numbers.

The file is a protocol buffer, https://protobuf.dev/programming-guides/encoding, of the messages in
https://github.com/onnx/onnx/blob/main/onnx/onnx.proto; it is read here without the package `onnx`.
"""

import struct
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

from adapters.errors import NotConfigured

MOST_BYTES = 2**31  # of a protocol buffer

# message → number of a field that may lead to tensors or nodes → that field's message
CHILDREN: Mapping[str, Mapping[int, str]] = {
    "ModelProto": {7: "GraphProto", 20: "TrainingInfoProto", 25: "FunctionProto"},
    "TrainingInfoProto": {1: "GraphProto", 2: "GraphProto"},
    "FunctionProto": {7: "NodeProto", 11: "AttributeProto"},
    "GraphProto": {1: "NodeProto", 5: "TensorProto", 15: "SparseTensorProto"},
    "NodeProto": {5: "AttributeProto"},
    "AttributeProto": {
        5: "TensorProto",
        6: "GraphProto",
        10: "TensorProto",
        11: "GraphProto",
        22: "SparseTensorProto",
        23: "SparseTensorProto",
    },
    "SparseTensorProto": {1: "TensorProto", 2: "TensorProto"},
    "TensorProto": {},
}
RANDOM = {
    "Bernoulli",
    "Multinomial",
    "RandomNormal",
    "RandomNormalLike",
    "RandomUniform",
    "RandomUniformLike",
}
PASSING = {  # operators that change the shape or the type of what they are given, not its values
    "Cast",
    "DequantizeLinear",
    "Flatten",
    "Identity",
    "QuantizeLinear",
    "Reshape",
    "Squeeze",
    "Unsqueeze",
}


class Node(NamedTuple):
    """An operator: what it is, and what it takes."""

    operator: str
    inputs: list[str]


class Quantisation(NamedTuple):
    """Whole numbers q stand for (q − zero) · scale."""

    scale: float
    zero: int


@dataclass
class OnnxFile:
    """What a look through a file found.

    Attributes:
        nodes: name of an output → the node of the main graph that makes it.
        numbers: name → value of constants that are one number.
    """

    nodes: dict[str, Node] = field(default_factory=dict)
    numbers: dict[str, float] = field(default_factory=dict)

    def ending(self, output: str) -> str | None:
        """Return the last operator before an output that changes values; None if unknown."""
        for node in self._back(output):
            if node.operator not in PASSING:
                return node.operator
        return None

    def quantisation(self, output: str) -> Quantisation | None:
        """Return what an output in whole numbers stands for; None if the file does not tell."""
        for node in self._back(output):
            if node.operator == "QuantizeLinear":
                scale = self.numbers.get(node.inputs[1]) if len(node.inputs) > 1 else None
                zero = self.numbers.get(node.inputs[2], None) if len(node.inputs) > 2 else 0
                return None if scale is None or zero is None else Quantisation(scale, int(zero))
            if node.operator not in PASSING - {"Cast", "DequantizeLinear"}:
                return None
        return None

    def _back(self, name: str) -> Iterator[Node]:
        seen: set[str] = set()
        while name in self.nodes and name not in seen:
            seen.add(name)
            node = self.nodes[name]
            yield node
            name = node.inputs[0] if node.inputs else ""


def read_model(path: Path) -> bytes:
    """Return a model's bytes.

    Raises:
        NotConfigured: if it cannot be read, or is of another kind.
    """
    try:
        if path.stat().st_size >= MOST_BYTES:
            raise NotConfigured(f"{path.name} is larger than an ONNX file can be")
        data = path.read_bytes()
    except OSError as error:
        raise NotConfigured(f"the model {path.name} cannot be read: {error.strerror}") from None
    if data.startswith((b"PK\x03\x04", b"\x80\x02", b"\x80\x03", b"\x80\x04")):
        raise NotConfigured(
            f"{path.name} is a PyTorch or pickle file, which could run code: export the model "
            "with torch.onnx.export"
        )
    return data


def look_through(name: str, data: bytes) -> OnnxFile:
    """Refuse a file that is no ONNX model, or one that is not all in itself.

    Args:
        name: of the file, for messages.
        data: its bytes.

    Raises:
        NotConfigured: naming what is wrong.
    """
    found = OnnxFile()
    waiting = [("ModelProto", memoryview(data), 0)]
    graphs = 0
    try:
        while waiting:
            message, view, depth = waiting.pop()
            fields = list(_fields(view))
            for number, value in fields:
                child = CHILDREN[message].get(number)
                if child is not None and isinstance(value, memoryview):
                    graphs += child == "GraphProto"
                    waiting.append((child, value, depth + 1))
            if message == "TensorProto":
                _look_at_tensor(name, fields, found, main=depth == 2)
            elif message == "NodeProto":
                _look_at_node(name, fields, found, main=depth == 2)
    except ValueError:
        raise NotConfigured(f"{name} is no ONNX file, or was cut off") from None
    if not graphs:
        raise NotConfigured(f"{name} is no ONNX file: it holds no graph")
    return found


Fields = list[tuple[int, "int | memoryview"]]


def _look_at_tensor(name: str, fields: Fields, found: OnnxFile, *, main: bool) -> None:
    if any(number == 13 or (number == 14 and value != 0) for number, value in fields):
        raise NotConfigured(
            f"{name} keeps tensors in other files, which its SHA-256 would not cover: save it with "
            "everything in one file (onnx.save(onnx.load(path), path))"
        )
    values: dict[int, int | memoryview] = dict(fields)
    tensor = values.get(8)
    if main and isinstance(tensor, memoryview) and (number := _one_number(values)) is not None:
        found.numbers[_text(tensor)] = number


def _one_number(values: Mapping[int, int | memoryview]) -> float | None:
    """Return the value of a tensor of one number: a float, or a whole number of eight bits."""
    kind, raw = values.get(2), values.get(9)
    if isinstance(raw, memoryview):
        format_ = {1: "<f", 2: "<B", 3: "<b"}.get(kind if isinstance(kind, int) else 0)
        if format_ is None or len(raw) != struct.calcsize(format_):
            return None
        (number,) = struct.unpack(format_, raw)
        return float(number)
    packed = values.get(4 if kind == 1 else 5)
    if isinstance(packed, memoryview):
        if kind == 1:
            return float(struct.unpack("<f", packed)[0]) if len(packed) == 4 else None
        whole, end = _varint(packed, 0)
        return float(whole) if kind in (2, 3) and end == len(packed) and whole < 256 else None
    return None


def _look_at_node(name: str, fields: Fields, found: OnnxFile, *, main: bool) -> None:
    texts = [(n, _text(v)) for n, v in fields if n in (1, 2, 4) and isinstance(v, memoryview)]
    operator = next((text for number, text in texts if number == 4), "")
    if operator in RANDOM:
        raise NotConfigured(
            f"{name} draws random numbers ({operator}): the same picture must always get the same "
            "answer, so export the model for inference"
        )
    if main:
        node = Node(operator, [text for number, text in texts if number == 1])
        # Only the first output of an operator holds what PASSING and activations make.
        first = next((text for number, text in texts if number == 2), "")
        if first:
            found.nodes[first] = node


def _text(view: memoryview) -> str:
    return bytes(view).decode("utf-8", "replace")


def _fields(view: memoryview) -> Iterator[tuple[int, int | memoryview]]:
    """Yield each field's number and value: whole numbers and floats as int, the rest as bytes.

    Raises:
        ValueError: if this is no message.
    """
    at = 0
    while at < len(view):
        tag, at = _varint(view, at)
        number, kind = tag >> 3, tag & 7
        if kind == 0:
            value, at = _varint(view, at)
            yield number, value
            continue
        if kind == 2:
            size, at = _varint(view, at)
        else:
            size = {1: 8, 5: 4}.get(kind, len(view) + 1)  # groups (3, 4) are in no ONNX file
        if not 0 < number < 2**29 or size > len(view) - at:
            raise ValueError
        part = view[at : at + size]
        yield number, part if kind == 2 else int.from_bytes(part, "little")
        at += size


def _varint(view: memoryview, at: int) -> tuple[int, int]:
    value = 0
    for shift in range(0, 70, 7):
        if at >= len(view):
            raise ValueError
        byte = view[at]
        at += 1
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            return value, at
    raise ValueError
