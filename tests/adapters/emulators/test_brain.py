"""The brain: whole batches, decoded aside, and one bad picture spoils nobody else's answer."""

import asyncio
import io
import sys
import threading

import numpy as np
import pytest
from PIL import Image

from adapters.emulators import brain as module
from adapters.emulators.brain import Brain, LocalModel, NotAPicture


class Mean:
    """Scores a picture by its mean; notes the batches."""

    labels = ("dark", "bright")
    size = (4, 4)
    version = "mean-1"
    max_batch = 3

    def __init__(self, wait: threading.Event | None = None):
        self.batches: list[int] = []
        self.threads: set[int] = set()
        self.wait = wait

    def scores(self, pictures):
        if self.wait is not None:
            assert self.wait.wait(5)
        self.batches.append(len(pictures))
        self.threads.add(threading.get_ident())
        bright = pictures.mean(axis=(1, 2, 3)) / 255
        return np.stack([1 - bright, bright], axis=1).astype(np.float32)


def png(level: int, side: int = 4) -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(np.full((side, side, 3), level, np.uint8)).save(buffer, "PNG")
    return buffer.getvalue()


async def test_labels_come_with_the_most_probable_first():
    found = await Brain(Mean()).classify(png(204))
    assert [label for label, _ in found] == ["bright", "dark"]
    assert found[0][1] == pytest.approx(0.8)
    assert await Brain(Mean()).classify(png(204, side=32)) == found  # brought to its size


async def test_equal_scores_are_in_the_order_of_the_labels():
    class Even(Mean):
        def scores(self, pictures):
            return np.full((len(pictures), 2), 0.5, np.float32)

    assert [label for label, _ in await Brain(Even()).classify(png(0))] == ["bright", "dark"]


async def test_what_comes_in_meanwhile_is_the_next_batch():
    gate = threading.Event()
    model = Mean(gate)
    brain = Brain(model)
    tasks = [asyncio.create_task(brain.classify(png(level))) for level in range(8)]
    await asyncio.sleep(0.05)
    gate.set()
    answers = await asyncio.gather(*tasks)
    assert model.batches in ([3, 3, 2], [1, 3, 3, 1])
    assert threading.get_ident() not in model.threads
    for level, answer in enumerate(answers):
        assert dict(answer)["bright"] == pytest.approx(level / 255)


async def test_a_bad_picture_beside_good_ones():
    brain = Brain(Mean())
    data = [png(10), b"no picture", png(20)[:40], png(30), b""]
    found = await asyncio.gather(*map(brain.classify, data), return_exceptions=True)
    assert [isinstance(f, NotAPicture) for f in found] == [False, True, True, False, True]


@pytest.mark.parametrize("rows", [0, 1, 5])
async def test_a_model_that_gives_too_few_scores_leaves_nobody_waiting(rows):
    class Odd(Mean):
        def scores(self, pictures):
            return np.zeros((rows, 2), np.float32)

    brain = Brain(Odd())
    calls = asyncio.gather(*(brain.classify(png(i)) for i in range(3)), return_exceptions=True)
    found = await asyncio.wait_for(calls, 5)
    assert all(isinstance(f, ValueError) for f in found)


async def test_a_model_that_fails_once_answers_again():
    class Flaky(Mean):
        def scores(self, pictures):
            found = super().scores(pictures)
            if len(self.batches) == 1:
                raise RuntimeError("out of memory")
            return found

    brain = Brain(Flaky())
    with pytest.raises(RuntimeError):
        await brain.classify(png(1))
    assert await brain.classify(png(1))


async def test_nobody_is_answered_who_has_gone():
    gate = threading.Event()
    model = Mean(gate)
    brain = Brain(model)
    first = asyncio.create_task(brain.classify(png(1)))
    await asyncio.sleep(0.02)
    gone = [asyncio.create_task(brain.classify(png(i))) for i in range(2, 5)]
    await asyncio.sleep(0.02)
    for task in gone:
        task.cancel()
    await asyncio.gather(*gone, return_exceptions=True)
    last = asyncio.create_task(brain.classify(png(9)))
    gate.set()
    await asyncio.gather(first, last)
    assert sum(model.batches) == 2


async def test_answers_are_remembered_but_not_without_end(monkeypatch):
    monkeypatch.setattr(module, "REMEMBERED", 3)
    model = Mean()
    brain = Brain(model)
    for level in (1, 2, 3, 1, 4, 1):
        await brain.classify(png(level))
    assert sum(model.batches) == 4  # the first was used again, so it stayed
    await brain.classify(png(2))
    assert sum(model.batches) == 5
    assert len(brain._known) == 3
    assert all(scores.base is None for scores in brain._known.values())  # not its whole batch


def test_fewer_answers_of_many_labels_are_remembered():
    model = Mean()
    model.labels = tuple(map(str, range(20_000)))
    assert Brain(model)._most == 2**22 // 20_000
    assert sys.getsizeof(np.zeros(20_000, np.float32)) * Brain(model)._most < 2**25


def test_it_serves_one_loop_after_another_even_where_one_was_left_in_the_middle():
    gate = threading.Event()
    brain = Brain(Mean(gate))

    async def leave():
        task = asyncio.create_task(brain.classify(png(1)))
        more = [asyncio.create_task(brain.classify(png(i))) for i in range(2, 9)]
        await asyncio.sleep(0.02)
        asyncio.get_running_loop().call_later(0.02, gate.set)  # ends the thread
        return task, more

    asyncio.run(leave())
    assert len(asyncio.run(asyncio.wait_for(brain.classify(png(100)), 5))) == 2


async def test_the_built_in_classifier():
    brain = Brain(LocalModel())
    rng = np.random.default_rng(0)
    pictures = []
    for _ in range(3):
        buffer = io.BytesIO()
        Image.fromarray(rng.integers(0, 256, (32, 32, 3), np.uint8)).save(buffer, "PNG")
        pictures.append(buffer.getvalue())
    together = await asyncio.gather(*map(brain.classify, pictures))
    alone = [await Brain(brain.model).classify(picture) for picture in pictures]
    assert together == alone
    assert sum(score for _, score in together[0]) == pytest.approx(1.0, abs=1e-5)
    assert len(together[0]) == 10
