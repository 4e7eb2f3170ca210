"""From validation errors to lines a user can act on: ``file:line: key: found; expected; remedy``."""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, get_args

from pydantic import BaseModel, ValidationError

from thermal.case.expected import Expected, Spot, locate
from thermal.case.former import remedy
from thermal.case.places import Keys, Layer, dotted
from thermal.units import printable

MOST_PROBLEMS = 100
"""Problems of one file that are put into words; nobody reads more at once, and words take their time."""


@dataclass(frozen=True)
class Problem:
    """Something wrong with a case: path of the value and what to say about it."""

    keys: Keys
    message: str


class CrossError(ValueError):
    """Values that are right one by one but not together."""

    def __init__(self, found: Sequence[Problem]) -> None:
        self.found = tuple(found)
        super().__init__("; ".join(f"{dotted(problem.keys)}: {problem.message}" for problem in found))


def nearest(word: str, choices: Iterable[str]) -> str | None:
    """The choice that was probably meant."""
    names = {name.lower(): name for name in choices}
    near = difflib.get_close_matches(word.lower(), list(names), n=1, cutoff=0.6)
    return names[near[0]] if near else None


def suggest(word: str, choices: Iterable[str], noun: str = "names") -> str:
    """``did you mean "x"?`` when a choice is near, else the list of them all."""
    names = sorted(choices)
    near = nearest(word, names)
    return f'did you mean "{near}"?' if near else f"valid {noun}: {', '.join(names) or 'none'}"


def show(value: Any) -> str:
    """A value as it stands in the file, shortened."""
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, dict):
        return "a table"
    if isinstance(value, str):
        return f'"{printable(value)}"'
    try:
        return printable(str(value))
    except ValueError:  # a whole number of thousands of digits, which Python refuses to print
        return "a number of thousands of digits"


_FORMS = {
    "model_type": "a table",
    "model_attributes_type": "a table",
    "dict_type": "a table",
    "list_type": "a list",
    "tuple_type": "a list",
    "string_type": "a text in quotes",
    "bool_type": "true or false",
    "bool_parsing": "true or false",
    "int_type": "a whole number",
    "int_parsing": "a whole number",
    "int_from_float": "a whole number",
    "float_type": "a number",
    "float_parsing": "a number",
}
_LIMITS = ("greater_than", "greater_than_equal", "less_than", "less_than_equal", "finite_number")


@dataclass(frozen=True)
class Reporter:
    """Words for the validation errors of one case."""

    schema: type[BaseModel]
    layer: Layer
    fallback: str
    """file named for what has no place"""

    def line(self, problem: Problem) -> str:
        """The line shown to the user."""
        place = self.layer.place(problem.keys) or self.fallback
        return f"{place}: {dotted(problem.keys) or self.schema.__name__.lower()}: {problem.message}"

    def problems(self, error: ValidationError) -> list[Problem]:
        """The first problems of a validation error: union tags stripped, consequences of another one left out."""
        root, entries = Expected(self.schema), error.errors(include_url=False)[:MOST_PROBLEMS]
        pairs = [(locate(root, self.layer.data, entry["loc"]), entry) for entry in entries]
        spots = [spot for spot, _ in pairs]
        pairs = [
            (spot, entry) for spot, entry in pairs if _relevant(spot, spots) and not _shortened(spot, entry, spots)
        ]
        misspelt = {
            (*spot.keys[:-1], near)
            for spot, entry in pairs
            if entry["type"] == "extra_forbidden" and (near := nearest(str(spot.keys[-1]), _field_names(spot.parent)))
        }
        found: dict[Problem, None] = {}
        for spot, entry in pairs:
            if entry["type"] != "missing" or spot.keys not in misspelt:
                found |= dict.fromkeys(self._words(spot, entry))
        return list(found)

    def _words(self, spot: Spot, entry: Any) -> list[Problem]:
        kind, context, found = entry["type"], entry.get("ctx", {}), show(entry["input"])
        keys, expected = spot.keys, spot.expected
        if kind == "value_error":
            inner = context["error"]
            if isinstance(inner, CrossError):
                return [Problem((*keys, *problem.keys), problem.message) for problem in inner.found]
            return [Problem(keys, str(inner))]
        if kind == "extra_forbidden":
            return [Problem(keys, f"unknown key (found {found}); {self._key_hint(spot)}")]
        if kind == "missing" and isinstance(keys[-1], int):
            wanted = len(get_args(spot.parent.annotation)) if spot.parent is not None else keys[-1] + 1
            return [Problem(keys[:-1], f"has {keys[-1]} entries; expected {wanted}")]
        if kind == "missing":
            return [Problem(keys, f"missing; {_request(keys, expected)}")]
        if kind == "too_long":
            return [Problem(keys, f"has {context['actual_length']} entries; expected at most {context['max_length']}")]
        if kind == "too_short":
            return [Problem(keys, f"has {context['actual_length']} entries; expected at least {context['min_length']}")]
        if kind in ("union_tag_not_found", "union_tag_invalid"):
            return [_kind_problem(keys, expected, entry["input"])]
        if kind in _LIMITS and expected is not None:
            sample = f", e.g. {expected.sample()}" if expected.unit else ""
            return [Problem(keys, f"{found} is out of range; expected {expected.limits_text()}{sample}")]
        if kind == "literal_error":
            choices = [str(choice) for choice in get_args(expected.annotation)] if expected is not None else []
            near = nearest(str(entry["input"]), choices)
            remedy = f'; did you mean "{near}"?' if near else ""
            return [Problem(keys, f"found {found}; expected {context['expected'].replace(chr(39), chr(34))}{remedy}")]
        if kind in _FORMS:
            sample = expected.sample() if expected is not None else ""
            form = f"{_FORMS[kind]} [{dotted(keys)}]" if _FORMS[kind] == "a table" else _FORMS[kind]
            return [Problem(keys, f"found {found}; expected {form}" + (f", e.g. {sample}" if sample else ""))]
        return [Problem(keys, f"found {found}; {entry['msg'][:1].lower()}{entry['msg'][1:]}")]

    def _key_hint(self, spot: Spot) -> str:
        if (gone := remedy(spot.keys)) is not None:
            return gone
        key, names = str(spot.keys[-1]), _field_names(spot.parent)
        if nearest(key, names) is None and len(spot.keys) <= 2:
            for home, known in Expected(self.schema).fields().items():
                if home != spot.keys[0] and key in known.fields():
                    return f"it belongs in [{home}]; {suggest(key, names, 'keys')}"
        return suggest(key, [*names, "extends"] if len(spot.keys) == 1 else names, "keys")


def _field_names(expected: Expected | None) -> list[str]:
    return list(expected.fields()) if expected is not None else []


def _relevant(spot: Spot, spots: Sequence[Spot]) -> bool:
    """Of the members of a plain union, only those that have the form of the value are worth a complaint."""
    for fork in spot.forks:
        rivals = [other.member for rival in spots for other in rival.forks if other.keys == fork.keys]
        suited = [member for member in rivals if member is not None and member.suits(fork.value)]
        if suited and fork.member not in suited:
            return False
    return True


def _shortened(spot: Spot, entry: Any, spots: Sequence[Spot]) -> bool:
    """Whether a list only counts as too short because entries of it are wrong, which are complained of themselves."""
    inside = len(spot.keys)
    return entry["type"] == "too_short" and any(
        len(other.keys) > inside and other.keys[:inside] == spot.keys for other in spots
    )


def _kind_problem(keys: Keys, expected: Expected | None, value: Any) -> Problem:
    kinds = sorted(expected.tags()) if expected is not None else []
    discriminator = expected.discriminator if expected is not None else None
    name = discriminator if isinstance(discriminator, str) else "kind"
    listed = f"{name}s: {', '.join(kinds)}"
    if not isinstance(value, dict):
        return Problem(keys, f"found {show(value)}; expected a table [{dotted(keys)}] with a {name}; {listed}")
    if name not in value:
        return Problem((*keys, name), f"missing; {listed}")
    near = nearest(str(value[name]), kinds)
    remedy = f'did you mean "{near}"? ' if near else ""
    return Problem((*keys, name), f"found {show(value[name])}, which is no {name} of {dotted(keys)}; {remedy}{listed}")


def _request(keys: Keys, expected: Expected | None) -> str:
    if expected is not None and (expected.model is not None or expected.members) and not expected.sample():
        kinds = sorted(expected.tags())
        return f"add a table [{dotted(keys)}]" + (f" with kind = one of: {', '.join(kinds)}" if kinds else "")
    sample = expected.sample() if expected is not None else ""
    return f"add {keys[-1]} = {sample}" if sample else f"add {keys[-1]}"
