"""Keys that case files had once, and what became of them.

A file that still has one is told what to write; no old name is read in silence. With a renamed or removed key the
number of the format (``schema_version``) grows where files of the old form would otherwise be read as something else.
"""

from __future__ import annotations

from dataclasses import dataclass

from thermal.case.places import Keys, dotted


@dataclass(frozen=True)
class Former:
    """``was`` became ``now`` (empty: nothing) with a format; dotted keys, ``*`` for any name in a table of names."""

    was: str
    now: str
    format: int
    why: str

    def is_at(self, keys: Keys) -> bool:
        """Whether the key of a file is this one."""
        parts = self.was.split(".")
        return len(parts) == len(keys) and all(part in ("*", str(key)) for part, key in zip(parts, keys, strict=True))

    def remedy(self, keys: Keys) -> str:
        """What to say of the key of a file."""
        if not self.now:
            return f"there is no such key since schema_version {self.format}, {self.why}; remove it"
        names = iter(str(key) for part, key in zip(self.was.split("."), keys, strict=True) if part == "*")
        now = ".".join(next(names) if part == "*" else part for part in self.now.split("."))
        return f"is called {now} since schema_version {self.format}, {self.why}; write {now} in place of {dotted(keys)}"


FORMER = (
    Former(
        "numerics.linear_tolerance", "", 1,
        "for every solve stops at a tolerance of its own that its result is checked against",
    ),
)  # fmt: skip


def remedy(keys: Keys, known: tuple[Former, ...] = FORMER) -> str | None:
    """What to say of an unknown key that was known once; None for one that never was."""
    return next((entry.remedy(keys) for entry in known if entry.is_at(keys)), None)
