"""Makes the samples of one run: noise, denoiser, then what the provider is sent.

Drawing and cleaning go by what the denoiser cleans at once; encoding goes by the calls,
several at a time in threads of their own, so that neither waits for the other.
"""

import asyncio
import contextlib
import functools
import time
from collections.abc import Callable, Iterator, Sequence

from certification import noise
from certification.canonical import CanonicalImage
from certification.pipeline import Ask, Pipeline, V
from certification.postprocess import PostProcess
from certification.protocols import Denoiser, DrawsNoise, Payload, Pixels, Traits, at_once
from certification.watching import NOBODY, Cleaned, Watcher

MEMORY = 256 * 2**20  # bytes that samples on their way may take


class Sampler:
    """See the module's text.

    Args:
        image: the canonical image.
        sigma: standard deviation of the noise on the [0, 1] scale.
        key: returns the noise key, 16 bytes; asked only once new samples are needed.
        denoiser: cleans the samples.
        postprocess: makes them ready to send.
        watcher: is told of all of that.
    """

    def __init__(
        self,
        image: CanonicalImage,
        sigma: float,
        key: Callable[[], bytes],
        denoiser: Denoiser,
        postprocess: PostProcess,
        watcher: Watcher = NOBODY,
    ) -> None:
        self._image, self._sigma, self._key = image, sigma, functools.cache(key)
        self._denoiser, self._postprocess = denoiser, postprocess
        self._watcher = watcher

    @property
    def clean(self) -> Pixels:
        """The canonical picture, without noise."""
        return self._image.pixels

    def draw(self, start: int, count: int) -> Sequence[Pixels]:
        """Make samples start … start+count−1, uint8 (H, W, 3). Runs in a thread."""
        pixels, sigma, denoiser = self._image.pixels, self._sigma, self._denoiser
        if isinstance(denoiser, DrawsNoise) and denoiser.draws_noise:
            with self._cleaning(count):
                return list(denoiser.clean_drawn(pixels, self._key(), start, count, sigma))
        with self._watcher.span("draw", pictures=count):
            noisy = noise.draw_many(self._key(), range(start, start + count), pixels.shape, sigma)
            noisy += pixels
        with self._cleaning(count):
            return list(denoiser.clean(noisy, sigma))

    @contextlib.contextmanager
    def _cleaning(self, count: int) -> Iterator[None]:
        name, compute, began = self._denoiser.name, self._denoiser.compute, time.monotonic()
        with self._watcher.span("denoise", denoiser=name, compute=compute, pictures=count):
            yield
        self._watcher.tell(Cleaned(name, compute, count, time.monotonic() - began))

    async def payloads(self, samples: Sequence[Pixels]) -> Sequence[Payload]:
        """Make the samples of one call ready to send."""
        if self._postprocess.leaves_alone:
            return samples
        with self._watcher.span("encode", pictures=len(samples)):
            return await asyncio.to_thread(lambda: [self._postprocess(s) for s in samples])

    def pipeline(self, ask: Ask[Pixels, V], start: int, traits: Traits) -> Pipeline[Pixels, V]:
        """Make the pipeline; large pictures get smaller batches, so that the memory suffices.

        Args:
            ask: asks about samples.
            start: first index that has no vote yet.
            traits: of the provider.

        Raises:
            LedgerConflict: if the key is not to be had.
        """
        self._key()
        height, width = self._image.height, self._image.width
        sent_h, sent_w = self._postprocess.size or (height, width)
        room = max(1, MEMORY // (3 * max(height * width, sent_h * sent_w)))
        max_batch = min(traits.max_batch, room)
        return Pipeline(
            self.draw,
            ask,
            start=start,
            batch=self._denoiser.batch_of(height, width),
            chunk=at_once(self._denoiser, height, width),
            max_batch=max_batch,
            concurrency=max(1, min(traits.concurrency, room // max_batch)),
        )
