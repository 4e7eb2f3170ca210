"""The Pennes bioheat equation of one anatomy: tissue, blood, surroundings.

``d(rho c v)/dt = div(k(T) grad T) + w rho_b c_b (T_a - T) + q`` (H. H. Pennes, J. Appl. Physiol. 1 (1948) 93-122), with
the enthalpy as its state (:mod:`thermal.enthalpy`), so that every nonlinearity is evaluated where it stands.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np

from thermal.engine import Engine
from thermal.enthalpy import Conductivity, CutConductivity, Enthalpy, Nodes
from thermal.heat import Action, HeatProblem, HeatStepper, Precision, Touch
from thermal.machine import give_back
from thermal.physics.scene import Contact, Drive, Held
from thermal.units import Array, Mask, Real


@dataclass(frozen=True)
class Surroundings:
    """What the tissue exchanges heat with besides blood and probes.

    ``film`` (n,) W/K towards outside temperatures, ``load`` (n,) W: film times the outside temperature (degC) plus
    prescribed flux. ``held``: nodes at a prescribed temperature.
    """

    film: Array
    load: Array
    held: Held


@dataclass(frozen=True)
class Bioheat:
    """The bioheat equation on one engine.

    ``capacity`` gives (n,) J/K: ``rho c`` of unfrozen tissue times the nodal volume, made when it is asked for.
    ``perfusion`` (n,) W/K: ``w rho_b c_b`` times the nodal volume of living tissue at full flow, in the working
    precision, as conductivities are in the march. ``metabolic`` (n,) W.
    """

    engine: Engine
    heat: Enthalpy
    capacity: Callable[[], Array]
    cells: Conductivity
    at_nodes: Callable[[], Conductivity]
    """the same at nodes, which probes and ice ask for alone"""
    perfusion: Real
    arterial_temperature: float
    metabolic: Array
    surroundings: Surroundings
    cuts: CutConductivity | None = None
    """edges beside cells that hold regions of different conductivity"""

    @cached_property
    def nodes(self) -> Conductivity:
        """Conductivity at the nodes."""
        return self.at_nodes()

    @cached_property
    def warms_itself(self) -> bool:
        """Whether there is metabolic heat anywhere."""
        return bool(self.metabolic.any())

    @cached_property
    def _steppers(self) -> dict[Precision, HeatStepper]:
        return {}

    def let_go(self) -> None:
        """No step follows soon: forget what marches it, which can be made again."""
        self._steppers.clear()

    @cached_property
    def _touched(self) -> list[tuple[Array, Nodes, Array, Conductivity]]:
        """For each ``Contact.factor`` met so far: the nodes touched, its values there and their conductivity."""
        return []

    def stepper(self, precision: Precision) -> HeatStepper:
        """What marches it in time; the same one again when asked again.

        Raises ``ValueError`` for coefficients that no tissue has.
        """
        if precision not in self._steppers:
            capacity = self.capacity()
            self._check(capacity)
            self.engine.let_go()  # making the stepper takes most of all
            around, arterial = self.surroundings, self.arterial_temperature
            surroundings = (around.film, around.load, self.perfusion, self.cuts)
            problem = HeatProblem(self.heat, capacity, self.cells, arterial, *surroundings)
            self._steppers[precision] = self.engine.stepper(problem, precision)
            del capacity, problem  # with all else that only set-up needed, before the march takes its own
            self.engine.let_go()
            give_back()
        return self._steppers[precision]

    def _check(self, capacity: Array) -> None:
        """Raise ``ValueError`` for a coefficient in the body that is negative, infinite or NaN, or no capacity."""
        smallest = np.nextafter(0.0, 1.0)
        for what, values, least in (
            ("heat capacity (J/K)", capacity, smallest),
            ("perfusion (W/K)", self.perfusion, 0.0),
            ("film (W/K)", self.surroundings.film, 0.0),
            ("conductivity (W/m/K)", self.cells.at_37, 0.0),
        ):
            if values.size == 0 or least <= float(values.min()) <= float(values.max()) < np.inf:
                continue
            engine = self.engine
            inside = (engine.cell_volume if values is self.cells.at_37 else engine.volume) > 0.0
            if (bad := np.flatnonzero(inside & ~((values >= least) & (values < np.inf)))).size:
                range_ = "above zero" if least else "not negative"
                raise ValueError(
                    f"{what}: {bad.size} of {np.count_nonzero(inside)} values are out of range, the first is number "
                    f"{bad[0]} with {values[bad[0]]:g}; all must be finite and {range_}"
                )

    def action(self, drive: Drive, living: Array | None, free: Mask, held_at_end: Array | None = None) -> Action:
        """What acts during a step; ``living`` (n,) is the remaining share of the perfusion, None for all of it.

        ``held_at_end``: see :class:`thermal.heat.Action`.
        """
        return Action(
            self._with_metabolism(drive.power) if self.warms_itself else drive.power,
            self.perfusion if living is None else self._perfused(living),
            free,
            tuple(self.touch(contact) for contact in drive.contacts),
            held_at_end,
        )

    def _perfused(self, share: Array | float) -> Real:
        return np.multiply(self.perfusion, share, dtype=self.perfusion.dtype, casting="same_kind")

    def perfused(self, share: Array | float) -> Bioheat:
        """The same with a ``share`` of the perfusion, (n,) or everywhere."""
        return replace(self, perfusion=self._perfused(share))

    def _with_metabolism(self, power: Array) -> Array:
        """(n,) W; for the same array again the same one again."""
        if self._summed[0] is not power:
            self._summed[:] = power, power + self.metabolic
        return self._summed[1]

    @cached_property
    def _summed(self) -> list[Array]:
        return [self.metabolic, self.metabolic]

    def touch(self, contact: Contact) -> Touch:
        """A probe's contact, reduced to the nodes that it touches."""
        if not any(whole is contact.factor for whole, *_ in self._touched):
            nodes = np.flatnonzero(contact.factor)
            self._touched.append((contact.factor, nodes, contact.factor[nodes], self.nodes.take(nodes)))
        _, nodes, factor, conductivity = next(entry for entry in self._touched if entry[0] is contact.factor)
        film = np.broadcast_to(np.asarray(contact.film, dtype=float), contact.factor.shape)[nodes]
        return Touch(nodes, factor, film, contact.temperature, conductivity, contact.change)
