"""A drug in tissue: in its carrier, free, taken up, cleared; at every node by itself, but for diffusion.

With the release rate k(T) and the rates u of uptake and w of clearance, per volume of tissue,

    dc/dt = -k c,   df/dt = k c - (u + w) f,   dU/dt = u f,   dW/dt = w f,   dE/dt = f

for what is in the carrier (c), free (f), taken up (U), cleared (W), and the exposure (E). In a step k is its mean
there, which makes c exact wherever the temperature is linear in time, and all else where it is steady.
Then what is free diffuses for the step (explicit, in parts short enough that nothing becomes negative).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from thermal.engine import Operator
from thermal.physics.drug.release import Release
from thermal.physics.scene import Reading
from thermal.units import Array

CARRIED, FREE, TAKEN_UP, CLEARED, EXPOSURE, PEAK = range(6)
"""Rows of the state: kg/m3 of tissue, but for the exposure, kg s/m3; the peak is that of what is free."""
NEAR = 1e-4
"""Difference of two exponents below which a divided difference is taken as the derivative between them."""
MOST_EXCHANGED = 0.4
"""Share of what a node holds that it may give to its neighbours at once."""
LITTLE = 1e-3
"""Exponent below which (1 - exp(-x)) / x and its derivative are taken from their series."""


@dataclass(frozen=True)
class Drug:
    """The drug at the ``nodes`` (m,) of ``size`` that hold carriers.

    ``loaded`` (m,) kg/m3 of tissue at the start, ``volume`` and ``tumour`` (m,) m3 of tissue and of tumour there,
    ``clearance`` (m,) 1/s, ``diffusion`` the conductance of its diffusivity, and then the nodes are all. The state is
    an array (6, m).
    """

    release: Release | None
    free_share: float
    uptake: float
    clearance: Array
    lethal_exposure: float | None
    nodes: npt.NDArray[np.intp]
    size: int
    loaded: Array
    volume: Array
    tumour: Array
    diffusion: Operator | None = None

    def initial(self) -> Array:
        """Before anything was released but the free share."""
        state = np.zeros((6, len(self.nodes)))
        state[CARRIED] = (1.0 - self.free_share) * self.loaded
        state[FREE] = state[PEAK] = self.loaded - state[CARRIED]
        return state

    def accumulate(self, state: Array, start: Array, end: Array, step: float, perfused: Array | float = 1.0) -> Array:
        """State after ``step`` s in which the temperature (n,) went linearly from ``start`` to ``end`` degC.

        ``perfused``: (n,) share of the perfusion that is left, which carries off what is free.
        """
        if self.release is None:
            gathered = np.zeros(len(self.nodes))
        else:
            gathered = self.release.gathered(start[self.nodes], end[self.nodes], step)
        clearance = self.clearance * (perfused[self.nodes] if isinstance(perfused, np.ndarray) else perfused)
        rate = self.uptake + clearance
        losing = rate * step
        after = np.empty_like(state)
        given = -np.expm1(-gathered) * state[CARRIED]
        after[CARRIED] = state[CARRIED] - given
        before = np.exp(-np.minimum(gathered, losing)) * _mean_decay(np.abs(losing - gathered))
        after[FREE] = state[FREE] * np.exp(-losing) + state[CARRIED] * gathered * before
        lost = np.maximum(state[FREE] + given - after[FREE], 0.0)
        after[FREE] = state[FREE] + given - lost  # the books close to the last digit
        taken = lost * np.divide(self.uptake, rate, out=np.zeros_like(rate), where=rate > 0)
        after[TAKEN_UP] = state[TAKEN_UP] + taken
        after[CLEARED] = state[CLEARED] + lost - taken
        lasting = state[FREE] * _mean_decay(losing) + state[CARRIED] * gathered * _between(gathered, losing)
        after[EXPOSURE] = state[EXPOSURE] + step * lasting
        if self.diffusion is not None:
            after[FREE] = self._diffused(self.diffusion, after[FREE], step)
        after[PEAK] = np.maximum(state[PEAK], after[FREE])
        return after

    def _diffused(self, diffusion: Operator, free: Array, step: float) -> Array:
        """(m,) kg/m3 that are free, ``step`` s later, by diffusion alone; none leaves the tissue.

        Bad tetrahedra conduct uphill: what would become negative is then taken off all others in proportion.
        """
        fastest = np.maximum(diffusion.diagonal, 0.5 * diffusion.bound)[self.nodes] / self.volume
        parts = max(1, int(np.ceil(step * float(np.max(fastest, initial=0.0)) / MOST_EXCHANGED)))
        spread = self._everywhere(free)
        for _ in range(parts):
            spread[self.nodes] -= (step / parts) * diffusion(spread)[self.nodes] / self.volume
            if np.min(spread, initial=0.0) < 0.0:
                whole = float(spread[self.nodes] @ self.volume)
                spread = np.maximum(spread, 0.0)
                spread *= max(whole, 0.0) / float(spread[self.nodes] @ self.volume)
        return np.asarray(spread[self.nodes])

    def survival(self, state: Array) -> Array | None:
        """(m,) share of the cells that the drug leaves alive; None where no kill law was given."""
        if self.lethal_exposure is None:
            return None
        return np.asarray(np.exp(-np.minimum(state[EXPOSURE] / self.lethal_exposure, 700.0)))

    def fields(self, state: Array) -> dict[str, tuple[Array, str]]:
        """Nodal fields (n,) with their units; zero where there are no carriers."""
        once = self.loaded > 0
        released = 1.0 - np.divide(state[CARRIED], self.loaded, out=np.ones_like(self.loaded), where=once)
        found = {
            "drug_in_carrier": (state[CARRIED], "kg/m^3"),
            "drug_released": (released, ""),
            "drug_free": (state[FREE], "kg/m^3"),
            "drug_taken_up": (state[TAKEN_UP], "kg/m^3"),
            "drug_exposure": (state[EXPOSURE], "kg*s/m^3"),
        }
        alive = self.survival(state)
        if alive is not None:
            found["drug_killed"] = (1.0 - alive, "")
        return {name: (self._everywhere(values), unit) for name, (values, unit) in found.items()}

    def _everywhere(self, values: Array) -> Array:
        whole = np.zeros(self.size)
        whole[self.nodes] = values
        return whole

    def ledger(self, state: Array) -> dict[str, float]:
        """kg loaded at the start, and in every place where it is."""
        rows = {"in_carrier": CARRIED, "free": FREE, "taken_up": TAKEN_UP, "cleared": CLEARED}
        loaded = float(self.loaded @ self.volume)
        return {"loaded": loaded, **{name: float(state[row] @ self.volume) for name, row in rows.items()}}

    def readings(self, state: Array, tumour_volume: float) -> Mapping[str, Reading]:
        """The ledger and what the tumour (of ``tumour_volume`` m3) got of the drug, for the summary."""
        lines = self.ledger(state)
        loaded = lines["loaded"]
        gap = abs(loaded - sum(amount for name, amount in lines.items() if name != "loaded"))
        found = {f"drug.{name}": Reading(amount, "kg") for name, amount in lines.items()}
        found["drug.released_fraction"] = Reading(1.0 - lines["in_carrier"] / loaded if loaded > 0 else 0.0, "")
        found["ledger.drug_error"] = Reading(gap / loaded if loaded > 0 else 0.0, "")
        if tumour_volume <= 0.0:
            return found
        here = float(self.loaded @ self.tumour)
        inside = {row: float(state[row] @ self.tumour) for row in (CARRIED, TAKEN_UP, EXPOSURE)}
        healthy = float(state[TAKEN_UP] @ (self.volume - self.tumour))
        met = self.tumour > 0
        found |= {
            "drug.tumour_released_fraction": Reading(1.0 - inside[CARRIED] / here if here > 0 else 0.0, ""),
            "drug.tumour_taken_up": Reading(inside[TAKEN_UP], "kg"),
            "drug.healthy_taken_up": Reading(healthy, "kg"),
            "drug.tumour_exposure": Reading(inside[EXPOSURE] / tumour_volume, "kg*s/m^3"),
            "drug.tumour_peak_concentration": Reading(float(np.max(state[PEAK], where=met, initial=0.0)), "kg/m^3"),
        }
        alive = self.survival(state)
        if alive is not None:
            found["drug.tumour_killed"] = Reading(float((1.0 - alive) @ self.tumour) / tumour_volume, "")
        return found


def _mean_decay(x: Array) -> Array:
    """(1 - exp(-x)) / x for x >= 0: the mean of exp(-t) for t from 0 to x."""
    return np.where(x > 0.0, -np.expm1(-x) / np.where(x > 0.0, x, 1.0), 1.0)


def _between(a: Array, b: Array) -> Array:
    """(E(a) - E(b)) / (b - a) with E of :func:`_mean_decay`: the mean over a step of what a gives and b takes."""
    apart = np.abs(b - a) > NEAR
    middle = 0.5 * (a + b)
    safe = np.maximum(middle, LITTLE)
    exact = (1.0 - np.exp(-safe) * (1.0 + safe)) / safe**2
    slope = np.where(middle > LITTLE, exact, 0.5 - middle / 3.0 + middle**2 / 8.0)
    return np.where(apart, (_mean_decay(a) - _mean_decay(b)) / np.where(apart, b - a, 1.0), slope)
