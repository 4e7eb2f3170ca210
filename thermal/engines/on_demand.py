"""Arrays by name that are made when one is asked for: all of them at once would outweigh the fields."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass

from thermal.units import Array


@dataclass(frozen=True)
class OnDemand(Mapping[str, Array]):
    """``make`` gives the array of one of the ``names``; nothing is kept."""

    names: tuple[str, ...]
    make: Callable[[str], Array]

    def __getitem__(self, name: str) -> Array:
        if name not in self.names:
            raise KeyError(name)
        return self.make(name)

    def __iter__(self) -> Iterator[str]:
        return iter(self.names)

    def __len__(self) -> int:
        return len(self.names)
