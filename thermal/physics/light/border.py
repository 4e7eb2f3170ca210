"""The border of the body as light meets it: reflection at the skin, and faces of the window that are something else."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from thermal.domain import FACES, SURFACE
from thermal.engine import Engine
from thermal.units import Array


def border_factor(refractive_index: float) -> float:
    """A of the partial-current condition for tissue of this index against air.

    ``A = (1 + r_d) / (1 - r_d)`` and ``r_d = -1.440/n^2 + 0.710/n + 0.668 + 0.0636 n`` (W. G. Egan, T. W. Hilgeman,
    Optical Properties of Inhomogeneous Materials, 1979; R. A. J. Groenhuis et al., Appl. Opt. 22 (1983) 2456; sources
    unverified).
    """
    n = refractive_index
    reflected = -1.440 / n**2 + 0.710 / n + 0.668 + 0.0636 * n
    return (1.0 + reflected) / (1.0 - reflected)


def refraction(cosine: Array, refractive_index: float) -> tuple[Array, Array]:
    """Cosine of the angle to the normal in tissue, and Fresnel's share of unpolarised light that is reflected, of rays
    that come from air at an angle of this ``cosine``; shapes of ``cosine``."""
    n = refractive_index
    inside = np.sqrt(1.0 - (1.0 - cosine**2) / n**2)
    across, along = (cosine - n * inside) / (cosine + n * inside), (n * cosine - inside) / (n * cosine + inside)
    return inside, 0.5 * (across**2 + along**2)


@dataclass(frozen=True)
class Border:
    """Refractive index of the tissue at the body's border, the faces of the window that meet air, and those that are
    planes of symmetry."""

    refractive_index: float
    air: frozenset[str] = frozenset()
    mirrors: frozenset[str] = frozenset()


def border_factors(engine: Engine, border: Border, air: frozenset[str]) -> dict[str, float]:
    """A of each border: the skin and the faces in ``air`` meet air; other faces let light out into more tissue, but for
    mirrors, which let out none."""
    outside = border_factor(border.refractive_index)
    open_faces = [name for name in FACES if name in engine.areas and name not in border.mirrors]
    factors = {name: outside if name in air else 1.0 for name in open_faces}
    return factors | ({SURFACE: outside} if SURFACE in engine.areas else {})
