"""Turns: one at a time, first come first served."""

import signal
import threading
import time

import pytest

from denoisers.turns import Turns


def waiting(turns, count):
    for _ in range(2000):
        if len(turns._waiting) == count:
            return
        time.sleep(0.001)
    raise AssertionError("nobody came")


def test_in_the_order_of_asking():
    turns, order, threads = Turns(), [], []

    def work(number):
        with turns:
            order.append(number)

    with turns:
        for number in range(8):
            threads.append(threading.Thread(target=work, args=(number,)))
            threads[-1].start()
            waiting(turns, number + 1)
    for thread in threads:
        thread.join(10)
    assert order == list(range(8))
    with turns:  # free again
        pass


def test_one_with_much_work_does_not_hold_up_another():
    """With a plain lock the busy thread takes its next turn before the other one wakes."""
    turns, order, stop = Turns(), [], threading.Event()

    def busy():
        while not stop.is_set():
            with turns:
                order.append("busy")
                time.sleep(0.002)

    thread = threading.Thread(target=busy)
    thread.start()
    while not order:
        time.sleep(0.001)
    for _ in range(20):
        with turns:
            order.append("other")
    stop.set()
    thread.join(10)
    assert max(len(run) for run in "".join(o[0] for o in order).split("o")[1:-1]) <= 1


def test_never_two_at_once():
    turns, inside, worst = Turns(), [0], [0]

    def work():
        for _ in range(200):
            with turns:
                inside[0] += 1
                worst[0] = max(worst[0], inside[0])
                inside[0] -= 1

    threads = [threading.Thread(target=work) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(20)
    assert worst == [1]
    assert not turns._taken


def test_an_error_gives_the_turn_back():
    turns = Turns()
    with pytest.raises(ZeroDivisionError), turns:
        raise ZeroDivisionError
    with turns:
        pass


@pytest.fixture
def interruptible():
    before = signal.signal(signal.SIGINT, signal.default_int_handler)  # what `&` starts ignores it
    yield
    signal.signal(signal.SIGINT, before)


@pytest.mark.usefixtures("interruptible")
def test_whoever_gives_up_waiting_leaves_the_queue():
    turns, given_up = Turns(), threading.Event()
    holder = threading.Thread(target=lambda: hold(turns, given_up))
    holder.start()
    while not turns._taken:
        time.sleep(0.001)
    main = threading.main_thread().ident
    threading.Timer(0.05, lambda: signal.pthread_kill(main, signal.SIGINT)).start()
    with pytest.raises(KeyboardInterrupt), turns:
        pass
    assert not turns._waiting
    given_up.set()
    holder.join(10)
    with turns:
        pass


def hold(turns, given_up):
    with turns:
        given_up.wait(20)
