"""The discretised anatomy in ``fields.h5``: groups ``mesh`` and ``shares``."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

import numpy as np

from thermal.domain import AxisymmetricDomain, Domain, MeshDomain, VoxelDomain
from thermal.errors import CaseError, unknown
from thermal.store.sound import axis, flags, indices, numbers, open_fields, whole

T = TypeVar("T")
MESHES: Mapping[type[MeshDomain] | type[AxisymmetricDomain], str] = {
    MeshDomain: "mesh",
    AxisymmetricDomain: "axisymmetric",
}
"""Kind of domain -> its name in the file, where points and cells make it."""
CORNERS: Mapping[str, int] = {"mesh": 4, "axisymmetric": 3}
"""Nodes of a cell."""
GROUPS: Mapping[str, str] = {"static": "static field", "shares": "region"}
"""Group of the file -> what the names in it are of."""
VOXEL = "voxel"
"""Name in the file of domains that axes make."""


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
            raise unknown(GROUPS[self._group], name, self._names)
        with open_fields(self._path) as file:
            return self._make(file[f"{self._group}/{name}"])

    def __contains__(self, name: object) -> bool:  # Mapping's own would read it
        return name in self._names

    def __iter__(self) -> Iterator[str]:
        return iter(self._names)

    def __len__(self) -> int:
        return len(self._names)


def write_domain(file: Any, domain: Domain, packed: Mapping[str, Any]) -> None:
    """Write the domain; ``packed``: how arrays are compressed."""
    mesh = file.create_group("mesh")
    if isinstance(domain, VoxelDomain):
        mesh.attrs["kind"] = VOXEL
        for name, nodes in zip("xyz", domain.axes, strict=True):
            mesh.create_dataset(f"axes_{name}", data=nodes)
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


def read_domain(path: Path, file: Any) -> Domain:
    """The domain, its shares read when asked for. Raises ``ValueError`` for a damaged one, ``CaseError`` for an unknown
    kind."""
    mesh = file["mesh"]
    kind = mesh.attrs["kind"]
    kinds = {name: domain for domain, name in MESHES.items()}
    if kind != VOXEL and kind not in kinds:
        known = ", ".join((VOXEL, *kinds))
        raise CaseError(f'{path}: its mesh is of the kind "{kind}", not {known}; was it written by a newer version?')
    regions = list(file["shares"])
    if kind == VOXEL:
        x, y, z = (axis(mesh[f"axes_{name}"]) for name in "xyz")
        count = (len(x) - 1) * (len(y) - 1) * (len(z) - 1)
        solid = flags(mesh["solid"], count)
        return VoxelDomain((x, y, z), Stored(path, "shares", regions, partial(whole, count=count)), solid)
    points = numbers(mesh["points"], None, 3)
    cells = indices(mesh["cells"], CORNERS[kind], len(points))
    boundaries = {name: indices(entry, CORNERS[kind] - 1, len(points)) for name, entry in mesh["boundaries"].items()}
    shares = Stored(path, "shares", regions, partial(whole, count=len(cells)))
    return kinds[kind](points, cells, shares, boundaries)
