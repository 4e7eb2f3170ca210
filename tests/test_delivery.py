"""Delivery kinds: infusion against closed forms of radial flow, ledgers to round-off, stated deliveries."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from pydantic import TypeAdapter, ValidationError
from scenes import MM, ball, cube, on_faces, site, tissues

from thermal.errors import CaseError
from thermal.physics.delivery import DeliveryEntry, Infusion
from thermal.physics.scene import Held
from thermal.units import parse

UL_MIN = parse("1 ul/min", "m^3/s")
INFUSION: dict[str, Any] = {
    "kind": "infusion",
    "entry": ["0 mm", "0 mm", "20 mm"],
    "tip": ["0 mm", "0 mm", "0 mm"],
    "port_radius": "0.25 mm",
    "flow": "3 ul/min",
    "duration": "1 h",
    "concentration": "10 mg/ml",
}


def infusion(**changes: Any) -> Infusion:
    return Infusion.model_validate({**INFUSION, **changes})


@pytest.mark.parametrize("spacing", [0.5, 1.0])
@pytest.mark.parametrize("shift", [0.0, 0.3])
def test_port_pressure_of_a_spherical_source(spacing: float, shift: float) -> None:
    """INF-01: p(a) = Q / 4 pi K a, from cells of 2.5 to 5 radii, wherever the port lies between the nodes."""
    engine = cube(10 * MM, spacing * MM, shift=shift)
    flow, conductivity = 5 * UL_MIN, 1e-12
    far = np.linalg.norm(engine.points, axis=1).clip(1 * MM)
    outside = on_faces(engine, flow / (4 * np.pi * conductivity * far))
    spec = infusion(flow="5 ul/min", port_radius="0.2 mm", duration="1 s")
    found = spec.deliver(site(engine, pressure=outside))
    assert flow / (4 * np.pi * conductivity * 0.2 * MM) == pytest.approx(33157, rel=1e-4)
    assert found.readings["delivery.port_pressure"].value == pytest.approx(33157, rel=0.015)
    pressure, _ = found.fields["pressure"]
    at_4_mm = engine.sample(pressure, np.array([[4 * MM, 0, 0]]))[0]
    assert at_4_mm == pytest.approx(flow / (4 * np.pi * conductivity * 4 * MM), rel=0.02)


@pytest.mark.parametrize(
    ("flow", "porosity", "minutes", "exact", "spacing"),
    [(3, 0.2, 60, 5.98956, 0.5), (5, 0.2, 20, 4.92394, 0.5), (1.25, 0.5, 20, 2.28639, 0.25)],
)
def test_front_of_a_spherical_infusion(
    flow: float, porosity: float, minutes: float, exact: float, spacing: float
) -> None:
    """INF-04: r_f = (a^3 + 3 Q t / 4 pi phi)^(1/3). With a width of two cells in nine to twelve to the radius, a
    sphere's front encloses 1 % too little."""
    engine = cube(2 * exact * MM // (spacing * MM) * spacing * MM, spacing * MM)
    spec = infusion(flow=f"{flow} ul/min", duration=f"{minutes} min")
    found = spec.deliver(site(engine, tissues(engine, porosity=porosity)))
    assert found.readings["delivery.distribution_radius"].value == pytest.approx(exact * MM, rel=0.012)
    assert found.readings["ledger.mass_error"].value < 1e-9
    assert found.readings["dose.infused"].value == pytest.approx(flow * UL_MIN * minutes * 60 * 10, rel=1e-12)
    assert float(found.bulk @ engine.volume) == pytest.approx(found.readings["dose.infused"].value, rel=1e-9)
    pore, _ = found.fields["pore_concentration"]
    assert pore.min() >= 0.0
    assert pore.max() <= 10.0 * (1 + 1e-6)  # the pressure solve balances every node to 1e-11 of the whole flow
    np.testing.assert_allclose(found.bulk, porosity * pore, rtol=1e-12)


def test_front_narrows_with_the_grid() -> None:
    """Shells of equal volume between 90 and 10 %: the front is two cells wide, its middle converges faster than the
    cell."""
    errors, widths = [], []
    for spacing in (1.0, 0.5):
        engine = cube(10 * MM, spacing * MM)
        found = infusion().deliver(site(engine))
        pore, _ = found.fields["pore_concentration"]
        radii = [np.cbrt(0.75 / np.pi * float(engine.inside(pore, level) @ engine.cell_volume)) for level in (9, 5, 1)]
        errors.append(abs(radii[1] / MM - 5.98956))
        widths.append(radii[2] - radii[0])
    assert errors[1] < 0.4 * errors[0]
    assert widths[1] < 0.65 * widths[0]


def test_first_order_retention() -> None:
    """INF-06: C/C0 = exp(-k phi (V(r) - V(a)) / Q) in the steady state, retained share 1 - (1 - exp(-kt)) / kt."""
    engine = cube(10 * MM, 0.5 * MM)
    found = infusion(deposition_rate="1e-3 1/s").deliver(site(engine))
    assert found.readings["ledger.mass_error"].value < 1e-9
    retained = found.readings["dose.deposited"].value / found.readings["dose.infused"].value
    assert retained == pytest.approx(0.7298121, rel=0.003)
    pore, _ = found.fields["pore_concentration"]
    directions = np.array([[1, 0, 0], [0, 1, 0], [1, 1, 1]]) / np.array([[1], [1], [np.sqrt(3)]])
    for radius, exact in ((2, 0.874783), (4, 0.342300)):
        around = engine.sample(pore, radius * MM * directions).mean() / 10
        assert around == pytest.approx(exact, abs=0.02)


def test_hindered_particles_lag_and_pile_up() -> None:
    """At half the fluid's speed the front encloses half the volume at twice the concentration of the infusate."""
    engine = cube(10 * MM, 0.5 * MM)
    found = infusion(hindrance=0.5).deliver(site(engine))
    assert found.readings["delivery.distribution_radius"].value == pytest.approx(5.98956 * MM / 2 ** (1 / 3), rel=0.035)
    pore, _ = found.fields["pore_concentration"]
    assert pore.max() == pytest.approx(20.0, rel=1e-3)
    assert found.readings["ledger.mass_error"].value < 1e-9


def test_hindered_particles_deposit_at_their_own_rate() -> None:
    """What is retained depends on the time spent mobile, not on the speed: INF-06 again."""
    engine = cube(8 * MM, 0.8 * MM)
    found = infusion(hindrance=0.4, deposition_rate="1e-3 1/s").deliver(site(engine))
    retained = found.readings["dose.deposited"].value / found.readings["dose.infused"].value
    assert retained == pytest.approx(0.7298121, rel=0.01)
    assert found.readings["ledger.mass_error"].value < 1e-9


def test_sharp_contrast_conserves_and_stays_positive() -> None:
    """A tumour a thousand times tighter than its host, next to the port."""
    tumour = ball(5 * MM, (3 * MM, 1 * MM, 0.0))
    engine = cube(9 * MM, 0.75 * MM, {"tumour": tumour})
    properties = tissues(engine, {"tumour": {"hydraulic_conductivity": "1e-15 m^2/Pa/s", "porosity": 0.4}})
    found = infusion(deposition_rate="2e-4 1/s", wait="10 min").deliver(site(engine, properties, tumour="tumour"))
    readings = found.readings
    assert readings["ledger.mass_error"].value < 1e-9
    assert found.bulk.min() >= 0.0
    pore, _ = found.fields["pore_concentration"]
    assert pore.min() >= 0.0
    lines = sum(readings[f"dose.{name}"].value for name in ("mobile", "deposited", "escaped"))
    assert lines == pytest.approx(readings["dose.infused"].value, rel=1e-9)
    assert 0.0 < readings["dose.tumour_fraction"].value < 1.0
    assert readings["dose.tumour_variation"].value > 0.1


def test_what_leaves_the_window_is_booked() -> None:
    """The window holds less than the pores could take: the rest leaves, with a warning."""
    engine = cube(4 * MM, 0.5 * MM)
    found = infusion().deliver(site(engine))
    assert found.readings["dose.escaped"].value > 0.3 * found.readings["dose.infused"].value
    assert found.readings["ledger.mass_error"].value < 1e-9
    pore, _ = found.fields["pore_concentration"]
    assert pore.max() <= 10.0 * (1 + 1e-6)
    assert any("left through the boundary" in warning for warning in found.warnings)


def test_diffusion_after_the_infusion() -> None:
    """The mean square distance grows by 6 D t; mass stays, and no concentration turns negative."""
    engine = cube(10 * MM, 0.5 * MM)
    short = {"duration": "60 s", "diffusivity": "5e-10 m^2/s"}
    start = infusion(**short).deliver(site(engine))
    end = infusion(**short, wait="1 h").deliver(site(engine))
    squares = np.sum(engine.points**2, axis=1) * engine.volume
    dose = start.readings["dose.infused"].value
    grown = float(squares @ (end.bulk - start.bulk)) / dose
    assert grown == pytest.approx(6 * 5e-10 * 3600, rel=1e-3)  # exact for second differences up to what meets the faces
    assert end.bulk.min() >= 0.0
    assert end.readings["ledger.mass_error"].value < 1e-9
    assert end.bulk.max() < start.bulk.max()


def test_one_dimensional_front_from_a_boundary() -> None:
    """INF-05 (Ogata and Banks) from a face at a prescribed concentration, with a needle that hardly flows."""
    length, spacing = 12 * MM, 0.4 * MM
    engine = cube(length / 2, spacing)
    x = engine.points[:, 0] + length / 2
    ends = (x < 1e-9) | (x > length - 1e-9)
    conductivity, porosity, speed, diffusivity = 1e-12, 0.2, 1e-6, 1e-9
    drop = speed * porosity * length / conductivity
    pressure = Held(ends, np.where(x < 1e-9, drop, 0.0))
    concentration = Held(x < 1e-9, np.where(x < 1e-9, 10.0, 0.0))
    spec = infusion(flow="1e-9 ul/min", diffusivity="1e-9 m^2/s", concentration="10 mg/ml")
    found = spec.deliver(site(engine, pressure=pressure, concentration=concentration))
    pore, _ = found.fields["pore_concentration"]
    at = np.array([[2.0, 0, 0], [3.6, 0, 0], [5.0, 0, 0]]) * MM - np.array([length / 2, -2 * MM, -2 * MM])
    # second order: 6e-3 on cells of 0.8 mm, 6e-4 on 0.4 mm, 4e-5 on 0.2 mm
    np.testing.assert_allclose(engine.sample(pore, at) / 10, [0.860793, 0.633407, 0.401137], atol=1e-3)
    assert found.readings["ledger.mass_error"].value < 1e-9
    assert diffusivity * 3600 < (length / 3) ** 2


def test_high_pressure_is_called_unreal() -> None:
    """INF-01 with a measured tumour conductivity: 5.1e5 Pa."""
    engine = cube(10 * MM, 1 * MM)
    properties = tissues(engine, hydraulic_conductivity="3.098e-14 m^2/Pa/s")
    found = infusion(duration="10 s").deliver(site(engine, properties))
    assert found.readings["delivery.port_pressure"].value == pytest.approx(5.14e5, rel=0.03)
    assert any("opens or tears" in warning and "mmHg" in warning for warning in found.warnings)
    kilopascals = float(next(w for w in found.warnings if "opens or tears" in w).split(" of ")[1].split(" kPa")[0])
    assert kilopascals == pytest.approx(514, rel=0.03)


def test_history_ends_with_the_wait() -> None:
    engine = cube(6 * MM, 1 * MM)
    seen: list[float] = []
    found = infusion(duration="10 min", wait="5 min").deliver(site(engine), seen.append)
    times = [row["time"].value for row in found.history]
    assert times == sorted(times)
    assert 600.0 in times
    assert times[-1] == pytest.approx(900.0)
    assert seen[-1] == 1.0
    assert found.devices[0].kind == "needle"


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"tip": ["0 mm", "0 mm", "50 mm"]}, r"delivery\.tip"),
        ({"diffusivity": "1e-2 m^2/s"}, r"delivery\.diffusivity"),
    ],
)
def test_impossible_infusions_are_refused(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(CaseError, match=message):
        infusion(**changes).deliver(site(cube(6 * MM, 1 * MM)))


def test_missing_tissue_data_is_named() -> None:
    engine = cube(6 * MM, 1 * MM, {"tumour": ball(3 * MM)})
    with pytest.raises(CaseError, match=r"tissues\.tumour\.porosity"):
        infusion().deliver(site(engine, tissues(engine, {"tumour": {"porosity": None}})))


def test_needle_without_direction_is_refused() -> None:
    with pytest.raises(ValidationError, match="same point"):
        infusion(entry=INFUSION["tip"])


def entry(**table: Any) -> Any:
    return TypeAdapter(DeliveryEntry).validate_python(table)


def test_uniform_in_a_region_is_uniform_and_complete() -> None:
    engine = cube(10 * MM, 1 * MM, {"tumour": ball(6 * MM)})
    found = entry(kind="uniform", region="tumour", concentration="5 mg/ml").deliver(site(engine, tumour="tumour"))
    volume = float(engine.volumes["tumour"].sum())
    assert float(found.bulk @ engine.volume) == pytest.approx(5 * volume, rel=1e-12)
    assert engine.sample(found.bulk, np.zeros((1, 3)))[0] == pytest.approx(5.0)
    assert found.readings["dose.tumour_fraction"].value == pytest.approx(1.0, rel=1e-12)
    assert found.readings["dose.tumour_mean_concentration"].value == pytest.approx(5.0, rel=1e-12)
    assert found.readings["dose.tumour_variation"].value == pytest.approx(0.0, abs=1e-7)


def test_uniform_everywhere() -> None:
    engine = cube(10 * MM, 1 * MM, {"tumour": ball(6 * MM)})
    found = entry(kind="uniform", concentration="5 mg/ml").deliver(site(engine, tumour="tumour"))
    np.testing.assert_allclose(found.bulk, 5.0, rtol=1e-12)
    share = float(engine.volumes["tumour"].sum() / engine.volume.sum())
    assert found.readings["dose.tumour_fraction"].value == pytest.approx(share, rel=1e-12)


def test_systemic_delivers_the_published_median() -> None:
    engine = cube(10 * MM, 1 * MM, {"tumour": ball(6 * MM)})
    found = entry(kind="systemic", injected_mass="100 mg").deliver(site(engine, tumour="tumour"))
    assert float(found.bulk @ engine.volume) == pytest.approx(0.7e-6, rel=1e-12)
    assert found.readings["dose.tumour"].value == pytest.approx(0.7e-6, rel=1e-12)
    elsewhere = ("elsewhere_in_body", "organ.liver", "organ.spleen")
    assert sum(found.readings[f"dose.{name}"].value for name in elsewhere) == pytest.approx(99.3e-6, rel=1e-12)
    assert found.readings["dose.tumour_fraction"].value == pytest.approx(0.007, rel=1e-12)


def test_stated_deliveries_refuse_unknown_regions() -> None:
    where = site(cube(4 * MM, 1 * MM))
    with pytest.raises(CaseError, match=r"delivery\.region"):
        entry(kind="uniform", region="liver", concentration="5 mg/ml").deliver(where)
    with pytest.raises(CaseError, match="needs a target"):
        entry(kind="systemic", injected_mass="1 mg").deliver(where)
    assert not entry(kind="none").deliver(where).bulk.any()


def test_memory_of_an_infusion_is_that_of_fifty_fields() -> None:
    """Two million voxels have to fit into a gigabyte: 16 MB a nodal field, 0.14 GB before the first."""
    import tracemalloc

    engine = cube(32 * MM, 1 * MM)
    tracemalloc.start()
    infusion(duration="2 s").deliver(site(engine))
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 50 * 8 * engine.volume.size


def test_particles_that_a_boundary_alone_supplies() -> None:
    """Nothing but fluid is infused; what leaves again is told as a share of what came in at the boundary."""
    engine = cube(3 * MM, 0.75 * MM)
    face = np.isclose(engine.points[:, 0], -3 * MM)
    other = np.isclose(engine.points[:, 0], 3 * MM)
    pressure = Held(face | other, np.where(face, 1e4, 0.0))
    concentration = Held(face, np.where(face, 2.0, 0.0))
    found = infusion(concentration="0 mg/ml", duration="20 min").deliver(
        site(engine, pressure=pressure, concentration=concentration)
    )
    assert found.readings["dose.escaped"].value > 0.01 * found.readings["dose.supplied_at_boundary"].value
    assert found.readings["ledger.mass_error"].value < 1e-12
    assert any("of the mass that was put in left through the boundary" in warning for warning in found.warnings)
