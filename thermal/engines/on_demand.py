"""Arrays by name: what is asked for and not there is said with what there is."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass

from thermal.errors import unknown
from thermal.units import Array


@dataclass(frozen=True)
class OnDemand(Mapping[str, Array]):
    """``make`` gives the array of one of the ``names`` (``what`` they name); nothing is kept, as all arrays at once
    would outweigh the fields."""

    names: tuple[str, ...]
    make: Callable[[str], Array]
    what: str = "region"

    def __getitem__(self, name: str) -> Array:
        if name not in self.names:
            raise unknown(self.what, name, self.names)
        return self.make(name)

    def __iter__(self) -> Iterator[str]:
        return iter(self.names)

    def __len__(self) -> int:
        return len(self.names)


class Named(dict[str, Array]):
    """Arrays that are kept, by the name of ``what`` they belong to."""

    def __init__(self, what: str, arrays: Mapping[str, Array]) -> None:
        super().__init__(arrays)
        self._what = what

    def __missing__(self, name: str) -> Array:
        raise unknown(self._what, name, self)
