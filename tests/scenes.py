"""Small voxel anatomies for physics tests: a cube of tissue around the origin with regions given by functions."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from thermal.domain import VoxelDomain
from thermal.engines.voxel import VoxelEngine
from thermal.physics.delivery import Site
from thermal.physics.scene import Held, Payload, Scene, State
from thermal.physics.tissue import Tissue, Tissues
from thermal.units import Array

MM = 1e-3
TISSUE: dict[str, Any] = {
    "density": "1060 kg/m^3",
    "heat_capacity": "3600 J/kg/K",
    "conductivity": "0.5 W/m/K",
    "electrical_conductivity": "0.33 S/m",
    "electrical_conductivity_slope": "0 1/K",
    "porosity": 0.2,
    "hydraulic_conductivity": "1e-12 m^2/Pa/s",
}
Share = Callable[[Array], Array]
"""Cell centres (m, 3) -> share of the region (m,)."""


def cube(
    half: float,
    spacing: float,
    regions: Mapping[str, Share] | None = None,
    solid: Share | None = None,
    shift: float = 0.0,
) -> VoxelEngine:
    """Voxels of edge ``spacing`` m in a cube of half edge ``half`` m; what no region claims is ``tissue``.

    ``shift`` (in cells) moves the grid against the origin.
    """
    count = round(2 * half / spacing)
    axis = (np.arange(count + 1) - count / 2 + shift) * spacing
    middle = 0.5 * (axis[1:] + axis[:-1])
    centres = np.stack(np.meshgrid(middle, middle, middle, indexing="ij"), -1).reshape(-1, 3)
    shares = {name: np.asarray(share(centres), dtype=float) for name, share in (regions or {}).items()}
    rest = 1.0 - np.sum(list(shares.values()), axis=0) if shares else np.ones(len(centres))
    inside = np.ones(len(centres), dtype=bool) if solid is None else np.asarray(solid(centres), dtype=bool)
    return VoxelEngine(VoxelDomain((axis, axis.copy(), axis.copy()), {**shares, "tissue": rest}, inside))


def tumour_in_liver(size: int, voxel_size: int, radius: int) -> str:
    """The head of a case file: a ball of tumour in the middle of a cube of liver that begins at the origin; mm."""
    return f"""
schema_version = 1
[anatomy]
kind = "phantom"
size = "{size} mm"
origin = ["0 mm", "0 mm", "0 mm"]
voxel_size = "{voxel_size} mm"
background = "liver"
tumour = "tumour"
[[anatomy.shapes]]
shape = "sphere"
region = "tumour"
centre = ["{size / 2:g} mm", "{size / 2:g} mm", "{size / 2:g} mm"]
radius = "{radius} mm"
"""


def ball(radius: float, centre: tuple[float, float, float] = (0.0, 0.0, 0.0)) -> Share:
    """Cells whose centre lies in a sphere."""
    return lambda x: np.linalg.norm(x - np.asarray(centre), axis=1) < radius


def tissues(engine: VoxelEngine, overrides: Mapping[str, Mapping[str, Any]] | None = None, **common: Any) -> Tissues:
    """Every region with the reference tissue, changed by ``common`` and then by ``overrides`` of a region."""
    return Tissues(
        engine,
        {
            name: Tissue.model_validate({**TISSUE, **common, **(overrides or {}).get(name, {})})
            for name in engine.shares
        },
    )


def nothing_held(engine: VoxelEngine) -> Held:
    """No node."""
    return Held(np.zeros(engine.volume.shape, dtype=bool), np.zeros(engine.volume.shape))


def on_faces(engine: VoxelEngine, value: Array | float = 0.0) -> Held:
    """The outermost nodes."""
    axes = engine.domain.axes
    mask = np.any([np.isclose(engine.points[:, a], axes[a][e]) for a in range(3) for e in (0, -1)], axis=0)
    return Held(mask, np.broadcast_to(np.asarray(value, dtype=float), mask.shape).copy())


def scene(
    engine: VoxelEngine,
    tissue: Tissues | None = None,
    payload: Payload | None = None,
    grounded: Held | None = None,
    duration: float = 600.0,
    temperature: float = 37.0,
) -> Scene:
    """What a heating kind looks at."""
    return Scene(
        engine,
        tissue or tissues(engine),
        payload,
        grounded or nothing_held(engine),
        duration,
        np.full(engine.volume.shape, temperature),
    )


def site(
    engine: VoxelEngine,
    tissue: Tissues | None = None,
    tumour: str = "",
    pressure: Held | None = None,
    concentration: Held | None = None,
) -> Site:
    """What a delivery kind looks at."""
    return Site(
        engine,
        tissue or tissues(engine),
        tumour,
        pressure or nothing_held(engine),
        concentration or nothing_held(engine),
    )


def at(engine: VoxelEngine, time: float, temperature: float | Array = 37.0) -> State:
    """A state without damage."""
    return State(time, np.broadcast_to(np.asarray(temperature, dtype=float), engine.volume.shape).copy(), {})
