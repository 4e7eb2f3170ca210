"""What cases that follow each other in one process can share: anatomies, engines and deliveries that did not change."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable
from typing import Any, TypeVar

from thermal.anatomy import Anatomy
from thermal.assemble import make_engine
from thermal.case import Case
from thermal.case.describe import digest
from thermal.engine import Engine
from thermal.physics.delivery import Delivered
from thermal.store import input_hashes

_Made = TypeVar("_Made")
_DELIVERY = ("anatomy", "tissues", "particles", "delivery", "boundaries", "numerics")
"""Tables of a case that a delivery depends on."""


class Workshop:
    """Keeps the last ``size`` anatomies with their engines, and as many deliveries; none by default.

    What it hands out again is shared: nobody may change it.
    """

    def __init__(self, size: int = 0) -> None:
        self._size = size
        self._grounds: OrderedDict[str, Any] = OrderedDict()
        self._deliveries: OrderedDict[str, Any] = OrderedDict()

    def ground(self, case: Case) -> tuple[Anatomy, Engine]:
        """Anatomy and engine of a case. Raises ``CaseError``."""

        def make() -> tuple[Anatomy, Engine]:
            anatomy = case.anatomy.build(case.folder)
            return anatomy, make_engine(anatomy, case.numerics.engine)

        return self._of(self._grounds, case, ("anatomy",), make)

    def delivered(self, case: Case, make: Callable[[], Delivered]) -> Delivered:
        """What the delivery of a case comes to; ``make`` does it."""
        return self._of(self._deliveries, case, _DELIVERY, make)

    def _of(self, kept: OrderedDict[str, Any], case: Case, tables: tuple[str, ...], make: Callable[[], _Made]) -> _Made:
        if self._size == 0:
            return make()
        resolved = case.resolved()
        named = {name: resolved[name] for name in tables} | {"engine": case.numerics.engine}
        key = digest({"case": named, "files": input_hashes(case)})
        if key not in kept:
            kept[key] = make()
        kept.move_to_end(key)
        while len(kept) > self._size:
            kept.popitem(last=False)
        made: _Made = kept[key]
        return made
