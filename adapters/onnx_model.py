"""An image classifier in an ONNX file, run by onnxruntime on the CPU.

The graph is a stranger's, and could let the pictures of a batch look at each other, which would
make votes depend on each other. So it gets one picture at a time, in one thread (several calls run
side by side instead); a graph whose batch is fixed gets full batches, after it was seen to keep
their pictures apart. Libraries of further operators are never loaded.
"""

import hashlib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from adapters.errors import BrokenReply, NotConfigured
from adapters.label_file import read_labels
from adapters.onnx_file import OnnxFile, Quantisation, look_through, read_model
from adapters.onnx_ports import (
    TYPES,
    fixed,
    layout_of,
    open_session,
    picture_input,
    ports,
    printable,
    reason,
    score_output,
)
from adapters.onnx_profile import OnnxProfile

AT_ONCE = 8  # pictures in one call, where the graph does not say
MOST_PIXELS = 2**25  # in one batch
MOST_SCORES = 2**20
ROUNDING = 1e-3  # of scores in half precision or eight bits

Floats = NDArray[np.float32]
Pixels = NDArray[np.uint8]


class OnnxModel:
    """A classifier ready to be asked, from several threads at once.

    Args:
        profile: the file, and what has to be known about it.

    Attributes:
        labels: in the order of its scores.
        size: (height, width) that it takes.
        version: changes with the file.
        batch: pictures that the graph takes at once.
        max_batch: pictures that it is asked about in one call.
        sha256: of the file.
        preprocessing: how a picture becomes its input, and its output scores; JSON values.

    Raises:
        MissingExtra: if onnxruntime is not installed.
        NotConfigured: if it is no such model, or the profile leaves something open.
    """

    def __init__(self, profile: OnnxProfile) -> None:
        self._name = profile.model.name
        data = read_model(profile.model)
        self.sha256 = hashlib.sha256(data).hexdigest()
        self.version = f"onnx-{self.sha256[:12]}"
        looked = look_through(self._name, data)
        self._session = open_session(self._name, data)
        inputs, outputs = ports(self._name, self._session)
        self._input = picture_input(self._name, inputs)
        self._output = score_output(self._name, outputs, profile.output)
        self._layout = layout_of(self._name, self._input.shape, profile.layout)
        self.batch, self.size = self._shape(profile)
        self.max_batch = self.batch if self.batch > 1 else AT_ONCE
        self._bgr = profile.channels == "bgr"
        self._table = self._levels(profile)
        self._activation = self._activate_with(profile, looked)
        self._quantised = self._quantisation(profile, looked)
        self._count = self._try()
        given = profile.labels
        self.labels: Sequence[str] = (
            [str(i) for i in range(self._count)] if given is None else read_labels(given)
        )
        if len(self.labels) != self._count:
            raise NotConfigured(
                f"{self._name} gives {self._count} scores, but its labels are {len(self.labels)}"
            )

    @classmethod
    def read(cls, model: Path, labels: Path | None = None) -> Self:
        """Read a model of which the file itself tells all that has to be known."""
        return cls(OnnxProfile(model=model, labels=labels))

    @property
    def preprocessing(self) -> Mapping[str, Any]:
        """See the class."""
        quantised = self._quantised
        return {
            "layout": self._layout,
            "channels": "bgr" if self._bgr else "rgb",
            "size": list(self.size),
            "levels_sha256": None
            if self._table is None
            else hashlib.sha256(self._table.tobytes()).hexdigest(),
            "output": self._output.name,
            "output_scale": None if quantised is None else quantised.scale,
            "activation": self._activation,
        }

    def scores(self, pictures: Pixels) -> Floats:
        """Return every label's score for every picture, each by itself.

        Args:
            pictures: uint8 (N, height, width, 3).

        Returns:
            float32 (N, labels) on [0, 1].

        Raises:
            BrokenReply: if the model fails, or gives no such scores.
        """
        found = [
            self._scores(pictures[start : start + self.batch])
            for start in range(0, len(pictures), self.batch)
        ]
        return np.concatenate(found) if found else np.zeros((0, self._count), np.float32)

    def _scores(self, pictures: Pixels) -> Floats:
        """Ask about one full batch of the graph; what is missing is filled with black."""
        batch = np.zeros((self.batch, *self.size, 3), np.uint8)
        batch[: len(pictures)] = pictures
        raw = self._run(batch)[: len(pictures)]
        if not np.isfinite(raw).all():
            raise BrokenReply(f"{self._name} gives scores that are not finite")
        if self._activation == "softmax":
            powers = np.exp(raw - raw.max(axis=1, keepdims=True))
            raw = powers / powers.sum(axis=1, keepdims=True)
        elif self._activation == "sigmoid":
            raw = np.exp(-np.logaddexp(0.0, -raw))
        elif raw.min(initial=0.0) < -ROUNDING or raw.max(initial=0.0) > 1 + ROUNDING:
            raise BrokenReply(
                f"{self._name} gives scores outside 0 and 1: set activation to softmax or sigmoid"
            )
        return raw.clip(0.0, 1.0).astype(np.float32)

    def _run(self, batch: Pixels) -> NDArray[np.float64]:
        """Return what the graph gives: (batch, scores), dequantised, before the activation."""
        try:
            (given,) = self._session.run([self._output.name], {self._input.name: self._fed(batch)})
        except Exception as error:  # noqa: BLE001  onnxruntime's have no root of their own
            raise BrokenReply(f"{self._name} failed on a picture: {reason(error)}") from None
        raw = np.asarray(given, np.float64)
        if self._quantised is not None:
            raw = (raw - self._quantised.zero) * self._quantised.scale
        own = raw.shape[1:] if raw.ndim > 1 and len(raw) == self.batch else raw.shape
        if raw.size % self.batch or raw.size == 0 or sum(side > 1 for side in own) > 1:
            raise BrokenReply(
                f"{self._name} gives {raw.shape} for {self.batch} pictures: it must give one "
                "score for each label"
            )
        return raw.reshape(self.batch, -1)

    def _fed(self, batch: Pixels) -> NDArray[Any]:
        """Bring pictures to the form that the graph takes."""
        pictures = batch[..., ::-1] if self._bgr else batch
        if self._layout == "nchw":
            pictures = pictures.transpose(0, 3, 1, 2)
        if self._table is None:
            return np.ascontiguousarray(pictures)
        fed = np.empty(pictures.shape, self._table.dtype)
        for channel, levels in enumerate(self._table):
            at = (slice(None), channel) if self._layout == "nchw" else (..., channel)
            fed[at] = levels[pictures[at]]
        return fed

    def _shape(self, profile: OnnxProfile) -> tuple[int, tuple[int, int]]:
        """Return the batch and the size, where the graph or the profile fixes them."""
        sides = [fixed(side) for side in self._input.shape]
        own = sides[2:] if self._layout == "nchw" else sides[1:3]
        asked = profile.size or (None, None)
        if any(a not in (None, o) and o is not None for a, o in zip(asked, own, strict=True)):
            raise NotConfigured(f"{self._name} takes [height, width] = {own} only: leave out size")
        height, width = (o or a for o, a in zip(own, asked, strict=True))
        if height is None or width is None:
            raise NotConfigured(
                f"{self._name} leaves the size of its pictures open: set size = [height, width], "
                "best to what it was trained with"
            )
        batch = sides[0] or 1
        if batch * height * width > MOST_PIXELS:
            raise NotConfigured(f"{self._name} takes more than {MOST_PIXELS:,} pixels at once")
        return batch, (height, width)

    def _levels(self, profile: OnnxProfile) -> NDArray[Any] | None:
        """Return (3, 256): what the graph gets for a pixel's value; None for the value itself."""
        kind = TYPES[self._input.type]
        if kind is np.uint8:
            if (profile.scale, profile.mean, profile.std) != (None, None, None):
                raise NotConfigured(
                    f"{self._name} takes pixels from 0 to 255 as they are: leave out scale, mean "
                    "and std"
                )
            return None
        scale = 1 / 255 if profile.scale is None else profile.scale
        mean, std = (
            np.broadcast_to(np.asarray(default if given is None else given, np.float64), 3)
            for given, default in ((profile.mean, 0.0), (profile.std, 1.0))
        )
        levels = (np.arange(256) * scale - mean[:, None]) / std[:, None]
        if np.abs(levels).max() > float(np.finfo(kind).max):
            raise NotConfigured(f"scale, mean and std lead beyond what {self._name} can take")
        table: NDArray[Any] = levels.astype(kind)
        return table

    def _activate_with(self, profile: OnnxProfile, looked: OnnxFile) -> str:
        if profile.activation != "auto":
            return profile.activation
        last = looked.ending(self._output.name)
        known = {"Softmax": "none", "Sigmoid": "none", "LogSoftmax": "softmax"}.get(last or "")
        if known is None:
            raise NotConfigured(
                f"{self._name} ends in {printable(last or 'an unknown operator')}, so its output "
                'may not be on a scale from 0 to 1: set activation = "softmax" (one label fits '
                'each picture), "sigmoid" (each label for itself) or "none" (it is on that scale)'
            )
        return known

    def _quantisation(self, profile: OnnxProfile, looked: OnnxFile) -> Quantisation | None:
        if "int8" not in self._output.type:
            if profile.output_scale is not None:
                raise NotConfigured(
                    f"{self._name} gives floating-point numbers: leave out output_scale"
                )
            return None
        found = looked.quantisation(self._output.name)
        if profile.output_scale is not None:
            return Quantisation(profile.output_scale, 0 if found is None else found.zero)
        if found is None:
            raise NotConfigured(
                f"{self._name} gives whole numbers, and does not tell what they stand for: set "
                "output_scale to what they are to be multiplied with"
            )
        return found

    def _try(self) -> int:
        """See that the model gives scores, always the same, and of each picture by itself.

        Returns:
            How many scores it gives for a picture.
        """
        rng = np.random.default_rng(0)
        batch = rng.integers(0, 256, (self.batch, *self.size, 3), dtype=np.uint8)
        alone = np.zeros_like(batch)
        alone[-1] = batch[0]
        try:
            first, again = self._run(batch), self._run(batch)
            beside_nothing = self._run(alone)
        except BrokenReply as error:
            raise NotConfigured(str(error)) from None
        if not np.array_equal(first, again, equal_nan=True):
            raise NotConfigured(
                f"{self._name} gives the same picture another answer each time: export the model "
                "for inference, without dropout or noise"
            )
        if not np.array_equal(first[0], beside_nothing[-1], equal_nan=True):
            raise NotConfigured(
                f"{self._name}: its answer about a picture depends on the others in its batch, or "
                "on its place there: export the model with a batch of 1"
            )
        if first.shape[1] > MOST_SCORES:
            raise NotConfigured(f"{self._name} gives more than {MOST_SCORES:,} scores")
        return int(first.shape[1])
