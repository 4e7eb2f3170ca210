"""Backflow: infusate that opens a gap along the needle and runs back through it, leaking into tissue on its way.

A gap of width ``h = p r / 2 G`` opens along a needle of radius r in tissue of shear modulus G at the pressure p; fluid
of viscosity mu flows in it as between plates, and seeps into tissue of hydraulic conductivity K around it:

``dp/dx = -6 mu q / (pi r h^3)``, ``dq/dx = -lambda p``, ``lambda = 2 pi K / ln(x_m / r)``, ``q(0) = Q``, ``p(x_m) = 0``

The solution is ``p = A (1 - x/x_m)^(2/3)``, ``q = Q (1 - x/x_m)^(5/3)`` with

``x_m^5 = (2/3) (5/3)^4 pi r^4 Q^3 / (48 mu G^3 lambda^4)``,

the scaling of P. F. Morrison et al., Am. J. Physiol. 277 (1999) R1218, doi:10.1152/ajpregu.1999.277.4.R1218 (abstract
as corrected): ``x_m ~ (Q^3 R^4 r^4 / G^3 mu)^(1/5)`` with the resistance R = 1/K. A needle that is shorter than x_m
lets fluid out at the skin.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from thermal.units import Array, Length, PositivePressure, Spec, Viscosity

SETTLED = 1e-10
ROUNDS = 200
SAMPLES = 2000


class Backflow(Spec):
    """Infusate may run back along the needle."""

    needle_radius: Length
    """outer radius of the needle"""
    shear_modulus: PositivePressure
    """of the tissue around it"""
    viscosity: Viscosity = 0.7e-3
    """of the infusate; that of water at 37 degC by default"""

    def along(self, flow: float, conductivity: float, depth: float) -> Track:
        """How ``flow`` m3/s spreads along the needle in tissue of ``conductivity`` m2/Pa/s, ``depth`` m to the skin."""
        radius = self.needle_radius
        length = 10.0 * radius
        for _ in range(ROUNDS):
            seeping = 2.0 * np.pi * conductivity / np.log(max(length, 2.0 * radius) / radius)
            new = self.length(flow, seeping)
            if abs(new - length) <= SETTLED * length:
                break
            length = new
        return self._cut(flow, length, seeping, depth)

    def length(self, flow: float, seeping: float) -> float:
        """x_m in m, for a leak of ``seeping`` m2/Pa/s per length of needle and pressure."""
        shape = (2.0 / 3.0) * (5.0 / 3.0) ** 4 * np.pi / 48.0
        fifth = shape * self.needle_radius**4 * flow**3 / (self.viscosity * self.shear_modulus**3 * seeping**4)
        return float(fifth**0.2)

    def _cut(self, flow: float, length: float, seeping: float, depth: float) -> Track:
        if length <= depth:
            return Track(length, flow, 0.0, 5.0 * flow / (3.0 * seeping * length))
        low, high = 0.0, flow
        for _ in range(60):
            out = 0.5 * (low + high)
            reached, _ = self._shoot(out, seeping, depth)
            low, high = (out, high) if reached < flow else (low, out)
        reached, pressure = self._shoot(out, seeping, depth)
        return Track(depth, flow - out, out, pressure)

    def _shoot(self, out: float, seeping: float, depth: float) -> tuple[float, float]:
        """Flow and pressure at the tip when ``out`` m3/s leave at the skin.

        With q over p^4 the equations read ``d(p^4/4)/dx = -B q``, ``dq/dx = -lambda p``, ``B = 48 mu G^3 / pi r^4``.
        """
        rigid = 48.0 * self.viscosity * self.shear_modulus**3 / (np.pi * self.needle_radius**4)
        step = depth / SAMPLES
        q, fourth = out, 0.0
        for _ in range(SAMPLES):
            middle = q + 0.5 * step * seeping * (4.0 * (fourth + 0.25 * step * rigid * q)) ** 0.25
            fourth += step * rigid * middle
            q += step * seeping * (4.0 * max(fourth - 0.5 * step * rigid * middle, 0.0)) ** 0.25
        return q, float((4.0 * fourth) ** 0.25)


@dataclass(frozen=True)
class Track:
    """``length`` m of wetted needle, the flow ``into_tissue`` and ``out`` at the skin, m3/s, ``pressure`` Pa at the
    tip."""

    length: float
    into_tissue: float
    out: float
    pressure: float

    def shares(self, count: int) -> Array:
        """(count,) of the flow into tissue from each of ``count`` equal parts of the track, from the tip on."""
        edges = np.linspace(0.0, 1.0, count + 1)
        if self.out == 0.0:
            return np.asarray(np.diff(1.0 - (1.0 - edges) ** (5.0 / 3.0)))
        return np.full(count, 1.0 / count)
