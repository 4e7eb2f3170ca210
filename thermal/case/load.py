"""From a case file to a checked :class:`Case`: reading, ``extends``, ``--set``, ``--anatomy``; all problems at once."""

from __future__ import annotations

import copy
import os
import re
import tomllib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydantic import TypeAdapter, ValidationError

from thermal.case.cross import cross_check
from thermal.case.places import Keys, Layer, Place, dotted, entries, forget, key_lines, merge
from thermal.case.report import MOST_PROBLEMS, CrossError, Problem, Reporter, nearest, show, suggest
from thermal.case.schema import FILE_KEYS, SCHEMA_VERSION, Case, Origin
from thermal.case.tables import with_tables
from thermal.errors import CaseError

LARGEST_FILE = 1_000_000  # bytes; real cases have a few thousand
DEEPEST = 20  # tables within tables; real cases have five
LONGEST_CHAIN = 20  # files that extend each other
MOST_DOTS = 1000  # in a key, where tomllib still is quick: its time goes with the square of them
LONGEST_LINE = 500  # letters of a line that is looked at for a missing quote
_NO_KEY = re.compile(r"[^\w.\"' \t-]+")
_UNQUOTED = re.compile(r"^\s*([\w.\-]+)\s*=\s*([-+]?[0-9][0-9_.eE+\-]*\s*[A-Za-zµ°%][^\"',#\]]*?)\s*(#.*)?$")
_POSITION = re.compile(r"\s*\(at (?:line (\d+), column (\d+)|end of document)\)")


def shown(path: Path) -> str:
    """A path as the user would write it: relative where it lies below the working folder."""
    relative = os.path.relpath(path)
    return relative if not relative.startswith("..") else str(path)


@dataclass(frozen=True)
class CaseFile:
    """One file of an ``extends`` chain."""

    path: Path
    text: str
    layer: Layer

    @property
    def extends(self) -> object:
        """The file it extends, as it says."""
        return self.layer.data.get("extends")

    @property
    def is_sweep(self) -> bool:
        """Whether it lists cases, and is none itself."""
        return "cases" in self.layer.data and not self.layer.data.keys() & {"anatomy", "extends"}


def load_case(path: str | Path, overrides: Sequence[str] = (), anatomy: str | Path | None = None) -> Case:
    """Read a case file with what it extends.

    ``overrides``: ``"table.key=value"`` each, the value as in TOML, quotes not needed. ``anatomy``: name of a file
    beside the extended anatomy file (``"phantom"``), or a path, to use in its place.
    Raises ``CaseError`` with every problem found, one line each: ``file:line: key: found; expected; remedy``.
    """
    start = Path(path)
    chain = _chain(start, anatomy)
    if chain[0].is_sweep:
        raise CaseError(
            f"{chain[0].layer.place(('cases',))}: cases: is a list of cases, so the file is a sweep; expected a case; "
            f"check it with: thermal validate {shown(start)}, run it with: thermal batch {shown(start)}"
        )
    layer = Layer({}, {})
    problems: list[str] = []
    for file in reversed(chain):
        problems += _version_problems(file)
        layer = merge(layer, _relocated(file, start.parent))
    layer.data.pop("extends", None)
    layer, broken = _override(layer, overrides)
    case, found = _validate(layer, shown(start), hide_version=bool(problems))
    problems += broken + found
    if case is None or problems:
        raise CaseError(*problems)
    origin = Origin(
        path=start,
        text=chain[0].text,
        files=tuple((shown(file.path), file.text) for file in chain),
        overrides=tuple(overrides),
        places=dict(layer.places),
    )
    return case.with_origin(origin)


# ------------------------------------------------------------------------------------------------ files


def read_file(path: Path, asked_at: str = "") -> CaseFile:
    """Read one file; ``asked_at`` says which line wants it."""
    at = f"{asked_at}: " if asked_at else ""
    name = shown(path)
    try:
        is_there, is_folder, is_file = path.exists(), path.is_dir(), path.is_file()
    except OSError as error:  # of a name that is too long, in a folder that is closed
        raise CaseError(f"{at}{name}: cannot be read ({error.strerror})") from None
    if is_folder:
        raise CaseError(f"{at}{name}: is a folder; expected a case file (.toml)")
    if not is_there:
        folder = path.parent if path.parent.is_dir() else None
        near = nearest(path.name, [other.name for other in folder.glob("*.toml")]) if folder else None
        remedy = f'did you mean "{shown(path.parent / near)}"?' if near else "check the path"
        raise CaseError(f"{at}{name}: no such file; {remedy}")
    if not is_file:
        raise CaseError(f"{at}{name}: is no ordinary file; expected a case file (.toml)")
    try:
        if path.stat().st_size > LARGEST_FILE:
            raise CaseError(f"{at}{name}: is larger than {LARGEST_FILE} bytes; a case file has a few kilobytes")
        text = path.read_bytes().decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = path.read_bytes()[: error.start].count(b"\n") + 1
        raise CaseError(f"{name}:{line}: is not UTF-8 text; save the file as UTF-8 (and units as ASCII)") from None
    except OSError as error:
        raise CaseError(f"{at}{name}: cannot be read ({error.strerror})") from None
    if any(part.count(".") > MOST_DOTS for part in _NO_KEY.split(text)):
        raise CaseError(f"{name}: a key has more than {MOST_DOTS} parts; at most {DEEPEST} levels are allowed")
    try:
        data = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise CaseError(_syntax(name, text, str(error))) from None
    except ValueError as error:  # whole numbers of thousands of digits
        raise CaseError(f"{name}: a number cannot be read ({error}); write it shorter, e.g. 1e6") from None
    except RecursionError:
        raise CaseError(
            f"{name}: tables or lists are nested too deeply; at most {DEEPEST} levels are allowed"
        ) from None
    if deep := _too_deep(data):
        first = next(iter(deep))
        raise CaseError(f"{name}: {first}: is nested too deeply; at most {DEEPEST} levels are allowed")
    places = {keys: Place(name, line) for keys, line in key_lines(text).items()}
    return CaseFile(path, text, Layer(with_tables(data, path.parent), places))


def _too_deep(data: Any) -> Keys:
    todo: list[tuple[Keys, Any]] = [((), data)]
    while todo:
        keys, value = todo.pop()
        if len(keys) > DEEPEST:
            return keys
        items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
        todo += [((*keys, key), item) for key, item in items]
    return ()


def _syntax(name: str, text: str, message: str) -> str:
    where = _POSITION.search(message)
    lines = text.splitlines()
    number = int(where.group(1)) if where and where.group(1) else max(1, len(lines))
    what = _POSITION.sub("", message)
    line = lines[number - 1] if number <= len(lines) else ""
    unquoted = _UNQUOTED.match(line) if len(line) <= LONGEST_LINE else None
    if unquoted:
        remedy = f'a quantity needs quotes: {unquoted.group(1)} = "{unquoted.group(2)}"'
    else:
        remedy = "texts and quantities need quotes, tables brackets, and a key stands once"
    return f'{name}:{number}: no valid TOML: {what[:1].lower()}{what[1:]}; found "{line.strip()[:80]}"; {remedy}'


def _chain(start: Path, anatomy: str | Path | None) -> list[CaseFile]:
    """The file and all that it extends, nearest first."""
    chain = [read_file(start)]
    while (target := chain[-1].extends) is not None:
        file = chain[-1]
        place = file.layer.place(("extends",))
        if not isinstance(target, str) or not target:
            raise CaseError(
                f'{place}: extends: found {show(target)}; expected one file name, e.g. "../anatomy/liver.toml"'
            )
        chain.append(read_file(file.path.parent / target, f"{place}: extends"))
        seen = [link.path.resolve() for link in chain]
        if seen[-1] in seen[:-1] or len(chain) > LONGEST_CHAIN:
            path = " -> ".join(shown(link.path) for link in chain)
            raise CaseError(f"{place}: extends: goes round in a circle ({path}); remove one of the links")
    if anatomy is None:
        return chain
    holder = next((index for index in range(len(chain) - 1, -1, -1) if "anatomy" in chain[index].layer.data), -1)
    if holder < 1:
        raise CaseError(
            f"--anatomy {anatomy}: {shown(start)} extends no anatomy file that could be replaced; move its [anatomy] "
            'and [tissues] into a file of their own and write extends = "that_file.toml"'
        )
    wanted = _anatomy_file(anatomy, chain[holder].path)
    return chain[:holder] + _chain(wanted, None)


def _anatomy_file(name: str | Path, replaced: Path) -> Path:
    text = str(name)
    if text.endswith(".toml") or os.sep in text:
        return Path(text)
    wanted = replaced.parent / f"{text}.toml"
    if not wanted.is_file():
        names = [path.stem for path in replaced.parent.glob("*.toml")]
        raise CaseError(
            f"--anatomy {text}: no file {shown(wanted)}; {suggest(text, names, 'anatomies')} "
            "(or give the path of a .toml file)"
        )
    return wanted


def _version_problems(file: CaseFile) -> list[str]:
    version = file.layer.data.get("schema_version", SCHEMA_VERSION)
    if version == SCHEMA_VERSION and type(version) is int:
        return []
    if type(version) is int and version > SCHEMA_VERSION:
        remedy = "the file was written for a newer thermal: install that"
    else:
        remedy = f"write schema_version = {SCHEMA_VERSION}; keys that have been renamed since are then named one by one"
    return [
        f"{file.layer.place(('schema_version',))}: schema_version: found {show(version)}; this version of thermal "
        f"reads {SCHEMA_VERSION}; {remedy}"
    ]


def _relocated(file: CaseFile, folder: Path) -> Layer:
    """The file's layer with names of input files made relative to the folder of the case."""
    if file.path.parent.resolve() == folder.resolve():
        return file.layer
    data = copy.deepcopy(file.layer.data)
    for pattern in FILE_KEYS:
        for keys, name in entries(data, pattern):
            if isinstance(name, str) and name and not name.startswith("data:") and not Path(name).is_absolute():
                table: Any = data
                for key in keys[:-1]:
                    table = table[key]
                table[keys[-1]] = os.path.relpath(file.path.parent / name, folder)
    return Layer(data, file.layer.places)


# ------------------------------------------------------------------------------------------------ --set


def parse_value(text: str) -> Any:
    """A value given on the command line: TOML, else a list of such values, else the text itself."""
    try:
        parsed = tomllib.loads(f"value = {text}")
    except (ValueError, RecursionError):  # tomllib's errors are among the former
        parsed = {}
    if list(parsed) == ["value"]:
        return parsed["value"]
    if text.startswith("[") and text.endswith("]") and "[" not in text[1:]:
        return [parse_value(part.strip()) for part in text[1:-1].split(",") if part.strip()]
    return text


def _parse_keys(text: str) -> Keys | None:
    if text.count(".") > MOST_DOTS:
        return None
    try:
        data: Any = tomllib.loads(f"{text} = 0")
    except (ValueError, RecursionError):
        return None
    keys: list[str | int] = []
    while isinstance(data, dict) and len(data) == 1:
        key, data = next(iter(data.items()))
        keys.append(key)
    return tuple(keys) if data == 0 and 0 < len(keys) <= DEEPEST else None


def _override(layer: Layer, overrides: Sequence[str]) -> tuple[Layer, list[str]]:
    """Assign ``table.key=value``; a changed ``kind`` or ``model`` comes first, whatever the order."""
    problems: list[str] = []
    assignments: list[tuple[Keys, Any]] = []
    for text in overrides:
        name, equals, value = text.partition("=")
        keys = _parse_keys(name.strip()) if equals else None
        if keys is None:
            problems.append(f"--set: found {show(text)}; expected table.key=value, e.g. --set 'heating.power=2 W'")
        else:
            assignments.append((keys, parse_value(value.strip())))
    for keys, value in sorted(assignments, key=lambda pair: pair[0][-1] not in ("kind", "model")):
        nested: Any = value
        for key in reversed(keys):
            nested = {key: nested}
        target = _holder(layer.data, keys)
        if isinstance(target, list):
            layer, trouble = _assign_item(layer, keys, value)
            problems += trouble
        elif target is not None and not isinstance(target, dict):
            problems.append(f"--set: {dotted(keys)}: a value stands where a table is needed; check the key")
        else:
            places = {keys[:length]: Place("--set") for length in range(1, len(keys) + 1)}
            layer = merge(layer, Layer(nested, {keys: places[keys]}))
            layer = Layer(layer.data, {**places, **layer.places})
    return layer, problems


def _holder(data: Any, keys: Keys) -> Any:
    """What holds the last key: the deepest existing value along the way that is no table, else a table or ``None``."""
    for key in keys[:-1]:
        data = data.get(key)
        if not isinstance(data, dict):
            return data
    return data


def _assign_item(layer: Layer, keys: Keys, value: Any) -> tuple[Layer, list[str]]:
    """Assign into an array: ``anatomy.shapes.0.radius``."""
    data = copy.deepcopy(layer.data)
    path: Keys = ()
    place: Any = data
    for depth, key in enumerate(keys):
        if isinstance(place, list):
            if not str(key).isdigit() or int(key) >= len(place):
                known = f"0 to {len(place) - 1}" if place else "none"
                return layer, [f"--set: {dotted(keys)}: {show(key)} is no item of {dotted(path)}; valid items: {known}"]
            key = int(key)
        elif not isinstance(place, dict):
            return layer, [f"--set: {dotted(keys)}: {dotted(path)} holds a value, no table; check the key"]
        path = (*path, key)
        if depth == len(keys) - 1:
            place[key] = value
        else:
            place = place.setdefault(key, {}) if isinstance(place, dict) else place[int(key)]
    places = dict(layer.places)
    forget(places, path)
    places[path] = Place("--set")
    return Layer(data, places), []


# ------------------------------------------------------------------------------------------------ checking


def _validate(layer: Layer, fallback: str, hide_version: bool) -> tuple[Case | None, list[str]]:
    """The case, or every problem of it."""
    reporter = Reporter(Case, layer, fallback)
    try:
        return Case.model_validate(layer.data), []
    except ValidationError as error:
        found, error_count = reporter.problems(error), error.error_count()
        sound = _sound_parts(layer.data, error)
    except RecursionError:
        return None, [f"{fallback}: tables or lists are nested too deeply; at most {DEEPEST} levels are allowed"]
    if sound is not None:
        found += [problem for problem in cross_check(sound) if problem not in found]
    if hide_version:
        found = [problem for problem in found if problem.keys != ("schema_version",)]
    order = {keys: number for number, keys in enumerate(layer.places)}
    found.sort(key=lambda problem: _rank(problem, layer, order))
    more = error_count - MOST_PROBLEMS
    rest = [f"{fallback}: {more} problems more; mend these first"] if more > 0 else []
    return None, [*(reporter.line(problem) for problem in found), *rest]


def _rank(problem: Problem, layer: Layer, order: dict[Keys, int]) -> tuple[str, int, int]:
    place = layer.place(problem.keys)
    if place is None:
        return "", 0, 0
    return place.file, place.line or 0, order.get(problem.keys, 0)


def _sound_parts(data: dict[str, Any], error: ValidationError) -> dict[str, Any] | None:
    """The top-level values without problems, for the checks between them; ``None`` when these have run already."""
    raw = error.errors(include_url=False)
    if any(isinstance(entry.get("ctx", {}).get("error"), CrossError) for entry in raw):
        return None
    bad = {entry["loc"][0] for entry in raw if entry["loc"]}
    parts: dict[str, Any] = {}
    for name, info in Case.model_fields.items():
        if name in bad:
            continue
        if name in data:
            try:
                parts[name] = TypeAdapter(info.rebuild_annotation()).validate_python(data[name])
            except ValidationError:
                continue
        elif not info.is_required():
            parts[name] = info.get_default(call_default_factory=True)
    return parts
