"""The tables of an image-guided treatment: how its power is controlled, and what a plan may choose among."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field, model_validator

from thermal.physics.control import ControllerEntry
from thermal.physics.imaging.thermometry import Thermometry
from thermal.units import Duration, Fraction, Length, Spec, Temperature, quantity

Factor = Annotated[float, *quantity("", gt=0, le=100)]


class Earlier(Spec):
    """A treatment that goes before: its damage and its extreme temperatures are carried on, and so is what is left of
    its particles."""

    run: str
    """folder of the finished run, relative to the case file"""
    kept: Fraction = 1.0
    """share of its particles that is still there, for what was cleared since (``thermal quantify --times``)"""


class Spread(Spec):
    """What is known beforehand of a factor: its logarithm is normal around zero."""

    perfusion: Factor = 0.3
    """standard deviation of the logarithm of the perfusion"""
    absorption: Factor = 0.2
    """the same of the absorbed power, hence of the dose of particles that absorb it"""


class Control(Spec):
    """Closed loop: ``thermal control`` runs the case so, and as planned, on a patient who is not as the case says."""

    controller: ControllerEntry
    """what decides on the power"""
    every: Duration = 10.0
    """how often an image is taken and the power is set"""
    most: Factor = 2.0
    """largest power over that of the case"""
    longest: Annotated[float, *quantity("", ge=1, le=10)] = 1.5
    """longest time of the controlled treatment over that of the plan (heating.on), which it takes only while the target
    (cover) is not destroyed yet"""
    highest: Temperature = 90.0
    """limit of all tissue"""
    limits: dict[str, Temperature] = Field(default_factory=dict)
    """limits of regions, e.g. fat = "45 degC\""""
    caution: Annotated[float, *quantity("K", ge=0, le=100)] = 3.0
    """kept between every limit and what is seen or predicted, for noise, lag and what voxels average; a model that has
    learned keeps what it may still be wrong by, where that is less"""
    cover: Annotated[float, *quantity("m", ge=0, le=0.01)] | None = None
    """end the treatment when the tumour and this margin in its organ are destroyed, by the plan's model or by what is
    seen; by default it goes on to the end of heating.on"""
    field_limit: Annotated[float, *quantity("A/m*Hz", gt=0, le=1e13)] | None = None
    """of a magnetic field: amplitude times frequency, which bounds the power as well"""
    pressure: Annotated[float, *quantity("Pa", gt=0, le=1e7)] | None = None
    """limit of the pressure in the needle of an infusion: the pump gives way, and takes longer for the same volume"""
    thermometry: Thermometry = Thermometry()
    """how the temperature is seen"""
    voxel: Length | None = None
    """of the images; default: as fine as the run"""
    spread: Spread = Spread()
    """how well perfusion and absorption are known"""
    patient: dict[str, Factor] = Field(default_factory=dict)
    """key of the case = factor by which the patient differs from it, e.g. "tissues.liver.perfusion" = 1.3"""
    seed: Annotated[int, Field(ge=0)] = 1
    """of noise and ensembles"""


class Plan(Spec):
    """What ``thermal plan`` may choose, and what it must keep."""

    targets: Length = 0.006
    """how far from the middle of the tumour a tip may lie"""
    margin: Annotated[float, *quantity("m", ge=0, le=0.01)] = 0.005
    """around the tumour, in its organ, that is to be covered"""
    power: tuple[Factor, Factor] = (0.5, 2.0)
    """smallest and largest power over that of the case"""
    time: tuple[Factor, Factor] = (1.0, 1.0)
    """shortest and longest heating over that of the case (heating.on)"""
    tilt: Annotated[float, *quantity("deg", ge=0, le=90)] = 0.0
    """how far the devices may be tilted from the way of the case"""
    choose: dict[str, tuple[Factor, Factor]] = Field(default_factory=dict)
    """key of the case = smallest and largest factor of its number, e.g. "delivery.flow" = [0.5, 2.0]"""
    sites: Annotated[int, Field(ge=0, le=6)] = 0
    """further places of infusion, each within ``targets`` of the aim, along the needle's direction"""
    avoid: tuple[str, ...] = ()
    """regions that no needle may cross, besides bone, vessels and lung"""
    spare: dict[str, Fraction] = Field(default_factory=dict)
    """region = share of it that may be lost at most, e.g. gallbladder = 0.0"""
    highest: Temperature = 100.0
    """limit of all tissue"""
    pressure: Annotated[float, *quantity("Pa", gt=0, le=1e7)] | None = None
    """limit of the pressure that the pump needs"""
    field_limit: Annotated[float, *quantity("A/m*Hz", gt=0, le=1e13)] | None = None
    """of a magnetic field: amplitude times frequency, which bounds the power as well"""
    clearance: Annotated[float, *quantity("m", ge=0, le=0.1)] = 0.003
    """between a needle and what it must not touch"""
    depth: Length = 0.2
    """longest needle from skin to tip"""
    directions: Annotated[int, Field(ge=10, le=100_000)] = 400
    """straight ways to a tip that are looked at"""
    given: tuple[tuple[float, float, float], ...] = ()
    """directions from the tip outward (RAS) of an endoscope or a catheter, instead of straight ways through the skin"""
    budget: Annotated[int, Field(ge=2, le=10_000)] = 24
    """simulated placements"""
    placement: Annotated[float, *quantity("m", ge=0, le=0.05)] = 0.002
    """standard deviation of a tip along each axis, when a hand places it"""
    trials: Annotated[int, Field(ge=0, le=1000)] = 12
    """misplacements of the plan that are simulated"""
    coarse: Length | None = None
    """voxels of the placements that are tried; default: those of the case"""
    seed: Annotated[int, Field(ge=0)] = 1
    """of the search"""

    @model_validator(mode="after")
    def _ranges_go_up(self) -> Plan:
        for key, (low, high) in {"power": self.power, "time": self.time, **self.choose}.items():
            if low > high:
                raise ValueError(f"{key}: found [{low:g}, {high:g}]; give the smaller factor first")
        return self
