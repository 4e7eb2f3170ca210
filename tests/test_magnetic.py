"""Magnetic heating: fields of coils against closed forms, power, limits of exposure."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from pydantic import ValidationError
from scenes import MM, at, ball, cube, scene, tissues

from thermal.case import load_case
from thermal.errors import CaseError
from thermal.physics.heating.coils import Coil
from thermal.physics.heating.magnetic import Magnetic, eddy_warning, exposure_warnings
from thermal.physics.scene import Payload
from thermal.simulation import prepare
from thermal.units import VACUUM_PERMEABILITY, Array

LOOP = {"centre": ["0 mm", "0 mm", "0 mm"], "axis": [0, 0, 1], "radius": "50 mm", "current": "100 A"}


def coil(**changes: Any) -> Coil:
    return Coil.model_validate({**LOOP, **changes})


@pytest.mark.parametrize("axis", [(0, 0, 1), (0, 0, -1), (1, 0, 0), (0, -2, 0), (1, 2, 3)])
def test_field_of_a_loop(axis: tuple[float, float, float]) -> None:
    """MAG-04: B = mu0 I a^2 / 2 (a^2 + z^2)^(3/2) on the axis, wherever it points."""
    direction = np.asarray(axis) / np.linalg.norm(axis)
    field = coil(axis=axis).field(np.array([0.0 * direction, 50 * MM * direction]))
    flux = VACUUM_PERMEABILITY * field @ direction
    np.testing.assert_allclose(flux, [1.2566371e-3, 4.4428829e-4], rtol=1e-7)
    np.testing.assert_allclose(np.linalg.norm(field, axis=1), field @ direction, rtol=1e-12)


def test_field_far_off_the_axis_is_that_of_a_dipole() -> None:
    """In the plane of the loop: H = -m / 4 pi r^3, corrected by 1 + 9/8 (a/r)^2."""
    distance = 1.0
    field = coil(turns=3).field(np.array([[distance, 0, 0]]))[0]
    moment = 3 * 100 * np.pi * 0.05**2
    np.testing.assert_allclose(field, [0, 0, -moment / (4 * np.pi) * (1 + 9 / 8 * 0.05**2)], rtol=1e-4, atol=1e-12)


def test_field_of_a_solenoid() -> None:
    """MAG-04: a current sheet of 5 turns, 25 mm radius, 50 mm long, 200 A."""
    solenoid = coil(radius="25 mm", length="50 mm", turns=5, current="200 A")
    points = np.array([[0, 0, 0], [0, 0, 12.5], [0, 0, 25 - 1e-9]]) * MM
    np.testing.assert_allclose(solenoid.field(points)[:, 2], [14142.14, 12792.64, 8944.27], rtol=1e-6)


def test_helmholtz_pair_adds_up() -> None:
    """MAG-04: 8.99176286e-6 T/A for two loops of 0.1 m at a distance of 0.1 m."""
    pair = [
        {"centre": ["0 m", "0 m", z], "axis": [0, 0, 1], "radius": "0.1 m", "current": "1 A"}
        for z in ("-50 mm", "50 mm")
    ]
    spec = Magnetic.model_validate({"kind": "magnetic", "frequency": "100 kHz", "coils": pair})
    amplitude = spec.field_amplitude(np.zeros((1, 3)))
    assert amplitude[0] * VACUUM_PERMEABILITY == pytest.approx(8.99176286e-6, rel=1e-8)


def constant_ilp(amplitude: Array, frequency: float, temperature: float | None = None) -> Array:
    """ILP 3.1 nH m2/kg (MAG-05): W/kg."""
    return 3.1e-9 * amplitude**2 * frequency


def magnetic(**changes: Any) -> Magnetic:
    table = {"kind": "magnetic", "frequency": "100 kHz", **changes}
    return Magnetic.model_validate(table)


def test_power_is_concentration_times_specific_power() -> None:
    """MAG-05: 31 W/g at 10 kA/m, 100 kHz; 5 mg/ml make 1.55e5 W/m3."""
    engine = cube(10 * MM, 1 * MM, {"tumour": ball(5 * MM)})
    loaded = 5.0 * engine.volumes["tumour"] / engine.volume
    source = magnetic(amplitude="10 kA/m", on=[["0 s", "60 s"]]).prepare(
        scene(engine, payload=Payload(loaded, specific_absorption_rate=constant_ilp))
    )
    drive = source.drive(at(engine, 0.0), 5.0)
    np.testing.assert_allclose(drive.power, 31e3 * loaded * engine.volume, rtol=1e-12)
    assert drive.power.max() == pytest.approx(1.55e5 * 1e-9, rel=1e-12)
    assert source.summary["heating.power"].value == pytest.approx(float(drive.power.sum()))
    assert source.events == (60.0,)
    assert not source.drive(at(engine, 60.0), 5.0).power.any()


def test_power_follows_the_coil() -> None:
    """Quadratic in the local field; the tissue lies off the middle of the coil."""
    engine = cube(10 * MM, 2 * MM)
    ones = np.ones(engine.volume.shape)
    around = [{**LOOP, "centre": ["0 mm", "0 mm", "-30 mm"], "turns": 50}]
    source = magnetic(coils=around).prepare(scene(engine, payload=Payload(ones, specific_absorption_rate=constant_ilp)))
    field, unit = source.fields["field_amplitude"]
    assert unit == "A/m"
    density, _ = source.fields["absorbed_power"]
    np.testing.assert_allclose(density, 3.1e-9 * field**2 * 1e5, rtol=1e-12)
    centre = np.argmin(np.sum(engine.points**2, axis=1))
    assert field[centre] == pytest.approx(50 * 100 * 0.05**2 / (2 * (0.05**2 + 0.03**2) ** 1.5), rel=1e-9)
    assert source.devices[0].kind == "coil"


@pytest.mark.parametrize(("amplitude", "name"), [(4.0e3, None), (6e3, "Atkinson"), (6e4, "Hergt and Dutz")])
def test_exposure_limits(amplitude: float, name: str | None) -> None:
    """4.85e8 and 5e9 A/m/s at 100 kHz lie at 4.85 and 50 kA/m."""
    warnings = exposure_warnings(amplitude, 1e5)
    assert bool(warnings) == (name is not None)
    if name:
        assert name in warnings[0]
        assert f"{amplitude * 1e5:.3g}" in warnings[0]


def test_eddy_estimate_is_stated() -> None:
    """16.5 kW/m3 at 15 cm and 4.85e8 A/m/s in 0.4 S/m."""
    assert "1.65e+04 W/m3" in eddy_warning(4.85e3, 1e5, 0.15)
    assert "not included" in eddy_warning(4.85e3, 1e5, 0.15)


def test_eddies_heat_the_tissue_around_their_axis() -> None:
    """sigma (pi mu0 f H r)^2 / 2: 16.5 kW/m3 at 15 cm for 0.4 S/m and H f = 4.85e8 A/m/s, so 1.63 W/m3 at 1.5 mm; the
    ledger is the sum of particles and eddies, and the estimate of what is left out is gone."""
    engine = cube(10 * MM, 1 * MM)
    loaded = (engine.points[:, 2] > 5 * MM) * 0.1
    payload = Payload(loaded, specific_absorption_rate=constant_ilp)
    eddies = {"centre": ["0 mm", "0 mm", "2 mm"], "axis": [0, 0, 2]}
    spec = magnetic(amplitude="4.85 kA/m", eddies=eddies)
    salty = tissues(engine, electrical_conductivity="0.4 S/m")
    source = spec.prepare(scene(engine, salty, payload=payload))
    density, _ = source.fields["absorbed_power"]
    x, y, _ = engine.points.T
    bare = loaded == 0
    exact = 16.5e3 * (x**2 + y**2) / 0.15**2
    np.testing.assert_allclose(density[bare], exact[bare], rtol=1e-3)
    books = {key: reading.value for key, reading in source.summary.items()}
    assert books["heating.power"] == pytest.approx(books["heating.power_particles"] + books["heating.power_eddies"])
    assert books["heating.power_eddies"] == pytest.approx(float(exact @ engine.volume), rel=1e-3)
    assert books["heating.power_particles"] == pytest.approx(
        float((loaded * constant_ilp(np.full(x.shape, 4850.0), 1e5)) @ engine.volume), rel=1e-12
    )
    assert not any("not included" in warning for warning in source.warnings)


def test_eddies_need_a_conductivity() -> None:
    spec = magnetic(amplitude="5 kA/m", eddies={"centre": ["0 mm", "0 mm", "0 mm"], "axis": [0, 0, 1]})
    with pytest.raises(CaseError, match=r"electrical_conductivity: needed by heating\.eddies"):
        spec.check(tissues(cube(10 * MM, 5 * MM), electrical_conductivity=None))


def test_doubts_about_the_particles_are_asked_where_they_are() -> None:
    """At the strongest field that any particle meets, not at the strongest of the window."""
    engine = cube(10 * MM, 2 * MM)
    loaded = (engine.points[:, 2] < -7 * MM).astype(float)
    asked: list[tuple[float, float]] = []

    def doubts(amplitude: float, frequency: float) -> tuple[str, ...]:
        asked.append((amplitude, frequency))
        return ("too strong for the formula",)

    coil = [{**LOOP, "centre": ["0 mm", "0 mm", "30 mm"], "axis": [0, 0, 1]}]
    payload = Payload(loaded, specific_absorption_rate=constant_ilp, doubts=doubts)
    source = magnetic(coils=coil).prepare(scene(engine, payload=payload))
    field, _ = source.fields["field_amplitude"]
    assert asked == [(pytest.approx(field[loaded > 0].max(), rel=1e-12), 1e5)]
    assert asked[0][0] < 0.9 * field.max()
    assert "too strong for the formula" in source.warnings


def test_a_run_warns_beyond_linear_response(tmp_path: Path) -> None:
    """From the case file to the warnings of the run: 20 nm magnetite at 15 and 1.5 kA/m, xi = 8.2 and 0.82."""
    text = """\
schema_version = 1
[anatomy]
kind = "phantom"
size = "12 mm"
voxel_size = "4 mm"
background = "liver"
[particles]
kind = "iron_oxide"
core_diameter = "20 nm"
anisotropy = "20 kJ/m^3"
[delivery]
kind = "uniform"
concentration = "1 mg/ml"
[heating]
kind = "magnetic"
frequency = "100 kHz"
amplitude = "15 kA/m"
[bioheat]
duration = "1 s"
"""
    warned = []
    for amplitude in ("15 kA/m", "1.5 kA/m"):
        file = tmp_path / "case.toml"
        file.write_text(text.replace("15 kA/m", amplitude))
        prepared = prepare(load_case(file), lambda stage, share: None)
        warned.append([warning for warning in prepared.warnings if "linear response" in warning])
    assert len(warned[0]) == 1
    assert "xi = 8.2" in warned[0][0]
    assert "xi < 1" in warned[0][0]
    assert warned[1] == []


def test_particles_without_magnetism_are_refused() -> None:
    engine = cube(4 * MM, 1 * MM)
    for payload in (None, Payload(np.ones(engine.volume.shape))):
        with pytest.raises(CaseError, match="magnetic particles"):
            magnetic(amplitude="10 kA/m").prepare(scene(engine, payload=payload))


def test_coil_through_the_tissue_is_refused() -> None:
    engine = cube(10 * MM, 1 * MM)
    payload = Payload(np.ones(engine.volume.shape), specific_absorption_rate=constant_ilp)
    with pytest.raises(CaseError, match=r"heating\.coils\[0\].*passes through the tissue"):
        magnetic(coils=[{**LOOP, "radius": "8 mm"}]).prepare(scene(engine, payload=payload))


def test_one_field_is_needed_and_only_one() -> None:
    for changes in ({}, {"amplitude": "1 kA/m", "coils": [LOOP]}):
        with pytest.raises(ValidationError, match="give either amplitude"):
            magnetic(**changes)
    with pytest.raises(ValidationError, match="no direction"):
        coil(axis=[0, 0, 0])
