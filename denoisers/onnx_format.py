"""Looks an ONNX file through before anything uses it.

Two things that onnxruntime would do with a model are refused here: to read tensors from other
files, which this file's hash does not cover (given the model's bytes it looks for them in the
working directory), and to draw random numbers.

The file is a protocol buffer, https://protobuf.dev/programming-guides/encoding, of the messages in
https://github.com/onnx/onnx/blob/main/onnx/onnx.proto; it is read here without the package `onnx`.
"""

from collections.abc import Iterator, Mapping

from denoisers.errors import BrokenWeights

GRAPH, OPERATOR, EXTERNAL_DATA, DATA_LOCATION = 7, 4, 13, 14

# message → number of a field that may lead to tensors or nodes → that field's message
CHILDREN: Mapping[str, Mapping[int, str]] = {
    "ModelProto": {GRAPH: "GraphProto", 20: "TrainingInfoProto", 25: "FunctionProto"},
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
RANDOM = (
    b"Bernoulli",
    b"Multinomial",
    b"RandomNormal",
    b"RandomNormalLike",
    b"RandomUniform",
    b"RandomUniformLike",
)


def check_onnx(name: str, data: bytes) -> None:
    """Refuse a file that is no ONNX model, or one that is not all in itself.

    Args:
        name: of the file, for messages.
        data: its bytes.

    Raises:
        BrokenWeights: naming what is wrong.
    """
    waiting = [("ModelProto", memoryview(data))]
    graphs = 0
    try:
        while waiting:
            message, view = waiting.pop()
            for number, value in _fields(view):
                child = CHILDREN[message].get(number)
                if child is not None and isinstance(value, memoryview):
                    graphs += child == "GraphProto"
                    waiting.append((child, value))
                elif message == "TensorProto":
                    _check_tensor(name, number, value)
                elif message == "NodeProto" and number == OPERATOR:
                    _check_operator(name, value)
    except ValueError:
        raise BrokenWeights(f"{name} is no ONNX file, or was cut off") from None
    if not graphs:
        raise BrokenWeights(f"{name} is no ONNX file: it holds no graph")


def _check_tensor(name: str, number: int, value: int | memoryview) -> None:
    if number == EXTERNAL_DATA or (number == DATA_LOCATION and value != 0):
        raise BrokenWeights(
            f"{name} keeps tensors in other files, which its SHA-256 would not cover: save it with "
            "everything in one file (onnx.save(onnx.load(path), path))"
        )


def _check_operator(name: str, value: int | memoryview) -> None:
    if isinstance(value, memoryview) and bytes(value) in RANDOM:
        raise BrokenWeights(
            f"{name} draws random numbers ({bytes(value).decode()}): the same picture must always "
            "get the same answer, so export the network for inference"
        )


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
