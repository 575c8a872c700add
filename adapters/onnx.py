"""Any image classifier in an ONNX file, run here; see `adapters.onnx_profile`."""

import asyncio
import hashlib
import os
import threading
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any, ClassVar

import numpy as np

from adapters.errors import NotConfigured
from adapters.interface import (
    Adapter,
    Answer,
    Outcome,
    Payload,
    Prediction,
    Profile,
    Traits,
)
from adapters.onnx_model import OnnxModel
from adapters.onnx_profile import OnnxProfile

MOST_THREADS = 8
HOW = (
    "the adapter onnx needs a profile that names the model: in the file that SURETY_PROVIDERS_FILE "
    'names, write [mynet], adapter = "onnx", model = "mynet.onnx" and labels = "labels.txt", and '
    "ask for the provider mynet; see docs/providers/onnx.md"
)


class OnnxAdapter(Adapter):
    """Asks the model of its profile, which is loaded at once: its shape and labels are traits."""

    name = "onnx"
    summary = "any image classifier in an ONNX file, run here, described by a profile"
    extra = "onnx"
    profile_type: ClassVar[type[Profile] | None] = OnnxProfile

    def __init__(self, profile: OnnxProfile | None = None) -> None:
        if profile is None:
            raise NotConfigured(HOW)
        self._model = OnnxModel(profile)
        self._pool: ThreadPoolExecutor | None = None
        self.traits = Traits(
            payload="pixels",
            max_batch=self._model.max_batch,
            concurrency=min(MOST_THREADS, _processors()),
            input_size=self._model.size,
            labels=tuple(dict.fromkeys(self._model.labels)),
            pins_version=True,
            names_version=True,
        )

    @property
    def options(self) -> Mapping[str, Any]:
        """The file, its labels, and all that lies between a picture and its scores."""
        labels = "\n".join(self._model.labels)
        return {
            "model_sha256": self._model.sha256,
            "labels_sha256": hashlib.sha256(labels.encode()).hexdigest(),
            "compute": "cpu",
            **self._model.preprocessing,
        }

    async def classify(self, images: Sequence[Payload]) -> Sequence[Outcome]:
        """See :meth:`Adapter.classify`; every answer lists all labels."""
        if self._pool is None:
            self._pool = ThreadPoolExecutor(self.traits.concurrency, "onnx")
        unwanted = threading.Event()
        try:
            return await asyncio.get_running_loop().run_in_executor(
                self._pool, self._classify, images, unwanted
            )
        finally:
            unwanted.set()

    async def close(self) -> None:
        """End the threads, each after the picture that it is at."""
        if self._pool is not None:
            self._pool.shutdown(wait=False, cancel_futures=True)
            self._pool = None

    def _classify(self, images: Sequence[Payload], unwanted: threading.Event) -> list[Outcome]:
        outcomes: list[Outcome] = []
        step = self._model.batch
        for start in range(0, len(images), step):
            if unwanted.is_set():  # the call was cancelled: nobody hears the rest
                break
            pictures = np.stack([np.asarray(image) for image in images[start : start + step]])
            for row in self._model.scores(pictures).tolist():
                pairs = zip(self._model.labels, row, strict=True)
                predictions = tuple(Prediction(label, score) for label, score in pairs)
                outcomes.append(Answer(predictions, model_version=self._model.version))
        return outcomes


def _processors() -> int:
    """Return how many processors this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1
