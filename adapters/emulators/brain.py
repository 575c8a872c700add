"""What an emulator answers from: a real classifier, asked about whole batches at once.

Requests come one picture at a time; while one batch is being classified, the pictures that come
in wait and make up the next one. Each picture's scores depend on that picture alone.
"""

import asyncio
import hashlib
import io
from collections import OrderedDict
from collections.abc import Sequence
from typing import Protocol

import numpy as np
from numpy.typing import NDArray
from PIL import Image

REMEMBERED = 4096  # answers, by SHA-256 of the picture's bytes


class NotAPicture(ValueError):
    """The bytes cannot be decoded."""


class Model(Protocol):
    """A classifier in this process.

    Attributes:
        labels: in the order of its scores.
        size: (height, width) that it takes.
        version: changes with its weights.
        max_batch: pictures that it takes at once.
    """

    @property
    def labels(self) -> Sequence[str]: ...  # noqa: D102  described above

    @property
    def size(self) -> tuple[int, int]: ...  # noqa: D102

    @property
    def version(self) -> str: ...  # noqa: D102

    @property
    def max_batch(self) -> int: ...  # noqa: D102

    def scores(self, pictures: NDArray[np.uint8]) -> NDArray[np.float32]:
        """Return probabilities (N, labels) of uint8 (N, height, width, 3); called in a thread."""
        ...


class Brain:
    """Classifies encoded pictures.

    Args:
        model: what answers.
    """

    def __init__(self, model: Model) -> None:
        self.model = model
        self._waiting: list[tuple[NDArray[np.uint8], asyncio.Future[NDArray[np.float32]]]] = []
        self._worker: asyncio.Task[None] | None = None
        self._known: OrderedDict[str, NDArray[np.float32]] = OrderedDict()

    async def classify(self, data: bytes) -> list[tuple[str, float]]:
        """Return every label with its probability, the most probable first.

        Args:
            data: an encoded picture.

        Raises:
            NotAPicture: if it cannot be decoded.
        """
        name = hashlib.sha256(data).hexdigest()
        scores = self._known.get(name)
        if scores is None:
            scores = await self._ask(self.pixels(data))
            self._known[name] = scores
            if len(self._known) > REMEMBERED:
                self._known.popitem(last=False)
        pairs = zip(self.model.labels, scores.tolist(), strict=True)
        return sorted(pairs, key=lambda pair: (-pair[1], pair[0]))

    def pixels(self, data: bytes) -> NDArray[np.uint8]:
        """Decode a picture and bring it to the model's size (Pillow's bilinear filter).

        Raises:
            NotAPicture: if it cannot be decoded.
        """
        height, width = self.model.size
        try:
            with Image.open(io.BytesIO(data)) as opened:
                picture = opened.convert("RGB")
        except Exception as error:  # noqa: BLE001  Pillow's plugins raise anything
            raise NotAPicture(str(error)) from None
        if picture.size != (width, height):
            picture = picture.resize((width, height), Image.Resampling.BILINEAR)
        return np.asarray(picture, dtype=np.uint8)

    async def _ask(self, pixels: NDArray[np.uint8]) -> NDArray[np.float32]:
        future: asyncio.Future[NDArray[np.float32]] = asyncio.get_running_loop().create_future()
        self._waiting.append((pixels, future))
        if self._worker is None or self._worker.done():
            self._worker = asyncio.create_task(self._work())
        return await future

    async def _work(self) -> None:
        while self._waiting:
            batch = self._waiting[: self.model.max_batch]
            del self._waiting[: len(batch)]
            pictures = np.stack([pixels for pixels, _ in batch])
            try:
                scores = await asyncio.to_thread(self.model.scores, pictures)
            except Exception as error:  # noqa: BLE001  handed to whoever waits
                for _, future in batch:
                    if not future.done():
                        future.set_exception(error)
                continue
            for (_, future), row in zip(batch, scores, strict=True):
                if not future.done():
                    future.set_result(row)


class LocalModel:
    """The built-in classifier of `adapters.local`."""

    def __init__(self) -> None:
        from adapters.local.weights import load_classifier  # noqa: PLC0415  torch is slow to import

        self._loaded = load_classifier()
        self.labels: Sequence[str] = self._labels()
        self.size = (32, 32)
        self.max_batch = 32
        self.version = f"cifar-{self._loaded.sha256[:12]}"

    def scores(self, pictures: NDArray[np.uint8]) -> NDArray[np.float32]:
        """See :class:`Model`; padded to one shape, so that nothing depends on the neighbours."""
        batch = np.zeros((self.max_batch, *self.size, 3), dtype=np.uint8)
        batch[: len(pictures)] = pictures
        return self._loaded.probabilities(batch)[: len(pictures)]

    @staticmethod
    def _labels() -> Sequence[str]:
        from adapters.local.labels import LABELS  # noqa: PLC0415

        return LABELS
