"""Classifiers that measure a denoiser: does the answer stay? ONNX models, or torch modules.

An ONNX model is not trained against; it shows what the denoiser does for a classifier that it
has never seen.
"""

import math
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from denoisers.errors import BadCheck

KINDS = {
    "tensor(uint8)": np.uint8,
    "tensor(float)": np.float32,
    "tensor(float16)": np.float16,
    "tensor(double)": np.float64,
}


class Check(Protocol):
    """A classifier."""

    @property
    def name(self) -> str:
        """What it is called in the figures."""
        ...

    @property
    def size(self) -> tuple[int, int] | None:
        """Height and width of the pictures that it takes; None if it takes any."""
        ...

    def answer(self, picture: NDArray[np.uint8]) -> int:
        """Return the number of the label that it gives to a picture, uint8 (H, W, 3)."""
        ...


class TorchCheck:
    """A torch module that scores pictures on [0, 1], such as a surrogate.

    Args:
        name: what it is called.
        module: float32 (N, 3, H, W) to (N, C).
        size: side of the squares that it is asked about.
        device: where it is.

    Raises:
        BadCheck: if it does not score such pictures.
    """

    def __init__(
        self, name: str, module: nn.Module, size: int, device: torch.device | str = "cpu"
    ) -> None:
        self.name, self.size = name, (size, size)
        self._module, self._device = module.to(device).eval(), device
        self.answer(np.full((size, size, 3), 128, dtype=np.uint8))

    @torch.no_grad()
    def answer(self, picture: NDArray[np.uint8]) -> int:
        """Return the number of the highest score; see :class:`Check`."""
        pixels = torch.from_numpy(picture.copy()).permute(2, 0, 1).unsqueeze(0)
        try:
            scores = self._module(pixels.to(self._device).float() / 255).float().cpu().numpy()
        except Exception as error:
            raise _failed(self.name, picture, error) from error
        return _highest(self.name, scores)


class OnnxCheck:
    """An ONNX classifier. One input, (N, 3, H, W) or (N, H, W, 3); its first output is scores.

    uint8 inputs get 0 to 255, floating point ones 0 to 1.

    Args:
        path: the model.

    Raises:
        BadCheck: if onnxruntime is not installed, or it is no such model.
    """

    def __init__(self, path: Path) -> None:
        self.name = path.name
        self._session = _open(path)
        inputs = self._session.get_inputs()
        if len(inputs) != 1 or inputs[0].type not in KINDS or len(inputs[0].shape) != 4:
            said = ", ".join(f"{i.type}{i.shape}" for i in inputs)
            raise BadCheck(
                f"{path} takes {said}: one input of pictures, (N, 3, H, W) or (N, H, W, 3), uint8 "
                "or floating point, is needed"
            )
        self._input, self._kind = inputs[0].name, KINDS[inputs[0].type]
        shape = [side if isinstance(side, int) and side > 0 else None for side in inputs[0].shape]
        self._count, self._first = shape[0] or 1, shape[1] in (3, None)
        if not self._first and shape[3] not in (3, None):
            raise BadCheck(
                f"{path} takes pictures of shape {inputs[0].shape}, not of three colours"
            )
        if shape[1] is None and shape[3] == 3:
            self._first = False
        height, width = shape[2:] if self._first else shape[1:3]
        self.size = None if height is None or width is None else (height, width)
        self.answer(np.full((*(self.size or (64, 64)), 3), 128, dtype=np.uint8))

    def answer(self, picture: NDArray[np.uint8]) -> int:
        """Return the number of the highest score; see :class:`Check`."""
        given = picture if self._kind is np.uint8 else (picture / 255).astype(self._kind)
        given = given.transpose(2, 0, 1) if self._first else given
        batch = np.ascontiguousarray(np.broadcast_to(given, (self._count, *given.shape)))
        try:
            scores = self._session.run(None, {self._input: batch})[0]
        except Exception as error:  # onnxruntime's own are many
            raise _failed(self.name, picture, error) from error
        return _highest(self.name, scores)


def _open(path: Path) -> Any:  # noqa: ANN401  onnxruntime is optional
    if not path.is_file():
        raise BadCheck(f"{path} does not exist: --check names ONNX models")
    try:
        import onnxruntime  # type: ignore[import-untyped]  # noqa: PLC0415
    except ImportError:
        raise BadCheck('--check needs onnxruntime: pip install ".[onnx]"') from None
    quiet = onnxruntime.SessionOptions()
    quiet.log_severity_level = 3
    try:
        return onnxruntime.InferenceSession(str(path), quiet, providers=["CPUExecutionProvider"])
    except Exception as error:
        raise BadCheck(
            f"{path} is no usable ONNX model ({type(error).__name__}: {str(error)[:200]})"
        ) from error


def _failed(name: str, picture: NDArray[np.uint8], error: Exception) -> BadCheck:
    height, width = picture.shape[:2]
    said = f"{type(error).__name__}: {str(error)[:200]}"
    return BadCheck(f"{name} fails on a picture of {width}×{height} ({said})")


def _highest(name: str, scores: object) -> int:
    first = np.asarray(scores)
    first = first[0].reshape(-1) if first.ndim >= 1 and len(first) else first.reshape(-1)
    if len(first) < 2:
        raise BadCheck(f"{name} gives {len(first)} scores: a classifier of two or more is needed")
    if not all(math.isfinite(score) for score in first.tolist()):
        raise BadCheck(f"{name} gives scores that are not finite numbers")
    return int(first.argmax())
