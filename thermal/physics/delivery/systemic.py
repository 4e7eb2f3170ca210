"""Intravenous delivery: blood, liver and spleen, and a tumour whose vessels leak, as compartments in time.

Particles leave the blood at the rate k to the tumour, to organs and to the rest of the body, in fixed shares f_j, and
leave the places where they came to at rates e_j: ``dA_j/dt = f_j k B - e_j A_j``, ``B = exp(-k t)``, so

``A_j(t) = f_j k (exp(-e_j t) - exp(-k t)) / (k - e_j)``.
"""

from __future__ import annotations

from itertools import pairwise
from typing import Annotated, ClassVar, Literal

import numpy as np
from pydantic import Field, model_validator

from thermal.errors import CaseError
from thermal.physics.delivery.dose import dose_readings
from thermal.physics.delivery.heterogeneity import Heterogeneity, uneven
from thermal.physics.delivery.outcome import Delivered, Progress, Site, per_volume, region_volume, silent
from thermal.physics.scene import Device, Reading
from thermal.physics.tissue import Tissues
from thermal.units import Array, Concentration, Duration, Fraction, Length, Mass, Spec, Volume, quantity

MEDIAN_TUMOUR_FRACTION = 0.007
"""Median share of an injected dose of nanoparticles that reaches a solid tumour: S. Wilhelm et al., Nat. Rev. Mater. 1
(2016) 16014, doi:10.1038/natrevmats.2016.14."""
ROWS = 40


class Organ(Spec):
    """An organ that takes particles out of the blood."""

    share: Fraction
    """of the injected dose that goes there in the end, if nothing left it again"""
    volume: Volume
    """of the whole organ; the part of it in the window holds its part (all, where the window shows more than this)"""
    half_life: Duration | None = None
    """in which half of what is there is cleared for good; never when absent"""
    tolerated: Concentration | None = None
    """concentration in the organ that is known to be tolerated; a higher one gives a warning"""


LIVER = Organ.model_construct(share=0.6, volume=1.5e-3, half_life=None, tolerated=None)
"""Half to nearly all of an injected dose of gold spheres lay in the livers of rats after a day (50 % of 1.4 nm, above
99 % of 200 nm: S. Hirn et al., Eur. J. Pharm. Biopharm. 77 (2011) 407, PMC3051057); the share is chosen within that,
for coated particles; the volume is that of an adult (from memory): unverified."""
SPLEEN = Organ.model_construct(share=0.05, volume=0.2e-3, half_life=None, tolerated=None)
"""Order of magnitude, from memory: unverified."""


Instant = Annotated[float, *quantity("s", ge=0, le=1e9)]
Curve = Annotated[tuple[tuple[Instant, Concentration], ...], Field(min_length=2)]
"""Times after the injection with the concentrations then, linear between them."""
PLASMA, TUMOUR = "plasma", "tumour"


class Systemic(Spec):
    """Injection into a vein: a small share reaches the tumour, liver and spleen take most."""

    devices: ClassVar[tuple[Device, ...]] = ()
    time: ClassVar[float] = 0.0
    makes: ClassVar[tuple[str, ...]] = ("concentration",)
    kind: Literal["systemic"]
    injected_mass: Mass
    """of particles, in the whole body"""
    fraction: Fraction = MEDIAN_TUMOUR_FRACTION
    """share of the injected mass that reaches the tumour"""
    region: str | None = None
    """region that takes it up; the anatomy's tumour when absent"""
    organs: dict[str, Organ] = Field(default_factory=lambda: {"liver": LIVER, "spleen": SPLEEN})
    """by region: organs that take particles up; what remains of the dose is elsewhere in the body"""
    after: Duration | None = None
    """time from the injection to the heating; when absent all has left the blood and nothing is cleared"""
    blood_half_life: Duration = 6.0 * 3600.0
    """in which half of what is in the blood has left it; order of magnitude for coated particles, unverified"""
    tumour_half_life: Duration | None = None
    """in which half of what is in the tumour leaves it again; never when absent"""
    rim: Length | None = None
    """depth below the tumour's surface over which its uptake falls by e, as vessels grow sparse; even when absent"""
    heterogeneity: Heterogeneity | None = None
    """patches or a map of the tumour's uptake, beside the rim; even when absent"""
    threshold: Concentration | None = None
    """concentration in tissue from which the tumour counts as covered (dose.tumour_coverage)"""
    measured: dict[str, Curve] = Field(default_factory=dict)
    """concentrations over time after the injection, in "plasma", "tumour" or organs, which take the place of the
    compartments': lists of pairs like [["1 h", "0.1 mg/ml"], ["24 h", "0.2 mg/ml"]] by name, or the name of a CSV file
    whose first line is like ``time [h],tumour [mg/ml],liver [mg/ml]``"""
    plasma_volume: Volume = 3e-3
    """of the body, which holds the measured concentration in plasma; of an adult, from memory, unverified"""
    follow_up: Duration | None = None
    """time after the injection to which distribution and clearance are followed; to the heating when absent"""

    @model_validator(mode="after")
    def _shares_fit(self) -> Systemic:
        total = self.fraction + sum(organ.share for organ in self.organs.values())
        if total > 1.0 + 1e-12:
            raise ValueError(
                f"tumour and organs take {100 * total:.4g} % of the dose together; lower fraction or the organs' shares"
            )
        for name, curve in self.measured.items():
            times = [time for time, _ in curve]
            if any(later <= before for before, later in pairwise(times)):
                raise ValueError(f"measured.{name}: times have to rise from row to row")
            if self.after is None:
                raise ValueError("measured says what is where at which time; say with after when the heating begins")
            if not times[0] <= self.after <= max(self.after, self._last) <= times[-1]:
                raise ValueError(
                    f"measured.{name} reaches from {times[0]:g} to {times[-1]:g} s, but after and follow_up ask for "
                    f"{self.after:g} to {self._last:g} s; measure longer or ask for less"
                )
            if name not in (PLASMA, TUMOUR) and name not in self.organs:
                raise ValueError(
                    f'measured.{name}: is neither "plasma" nor "tumour" nor one of the organs '
                    f"({', '.join(self.organs)}); give organs.{name} with its volume"
                )
        return self

    @property
    def _last(self) -> float:
        """s after the injection at which the history ends."""
        return max(self.after or 0.0, self.follow_up or 0.0)

    @property
    def images(self) -> tuple[tuple[str, str], ...]:
        """A map of the uptake."""
        return () if self.heterogeneity is None else self.heterogeneity.images

    def check(self, tissues: Tissues) -> None:
        """Raises ``CaseError`` for an unknown region."""
        if self.region is not None:
            region_volume(tissues.engine, self.region, "delivery.region")

    def deliver(self, site: Site, progress: Progress = silent) -> Delivered:
        """The tumour's share and those of organs in the window. Raises ``CaseError`` without a tumour."""
        engine = site.engine
        region = self.region or site.tumour
        if not region:
            raise CaseError('delivery.kind = "systemic" needs a target; name it: region = "..." or anatomy.tumour')
        volume = region_volume(engine, region, "delivery.region")
        target = float(np.sum(volume))
        now = self._amounts(self.after, target)
        tumour = self.injected_mass * now["tumour"] * self._weights(site, volume)
        mass, warnings = tumour.copy(), []
        readings = {}
        by_region = {region: float(np.sum(tumour))}
        for name, organ in self.organs.items():
            amount = self.injected_mass * now[name]
            readings[f"dose.organ.{name}"] = Reading(amount, "kg")
            if organ.tolerated is not None and amount / organ.volume > organ.tolerated:
                warnings.append(
                    f"delivery.organs.{name}: {amount / organ.volume:.3g} mg/ml in the organ, above the "
                    f"{organ.tolerated:.3g} mg/ml that is tolerated; lower injected_mass"
                )
            if name in engine.volumes and name != region:
                seen = engine.volumes[name]
                held = amount / max(organ.volume, float(np.sum(seen))) * seen
                mass += held
                by_region[name] = float(np.sum(held))
        in_tumour = tumour if region == site.tumour else np.zeros_like(tumour)
        placed = now["tumour"] + sum(now[name] for name in self.organs) + now["blood"] + now["cleared"]
        readings |= {
            "dose.blood": Reading(self.injected_mass * now["blood"], "kg"),
            "dose.cleared": Reading(self.injected_mass * now["cleared"], "kg"),
            "dose.elsewhere_in_body": Reading(self.injected_mass * now["rest"], "kg"),
            "ledger.mass_error": Reading(abs(1.0 - placed - now["rest"]), ""),
        }
        if self.follow_up is not None:
            later = self._amounts(self._last, target)
            readings |= {
                f"dose.follow_up.{name}": Reading(self.injected_mass * share, "kg") for name, share in later.items()
            }
        return Delivered(
            per_volume(mass, engine.volume),
            {**dose_readings(site, mass, in_tumour, self.injected_mass, self.threshold, by_region), **readings},
            history=self._history(target),
            warnings=tuple(warnings),
        )

    def _weights(self, site: Site, volume: Array) -> Array:
        """(n,) weights that sum to one, by the tumour's ``volume`` (n,) m3, its depth with a rim, and patches."""
        points, whole, weights = site.engine.points, site.engine.volume, volume
        if self.rim is not None:
            from scipy.spatial import cKDTree

            outside = (volume < 0.5 * whole) | (whole <= 0)
            within = volume > 0
            depth = np.zeros_like(volume)
            depth[within] = cKDTree(points[outside]).query(points[within])[0]
            weights = volume * np.exp(-depth / self.rim)
        return uneven(self.heterogeneity, site, weights)

    def _amounts(self, time: float | None, target: float) -> dict[str, float]:
        """Shares of the dose ``time`` s after injection (None: after the blood is empty, with nothing cleared).

        ``target`` m3 is the tumour's volume. Raises ``CaseError`` where measured concentrations hold more than was
        given.
        """
        rest = 1.0 - self.fraction - sum(organ.share for organ in self.organs.values())
        wanted = {"tumour": (self.fraction, self.tumour_half_life), "rest": (max(rest, 0.0), None)}
        wanted |= {name: (organ.share, organ.half_life) for name, organ in self.organs.items()}
        if time is None:
            return {**{name: share for name, (share, _) in wanted.items()}, "blood": 0.0, "cleared": 0.0}
        rate = np.log(2.0) / self.blood_half_life
        found = {name: share * _held(rate, half, time) for name, (share, half) in wanted.items()}
        found["blood"] = float(np.exp(-rate * time))
        gone = {n: s * (1.0 - np.exp(-rate * time)) - found[n] for n, (s, half) in wanted.items() if half is not None}
        found["cleared"] = float(sum(share for name, share in gone.items() if name not in self.measured))
        return self._with_measured(found, time, target) if self.measured else found

    def _with_measured(self, found: dict[str, float], time: float, target: float) -> dict[str, float]:
        """The same with what was measured at ``time``; what is nowhere else is in the rest of the body."""
        volumes = {TUMOUR: target, PLASMA: self.plasma_volume} | {n: organ.volume for n, organ in self.organs.items()}
        for name, curve in self.measured.items():
            times, values = zip(*curve, strict=True)
            amount = float(np.interp(time, times, values)) * volumes[name]
            found["blood" if name == PLASMA else name] = amount / self.injected_mass
        found["rest"] = 1.0 - sum(share for name, share in found.items() if name != "rest")
        if found["rest"] < -1e-9:
            raise CaseError(
                f"delivery.measured: at {time:.4g} s tumour, blood and organs hold {100 * (1 - found['rest']):.4g} % "
                "of injected_mass together; check units, plasma_volume and the volumes of the organs"
            )
        return found

    def _history(self, target: float) -> tuple[dict[str, Reading], ...]:
        if self.after is None:
            return ()
        times = np.linspace(0.0, self._last, ROWS + 1)
        if self.measured:
            first = max(curve[0][0] for curve in self.measured.values())
            own = [time for curve in self.measured.values() for time, _ in curve]
            times = np.unique([*times, *own, self.after])
            times = times[(times >= first) & (times <= self._last)]
        rows = []
        for time in times:
            shares = self._amounts(float(time), target)
            amounts = {name: Reading(self.injected_mass * share, "kg") for name, share in shares.items()}
            rows.append({"time": Reading(float(time), "s"), **amounts})
        return tuple(rows)


def _held(rate: float, half_life: float | None, time: float) -> float:
    """``k (exp(-e t) - exp(-k t)) / (k - e)``, also where both rates are alike."""
    leaving = 0.0 if half_life is None else float(np.log(2.0) / half_life)
    apart = rate - leaving
    if abs(apart) * time < 1e-9:
        return float(rate * time * np.exp(-rate * time))
    return float(rate * np.exp(-leaving * time) * -np.expm1(-apart * time) / apart)
