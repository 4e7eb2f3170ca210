"""What cases that follow each other in one process can share: anatomies, engines and deliveries that did not change."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any, cast

from thermal.anatomy import Anatomy
from thermal.assemble import make_engine
from thermal.case import Case
from thermal.case.describe import digest
from thermal.engine import Engine
from thermal.physics.delivery import Delivered
from thermal.physics.tissue import Tissue, Tissues
from thermal.store import input_hashes

_DELIVERY = ("anatomy", "particles", "delivery", "boundaries", "numerics")
"""Tables of a case that a delivery depends on, besides what it reads of the tissues."""


class Workshop:
    """Keeps the last ``size`` anatomies with their engines, and as many deliveries; none by default.

    What it hands out again is shared: nobody may change it.
    """

    def __init__(self, size: int = 0) -> None:
        self._size = size
        self._grounds: OrderedDict[str, tuple[Anatomy, Engine]] = OrderedDict()
        self._deliveries: list[_Kept] = []

    def ground(self, case: Case) -> tuple[Anatomy, Engine]:
        """Anatomy and engine of a case. Raises ``CaseError``."""

        def make() -> tuple[Anatomy, Engine]:
            anatomy = case.anatomy.build(case.folder)
            return anatomy, make_engine(anatomy, case.numerics.engine)

        if self._size == 0:
            return make()
        key = _key(case, ("anatomy",))
        if key not in self._grounds:
            self._grounds[key] = make()
        self._grounds.move_to_end(key)
        while len(self._grounds) > self._size:
            self._grounds.popitem(last=False)
        return self._grounds[key]

    def delivered(self, case: Case, tissues: Tissues, make: Callable[[Tissues], Delivered]) -> Delivered:
        """What the delivery of a case comes to in ``tissues``; ``make`` does it.

        One that was done serves again where all that it read of the tissues is the same: an infusion does not look at
        the conductivity of heat.
        """
        if self._size == 0:
            return make(tissues)
        key = _key(case, _DELIVERY)
        for kept in self._deliveries:
            if kept.key == key and kept.holds(tissues):
                self._deliveries.remove(kept)
                self._deliveries.insert(0, kept)
                return kept.made
        read: dict[tuple[str, str], Any] = {}
        watched = {name: cast(Tissue, _Watched(tissue, name, read)) for name, tissue in tissues.by_region.items()}
        made = make(replace(tissues, by_region=watched))
        self._deliveries = [_Kept(key, tuple(watched), tissues.freezes, read, made), *self._deliveries][: self._size]
        return made


class _Watched:
    """A tissue that notes what is read of it."""

    def __init__(self, tissue: Tissue, region: str, read: dict[tuple[str, str], Any]) -> None:
        self._tissue, self._region, self._noted = tissue, region, read

    def __getattr__(self, name: str) -> Any:
        value = self._noted[self._region, name] = getattr(self._tissue, name)
        return value


@dataclass(frozen=True, eq=False)
class _Kept:
    """A delivery that was done: the key of its case, its regions, whether they freeze, and what it read of each, by
    region and name."""

    key: str
    regions: tuple[str, ...]
    freezes: bool
    read: Mapping[tuple[str, str], Any]
    made: Delivered

    def holds(self, tissues: Tissues) -> bool:
        """Whether it would come to the same in other tissues."""
        alike = self.regions == tuple(tissues.by_region) and self.freezes == tissues.freezes
        return alike and all(
            getattr(tissues.by_region[region], name) == value for (region, name), value in self.read.items()
        )


def _key(case: Case, tables: tuple[str, ...]) -> str:
    resolved = case.resolved()
    named = {name: resolved[name] for name in tables} | {"engine": case.numerics.engine}
    return digest({"case": named, "files": input_hashes(case)})
