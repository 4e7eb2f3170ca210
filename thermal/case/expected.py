"""What may stand at a path of a case: a walk along the annotations of the schema."""

from __future__ import annotations

import types
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Annotated, Any, Literal, Union, get_args, get_origin

from pydantic import BaseModel, Discriminator, Tag
from pydantic.fields import FieldInfo

from thermal.case.places import Keys
from thermal.units import example

_UNIONS = (Union, types.UnionType)


@dataclass(frozen=True)
class Expected:
    """An annotation with its metadata, unwrapped of ``Annotated`` and ``| None``."""

    annotation: Any
    metadata: tuple[Any, ...] = ()

    @classmethod
    def of(cls, annotation: Any, metadata: Iterable[Any] = ()) -> Expected:
        """Unwrap an annotation."""
        collected = list(metadata)
        while True:
            if get_origin(annotation) is Annotated:
                annotation, *more = get_args(annotation)
                collected += more
            elif get_origin(annotation) in _UNIONS:
                members = [member for member in get_args(annotation) if member is not types.NoneType]
                if len(members) > 1:
                    return cls(annotation, tuple(collected))
                annotation = members[0]
            else:
                return cls(annotation, tuple(collected))

    @classmethod
    def field(cls, info: FieldInfo) -> Expected:
        """What a model's field may hold."""
        return cls.of(info.annotation, [info, *info.metadata])

    @property
    def model(self) -> type[BaseModel] | None:
        """The model class, where a table of one kind is expected."""
        found = self.annotation
        return found if isinstance(found, type) and issubclass(found, BaseModel) else None

    @property
    def members(self) -> tuple[Expected, ...]:
        """Members of a union, else nothing."""
        if get_origin(self.annotation) not in _UNIONS:
            return ()
        return tuple(Expected.of(member) for member in get_args(self.annotation) if member is not types.NoneType)

    @property
    def discriminator(self) -> str | Discriminator | None:
        """How the members of a union are told apart, where they are."""
        for entry in self.metadata:
            if isinstance(entry, Discriminator):
                return entry
            if isinstance(entry, FieldInfo) and entry.discriminator is not None:
                return entry.discriminator
        return None

    @property
    def unit(self) -> str | None:
        """Unit of a quantity (empty for a plain number), else ``None``."""
        for entry in self.metadata:
            extra = entry.json_schema_extra if isinstance(entry, FieldInfo) else None
            if isinstance(extra, dict) and "unit" in extra:
                return str(extra["unit"])
        return None

    @property
    def limits(self) -> dict[str, float]:
        """Of ``gt, ge, lt, le``, those that are given."""
        found: dict[str, float] = {}
        for entry in self.metadata:
            for part in [entry, *(entry.metadata if isinstance(entry, FieldInfo) else ())]:
                for name in ("gt", "ge", "lt", "le"):
                    if (limit := getattr(part, name, None)) is not None:
                        found[name] = limit
        return found

    def tags(self) -> dict[str, Expected]:
        """Tag -> member of a tagged union."""
        found: dict[str, Expected] = {}
        name = self.discriminator
        for member in self.members:
            found |= {entry.tag: member for entry in member.metadata if isinstance(entry, Tag)}
            if isinstance(name, str) and member.model is not None:
                found |= {str(tag): member for tag in get_args(member.model.model_fields[name].annotation)}
            elif isinstance(name, str):
                found |= Expected(member.annotation, self.metadata).tags()
        return found

    def inside(self, key: str | int) -> Expected | None:
        """What is expected one level down."""
        if self.model is not None:
            return self.fields().get(str(key))
        arguments = get_args(self.annotation)
        if self.is_table and len(arguments) == 2:
            return Expected.of(arguments[1])
        if isinstance(key, int) and arguments:
            fixed = get_origin(self.annotation) is tuple and arguments[-1] is not Ellipsis
            return Expected.of(arguments[min(key, len(arguments) - 1)] if fixed else arguments[0])
        return None

    def fields(self) -> dict[str, Expected]:
        """Key in the file -> what it may hold, of a model."""
        infos = self.model.model_fields if self.model is not None else {}
        return {info.alias or name: Expected.field(info) for name, info in infos.items()}

    @property
    def is_table(self) -> bool:
        """A mapping of free names to something."""
        origin = get_origin(self.annotation)
        return isinstance(origin, type) and issubclass(origin, Mapping)

    @property
    def is_list(self) -> bool:
        """A list or tuple."""
        return get_origin(self.annotation) in (tuple, list)

    def suits(self, value: Any) -> bool:
        """Whether a raw value has the outer form of this: table, list or scalar."""
        if isinstance(value, dict):
            return self.is_table or self.model is not None
        if isinstance(value, (list, tuple)):
            return self.is_list
        return not (self.is_table or self.is_list or self.model is not None)

    def limits_text(self) -> str:
        """The limits in words: ``above 0 W and at most 1e+06 W``."""
        unit = f" {self.unit}" if self.unit else ""
        words = {"gt": "above", "ge": "at least", "lt": "below", "le": "at most"}
        return " and ".join(f"{words[name]} {limit:g}{unit}" for name, limit in self.limits.items())

    def sample(self) -> str:
        """Something one could write here, else an empty text."""
        if self.unit is not None:
            return f'"{example(self.unit)}"' if self.unit else example("")
        arguments = get_args(self.annotation)
        if get_origin(self.annotation) is Literal:
            return " or ".join(f'"{choice}"' if isinstance(choice, str) else str(choice) for choice in arguments)
        if self.is_list:
            inner = [Expected.of(part).sample() for part in arguments if part is not Ellipsis]
            return f"[{', '.join(inner)}]" if all(inner) else ""
        if self.members:
            return next((text for member in self.members if (text := member.sample())), "")
        return {bool: "true", str: '"..."', int: "1", float: "1.0"}.get(self.annotation, "")


@dataclass(frozen=True)
class Fork:
    """An undiscriminated union on the way to a value, and the member that an error speaks of."""

    keys: Keys
    value: Any
    member: Expected | None


@dataclass(frozen=True)
class Spot:
    """Where an error points: the path without union tags, and what was expected there."""

    keys: Keys
    expected: Expected | None
    value: Any
    parent: Expected | None
    forks: tuple[Fork, ...] = ()


def locate(root: Expected, data: Any, loc: Sequence[str | int]) -> Spot:
    """Follow a pydantic ``loc`` through schema and data."""
    keys: Keys = ()
    expected: Expected | None = root
    parent: Expected | None = None
    value: Any = data
    forks: list[Fork] = []
    for index, part in enumerate(loc):
        if expected is not None and expected.members and expected.discriminator is not None:
            member = expected.tags().get(str(part))
            if member is not None:
                expected = member
                continue
        elif expected is not None and expected.members:
            member = _member(expected, str(part))
            forks.append(Fork(keys, value, member))
            expected = member
            continue
        present = (isinstance(value, dict) and part in value) or (
            isinstance(value, (list, tuple)) and isinstance(part, int) and part < len(value)
        )
        if isinstance(part, int) and not isinstance(value, (list, tuple, dict)):
            expected = expected.inside(part) if expected is not None else None
            continue  # one value given for all items
        if not present and (index < len(loc) - 1 or (isinstance(part, str) and "[" in part)):
            continue  # a label of the validator (function-after[...]), not a key
        keys = (*keys, part)
        value = value[part] if present else None
        parent, expected = expected, expected.inside(part) if expected is not None else None
    return Spot(keys, expected, value, parent, tuple(forks))


def _member(union: Expected, label: str) -> Expected | None:
    """Member of a plain union that pydantic calls ``label``."""
    for member in union.members:
        origin = get_origin(member.annotation) or member.annotation
        name = "literal" if origin is Literal else getattr(origin, "__name__", "")
        if name and (label.startswith(name) or f"[{name}" in label or f",{name}" in label):
            return member
    return None
