"""Photothermal heating: light of fibres and beams, absorbed by tissue and particles. Without particles: a bare laser.

Optical properties are constant in time, so the light is solved once, on a window of its own that is fine enough for the
light (spacing <= 1 / (3 mu_eff) wherever much of it is absorbed); the absorbed power is handed to the heat grid.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal

import numpy as np
from pydantic import BeforeValidator, Field, model_validator

from thermal.domain import FACES, SURFACE
from thermal.engine import Engine, Window
from thermal.errors import CaseError
from thermal.physics.heating.schedule import Switched
from thermal.physics.heating.source import PlainSource
from thermal.physics.light import Beam, Border, Diffusion, Fibre, Lamp, Light, LightEntry, LightSource, Medium
from thermal.physics.light.medium import mixed_anisotropy
from thermal.physics.light.window import MINOR_SHARE, SLACK, fit_window, resolution, unresolved
from thermal.physics.scene import Device, Drive, Reading, Scene, State
from thermal.physics.tissue import Tissues
from thermal.units import Array, Length, PositiveNumber, Power, Spec, Wavelength

SURVEY = 1e-5
"""Tolerance of the fluence while the window is being fitted."""
SOFT_TISSUE_INDEX = 1.4
"""Refractive index where the tissue table has none; soft tissue in the near infrared has 1.35 to 1.45 (unverified)."""

FaceName = Literal["x-", "x+", "y-", "y+", "z-", "z+"]


def one_or_many(value: Any) -> Any:
    """Accept one table where a list of tables is expected."""
    return (value,) if isinstance(value, (dict, Spec)) else value


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
    light: LightEntry = Diffusion()
    """how the light is computed"""

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

    def _lamps(self) -> tuple[Lamp, ...]:
        sources: tuple[LightSource, ...] = (*self.fibre, *self.beam)
        powers = [own if own is not None else self.power or 0.0 for own in self._own_powers()]
        return tuple(Lamp(*parts) for parts in zip(sources, powers, strict=True))

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
        border = Border(self.refractive_index or _border_index(scene.tissues), frozenset(self.air))
        absorption, scattering, anisotropy = (
            scene.tissues.mix_cells(values)
            for values in scene.tissues.optics(self.wavelength, 'heating.kind = "photothermal"')
        )
        per_mass, concentration = self._particles(scene)

        def medium(on: Engine, tissue: Array, scatter: Array, cosine: Array, loaded: Array) -> Medium:
            by_particles = per_mass[1] * on.to_cells(loaded)
            return Medium(
                tissue, per_mass[0] * loaded, scatter + by_particles, mixed_anisotropy(scatter, cosine, by_particles)
            )

        optics = medium(engine, absorption, scattering, anisotropy, concentration)
        light, grid, before = Diffusion().solve(engine, optics, lamps, border, SURVEY), engine, np.inf
        while True:  # a finer solution is more confined, so its window can be smaller and finer still
            needed, box = resolution(grid, optics, light)
            window, used = fit_window(engine, box, self.light_spacing or needed)
            grid = window.engine
            mu_a, mu_s, g = (window.cells_to_fine(values) for values in (absorption, scattering, anisotropy))
            optics = medium(grid, mu_a, mu_s, g, window.to_fine(concentration))
            if used <= SLACK * needed or used > before / SLACK or self.light_spacing is not None:
                light = self.light.solve(grid, optics, lamps, Border(border.refractive_index, light.air))
                light.check()
                return self._source(scene, window, optics, light, used)
            light, before = Diffusion().solve(grid, optics, lamps, border, SURVEY), used

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

    def _source(self, scene: Scene, window: Window, medium: Medium, light: Light, used: float) -> PlainSource:
        volume = scene.engine.volume
        power = window.restrict(light.absorbed)
        idle = np.zeros_like(power)
        density = np.divide(power, volume, out=np.zeros_like(power), where=volume > 0)

        def at_nodes(values: Array) -> Array:
            found = np.zeros_like(power)
            found[volume > 0] = window.engine.sample(values, scene.engine.points[volume > 0])
            return found

        fields = {"fluence": (at_nodes(light.fluence), "W/m^2"), "absorbed_power": (density, "W/m^3")}
        if light.fluence_error is not None:
            fields["fluence_error"] = (at_nodes(light.fluence_error), "W/m^2")

        def act(state: State, step: float) -> Drive:
            on = self.is_on(state.time + 0.5 * step)
            return Drive(power if on else idle, readings={"power": Reading(light.power if on else 0.0, "W")})

        return PlainSource(
            act,
            self.switch_times(scene.duration),
            devices=self.devices,
            fields=fields,
            summary={
                "light.power_in": Reading(light.power, "W"),
                "light.absorbed_tissue": Reading(float(np.sum(light.absorbed_tissue)), "W"),
                "light.absorbed_particles": Reading(float(np.sum(light.absorbed_particles)), "W"),
                "light.escaped": Reading(light.escaped, "W"),
                **{f"light.escaped.{name}": Reading(power, "W") for name, power in light.left.items()},
                "light.reflected": Reading(light.reflected, "W"),
                "light.balance_error": Reading(light.balance_error, ""),
                "light.spacing": Reading(used, "m"),
                **{f"light.standard_error.{name}": Reading(error, "W") for name, error in light.errors},
            },
            warnings=(
                *unresolved(window.engine, medium, light, used),
                *self.light.doubts(window.engine, medium, light),
                *_missed(light),
            ),
        )


def _border_index(tissues: Tissues) -> float:
    """Refractive index of the tissue at the skin (at the window's faces where there is none), by volume."""
    engine = tissues.engine
    names = [SURFACE] if SURFACE in engine.areas and np.any(engine.areas[SURFACE] > 0) else list(FACES)
    border = np.any([engine.areas[name] > 0 for name in names if name in engine.areas], axis=0)
    volumes = {region: float(np.sum(volume[border])) for region, volume in engine.volumes.items()}
    indices = {region: tissue.refractive_index or SOFT_TISSUE_INDEX for region, tissue in tissues.by_region.items()}
    return sum(volumes[region] * indices[region] for region in volumes) / sum(volumes.values())


def _missed(light: Light) -> tuple[str, ...]:
    """What to say about light that never met the tissue."""
    if light.missed <= MINOR_SHARE * light.power:
        return ()
    return (
        f"{100 * light.missed / light.power:.0f} % of the light passes by or through the tissue without a collision; "
        "check position, direction and diameter of the beam",
    )
