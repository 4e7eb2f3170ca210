"""A case written out: every default filled in, and the schema itself for editors and the reference."""

from __future__ import annotations

import ast
import hashlib
import inspect
import json
import textwrap
from collections.abc import Iterator, Mapping, Sequence
from functools import lru_cache
from itertools import pairwise
from pathlib import PurePath
from typing import Any

from pydantic import BaseModel

from thermal.case.expected import Expected
from thermal.units import example


def resolved_value(expected: Expected | None, value: Any) -> Any:
    """``value`` as plain JSON; quantities become ``{"value": SI, "unit": ...}``."""
    if isinstance(value, BaseModel):
        fields = Expected(type(value)).fields()
        names = {info.alias or name: name for name, info in type(value).model_fields.items()}
        return {key: resolved_value(fields[key], getattr(value, names[key])) for key in fields}
    if expected is not None and expected.members:
        expected = next((member for member in expected.members if member.suits(value)), None)
    if isinstance(value, dict):
        return {key: resolved_value(expected.inside(key) if expected else None, item) for key, item in value.items()}
    if isinstance(value, (tuple, list)):
        return [resolved_value(expected.inside(i) if expected else None, item) for i, item in enumerate(value)]
    if isinstance(value, float) and expected is not None and expected.unit is not None:
        return {"value": float(value), "unit": expected.unit}
    return str(value) if isinstance(value, PurePath) else value


def canonical(data: Any) -> str:
    """JSON that is the same text for the same content."""
    return json.dumps(data, sort_keys=True, separators=(",", ":"), allow_nan=False, ensure_ascii=True)


def digest(data: Any) -> str:
    """SHA-256 of the canonical JSON."""
    return hashlib.sha256(canonical(data).encode()).hexdigest()


def quantity_text(entry: Any) -> str:
    """A resolved value as one would write it: ``{"value": 2.0, "unit": "W"}`` -> ``2 W``."""
    if isinstance(entry, dict) and set(entry) == {"value", "unit"}:
        return f"{entry['value']:g} {entry['unit']}".strip()
    return json.dumps(entry, ensure_ascii=False)


def differences(old: Any, new: Any, at: str = "") -> Iterator[str]:
    """What differs between two resolved cases: ``heating.power: 2 W -> 3 W``."""
    if old == new:
        return
    tables = [isinstance(side, dict) and set(side) != {"value", "unit"} for side in (old, new)]
    if all(tables):
        for key in [*old, *(key for key in new if key not in old)]:
            inner = f"{at}.{key}" if at else str(key)
            if key not in old:
                yield f"{inner}: absent -> {_short(new[key])}"
            elif key not in new:
                yield f"{inner}: {_short(old[key])} -> absent"
            else:
                yield from differences(old[key], new[key], inner)
    elif isinstance(old, list) and isinstance(new, list) and len(old) == len(new):
        for index, (before, after) in enumerate(zip(old, new, strict=True)):
            yield from differences(before, after, f"{at}[{index}]")
    else:
        yield f"{at}: {_short(old)} -> {_short(new)}"


def _short(entry: Any) -> str:
    text = quantity_text(entry)
    return text if len(text) <= 60 else text[:56] + "..."


# ------------------------------------------------------------------------------------------------ schema


@lru_cache(maxsize=256)
def field_docs(model: type[BaseModel]) -> dict[str, str]:
    """Docstring under each field of a model, inherited ones included."""
    found: dict[str, str] = {}
    for base in reversed(model.__mro__):
        if base is BaseModel or not issubclass(base, BaseModel):
            continue
        try:
            (definition,) = ast.parse(textwrap.dedent(inspect.getsource(base))).body
        except (OSError, TypeError, ValueError, SyntaxError):
            continue
        body: Sequence[ast.stmt] = definition.body if isinstance(definition, ast.ClassDef) else ()
        for statement, after in pairwise(body):
            if (
                isinstance(statement, ast.AnnAssign)
                and isinstance(statement.target, ast.Name)
                and isinstance(after, ast.Expr)
                and isinstance(after.value, ast.Constant)
                and isinstance(after.value.value, str)
            ):
                found[statement.target.id] = inspect.cleandoc(after.value.value)
    return found


def models_within(expected: Expected, seen: set[type[BaseModel]] | None = None) -> set[type[BaseModel]]:
    """Every model reachable from an annotation."""
    seen = set() if seen is None else seen
    if expected.model is not None:
        if expected.model not in seen:
            seen.add(expected.model)
            for inner in expected.fields().values():
                models_within(inner, seen)
        return seen
    for member in expected.members:
        models_within(member, seen)
    if not expected.members and (expected.is_table or expected.is_list):
        arguments = getattr(expected.annotation, "__args__", ())
        for argument in arguments:
            if argument is not Ellipsis:
                models_within(Expected.of(argument), seen)
    return seen


def json_schema(model: type[BaseModel]) -> dict[str, Any]:
    """JSON schema of a case file: quantities are texts with units, fields carry their docstrings."""
    schema = model.model_json_schema()
    definitions = schema.get("$defs", {})
    for found in models_within(Expected(model)):
        qualified = f"{found.__module__}.{found.__qualname__}".replace(".", "__")  # where two classes share a name
        node = schema if found is model else definitions.get(qualified) or definitions.get(found.__name__)
        if node is None:
            continue
        for field, text in field_docs(found).items():
            info = found.model_fields.get(field)
            key = info.alias or field if info is not None else field
            if key in node.get("properties", {}):
                node["properties"][key].setdefault("description", text)
    _quantities(schema)
    _require_tags(schema, definitions)
    return schema


def complete_or_extending(whole: dict[str, Any]) -> dict[str, Any]:
    """The schema of a file: ``whole``, or, where it extends another file, any part of it."""
    definitions = whole.pop("$defs", {})
    parts = {f"{name}-part": _partial(definition) for name, definition in definitions.items()}
    extends = {"extends": {"type": "string", "description": "file whose keys this file builds on"}}
    part = _partial(whole)
    part["properties"] = {**extends, **part["properties"]}
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": whole.get("title", ""),
        "description": whole.get("description", ""),
        "if": {"required": ["extends"]},
        "then": part,
        "else": whole,
        "$defs": {**definitions, **parts},
    }


def _partial(node: Any) -> Any:
    """A copy in which tables may lack keys; lists replace one another as a whole, so their entries stay complete."""
    if isinstance(node, list):
        return [_partial(item) for item in node]
    if not isinstance(node, dict):
        return node
    part: dict[str, Any] = {}
    for key, value in node.items():
        if key in ("items", "prefixItems", "properties"):
            part[key] = {name: _partial(item) for name, item in value.items()} if key == "properties" else value
        elif key == "$ref":
            part[key] = f"{value}-part"
        elif key == "oneOf":
            part["anyOf"] = _partial(value)
        elif key not in ("required", "discriminator"):
            part[key] = _partial(value)
    return part


def _require_tags(node: Any, definitions: dict[str, Any]) -> None:
    """Require the key that tells the kinds of a table apart, which a kind by itself may leave out, in place."""
    if isinstance(node, list):
        for item in node:
            _require_tags(item, definitions)
    if not isinstance(node, dict):
        return
    tag = node.get("discriminator")
    if isinstance(tag, dict) and "oneOf" in node:
        for reference in tag["mapping"].values():
            kind = definitions[reference.rpartition("/")[2]]
            kind["required"] = sorted({*kind.get("required", ()), tag["propertyName"]})
    for value in node.values():
        _require_tags(value, definitions)


_LIMITS = {
    "exclusiveMinimum": "above", "minimum": "at least", "exclusiveMaximum": "below", "maximum": "at most",
    "gt": "above", "ge": "at least", "lt": "below", "le": "at most",
}  # fmt: skip


_JSON_LIMITS = {"gt": "exclusiveMinimum", "ge": "minimum", "lt": "exclusiveMaximum", "le": "maximum"}
_NUMBER = r"[-+]?(\d+\.?\d*|\.\d+)([eE][-+]?\d+)?"


def _quantities(node: Any) -> None:
    """Turn every number with a unit into a text with a unit, in place; plain numbers may be texts with a per cent."""
    if isinstance(node, list):
        for item in node:
            _quantities(item)
    if not isinstance(node, dict):
        return
    unit = node.get("unit")
    if isinstance(unit, str) and node.get("type") == "number":
        limits = [f"{words} {node[name]:g} {unit}".strip() for name, words in _LIMITS.items() if name in node]
        for name in _LIMITS:
            bound = node.pop(name, None)
            if bound is not None and not unit:
                node[_JSON_LIMITS.get(name, name)] = bound
        node["type"] = "string" if unit else ["number", "string"]
        node["pattern"] = rf"^\s*{_NUMBER}\s*([A-Za-z°µμ%(1].*)$" if unit else rf"^\s*{_NUMBER}\s*%?\s*$"
        node["examples"] = [example(unit) if unit else float(example(unit))]
        if isinstance(node.get("default"), (int, float)) and unit:
            node["default"] = f"{node['default']:g} {unit}"
        node["description"] = "; ".join(filter(None, [node.get("description", ""), " and ".join(limits)]))
    for value in list(node.values()):
        _quantities(value)


def as_written(value: Any) -> Any:
    """A resolved table as one would write it in a case file."""
    if isinstance(value, Mapping):
        if set(value) == {"value", "unit"}:
            return value["value"] if not value["unit"] else f"{value['value']!r} {value['unit']}"
        return {key: as_written(item) for key, item in value.items() if item is not None}
    if isinstance(value, (list, tuple)):
        return [as_written(item) for item in value]
    return value
