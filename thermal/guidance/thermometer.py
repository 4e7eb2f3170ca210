"""MR thermometry during a treatment: what the images show, late and with noise, and where they show nothing."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
from scipy import ndimage

from thermal.case.guided import Control
from thermal.errors import CaseError
from thermal.imaging.grid import Grid, Onto, grid_over, mean_of, onto
from thermal.imaging.patient import scenery_of
from thermal.physics.imaging.mr import Mr
from thermal.physics.imaging.thermometry import Reader, Scenery, coldest, highest_within, show
from thermal.simulation import Prepared
from thermal.units import Array, Mask
from thermal.zone import share_of

BLIND = 0.5
"""Share of the tumour that thermometry must see."""
HEATING = 1e-3
"""Share of the largest density of power from which a voxel counts as heated."""


@dataclass(frozen=True)
class Image:
    """A temperature image: ``values`` (a, b, c) degC, NaN where it fails, as it was ``taken`` (s)."""

    taken: float
    values: Array


@dataclass
class Thermometer:
    """Takes images of a patient; what it shows at one time was taken some time before."""

    control: Control
    grid: Grid
    way: Onto
    body: Array
    reliable: Mask
    limits: Array
    """(a, b, c) degC, the limit of what is in each voxel"""
    base: Array
    scenery: Scenery
    sharp: float | Array = 1.0
    """(a, b, c) by which rises are raised where they peak between voxels, as a plan foresees it"""
    images: list[Image] = field(default_factory=list)
    taken: int = 0
    """images taken so far; each has noise of its own seed, so that a treatment that is resumed sees the same"""
    _reader: Reader = field(init=False, repr=False)

    @staticmethod
    def of(prepared: Prepared, control: Control) -> Thermometer:
        """Raises ``CaseError`` where thermometry is blind in the tumour."""
        engine, anatomy = prepared.engine, prepared.anatomy
        grid = grid_over(engine, control.voxel)
        way = onto(engine, anatomy.domain, grid)
        body = np.minimum(way.density(np.where(engine.volume > 0.0, 1.0, 0.0)), 1.0)
        how, case = control.thermometry, prepared.case
        element = "" if case.particles is None else case.particles.mass_of
        decay = Mr(field=how.field).decay_by(element) * way.density(prepared.delivered.bulk) * how.echo
        materials = {region: case.material_of(region, named) for region, named in anatomy.materials.items()}
        scenery = scenery_of(engine, way, materials, body, decay)
        reliable = scenery.reliable(how.snr)
        if anatomy.tumour is not None:
            inside = way.density(share_of(engine, anatomy.tumour)) > 0.5
            if inside.any() and reliable[inside].mean() < BLIND:
                raise CaseError(
                    f"control.thermometry: fails in {1.0 - reliable[inside].mean():.0%} of the tumour, where iron "
                    "takes the signal or fat does not follow; use a shorter echo, less iron, or no control"
                )
        found = Thermometer(
            control, grid, way, body, reliable, on_voxels(way, limits_at(prepared, control)),
            np.nan_to_num(mean_of(way, prepared.initial, body)), scenery,
        )  # fmt: skip
        first = show(how, scenery, np.zeros(grid.shape), 0.0, found._chance())
        found._reader = Reader(how, first, reliable, found._quiet(prepared))
        return found

    @property
    def deviation(self) -> Array:
        """(a, b, c) K, standard deviation of a temperature: the larger, the less signal iron, lung and fat leave."""
        water = (self.scenery.signal - self.scenery.fat) * self.scenery.iron
        how = self.control.thermometry
        return np.asarray(np.divide(how.deviation, water, out=np.full(self.grid.shape, np.inf), where=water > 0.0))

    @property
    def common(self) -> float:
        """K, standard deviation that all voxels have in common, of what is taken off for the drift."""
        return self._reader.common

    def _quiet(self, prepared: Prepared) -> Mask:
        """Voxels that are the farthest from everything that heats, for the drift."""
        power = self.way.density(np.abs(next(iter(_power(prepared)), np.zeros_like(prepared.initial))))
        away = ndimage.distance_transform_edt(power <= HEATING * power.max(), sampling=self.grid.spacing)
        return coldest(-away, self.body > 0.5)

    def as_read(self, temperature: Array) -> Array:
        """What images without noise would show of temperatures on voxels (a, b, c), where they show anything."""
        return np.asarray(self.base + self._reader.corrected(temperature - self.base))

    def take(self, time: float, temperature: Array) -> Image | None:
        """Take an image of the true temperature (n,), and return the newest that can be seen by now, if any."""
        rise = np.nan_to_num(mean_of(self.way, temperature, self.body)) - self.base
        how = self.control.thermometry
        image = show(how, self.scenery, rise, time / 3600.0, self._chance())
        self.images.append(Image(time, self.base + self._reader.read(image)))
        seen = self.seen(time)
        return seen[-1] if seen else None

    def seen(self, time: float) -> list[Image]:
        """The kept images that can be seen by ``time`` (s)."""
        lag = self.control.thermometry.lag
        return [image for image in self.images if image.taken + lag <= time + 1e-6]

    def forget(self, before: float) -> None:
        """Drop the images taken before a time (s)."""
        self.images = [image for image in self.images if image.taken >= before]

    def _chance(self) -> np.random.Generator:
        self.taken += 1
        return np.random.default_rng([self.control.seed, self.taken])

    def memory(self) -> dict[str, Array]:
        """What is needed to go on: the images that are kept, and the phase so far."""
        phase, last = self._reader.state
        kept = np.array([image.values for image in self.images]).reshape(-1, *self.grid.shape)
        return {
            "images": kept, "times": np.array([image.taken for image in self.images]),
            "phase": phase, "last": last, "taken": np.array(self.taken),
        }  # fmt: skip

    def recall(self, memory: Mapping[str, Array]) -> None:
        """Take back what :meth:`memory` gave."""
        self.images = [Image(float(t), v) for t, v in zip(memory["times"], memory["images"], strict=True)]
        self._reader.state = (memory["phase"], memory["last"])
        self.taken = int(memory["taken"])

    def hottest(self, image: Image) -> Array:
        """(a, b, c) degC, the highest temperature in each voxel, from means over voxels and how they peak in a plan."""
        rise = highest_within(image.values) - self.base
        return np.asarray(self.base + np.where(rise > 0.0, self.sharp, 1.0) * rise)

    def room(self, image: Image) -> float:
        """K, smallest distance to a limit of what an image shows, less what caution keeps."""
        distance = self.limits - self.hottest(image)
        return float(np.nanmin(distance)) - self.control.caution


def _power(prepared: Prepared) -> list[Array]:
    fields: Mapping[str, tuple[Array, str]] = prepared.source.fields
    return [fields["absorbed_power"][0]] if "absorbed_power" in fields else []


def limits_at(prepared: Prepared, control: Control) -> Array:
    """(n,) degC, limit at each node: of all tissue, or of the region that holds most of it. Raises ``CaseError``."""
    engine = prepared.engine
    limit = np.full(engine.volume.shape, control.highest)
    for region, temperature in control.limits.items():
        if region not in engine.volumes:
            known = ", ".join(sorted(engine.volumes))
            raise CaseError(f"control.limits.{region}: there is no such region; the anatomy has {known}")
        within = share_of(engine, region) >= 0.5
        limit[within] = np.minimum(limit[within], temperature)
    return limit


def on_voxels(way: Onto, limit: Array) -> Array:
    """The limit on voxels: nearest in value to those of the nodes that overlap each."""
    whole = way.density(np.ones_like(limit))
    mixed = way.density(limit)
    return np.asarray(np.divide(mixed, whole, out=np.full(whole.shape, np.inf), where=whole > 0.0))
