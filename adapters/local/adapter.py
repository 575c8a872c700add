"""The built-in classifier: ten CIFAR labels, 32×32, runs here, needs no account, costs nothing.

A mock in price only: its answers come from a real network, so certificates about it are real.
"""

import asyncio
import threading
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from adapters.interface import Adapter, Answer, Outcome, Payload, Prediction, Traits
from adapters.local.labels import LABELS

if TYPE_CHECKING:
    from adapters.local.weights import LoadedClassifier

BATCH = 32  # every call is padded to this shape, so answers do not depend on their neighbours


class LocalAdapter(Adapter):
    """Asks the network in this process. Loads its weights on first use."""

    name = "local"
    summary = "built-in CIFAR-10 classifier, 32×32, free, needs no account"
    traits = Traits(
        payload="pixels",
        max_batch=BATCH,
        concurrency=1,
        input_size=(32, 32),
        labels=LABELS,
        pins_version=True,
        names_version=True,
    )

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._loaded: LoadedClassifier | None = None

    @property
    def options(self) -> Mapping[str, Any]:
        """SHA-256 of the weights and compute type: what answers."""
        return {"weights_sha256": self._network().sha256, "compute": "cpu/float32"}

    async def classify(self, images: Sequence[Payload]) -> Sequence[Outcome]:
        """See :meth:`Adapter.classify`; every answer lists all ten labels with their softmax."""
        return await asyncio.to_thread(self._classify, images)

    def _network(self) -> "LoadedClassifier":
        from adapters.local.weights import load_classifier  # noqa: PLC0415  torch is slow to import

        with self._lock:
            if self._loaded is None:
                self._loaded = load_classifier()
            return self._loaded

    def _classify(self, images: Sequence[Payload]) -> list[Outcome]:
        network = self._network()
        batch = np.zeros((BATCH, 32, 32, 3), dtype=np.uint8)
        for row, image in zip(batch, images, strict=False):
            row[...] = image
        with self._lock:
            scores = network.probabilities(batch)[: len(images)]
        version = f"cifar-{network.sha256[:12]}"
        return [
            Answer(
                tuple(Prediction(label, float(s)) for label, s in zip(LABELS, row, strict=True)),
                model_version=version,
            )
            for row in scores
        ]
