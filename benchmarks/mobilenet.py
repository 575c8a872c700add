"""A quantised ONNX classifier as a torch network that passes a gradient: a surrogate.

    --surrogate benchmarks.mobilenet:surrogate=mobilenet_v1_0.5_160_quant.onnx

Its weights are the numbers that the file's bytes stand for. What lies between two layers is not
rounded, only limited to what bytes can say, so that a gradient gets through. It needs `onnx`.
"""

from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import torch
from numpy.typing import NDArray
from torch import nn
from torch.nn import functional

Constants = dict[str, NDArray[Any]]
Step = Callable[..., torch.Tensor]


class Dequantised(nn.Module):
    """A network of convolutions as a quantised ONNX file has it, without the rounding.

    Args:
        path: with one uint8 input (1, S, S, 3) and a softmax at its end.

    Attributes:
        side: S.

    Raises:
        ValueError: if it has layers of other kinds.
    """

    def __init__(self, path: Path) -> None:
        super().__init__()
        graph = onnx.load(path).graph
        self.side: int = graph.input[0].type.tensor_type.shape.dim[1].dim_value
        constants = {i.name: onnx.numpy_helper.to_array(i) for i in graph.initializer}
        self._first = self._last = graph.input[0].name
        self._steps: list[tuple[list[str], str, Step]] = []
        self.convolutions = nn.ModuleList()
        unread = {self._first}  # what are bytes still; between layers numbers are values already
        for node in graph.node:
            given, made, kind = list(node.input), node.output[0], node.op_type
            if kind == "Softmax":
                self._last = given[0]
                return
            if kind == "DequantizeLinear" and given[0] in constants:
                constants[made] = _values(constants, *given)
                continue
            if kind == "Transpose" and given[0] in unread:  # pictures come as torch has them
                unread.add(made)
            numbers = {a.name: onnx.helper.get_attribute_value(a) for a in node.attribute}
            step = self._step(kind, given, numbers, constants, unread)
            inputs = [name for name in given if name not in constants]
            self._steps.append((inputs, made, step))
        raise ValueError(f"{path} has no softmax at its end")

    def _step(
        self,
        kind: str,
        given: list[str],
        numbers: Mapping[str, Any],
        constants: Constants,
        unread: set[str],
    ) -> Step:
        if kind == "Conv":
            self.convolutions.append(_convolution(numbers, *(constants[n] for n in given[1:])))
            return self.convolutions[-1]
        if kind == "Clip":
            low, high = (float(constants[name]) for name in given[1:])
            return partial(torch.clamp, min=low, max=high)
        if kind == "QuantizeLinear":
            scale, zero = (float(constants[name]) for name in given[1:])
            return partial(torch.clamp, min=-zero * scale, max=(255 - zero) * scale)
        if kind == "DequantizeLinear" and given[0] in unread:
            scale, zero = (float(constants[name]) for name in given[1:])
            return lambda x: (x - zero) * scale
        steps: dict[str, Step] = {
            "Add": torch.add,
            "AveragePool": partial(torch.mean, dim=(2, 3), keepdim=True),
            **dict.fromkeys(("DequantizeLinear", "Reshape", "Transpose"), _as_it_is),
        }
        if kind not in steps:
            raise ValueError(f"cannot compute {kind}")
        return steps[kind]

    def forward(self, pictures: torch.Tensor) -> torch.Tensor:
        """Score pictures.

        Args:
            pictures: float32 (N, 3, H, W) on [0, 1]; are brought to S×S.

        Returns:
            float32 (N, C).
        """
        size = (self.side, self.side)
        if pictures.shape[2:] != size:
            pictures = functional.interpolate(pictures, size=size, mode="bilinear", antialias=True)
        known = {self._first: (pictures * 255).contiguous(memory_format=torch.channels_last)}
        for given, made, step in self._steps:
            known[made] = step(*(known[name] for name in given))
        return known[self._last].flatten(1)


def surrogate(path: str) -> Dequantised:
    """Make one.

    Args:
        path: of the ONNX file.
    """
    return Dequantised(Path(path)).to(memory_format=torch.channels_last)  # type: ignore[call-overload, no-any-return]


def _values(constants: Constants, data: str, scale: str, zero: str) -> NDArray[np.float32]:
    centred = constants[data].astype(np.float64) - constants[zero]
    return np.asarray(centred * constants[scale], np.float32)


def _convolution(
    numbers: Mapping[str, Any], weight: NDArray[np.float32], bias: NDArray[np.float32]
) -> nn.Module:
    top, left, below, right = numbers["pads"]
    outputs, inputs, *kernel = weight.shape
    groups = numbers["group"]
    made = nn.Conv2d(inputs * groups, outputs, tuple(kernel), numbers["strides"], groups=groups)
    made.load_state_dict({"weight": torch.tensor(weight), "bias": torch.tensor(bias)})
    return nn.Sequential(nn.ZeroPad2d((left, right, top, below)), made)


def _as_it_is(x: torch.Tensor) -> torch.Tensor:
    return x
