"""Photothermal heating: light of fibres and beams, absorbed by tissue and particles. Without particles: a bare laser.

The light is solved on a window of its own that is fine enough for it (spacing <= 1 / (3 mu_eff) wherever much of it is
absorbed), once, or again and again as tissue coagulates; the absorbed power is handed to the heat grid.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace
from typing import Annotated, ClassVar, Literal

import numpy as np
from pydantic import BeforeValidator, Field, model_validator

from thermal.domain import FACES, SURFACE
from thermal.engine import Engine, Window
from thermal.errors import CaseError
from thermal.physics.heating.lit import LightPower, Lit
from thermal.physics.heating.schedule import Switched, one_or_many
from thermal.physics.heating.shape_loss import ShapeLoss
from thermal.physics.light import Beam, Border, Diffusion, Fibre, Lamp, LightEntry, LightSource
from thermal.physics.light.mirrors import Mirrors
from thermal.physics.light.turbidity import Turbidity
from thermal.physics.light.window import SLACK, fit_window, resolution
from thermal.physics.scene import Device, Scene, Source
from thermal.physics.tissue import Tissues
from thermal.units import Array, Duration, Frequency, Length, PositiveNumber, Power, Wavelength

NEEDED_BY = 'heating.kind = "photothermal"'
SURVEY = 1e-5
"""Tolerance of the fluence while the window is being fitted."""
SOFT_TISSUE_INDEX = 1.4
"""Refractive index where the tissue table has none; soft tissue in the near infrared has 1.35 to 1.45 (unverified)."""

FaceName = Literal["x-", "x+", "y-", "y+", "z-", "z+"]


class Photothermal(Switched):
    """Laser light at one vacuum wavelength from any number of fibres and beams.

    ``power`` is that of every source that has none of its own. ``air``: faces of the window that border on air, besides
    the skin and the faces through which a beam enters. ``mirrors``: faces that are planes of symmetry; a source on such
    a plane gives the window its half of the power. ``light_spacing``: largest cell of the light's grid, instead of
    the one found from the optics. ``refractive_index``: of the tissue at the skin, instead of the tissue table's.
    """

    makes: ClassVar[tuple[str, ...]] = ("fluence", "emission", "absorbed_power")
    asks_of_particles: ClassVar[tuple[str, str] | None] = ("absorbs_light", "optical")
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
    mirrors: tuple[FaceName, ...] = Field(default=())
    """faces of the window that are planes of symmetry: of a source on one, half of the power is in the window"""
    light_spacing: Length | None = None
    """largest cell of the light's grid, instead of the one found from the optics"""
    refractive_index: PositiveNumber | None = None
    """of the tissue at the skin, instead of the tissue table's"""
    light: LightEntry = Diffusion()
    """how the light is computed"""
    coagulation_update: Duration | None = None
    """how often the light is solved again as tissue coagulates and its optics change; once and for all when absent"""
    reshaping_update: Duration = 5.0
    """how often to look whether particles have lost their shape, where particles.reshaping says when they do"""
    pulse_rate: Frequency | None = None
    """pulses a second of a laser whose mean power is given, for particles that strong pulses reshape; steady light when
    absent"""

    @property
    def coldest(self) -> float:
        """See :class:`HeatingKind`."""
        return math.inf

    @model_validator(mode="after")
    def _shines(self) -> Photothermal:
        if not self.fibre and not self.beam:
            raise ValueError(
                "there is no light source; add [heating.fibre] with entry = [...] and tip = [...], or [heating.beam] "
                'with position = [...], direction = [0, 0, -1] and diameter = "10 mm"'
            )
        if self.power is None and any(own is None for own in self._own_powers()):
            raise ValueError('power is missing; write heating.power = "2 W", or give each fibre and beam its own')
        if both := sorted(set(self.air) & set(self.mirrors)):
            raise ValueError(f"air and mirrors both name {', '.join(both)}; a plane of symmetry does not meet air")
        return self

    def _own_powers(self) -> tuple[float | None, ...]:
        return tuple(fibre.power for fibre in self.fibre) + tuple(beam.own_power for beam in self.beam)

    def _lamps(self, engine: Engine) -> tuple[Lamp, ...]:
        """With the power that is in the window."""
        glass = Mirrors.of(engine, frozenset(self.mirrors))
        sources: tuple[LightSource, ...] = (*self.fibre, *self.beam)
        powers = [own if own is not None else self.power or 0.0 for own in self._own_powers()]
        lines = [source.device("", "").shape for source in sources]
        shares = [glass.share(np.array([line.start, line.end])) for line in lines]
        return tuple(Lamp(source, power * share) for source, power, share in zip(sources, powers, shares, strict=True))

    @property
    def devices(self) -> tuple[Device, ...]:
        """Fibres and beams."""
        tables: tuple[tuple[str, tuple[LightSource, ...]], ...] = (("fibre", self.fibre), ("beam", self.beam))
        return tuple(
            replace(
                source.device(f"{table} {i + 1}", f"heating.{table}" if len(sources) == 1 else f"heating.{table}[{i}]"),
                mirrors=frozenset(self.mirrors),
            )
            for table, sources in tables
            for i, source in enumerate(sources)
        )

    def check(self, tissues: Tissues) -> None:
        """Raises ``CaseError`` where a region has no optical data at the wavelength."""
        known = tissues.optics(self.wavelength, NEEDED_BY)
        if self.coagulation_update is not None and not any(optics.coagulates for optics in known.values()):
            raise CaseError(
                "heating.coagulation_update: no tissue is said to change as it coagulates; add e.g. "
                'coagulated_reduced_scattering = "20 1/cm" to its optics, or remove coagulation_update'
            )

    def prepare(self, scene: Scene) -> Source:
        """Solve the light. Raises ``CaseError`` without optical data or when the light misses the tissue."""
        self.check(scene.tissues)
        engine, lamps = scene.engine, self._lamps(scene.engine)
        index = self.refractive_index or _border_index(scene.tissues)
        border = Border(index, frozenset(self.air), frozenset(self.mirrors))
        payload = scene.payload
        share = 1.0 if payload is None or payload.optics is None else payload.heat_share(self.wavelength)
        whole = Turbidity.of(
            scene.tissues, self.wavelength, NEEDED_BY, *self._particles(scene), self._reshaped(scene), share
        )
        window, spacing, air = self._surveyed(engine, whole, lamps, border)
        border = replace(border, air=air)
        lit = Lit(engine, window, whole, lamps, border, self.light, spacing, self._glow(scene), self._shapes(scene))
        return LightPower(self, lit, scene.duration)

    def _surveyed(
        self, engine: Engine, whole: Turbidity, lamps: tuple[Lamp, ...], border: Border
    ) -> tuple[Window, float, frozenset[str]]:
        """The window that the light needs and the spacing (m) in it, and the faces that turned out to meet air."""
        light, grid, before = Diffusion().solve(engine, whole.medium(engine), lamps, border, SURVEY), engine, np.inf
        turbid = whole
        while True:  # a finer solution is more confined, so its window can be smaller and finer still
            hardest = turbid.medium(grid) if self.coagulation_update is None else turbid.densest(grid)
            needed, box = resolution(grid, hardest, light)
            window, used = fit_window(engine, box, self.light_spacing or needed)
            if used <= SLACK * needed or used > before / SLACK or self.light_spacing is not None:
                return window, used, light.air
            grid, turbid = window.engine, whole.on(window)
            light, before = Diffusion().solve(grid, turbid.medium(grid), lamps, border, SURVEY), used

    def _glow(self, scene: Scene) -> Callable[[Array], Array] | None:
        """Emitted over absorbed power of the particles at fluence rates (W/m2); None where they do not emit."""
        emission = None if scene.payload is None else scene.payload.emission
        if emission is None:
            return None
        return lambda fluence: emission(fluence, self.wavelength)

    def _reshaped(self, scene: Scene) -> tuple[float, float]:
        """Absorption and reduced scattering of particles that have lost their shape, in 1/m per kg/m3."""
        limits = None if scene.payload is None else scene.payload.reshaped
        return (0.0, 0.0) if limits is None else limits.optics(self.wavelength)

    def _shapes(self, scene: Scene) -> ShapeLoss | None:
        """When they lose it."""
        payload = scene.payload
        if payload is None or payload.reshaped is None:
            return None
        return ShapeLoss(payload.reshaped, payload.concentration * scene.engine.volume, self.pulse_rate)

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


def _border_index(tissues: Tissues) -> float:
    """Refractive index of the tissue at the skin (at the window's faces where there is none), by volume."""
    engine = tissues.engine
    names = [SURFACE] if SURFACE in engine.areas and np.any(engine.areas[SURFACE] > 0) else list(FACES)
    border = np.any([engine.areas[name] > 0 for name in names if name in engine.areas], axis=0)
    volumes = {region: float(np.sum(volume[border])) for region, volume in engine.volumes.items()}
    indices = {region: tissue.refractive_index or SOFT_TISSUE_INDEX for region, tissue in tissues.by_region.items()}
    return sum(volumes[region] * indices[region] for region in volumes) / sum(volumes.values())
