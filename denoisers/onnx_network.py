"""A denoising network in an ONNX file, run by onnxruntime (the extra `onnx`) on the CPU.

The graph has one input, noisy pictures (N, 3, H, W) on [0, 1], or two, sigma beside them, of the
shape (), (1), (N), (N, 1) or (N, 1, 1, 1); and one output of the pictures' shape. H and W may be
fixed: other sizes are refused then.

The graph is a stranger's, and could let the pictures of a batch look at each other, which would
make votes depend on each other. So it gets one picture at a time (with onnxruntime that is as fast
as many); a graph whose batch is fixed gets full batches, after it was seen to keep them apart.
"""

import functools
import math
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray

from denoisers.errors import BrokenWeights, NotUsable
from denoisers.onnx_running import bytes_taken, run

MOST_PIXELS = 2**25  # in one batch, where the graph fixes its size
TRIAL = 64  # side of the pictures that a new network is tried with, where it is free
TRIAL_SECONDS = 60.0  # for a picture of that size; a larger one may take as much longer
MOST_SECONDS = 600.0  # for one of any size
LOOKED_AT = 2**16  # pixels of the batch that is looked at for memory, where its size is free
MOST_BYTES = 2**14  # of a pixel: what else grew meanwhile was not this network
LEAST_BYTES = 3 * 4 * 4  # of a pixel: three colours as float32 go in and come out, with a copy each
MARGIN = 1.5  # on the memory that was seen
LOOKS = 3
LONGEST_REASON = 200

Floats = NDArray[np.float32]


Turn = Callable[[Callable[[], Any]], Any]


def _at_once(work: Callable[[], Any]) -> Any:  # noqa: ANN401
    return work()


class Port(NamedTuple):
    """An input or output as the graph declares it; a side is free where it is no whole number."""

    name: str
    type: str
    shape: list[object]


class OnnxNetwork:
    """The graph as a function of one full batch.

    Args:
        name: of the file, for messages.
        data: the model, looked through by :func:`denoisers.onnx_format.check_onnx`.
        turn: does something in one's turn at the CPU; each trial has one of its own.

    Attributes:
        batch: pictures that it takes at once.
        pixel_bytes: memory that it takes for each pixel of a batch, as far as was seen.

    Raises:
        NotUsable: if onnxruntime is not installed.
        BrokenWeights: if it is no such network.
    """

    def __init__(self, name: str, data: bytes, turn: Turn = _at_once) -> None:
        self._name, self._turn = name, turn
        self._session = _session(name, data)
        inputs, outputs = _ports(name, self._session)
        noisy = _picture_input(name, inputs)
        if [output.type for output in outputs] != ["tensor(float)"]:
            raise BrokenWeights(
                f"{name} must have one output of float32, not {_signature(outputs)}"
            )
        count, _, height, width = (_fixed(side) for side in noisy.shape)
        self.batch, self._height, self._width = count or 1, height, width
        self._noisy: str = noisy.name
        self._levels = {
            other.name: _level_shape(name, other, self.batch)
            for other in inputs
            if other is not noisy
        }
        self._try()
        self.pixel_bytes = self._look_at_memory()

    def __call__(self, noisy: Floats, sigma: float) -> Floats:
        """Clean one full batch.

        Args:
            noisy: float32 (batch, 3, H, W), pictures on [0, 1] plus noise, not clipped.
            sigma: standard deviation of their noise on the same scale.

        Returns:
            float32 (batch, 3, H, W), not clipped.

        Raises:
            NotUsable: if the network fails, or makes something else of them.
        """
        levels = {k: np.full(shape, sigma, np.float32) for k, shape in self._levels.items()}
        size = f"{noisy.shape[3]}×{noisy.shape[2]}"
        try:
            (cleaned,) = run(self._session, {self._noisy: noisy, **levels}, self._seconds(noisy))
        except Exception as error:  # noqa: BLE001  onnxruntime's have no root of their own
            raise NotUsable(f"{self._name} failed on {size} pixels: {_reason(error)}") from None
        if np.shape(cleaned) != noisy.shape:
            raise NotUsable(
                f"{self._name} made {np.shape(cleaned)} of {noisy.shape}: it must return pictures "
                "of the shape that it is given"
            )
        if not np.isfinite(cleaned).all():
            raise NotUsable(f"{self._name} made values that are not finite of {size} pixels")
        result: Floats = cleaned
        return result

    def _seconds(self, noisy: Floats) -> float:
        """Return what a batch may take: far more than any that is of use does."""
        return min(MOST_SECONDS, TRIAL_SECONDS * max(1.0, noisy.size / (3 * TRIAL**2)))

    def _look_at_memory(self) -> float:
        """Return the bytes that a pixel takes."""
        side = max(8, int(math.sqrt(LOOKED_AT / self.batch)) // 8 * 8)
        shape = self.batch, self._height or side, self._width or side
        noisy = trial_pictures(*shape)

        def look() -> int:
            return bytes_taken(lambda: [self(noisy, 0.25) for _ in range(LOOKS)])

        try:
            seen = self._turn(look)
        except NotUsable:  # it takes no such size, which is told when one is asked for
            return LEAST_BYTES
        return float(min(MOST_BYTES, max(LEAST_BYTES, MARGIN * seen / math.prod(shape))))

    def check_size(self, height: int, width: int) -> None:
        """Compare a size with what the graph declares.

        Raises:
            NotUsable: if it is fixed to another one.
        """
        if self._height not in (None, height) or self._width not in (None, width):
            takes = f"{self._width or 'any'}×{self._height or 'any'}"
            raise NotUsable(
                f"{self._name} takes pictures of {takes} pixels only, not {width}×{height}: ask "
                f"for another size, or export the network with free height and width"
            )

    def _try(self) -> None:
        """See that the network makes pictures, always the same, and of each by itself."""
        shape = self.batch, self._height or TRIAL, self._width or TRIAL
        if math.prod(shape) > MOST_PIXELS:
            raise BrokenWeights(
                f"{self._name} takes batches of {shape[0]} pictures of {shape[2]}×{shape[1]} only: "
                f"more than {MOST_PIXELS:,} pixels"
            )
        noisy = trial_pictures(*shape)
        alone = np.zeros_like(noisy)
        alone[-1] = noisy[0]
        try:
            cleaned, again, beside_nothing = (
                self._turn(functools.partial(self, given, 0.25)) for given in (noisy, noisy, alone)
            )
        except NotUsable as error:
            raise BrokenWeights(str(error)) from None
        if not np.array_equal(cleaned, again):
            raise BrokenWeights(
                f"{self._name} gives the same picture another answer each time: export the network "
                "for inference, without dropout or noise"
            )
        if not np.array_equal(cleaned[0], beside_nothing[-1]):
            raise BrokenWeights(
                f"{self._name}: what it makes of a picture depends on the others in its batch, or "
                "on its place there: export the network with a batch of 1"
            )


def _session(name: str, data: bytes) -> Any:  # noqa: ANN401  onnxruntime is untyped
    try:
        import onnxruntime  # type: ignore[import-untyped]  # noqa: PLC0415  an extra
    except ImportError:
        raise NotUsable(
            f'{name} needs onnxruntime, which is not installed: pip install ".[onnx]"'
        ) from None
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = torch.get_num_threads()  # what governs torch governs it too
    options.inter_op_num_threads = 1
    options.use_deterministic_compute = True
    options.enable_cpu_mem_arena = False  # it would keep the memory of the largest picture
    options.log_severity_level = 4  # failures come as exceptions
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    options.add_session_config_entry("session.load_model_format", "ONNX")  # not its own, unchecked
    try:
        return onnxruntime.InferenceSession(
            data, options, providers=["CPUExecutionProvider"], enable_fallback=0
        )
    except Exception as error:  # noqa: BLE001  onnxruntime's have no root of their own
        raise BrokenWeights(f"{name} cannot be loaded by onnxruntime: {_reason(error)}") from None


def _ports(name: str, session: Any) -> tuple[list[Port], list[Port]]:  # noqa: ANN401  as above
    try:
        inputs, outputs = (
            [Port(value.name, value.type, list(value.shape)) for value in values]
            for values in (session.get_inputs(), session.get_outputs())
        )
    except ValueError:  # names that are no UTF-8
        raise BrokenWeights(f"{name} is damaged: its inputs cannot be read") from None
    return inputs, outputs


def _picture_input(name: str, inputs: Sequence[Port]) -> Port:
    """Return the input that takes the pictures."""
    wrong = len(inputs) not in (1, 2) or any(i.type != "tensor(float)" for i in inputs)
    ranked = [i for i in inputs if len(i.shape) == 4 and _fixed(i.shape[1]) in (3, None)]
    ranked = [i for i in ranked if i.shape[1] == 3 or i.shape[3] != 3]  # the colours come last
    if wrong or not ranked:
        raise BrokenWeights(
            f"{name} must take float32 pictures (N, 3, H, W), and sigma beside them or nothing, "
            f"not {_signature(inputs)}"
        )
    # Where the channels of both are left open, the pictures come first.
    return next((i for i in ranked if i.shape[1] == 3), ranked[0])


def _level_shape(name: str, given: Port, batch: int) -> tuple[int, ...]:
    """Return the shape in which an input takes sigma."""
    sides = [_fixed(side) for side in given.shape]
    if not sides:
        return ()
    first = sides[0] or batch
    if len(sides) in (1, 2, 4) and first in (1, batch) and all(s in (1, None) for s in sides[1:]):
        return (first, *(1 for _ in sides[1:]))
    raise BrokenWeights(
        f"{name} must take sigma as (), (1), (N), (N, 1) or (N, 1, 1, 1), not {_signature([given])}"
    )


def _fixed(side: object) -> int | None:
    """Return a side that the graph fixes; free ones have a name, or none."""
    return side if isinstance(side, int) and side > 0 else None


def trial_pictures(count: int, height: int, width: int) -> Floats:
    """Return noise like that of noisy pictures, always the same: float32 (N, 3, H, W)."""
    made = np.random.default_rng(0).standard_normal((count, 3, height, width), dtype=np.float32)
    made *= np.float32(0.3)
    made += np.float32(0.5)
    return made


def _signature(values: Sequence[Port]) -> str:
    parts = ", ".join(f"{v.type}{v.shape}" for v in values) or "none"
    return _printable(parts)


def _reason(error: Exception) -> str:
    return _printable(str(error).removeprefix("[ONNXRuntimeError] : ") or type(error).__name__)


def _printable(text: str) -> str:
    """Keep a terminal safe from names that the file made up."""
    return "".join(c if c.isprintable() else " " for c in text)[:LONGEST_REASON]
