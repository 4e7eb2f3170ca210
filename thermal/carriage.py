"""What physics and engine say to each other about particles that ride on a flow through pores.

The pore concentration c obeys, in the pore volume C of each node,

``C dc/dt = sum_edges (m f c + E dc) + inflow (inlet - c)... - m leaving c - C (loss + sticking) c + C loosening s``

with the volume flows f along the edges of a Darcy solve, the speed m of the particles over that of the fluid, and the
exchange E of an edge: its diffusive conductance, and ``dispersivity |m f| / length``. ``s`` sticks to the tissue.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import numpy as np

from thermal.units import Array, Mask


@dataclass
class Cargo:
    """Particles in tissue; :meth:`Transport.advance` changes the arrays in place.

    ``concentration`` (n,) kg per m3 of pore fluid; ``stuck`` (n,) kg on the tissue; since the start, ``left`` (n,) kg
    went away with fluid, ``lost`` (n,) kg were removed, and ``held`` kg were given by nodes of fixed concentration.
    """

    concentration: Array
    stuck: Array
    left: Array
    lost: Array
    held: float = 0.0

    @staticmethod
    def empty(size: int) -> Cargo:
        """No particles."""
        return Cargo(np.zeros(size), np.zeros(size), np.zeros(size), np.zeros(size))


@dataclass(frozen=True)
class Carriage:
    """What moves particles along a steady flow, and what takes them out of it. Arrays are (n,).

    ``capacity``: m3 of pores, zero outside the body. ``inflow``: m3/s of fluid that enters at a node with particles at
    the concentration ``inlet`` (kg/m3). ``leaving``: m3/s of fluid that leaves with the particles in it. ``loss``: 1/s
    of first-order removal. ``fixed``: nodes whose concentration stays as it is.

    ``sticking``: 1/s at which particles stick to clean tissue; the rate falls to zero as ``stuck`` comes near ``room``
    (kg, may be infinite). ``loosening``: 1/s at which they come off again.

    ``speed``: of the particles over that of the fluid, above 0. ``dispersivity``: m, along the flow.
    """

    capacity: Array
    inflow: Array
    inlet: Array
    leaving: Array
    loss: Array
    fixed: Mask
    sticking: Array
    room: Array
    loosening: float = 0.0
    speed: float = 1.0
    dispersivity: float = 0.0


class Transport(Protocol):
    """Transport along the edge fluxes ``G_ij (p_i - p_j)`` of one flow.

    Second order where the concentration is smooth; conservative to round-off; never negative; never above what is
    there and what flows in, where no fluid leaves without its particles.
    """

    @property
    def outflow(self) -> Array:
        """(n,) volume flow of fluid that leaves each node along its edges, m3/s."""
        ...

    @property
    def uphill_share(self) -> float:
        """Part of the total edge flux that runs against the pressure, 0 to 1: none where no conductance is negative."""
        ...

    def advance(self, cargo: Cargo, step: float) -> None:
        """Carry the particles for ``step`` s, in place. Steps within it follow from the flow at each node."""
        ...
