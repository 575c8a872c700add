"""An ONNX model in onnxruntime: what it takes and what it gives."""

from collections.abc import Mapping, Sequence
from typing import Any, Literal, NamedTuple

import numpy as np

from adapters.errors import MissingExtra, NotConfigured

LONGEST_REASON = 200
TYPES: Mapping[str, Any] = {
    "tensor(uint8)": np.uint8,
    "tensor(float)": np.float32,
    "tensor(float16)": np.float16,
}
OUTPUTS = {"tensor(uint8)", "tensor(int8)", "tensor(float)", "tensor(float16)", "tensor(double)"}

Layout = Literal["nchw", "nhwc"]


class Port(NamedTuple):
    """An input or output as the graph declares it; a side is free where it is no whole number."""

    name: str
    type: str
    shape: list[object]


def open_session(name: str, data: bytes) -> Any:  # noqa: ANN401  onnxruntime is untyped
    """Load a model into onnxruntime, on the CPU and in one thread.

    Raises:
        MissingExtra: if onnxruntime is not installed.
        NotConfigured: if onnxruntime cannot load the model.
    """
    try:
        import onnxruntime  # type: ignore[import-untyped]  # noqa: PLC0415  an extra
    except ImportError:
        raise MissingExtra(
            f'{name} needs onnxruntime, which is not installed: pip install ".[onnx]"'
        ) from None
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    options.use_deterministic_compute = True
    options.log_severity_level = 4  # failures come as exceptions
    options.add_session_config_entry("session.load_model_format", "ONNX")  # not its own, unchecked
    try:
        return onnxruntime.InferenceSession(
            data, options, providers=["CPUExecutionProvider"], enable_fallback=0
        )
    except Exception as error:  # noqa: BLE001  onnxruntime's have no root of their own
        raise NotConfigured(f"{name} cannot be loaded by onnxruntime: {reason(error)}") from None


def ports(name: str, session: Any) -> tuple[list[Port], list[Port]]:  # noqa: ANN401  as above
    """Return the inputs and the outputs that the graph declares.

    Raises:
        NotConfigured: if the file is damaged.
    """
    try:
        inputs, outputs = (
            [Port(value.name, value.type, list(value.shape)) for value in values]
            for values in (session.get_inputs(), session.get_outputs())
        )
    except ValueError:  # names that are no UTF-8
        raise NotConfigured(f"{name} is damaged: its inputs cannot be read") from None
    return inputs, outputs


def picture_input(name: str, inputs: Sequence[Port]) -> Port:
    """Return the one input, which takes the pictures.

    Raises:
        NotConfigured: if it takes anything else.
    """
    if len(inputs) != 1 or inputs[0].type not in TYPES or len(inputs[0].shape) != 4:
        raise NotConfigured(
            f"{name} must take pictures and nothing else, (N, 3, H, W) or (N, H, W, 3) of uint8, "
            f"float or float16, not {_signature(inputs)}"
        )
    return inputs[0]


def score_output(name: str, outputs: Sequence[Port], asked: str | None) -> Port:
    """Return the output that holds the scores.

    Raises:
        NotConfigured: if that is not one output of numbers.
    """
    found = [port for port in outputs if asked in (None, port.name)]
    if len(found) != 1:
        names = printable(", ".join(repr(port.name) for port in outputs))
        raise NotConfigured(f"{name}: set output to the one that holds the scores, of {names}")
    if found[0].type not in OUTPUTS:
        raise NotConfigured(f"{name}: the output must hold numbers, not {_signature(found)}")
    return found[0]


def layout_of(name: str, shape: Sequence[object], asked: Layout | None) -> Layout:
    """Return where the channels lie, if the shape or the profile tells.

    Raises:
        NotConfigured: if neither tells, or they differ.
    """
    may: list[Layout] = []
    if fixed(shape[1]) in (3, None):
        may.append("nchw")
    if fixed(shape[3]) in (3, None):
        may.append("nhwc")
    sure: list[Layout] = []
    if shape[1] == 3:
        sure.append("nchw")
    if shape[3] == 3:
        sure.append("nhwc")
    if asked is not None:
        if asked not in may:
            raise NotConfigured(f"{name} does not take colour pictures laid out as {asked}")
        return asked
    if not may:
        raise NotConfigured(
            f"{name} must take colour pictures, (N, 3, H, W) or (N, H, W, 3), not {list(shape)}"
        )
    found = sure if len(sure) == 1 else may
    if len(found) > 1:
        raise NotConfigured(f'{name}: set layout to "nchw" or "nhwc", its shape does not tell')
    return found[0]


def fixed(side: object) -> int | None:
    """Return a side that the graph fixes; free ones have a name, or none."""
    return side if isinstance(side, int) and side > 0 else None


def _signature(values: Sequence[Port]) -> str:
    return printable(", ".join(f"{v.type}{v.shape}" for v in values) or "nothing")


def reason(error: Exception) -> str:
    """Return what onnxruntime says, fit to be shown."""
    return printable(str(error).removeprefix("[ONNXRuntimeError] : ") or type(error).__name__)


def printable(text: str) -> str:
    """Keep a terminal safe from names that the file made up."""
    return "".join(c if c.isprintable() else " " for c in text)[:LONGEST_REASON]
