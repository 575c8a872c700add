"""Batches side by side: the same results, each thread alone, and as little memory as there is."""

import gc
import os
import threading
import weakref
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
import torch

from certification.errors import InvalidParameter
from certification.protocols import SideBySide, at_once
from denoisers import lanes as lanes_module
from denoisers import memory
from denoisers.batches import SPARE
from denoisers.computing import Device, NoMemory
from denoisers.lanes import MOST, Lanes, lanes_of
from denoisers.none import NoDenoiser
from denoisers.runtime import Runtime
from denoisers.sizes import Sizes, Split
from denoisers.unet import UNet

TASKS = Path("/proc/self/task")


@pytest.fixture
def lanes():
    torch.set_num_threads(3)
    made = Lanes(3)
    yield made
    made.end()


def learnt(network):
    torch.manual_seed(0)
    for tensor in network.parameters():
        torch.nn.init.normal_(tensor, std=0.05)
    return network.eval()


def noisy_batch(count, height=32, width=32):
    shape = count, height, width, 3
    return np.random.default_rng(count).integers(-80, 330, shape, dtype=np.int16)


@pytest.mark.parametrize(
    ("threads", "lanes"),
    [(0, 1), (1, 1), (2, 2), (7, 7), (8, 8), (9, 8), (11, 5), (15, 7), (20, 6), (64, MOST)],
)
def test_as_many_as_threads_up_to_a_limit_and_none_left_over(threads, lanes):
    assert lanes_of(threads) == lanes


def test_few_threads_are_left_over():
    for threads in range(1, 129):
        lanes = lanes_of(threads)
        assert min(threads, 5) <= lanes <= MOST
        assert lanes * (threads // lanes) >= 0.875 * threads


def test_they_run_at_the_same_time_and_answer_in_order(lanes):
    together = threading.Barrier(3)

    def work(number):
        together.wait(10)
        return number

    assert lanes.run([lambda n=n: work(n) for n in range(3)]) == [0, 1, 2]
    assert lanes.run([lambda n=n: n for n in range(7)]) == list(range(7))


def test_each_computes_alone_and_torch_has_its_threads_back(lanes):
    assert lanes.run([torch.get_num_threads] * 3) == [1, 1, 1]
    assert torch.get_num_threads() == 3
    with ThreadPoolExecutor(1) as pool:  # one that begins later
        assert pool.submit(torch.get_num_threads).result() == 3


class AnotherOpenMP:
    """Is found first by its name, and is not the one that torch computes with."""

    def omp_set_num_threads(self, count):
        return None


@pytest.mark.parametrize("library", [AnotherOpenMP(), object()], ids=["another", "none"])
def test_without_torch_s_own_openmp_each_computes_alone_too(library, monkeypatch):
    monkeypatch.setattr(lanes_module.ctypes, "CDLL", lambda _: library)
    torch.set_num_threads(3)  # as whoever makes lanes has
    made = Lanes(3)
    try:
        assert made.run([torch.get_num_threads] * 3) == [1, 1, 1]
        assert torch.get_num_threads() == 3
        with ThreadPoolExecutor(1) as pool:
            assert pool.submit(torch.get_num_threads).result() == 3
    finally:
        made.end()


def test_more_threads_than_lanes_are_shared():
    torch.set_num_threads(2 * MOST)
    made = Lanes(2 * MOST)
    try:
        assert made.run([torch.get_num_threads] * MOST) == [2] * MOST
        assert torch.get_num_threads() == 2 * MOST
    finally:
        made.end()


def test_the_first_error_is_told_once_all_have_ended(lanes):
    ended = []

    def slow():
        threading.Event().wait(0.1)
        ended.append(True)

    def fails(error):
        raise error

    with pytest.raises(KeyError):
        lanes.run([lambda: fails(KeyError()), slow, lambda: fails(IndexError())])
    assert ended == [True]
    assert lanes.run([lambda: 5]) == [5]


def test_an_error_holds_nothing_of_the_batch(lanes):
    class Large:
        pass

    def fails():
        large = Large()
        gone.append(weakref.ref(large))
        raise MemoryError

    gone = []
    gc.disable()
    try:
        with pytest.raises(MemoryError) as caught:
            lanes.run([fails])
        del caught
        assert gone[0]() is None
    finally:
        gc.enable()


def test_a_system_that_gives_no_more_threads(monkeypatch):
    start, allowed = threading.Thread.start, [1]

    def refused(self):
        if not allowed[0]:
            raise RuntimeError("can't start new thread")
        allowed[0] -= 1
        start(self)

    monkeypatch.setattr(threading.Thread, "start", refused)
    try:
        one, none = Lanes(3), Lanes(3)
        for made in (one, none):
            assert made.run([lambda n=n: n for n in range(5)]) == list(range(5))
        assert torch.get_num_threads() == 3
        one.end()
    finally:
        monkeypatch.undo()


@pytest.mark.skipif(not TASKS.exists(), reason="needs Linux")
def test_a_device_has_one_set_of_them_and_a_new_one_where_threads_change(four_threads):
    device = Device("test")
    before = len(os.listdir(TASKS))
    try:
        for count in (4, 2, 4):
            torch.set_num_threads(count)
            together = threading.Barrier(count)
            waits = [lambda b=together: b.wait(10)] * count
            assert sorted(device.run(lambda w=waits: device.side_by_side(w))) == [*range(count)]
            assert device.run(torch.get_num_threads) == count
        for _ in range(1000):
            if len(os.listdir(TASKS)) <= before + 1 + 4:
                break
            threading.Event().wait(0.005)
        assert len(os.listdir(TASKS)) <= before + 1 + 4  # what has been let go has ended
    finally:
        if device._lanes is not None:
            device._lanes.end()
        device._pool.shutdown()


def test_pictures_come_out_the_same_however_they_are_parted(four_threads):
    network = learnt(UNet(8, 1, 1, 1, mirror=1, contrast=110))
    runtime = Runtime("u", network, "0" * 64, device="cpu")
    assert isinstance(runtime, SideBySide)
    assert (runtime.batch_of(32, 32), runtime.at_once(32, 32)) == (64, 4 * 64)
    assert (runtime.batch_of(224, 224), runtime.at_once(224, 224)) == (4, 16)
    assert (runtime.batch_of(512, 512), runtime.at_once(512, 512)) == (1, 4)
    assert runtime.at_once(513, 512) == 1  # which has all threads to itself
    for size, count in ((32, 300), (224, 19), (512, 5)):
        noisy = noisy_batch(count, size, size)
        whole = runtime.clean(noisy, 0.25)
        for start, stop in ((0, 1), (1, 3), (0, 64), (63, 66), (100, 230), (7, 18), (299, 300)):
            part = runtime.clean(noisy[start:stop], 0.25)
            assert np.array_equal(part, whole[start:stop])
        torch.set_num_threads(1)
        alone = Runtime("u", network, "0" * 64, device="cpu")
        assert alone.at_once(size, size) == alone.batch_of(size, size)
        assert np.array_equal(alone.clean(noisy, 0.25), whole)
        torch.set_num_threads(4)


def test_fewer_at_once_where_the_memory_is_short_now(four_threads, monkeypatch):
    runtime = Runtime("u", learnt(UNet(8, 1, 1, 1)), "0" * 64, device="cpu")
    noisy = noisy_batch(4 * 64)
    expected, split = runtime.clean(noisy, 0.25), runtime._split(32, 32)
    one = runtime._sizes._peaks[32, 32] * 64 * SPARE
    seen, side_by_side = [], runtime._queue.side_by_side
    monkeypatch.setattr(
        runtime._queue, "side_by_side", lambda works: seen.append(len(works)) or side_by_side(works)
    )
    monkeypatch.setattr(memory, "ALWAYS", 0)
    for free, wide in ((4 * one, [4]), (3 * one, [2, 2]), (one, [])):
        monkeypatch.setattr(memory, "free_bytes", lambda _, free=free: free)
        assert np.array_equal(runtime.clean(noisy, 0.25), expected)
        assert seen == wide
        seen.clear()
    assert runtime._split(32, 32) == split  # for now


def test_fewer_at_once_where_there_was_too_little_when_a_size_was_new(four_threads, monkeypatch):
    runtime = Runtime("u", UNet(8, 1, 1, 1), "0" * 64, device="cpu")
    cases = (255.0, 64, 3), (64.0, 64, 1), (63.0, 32, 1), (256.0, 64, 4), (0.5, 1, 1)
    for size, (fits, batch, lanes) in enumerate(cases, 1):
        monkeypatch.setattr(memory, "largest_batch", lambda *_, fits=fits: fits)
        assert runtime.batch_of(size, 8) == batch
        assert runtime.at_once(size, 8) == batch * lanes


class Greedy(torch.nn.Module):
    """Fails for want of memory where others compute beside it."""

    side_by_side = True

    def forward(self, noisy, sigma):
        if threading.current_thread().name.startswith("lane-1"):
            raise MemoryError
        return noisy


def test_lanes_are_halved_before_batches_when_the_memory_has_run_out(four_threads):
    runtime = Runtime("greedy", Greedy(), "0" * 64, device="cpu")
    noisy = noisy_batch(3 * 64)
    assert np.array_equal(runtime.clean(noisy, 0.25), noisy.clip(0, 255))
    assert (runtime.batch_of(32, 32), runtime.at_once(32, 32)) == (64, 64)


def test_one_that_has_no_lanes_gets_its_batch():
    assert at_once(NoDenoiser(), 32, 32) == NoDenoiser().batch_of(32, 32)


def test_a_short_dip_in_memory_costs_neither_lanes_nor_long_waits(four_threads, monkeypatch):
    """Room is asked for one batch: with fewer lanes there is no more of it."""
    runtime = Runtime("u", learnt(UNet(8, 1, 1, 1)), "0" * 64, device="cpu")
    noisy = noisy_batch(4, 224, 224)
    expected = runtime.clean(noisy, 0.25)
    waits = []

    def no_room(work, has_room):
        if len(waits) < 2:
            waits.append(True)
            raise NoMemory
        return work()

    monkeypatch.setattr(runtime._queue, "run_with_room", no_room)
    assert np.array_equal(runtime.clean(noisy, 0.25), expected)
    assert (runtime.batch_of(224, 224), runtime.at_once(224, 224)) == (1, 4)
    waits.clear()
    with pytest.raises(InvalidParameter, match="does not hold one picture"):
        runtime.clean(noisy, 0.25)
    assert len(waits) == 1  # and at once


def test_another_turn_may_have_found_out_before(four_threads):
    sizes = Sizes(UNet(8, 1, 1, 1).eval(), torch.device("cpu"), beside=True)
    tried = sizes.split(32, 32)
    assert tried == Split(64, 4)
    for _ in range(2):  # two turns that failed with the same
        sizes.halve(32, 32, tried, 4 * 64)
        assert sizes.split(32, 32) == Split(64, 2)
    sizes.halve(32, 32, Split(64, 2), 64)  # one batch alone did not fit
    assert sizes.split(32, 32) == Split(32, 2)


def test_a_gpu_has_no_lanes(four_threads, monkeypatch):
    monkeypatch.setattr(memory, "largest_batch", lambda *_: 1e6)
    sizes = Sizes(UNet(8, 1, 1, 1).eval(), torch.device("cuda"), beside=True)
    assert sizes.split(32, 32) == Split(512, 1)


def test_one_whose_memory_nobody_knows_has_all_threads_to_itself(four_threads, monkeypatch):
    monkeypatch.setattr(memory, "measured", lambda *_: None)
    monkeypatch.setattr(memory, "largest_batch", lambda *_: 1e6)
    sizes = Sizes(UNet(8, 1, 1, 1).eval(), torch.device("cpu"), beside=True)
    assert sizes.split(32, 32) == Split(64, 1)


def test_a_network_that_asks_its_device_from_a_lane_gets_its_answer(four_threads):
    """One that uses another denoiser: it would wait for the thread that waits for it."""
    device = Device("test")
    try:
        inside = lambda: device.run(lambda: device.side_by_side([lambda: 1, lambda: 2]))  # noqa: E731
        with ThreadPoolExecutor(1) as pool:
            asked = pool.submit(device.run, lambda: device.side_by_side([inside, inside]))
            assert asked.result(30) == [[1, 2], [1, 2]]
    finally:
        if device._lanes is not None:
            device._lanes.end()
        device._pool.shutdown()


def test_a_child_has_lanes_of_its_own(four_threads):
    device = Device("test")
    device.run(lambda: device.side_by_side([id] * 0))
    before = device._lanes
    device.begin()  # as a child does
    assert device._lanes is None
    assert device.run(lambda: device.side_by_side([lambda: 1, lambda: 2])) == [1, 2]
    before.end()
    device._lanes.end()
    device._pool.shutdown()


def test_threads_that_begin_while_lanes_are_made_compute_with_all(four_threads):
    stop, seen = threading.Event(), []

    def begin():
        while not stop.is_set():
            one = threading.Thread(target=lambda: seen.append(torch.get_num_threads()))
            one.start()
            one.join()

    beginner = threading.Thread(target=begin)
    beginner.start()
    try:
        for _ in range(20):
            Lanes(4).end()
        while not seen:
            threading.Event().wait(0.01)
    finally:
        stop.set()
        beginner.join()
    assert set(seen) == {4}


def test_what_is_kept_for_each_thread_is_given_back_before_a_batch_is_said_not_to_fit(monkeypatch):
    given, free = [], iter([100.0, 300.0])
    monkeypatch.setattr(memory, "ALWAYS", 0)
    monkeypatch.setattr(memory, "_trim", lambda: given.append(True))
    monkeypatch.setattr(memory, "free_bytes", lambda _: next(free))
    assert memory.has(200, torch.device("cpu"))
    assert given == [True]
