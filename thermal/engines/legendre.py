"""Runge-Kutta-Legendre steps of second order: ``s`` evaluations for an explicit step that grows like ``s^2``.

C. D. Meyer, D. S. Balsara, T. D. Aslam, J. Comput. Phys. 257 (2014) 594-626. Written for increments
``d_j = Y_j - Y_0``: ``d_j = mu d_(j-1) + nu d_(j-2) + now F(Y_(j-1)) + start F(Y_0)`` from ``d_0 = 0`` and
``d_1 = first F(Y_0)``.
Whatever is summed up along the way (the lines of a ledger) goes through the same recurrence, so it closes to round-off.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache

import numpy as np

from thermal.units import Array


@dataclass(frozen=True)
class Stage:
    """Coefficients of one stage; ``now`` and ``start`` in units of the step."""

    mu: float
    nu: float
    now: float
    start: float


def first_weight(stages: int) -> float:
    """Length of the first stage in units of the step."""
    return 4.0 / (3.0 * (stages**2 + stages - 2.0))


@lru_cache(maxsize=256)
def later_stages(stages: int) -> tuple[Stage, ...]:
    """Stages 2 to ``stages``."""
    weight = 4.0 / (stages**2 + stages - 2.0)
    b = [1.0 / 3.0] * 3 + [(j * j + j - 2.0) / (2.0 * j * (j + 1.0)) for j in range(3, stages + 1)]
    found = []
    for j in range(2, stages + 1):
        mu = (2.0 * j - 1.0) / j * b[j] / b[j - 1]
        nu = -(j - 1.0) / j * b[j] / b[j - 2]
        now = mu * weight
        found.append(Stage(mu, nu, now, -(1.0 - b[j - 1]) * now))
    return tuple(found)


def stage_count(steps_of_decay: float) -> int:
    """Stages that keep a step of ``step * fastest decay rate`` stable, at least 3.

    With 5 % in hand, so that an even number, which leaves a mode at the very end of the stable range as it is, damps
    what there is as an odd one does: by a factor of 0.7 at the most.
    """
    return max(3, int(np.ceil(0.5 * (np.sqrt(9.0 + 8.0 * 1.05 * steps_of_decay) - 1.0))))


def integrate(first: Array, step: float, stages: int, run: Callable[[Stage], Array]) -> Array:
    """Time integral of the lines of a ledger over a step, J.

    ``first`` W are the lines at its start; ``run`` does one stage on the field and returns the lines (W) of the stage
    before, from which it was made.
    """
    before, here = np.zeros_like(first), first_weight(stages) * step * first
    for stage in later_stages(stages):
        lines = run(stage)
        now = stage.mu * here + stage.nu * before + step * (stage.now * lines + stage.start * first)
        before, here = here, now
    return here
