"""A body at 37 degC that nobody treats stays at 37 degC, and alive by every damage law, for hours."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from scripts import script

from thermal import library, load_case, simulate
from thermal.case.parts import LawName

CASE = """\
schema_version = 1
[anatomy]
{anatomy}
[tissues.tumour]
material = "liver"
perfusion = "0 1/s"
metabolic_heat = "0 W/m^3"
[bioheat]
duration = "{hours} h"
[damage]
laws = {laws}
[output]
pictures = false
every = "30 min"
"""
VOXELS = """\
kind = "phantom"
size = "24 mm"
voxel_size = "4 mm"
background = "liver"
tumour = "tumour"
shapes = [
  { region = "tumour", shape = "sphere", centre = ["0 mm", "0 mm", "0 mm"], radius = "6 mm" },
  { region = "void", shape = "sphere", centre = ["9 mm", "9 mm", "9 mm"], radius = "5 mm" },
]"""
TETRAHEDRA = 'kind = "mesh"\nfile = "ball.msh"\nlength_unit = "mm"\ntumour = "tumour"'
LAWS: tuple[str, ...] = LawName.__args__  # type: ignore[attr-defined]
KINETICS = library.names("damage")


def test_laws_and_constants_are_those_that_there_are() -> None:
    assert {"arrhenius", "cem43", "cell_death", "isotherm", "cryo"} <= set(LAWS)
    assert len(KINETICS) >= 8


@pytest.mark.parametrize("anatomy", [VOXELS, TETRAHEDRA], ids=["voxels", "tetrahedra"])
@pytest.mark.parametrize("law", LAWS)
def test_hours_of_nothing(tmp_path: Path, law: str, anatomy: str) -> None:
    """Exactly nothing: what a law counts from below its onset would add up over hours."""
    if anatomy == TETRAHEDRA:
        script("make_ball_mesh").write(tmp_path / "ball.msh", 6.0, 12.0, 1, (0.0, 0.0, 0.0))
    text = CASE.format(anatomy=anatomy, laws=f'["{law}"]', hours=10 if anatomy == VOXELS else 3)
    if law == "chemical":
        text += '[particles]\nmaterial = "ethanol"\n[delivery]\nkind = "uniform"\nconcentration = "0 mg/ml"\n'
    (tmp_path / "case.toml").write_text(text)
    unharmed(tmp_path, law)


@pytest.mark.parametrize("constants", KINETICS)
def test_hours_by_every_set_of_constants(tmp_path: Path, constants: str) -> None:
    text = (
        CASE.format(anatomy=VOXELS, laws='["arrhenius"]', hours=2) + f'[damage.arrhenius]\nparameters = "{constants}"\n'
    )
    (tmp_path / "case.toml").write_text(text)
    unharmed(tmp_path, "arrhenius")


def unharmed(folder: Path, law: str) -> None:
    run = simulate(load_case(folder / "case.toml", [f"zone.law={law}"]), folder / "run")
    assert run.value("zone.volume") == 0.0
    assert run.value("zone.residual_volume") == pytest.approx(run.value("zone.tumour_volume"))
    for name in ("temperature", "highest_temperature", "lowest_temperature"):
        np.testing.assert_allclose(
            run.static[name].values, 37.0, rtol=0.0, atol=1e-9
        )  # round-off of thousands of steps
    for index in range(len(run.times)):
        np.testing.assert_allclose(run.temperature(index), 37.0, rtol=0.0, atol=4e-6)  # kept in single precision
    shown = run.static[law]
    temperature = shown.unit == "degC"  # of isotherms: the highest or the lowest one
    np.testing.assert_allclose(shown.values, 37.0 if temperature else 0.0, rtol=0.0, atol=1e-9 if temperature else 0.0)
    assert abs(run.value("energy.stored")) < 1e-6
