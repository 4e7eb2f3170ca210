"""What this machine has to offer."""

from __future__ import annotations

import ctypes
import os
import resource
import time
from pathlib import Path

_ALLOCATOR = ctypes.CDLL(None)
CGROUP = Path("/sys/fs/cgroup")


def cores() -> int:
    """Processors that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def idle_cores(look: float) -> float:
    """How many processors have nothing to do: over the next ``look`` seconds, or by the load of the last minute where
    the system does not count."""
    before = _idle_time()
    if before is None:
        return (os.cpu_count() or 1) - os.getloadavg()[0] if hasattr(os, "getloadavg") else 0.0
    started = time.perf_counter()
    time.sleep(look)
    return ((_idle_time() or before) - before) / (time.perf_counter() - started)


def free_memory() -> float | None:
    """Bytes that this process may still take: of the machine, of its container, of its own limit; None if unknown."""
    found = [room for room in (_of_machine(), _of_container(), _of_process()) if room is not None]
    return min(found) if found else None


def give_back() -> None:
    """Hand memory that nothing uses any more back to the system, where the C library knows how (``malloc_trim`` of
    glibc): after large work it keeps the holes between what is still used."""
    trim = getattr(_ALLOCATOR, "malloc_trim", None)
    if trim is not None:
        trim(0)


def _idle_time() -> float | None:
    """Seconds that all processors together have been idle so far."""
    try:
        counts = Path("/proc/stat").read_text(encoding="ascii").split(maxsplit=6)
        return (float(counts[4]) + float(counts[5])) / os.sysconf("SC_CLK_TCK")  # without work, waiting for a disk
    except (OSError, IndexError, ValueError):
        return None


def _of_machine() -> float | None:
    try:
        lines = Path("/proc/meminfo").read_text(encoding="ascii").splitlines()
        return next(float(line.split()[1]) * 1024 for line in lines if line.startswith("MemAvailable"))
    except (OSError, StopIteration, ValueError):
        return None


def _of_container() -> float | None:
    try:
        limit, used = ((CGROUP / name).read_text(encoding="ascii").strip() for name in ("memory.max", "memory.current"))
        return max(float(limit) - float(used), 0.0)
    except (OSError, ValueError):  # "max" is no number: there is no limit
        return None


def _of_process() -> float | None:
    limit, _ = resource.getrlimit(resource.RLIMIT_AS)
    if limit == resource.RLIM_INFINITY:
        return None
    try:
        pages = int(Path("/proc/self/statm").read_text(encoding="ascii").split()[0])
    except (OSError, ValueError):
        return None
    return max(float(limit - pages * resource.getpagesize()), 0.0)
