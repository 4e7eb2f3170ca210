"""Planes of symmetry for light: an eighth of a body is lit as the whole body is."""

from __future__ import annotations

from pathlib import Path
from types import MappingProxyType

import numpy as np
import pytest
from conftest import RunCase

from thermal.case import load_case
from thermal.domain import VoxelDomain
from thermal.engines.voxel import VoxelEngine
from thermal.errors import CaseError
from thermal.physics.light import Beam, Border, DeltaP1, Diffusion, Fibre, Lamp, LightModel, Medium, MonteCarlo
from thermal.physics.light.mirrors import Mirrors
from thermal.simulation import simulate
from thermal.units import Si

HALF, CELL = 8e-3, 0.5e-3
NEAR = frozenset({"x-", "y-"})


def engine_of(low: float) -> VoxelEngine:
    """A box from ``low`` (x, y) to HALF, and over all z."""
    side = np.arange(low, HALF + 1e-9, CELL)
    depth = np.arange(-HALF, HALF + 1e-9, CELL)
    cells = (len(side) - 1) ** 2 * (len(depth) - 1)
    domain = VoxelDomain((side, side, depth), MappingProxyType({"tissue": np.ones(cells)}), np.ones(cells, dtype=bool))
    return VoxelEngine(domain)


def medium(engine: VoxelEngine) -> Medium:
    cells = np.ones_like(engine.cell_volume)
    return Medium(100.0 * cells, np.zeros_like(engine.volume), 1000.0 * cells, 0.8 * cells)


FIBRE = Fibre(entry=(Si(0), Si(0), Si(8e-3)), tip=(Si(0), Si(0), Si(-1e-3)), diffuser=Si(2e-3))
BEAM = Beam(position=(Si(0), Si(0), Si(8e-3)), direction=(0, 0, -1), diameter=Si(4e-3))
TWO = Beam(position=(Si(2e-3), Si(0), Si(8e-3)), direction=(-0.3, 0, -1), diameter=Si(2e-3))
IMAGE = Beam(position=(Si(-2e-3), Si(0), Si(8e-3)), direction=(0.3, 0, -1), diameter=Si(2e-3))
AT = np.array([[0.0, 0, -4e-3], [0, 0, 2e-3], [2e-3, 2e-3, 0], [4e-3, 0, 3e-3], [3e-3, 1e-3, 5e-3]])


@pytest.mark.parametrize(
    ("lamps", "quarter"),
    [
        ((Lamp(FIBRE, 1.0),), (Lamp(FIBRE, 0.25),)),
        ((Lamp(BEAM, 1.0),), (Lamp(BEAM, 0.25),)),
        (
            (Lamp(TWO, 1.0), Lamp(IMAGE, 1.0)),
            (Lamp(TWO, 0.5),),
        ),  # an oblique beam that crosses the plane, and its image
    ],
)
@pytest.mark.parametrize("model", [Diffusion(), DeltaP1(model="delta_p1")])
def test_a_quarter_is_lit_like_the_whole(model: LightModel, lamps: tuple[Lamp, ...], quarter: tuple[Lamp, ...]) -> None:
    """The same equations on the same nodes; rays and outlets are spread over them by other points: 1 %."""
    whole, part = engine_of(-HALF), engine_of(0.0)
    light = model.solve(whole, medium(whole), lamps, Border(1.4))
    found = model.solve(part, medium(part), quarter, Border(1.4, frozenset(), NEAR))
    assert part.sample(found.fluence, AT) == pytest.approx(whole.sample(light.fluence, AT), rel=0.01)
    share = sum(lamp.power for lamp in quarter) / sum(lamp.power for lamp in lamps)
    assert np.sum(found.absorbed) == pytest.approx(share * np.sum(light.absorbed), rel=2e-3)
    assert found.reflected == pytest.approx(share * light.reflected, rel=1e-9)
    assert abs(found.balance_error) < 1e-10
    assert not NEAR & set(found.left)


def test_photons_are_mirrored() -> None:
    """What a quarter absorbs and lets out is a quarter of the whole, by chance within 4 standard errors of both."""
    model = MonteCarlo(model="monte_carlo", photons=40_000)
    whole, part = engine_of(-HALF), engine_of(0.0)
    for lamps, quarter in (
        ((Lamp(FIBRE, 1.0),), (Lamp(FIBRE, 0.25),)),
        ((Lamp(TWO, 1.0), Lamp(IMAGE, 1.0)), (Lamp(TWO, 0.5),)),
    ):
        light = model.solve(whole, medium(whole), lamps, Border(1.4))
        found = model.solve(part, medium(part), quarter, Border(1.4, frozenset(), NEAR))
        share = quarter[0].power / sum(lamp.power for lamp in lamps)
        error = 4.0 * np.hypot(dict(light.errors)["absorbed"] * share, dict(found.errors)["absorbed"])
        assert np.sum(found.absorbed) == pytest.approx(share * float(np.sum(light.absorbed)), abs=error)
        assert abs(found.balance_error) * found.power < 4.0 * dict(found.errors)["balance"] + 1e-12
        assert all(found.left.get(face, 0.0) == 0.0 for face in NEAR)


def test_folding() -> None:
    box = np.array([0.0, 0, 0]), np.array([1.0, 2, 3])
    one = Mirrors(*box, frozenset({"x-", "y+"}))
    points, senses = one.fold(np.array([[-0.25, 2.5, 1.0], [0.5, 1.0, 5.0]]))
    assert points.tolist() == [[0.25, 1.5, 1.0], [0.5, 1.0, 5.0]]
    assert senses.tolist() == [[-1, -1, 1], [1, 1, 1]]
    facing = Mirrors(*box, frozenset({"x-", "x+"}))
    points, senses = facing.fold(np.array([[-0.25, 0, 0], [1.75, 0, 0], [2.25, 0, 0], [-1.75, 0, 0]]))
    assert points[:, 0] == pytest.approx(np.array([0.25, 0.25, 0.25, 0.25]))
    assert senses[:, 0].tolist() == [-1, -1, 1, 1]
    assert one.share(np.array([[0.0, 1, 0], [0, 1, 5]])) == 0.5
    assert one.share(np.array([[0.0, 2, 0], [0, 2, 5]])) == 0.25
    assert one.share(np.array([[0.0, 1, 0], [0.5, 1, 5]])) == 1.0


OCTANT = (
    "tissues.ball.optics=[{wavelength='808 nm', absorption='0.5 1/cm', reduced_scattering='10 1/cm'}]",
    "tissues.tissue.optics=[{wavelength='808 nm', absorption='0.1 1/cm', reduced_scattering='10 1/cm'}]",
    "bioheat.duration=1 s",
    "probes={p={position=['3 mm','3 mm','3 mm'], fields=['fluence']}}",
)
HEATING = (
    "heating={kind='photothermal', wavelength='808 nm', power='1 W', "
    "fibre={entry=['0 mm','0 mm','20 mm'], tip=['0 mm','0 mm','3 mm']}MORE}"
)
IMAGE_BELOW = "{entry=['0 mm','0 mm','-20 mm'], tip=['0 mm','0 mm','-3 mm']}"


def test_an_eighth_by_a_case(run_case: RunCase) -> None:
    """A fibre along the edge of two mirrors, over a third one: as two fibres tip to tip in the whole space; its quarter
    of the power is in the window."""
    run = run_case("octant", *OCTANT, HEATING.replace("MORE", ", mirrors=['x-','y-','z-']"))
    assert run.value("light.power_in") == pytest.approx(0.25, rel=1e-12)
    size = ("anatomy.origin=['-50 mm','-50 mm','-50 mm']", "anatomy.size=100 mm")
    two = HEATING.replace("fibre={", "fibre=[{").replace("}MORE", "}, " + IMAGE_BELOW + "]")
    whole = run_case("octant", *OCTANT, *size, two)
    assert run.value("probe.p.fluence") == pytest.approx(whole.value("probe.p.fluence"), rel=0.02)
    assert whole.value("light.power_in") == pytest.approx(2.0)


def test_what_is_refused(tmp_path: Path) -> None:
    octant = Path(__file__).parent / "catalogue/octant.toml"
    with pytest.raises(CaseError, match="air and mirrors both name x-"):
        load_case(octant, (*OCTANT, HEATING.replace("MORE", ", mirrors=['x-'], air=['x-']")))
    with pytest.raises(CaseError, match=r"heating\.mirrors"):
        simulate(load_case(octant, (*OCTANT, HEATING.replace("MORE", ""))), tmp_path / "run")


def test_a_mesh_without_the_face() -> None:
    part = engine_of(0.0)
    with pytest.raises(CaseError, match=r"heating\.mirrors.*no face left"):
        Mirrors.of(part, frozenset({"left"}))
