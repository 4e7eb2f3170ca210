"""What is in the picture: surfaces in patient millimetres, built from a run folder or from an anatomy."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Protocol

import numpy as np
import pyvista as pv
from scipy import ndimage

from thermal.anatomy.built import VOID
from thermal.domain import AxisymmetricDomain, Domain, VoxelDomain, half_plane
from thermal.physics.scene import Device
from thermal.store import Run
from thermal.units import Array, Mask
from thermal.view import style
from thermal.view.swept import scattered, swept_above, swept_surface

MM = 1e3  # m -> mm
PARTICLE_LEVELS = (0.1, 0.5)
"""Shares of the highest concentration at which the outline of the particle cloud is drawn."""
DOTS = 2500
"""Dots that stand for the particles; each is the same share of the mass in the tissue."""
_BACKGROUND_SHARE = 0.9  # a region that fills more of the body than this is the surroundings, not an organ to draw
_ORGAN_OPACITY = 0.16
_SMALLEST_ORGAN = 0.2e-6  # m3, crumbs at the border of the window are not drawn


@dataclass(frozen=True)
class Layer:
    """One thing to draw.

    ``role``: tumour, vessel, zone, particles, device or organ. ``label``: its line in the legend.
    ``surface``: ``pyvista.PolyData`` in mm.
    """

    role: str
    label: str
    colour: str
    opacity: float
    surface: Any


@dataclass(frozen=True)
class Stage:
    """Everything drawn of one run or one anatomy.

    ``bounds``: (3, 2) the window in mm. ``focus``: (3, 2) the box around what was treated, in mm.
    """

    title: str
    layers: tuple[Layer, ...]
    bounds: Array
    focus: Array

    def of(self, role: str) -> tuple[Layer, ...]:
        """The layers with this role."""
        return tuple(layer for layer in self.layers if layer.role == role)


class AnatomyLike(Protocol):
    """The part of an anatomy that can be drawn before anything is solved."""

    @property
    def domain(self) -> Domain:
        """Cells and regions."""
        ...

    @property
    def tumour(self) -> str | None:
        """Name of the region that is the target."""
        ...


def grid(domain: Domain) -> Any:
    """The domain as a pyvista grid in mm: rectilinear for voxels, unstructured for tetrahedra.

    Of an axisymmetric domain the triangles of its half-plane, at (r, 0, z): see :func:`sample` and :func:`box`.
    """
    if isinstance(domain, VoxelDomain):
        return pv.RectilinearGrid(*(axis * MM for axis in domain.axes))
    count, corners = domain.cells.shape
    kind = {3: pv.CellType.TRIANGLE, 4: pv.CellType.TETRA}[corners]
    cells = np.hstack([np.full((count, 1), corners), domain.cells]).ravel()
    return pv.UnstructuredGrid(cells, np.full(count, kind), domain.points * MM)


def box(domain: Domain) -> Array:
    """(3, 2) lower and upper corner of the box around the domain, mm."""
    if isinstance(domain, VoxelDomain):
        return np.array([(axis[0], axis[-1]) for axis in domain.axes]) * MM
    low, high = domain.points.min(axis=0), domain.points.max(axis=0)
    if isinstance(domain, AxisymmetricDomain):
        low, high = np.array([-high[0], -high[0], low[2]]), np.array([high[0], high[0], high[2]])
    return np.stack([low, high], axis=1) * MM


def sample(domain: Domain, mesh: Any, at: Array) -> Any:
    """Fields of ``mesh``, the :func:`grid` of the domain, at points (q, 3) mm; ``vtkValidPointMask``: those in it."""
    return pv.PolyData(half_plane(at) if isinstance(domain, AxisymmetricDomain) else at).sample(mesh)


def section(domain: Domain, mesh: Any, centre: Array) -> Any:
    """Cut through ``mesh``, the :func:`grid` of the domain, across y; of an axisymmetric domain the half-plane."""
    return mesh.copy() if isinstance(domain, AxisymmetricDomain) else mesh.slice(normal="y", origin=centre)


def cell_centres(domain: Domain) -> Array:
    """(m, 3) mm, in the order of the domain's cells; of rings their centres, on the axis."""
    if isinstance(domain, VoxelDomain):
        return np.stack(np.meshgrid(*domain.centres(), indexing="ij"), axis=-1).reshape(-1, 3) * MM
    centres = np.asarray(domain.points[domain.cells].mean(axis=1)) * MM
    return centres * (0.0, 0.0, 1.0) if isinstance(domain, AxisymmetricDomain) else centres


def node_places(domain: Domain) -> Array:
    """(n, 3) mm of the nodes, in the order of nodal fields."""
    if isinstance(domain, VoxelDomain):
        return np.stack(np.meshgrid(*domain.axes, indexing="ij"), axis=-1).reshape(-1, 3) * MM
    return np.asarray(domain.points) * MM


def nodal(domain: Domain, values: Array) -> Array:
    """Nodal values (n,) in the order in which the grid of :func:`grid` has its points."""
    return values.reshape(domain.shape).ravel(order="F") if isinstance(domain, VoxelDomain) else values


def cellwise(domain: Domain, values: Any) -> Any:
    """Cell values (m,) in the order in which the grid of :func:`grid` has its cells."""
    return values.reshape(domain.cell_shape).ravel(order="F") if isinstance(domain, VoxelDomain) else values


def cell_volumes(domain: Domain) -> Array:
    """(m,) m3; zero for cells outside the body."""
    if isinstance(domain, VoxelDomain):
        x, y, z = (np.diff(axis) for axis in domain.axes)
        return np.where(domain.solid, (x[:, None, None] * y[:, None] * z).ravel(), 0.0)
    corners = domain.points[domain.cells]
    if isinstance(domain, AxisymmetricDomain):
        across = np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0])[:, 1]
        return np.asarray(np.pi * np.abs(across) * corners[:, :, 0].mean(axis=1))
    return np.asarray(np.abs(np.linalg.det(corners[:, 1:] - corners[:, :1])) / 6.0)


def body_nodes(domain: Domain) -> Mask:
    """(n,) True at nodes that belong to at least one cell of the body."""
    if not isinstance(domain, VoxelDomain):
        mask = np.zeros(len(domain.points), dtype=bool)
        mask[domain.cells] = True
        return mask
    solid = np.pad(domain.solid.reshape(domain.cell_shape), 1)
    for axis in range(3):
        here, there = [slice(None)] * 3, [slice(None)] * 3
        here[axis], there[axis] = slice(1, None), slice(None, -1)
        solid = solid[tuple(here)] | solid[tuple(there)]
    return np.asarray(solid.ravel())


def region_index(domain: Domain) -> tuple[list[str], Any]:
    """Names of the regions, and the index (m,) of the one that has most of each cell; -1 outside the body."""
    names = list(domain.shares)
    cells = len(domain.solid) if isinstance(domain, VoxelDomain) else len(domain.cells)
    index, most = np.full(cells, -1, dtype=np.int16), np.zeros(cells)
    for number, name in enumerate(names):
        larger = domain.shares[name] > most
        index[larger], most[larger] = number, domain.shares[name][larger]
    if isinstance(domain, VoxelDomain):
        index[~domain.solid] = -1
    return names, index


def region_surface(domain: Domain, share: Array) -> Any:
    """Closed surface of a region from its share of each cell (m,), as ``pyvista.PolyData`` in mm (may be empty)."""
    if isinstance(domain, AxisymmetricDomain):
        return swept_surface(domain.points * MM, domain.cells[share >= 0.5])
    if not isinstance(domain, VoxelDomain):
        part = grid(domain).extract_cells(np.flatnonzero(share >= 0.5))
        if part.n_cells == 0:
            return pv.PolyData()
        return _oriented(_shell(part).smooth_taubin(n_iter=20))
    # Contour between the cell centres; a rim of empty cells closes what touches the faces of the window.
    # Vessels thinner than a voxel nowhere fill half a cell: follow them at half of what they reach.
    values = np.pad(np.asarray(share, dtype=float).reshape(domain.cell_shape), 1)
    level = 0.5 * min(1.0, float(values.max()))
    if level <= 0.0:
        return pv.PolyData()
    centres = [_rimmed(axis) * MM for axis in domain.axes]
    cells = pv.RectilinearGrid(*centres)
    stairs = bool(np.isin(share, (0.0, 1.0)).all())  # a labelled image: smooth the stairs, keep the volume
    blurred = ndimage.gaussian_filter(values, 0.6) if stairs else values
    cells["share"] = blurred.ravel(order="F")
    surface = cells.contour([level], scalars="share")
    return surface.smooth_taubin(n_iter=20, pass_band=0.15) if stairs and surface.n_points else surface


def _rimmed(axis: Array) -> Array:
    """Cell centres with one more on either side, just outside the window."""
    centres = 0.5 * (axis[1:] + axis[:-1])
    first, last = axis[0] - 1e-3 * (axis[1] - axis[0]), axis[-1] + 1e-3 * (axis[-1] - axis[-2])
    return np.concatenate([[2 * first - centres[0]], centres, [2 * last - centres[-1]]])


def level_surface(domain: Domain, values: Array, level: float) -> Any:
    """Closed surface of ``values`` (n,) at or above ``level``, as ``pyvista.PolyData`` in mm (may be empty)."""
    inside = np.where(body_nodes(domain), values, level - 1.0)
    if not np.any(inside >= level):
        return pv.PolyData()
    if not isinstance(domain, VoxelDomain):
        mesh = grid(domain)
        mesh["u"] = inside
        if isinstance(domain, AxisymmetricDomain):
            return _oriented(swept_above(mesh, level))
        return _oriented(_shell(mesh.clip_scalar(scalars="u", invert=False, value=level)))
    below = float(min(inside.min(), level - abs(level) - 1.0))
    values3 = np.pad(inside.reshape(domain.shape), 1, constant_values=below)
    axes = [np.concatenate([[a[0] - 1e-4 * (a[1] - a[0])], a, [a[-1] + 1e-4 * (a[-1] - a[-2])]]) for a in domain.axes]
    mesh = pv.RectilinearGrid(*(axis * MM for axis in axes))
    mesh["u"] = values3.ravel(order="F")
    return mesh.contour([level], scalars="u")


def _shell(mesh: Any) -> Any:
    """Outer triangles; ``clean`` joins the points that clipping doubles where nodes lie exactly on the level."""
    surface = mesh.extract_surface(algorithm="dataset_surface").triangulate()
    surface.clear_data()
    return surface.clean(tolerance=1e-6)


def _oriented(surface: Any) -> Any:
    """The closed surface with all triangles facing outwards."""
    return surface.compute_normals(
        cell_normals=False, split_vertices=False, consistent_normals=True, auto_orient_normals=True
    )


def device_surface(device: Device) -> Any:
    """A tube with closed ends, in mm."""
    start, end = np.asarray(device.shape.start) * MM, np.asarray(device.shape.end) * MM
    radius = max(device.shape.radius * MM, 0.35)  # thinner would be lost in the picture
    length = float(np.linalg.norm(end - start))
    if length <= 0.0:
        return pv.Sphere(radius=max(radius, 1.0), center=start)
    if device.kind == "coil":  # the axis and radius of a loop
        return pv.Disc(center=0.5 * (start + end), inner=0.97 * radius, outer=radius, normal=end - start, c_res=96)
    return pv.Line(start, end).tube(radius=radius, n_sides=24, capping=True)


def anatomy_stage(
    anatomy: AnatomyLike, devices: Sequence[Device] = (), *, title: str = "", held: Iterable[str] = ()
) -> Stage:
    """Organs, tumour, vessels and devices before anything is solved.

    ``held``: regions kept at a temperature (large vessels), drawn as vessels whatever their name.
    """
    layers = _anatomy_layers(anatomy.domain, anatomy.tumour or "", frozenset(held))
    return _stage(title, anatomy.domain, [*layers, *_device_layers(devices)])


def run_stage(run: Run) -> Stage:
    """Tumour, vessels, particles, ablation zone and devices of a finished run."""
    layers = _anatomy_layers(run.domain, run.tumour, held_regions(run.resolved))
    layers = [part for layer in layers for part in _by_cover(layer, run)]
    layers += [*_particle_layers(run), *_zone_layers(run), *_device_layers(run.devices)]
    return _stage(run.title, run.domain, layers)


def held_regions(resolved: Mapping[str, Any]) -> frozenset[str]:
    """Regions that a resolved case keeps at a temperature (``[tissues.REGION] temperature``)."""
    tissues = resolved.get("tissues")
    if not isinstance(tissues, Mapping):
        return frozenset()
    return frozenset(n for n, t in tissues.items() if isinstance(t, Mapping) and t.get("temperature") is not None)


def zone_values(run: Run) -> tuple[Array, float] | None:
    """Nodal field and level whose upper set is the ablation zone, or ``None`` when the run kept none."""
    field = run.static.get(run.zone_field)
    return None if field is None else (np.asarray(field.values, dtype=float), run.zone_level)


def zone_surface(run: Run) -> Any:
    """Surface of the ablation zone, ``pyvista.PolyData`` in mm; empty when nothing was destroyed."""
    zone = zone_values(run)
    return pv.PolyData() if zone is None else level_surface(run.domain, *zone)


def particle_surfaces(run: Run) -> list[tuple[float, Any]]:
    """``(share of the highest concentration, surface in mm)`` of the cloud; empty without particles or when uniform."""
    field = run.static.get("concentration")
    if field is None:
        return []
    values = np.where(body_nodes(run.domain), np.asarray(field.values, dtype=float), 0.0)
    highest = float(values.max(initial=0.0))
    if highest <= 0.0 or np.mean(values > PARTICLE_LEVELS[0] * highest) > 0.9:
        return []
    return [(level, level_surface(run.domain, values, level * highest)) for level in PARTICLE_LEVELS]


def is_cold(run: Run) -> bool:
    """True when the zone was made by freezing."""
    return "cold" in run.zone_field or "cryo" in run.zone_law or "cold" in run.zone_law


def _by_cover(layer: Layer, run: Run) -> list[Layer]:
    """The tumour's surface in two layers, inside and outside the ablation zone; any other layer as it is."""
    zone = zone_values(run)
    if layer.role != "tumour" or zone is None or not np.any(zone[0] >= zone[1]):
        return [layer]
    mesh = grid(run.domain)
    mesh["cover"] = nodal(run.domain, np.where(body_nodes(run.domain), zone[0] - zone[1], -1.0))
    surface = layer.surface.copy()
    found = sample(run.domain, mesh, np.asarray(surface.points, dtype=float))
    surface["cover"] = np.where(found["vtkValidPointMask"], found["cover"], -1.0)
    covered, left = (surface.clip_scalar(scalars="cover", value=0.0, invert=invert) for invert in (False, True))
    parts = [
        replace(layer, surface=covered),
        replace(layer, surface=left, opacity=0.45, colour=style.UNCOVERED, label="tumour outside the zone"),
    ]
    return [part for part in parts if part.surface.n_cells]


def zone_label(run: Run) -> str:
    """The zone's line in a legend, with the criterion that made it."""
    return f"ablation zone ({style.law_words(run.zone_law)})" if run.zone_law else "ablation zone"


def _zone_layers(run: Run) -> list[Layer]:
    surface = zone_surface(run)
    if surface.n_cells == 0:
        return []
    return [Layer("zone", zone_label(run), style.ZONE, 0.2, surface)]


def particle_dots(run: Run, count: int = DOTS) -> Array:
    """Points (count, 3) in mm spread like the particles' mass (always the same ones); none without particles."""
    field = run.static.get("concentration")
    if field is None:
        return np.empty((0, 3))
    domain = run.domain
    mass = cell_volumes(domain) * np.maximum(cell_means(domain, np.asarray(field.values, dtype=float)), 0.0)
    if mass.sum() <= 0.0:
        return np.empty((0, 3))
    random = np.random.default_rng(0)
    cells = random.choice(len(mass), size=count, p=mass / mass.sum())
    if isinstance(domain, VoxelDomain):
        place = random.random((count, 3))
        index = np.unravel_index(cells, domain.cell_shape)
        sides = [a[i] + u * (a[i + 1] - a[i]) for a, i, u in zip(domain.axes, index, place.T, strict=True)]
        return np.stack(sides, axis=1) * MM
    if isinstance(domain, AxisymmetricDomain):
        return scattered(domain, cells, random) * MM
    weights = random.dirichlet(np.ones(4), size=count)
    return np.asarray(np.einsum("ck,ckd->cd", weights, domain.points[domain.cells[cells]])) * MM


def cell_means(domain: Domain, values: Array) -> Array:
    """Mean over the nodes of each cell, (n,) -> (m,)."""
    if not isinstance(domain, VoxelDomain):
        return np.asarray(values[domain.cells].mean(axis=1))
    mean = values.reshape(domain.shape)
    mean = 0.5 * (mean[1:] + mean[:-1])
    mean = 0.5 * (mean[:, 1:] + mean[:, :-1])
    return (0.5 * (mean[:, :, 1:] + mean[:, :, :-1])).ravel()


def _particle_layers(run: Run) -> list[Layer]:
    dots = particle_dots(run)
    if not len(dots):
        return []
    highest = run.static["concentration"]
    most = amount(float(np.max(highest.values)), highest.unit)
    return [Layer("particles", f"particles (at most {most})", style.PARTICLES, 1.0, pv.PolyData(dots))]


def amount(value: float, unit: str) -> str:
    """A concentration in the unit that a reader expects: 1 kg/m3 is 1 mg/ml."""
    if unit.replace("^", "").replace("³", "3") in ("kg/m3", "kg/m**3"):
        return f"{value:.2g} mg/ml"
    return f"{value:.3g} {unit}".strip()


def _anatomy_layers(domain: Domain, tumour: str, held: frozenset[str]) -> list[Layer]:
    """Tumour and vessels, then organs from the largest down; empty regions, crumbs and filling tissue are left out."""
    sizes = cell_volumes(domain)
    body = float(sizes.sum())
    volumes = {name: float(sizes @ share) for name, share in domain.shares.items() if name != VOID}
    shades = style.organ_colours(volumes)
    layers: list[Layer] = []
    for name, volume in sorted(volumes.items(), key=lambda item: -item[1]):
        colour = style.vessel_colour(name) or (style.VESSEL if name in held else None)
        look: tuple[str, str, str, float] | None = None
        if volume <= 0.0:
            continue
        if name == tumour:
            look = ("tumour", f"tumour ({volume * 1e6:.3g} ml)", style.TUMOUR, 0.7)
        elif colour is not None:
            look = ("vessel", style.words(name), colour, 1.0)
        elif _SMALLEST_ORGAN < volume < _BACKGROUND_SHARE * body and name not in style.FILLERS:
            look = ("organ", style.words(name), shades[name], _ORGAN_OPACITY)
        if look is not None:
            layers.append(Layer(*look, region_surface(domain, domain.shares[name])))
    return [layer for layer in layers if layer.surface.n_cells]


def _device_layers(devices: Sequence[Device]) -> list[Layer]:
    kinds = [device.kind for device in devices]
    return [
        Layer(
            "device",
            style.words(d.name or d.kind) if kinds.count(d.kind) == 1 else f"{style.words(d.kind)}s",
            style.DEVICES.get(d.kind, style.DEVICE),
            0.25 if d.kind == "beam" else 1.0,
            device_surface(d),
        )
        for d in devices
    ]


def _stage(title: str, domain: Domain, layers: Sequence[Layer]) -> Stage:
    bounds = box(domain)
    wanted = [layer for layer in layers if layer.role in ("tumour", "zone")]
    wanted = wanted or [layer for layer in layers if layer.role == "device"]
    boxes = [np.reshape(layer.surface.bounds, (3, 2)) for layer in wanted]
    clouds = [np.percentile(a.surface.points, (2, 98), axis=0).T for a in layers if a.role == "particles"]
    boxes += [cloud for cloud in clouds if np.all(np.ptp(cloud, axis=1) < 0.6 * np.ptp(bounds, axis=1))]
    stack = np.array(boxes or [bounds])
    return Stage(
        title, tuple(layers), bounds, np.stack([stack[:, :, 0].min(axis=0), stack[:, :, 1].max(axis=0)], axis=1)
    )
