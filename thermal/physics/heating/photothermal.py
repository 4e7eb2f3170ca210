"""Photothermal heating: light of fibres and beams, absorbed by tissue and particles. Without particles: a bare laser.

Optical properties are constant in time, so the light is solved once, on a window of its own that is fine enough for the
light (spacing <= 1 / (3 mu_eff) wherever much of it is absorbed); the absorbed power is handed to the heat grid.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Literal

import numpy as np
from pydantic import BeforeValidator, Field, model_validator

from thermal.domain import FACES, SURFACE
from thermal.engine import Engine, Window
from thermal.errors import CaseError
from thermal.physics.heating.schedule import Switched
from thermal.physics.heating.source import PlainSource
from thermal.physics.light import (
    CLOSED,
    Beam,
    Emission,
    Fibre,
    Light,
    LightSource,
    Medium,
    border_factors,
    one_or_many,
    solve_light,
)
from thermal.physics.scene import Device, Drive, Reading, Scene, State
from thermal.physics.tissue import Tissues
from thermal.units import Array, Length, PositiveNumber, Power, Wavelength

MOST_NODES = 2_000_000
"""Of the light's window: a few gigabytes and about a minute."""
CELLS_PER_PENETRATION = 3.0
"""Needed grid: 1 / (3 mu_eff)."""
MINOR_SHARE = 0.01
"""Share of the absorbed power that may lie outside the window's fine box, or in cells that are too coarse."""
SLACK = 1.25
"""How much coarser than needed a grid may be before the window is fitted again, or a warning given."""
SURVEY = 1e-5
"""Tolerance of the fluence while the window is being fitted."""
GROWTH = 1.3
SOFT_TISSUE_INDEX = 1.4
"""Refractive index where the tissue table has none; soft tissue in the near infrared has 1.35 to 1.45 (unverified)."""
DIFFUSIVE_RATIO = 10.0
"""mu_s' / mu_a above which the diffusion approximation is trusted (usual rule of thumb)."""

FaceName = Literal["x-", "x+", "y-", "y+", "z-", "z+"]


@dataclass(frozen=True)
class _Lamp:
    """A source with its power in W."""

    source: LightSource
    power: float


class Photothermal(Switched):
    """Laser light at one vacuum wavelength from any number of fibres and beams.

    ``power`` is that of every source that has none of its own. ``air``: faces of the window that border on air, besides
    the skin and the faces through which a beam enters. ``light_spacing``: largest cell of the light's grid, instead of
    the one found from the optics. ``refractive_index``: of the tissue at the skin, instead of the tissue table's.
    """

    kind: Literal["photothermal"]
    wavelength: Wavelength
    """of the light, in vacuum"""
    power: Power | None = None
    """of every fibre and beam that has none of its own"""
    fibre: Annotated[
        tuple[Fibre, ...], BeforeValidator(one_or_many, json_schema_input_type=Fibre | tuple[Fibre, ...])
    ] = ()
    """interstitial fibres: one table or a list"""
    beam: Annotated[tuple[Beam, ...], BeforeValidator(one_or_many, json_schema_input_type=Beam | tuple[Beam, ...])] = ()
    """beams from outside: one table or a list"""
    air: tuple[FaceName, ...] = Field(default=())
    """faces of the window that border on air, besides the skin and the faces through which a beam enters"""
    light_spacing: Length | None = None
    """largest cell of the light's grid, instead of the one found from the optics"""
    refractive_index: PositiveNumber | None = None
    """of the tissue at the skin, instead of the tissue table's"""

    @model_validator(mode="after")
    def _shines(self) -> Photothermal:
        if not self.fibre and not self.beam:
            raise ValueError(
                "there is no light source; add [heating.fibre] with entry = [...] and tip = [...], or [heating.beam] "
                'with position = [...], direction = [0, 0, -1] and diameter = "10 mm"'
            )
        if self.power is None and any(own is None for own in self._own_powers()):
            raise ValueError('power is missing; write heating.power = "2 W", or give each fibre and beam its own')
        return self

    def _own_powers(self) -> tuple[float | None, ...]:
        return tuple(fibre.power for fibre in self.fibre) + tuple(beam.own_power for beam in self.beam)

    def _lamps(self) -> tuple[_Lamp, ...]:
        sources: tuple[LightSource, ...] = (*self.fibre, *self.beam)
        powers = [own if own is not None else self.power or 0.0 for own in self._own_powers()]
        return tuple(_Lamp(*parts) for parts in zip(sources, powers, strict=True))

    @property
    def devices(self) -> tuple[Device, ...]:
        """Fibres and beams."""
        tables: tuple[tuple[str, tuple[LightSource, ...]], ...] = (("fibre", self.fibre), ("beam", self.beam))
        return tuple(
            source.device(f"{table} {i + 1}", f"heating.{table}" if len(sources) == 1 else f"heating.{table}[{i}]")
            for table, sources in tables
            for i, source in enumerate(sources)
        )

    def check(self, tissues: Tissues) -> None:
        """Raises ``CaseError`` where a region has no optical data at the wavelength."""
        tissues.optics(self.wavelength, 'heating.kind = "photothermal"')

    def prepare(self, scene: Scene) -> PlainSource:
        """Solve the light. Raises ``CaseError`` without optical data or when the light misses the tissue."""
        engine, lamps = scene.engine, self._lamps()
        index = self.refractive_index or _border_index(scene.tissues)
        absorption, scattering = scene.tissues.optics(self.wavelength, 'heating.kind = "photothermal"')
        tissue, scatter = scene.tissues.mix_cells(absorption), scene.tissues.mix_cells(scattering)
        per_mass, concentration = self._particles(scene)

        def medium(on: Engine, tissue_cells: Array, scatter_cells: Array, loaded: Array) -> Medium:
            return Medium(
                on.to_nodes(tissue_cells), per_mass[0] * loaded, scatter_cells + per_mass[1] * on.to_cells(loaded)
            )

        grid, optics = engine, medium(engine, tissue, scatter, concentration)
        light, emissions = self._solve(grid, optics, lamps, index, SURVEY)
        before = np.inf
        while True:  # a finer solution is more confined, so its window can be smaller and finer still
            needed, box = _resolution(grid, optics, light)
            window, used = _fit_window(engine, box, self.light_spacing or needed)
            grid = window.engine
            optics = medium(
                grid, window.cells_to_fine(tissue), window.cells_to_fine(scatter), window.to_fine(concentration)
            )
            final = used <= SLACK * needed or used > before / SLACK or self.light_spacing is not None
            light, emissions = self._solve(grid, optics, lamps, index, CLOSED if final else SURVEY)
            if final:
                return self._source(scene, window, optics, light, emissions, used)
            before = used

    def _particles(self, scene: Scene) -> tuple[tuple[float, float], Array]:
        """Absorption and reduced scattering in 1/m per kg/m3, and concentration (n,) kg/m3."""
        payload = scene.payload
        if payload is None:
            return (0.0, 0.0), np.zeros_like(scene.engine.volume)
        if payload.optics is None:
            raise CaseError(
                'particles.material: it has no optical properties, which heating.kind = "photothermal" needs; choose '
                "one that has (thermal materials lists them) or remove [particles] for the bare laser"
            )
        return payload.optics(self.wavelength), payload.concentration

    def _solve(
        self, engine: Engine, medium: Medium, lamps: tuple[_Lamp, ...], index: float, tolerance: float
    ) -> tuple[Light, tuple[Emission, ...]]:
        emissions = tuple(lamp.source.emit(engine, medium, lamp.power, index) for lamp in lamps)
        air = frozenset[str](self.air).union(*(emission.entry_faces for emission in emissions))
        borders = border_factors(engine, index, air)
        power = sum(lamp.power for lamp in lamps)
        return solve_light(engine, medium, emissions, power, borders, tolerance), emissions

    def _source(
        self, scene: Scene, window: Window, medium: Medium, light: Light, emissions: tuple[Emission, ...], used: float
    ) -> PlainSource:
        volume = scene.engine.volume
        power = window.restrict(light.absorbed)
        idle = np.zeros_like(power)
        fluence = np.zeros_like(power)
        fluence[volume > 0] = window.engine.sample(light.fluence, scene.engine.points[volume > 0])
        density = np.divide(power, volume, out=np.zeros_like(power), where=volume > 0)

        def act(state: State, step: float) -> Drive:
            on = self.is_on(state.time + 0.5 * step)
            return Drive(power if on else idle, readings={"power": Reading(light.power if on else 0.0, "W")})

        return PlainSource(
            act,
            self.switch_times(scene.duration),
            devices=self.devices,
            fields={"fluence": (fluence, "W/m^2"), "absorbed_power": (density, "W/m^3")},
            summary={
                "light.power_in": Reading(light.power, "W"),
                "light.absorbed_tissue": Reading(float(np.sum(light.absorbed_tissue)), "W"),
                "light.absorbed_particles": Reading(float(np.sum(light.absorbed_particles)), "W"),
                "light.escaped": Reading(light.escaped, "W"),
                "light.reflected": Reading(light.reflected, "W"),
                "light.balance_error": Reading(light.balance_error, ""),
                "light.spacing": Reading(used, "m"),
            },
            warnings=_doubts(window.engine, medium, light, emissions, used),
        )


def _border_index(tissues: Tissues) -> float:
    """Refractive index of the tissue at the skin (at the window's faces where there is none), by volume."""
    engine = tissues.engine
    names = [SURFACE] if SURFACE in engine.areas and np.any(engine.areas[SURFACE] > 0) else list(FACES)
    border = np.any([engine.areas[name] > 0 for name in names if name in engine.areas], axis=0)
    volumes = {region: float(np.sum(volume[border])) for region, volume in engine.volumes.items()}
    indices = {region: tissue.refractive_index or SOFT_TISSUE_INDEX for region, tissue in tissues.by_region.items()}
    return sum(volumes[region] * indices[region] for region in volumes) / sum(volumes.values())


def _absorbed_in_cells(engine: Engine, light: Light) -> Array:
    """Share of the absorbed power in each cell, (m,)."""
    density = np.divide(light.absorbed, engine.volume, out=np.zeros_like(light.absorbed), where=engine.volume > 0)
    absorbed = engine.to_cells(density) * engine.cell_volume
    return absorbed / max(float(np.sum(absorbed)), 1e-300)


def _needed_spacing(engine: Engine, medium: Medium) -> Array:
    """Largest cell edge, m, that resolves the light in each cell, (m,); infinite where nothing absorbs."""
    mu = medium.effective_attenuation(engine)
    return np.divide(1.0 / CELLS_PER_PENETRATION, mu, out=np.full_like(mu, np.inf), where=mu > 0)


def _resolution(engine: Engine, medium: Medium, light: Light) -> tuple[float, tuple[Array, Array]]:
    """Spacing that resolves all but a minor share of the absorption, and the box that holds as much of it."""
    share, needed = _absorbed_in_cells(engine, light), _needed_spacing(engine, medium)
    finest_first = np.argsort(needed)
    spacing = float(needed[finest_first[np.searchsorted(np.cumsum(share[finest_first]), MINOR_SHARE)]])
    densest_first = np.argsort(-np.divide(share, engine.cell_volume, out=share * 0.0, where=engine.cell_volume > 0))
    held = densest_first[: 1 + np.searchsorted(np.cumsum(share[densest_first]), 1.0 - MINOR_SHARE)]
    # the cells' corners, found through the nodes that take part in them
    corners = engine.to_nodes(np.isin(np.arange(len(share)), held).astype(float)) > 0
    points = engine.points[corners]
    return spacing, (points.min(axis=0), points.max(axis=0))


def _fit_window(engine: Engine, box: tuple[Array, Array], spacing: float) -> tuple[Window, float]:
    """The finest window over ``box``, down to ``spacing`` m, of at most ``MOST_NODES`` nodes, and its spacing."""
    lower, upper = engine.bounds
    largest = float(np.max(engine.cell_size))
    spacing = min(spacing, 2.0 * largest)

    def count(h: float) -> float:
        margins = np.log1p((GROWTH - 1.0) / h * np.stack([box[0] - lower, upper - box[1]])) / (GROWTH - 1.0)
        return float(np.prod((box[1] - box[0]) / h + margins.sum(axis=0)))

    while count(spacing) > MOST_NODES:
        spacing *= 1.05
    while engine.window_nodes(*box, spacing, GROWTH) > MOST_NODES and spacing < largest:
        spacing *= 1.1
    window = engine.window(*box, spacing, GROWTH)
    return window, _finest_edge(window.engine, box, spacing)


def _finest_edge(engine: Engine, box: tuple[Array, Array], spacing: float) -> float:
    """Largest cell edge in the middle of the window, m: whole parts of a coarse cell may be finer than asked for."""
    middle = 0.5 * (box[0] + box[1])
    try:
        return engine.spacing((float(middle[0]), float(middle[1]), float(middle[2])))
    except ValueError:
        return spacing


def _doubts(
    engine: Engine, medium: Medium, light: Light, emissions: tuple[Emission, ...], used: float
) -> tuple[str, ...]:
    """What to say about resolution, validity and light that never met the tissue."""
    doubts = []
    share, needed = _absorbed_in_cells(engine, light), _needed_spacing(engine, medium)
    edge = engine.cell_size
    coarse = edge > SLACK * needed
    if (unresolved := float(np.sum(share[coarse]))) > 5.0 * MINOR_SHARE:
        finest = float(np.min(needed[coarse & (share > 0)]))
        doubts.append(
            f"the light's grid is too coarse for {100 * unresolved:.0f} % of the absorbed power: there the cells "
            f"should be {1e3 * finest:.2g} mm or smaller (1 / (3 mu_eff)) and are {1e3 * used:.2g} mm or larger (at "
            f"most {MOST_NODES / 1e6:.2g} million nodes); the heat is spread too widely around the source"
        )
    absorption = engine.to_cells(medium.absorption)
    beyond = float(np.sum(share[medium.scattering < DIFFUSIVE_RATIO * absorption]))
    if beyond > MINOR_SHARE:
        weights = share * (absorption > 0)
        ratio = float(np.sum(weights * medium.scattering) / max(float(np.sum(weights * absorption)), 1e-300))
        doubts.append(
            f"{100 * beyond:.0f} % of the absorbed power lies where mu_s' < {DIFFUSIVE_RATIO:.0f} mu_a (mean mu_s' / "
            f"mu_a where light is absorbed: {ratio:.2g}); there the diffusion approximation is doubtful, and the "
            "fluence near the source may be off by tens of percent"
        )
    missed = sum(emission.escaped for emission in emissions)
    if missed > MINOR_SHARE * light.power:
        doubts.append(
            f"{100 * missed / light.power:.0f} % of the light passes by or through the tissue without a collision; "
            "check position, direction and diameter of the beam"
        )
    return tuple(doubts)
