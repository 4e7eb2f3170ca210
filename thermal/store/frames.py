"""What a run keeps over time: the temperature, and the measure whose level set is the border of the zone."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from thermal.store.sound import open_fields, whole
from thermal.units import Array

TEMPERATURE, ZONE = "series/temperature", "series/zone"
"""Groups of ``fields.h5``."""
TEMPERATURE_UNIT = "degC"


class Frames(Protocol):
    """Fields over time."""

    def __len__(self) -> int: ...

    @property
    def grows(self) -> bool:
        """Whether the measure of the zone was kept."""
        ...

    def temperature(self, index: int) -> Array:
        """(n,) degC."""
        ...

    def zone(self, index: int) -> Array | None:
        """(n,), the ablation zone being where it is at or above ``Fields.zone_level``; None where it was not kept."""
        ...

    def at(self, index: int, nodes: npt.NDArray[np.int64]) -> Array:
        """(k,) degC of some nodes."""
        ...


@dataclass(frozen=True)
class KeptFrames:
    """Frames in memory: each (n,) degC; ``zones``: as many measures of the zone, or none."""

    arrays: Sequence[Array] = ()
    zones: Sequence[Array] = ()

    def __len__(self) -> int:
        return len(self.arrays)

    @property
    def grows(self) -> bool:
        """Whether there are measures of the zone."""
        return bool(self.zones)

    def temperature(self, index: int) -> Array:
        """(n,) degC."""
        return np.asarray(self.arrays[index], dtype=float)

    def zone(self, index: int) -> Array | None:
        """(n,) measure of the zone, if it was kept."""
        return np.asarray(self.zones[index], dtype=float) if self.grows else None

    def at(self, index: int, nodes: npt.NDArray[np.int64]) -> Array:
        """(k,) degC of some nodes."""
        return self.temperature(index)[nodes]


@dataclass(frozen=True)
class FrameFiles:
    """Frames of a running simulation, one ``.npy`` each: temperature and measure of the zone, (2, n)."""

    paths: Sequence[Path] = ()
    grows: bool = True

    def __len__(self) -> int:
        return len(self.paths)

    def temperature(self, index: int) -> Array:
        """(n,) degC."""
        return self._row(index, 0)

    def zone(self, index: int) -> Array | None:
        """(n,) measure of the zone."""
        return self._row(index, 1)

    def at(self, index: int, nodes: npt.NDArray[np.int64]) -> Array:
        """(k,) degC of some nodes."""
        return self.temperature(index)[nodes]

    def _row(self, index: int, row: int) -> Array:
        return np.array(np.load(self.paths[index], mmap_mode="r", allow_pickle=False)[row], dtype=float)


@dataclass(frozen=True)
class StoredFrames:
    """Frames of a finished run, read one by one."""

    path: Path
    count: int
    nodes: int
    grows: bool = False

    def __len__(self) -> int:
        return self.count

    def temperature(self, index: int) -> Array:
        """(n,) degC."""
        return self._read(TEMPERATURE, index)

    def zone(self, index: int) -> Array | None:
        """(n,) measure of the zone, if it was kept."""
        return self._read(ZONE, index) if self.grows else None

    def at(self, index: int, nodes: npt.NDArray[np.int64]) -> Array:
        """Temperature of a few nodes (k,) in one frame, degC, without reading all of it."""
        with open_fields(self.path) as file:
            entry = file[f"{TEMPERATURE}/{index % self.count:05d}"]
            return np.array([float(entry[node]) for node in nodes])

    def _read(self, group: str, index: int) -> Array:
        if not -self.count <= index < self.count:
            raise IndexError(f"frame {index} of {self.count}")
        with open_fields(self.path) as file:
            return whole(file[f"{group}/{index % self.count:05d}"], self.nodes)


def write_frames(file: Any, frames: Frames, zone_unit: str, packed: Mapping[str, Any]) -> None:
    """Write all frames into an open ``fields.h5`` as float32; ``packed``: how its arrays are compressed."""
    file.require_group(TEMPERATURE)
    for index in range(len(frames)):
        kept = ((TEMPERATURE, frames.temperature(index), TEMPERATURE_UNIT), (ZONE, frames.zone(index), zone_unit))
        for group, values, unit in kept:
            if values is not None:
                entry = file.create_dataset(f"{group}/{index:05d}", data=values.astype(np.float32), **packed)
                entry.attrs["unit"] = unit
