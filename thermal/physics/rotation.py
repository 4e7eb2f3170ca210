"""Magnetic loss beyond linear response: particles that are free to turn, with moments fixed in them.

The axes of rigid dipoles in an alternating field ``H cos(w t)`` turn towards the field and diffuse (Brown). The
probability p of the cosine x between moment and field obeys Debye's rotational Fokker-Planck equation

    2 tau dp/dt = d/dx [ (1 - x^2) (dp/dx - xi cos(w t) p) ] ,    tau = 3 eta V_H / kT ,    xi = mu0 M_d V H / kT

(P. Debye, Polar Molecules, 1929; M. A. Martsenyuk, Yu. L. Raikher, M. I. Shliomis, Sov. Phys. JETP 38 (1974) 413, both
unverified; derived anew), which is a chain of equations for the means a_l of Legendre polynomials,

    2 tau / (l (l + 1)) da_l/dt = -a_l + xi cos(w t) (a_{l-1} - a_{l+1}) / (2 l + 1) ,    a_0 = 1 .

In the steady cycle a_l has the harmonics of w that are even or odd as l is: a sparse linear system. The loss is that of
the first harmonic of ``M_d a_1``, out of phase. In weak fields it is linear response with Brownian relaxation; in
strong ones it saturates.
"""

from __future__ import annotations

import numpy as np

from thermal.units import VACUUM_PERMEABILITY, Array

STRONGEST = 60.0
"""xi up to which a cycle is solved; its harmonics grow with xi. Beyond, moments are taken to follow as there."""


def turning_loss(langevin: Array, brown_time: float, amplitude: Array, frequency: float, magnetisation: float) -> Array:
    """Loss in W per m3 of particles at xi = ``langevin`` (k,), peak ``amplitude`` (k,) A/m; ``brown_time``: tau, s."""
    late = np.array([_out_of_phase(min(float(xi), STRONGEST), frequency, brown_time) for xi in langevin])
    return np.asarray(np.pi * VACUUM_PERMEABILITY * frequency * magnetisation * amplitude * late)


def _out_of_phase(xi: float, frequency: float, brown_time: float) -> float:
    """Amplitude of the part of a_1 that goes as sin(w t)."""
    from scipy.sparse import csc_array
    from scipy.sparse.linalg import spsolve

    if xi == 0.0:
        return 0.0
    moments = int(8 + np.sqrt(40.0 * xi))  # at rest a_l falls as exp(-l^2 / 2 xi)
    most = int(8 + 1.5 * xi)  # harmonics; a reversal takes 1 / xi of a period
    order, harmonic = (grid.ravel() for grid in np.mgrid[1 : moments + 1, -most : most + 1])
    kept = (order + harmonic) % 2 == 0
    order, harmonic = order[kept], harmonic[kept]
    place = np.full((moments + 2, 2 * most + 3), -1)
    place[order, harmonic + most + 1] = own = np.arange(len(order))
    share = 0.5 * xi / (2 * order + 1)  # cos(w t) gives half of each harmonic to its two neighbours
    rows, columns = [own], [own]
    entries: list[Array] = [1.0 + 4j * np.pi * frequency * brown_time * harmonic / (order * (order + 1))]
    for lower, sign in ((-1, -1.0), (1, 1.0)):
        for beside in (-1, 1):
            other = place[order + lower, harmonic + beside + most + 1]
            there = other >= 0
            rows.append(own[there])
            columns.append(other[there])
            entries.append(sign * share[there])
    size = len(own)
    chain = csc_array((np.concatenate(entries), (np.concatenate(rows), np.concatenate(columns))), shape=(size, size))
    driven = np.where((order == 1) & (np.abs(harmonic) == 1), share, 0.0)  # by a_0 = 1
    found = spsolve(chain, driven.astype(complex))
    return float(-2.0 * found[place[1, most + 2]].imag)
