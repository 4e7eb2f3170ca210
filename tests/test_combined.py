"""Several heat sources in one case: light and field on particles that take both, two colours, one after the other."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from conftest import RunCase

from thermal.case import load_case
from thermal.errors import CaseError
from thermal.simulation import prepare

LASER = """\
kind = "photothermal"
wavelength = "808 nm"
power = "0.5 W"
fibre = { entry = ["0 mm", "0 mm", "12 mm"], tip = ["0 mm", "0 mm", "0 mm"] }
"""
CASE = f"""\
schema_version = 1
[anatomy]
kind = "phantom"
size = "24 mm"
voxel_size = "2 mm"
background = "tissue"
[tissues.tissue]
density = "1060 kg/m^3"
heat_capacity = "3600 J/kg/K"
conductivity = "0.5 W/m/K"
optics = [
    {{ wavelength = "808 nm", absorption = "0.4 1/cm", reduced_scattering = "8 1/cm" }},
    {{ wavelength = "532 nm", absorption = "2 1/cm", reduced_scattering = "12 1/cm" }},
]
[particles]
kind = "gold_on_iron_oxide"
shell_thickness = "4 nm"
core = {{ core_diameter = "16 nm", anisotropy = "17 kJ/m^3" }}
[delivery]
kind = "uniform"
concentration = "0.5 mg/ml"
[heating]
kind = "combined"
[[heating.parts]]
{LASER}
on = [["0 s", "20 s"]]
[[heating.parts]]
kind = "magnetic"
frequency = "100 kHz"
amplitude = "10 kA/m"
on = [["30 s", "60 s"]]
[bioheat]
duration = "60 s"
[output]
series = false
pictures = false
"""


@pytest.fixture
def case_file(tmp_path: Path) -> Path:
    path = tmp_path / "both.toml"
    path.write_text(CASE)
    return path


def quiet(stage: str, share: float) -> None:
    pass


def test_light_then_field_on_particles_of_two_functions(case_file: Path, tmp_path: Path) -> None:
    """Energy in: absorbed light over 20 s and magnetic power over 30 s, each as it says of itself."""
    from thermal.simulation import simulate

    run = simulate(load_case(case_file), tmp_path / "run")
    light = run.value("part1.light.absorbed_tissue") + run.value("part1.light.absorbed_particles")
    field = run.value("part2.heating.power")
    assert light > 0.3
    assert field > 0.0
    assert run.value("energy.source") == pytest.approx(20.0 * light + 30.0 * field, rel=1e-6)
    assert run.value("ledger.energy_error") < 1e-10
    history = run.history
    assert {20.0, 30.0} <= set(np.round(history.time, 6))
    assert history["part1.power"][1] == 0.5
    assert history["part1.power"][-1] == 0.0
    assert history["part2.power"][-1] == pytest.approx(field)
    assert {"fluence", "absorbed_power", "absorbed_power_2", "field_amplitude"} <= set(run.fields.static)


def test_two_colours_add_up(case_file: Path) -> None:
    """The drive of both is the sum of the drives of each alone."""
    green = LASER.replace("808 nm", "532 nm").replace("0.5 W", "0.2 W")
    text = CASE[: CASE.index("[particles]")]
    powers = []
    for heating in (
        LASER,
        green,
        f'kind = "combined"\n[[heating.parts]]\n{LASER}[[heating.parts]]\n{green}',
    ):
        case_file.write_text(f'{text}[heating]\n{heating}[bioheat]\nduration = "5 s"\n')
        prepared = prepare(load_case(case_file), quiet)
        powers.append(prepared.source.drive(prepared.loop.start(prepared.initial).state, 1.0).power)
    np.testing.assert_allclose(powers[2], powers[0] + powers[1], rtol=1e-12)


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ('"tissue"\n[tissues', '"tissue"\norigin = ["50 mm", "0 mm", "0 mm"]\n[tissues', r"heating\.parts\[0\]\.fibre"),
        ('kind = "uniform"\nconcentration = "0.5 mg/ml"', 'kind = "none"', "only particles, but nothing delivers"),
        ('808 nm", absorption', '900 nm", absorption', r"known wavelengths: 900 nm"),
    ],
)  # fmt: skip
def test_a_part_that_does_not_fit(case_file: Path, old: str, new: str, message: str) -> None:
    case_file.write_text(CASE.replace(old, new))
    with pytest.raises(CaseError, match=message):
        prepare(load_case(case_file), quiet)


def test_a_source_alone_is_not_combined(case_file: Path) -> None:
    case_file.write_text(CASE[: CASE.index('[[heating.parts]]\nkind = "magnetic"')] + CASE[CASE.index("[bioheat]") :])
    with pytest.raises(CaseError, match=r"heating\.parts"):
        load_case(case_file)


def test_catalogue_case_as_a_part(run_case: RunCase) -> None:
    """LGT-01 twice with half of the power is LGT-01."""
    fibre = '{entry=["0 mm","0 mm","40 mm"], tip=["0 mm","0 mm","0 mm"]}'
    part = f'{{kind="photothermal", wavelength="808 nm", power="0.5 W", fibre={fibre}}}'
    twice = run_case("lgt01", f'heating={{kind="combined", parts=[{part}, {part}]}}')
    once = run_case("lgt01")
    assert 2.0 * twice.value("probe.r10.fluence") == pytest.approx(once.value("probe.r10.fluence"), rel=1e-9)
