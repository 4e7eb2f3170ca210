"""What would be compiled is found in plain Python, and what is compiled from that is what a run asks for."""

from __future__ import annotations

import numpy as np
import pytest
from numba.core.dispatcher import Dispatcher

from thermal.engines import beside
from thermal.engines.compiled import compiled_part, compiled_serial
from thermal.engines.rehearsal import Call, rehearse
from thermal.machine import idle_cores
from thermal.units import Array


@compiled_part
def half(x: float) -> float:
    return 0.5 * x


@compiled_serial
def halve(u: Array) -> None:
    for i in range(len(u)):
        u[i] = half(u[i])


@compiled_serial
def total(u: Array) -> float:
    return float(u.sum())


def named(calls: list[Call]) -> list[tuple[str, ...]]:
    return [(kernel.py_func.__name__, *map(str, types)) for kernel, types in calls]


def test_kernels_are_played_in_python_and_listed_in_the_order_of_their_last_calls() -> None:
    u, single = np.arange(4.0), np.ones(3, np.float32)
    sums = []

    def work() -> None:
        sums.append(total(u))
        halve(u)
        halve(single)
        sums.append(total(u))

    found = named(rehearse(work))
    assert sums == [6.0, 3.0]
    assert single.tolist() == [0.5, 0.5, 0.5]
    assert found == [
        ("halve", "array(float64, 1d, C)"),
        ("halve", "array(float32, 1d, C)"),
        ("total", "array(float64, 1d, C)"),
    ]
    assert [kernel.overloads for kernel in (halve, half, total)] == [{}, {}, {}]  # type: ignore[attr-defined]


def test_kernels_compile_again_after_work_that_failed() -> None:
    compiling = Dispatcher._compile_for_args

    def fails() -> None:
        total(np.ones((2, 2)))
        raise ValueError("by itself")

    with pytest.raises(ValueError, match="by itself"):
        rehearse(fails)
    assert Dispatcher._compile_for_args is compiling


@pytest.mark.parametrize(("times", "idle"), [((10.0, 10.02), 0.1), ((10.0, 10.4), 2.0)])
def test_idle_cores_are_counted_while_one_looks(
    times: tuple[float, float], idle: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen, clock = iter(times), iter((0.0, 0.2))
    monkeypatch.setattr("thermal.machine._idle_time", lambda: next(seen))
    monkeypatch.setattr("thermal.machine.time.perf_counter", lambda: next(clock))
    monkeypatch.setattr("thermal.machine.time.sleep", lambda seconds: None)
    assert idle_cores(0.2) == pytest.approx(idle)


def test_where_the_system_does_not_count_the_load_tells(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("thermal.machine._idle_time", lambda: None)
    monkeypatch.setattr("thermal.machine.os.cpu_count", lambda: 8)
    monkeypatch.setattr("thermal.machine.os.getloadavg", lambda: (2.5, 0.0, 0.0))
    assert idle_cores(0.2) == 5.5


@pytest.mark.parametrize(
    ("threads", "idle", "expected"), [(2, 1.9, True), (2, 1.0, False), (1, 7.0, False), (8, 7.9, True)]
)
def test_a_core_is_idle_if_it_is_ours_and_nobody_else_uses_it(
    threads: int, idle: float, expected: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(beside.nb.config, "NUMBA_NUM_THREADS", threads)
    monkeypatch.setattr(beside, "idle_cores", lambda look: idle)
    assert beside.idle_core() is expected


def test_the_second_process_goes_backwards_until_it_meets_the_first(monkeypatch: pytest.MonkeyPatch) -> None:
    """What was on disk before is no meeting."""
    compiled_now: list[str] = []
    disk = {"last"}

    class Kernel:
        def __init__(self, name: str) -> None:
            self.name = name

        def compile(self, types: tuple[str, ...]) -> None:
            compiled_now.append(self.name)
            disk.add("second")  # by the run, meanwhile

    calls = [(Kernel(name), ()) for name in ("first", "second", "third", "fourth", "last")]
    monkeypatch.setattr(beside, "rehearse", lambda work: calls)
    monkeypatch.setattr(beside.compiled, "on_disk", lambda kernel, types: kernel.name in disk)
    monkeypatch.setattr(beside.compiled, "SMALL", beside.compiled.SMALL)
    monkeypatch.setattr(beside.nb, "set_num_threads", lambda threads: None)
    beside.compile_backwards("single", "cut")
    assert compiled_now == ["fourth", "third"]
