"""What a grid, a step or a number cannot carry is refused or said, with the number and its limit."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from conftest import CATALOGUE
from engine_problems import cut_into_tetrahedra

from thermal import load_case, simulate, simulation
from thermal.case import Case
from thermal.domain import MeshDomain
from thermal.engines.mesh import MeshEngine
from thermal.errors import CaseError
from thermal.simulation.places import ill_sized

CASE = """\
schema_version = 1
[anatomy]
kind = "phantom"
size = "40 mm"
voxel_size = "2 mm"
background = "liver"
{shapes}
{tables}
[bioheat]
duration = "60 s"
[output]
pictures = false
series = false
"""
HOT = '{{ shape = "gaussian", centre = ["0 mm", "0 mm", "0 mm"], sigma = "{sigma} mm", peak = "2 W/cm^3" }}'


def made(tmp_path: Path, tables: str, *overrides: str, shapes: str = "") -> Case:
    path = tmp_path / "case.toml"
    path.write_text(CASE.format(tables=tables, shapes=shapes))
    return load_case(path, overrides)


def heated(source: str) -> str:
    return f'[heating]\nkind = "prescribed"\nsources = [{source}]\n'


def warned(case: Case, tmp_path: Path) -> list[str]:
    found: list[str] = simulate(case, tmp_path / "out").value("warnings")
    return found


# ------------------------------------------------------------------------------------------------ perfusion


@pytest.mark.parametrize(("rate", "said"), [("1e-3 1/s", False), ("0.05 1/s", True)])
def test_cells_wider_than_the_perfusion_length(tmp_path: Path, rate: str, said: bool) -> None:
    """k = 0.5 and 0.05 1/s of blood give 1.6 mm, half of which is less than the voxels of 2 mm; 1e-3 gives 11 mm."""
    tissue = f'[tissues.liver]\nperfusion = "{rate}"\nconductivity = "0.5 W/m/K"\n'
    warnings = warned(made(tmp_path, heated(HOT.format(sigma=5)) + tissue), tmp_path)
    found = [warning for warning in warnings if warning.startswith("tissues.liver.perfusion")]
    assert bool(found) == said
    if said:
        assert "100 % of the heat" in found[0]
        assert "= 1.6 mm" in found[0]


# ------------------------------------------------------------------------------------------------ narrow sources


SLAB = 'shapes = [{{ region = "tumour", shape = "box", centre = ["0 mm", "0 mm", "{z} mm"], size = {size} }}]'


@pytest.mark.parametrize(("thickness", "said"), [("3 mm", True), ("4 mm", False)])
def test_a_heated_region_thinner_than_two_cells(tmp_path: Path, thickness: str, said: bool) -> None:
    shapes = SLAB.format(z=0, size=f'["40 mm", "40 mm", "{thickness}"]')
    case = made(tmp_path, heated('{ shape = "region", region = "tumour", density = "1 W/cm^3" }'), shapes=shapes)
    warnings = simulation.prepare(case, lambda stage, share: None).warnings
    assert any("thinner than two cells" in warning for warning in warnings) == said


@pytest.mark.parametrize(
    ("source", "said"),
    [
        (HOT.format(sigma=1.0), "sigma = 1 mm on cells of 2 mm"),
        (HOT.format(sigma=1.3), ""),
        ('{ shape = "sphere", centre = ["0 mm", "0 mm", "0 mm"], radius = "1.9 mm", density = "1 W/cm^3" }', "3.8 mm"),
        ('{ shape = "sphere", centre = ["0 mm", "0 mm", "0 mm"], radius = "2 mm", density = "1 W/cm^3" }', ""),
        ('{ shape = "box", centre = ["0 mm", "0 mm", "0 mm"], size = ["9 mm", "9 mm", "3 mm"], density = "1 W/cm^3" }',
         "a box 3 mm thick on cells of 2 mm"),
        ('{ shape = "box", centre = ["0 mm", "0 mm", "0 mm"], size = ["40 mm", "40 mm", "3 mm"], density = "1 W/m^3" }',
         "a box 3 mm thick"),
        ('{ shape = "box", centre = ["0 mm", "0 mm", "0 mm"], size = ["40 mm", "40 mm", "5 mm"], density = "1 W/m^3" }',
         ""),
        ('{ shape = "point", position = ["0 mm", "0 mm", "0 mm"], power = "1 W" }', ""),
        ('{ shape = "line", start = ["0 mm", "0 mm", "0 mm"], end = ["0 mm", "0 mm", "9 mm"], power = "1 W" }', ""),
    ],
)  # fmt: skip
def test_sources_narrower_than_the_grid(tmp_path: Path, source: str, said: str) -> None:
    warnings = simulation.prepare(made(tmp_path, heated(source)), lambda stage, share: None).warnings
    found = [warning for warning in warnings if "on cells of" in warning]
    assert bool(found) == bool(said)
    assert not said or said in found[0]


def test_a_box_across_a_grid_of_one_cell_is_not_narrow(tmp_path: Path) -> None:
    box = '{ shape = "box", centre = ["0 mm", "0 mm", "0 mm"], size = ["9 mm", "2 mm", "2 mm"], density = "1 W/cm^3" }'
    case = made(tmp_path, heated(box), 'anatomy.size=["40 mm", "2 mm", "2 mm"]')
    (held,) = simulation.prepare(case, lambda stage, share: None).warnings
    assert held.startswith("boundaries: all 84 nodes of the body have a prescribed temperature")


# ------------------------------------------------------------------------------------------------ effort


def test_stages_are_counted_before_the_start(tmp_path: Path) -> None:
    """Metal of 1e4 W/m/K and 1e6 J/m3/K: 12 k / (rho c h^2) = 3e4 1/s, and steps of 1e4 s."""
    tables = heated(HOT.format(sigma=5)) + (
        '[tissues.liver]\nconductivity = "1e4 W/m/K"\ndensity = "1000 kg/m^3"\nheat_capacity = "1000 J/kg/K"\n'
        'perfusion = "0 1/s"\n'
    )
    long = ("numerics.max_step=10000 s", "bioheat.duration=10000 s", "output.every=10000 s")
    case = made(tmp_path, tables, *long)
    found = [warning for warning in simulation.prepare(case, lambda stage, share: None).warnings if "stages" in warning]
    assert len(found) == 1
    assert "limit of what is sensible: 1e+04" in found[0]
    # s stages hold for (s^2 + s) / 2 times 1.05; the decay of the lattice is 4 k / (rho c h^2) along each of three axes
    stages = int(found[0].split(" stages")[0].split()[-1])
    assert stages == pytest.approx((2 * 1.05 * 1e4 * 12.0 * 1e4 / 1e6 / 4e-6) ** 0.5, rel=0.01)
    short = simulation.prepare(made(tmp_path, tables), lambda stage, share: None)
    assert not any("stages" in warning for warning in short.warnings)
    endless = made(tmp_path, tables, *(setting.replace("10000 s", "1e9 s") for setting in long))
    with pytest.raises(CaseError, match=r'numerics\.max_step: .* more than the 1000000 .* or max_step = "\S+ s" at'):
        simulation.prepare(endless, lambda stage, share: None)


# ------------------------------------------------------------------------------------------------ devices


def cryoprobe(radius: str) -> str:
    return f"""\
[heating]
kind = "cryo"
schedule = [["0 s", "-140 degC"]]
[[heating.probes]]
entry = ["0 mm", "0 mm", "19 mm"]
tip = ["0 mm", "0 mm", "-10 mm"]
active_length = "15 mm"
radius = "{radius}"
"""


@pytest.mark.parametrize(
    ("radius", "said"), [("0.15 mm", "thin"), ("0.2 mm", ""), ("2 mm", ""), ("6 mm", ""), ("6.5 mm", "thick")]
)
def test_probes_beyond_what_the_sub_grid_model_was_tried_for(tmp_path: Path, radius: str, said: str) -> None:
    case = made(tmp_path, cryoprobe(radius))
    found = [note for note in simulation.check(case) if "sub-grid" in note]
    assert bool(found) == bool(said)
    assert not said or (f"too {said} for the sub-grid model" in found[0] and "on cells of 2 mm" in found[0])


def test_a_tetrahedron_is_as_wide_as_its_nodes_are_apart(tmp_path: Path) -> None:
    """Cubes of 2 mm that were cut have edges of 3.5 mm, and carry a probe of 0.2 mm as the cubes do."""
    axis = np.arange(-20.0, 20.1, 2.0) * 1e-3
    points = np.stack(np.meshgrid(axis, axis, axis, indexing="ij"), axis=-1).reshape(-1, 3)
    cells = cut_into_tetrahedra((len(axis),) * 3)
    engine = MeshEngine(MeshDomain(points, cells, {"tissue": np.ones(len(cells))}))
    for radius, said in (("0.2 mm", False), ("0.15 mm", True)):
        assert bool(ill_sized(made(tmp_path, cryoprobe(radius)), engine)) == said


# ------------------------------------------------------------------------------------------------ infusion


def infused(diffusivity: str) -> str:
    return f"""\
particles = {{ material = "iron_oxide_16" }}
[delivery]
kind = "infusion"
entry = ["0 mm", "0 mm", "20 mm"]
tip = ["0 mm", "0 mm", "0 mm"]
port_radius = "0.5 mm"
flow = "10 ul/min"
duration = "10 min"
concentration = "10 mg/ml"
diffusivity = "{diffusivity}"
"""


@pytest.mark.parametrize(("voxel", "diffusivity", "flow", "said"), [
    ("2 mm", "0 m^2/s", "10 ul/min", True),  # two cells to the radius
    ("2 mm", "0 m^2/s", "1 nl/min", True),  # a tenth of a cell, so that no node is filled by half
    ("0.5 mm", "0 m^2/s", "10 ul/min", False),  # the front is sharp enough
    ("2 mm", "1e-8 m^2/s", "10 ul/min", False),  # diffusion spreads it more than the scheme does
])  # fmt: skip
def test_the_front_of_an_infusion_is_smeared(
    tmp_path: Path, voxel: str, diffusivity: str, flow: str, said: bool
) -> None:
    text = CASE.format(tables="", shapes="").replace("40 mm", "24 mm").replace("2 mm", voxel, 1)
    path = tmp_path / "case.toml"
    given = infused(diffusivity).replace("10 ul/min", flow)
    path.write_text(given.split("[")[0] + text + "[" + given.split("[", 1)[1])
    warnings = simulation.prepare(load_case(path), lambda stage, share: None).warnings
    found = [warning for warning in warnings if "front of the infusate" in warning]
    assert bool(found) == said
    assert not said or "cells of 2 mm" in found[0]


# ------------------------------------------------------------------------------------------------ names and numbers


def test_a_tissue_without_volume_in_the_window_is_named(tmp_path: Path) -> None:
    """A shape wholly under a later one, of the same region name elsewhere covered, leaves no volume."""
    shapes = (
        'shapes = [{ region = "void", shape = "box", centre = ["0 mm", "0 mm", "15 mm"], '
        'size = ["40 mm", "40 mm", "10 mm"] }, { region = "fat", shape = "box", centre = ["0 mm", "0 mm", "11 mm"], '
        'size = ["40 mm", "40 mm", "0.5 mm"] }]'
    )
    tables = heated(HOT.format(sigma=5)) + '[tissues.fat]\nconductivity = "0.2 W/m/K"\n'
    case = made(tmp_path, tables, shapes=shapes)
    anatomy = simulation.build(case)[0]
    assert ("fat" in anatomy.absent) == ("fat" not in anatomy.materials)
    warnings = simulation.prepare(case, lambda stage, share: None).warnings
    assert ("tissues.fat: this region has no volume in the window, so the entry plays no part" in warnings) == (
        "fat" in anatomy.absent
    )
    assert "fat" in anatomy.absent


KEYS = ("density", "heat_capacity", "conductivity", "perfusion", "metabolic_heat", "latent_heat", "water_fraction")
UNITS = {
    "density": "kg/m^3", "heat_capacity": "J/kg/K", "conductivity": "W/m/K", "perfusion": "1/s",
    "metabolic_heat": "W/m^3", "latent_heat": "J/kg", "water_fraction": "",
}  # fmt: skip


@pytest.mark.parametrize("number", ["nan", "inf", "-inf", "NaN", "1e999", "-1"])
@pytest.mark.parametrize("key", KEYS)
def test_no_tissue_number_is_negative_infinite_or_none(tmp_path: Path, key: str, number: str) -> None:
    """As text with a unit, and as a bare number of TOML."""
    unit = UNITS[key]
    for value in {f'"{number} {unit}"', f'"{number}{unit}"', number.lower().replace("1e999", "inf")}:
        with pytest.raises(CaseError, match=rf"tissues\.liver\.{key}"):
            made(tmp_path, f"[tissues.liver]\n{key} = {value}\n")


@pytest.mark.parametrize("number", ["nan", "inf", "-inf", "1e999"])
@pytest.mark.parametrize(
    ("key", "unit"),
    [
        ("bioheat.duration", "s"), ("bioheat.initial_temperature", "degC"), ("bioheat.arterial_temperature", "degC"),
        ("bioheat.blood_density", "kg/m^3"), ("bioheat.blood_heat_capacity", "J/kg/K"), ("anatomy.voxel_size", "mm"),
        ("anatomy.size", "mm"), ("numerics.max_step", "s"), ("numerics.temperature_tolerance", "K"),
        ("damage.arrhenius.frequency_factor", "1/s"), ("damage.arrhenius.threshold", ""),
        ("heating.sources.0.power", "W"),
    ],
)  # fmt: skip
def test_no_number_of_a_case_is_infinite_or_none(tmp_path: Path, key: str, unit: str, number: str) -> None:
    source = heated('{ shape = "point", position = ["0 mm", "0 mm", "0 mm"], power = "1 W" }')
    for value in (f"{number} {unit}", number):
        with pytest.raises(CaseError, match=key.split(".")[-1]):
            made(tmp_path, source, f"{key}={value}")


def test_textbook_cases_give_no_warning() -> None:
    for name in ("pen01", "pen03", "pen07", "pen08", "ste04"):
        case = load_case(CATALOGUE / f"{name}.toml")
        assert simulation.prepare(case, lambda stage, share: None).warnings == ()


# ------------------------------------------------------------------------------------------------ windows


@pytest.mark.parametrize(
    ("size", "face", "said"),
    [
        (20, None, True),
        (44, None, False),
        (20, 'kind = "fixed"\ntemperature = "37 degC"', False),
        (20, 'kind = "fixed"\npotential = "0 V"', True),
    ],
    ids=["small", "large", "known", "of other fields"],
)
def test_heat_that_leaves_where_the_body_is_cut(tmp_path: Path, size: int, face: str | None, said: bool) -> None:
    """Without it the zone of a window that is too small would be one of many numbers that look alike."""
    tables = heated(HOT.format(sigma=4)) + ("" if face is None else f"[boundaries.faces]\n{face}\n")
    case = made(tmp_path, tables, f'anatomy.size="{size} mm"', 'bioheat.duration="240 s"')
    run = simulate(case, tmp_path / "out")
    found = [warning for warning in run.value("warnings") if warning.startswith("boundaries: ")]
    assert len(found) == said
    if said:  # all that is held is where the body is cut
        share = -100.0 * run.value("energy.held") / run.value("energy.source")
        assert f"{share:.0f} % of the heat of the treatment left where the body is cut" in found[0]


def test_of_held_heat_only_that_of_the_cuts_counts(tmp_path: Path) -> None:
    """A vessel beside the source takes most of it; in the same window without it the cuts take too little."""
    vessel = """[[anatomy.shapes]]
region = "vein"
shape = "cylinder"
start = ["-30 mm", "7 mm", "0 mm"]
end = ["30 mm", "7 mm", "0 mm"]
radius = "4 mm"
"""
    tables = heated(HOT.format(sigma=4)) + '[tissues.vein]\nmaterial = "blood"\ntemperature = "37 degC"\n'
    case = made(tmp_path, tables, 'anatomy.size="44 mm"', 'bioheat.duration="240 s"', shapes=vessel)
    run = simulate(case, tmp_path / "out")
    assert run.value("energy.held") < -0.2 * run.value("energy.source")
    assert not any(warning.startswith("boundaries: ") for warning in run.value("warnings"))
