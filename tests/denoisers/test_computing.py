"""One thread computes on a device: first come first served, for those that still wait."""

import contextlib
import contextvars
import gc
import os
import signal
import threading
import time
import weakref
from pathlib import Path

import pytest
import torch

from certification.leaving import NobodyWaits, set_gone
from denoisers import computing
from denoisers.computing import Device, Queue, device_of

TASKS = Path("/proc/self/task")


@pytest.fixture
def device():
    made = Device("test")
    yield made
    made._pool.shutdown()


def until(holds):
    for _ in range(5000):
        if holds():
            return
        time.sleep(0.001)
    raise AssertionError("it never came to that")


class Holding:
    """Holds a device up until it is let go."""

    def __init__(self, device):
        self._free, begun = threading.Event(), threading.Event()
        self._thread = threading.Thread(target=lambda: device.run(lambda: self._hold(begun)))
        self._thread.start()
        assert begun.wait(10)

    def _hold(self, begun):
        begun.set()
        self._free.wait(20)

    def let_go(self):
        self._free.set()
        self._thread.join(10)


def test_in_the_order_of_asking(device):
    holding, queue, order, threads = Holding(device), Queue(device), [], []
    for number in range(8):
        work = lambda n=number: order.append(n)  # noqa: E731
        threads.append(threading.Thread(target=queue.run, args=(work,)))
        threads[-1].start()
        until(lambda n=number: device._pool._work_queue.qsize() == n + 1)
    assert queue.waiting == 8
    assert Queue(device).waiting == 0  # another denoiser's
    holding.let_go()
    for thread in threads:
        thread.join(10)
    assert order == list(range(8))
    assert queue.waiting == 0


def test_one_with_much_work_does_not_hold_up_another(device):
    order, stop = [], threading.Event()

    def busy():
        while not stop.is_set():
            device.run(lambda: (order.append("b"), time.sleep(0.002)))

    thread = threading.Thread(target=busy)
    thread.start()
    until(lambda: order)
    for _ in range(20):
        device.run(lambda: order.append("o"))
    stop.set()
    thread.join(10)
    assert max(len(run) for run in "".join(order).split("o")[1:-1]) <= 2


def test_all_is_done_by_one_thread_and_what_that_asks_for_at_once(device):
    seen = {device.run(threading.get_ident) for _ in range(3)}
    seen.add(device.run(lambda: device.run(threading.get_ident)))
    assert len(seen) == 1
    assert threading.get_ident() not in seen


def test_an_error_is_told_to_who_asked_and_to_nobody_else(device):
    queue = Queue(device)
    with pytest.raises(ZeroDivisionError):
        queue.run(lambda: 1 / 0)
    assert queue.run(lambda: 2) == 2
    assert queue.waiting == 0


def test_nothing_is_computed_for_a_run_that_has_gone(device):
    holding, queue, done, gone = Holding(device), Queue(device), [], threading.Event()
    raised = []

    def work():
        set_gone(gone)
        with pytest.raises(NobodyWaits):
            queue.run(lambda: done.append("left"))
        raised.append(True)

    thread = threading.Thread(target=contextvars.Context().run, args=(work,))
    thread.start()
    until(lambda: queue.waiting == 1)
    gone.set()
    holding.let_go()
    thread.join(10)
    assert (done, raised, queue.waiting) == ([], [True], 0)


def test_threads_are_as_many_as_whoever_asks_has(device):
    before = torch.get_num_threads()
    try:
        for count in (2, 1, 2):
            torch.set_num_threads(count)
            assert device.run(torch.get_num_threads) == count
    finally:
        torch.set_num_threads(before)


@pytest.mark.skipif(not TASKS.exists(), reason="needs Linux")
def test_many_who_ask_take_no_more_threads(device):
    """Each thread that computes would have a team of its own, for life."""

    def compute():
        torch.randn(256, 256) @ torch.randn(256, 256)

    before = torch.get_num_threads()
    torch.set_num_threads(4)
    try:
        device.run(compute)
        alone = len(os.listdir(TASKS))
        gate = threading.Barrier(13)

        def ask():
            device.run(compute)
            gate.wait(10)
            gate.wait(10)

        threads = [threading.Thread(target=ask) for _ in range(12)]
        for thread in threads:
            thread.start()
        gate.wait(10)
        counted = len(os.listdir(TASKS))
        gate.wait(10)
        for thread in threads:
            thread.join(10)
    finally:
        torch.set_num_threads(before)
    assert counted == alone + 12


@pytest.fixture
def interruptible():
    before = signal.signal(signal.SIGINT, signal.default_int_handler)  # what `&` starts ignores it
    yield
    signal.signal(signal.SIGINT, before)


@pytest.mark.usefixtures("interruptible")
def test_whoever_gives_up_waiting_leaves_the_queue(device):
    holding, queue, done = Holding(device), Queue(device), []
    main = threading.main_thread().ident
    threading.Timer(0.05, lambda: signal.pthread_kill(main, signal.SIGINT)).start()
    with pytest.raises(KeyboardInterrupt):
        queue.run(lambda: done.append("given up"))
    assert queue.waiting == 0
    holding.let_go()
    assert device.run(lambda: 1) == 1
    assert done == []


def test_denoisers_of_a_device_share_its_thread():
    assert device_of("cpu") is device_of(torch.device("cpu"))
    assert device_of("cpu") is not device_of("cuda:0")


def test_what_is_made_on_a_gpu_without_saying_on_which_is_made_on_that_of_the_thread(monkeypatch):
    chosen = []
    monkeypatch.setattr(
        torch.cuda, "set_device", lambda d: chosen.append((d, threading.get_ident()))
    )
    thread = Device("cuda:1").run(threading.get_ident)
    assert chosen == [("cuda:1", thread)]
    Device("cpu").run(list)
    assert len(chosen) == 1


def test_memory_that_others_have_is_waited_for_while_they_go_on(device, monkeypatch):
    monkeypatch.setattr(computing, "LOOK_SECONDS", 0.01)
    queue, asked = Queue(device), []

    def has_room():
        asked.append(threading.get_ident())
        return len(asked) > 3

    assert queue.run_with_room(lambda: "done", has_room) == "done"
    assert len(asked) == 4
    assert set(asked) == {device.run(threading.get_ident)}  # in one's turn
    began = time.monotonic()
    with pytest.raises(MemoryError):
        queue.run_with_room(lambda: "done", lambda: False, seconds=0.1)
    assert 0.1 <= time.monotonic() - began < 5
    assert queue.waiting == 0


def test_what_a_failed_batch_held_goes_with_its_error(device):
    """Nobody looks for cycles in time: the next, smaller batch needs that memory."""
    held = []

    def fails():
        batch = torch.zeros(8)
        held.append(weakref.ref(batch))
        raise RuntimeError("out of memory", len(batch))

    gc.disable()
    try:
        with contextlib.suppress(RuntimeError):
            Queue(device).run(fails)
        until(lambda: held[0]() is None)
    finally:
        gc.enable()


def test_a_process_that_forks_has_threads_of_its_own(device):
    assert device.run(lambda: 1) == 1
    before = device._pool
    device.begin()
    assert device._pool is not before
    assert device.run(lambda: 2) == 2
    before.shutdown()
