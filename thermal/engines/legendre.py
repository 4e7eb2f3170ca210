"""Runge-Kutta-Legendre steps of second order: ``s`` evaluations for an explicit step that grows like ``s^2``.

C. D. Meyer, D. S. Balsara, T. D. Aslam, J. Comput. Phys. 257 (2014) 594-626.
"""

from __future__ import annotations

from functools import lru_cache

import numpy as np

from thermal.scheme import Scheme, Stage

FEWEST_STAGES = 2
"""Of a step: with one there is no second order."""


@lru_cache(maxsize=256)
def legendre(stages: int) -> Scheme:
    """The scheme of so many ``stages``, at least 2."""
    weight = 4.0 / (stages**2 + stages - 2.0)
    b = [1.0 / 3.0] * 3 + [(j * j + j - 2.0) / (2.0 * j * (j + 1.0)) for j in range(3, stages + 1)]
    found = []
    for j in range(2, stages + 1):
        mu = (2.0 * j - 1.0) / j * b[j] / b[j - 1]
        nu = -(j - 1.0) / j * b[j] / b[j - 2]
        now = mu * weight
        found.append(Stage(mu, nu, now, -(1.0 - b[j - 1]) * now))
    return Scheme(weight / 3.0, tuple(found))


def stage_count(steps_of_decay: float) -> int:
    """Stages that keep a step of ``step * fastest decay rate`` stable, at least 3.

    With 5 % in hand, so that an even number, which leaves a mode at the very end of the stable range as it is, damps
    what there is as an odd one does: by a factor of 0.7 at the most.
    """
    return max(3, int(np.ceil(0.5 * (np.sqrt(9.0 + 8.0 * 1.05 * steps_of_decay) - 1.0))))
