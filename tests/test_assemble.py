"""From a case to arrays: boundaries, initial temperatures, tissues and the bioheat problem."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import skfem

from thermal.anatomy import Anatomy
from thermal.assemble import (
    VAPORISATION_HEAT,
    default_border,
    held_field,
    initial_temperature,
    make_bioheat,
    make_engine,
    make_surroundings,
    make_tissues,
)
from thermal.case import Case, load_case
from thermal.domain import FACES, SURFACE, MeshDomain
from thermal.engine import Engine
from thermal.engines.mesh import MeshEngine
from thermal.errors import CaseError
from thermal.physics.tissue import Tissues
from thermal.units import Array, Mask

CASE = """\
schema_version = 1
[anatomy]
kind = "phantom"
size = ["40 mm", "20 mm", "20 mm"]
voxel_size = "2 mm"
background = "liver"
tumour = "tumour"
[[anatomy.shapes]]
region = "tumour"
shape = "box"
centre = ["-10 mm", "0 mm", "0 mm"]
size = ["8 mm", "8 mm", "8 mm"]
[[anatomy.shapes]]
region = "vessel"
shape = "box"
centre = ["10 mm", "0 mm", "0 mm"]
size = ["8 mm", "8 mm", "20 mm"]
[tissues.vessel]
material = "blood"
[bioheat]
duration = "1 min"
"""
SKIN = """
[[anatomy.shapes]]
region = "void"
shape = "box"
centre = ["0 mm", "0 mm", "8 mm"]
size = ["40 mm", "20 mm", "4 mm"]
"""


def built(
    folder: Path, more: str = "", *, skin: bool = False, vessel: str = 'material = "blood"'
) -> tuple[Case, Tissues, Engine]:
    text = CASE.replace('material = "blood"', vessel)
    if skin:
        text = text.replace("[tissues.vessel]", SKIN + "[tissues.vessel]")
    file = folder / "case.toml"
    file.write_text(text + more)
    case = load_case(file)
    anatomy = case.anatomy.build(folder)
    engine = make_engine(anatomy)
    tissues, _ = make_tissues(case, anatomy, engine)
    return case, tissues, engine


def on(engine: Engine, *names: str) -> Mask:
    return np.asarray(np.any([engine.areas[name] > 0 for name in names], axis=0))


def problems(error: pytest.ExceptionInfo[CaseError]) -> str:
    return "\n".join(error.value.problems)


# ------------------------------------------------------------------------------------------------ boundaries


def test_cuts_through_the_body_keep_their_temperature_and_skin_is_insulated(tmp_path: Path) -> None:
    case, tissues, engine = built(tmp_path, skin=True)
    initial = np.linspace(30.0, 40.0, engine.volume.size)
    border = make_surroundings(case, tissues, initial)
    np.testing.assert_array_equal(border.held.mask, on(engine, *FACES))
    np.testing.assert_array_equal(border.held.value[border.held.mask], initial[border.held.mask])
    skin_only = on(engine, SURFACE) & ~on(engine, *FACES)
    assert skin_only.any()
    assert not border.held.mask[skin_only].any()
    assert not border.held.mask[engine.volume == 0].any()
    assert not border.film.any()
    assert not border.load.any()


def test_a_particular_face_goes_before_all_faces(tmp_path: Path) -> None:
    more = """
[boundaries."x-"]
kind = "fixed"
temperature = "20 degC"
[boundaries."x+"]
kind = "insulated"
[boundaries.faces]
kind = "fixed"
temperature = "30 degC"
"""
    case, tissues, engine = built(tmp_path, more)
    held = make_surroundings(case, tissues, np.full(engine.volume.size, 37.0)).held
    np.testing.assert_array_equal(held.mask, on(engine, "x-", "y-", "y+", "z-", "z+"))
    first = on(engine, "x-")  # its edges too, though "faces" stands below it in the file
    assert (held.value[first] == 20.0).all()
    assert (held.value[held.mask & ~first] == 30.0).all()


@pytest.mark.parametrize(
    ("entry", "still_held"),
    [
        ('kind = "insulated"', False),
        ('kind = "flux"\nflux = "0 W/m^2"', False),
        ('kind = "convective"\ncoefficient = "0 W/m^2/K"\ntemperature = "20 degC"', False),
        ('kind = "fixed"\npotential = "0 V"', True),  # says nothing about heat
    ],
)
def test_a_face_keeps_its_temperature_until_the_case_speaks_of_heat(
    tmp_path: Path, entry: str, still_held: bool
) -> None:
    case, tissues, engine = built(tmp_path, f'\n[boundaries."z-"]\n{entry}\n')
    held = make_surroundings(case, tissues, np.full(engine.volume.size, 37.0)).held
    only = on(engine, "z-") & ~on(engine, "x-", "x+", "y-", "y+")
    assert held.mask[only].all() == still_held
    assert held.mask[only].any() == still_held


def test_films_and_fluxes_add_up_over_the_area(tmp_path: Path) -> None:
    more = """
[boundaries.surface]
kind = "convective"
coefficient = "10 W/m^2/K"
temperature = "22 degC"
[boundaries."x+"]
kind = "flux"
flux = "0.1 W/cm^2"
[boundaries."x-"]
kind = "convective"
coefficient = "50 W/m^2/K"
temperature = "35 degC"
"""
    case, tissues, engine = built(tmp_path, more, skin=True)
    border = make_surroundings(case, tissues, np.full(engine.volume.size, 37.0))
    skin, side = 0.04 * 0.02, 0.02 * 0.016  # m2; 4 mm of the sides are void
    assert border.film.sum() == pytest.approx(10 * skin + 50 * side, rel=1e-12)
    assert border.load.sum() == pytest.approx(10 * 22 * skin + 50 * 35 * side + 1000 * side, rel=1e-12)
    np.testing.assert_array_equal(border.film > 0, on(engine, SURFACE, "x-"))
    np.testing.assert_array_equal(border.held.mask, on(engine, "y-", "y+", "z-", "z+"))


def test_regions_are_held_as_tissues_and_as_boundaries(tmp_path: Path) -> None:
    """Of a box on the grid its walls are held too; nodes that are not in it, and its corners, are not."""
    more = '[boundaries.tumour]\nkind = "fixed"\ntemperature = "80 degC"\npotential = "5 V"\n'
    case, tissues, engine = built(tmp_path, more, vessel='material = "blood"\ntemperature = "36 degC"')
    held = make_surroundings(case, tissues, np.full(engine.volume.size, 37.0)).held

    away = np.abs(engine.points - [-0.010, 0, 0]) - 0.004  # below zero inside, along each axis
    within, walls = (away < 1e-9).all(axis=1), (np.abs(away) < 1e-9).sum(axis=1)
    sure, never = within & (walls <= 1), (engine.points[:, 0] < 0) & ~(within & (walls <= 2)) & ~on(engine, *FACES)
    potential = held_field(case, engine, "potential")
    for mask, value in ((held.mask, held.value == 80.0), (potential.mask, potential.value == 5.0)):
        assert mask[sure].all()
        assert value[sure].all()
        assert not mask[never].any()
    assert not held_field(case, engine, "pressure").mask.any()
    warm = np.all(np.abs(engine.points - [0.010, 0, 0])[:, :2] < 0.0039, axis=1)
    assert held.mask[warm].all()
    assert (held.value[warm] == 36.0).all()  # also where the vessel meets the faces of the window


def test_a_region_has_no_flux(tmp_path: Path) -> None:
    case, tissues, engine = built(tmp_path, '\n[boundaries.tumour]\nkind = "flux"\nflux = "1 W/m^2"\n')
    with pytest.raises(CaseError) as error:
        make_surroundings(case, tissues, np.full(engine.volume.size, 37.0))
    assert problems(error) == 'boundaries.tumour: a region can only be "fixed"; heat flux needs a surface'


def test_unknown_boundaries_are_named_with_the_known(tmp_path: Path) -> None:
    case, tissues, engine = built(tmp_path, '\n[boundaries.skin]\nkind = "insulated"\n')
    with pytest.raises(CaseError) as error:
        make_surroundings(case, tissues, np.full(engine.volume.size, 37.0))
    said = problems(error)
    assert said.startswith("boundaries.skin: names no boundary and no region; known are ")
    for name in (*FACES, SURFACE, "liver", "tumour", "vessel"):
        assert name in said
    with pytest.raises(CaseError, match=r"boundaries\.skin"):
        held_field(case, engine, "potential")


def mesh_engine() -> tuple[MeshEngine, Array]:
    mesh = skfem.MeshTet.init_tensor(*([np.linspace(-0.01, 0.01, 4)] * 3))
    cells = np.ascontiguousarray(mesh.t.T).astype(np.int64)
    points = np.ascontiguousarray(mesh.p.T)
    facets = mesh.facets.T.astype(np.int64)
    top = facets[(points[facets][:, :, 2] > 0.01 - 1e-9).all(axis=1)]
    shares = {"liver": np.ones(len(cells))}
    return MeshEngine(MeshDomain(points, cells, shares, {"top": top})), points[:, 2]


def test_a_mesh_keeps_its_outer_border_unless_any_boundary_is_spoken_of(tmp_path: Path) -> None:
    engine, z = mesh_engine()
    assert default_border(engine) == (SURFACE,)
    plain, tissues, _ = built(tmp_path)
    tissues = Tissues(engine, {"liver": tissues.by_region["liver"]})
    initial = np.full(len(z), 37.0)
    everything = make_surroundings(plain, tissues, initial).held.mask
    np.testing.assert_array_equal(everything, engine.areas[SURFACE] > 0)
    cooled, _, _ = built(tmp_path, '\n[boundaries.top]\nkind = "fixed"\ntemperature = "20 degC"\n')
    held = make_surroundings(cooled, tissues, initial).held
    np.testing.assert_array_equal(held.mask, z > 0.01 - 1e-9)
    assert (held.value[held.mask] == 20.0).all()
    with_faces, _, _ = built(tmp_path, '\n[boundaries.faces]\nkind = "insulated"\n')
    with pytest.raises(CaseError, match=r"boundaries\.faces: a mesh has no window faces; its boundaries are"):
        make_surroundings(with_faces, tissues, initial)


# ------------------------------------------------------------------------------------------------ start and tissues


def test_initial_temperature_of_regions_is_mixed_by_volume(tmp_path: Path) -> None:
    more = 'arterial_temperature = "36 degC"\ninitial_temperature = {tumour = "40 degC", vessel = "30 degC"}\n'
    case, tissues, engine = built(tmp_path, more, skin=True)
    start = initial_temperature(case, tissues)
    body = engine.volume > 0
    expected = 36.0 * engine.volumes["liver"] + 40.0 * engine.volumes["tumour"] + 30.0 * engine.volumes["vessel"]
    np.testing.assert_allclose((start * engine.volume)[body], expected[body], rtol=1e-12)
    assert start[engine.volumes["tumour"] == engine.volume].max() == pytest.approx(40.0)
    assert 36.0 < start[on_border_of(engine, "tumour")].min() < 40.0
    assert (start[~body] == 36.0).all()


def on_border_of(engine: Engine, region: str) -> Mask:
    volume = engine.volumes[region]
    return np.asarray((volume > 0) & (volume < engine.volume * (1 - 1e-9)))


def test_one_initial_temperature_is_everywhere(tmp_path: Path) -> None:
    case, tissues, _ = built(tmp_path, 'initial_temperature = "25 degC"\n')
    assert (initial_temperature(case, tissues) == 25.0).all()


def test_initial_temperature_of_an_unknown_region(tmp_path: Path) -> None:
    case, tissues, _ = built(tmp_path, 'initial_temperature = {tumor = "40 degC", spleen = "30 degC"}\n')
    with pytest.raises(CaseError) as error:
        initial_temperature(case, tissues)
    assert problems(error).splitlines() == [
        'bioheat.initial_temperature.tumor: names no region; regions: liver, tumour, vessel; did you mean "tumour"?',
        "bioheat.initial_temperature.spleen: names no region; regions: liver, tumour, vessel",
    ]


def test_tissues_of_unknown_regions_and_regions_without_tissue_are_all_named(tmp_path: Path) -> None:
    with pytest.raises(CaseError) as error:
        built(tmp_path, '[tissues.spleen]\nmaterial = "liver"\n[tissues.tumor]\nmaterial = "liver"\n')
    said = problems(error)
    assert "tissues.spleen: names no region of the anatomy; its regions are liver, tumour, vessel" in said
    assert (
        'tissues.tumor: names no region of the anatomy; its regions are liver, tumour, vessel; did you mean "tumour"?'
        in said
    )
    case, _, engine = built(tmp_path)
    anatomy = case.anatomy.build(tmp_path)
    strange = Anatomy(anatomy.domain, anatomy.tumour, {**anatomy.materials, "tumour": "kryptonite"})
    with pytest.raises(CaseError, match=r"tissues\.tumour: .*kryptonite"):
        make_tissues(case, strange, engine)


def test_a_tissue_of_a_region_that_is_not_in_this_window_is_no_mistake(tmp_path: Path) -> None:
    """Cases share anatomies and windows: a shape that later ones cover entirely may keep its tissue entry."""
    case, _, engine = built(tmp_path)
    anatomy = case.anatomy.build(tmp_path)
    elsewhere = Anatomy(anatomy.domain, None, anatomy.materials, absent=frozenset({"spleen"}))
    file = tmp_path / "other.toml"
    file.write_text(CASE + '[tissues.spleen]\nmaterial = "liver"\n')
    tissues, _ = make_tissues(load_case(file), elsewhere, engine)
    assert set(tissues.by_region) == {"liver", "tumour", "vessel"}


# ------------------------------------------------------------------------------------------------ bioheat


OWN = """
[tissues.liver]
density = "1000 kg/m^3"
heat_capacity = "4000 J/kg/K"
conductivity = "0.6 W/m/K"
perfusion = "0.01 1/s"
metabolic_heat = "500 W/m^3"
[tissues.tumour]
material = "liver"
density = "1000 kg/m^3"
heat_capacity = "3000 J/kg/K"
conductivity = "0.3 W/m/K"
perfusion = "0.002 1/s"
metabolic_heat = "0 W/m^3"
[boundaries.faces]
kind = "insulated"
[numerics]
precision = "double"
"""


def test_bioheat_takes_each_tissue_by_its_volume(tmp_path: Path) -> None:
    case, tissues, engine = built(tmp_path, OWN)
    problem = make_bioheat(case, tissues, initial_temperature(case, tissues))
    liver, tumour, vessel = (engine.volumes[name] for name in ("liver", "tumour", "vessel"))
    blood = tissues.by_region["vessel"]
    capacity = 4e6 * liver + 3e6 * tumour + blood.density * blood.heat_capacity * vessel
    np.testing.assert_allclose(problem.capacity(), capacity, rtol=1e-12)
    carried = case.bioheat.blood_density * case.bioheat.blood_heat_capacity
    flow = 0.01 * liver + 0.002 * tumour + blood.perfusion * vessel
    np.testing.assert_allclose(problem.perfusion, carried * flow, rtol=1e-12)
    np.testing.assert_allclose(problem.metabolic, 500.0 * liver + blood.metabolic_heat * vessel, rtol=1e-12)
    shares = engine.shares
    k = 0.6 * shares["liver"] + 0.3 * shares["tumour"] + blood.conductivity * shares["vessel"]
    np.testing.assert_allclose(problem.cells.at_37, k, rtol=1e-12)
    assert problem.arterial_temperature == 37.0
    single = make_bioheat(built(tmp_path, OWN.replace("double", "single"))[0], tissues, np.full(capacity.shape, 37.0))
    assert single.perfusion.dtype == np.float32
    np.testing.assert_allclose(single.perfusion, problem.perfusion, rtol=1e-7)


def test_who_holds_a_region_pays_for_the_blood_around_it_alone(tmp_path: Path) -> None:
    """None of what flows within: nodes that stand for the tumour have the perfusion of what else is in their cells."""
    case, tissues, engine = built(tmp_path, OWN + '[boundaries.tumour]\nkind = "fixed"\ntemperature = "60 degC"\n')
    problem = make_bioheat(case, tissues, initial_temperature(case, tissues))
    carried = case.bioheat.blood_density * case.bioheat.blood_heat_capacity
    flow = 0.01 * engine.volumes["liver"] + tissues.by_region["vessel"].perfusion * engine.volumes["vessel"]
    held = problem.surroundings.held.mask & (engine.volumes["tumour"] > 0)
    assert held.any()
    np.testing.assert_allclose(problem.perfusion[held], carried * flow[held], rtol=1e-12, atol=1e-15)


def test_phase_changes_and_metabolism_can_be_left_out(tmp_path: Path) -> None:
    case, tissues, engine = built(tmp_path)
    cold = np.full(engine.volume.shape, -3.0)
    problem = make_bioheat(case, tissues, cold)
    ice, steam = problem.heat.freezing, problem.heat.boiling
    assert ice is not None
    assert steam is not None
    assert (ice.solidus, ice.liquidus, steam.start, steam.end) == (-8.0, -1.0, 99.0, 100.0)
    # the latent heats are those of the tissues: 99 to 100 degC takes the water of the liver
    liver = tissues.by_region["liver"]
    assert liver.water_fraction is not None
    inside = engine.volumes["liver"] == engine.volume
    width = (steam.width * problem.capacity() / engine.volume)[inside]
    water = liver.density * (liver.water_fraction * VAPORISATION_HEAT + liver.heat_capacity)
    np.testing.assert_allclose(width, water, rtol=1e-12)
    plain, tissues, _ = built(tmp_path, 'freezing = "off"\nvaporisation = "off"\nmetabolism = false\n')
    without = make_bioheat(plain, tissues, cold)
    assert without.heat.freezing is None
    assert without.heat.boiling is None
    assert not without.metabolic.any()


LASER = """
kind = "photothermal"
wavelength = "1064 nm"
power = "1 W"
[heating.fibre]
entry = ["0 mm", "0 mm", "10 mm"]
tip = ["0 mm", "0 mm", "0 mm"]
"""
ELECTRODE = """
[heating.electrode]
entry = ["0 mm", "0 mm", "10 mm"]
tip = ["0 mm", "0 mm", "-2 mm"]
active_length = "5 mm"
radius = "0.8 mm"
"""
COLD_SOURCE = """
kind = "prescribed"
sources = [{ shape = "region", region = "tumour", density = "-1 W/cm^3" }]
"""


@pytest.mark.parametrize(
    ("more", "freezes"),
    [
        ("", False),
        (f"[heating]\n{LASER}", False),
        (f'[heating]\nkind = "rfa"\npower = "5 W"\n{ELECTRODE}', False),
        (f'[heating]\nkind = "rfa"\npower = "5 W"\ncooling = {{ temperature = "5 degC" }}\n{ELECTRODE}', False),
        (f'[heating]\nkind = "rfa"\npower = "5 W"\ncooling = {{ temperature = "-2 degC" }}\n{ELECTRODE}', True),
        ('[heating]\nkind = "temperature"\nschedule = [["0 s", "37 degC"], ["9 s", "-1 degC"]]', True),
        (f"[heating]\n{COLD_SOURCE}", True),
        ('[boundaries."x-"]\nkind = "fixed"\ntemperature = "0 degC"', False),
        ('[boundaries."x-"]\nkind = "fixed"\ntemperature = "-5 degC"', True),
        ('[boundaries."x-"]\nkind = "convective"\ncoefficient = "9 W/m^2/K"\ntemperature = "-5 degC"', True),
        ('[boundaries."x-"]\nkind = "convective"\ncoefficient = "9 W/m^2/K"\ntemperature = "5 degC"', False),
        ('[boundaries."x-"]\nkind = "flux"\nflux = "-9 W/m^2"', True),
        ('[boundaries."x-"]\nkind = "flux"\nflux = "9 W/m^2"', False),
    ],
)
def test_tissue_freezes_only_where_something_may_be_cold_enough(tmp_path: Path, more: str, freezes: bool) -> None:
    case, tissues, engine = built(tmp_path, "\n" + more)
    problem = make_bioheat(case, tissues, np.full(engine.volume.shape, 37.0))
    assert (problem.heat.freezing is not None) == freezes
    assert (problem.cells.frozen is not None) == freezes
    assert make_bioheat(case, tissues, np.full(engine.volume.shape, -3.0)).heat.freezing is not None
