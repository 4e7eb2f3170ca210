"""What the catalogue's tests ask of a run."""

from __future__ import annotations

import numpy as np
import pytest

from thermal.store import Run

BODY = 37.0
MM = 1e-3


def rise(run: Run, probe: str) -> float:
    """Temperature of a probe at the end, above that of the blood."""
    return float(run.value(f"probe.{probe}.temperature")) - BODY


def rise_at(run: Run, probe: str, time: float) -> float:
    """The same at a time that the run's steps land on."""
    history = run.history
    row = int(np.argmin(np.abs(history.time - time)))
    assert history.time[row] == pytest.approx(time, abs=1e-6)
    return float(history[f"probe.{probe}.temperature"][row]) - BODY


def crossing(run: Run, column: str, level: float, logarithmic: bool = False) -> float:
    """Time at which a rising column of the history passes a level."""
    times, values = run.history.time, run.history[column]
    after = int(np.argmax(values >= level))
    assert values[after] >= level > values[after - 1]
    if logarithmic:
        values, level = np.log(np.maximum(values, 1e-300)), float(np.log(level))
    return float(np.interp(level, values[after - 1 : after + 1], times[after - 1 : after + 1]))


def closes(run: Run) -> None:
    """The energy ledger closes to round-off (thousands of sums of which each is exact to 1e-16)."""
    assert run.value("ledger.energy_error") < 1e-11
