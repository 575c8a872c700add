"""What is drawn together: as much as the denoiser cleans at once, in whole batches."""

import asyncio

import pytest

from certification.postprocess import PostProcess
from certification.sampling import Sampler
from tests.certification.worlds import Clip, World, grey, label


class Lanes(Clip):
    """Cleans three batches of four side by side."""

    def __init__(self):
        super().__init__(4)
        self.seen = []

    def at_once(self, height, width):
        return 3 * self.batch_of(height, width)

    def clean(self, noisy, sigma):
        self.seen.append(len(noisy))
        return super().clean(noisy, sigma)


class OneByOne(Lanes):
    at_once = None


@pytest.mark.parametrize(
    ("denoiser", "seen"), [(Lanes(), [12, 12, 8]), (OneByOne(), [4] * 8)], ids=["lanes", "one"]
)
async def test_what_is_drawn_together(denoiser, seen):
    world = World(lambda _: label("cat"), max_batch=4)
    plan = PostProcess.plan(4, 4, world.traits)
    sampler = Sampler(grey(), 0.25, lambda: bytes(16), denoiser, plan)
    pipeline = sampler.pipeline(world.classify, 0, world.traits)
    never: asyncio.Future[None] = asyncio.get_running_loop().create_future()
    got = []
    while len(got) < 30:
        got += await pipeline.next(30, never)
    await pipeline.close()
    assert len(got) == 30
    assert denoiser.seen == seen
