"""Write ``case-reference.md`` from the schema of case files.

    python docs/generate_reference.py            write the page
    python docs/generate_reference.py --check    exit with 1 if the page is not what would be written

Tables, keys, units, limits, defaults and words come from ``thermal.case``.
"""

from __future__ import annotations

import inspect
import re
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import Any, Literal, get_args, get_origin

from pydantic import BaseModel, BeforeValidator
from pydantic.fields import FieldInfo

from thermal.case.describe import field_docs
from thermal.case.expected import Expected
from thermal.case.schema import Case
from thermal.units import HUGE, Point

PAGE = Path(__file__).parent / "case-reference.md"

INTRODUCTION = """\
<!-- Written by docs/generate_reference.py from the schema; do not edit. -->

# Case reference

Every table and key that a case file may hold. `thermal schema` prints the same as a JSON schema for editors, and
`thermal validate CASE` names every problem with its file and line.

A **quantity** is a text with a unit: `power = "2 W"`. The column *takes* names the SI unit that it is converted to;
any unit of the same dimension will do (`"5 ul/min"`, `"0.5 W/cm^3"`, `"37 degC"`, `"860 ml/min/kg"`). Numbers without
a dimension are written bare, or as a text with a per cent sign. A **point** is three lengths in patient coordinates,
RAS: x to the patient's right, y to the front, z to the head. Temperatures are in degrees Celsius.

In `extends = "other.toml"` a file builds on another: tables merge, values and lists replace, and a table with another
`kind` replaces the whole table. File names count from the folder of the file that holds them; `"data:NAME"` is looked
for in the folder `$THERMAL_DATA`, then in `$XDG_CACHE_HOME/thermal` or `~/.cache/thermal`. On the command line
`--set table.key=value` changes single values, and `--anatomy NAME` takes the place of the extended anatomy file.

Unknown keys, wrong dimensions and values out of range are errors.
"""

NOUNS = {"kind", "shape", "model"}
"""Keys that tell the members of a union apart; they need no words."""

FACTORS = {"m": (1e3, "mm")}
"""Units in which a default is easier to read."""


def code(text: str) -> str:
    """Inline code that a table cell can hold."""
    return "`" + text.replace("|", "\\|") + "`"


def prose(text: str) -> str:
    """A docstring of the schema as Markdown."""
    text = re.sub(r":\w+:`~?([^`]*)`", r"``\1``", text)
    return re.sub(r"``([^`]*)``", r"`\1`", text)


def cell(text: str) -> str:
    """Markdown that a table cell can hold."""
    return " ".join(prose(text).split()).replace("|", "\\|")


def quantity(value: float, unit: str) -> str:
    """A default as one would write it."""
    factor, shown = FACTORS.get(unit, (1.0, unit))
    return f'"{value * factor:.6g} {shown}"' if unit else f"{value:.6g}"


def literal(value: Any, expected: Expected | None) -> str:
    """A default of any kind, as TOML."""
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, float) and expected is not None and expected.unit is not None:
        return quantity(value, expected.unit)
    if isinstance(value, (tuple, list)):
        inner = [literal(item, expected.inside(index) if expected else None) for index, item in enumerate(value)]
        return inner[0] if inner and len(inner) == 3 and len(set(inner)) == 1 else f"[{', '.join(inner)}]"
    return f'"{value}"' if isinstance(value, str) else str(value)


def default(info: FieldInfo) -> str:
    """What holds when the key is left out."""
    if info.is_required():
        return "**required**"
    value = info.get_default(call_default_factory=True)
    if value is None or value in ((), {}):
        return ""
    if isinstance(value, BaseModel):
        names = [name for name in ("kind", "model") if name in type(value).model_fields]
        return code(f'{names[0]} = "{getattr(value, names[0])}"') if names else "see there"
    expected = Expected.field(info)
    if expected.members:
        expected = next((member for member in expected.members if member.suits(value)), expected)
    return code(literal(value, expected))


def spoken(expected: Expected, path: str) -> str:
    """What a key takes, in words."""
    for entry in expected.metadata:
        given = getattr(entry, "json_schema_input_type", None)
        several = get_args(given)[-1] if get_args(given) else None
        if isinstance(entry, BeforeValidator) and several is not None and Ellipsis not in get_args(several):
            return "one, or three: " + spoken(Expected.of(get_args(given)[0]), path)
    if expected.unit is not None:
        return (f"quantity, {code(expected.unit)}" if expected.unit else "number") + limits(expected)
    if expected.model is not None:
        return f"table [`[{path}]`](#{anchor(path)})"
    arguments = get_args(expected.annotation)
    if get_origin(expected.annotation) is Literal:
        return ", ".join(code(f'"{choice}"' if isinstance(choice, str) else str(choice)) for choice in arguments)
    if expected.is_table:
        return f"table of names, each {spoken(Expected.of(arguments[1]), path + '.NAME')}"
    if expected.is_list and arguments[-1] is Ellipsis:
        inner = Expected.of(arguments[0])
        many = f"list of {_plural(spoken(inner, path))}"
        return f"{many}, or one of them" if _accepts_one(expected) else many
    if expected.is_list:
        parts = [spoken(Expected.of(part), path) for part in arguments]
        if expected.annotation == Point:
            return "point"
        count = {2: "pair", 3: "triple"}[len(parts)]
        return f"{count} of {_plural(parts[0])}" if len(set(parts)) == 1 else f"{count}: {'; '.join(parts)}"
    if expected.members:
        return " or ".join(dict.fromkeys(spoken(member, path) for member in expected.members))
    names = {bool: "`true` or `false`", str: "text", int: "whole number", float: "number"}
    return names[expected.annotation] + limits(expected)


def limits(expected: Expected) -> str:
    """The limits of a number in its SI unit, in brackets; nothing where any number will do."""
    signs = {"gt": ">", "ge": "≥", "lt": "<", "le": "≤"}
    given = [f"{signs[name]} {limit:g}" for name, limit in expected.limits.items() if abs(limit) < HUGE]
    return f" ({', '.join(given)})" if given else ""


def _plural(words: str) -> str:
    for one in ("table [", "pair", "whole number", "number", "quantity"):
        if words.startswith(one):
            many = {"table [": "tables [", "quantity": "quantities"}.get(one, one + "s")
            return many + words.removeprefix(one)
    return words


def _accepts_one(expected: Expected) -> bool:
    return any(
        isinstance(entry, BeforeValidator) and entry.func.__name__ == "one_or_many" for entry in expected.metadata
    )


def anchor(path: str) -> str:
    """Target of a link to the section of a table."""
    return "case-" + re.sub(r"[^a-z0-9]+", "-", path.lower()).strip("-")


def inner_tables(expected: Expected, path: str) -> list[tuple[str, Expected, str]]:
    """Tables below a key: (path, what is expected, tag of a union's member or "")."""
    if expected.model is not None:
        return [(path, expected, "")]
    if expected.discriminator is not None and expected.members:
        return [(path, member, tag) for tag, member in expected.tags().items() if member.model is not None]
    if expected.members:
        return [found for member in expected.members for found in inner_tables(member, path)]
    if expected.is_table:
        return inner_tables(Expected.of(get_args(expected.annotation)[1]), f"{path}.NAME")
    if expected.is_list:
        return inner_tables(Expected.of(get_args(expected.annotation)[0]), path)
    return []


def words_for(model: type[BaseModel], key: str) -> str:
    """Meaning of a key: the schema's words, else ours."""
    docs = {model.model_fields[name].alias or name: text for name, text in field_docs(model).items()
            if name in model.model_fields}  # fmt: skip
    if key in NOUNS:
        return ""
    if key not in docs:
        raise SystemExit(f"{model.__module__}.{model.__name__}: the field of the key {key} has no docstring under it")
    return cell(docs[key])


def rows(model: type[BaseModel], path: str) -> Iterable[str]:
    """Lines of the table of keys."""
    yield "| key | takes | default | meaning |"
    yield "| --- | --- | --- | --- |"
    for name, info in model.model_fields.items():
        key = info.alias or name
        inner = f"{path}.{key}" if path else key
        yield f"| {code(key)} | {spoken(Expected.field(info), inner)} | {default(info)} | {words_for(model, key)} |"


def heading(path: str, expected: Expected, tag: str, key: str) -> str:
    """Name of a table, with the kind that it is."""
    several = "[" if _in_list(path) else ""
    name = f"`{several}[{path}]{']' if several else ''}`"
    if not tag:
        return name
    return f'{name}, `{key} = "{tag}"`' if key else f"{name}, {tag.removesuffix('tip')}"


def _in_list(path: str) -> bool:
    expected: Expected | None = Expected(Case)
    for part in path.split("."):
        if expected is None:
            return False
        members = [member.inside(part) for member in expected.members] if expected.members else [expected.inside(part)]
        expected = next((member for member in members if member is not None), None)
    return expected is not None and expected.is_list


def section(path: str, expected: Expected, tag: str, key: str, level: int, seen: set[str]) -> Iterable[str]:
    """One table and those below it."""
    model = expected.model
    assert model is not None
    yield f"({anchor(path + '-' + tag if tag else path)})="
    yield f"{'#' * level} {heading(path, expected, tag, key)}"
    yield ""
    yield prose(inspect.cleandoc(model.__doc__ or ""))
    yield ""
    yield from rows(model, path)
    yield ""
    for name, info in model.model_fields.items():
        yield from below(f"{path}.{info.alias or name}", Expected.field(info), level + 1, seen)


def below(path: str, expected: Expected, level: int, seen: set[str]) -> Iterable[str]:
    """Sections of the tables that a key holds; those met before are not repeated."""
    found = inner_tables(expected, path)
    discriminator = expected.discriminator
    for union in (expected, *(_elements(expected))):
        discriminator = discriminator or union.discriminator
    key = discriminator if isinstance(discriminator, str) else ""
    told_apart = len(found) > 1
    fresh = [entry for entry in found if f"{entry[0]} {entry[2]} {entry[1].annotation}" not in seen]
    for number, (where, inner, tag) in enumerate(fresh):
        seen.add(f"{where} {tag} {inner.annotation}")
        if told_apart and number == 0:
            yield f"({anchor(where)})="
            yield f"{'#' * level} `[{where}]`"
            yield ""
            yield "One of the following tables." if key else "One of two forms."
            yield ""
        shown = tag if told_apart or key else ""
        yield from section(where, inner, shown, key, level + told_apart, seen)


def _elements(expected: Expected) -> list[Expected]:
    arguments = [argument for argument in get_args(expected.annotation) if argument is not Ellipsis]
    if expected.is_table:
        return [Expected.of(arguments[1])]
    return [Expected.of(arguments[0])] if expected.is_list else []


def page() -> str:
    """The whole page."""
    lines = [INTRODUCTION, "## Top level", "", *rows(Case, ""), ""]
    seen: set[str] = set()
    for name, info in Case.model_fields.items():
        lines += below(name, Expected.field(info), 2, seen)
    return "\n".join(lines).rstrip() + "\n"


def main(arguments: list[str]) -> int:
    """Write or check the page."""
    text = page()
    if "--check" in arguments:
        same = PAGE.exists() and PAGE.read_text(encoding="utf-8") == text
        print(f"{PAGE.name}: {'up to date' if same else 'out of date; run: python docs/generate_reference.py'}")
        return 0 if same else 1
    PAGE.write_text(text, encoding="utf-8")
    print(f"wrote {PAGE.name}: {len(text.splitlines())} lines")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
