"""Level of detail: large runs with all their nodes where something was treated, and fewer of them elsewhere."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, fields
from typing import Any, TypeVar

import numpy as np
import numpy.typing as npt

from thermal.domain import VoxelDomain
from thermal.store import Run
from thermal.store.fields import Field, Fields
from thermal.store.frames import Frames
from thermal.units import Array

MOST = 1_000_000
"""Cells that are drawn without thought."""
_ROOM = 0.15
"""Around what was treated, as a share of its size."""
_LEVEL = 0.02
"""Smallest share of a cell that counts as tumour."""

T = TypeVar("T")
Indices = npt.NDArray[np.int64]


@dataclass(frozen=True)
class LightRun(Run):
    """A run with the fields of fewer nodes."""

    thinned: Fields | None = None

    @property
    def fields(self) -> Fields:
        """Those of the nodes that were kept."""
        assert self.thinned is not None
        return self.thinned


def ready(run: Run, most: int = MOST) -> Run:
    """The run, :func:`lighter` where it is large, with what its first picture needs read from the file."""
    light = lighter(run, most)
    for values, names in (
        (light.domain.shares, list(light.domain.shares)),
        (light.static, [name for name in (light.zone_field, "concentration") if name in light.static]),
    ):
        for name in names:
            values[name]
    return light


def lighter(run: Run, most: int = MOST) -> Run:
    """The run itself, or one of at most about ``most`` cells if it has more and lies on voxels.

    All nodes are kept in the box around tumour and zone where that is possible, and every second, third ... outside of
    it. A cell that stands for several takes the shares of the one in its middle; nodes keep their values.
    """
    domain = run.domain
    if not isinstance(domain, VoxelDomain) or np.prod(domain.cell_shape) <= most:
        return run
    share = _fresh(domain.shares, run.tumour) if run.tumour in domain.shares else None
    zone = _fresh(run.static, run.zone_field) if run.zone_field in run.static else None
    treated = [] if share is None else [share.reshape(domain.cell_shape) > _LEVEL]
    treated += [] if zone is None else [zone.values.reshape(domain.shape) >= run.zone_level]
    focus, inner, outer = _box(domain.shape, treated), 1, 1
    kept = [_kept(n, low, high, 1, 1) for n, (low, high) in zip(domain.shape, focus, strict=True)]
    while np.prod([len(k) - 1 for k in kept], dtype=float) > most:
        if np.prod([(high - low) / inner for low, high in focus], dtype=float) > 0.6 * most:
            inner += 1
        outer = max(outer + 1, inner)
        kept = [_kept(n, low, high, inner, outer) for n, (low, high) in zip(domain.shape, focus, strict=True)]
    given = {f.name: getattr(run, f.name) for f in fields(Run)}
    thinned = _thinned(run.fields, domain, kept, {run.tumour: share}, {run.zone_field: zone})
    return LightRun(**given, thinned=thinned)


def _box(shape: tuple[int, int, int], masks: Sequence[Any]) -> list[tuple[int, int]]:
    """First and last node along each axis of the box around what masks of nodes or cells hold, with some room."""
    box = []
    for axis, length in enumerate(shape):
        others = tuple(k for k in range(3) if k != axis)
        found = [np.flatnonzero(mask.any(axis=others)) for mask in masks]
        places = np.concatenate(found) if found else np.empty(0, dtype=int)
        low, high = (int(places.min()), int(places.max()) + 1) if len(places) else (0, length - 1)
        room = max(2, round(_ROOM * (high - low)))
        box.append((max(0, low - room), min(length - 1, high + room)))
    return box


def _fresh(values: Mapping[str, T], name: str) -> T:
    """Read without keeping the whole of it, where it comes from a file."""
    read: Callable[[str], T] = getattr(values, "read", values.__getitem__)
    return read(name)


def _kept(length: int, low: int, high: int, inner: int, outer: int) -> Indices:
    """Node indices along an axis: each ``inner``-th from ``low`` to ``high``, each ``outer``-th elsewhere."""
    before, after = np.arange(low, 0, -outer), np.arange(high, length - 1, outer)
    ends = np.array([0, length - 1])
    return np.unique(np.concatenate([before, np.arange(low, high, inner), after, ends]))


def _thinned(
    full: Fields,
    domain: VoxelDomain,
    kept: list[Indices],
    shares: Mapping[str, Array | None],
    static: Mapping[str, Field | None],
) -> Fields:
    """``shares`` and ``static``: what was read already."""
    nodes = np.ix_(*kept)
    cells = np.ix_(*((k[1:] + k[:-1]) // 2 for k in kept))

    def of_nodes(values: Array) -> Array:
        return np.ascontiguousarray(values.reshape(domain.shape)[nodes]).ravel()

    def of_cells(values: Any) -> Any:
        return np.ascontiguousarray(values.reshape(domain.cell_shape)[cells]).ravel()

    def field(given: Field) -> Field:
        return Field(of_nodes(given.values), given.unit, given.long_name)

    x, y, z = (axis[k] for axis, k in zip(domain.axes, kept, strict=True))
    thin = VoxelDomain((x, y, z), _Thinned(domain.shares, of_cells, shares), of_cells(domain.solid))
    changed: dict[str, Any] = {
        "domain": thin,
        "static": _Thinned(full.static, field, static),
        "frames": _ThinFrames(full.frames, of_nodes, np.ravel_multi_index(nodes, domain.shape).ravel()),
    }
    return Fields(**{f.name: changed.get(f.name, getattr(full, f.name)) for f in fields(Fields)})


class _Thinned(Mapping[str, T]):
    """Named things of the whole grid, thinned when they are first asked for."""

    def __init__(self, full: Mapping[str, T], thin: Callable[[T], T], known: Mapping[str, T | None]) -> None:
        self._full, self._thin = full, thin
        self._kept = {name: thin(value) for name, value in known.items() if value is not None}

    def __getitem__(self, name: str) -> T:
        if name not in self._kept:
            self._kept[name] = self._thin(_fresh(self._full, name))
        return self._kept[name]

    def __contains__(self, name: object) -> bool:  # Mapping's own would read it
        return name in self._full

    def __iter__(self) -> Iterator[str]:
        return iter(self._full)

    def __len__(self) -> int:
        return len(self._full)


@dataclass(frozen=True)
class _ThinFrames:
    """Frames of the whole grid, thinned one by one."""

    full: Frames
    thin: Callable[[Array], Array]
    nodes: Indices

    def __len__(self) -> int:
        return len(self.full)

    @property
    def grows(self) -> bool:
        """Whether the measure of the zone was kept."""
        return self.full.grows

    def temperature(self, index: int) -> Array:
        """(n,) degC of the nodes that were kept."""
        return self.thin(self.full.temperature(index))

    def zone(self, index: int) -> Array | None:
        """(n,) measure of the zone at the nodes that were kept, if there is one."""
        whole = self.full.zone(index)
        return None if whole is None else self.thin(whole)

    def at(self, index: int, nodes: Indices) -> Array:
        """(k,) degC of some of them."""
        return self.full.at(index, self.nodes[nodes])
