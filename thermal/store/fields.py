"""``fields.h5``: the discretised anatomy, static fields, what was kept over time and devices."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

import numpy as np

from thermal.domain import AxisymmetricDomain, Domain, Line, MeshDomain, VoxelDomain
from thermal.errors import CaseError
from thermal.physics.scene import Device
from thermal.store.files import atomic
from thermal.store.frames import ZONE, Frames, KeptFrames, StoredFrames, open_fields, write_frames
from thermal.units import Array

T = TypeVar("T")

COORDINATES = "patient RAS, m"
MESHES: Mapping[type[MeshDomain] | type[AxisymmetricDomain], str] = {
    MeshDomain: "mesh",
    AxisymmetricDomain: "axisymmetric",
}
"""Kind of domain -> its name in the file, where points and cells make it."""
VOXEL = "voxel"
"""Name in the file of domains that axes make."""


@dataclass(frozen=True)
class Field:
    """A nodal field: ``values`` (n,)."""

    values: Array
    unit: str
    long_name: str = ""


class Stored(Mapping[str, T]):
    """Named things in a group of the file, each read when it is first asked for, and then kept."""

    def __init__(self, path: Path, group: str, names: Sequence[str], make: Callable[[Any], T]) -> None:
        self._path, self._group, self._names, self._make = path, group, tuple(names), make
        self._kept: dict[str, T] = {}

    def __getitem__(self, name: str) -> T:
        """Raises ``CaseError`` when it is damaged."""
        if name not in self._kept:
            self._kept[name] = self.read(name)
        return self._kept[name]

    def read(self, name: str) -> T:
        """One of them, without keeping it."""
        if name not in self._names:
            raise KeyError(name)
        with open_fields(self._path) as file:
            return self._make(file[f"{self._group}/{name}"])

    def __contains__(self, name: object) -> bool:  # Mapping's own would read it
        return name in self._names

    def __iter__(self) -> Iterator[str]:
        return iter(self._names)

    def __len__(self) -> int:
        return len(self._names)


@dataclass(frozen=True)
class Fields:
    """Everything spatial of one run.

    ``tumour``: its region, or empty. The ablation zone is where ``static[zone_field] >= zone_level``. ``times``: (k,) s
    of the frames. ``background``: image values (3-D) and the affine (4, 4) from voxel index to m, for slices.
    """

    domain: Domain
    title: str
    tumour: str
    zone_field: str
    zone_level: float
    zone_law: str
    static: Mapping[str, Field]
    devices: tuple[Device, ...] = ()
    times: Array = field(default_factory=lambda: np.empty(0))
    frames: Frames = field(default_factory=KeptFrames)
    background: tuple[Array, Array] | None = None


def write_fields(path: Path, fields: Fields) -> None:
    """Write all to ``path``, atomically; regions, frames and the background as float32, static fields as they are."""
    import h5py

    packed: dict[str, Any] = {"compression": "gzip", "compression_opts": 1, "shuffle": True}
    with atomic(path) as scratch, h5py.File(scratch, "w") as file:
        file.attrs.update({
            "title": fields.title, "tumour": fields.tumour, "zone_field": fields.zone_field,
            "zone_level": float(fields.zone_level), "zone_law": fields.zone_law, "coordinates": COORDINATES,
        })  # fmt: skip
        _write_domain(file, fields.domain, packed)
        for name, static in fields.static.items():
            entry = file.create_dataset(f"static/{name}", data=np.asarray(static.values), **packed)
            entry.attrs.update({"unit": static.unit, "long_name": static.long_name or name})
        file.require_group("static")
        times = file.create_dataset("series/time", data=np.asarray(fields.times, dtype=float))
        times.attrs["unit"] = "s"
        zone = fields.static.get(fields.zone_field)
        write_frames(file, fields.frames, "" if zone is None else zone.unit, packed)
        devices = [
            {"kind": device.kind, "name": device.name, "start": list(map(float, device.shape.start)),
             "end": list(map(float, device.shape.end)), "radius": float(device.shape.radius)}
            for device in fields.devices
        ]  # fmt: skip
        file.create_group("devices").attrs["json"] = json.dumps(devices)
        if fields.background is not None:
            values, affine = fields.background
            file.create_dataset("background/values", data=np.asarray(values, dtype=np.float32), **packed)
            file.create_dataset("background/affine", data=np.asarray(affine, dtype=float))


def _write_domain(file: Any, domain: Domain, packed: Mapping[str, Any]) -> None:
    mesh = file.create_group("mesh")
    if isinstance(domain, VoxelDomain):
        mesh.attrs["kind"] = VOXEL
        for name, axis in zip("xyz", domain.axes, strict=True):
            mesh.create_dataset(f"axes_{name}", data=axis)
        mesh.create_dataset("solid", data=domain.solid, **packed)
    else:
        mesh.attrs["kind"] = MESHES[type(domain)]
        mesh.create_dataset("points", data=domain.points, **packed)
        mesh.create_dataset("cells", data=domain.cells, **packed)
        mesh.require_group("boundaries")
        for name, triangles in domain.boundaries.items():
            mesh.create_dataset(f"boundaries/{name}", data=triangles, **packed)
    file.require_group("shares")
    for region, share in domain.shares.items():
        file.create_dataset(f"shares/{region}", data=np.asarray(share, dtype=np.float32), **packed)


def read_fields(path: Path) -> Fields:
    """Read the mesh; fields, shares and frames are read when asked for. Raises ``CaseError``."""
    with open_fields(path) as file:
        devices = tuple(
            Device(entry["kind"], entry["name"], Line(tuple(entry["start"]), tuple(entry["end"]), entry["radius"]))
            for entry in json.loads(file["devices"].attrs["json"])
        )
        domain = _read_domain(path, file)
        nodes = int(np.prod(domain.shape)) if isinstance(domain, VoxelDomain) else len(domain.points)
        static = Stored(path, "static", list(file["static"]), partial(_field, nodes=nodes))
        times = np.asarray(file["series/time"][()], dtype=float)
        background = None
        if "background" in file:
            values, affine = file["background/values"][()], file["background/affine"][()]
            background = np.asarray(values, dtype=float), np.asarray(affine, dtype=float)
        return Fields(
            domain=domain,
            title=str(file.attrs["title"]),
            tumour=str(file.attrs["tumour"]),
            zone_field=str(file.attrs["zone_field"]),
            zone_level=float(file.attrs["zone_level"]),
            zone_law=str(file.attrs["zone_law"]),
            static=static,
            devices=devices,
            times=times,
            frames=StoredFrames(path, len(times), ZONE in file),
            background=background,
        )


def _field(entry: Any, nodes: int) -> Field:
    values = _whole(entry, nodes)
    return Field(values, str(entry.attrs["unit"]), str(entry.attrs["long_name"]))


def _whole(entry: Any, count: int) -> Array:
    """All values of an entry. Raises ``ValueError`` where there are more or fewer than ``count``."""
    if entry.shape != (count,):
        raise ValueError(f"{entry.name} has the shape {entry.shape}, not ({count},)")
    return np.asarray(entry[()], dtype=float)


def _read_domain(path: Path, file: Any) -> Domain:
    mesh = file["mesh"]
    kind = mesh.attrs["kind"]
    kinds = {name: domain for domain, name in MESHES.items()}
    if kind != VOXEL and kind not in kinds:
        known = ", ".join((VOXEL, *kinds))
        raise CaseError(f'{path}: its mesh is of the kind "{kind}", not {known}; was it written by a newer version?')
    regions = list(file["shares"])
    if kind == VOXEL:
        x, y, z = (np.asarray(mesh[f"axes_{name}"][()], dtype=float) for name in "xyz")
        solid = np.asarray(mesh["solid"][()], dtype=bool)
        shares = Stored(path, "shares", regions, partial(_whole, count=(len(x) - 1) * (len(y) - 1) * (len(z) - 1)))
        return VoxelDomain((x, y, z), shares, solid)
    boundaries = {name: np.asarray(entry[()], dtype=np.int64) for name, entry in mesh["boundaries"].items()}
    points, cells = np.asarray(mesh["points"][()], dtype=float), np.asarray(mesh["cells"][()], dtype=np.int64)
    shares = Stored(path, "shares", regions, partial(_whole, count=len(cells)))
    return kinds[kind](points, cells, shares, boundaries)
