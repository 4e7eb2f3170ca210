"""Where each key of a TOML file stands: ``tomllib`` gives values, this gives lines."""

from __future__ import annotations

import bisect
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from thermal.units import printable

Keys = tuple[str | int, ...]
"""Path of a value in a case: table and key names, and indices into arrays."""

_BARE = frozenset("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_-")


@dataclass(frozen=True)
class Place:
    """A line of a file, or an option of the command line (``line`` is then ``None``)."""

    file: str
    line: int | None = None

    def __str__(self) -> str:
        return self.file if self.line is None else f"{self.file}:{self.line}"


def dotted(keys: Keys) -> str:
    """A path as one would write it: ``anatomy.shapes[0].radius``, quoted where TOML needs quotes."""
    text = ""
    for key in keys:
        if isinstance(key, int):
            text += f"[{key}]"
        else:
            bare = bool(key) and set(key) <= _BARE
            text += ("." if text else "") + (key if bare else '"' + printable(key).replace('"', '\\"') + '"')
    return text


@dataclass
class _Scanner:
    """Walks TOML that ``tomllib`` has accepted and notes the line of every key and array item."""

    text: str
    position: int = 0
    lines: dict[Keys, int] = field(default_factory=dict)
    starts: list[int] = field(default_factory=list)
    counts: dict[Keys, int] = field(default_factory=dict)

    def scan(self) -> dict[Keys, int]:
        self.starts = [0] + [i + 1 for i, letter in enumerate(self.text) if letter == "\n"]
        table: Keys = ()
        self.skip(newlines=True)
        while self.position < len(self.text):
            if self.text.startswith("[[", self.position):
                self.position += 2
                names = self.key()
                parent = self.enter(names[:-1])
                array = (*parent, names[-1])
                index = self.counts.get(array, 0)
                self.counts[array] = index + 1
                self.note(array)
                table = (*array, index)
                self.note(table)
                self.position += 2
            elif self.text[self.position] == "[":
                self.position += 1
                names = self.key()
                table = (*self.enter(names[:-1]), names[-1])
                self.lines[table] = self.line()
                self.position += 1
            else:
                self.pair(table)
            self.skip(newlines=True)
        return self.lines

    def line(self) -> int:
        return bisect.bisect_right(self.starts, self.position)

    def note(self, keys: Keys) -> None:
        self.lines.setdefault(keys, self.line())

    def enter(self, names: Keys) -> Keys:
        """Path of a table header's parents: an array of tables means its last item."""
        path: Keys = ()
        for name in names:
            path = (*path, name)
            self.note(path)
            if path in self.counts:
                path = (*path, self.counts[path] - 1)
        return path

    def skip(self, newlines: bool) -> None:
        blank = " \t\r\n" if newlines else " \t"
        while self.position < len(self.text):
            letter = self.text[self.position]
            if letter in blank:
                self.position += 1
            elif letter == "#":
                end = self.text.find("\n", self.position)
                self.position = len(self.text) if end < 0 else end
            else:
                return

    def key(self) -> Keys:
        """A dotted key; leaves the position after it (and after blanks)."""
        names: list[str | int] = []
        while True:
            self.skip(newlines=False)
            start = self.position
            if self.text[start] in "\"'":
                self.string()
                names.append(tomllib.loads(f"k = {self.text[start : self.position]}")["k"])
            else:
                while self.text[self.position] in _BARE:
                    self.position += 1
                names.append(self.text[start : self.position])
            self.skip(newlines=False)
            if self.text[self.position] != ".":
                return tuple(names)
            self.position += 1

    def pair(self, table: Keys) -> None:
        line = self.line()
        path = table
        for name in self.key():
            path = (*path, name)
            self.lines.setdefault(path, line)
        self.position += 1  # the equals sign
        self.skip(newlines=False)
        self.value(path)

    def string(self) -> None:
        quote = self.text[self.position]
        if self.text.startswith(quote * 3, self.position):
            self.position += 3
            while not self.text.startswith(quote * 3, self.position):
                self.position += 2 if quote == '"' and self.text[self.position] == "\\" else 1
            self.position += 3
            while self.position < len(self.text) and self.text[self.position] == quote:  # up to two may precede the end
                self.position += 1
            return
        self.position += 1
        while self.text[self.position] != quote:
            self.position += 2 if quote == '"' and self.text[self.position] == "\\" else 1
        self.position += 1

    def value(self, path: Keys) -> None:
        letter = self.text[self.position]
        if letter in "\"'":
            self.string()
        elif letter == "[":
            self.position += 1
            self.skip(newlines=True)
            index = 0
            while self.text[self.position] != "]":
                self.note((*path, index))
                self.value((*path, index))
                index += 1
                self.separator()
            self.position += 1
        elif letter == "{":
            self.position += 1
            self.skip(newlines=True)
            while self.text[self.position] != "}":
                self.pair(path)
                self.separator()
            self.position += 1
        else:
            while self.position < len(self.text) and self.text[self.position] not in ",]}#\r\n":
                self.position += 1

    def separator(self) -> None:
        self.skip(newlines=True)
        if self.text[self.position] == ",":
            self.position += 1
            self.skip(newlines=True)


def key_lines(text: str) -> dict[Keys, int]:
    """Line (from 1) of every table, key and array item of valid TOML."""
    return _Scanner(text).scan()


@dataclass(frozen=True)
class Layer:
    """Case data and the place of every key in it."""

    data: dict[str, Any]
    places: Mapping[Keys, Place]

    def place(self, keys: Keys) -> Place | None:
        """Place of a key, else of the nearest table around it."""
        for length in range(len(keys), 0, -1):
            if keys[:length] in self.places:
                return self.places[keys[:length]]
        return None


def merge(low: Layer, high: Layer) -> Layer:
    """``high`` over ``low``: tables merge, values replace.

    A table that changes its ``kind`` or ``model`` (or, for particles, changes between ``kind`` and ``material``)
    replaces the whole table: the keys of an infusion mean nothing to a systemic delivery.
    """
    replaced: set[Keys] = set()
    data = _merge(low.data, high.data, (), replaced)
    kept = {
        keys: place
        for keys, place in low.places.items()
        if not any(keys[:length] in replaced for length in range(1, len(keys) + 1))
    }
    return Layer(data, {**kept, **high.places})


def forget(places: dict[Keys, Place], under: Keys) -> None:
    """Drop the places of a table's contents."""
    for keys in [keys for keys in places if keys[: len(under)] == under]:
        del places[keys]


def _other_kind(low: Mapping[str, Any], high: Mapping[str, Any]) -> bool:
    for name in ("kind", "model"):
        if name in low and name in high:
            return bool(low[name] != high[name])
    return ("kind" in low and "material" in high) or ("material" in low and "kind" in high)


def _merge(low: Mapping[str, Any], high: Mapping[str, Any], at: Keys, replaced: set[Keys]) -> dict[str, Any]:
    """Adds the paths of values that nothing of ``low`` is left of to ``replaced``."""
    merged = dict(low)
    for key, value in high.items():
        here = (*at, key)
        old = merged.get(key)
        if isinstance(old, dict) and isinstance(value, dict) and not _other_kind(old, value):
            merged[key] = _merge(old, value, here, replaced)
        else:
            merged[key] = value
            replaced.add(here)
    return merged


def entries(data: object, pattern: tuple[str, ...]) -> list[tuple[tuple[str | int, ...], object]]:
    """Every value at keys like ``pattern``, with its keys; ``"*"`` stands for every entry of a list."""
    if not pattern:
        return [((), data)]
    first, rest = pattern[0], pattern[1:]
    inner: list[tuple[str | int, object]] = []
    if first == "*":
        inner = list(enumerate(data)) if isinstance(data, (list, tuple)) else []
    elif isinstance(data, dict) and first in data:
        inner = [(first, data[first])]
    return [((key, *keys), value) for key, part in inner for keys, value in entries(part, rest)]
