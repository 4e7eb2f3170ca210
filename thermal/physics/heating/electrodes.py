"""Electrodes of radiofrequency ablation: needles, balls and umbrellas of tines, and how they meet the tissue."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated, Any, ClassVar, Literal, Self

import numpy as np
import numpy.typing as npt
from pydantic import Discriminator, Field, Tag, model_validator

from thermal.domain import Line, Probe, ends
from thermal.engine import Engine
from thermal.errors import CaseError
from thermal.physics.heating.applicator import BallTip, Needle, contact_factor, device
from thermal.physics.scene import Contact, Device, Held
from thermal.units import Array, HeatTransfer, Length, Point, ProbeRadius, Spec, Temperature

ALIKE = 1e-9
"""Relative difference of conductivities that is none."""
AROUND, BESIDE = 8, 0.25
"""Cells that a place can lie between, and by how much farther than the nearest their middles are, in its edges."""
Pole = Literal["active", "return"]
"""Which side of the generator an electrode is on; a return electrode makes the circuit bipolar."""


class NeedleElectrode(Needle):
    """A straight electrode whose shaft is insulated but for its active length."""

    pole: Pole = "active"
    """side of the generator; "return" for the second electrode of a bipolar pair"""
    form: ClassVar[str] = "needle"
    """tag of its kind"""

    @property
    def parts(self) -> tuple[Needle, ...]:
        """The thin parts that it is made of."""
        return (self,)


class BallElectrode(BallTip):
    """A spherical electrode whose shaft is left out."""

    pole: Pole = "active"
    """side of the generator; "return" for the second electrode of a bipolar pair"""
    form: ClassVar[str] = "ball"
    """tag of its kind"""

    @property
    def parts(self) -> tuple[BallTip, ...]:
        """The thin parts that it is made of."""
        return (self,)


class Umbrella(Spec):
    """A multi-tine electrode: tines that spread from the tip of an insulated shaft onto a circle ahead of it.

    Tines are straight; those of a real one are curved, with their ends on the same circle.
    """

    entry: Point
    """where the shaft enters the window or the body; gives its direction"""
    tip: Point
    """end of the shaft, from which the tines spread"""
    tines: Annotated[int, Field(ge=2, le=24)]
    """number of tines, evenly around the axis"""
    spread: Length
    """diameter of the circle on which the tines end"""
    depth: Length
    """distance of that circle ahead of the tip"""
    radius: ProbeRadius
    """of a tine's cross-section"""
    active_length: Length | None = None
    """length from the end of each tine back that is bare; default: all of it"""
    pole: Pole = "active"
    """side of the generator; "return" for the second electrode of a bipolar pair"""
    form: ClassVar[str] = "umbrella"
    """tag of its kind"""
    end: ClassVar[str] = "tip"
    """key of the point where it ends"""

    @model_validator(mode="after")
    def _fits(self) -> Self:
        if self.entry == self.tip:
            raise ValueError("entry and tip are the same point; move entry back along the shaft")
        if self.active_length is not None and self.active_length > self.tine_length * (1.0 + 1e-9):
            raise ValueError(
                f"active_length = {1e3 * self.active_length:.4g} mm is longer than a tine, "
                f"{1e3 * self.tine_length:.4g} mm from spread and depth; shorten it, or leave it out"
            )
        return self

    @property
    def tine_length(self) -> float:
        """From the tip of the shaft to the end of a tine, m."""
        return float(np.hypot(0.5 * self.spread, self.depth))

    @property
    def parts(self) -> tuple[Needle, ...]:
        """The tines."""
        tip = np.asarray(self.tip)
        axis = tip - np.asarray(self.entry)
        axis /= np.linalg.norm(axis)
        aside = np.eye(3)[np.argmin(np.abs(axis))]
        across = np.cross(axis, aside)
        across /= np.linalg.norm(across)
        angles = 2.0 * np.pi * np.arange(self.tines) / self.tines
        ends = (
            tip
            + self.depth * axis
            + 0.5 * self.spread * (np.cos(angles)[:, None] * across + np.sin(angles)[:, None] * np.cross(axis, across))
        )
        return tuple(
            Needle.model_construct(
                entry=self.tip, tip=tuple(end.tolist()), radius=self.radius,
                active_length=self.active_length or self.tine_length,
            )
            for end in ends
        )  # fmt: skip

    @property
    def body(self) -> Line:
        """The shaft, for pictures."""
        return Line(self.entry, self.tip, self.radius)


def _form(value: Any) -> str:
    if isinstance(value, dict):
        return "ball" if "centre" in value else "umbrella" if "tines" in value else "needle"
    return str(getattr(value, "form", "needle"))


ElectrodeEntry = Annotated[
    Annotated[NeedleElectrode, Tag("needle")]
    | Annotated[BallElectrode, Tag("ball")]
    | Annotated[Umbrella, Tag("umbrella")],
    Discriminator(_form),
]
"""``{entry, tip, radius, active_length}``, ``{centre, radius}`` or ``{entry, tip, tines, spread, depth, radius}``."""


def devices_of(spec: NeedleElectrode | BallElectrode | Umbrella, name: str, where: str) -> list[Device]:
    """The electrode as devices, a tine each for an umbrella; ``where`` is its key in the case file."""
    parts: Sequence[Needle | BallTip] = spec.parts
    if len(parts) == 1:
        return [device("electrode", name, parts[0], where)]
    return [device("electrode", f"{name}, tine {index + 1}", part, where) for index, part in enumerate(parts)]


class Cooling(Spec):
    """Coolant inside the electrode; without ``heat_transfer`` the electrode's wall is at the coolant's temperature."""

    temperature: Temperature
    """of the coolant"""
    heat_transfer: HeatTransfer | None = None
    """film coefficient between the electrode's outer wall and the coolant"""
    length: Length | None = None
    """from the tip back, along which the wall is cooled; default: the active length"""

    def contact(self, engine: Engine, parts: Sequence[Needle | BallTip], factor: Array, where: str) -> Contact:
        """With the tissue along ``parts``, whose own shape factor is ``factor`` (n,) m.

        Raises ``CaseError`` naming the key ``where`` for a cooled length that does not fit.
        """
        cooled: Sequence[Needle | BallTip] = parts
        if self.length is not None:
            try:
                cooled = [part.reaching(self.length) for part in parts]
            except ValueError as error:
                raise CaseError(f"heating.cooling.length: {error} ({where})") from None
            factor = np.sum([contact_factor(engine, engine.contact, part, where) for part in cooled], axis=0)
        if self.heat_transfer is None:
            return Contact(factor, self.temperature)
        film = np.full(factor.size, np.inf)
        nodes = np.flatnonzero(factor)
        area = sum(part.wall_area for part in cooled)
        film[nodes] = self.heat_transfer * area * factor[nodes] / float(np.sum(factor[nodes]))
        return Contact(factor, self.temperature, film)


@dataclass(frozen=True)
class Electrode:
    """One electrode on the nodes (t,) that it touches. Its potential is 1 on the active side, 0 on the return side."""

    nodes: npt.NDArray[np.intp]
    factor: Array
    """(t,) m, shape of the sub-grid conductance"""
    active: bool
    coolant: Contact | None
    returned: Array
    """(t,) share of the wall's own heat that goes to the tissue, the rest going to the coolant"""

    @staticmethod
    def of(
        spec: NeedleElectrode | BallElectrode | Umbrella,
        engine: Engine,
        cooling: Cooling | None,
        thermal_conductivity: Array,
        electrical_conductivity: Array,
        where: str,
    ) -> Electrode:
        """Of the tissue at body temperature: its thermal conductivity at nodes (n,), the electrical one at cells (m,).

        Raises ``CaseError`` naming the key ``where`` for an electrode that touches no tissue.
        """
        parts: Sequence[Needle | BallTip] = spec.parts
        factors = [contact_factor(engine, engine.contact, part, where) for part in parts]
        whole = np.sum(factors, axis=0)
        nodes = np.flatnonzero(whole)
        active = spec.pole == "active"
        mean = engine.to_nodes(electrical_conductivity)[nodes]
        factor = np.zeros(nodes.size)
        for part, own in zip(parts, factors, strict=True):
            factor += own[nodes] * within_reach(engine, part.probe, nodes, electrical_conductivity) / mean
        if cooling is None:
            return Electrode(nodes, factor, active, None, np.ones(nodes.size))
        coolant = cooling.contact(engine, parts, whole, where)
        tissue = thermal_conductivity[nodes] * coolant.factor[nodes]
        film = coolant.film[nodes] if isinstance(coolant.film, np.ndarray) else coolant.film
        returned = np.divide(tissue, tissue + film)
        return Electrode(nodes, factor, active, coolant, np.asarray(returned))

    def touched(self, temperature: Array) -> float:
        """Mean temperature of the tissue at it, degC, from (n,)."""
        return float(self.factor @ temperature[self.nodes] / np.sum(self.factor))

    def wall(self, temperature: Array, cooled: bool) -> Array:
        """(t,) temperature of its wall at each node, degC, from (n,)."""
        near = temperature[self.nodes]
        if not cooled or self.coolant is None:
            return near
        return np.asarray(self.coolant.temperature * (1.0 - self.returned) + near * self.returned)


def within_reach(engine: Engine, probe: Probe, nodes: npt.NDArray[np.intp], conductivity: Array) -> Array:
    """(t,) mean conductivity around each of the ``nodes`` (t,), of the ``conductivity`` (m,) of cells, each counted as
    no better than that in which the nearest place of the ``probe`` lies, or the better one where it lies between two.

    A current that comes to a pool of saline, or out of a shell of bone, has met the tissue at the electrode before.
    """
    touched = np.zeros(engine.volume.shape)
    touched[nodes] = 1.0
    cells = np.flatnonzero((engine.to_cells(touched) > 0.0) & (engine.cell_volume > 0.0))
    there = conductivity[cells]
    if float(np.ptp(there)) <= ALIKE * float(there.max()):
        return engine.to_nodes(conductivity)[nodes]
    from scipy.spatial import cKDTree  # slow to import

    start, end = (np.asarray(at) for at in ends(probe))
    axis = end - start
    centres = np.stack([engine.to_cells(np.ascontiguousarray(x))[cells] for x in engine.points.T], axis=1)
    along = np.clip((centres - start) @ axis / (float(axis @ axis) or 1.0), 0.0, 1.0)
    away, near = cKDTree(centres).query(start + along[:, None] * axis, k=np.arange(1, min(AROUND, len(cells)) + 1))
    home = away <= away[:, :1] + BESIDE * engine.cell_size[cells[near[:, :1]]]
    capped = conductivity.copy()
    capped[cells] = np.minimum(there, np.max(there[near], axis=1, where=home, initial=0.0))
    return engine.to_nodes(capped)[nodes]


def nothing_grounded(engine: Engine) -> Held:
    """No node is held at a potential."""
    return Held(np.zeros(engine.volume.shape, dtype=bool), np.zeros(engine.volume.shape))
