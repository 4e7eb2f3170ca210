"""What is in the picture: surfaces in patient millimetres, built from a run folder or from an anatomy."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Any, Protocol

import numpy as np
import pyvista as pv

from thermal.domain import VOID, Domain
from thermal.physics.scene import Device
from thermal.store import Run
from thermal.units import Array
from thermal.view import style
from thermal.view.cells import body_nodes, box, cell_volumes
from thermal.view.grids import values_at
from thermal.view.surfaces import device_surface, region_surface
from thermal.view.treated import amount, held_regions, particle_dots, zone_label, zone_surface, zone_values

_BACKGROUND_SHARE = 0.9  # a region that fills more of the body than this is the surroundings, not an organ to draw
_ORGAN_OPACITY = 0.16
LEFT = "tumour outside the zone"
"""Label of what the zone leaves of the tumour's surface."""
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
    layers = [part for layer in layers for part in _by_cover(layer, run, None)]
    layers += [*_particle_layers(run), *_zone_layers(run, None), *_device_layers(run.devices)]
    return _stage(run.title, run.domain, layers)


def tumour_layers(run: Run) -> tuple[Layer, ...]:
    """The tumour's whole surface, before anything was done to it; none without a tumour."""
    share = run.domain.shares.get(run.tumour)
    if share is None:
        return ()
    layers = _anatomy_layers(replace(run.domain, shares={run.tumour: share}), run.tumour, frozenset())
    return tuple(layer for layer in layers if layer.role == "tumour")


def treated_layers(run: Run, tumour: Iterable[Layer], index: int) -> tuple[Layer, ...]:
    """The zone at a saved time, and the tumour's surface in and outside of it, from :func:`tumour_layers`."""
    zone = zone_values(run, index)
    if zone is not None and not np.any(zone[0] >= zone[1]):  # nothing yet
        return tuple(_outside(layer, layer.surface) for layer in tumour)
    return (*(part for layer in tumour for part in _by_cover(layer, run, index)), *_zone_layers(run, index))


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


def _by_cover(layer: Layer, run: Run, index: int | None) -> list[Layer]:
    """The tumour's surface in two layers, inside and outside the ablation zone; any other layer as it is."""
    zone = None if layer.role != "tumour" else zone_values(run, index)
    if zone is None or not np.any(zone[0] >= zone[1]):
        return [layer]
    cover = np.where(body_nodes(run.domain), zone[0] - zone[1], -1.0)
    surface = layer.surface.copy()
    surface["cover"] = np.nan_to_num(values_at(run.domain, cover, np.asarray(surface.points, dtype=float)), nan=-1.0)
    covered, left = (surface.clip_scalar(scalars="cover", value=0.0, invert=invert) for invert in (False, True))
    parts = [replace(layer, surface=covered), _outside(layer, left)]
    return [part for part in parts if part.surface.n_cells]


def _outside(tumour: Layer, surface: Any) -> Layer:
    """The part of the tumour's surface that the zone leaves."""
    return replace(tumour, surface=surface, opacity=0.45, colour=style.UNCOVERED, label=LEFT)


def _zone_layers(run: Run, index: int | None) -> list[Layer]:
    surface = zone_surface(run, index)
    if surface.n_cells == 0:
        return []
    return [Layer("zone", zone_label(run), style.ZONE, 0.2, surface)]


def _particle_layers(run: Run) -> list[Layer]:
    dots = particle_dots(run)
    if not len(dots):
        return []
    highest = run.static["concentration"]
    most = amount(float(np.max(highest.values)), highest.unit)
    return [Layer("particles", f"particles (at most {most})", style.PARTICLES, 1.0, pv.PolyData(dots))]


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
