"""``fields.h5``: the discretised anatomy, static fields, what was kept over time and devices."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from thermal.domain import Domain, Line, VoxelDomain
from thermal.physics.scene import Device
from thermal.store.domains import Stored, read_domain, write_domain
from thermal.store.files import atomic
from thermal.store.frames import ZONE, Frames, KeptFrames, StoredFrames, write_frames
from thermal.store.sound import check_file, numbers, open_fields, whole
from thermal.units import Array

COORDINATES = "patient RAS, m"


@dataclass(frozen=True)
class Field:
    """A nodal field: ``values`` (n,)."""

    values: Array
    unit: str
    long_name: str = ""


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
        write_domain(file, fields.domain, packed)
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


def read_fields(path: Path) -> Fields:
    """Read the mesh; fields, shares and frames are read when asked for. Raises ``CaseError``."""
    with open_fields(path) as file:
        check_file(file)
        devices = tuple(_device(entry) for entry in json.loads(file["devices"].attrs["json"]))
        domain = read_domain(path, file)
        nodes = int(np.prod(domain.shape)) if isinstance(domain, VoxelDomain) else len(domain.points)
        static = Stored(path, "static", list(file["static"]), partial(_field, nodes=nodes))
        times = numbers(file["series/time"], None)
        background = None
        if "background" in file:
            image = np.asarray(file["background/values"][()], dtype=float)
            if image.ndim != 3:
                raise ValueError(f"/background/values has {image.ndim} axes, not 3")
            background = image, numbers(file["background/affine"], 4, 4)
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
            frames=StoredFrames(path, len(times), nodes, ZONE in file),
            background=background,
        )


def _device(entry: Mapping[str, Any]) -> Device:
    (x0, y0, z0), (x1, y1, z1) = entry["start"], entry["end"]
    start, end = (float(x0), float(y0), float(z0)), (float(x1), float(y1), float(z1))
    return Device(str(entry["kind"]), str(entry["name"]), Line(start, end, float(entry["radius"])))


def _field(entry: Any, nodes: int) -> Field:
    return Field(whole(entry, nodes), str(entry.attrs["unit"]), str(entry.attrs["long_name"]))
