"""Work on planes that threads share."""

from __future__ import annotations

import signal
import threading
import time

import pytest

from thermal.engines.threads import share_out


@pytest.mark.parametrize("threads", [1, 2, 3, 7])
@pytest.mark.parametrize(("first", "end"), [(0, 10), (3, 5), (4, 4)])
def test_every_plane_is_done_once(threads: int, first: int, end: int) -> None:
    done: list[int] = []
    share_out(lambda start, stop: done.extend(range(start, stop)), first, end, threads)
    assert sorted(done) == list(range(first, end))


def test_an_error_comes_after_all_are_done() -> None:
    done: list[int] = []

    def work(start: int, stop: int) -> None:
        done.append(start)
        if start > 0:
            raise ZeroDivisionError(f"plane {start}")

    with pytest.raises(ZeroDivisionError, match="plane 5"):
        share_out(work, 0, 10, 2)
    share_out(lambda start, stop: done.append(-start), 0, 10, 2)
    assert sorted(done) == [-5, 0, 0, 5]


@pytest.mark.skipif(not hasattr(signal, "setitimer"), reason="needs signals that come after a time")
def test_an_interrupt_comes_after_all_are_done() -> None:
    """A kernel that went on while the process ended could end it with a fault."""
    done: list[int] = []
    times: list[float] = []

    def work(start: int, stop: int) -> None:
        if start > 0:
            time.sleep(0.3)
        done.append(start)
        if start == 0:  # in the main thread, which waits from now on
            signal.setitimer(signal.ITIMER_REAL, 0.02, 0.02)

    def interrupt(number: int, frame: object) -> None:
        if len(times) < 3:
            times.append(time.monotonic())
            raise KeyboardInterrupt

    before = signal.signal(signal.SIGALRM, interrupt)
    try:
        with pytest.raises(KeyboardInterrupt):
            share_out(work, 0, 10, 2)
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0.0)
        signal.signal(signal.SIGALRM, before)
    assert times
    assert sorted(done) == [0, 5]


def test_callers_do_not_take_each_others_work() -> None:
    """Two threads that call at once each come back when their own parts are done."""
    counts = [0, 0]

    def call(who: int) -> None:
        for _ in range(200):
            done: list[int] = []
            share_out(lambda start, stop: done.extend(range(start, stop)), 0, 8, 3)  # noqa: B023
            counts[who] += len(done)

    callers = [threading.Thread(target=call, args=(who,)) for who in (0, 1)]
    for caller in callers:
        caller.start()
    for caller in callers:
        caller.join()
    assert counts == [1600, 1600]
