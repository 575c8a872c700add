"""What an emulator answers from: a real classifier, asked about whole batches at once.

Requests come one picture at a time; while one batch is being classified, the pictures that come
in wait and make up the next one. Each picture's scores depend on that picture alone. For one
event loop at a time.
"""

import asyncio
import hashlib
import io
from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray
from PIL import Image

REMEMBERED = 4096  # answers, by SHA-256 of the picture's bytes
REMEMBERED_SCORES = 2**22  # numbers in them: 16 MiB


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
        self._waiting: list[_Question] = []
        self._worker: asyncio.Task[None] | None = None
        self._known: OrderedDict[str, NDArray[np.float32]] = OrderedDict()
        self._most = max(1, min(REMEMBERED, REMEMBERED_SCORES // max(1, len(model.labels))))

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
            scores = self._known[name] = await self._ask(data)
            if len(self._known) > self._most:
                self._known.popitem(last=False)
        else:
            self._known.move_to_end(name)
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

    async def _ask(self, data: bytes) -> NDArray[np.float32]:
        loop = asyncio.get_running_loop()
        question = _Question(data, loop.create_future())
        if self._worker is not None and self._worker.get_loop() is not loop:
            self._waiting.clear()  # those of a loop that has ended
            self._worker = None
        self._waiting.append(question)
        if self._worker is None or self._worker.done():
            self._worker = loop.create_task(self._work())
        return await question.answer

    async def _work(self) -> None:
        while self._waiting:
            batch = self._waiting[: self.model.max_batch]
            del self._waiting[: len(batch)]
            batch = [question for question in batch if not question.answer.done()]
            found = await asyncio.to_thread(self._answers, [question.data for question in batch])
            for question, answer in zip(batch, found, strict=True):
                if question.answer.done():  # nobody waits for it any more
                    continue
                if isinstance(answer, Exception):
                    question.answer.set_exception(answer)
                else:
                    question.answer.set_result(answer)

    def _answers(self, batch: Sequence[bytes]) -> list[NDArray[np.float32] | Exception]:
        """Decode and classify, in a thread: large pictures must not hold up the protocol."""
        found: list[NDArray[np.float32] | Exception] = []
        pictures: dict[int, NDArray[np.uint8]] = {}
        for place, data in enumerate(batch):
            found.append(NotAPicture())
            try:
                pictures[place] = self.pixels(data)
            except Exception as error:  # noqa: BLE001  handed to whoever waits
                found[place] = error
        if not pictures:
            return found
        try:
            scores = self.model.scores(np.stack([*pictures.values()]))
            for place, row in zip(pictures, scores, strict=True):
                found[place] = row.copy()  # a view would keep its whole batch
        except Exception as error:  # noqa: BLE001
            for place in pictures:
                found[place] = error
        return found


@dataclass(frozen=True, eq=False)
class _Question:
    data: bytes
    answer: asyncio.Future[NDArray[np.float32]]


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
