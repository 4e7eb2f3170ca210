"""Distributions of uncertain values: from a point of the unit interval to what is written into a case."""

from __future__ import annotations

import re
from abc import abstractmethod
from typing import Annotated, Any, Literal, Self

import numpy as np
from pydantic import AfterValidator, Field, model_validator
from scipy import stats

from thermal.units import Array, Spec

_NUMBER_AND_UNIT = re.compile(r"([-+]?(?:\d+\.?\d*|\.\d+)(?:[eE][-+]?\d+)?)(?:\s+(\S.*)|([^\d\s.].*))?")
WIDEST = 3.0
"""Standard deviations at which a normal and a lognormal distribution end: beyond lies what nobody has measured."""


def split(text: str | float) -> tuple[float, str]:
    """Number and unit of a quantity (``"0.5 W/m/K"`` -> 0.5, ``"W/m/K"``). Raises ``ValueError``."""
    if not isinstance(text, str):
        return float(text), ""
    found = _NUMBER_AND_UNIT.fullmatch(text.strip())
    if found is None:
        raise ValueError(f'"{text}" cannot be read as a quantity; write a number and a unit, e.g. "0.5 W/m/K"')
    return float(found.group(1)), (found.group(2) or found.group(3) or "").strip()


def _quantity(text: str | float) -> str | float:
    split(text)
    return text


Quantity = Annotated[str | float, AfterValidator(_quantity)]
"""A number, or a text of a number and a unit."""


class Prior(Spec):
    """What is known of an uncertain value."""

    keys: tuple[str, ...] = ()
    """keys of the case that take it, all the same; default: the name of this table"""
    relative: Literal["factor", "shift"] | None = None
    """"factor": the case's own value (or the library's) times the number drawn; "shift": plus it. Default: the number
    itself"""
    source: str = ""
    """where the distribution comes from; what has none counts as unverified"""

    @abstractmethod
    def quantities(self) -> dict[str, str | float]:
        """Name -> the quantities that describe the distribution."""

    @abstractmethod
    def _ppf(self, share: Array, given: dict[str, float]) -> Array:
        """Values (k,) from shares (k,) and the numbers of :meth:`quantities`."""

    @property
    def unit(self) -> str:
        """The unit that all quantities are given in."""
        return split(next(iter(self.quantities().values())))[1]

    def at(self, share: Array) -> Array:
        """Values (k,) in :attr:`unit` below which the ``share`` (k,) of the distribution lies."""
        return self._ppf(np.asarray(share, float), {name: split(text)[0] for name, text in self.quantities().items()})

    @model_validator(mode="after")
    def _one_unit(self) -> Self:
        units = {split(text)[1] for text in self.quantities().values()}
        if len(units) > 1:
            raise ValueError(f"is given in several units ({', '.join(sorted(units))}); write all in one")
        if self.relative == "factor" and units != {""}:
            raise ValueError(f'is a factor and has the unit "{units.pop()}"; write plain numbers, e.g. 0.8')
        values = self.at(np.array([0.0, 0.5, 1.0]))
        if not np.all(np.isfinite(values)) or not values[0] <= values[1] <= values[2] or values[0] == values[2]:
            raise ValueError("is no distribution: its values must be finite and go from the lower to the higher")
        return self


class Uniform(Prior):
    """Every value from ``low`` to ``high`` as likely as another."""

    distribution: Literal["uniform"]
    """which one"""
    low: Quantity
    """smallest value"""
    high: Quantity
    """largest value"""

    def quantities(self) -> dict[str, str | float]:
        """See :meth:`Prior.quantities`."""
        return {"low": self.low, "high": self.high}

    def _ppf(self, share: Array, given: dict[str, float]) -> Array:
        return given["low"] + share * (given["high"] - given["low"])


class Triangular(Prior):
    """Likeliest at ``mode``, impossible beyond ``low`` and ``high``."""

    distribution: Literal["triangular"]
    """which one"""
    low: Quantity
    """smallest value"""
    mode: Quantity
    """likeliest value"""
    high: Quantity
    """largest value"""

    def quantities(self) -> dict[str, str | float]:
        """See :meth:`Prior.quantities`."""
        return {"low": self.low, "mode": self.mode, "high": self.high}

    def _ppf(self, share: Array, given: dict[str, float]) -> Array:
        width = given["high"] - given["low"]
        if not given["low"] <= given["mode"] <= given["high"] or width <= 0.0:
            raise ValueError("is no distribution: write low <= mode <= high")
        return np.asarray(stats.triang.ppf(share, (given["mode"] - given["low"]) / width, given["low"], width))


class Normal(Prior):
    """Normal, cut at three standard deviations."""

    distribution: Literal["normal"]
    """which one"""
    mean: Quantity
    """expectation"""
    sd: Quantity
    """standard deviation"""

    def quantities(self) -> dict[str, str | float]:
        """See :meth:`Prior.quantities`."""
        return {"mean": self.mean, "sd": self.sd}

    def _ppf(self, share: Array, given: dict[str, float]) -> Array:
        return given["mean"] + given["sd"] * _normal(share)


class Lognormal(Prior):
    """The logarithm is normal, cut at three standard deviations."""

    distribution: Literal["lognormal"]
    """which one"""
    median: Quantity
    """half of the values lie below it"""
    spread: Annotated[float, Field(gt=1.0, le=100.0)]
    """geometric standard deviation: 68 % lie between the median over it and the median times it"""

    def quantities(self) -> dict[str, str | float]:
        """See :meth:`Prior.quantities`."""
        return {"median": self.median}

    def _ppf(self, share: Array, given: dict[str, float]) -> Array:
        if given["median"] <= 0.0:
            raise ValueError("is no distribution: the median of a lognormal one is above zero")
        return np.asarray(given["median"] * self.spread ** _normal(share))


def _normal(share: Array) -> Array:
    return np.asarray(stats.truncnorm.ppf(share, -WIDEST, WIDEST))


AnyPrior = Annotated[Uniform | Triangular | Normal | Lognormal, Field(discriminator="distribution")]


def written(value: float, unit: str) -> str:
    """A number as one writes it into a case, with all its digits."""
    return f"{value!r} {unit}".strip()


def as_toml(value: Any) -> str:
    """A value of a sweep file as TOML reads it again."""
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, (list, tuple)):
        return f"[{', '.join(as_toml(item) for item in value)}]"
    if isinstance(value, dict):
        return "{" + ", ".join(f'"{key}" = {as_toml(item)}' for key, item in value.items()) + "}"
    if isinstance(value, str):
        escaped = value.replace("\\", "\\\\").replace('"', '\\"')
        return f'"{escaped}"'
    return repr(value)
