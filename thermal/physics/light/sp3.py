"""Simplified P3 approximation: two coupled diffusion equations, for tissue that absorbs as strongly as it scatters.

With ``mu_n = mu_a + mu_s (1 - g^n)``, the fluence ``phi = p - 2/3 q`` and the isotropic source S,

    -div(grad p / (3 mu_1)) + mu_a p = 2/3 mu_a q + S
    -div(grad q / (7 mu_3)) + (4/9 mu_a + 5/9 mu_2) q = 2/3 mu_a p - 2/3 S

(E. W. Larsen, G. Thoemmes, A. Klar, M. Seaid, T. Goetz, J. Comput. Phys. 183 (2002) 652; A. D. Klose, E. W. Larsen, J.
Comput. Phys. 220 (2006) 441, doi:10.1016/j.jcp.2006.07.007; sources from memory, equations derived again and tested
against exact transport). In an endless even medium it is P3 itself. Light is followed to its first collision, with a
forward peak of weight g^2 (see :mod:`thermal.physics.light.delta_p1`), which leaves mu_1, mu_2 and mu_3 as they are and
the first scattering without a second moment; the lean ``-div(m_1 / mu_1)`` of its first moment adds to the first
equation's source, and that of the third, ``-div(m_3 / mu_3)`` with ``m_3 = -g m_1``, to the second one's. At the border
Marshak's conditions with Fresnel's reflection hold.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Literal

import numpy as np

from thermal.domain import FACES, SURFACE
from thermal.engine import Engine, NotConvergedError
from thermal.physics.fading import fitted
from thermal.physics.light.border import Border
from thermal.physics.light.diffusion import particle_share
from thermal.physics.light.medium import LONGEST_FREE_PATH, Medium
from thermal.physics.light.model import CLOSED, Lamp, Light, absorbed_in_cells
from thermal.units import Array, Spec

MOST_ROUNDS = 200
"""Of the exchange between both equations, whose error falls by more than a half in each."""
LEAST_RATIO = 0.5
"""mu_s' / mu_a above which the approximation is trusted."""
MINOR_SHARE = 0.01
"""Share of the absorbed power that may lie where it is not."""
SAFE = 1e-11
"""Relative residual that round-off lets both equations reach on any grid."""


class SimplifiedP3(Spec):
    """Simplified P3 approximation: first collisions, and two coupled diffusion equations for what they scatter.

    Holds where absorption is no longer small beside scattering; costs a few times as much as diffusion.
    """

    model: Literal["sp3"]

    def solve(
        self, engine: Engine, medium: Medium, lamps: tuple[Lamp, ...], border: Border, tolerance: float = CLOSED
    ) -> Light:
        """See :meth:`~thermal.physics.light.model.LightModel.solve`."""
        emissions = [lamp.source.first_collisions(engine, medium, lamp.power, border) for lamp in lamps]
        air = border.air.union(*(emission.entry_faces for emission in emissions))
        nothing = np.zeros_like(engine.volume)
        source, leaning, third, ballistic, fluence = (
            sum((getattr(emission, name) for emission in emissions), nothing)
            for name in ("diffuse", "leaning", "third", "absorbed", "fluence")
        )
        borders = _borders(engine, border, air)
        absorption = medium.absorption(engine)
        first, second = _coupled(
            engine, medium, absorption, borders, (source, third - 2.0 / 3.0 * (source - leaning)), tolerance
        )
        diffuse = first - 2.0 / 3.0 * second
        absorbed = absorption * engine.volume * diffuse + ballistic
        left = {name: float(engine.areas[name] @ out.of_first(first, second)) for name, out in borders.items()}
        missed = sum(emission.escaped for emission in emissions)
        by_particles = particle_share(medium, absorption)
        return Light(
            fluence=diffuse + fluence,
            absorbed_tissue=absorbed * (1.0 - by_particles),
            absorbed_particles=absorbed * by_particles,
            power=sum(lamp.power for lamp in lamps),
            escaped=sum(left.values()) + missed,
            reflected=sum(emission.reflected for emission in emissions),
            left={name: power for name, power in left.items() if engine.areas[name].any()},
            missed=missed,
            air=air,
        )

    def doubts(self, engine: Engine, medium: Medium, light: Light, lamps: tuple[Lamp, ...]) -> tuple[str, ...]:
        """Where scattering is small beside absorption."""
        share, absorption = absorbed_in_cells(engine, light), medium.absorption_in_cells(engine)
        beyond = float(np.sum(share[medium.scattering < LEAST_RATIO * absorption]))
        if beyond <= MINOR_SHARE:
            return ()
        return (
            f"{100 * beyond:.0f} % of the absorbed power lies where mu_s' < {LEAST_RATIO:g} mu_a; there the simplified "
            'P3 approximation is doubtful; compare with heating.light = { model = "monte_carlo" }',
        )


@dataclass(frozen=True)
class Outflow:
    """What leaves through a border for values of p and q there: ``rows`` (2, 2), the first of p's equation."""

    rows: Array

    def of_first(self, first: Array, second: Array) -> Array:
        """W/m2 that leave, (n,)."""
        return np.asarray(self.rows[0, 0] * first + self.rows[0, 1] * second)


@lru_cache(maxsize=16)
def outflow(refractive_index: float) -> Outflow:
    """Marshak's conditions of P3 where tissue of this index meets air; index 1: where it meets more of the same.

    Of the inward radiance ``psi(-m) = R(m) psi(m)`` the moments with P1 and P3 over the half-range are to hold, with
    Fresnel's reflectance R and ``psi = sum (2 n + 1) / 2 phi_n P_n`` up to n = 3. They give phi_1 and phi_3, the flows
    of both equations, from phi_0 = p - 2/3 q and phi_2 = q / 3.
    """
    critical = np.sqrt(max(0.0, 1.0 - 1.0 / refractive_index**2))
    nodes, weights = np.polynomial.legendre.leggauss(64)
    moments = np.zeros((2, 4))
    for low, high in ((0.0, critical), (critical, 1.0)) if critical > 0.0 else ((0.0, 1.0),):
        # finer towards the critical angle, where the reflectance has a root
        inner = 0.5 * (nodes + 1.0)
        cosine = low + (high - low) * inner**2
        weight = weights * (high - low) * inner
        reflected = _fresnel(refractive_index, cosine)
        legendre = np.polynomial.legendre.legvander(cosine, 3)
        for row, odd in enumerate((1, 3)):
            for n in range(4):
                passed = (-1.0) ** n - reflected
                moments[row, n] += (n + 0.5) * np.sum(weight * legendre[:, odd] * legendre[:, n] * passed)
    flows = -np.linalg.solve(moments[:, 1::2], moments[:, 0::2])
    return Outflow(flows @ np.array([[1.0, -2.0 / 3.0], [0.0, 1.0 / 3.0]]))


def _fresnel(index: float, cosine: Array) -> Array:
    """Reflectance of unpolarised light from inside, total beyond the critical angle."""
    beyond = np.sqrt(np.maximum(1.0 - index**2 * (1.0 - cosine**2), 0.0))
    across = (index * cosine - beyond) / (index * cosine + beyond)
    along = (index * beyond - cosine) / (index * beyond + cosine)
    return np.asarray(np.where(beyond > 0.0, 0.5 * (across**2 + along**2), 1.0))


def _borders(engine: Engine, border: Border, air: frozenset[str]) -> dict[str, Outflow]:
    """Outflow of each border: the skin and the faces in ``air`` meet air, other faces more tissue, mirrors nothing."""
    outside, same = outflow(border.refractive_index), outflow(1.0)
    open_faces = [name for name in FACES if name in engine.areas and name not in border.mirrors]
    found = {name: outside if name in air else same for name in open_faces}
    return found | ({SURFACE: outside} if SURFACE in engine.areas else {})


def _coupled(
    engine: Engine,
    medium: Medium,
    absorption: Array,
    borders: Mapping[str, Outflow],
    sources: tuple[Array, Array],
    tolerance: float,
) -> tuple[Array, Array]:
    """p and q (n,) of the ``sources`` (n,) W of their equations.

    The equations are solved in turn, the first one last, so that the books close as well as it is solved. Raises
    :class:`~thermal.engine.NotConvergedError`.
    """
    volume, tolerance = engine.volume, max(tolerance, SAFE)
    leak = np.zeros((2, 2, len(volume)))
    for name, out in borders.items():
        leak += out.rows[:, :, None] * engine.areas[name]
    cells = medium.absorption_in_cells(engine)
    whole = medium.scattering / (1.0 - medium.anisotropy)
    of = [np.maximum(cells + whole * (1.0 - medium.anisotropy**n), 1.0 / LONGEST_FREE_PATH) for n in range(4)]
    own = 4.0 / 9.0 * absorption + 5.0 / 9.0 * (absorption + engine.to_nodes(whole * (1.0 - medium.anisotropy**2)))
    spread = fitted(medium.effective_attenuation(engine), engine.stencil_edge)
    one = engine.solver(engine.conductance(spread / (3.0 * of[1])), absorption * volume + leak[0, 0])
    two = engine.solver(engine.conductance(spread / (7.0 * of[3])), own * volume + leak[1, 1])
    shared = 2.0 / 3.0 * absorption * volume
    to_first, to_second = shared - leak[0, 1], shared - leak[1, 0]
    scale = float(np.linalg.norm(sources[0]))
    first = one.solve(sources[0], tolerance=tolerance)
    second = np.zeros_like(first)
    for _ in range(MOST_ROUNDS):
        second = two.solve(to_second * first + sources[1], guess=second, tolerance=tolerance)
        before, first = first, one.solve(sources[0] + to_first * second, guess=first, tolerance=tolerance)
        if np.linalg.norm(to_second * (first - before)) <= 10.0 * tolerance * scale:
            return first, second
    raise NotConvergedError(
        f"heating.light: both equations of the simplified P3 approximation still disagree after {MOST_ROUNDS} rounds; "
        'use heating.light = { model = "monte_carlo" }'
    )
