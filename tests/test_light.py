"""Light against closed forms of the diffusion approximation, and the books of every watt."""

from __future__ import annotations

from types import MappingProxyType

import numpy as np
import pytest
from conftest import RunCase
from pydantic import ValidationError
from scipy.special import k0

from thermal.domain import VoxelDomain
from thermal.engines.voxel import VoxelEngine
from thermal.errors import CaseError
from thermal.physics.heating.photothermal import Photothermal
from thermal.physics.light import Beam, Border, Diffusion, Fibre, Lamp, Medium, border_factor, border_factors, window
from thermal.physics.light.diffusion import solve_light
from thermal.physics.light.nearness import near_fibres
from thermal.physics.light.rays import Emission
from thermal.physics.scene import Held, Payload, Scene, State
from thermal.physics.tissue import Optics, Tissue, Tissues
from thermal.units import Array, Si

MU_A, MU_S = 10.0, 1000.0  # 1/m: mu_a = 0.1 /cm, mu_s' = 10 /cm of LGT-01 and LGT-03
MU_EFF = np.sqrt(3 * MU_A * (MU_A + MU_S))
D = 1 / (3 * (MU_A + MU_S))


def engine_of(*axes: Array, shares: dict[str, Array] | None = None, solid: Array | None = None) -> VoxelEngine:
    cells = int(np.prod([len(axis) - 1 for axis in axes]))
    whole = {"tissue": np.ones(cells)} if shares is None else shares
    body = np.ones(cells, dtype=bool) if solid is None else solid
    return VoxelEngine(VoxelDomain((axes[0], axes[1], axes[2]), MappingProxyType(whole), body))


def uniform(engine: VoxelEngine, mu_a: float = MU_A, mu_s: float = MU_S) -> Medium:
    nodes, cells = np.ones_like(engine.volume), np.ones_like(engine.cell_volume)
    return Medium(mu_a * cells, 0.0 * nodes, mu_s * cells, 0.0 * cells)


def graded(half: float, first: float, growth: float) -> Array:
    """Symmetric axis whose cells grow away from 0."""
    edges = [0.0]
    step = first
    while edges[-1] < half:
        edges.append(edges[-1] + step)
        step *= growth
    return np.concatenate([-np.array(edges[:0:-1]), edges])


def test_partial_current_factor() -> None:
    assert border_factor(1.4) == pytest.approx(3.250697, rel=1e-6)  # LGT-02
    assert border_factor(1.0) == pytest.approx(1.0, abs=0.005)  # the polynomial is a fit


def test_point_source() -> None:
    """LGT-01: fluence of 1 W in an infinite medium at 0.5, 1 and 2 cm, and the share absorbed inside 1 cm.

    One octant with insulated planes of symmetry; the infinite medium ends at 5 cm, where exp(-mu r) = 2e-4.
    """
    axis = graded(50e-3, 0.35e-3, 1.035)
    axis = axis[axis >= 0.0]
    engine = engine_of(axis, axis, axis)
    source = np.zeros_like(engine.volume)
    source[0] = 1 / 8
    emission = Emission(source, 0.0 * source, 0.0 * source)
    light = solve_light(engine, uniform(engine), [emission], 1 / 8, dict.fromkeys(("x+", "y+", "z+"), 1.0))
    directions = np.array([[1, 0, 0], [0, 1, 1], [1, 1, 1], [0.3, 0.7, 0.2]])
    directions /= np.linalg.norm(directions, axis=1)[:, None]
    for r, exact in ((0.5e-2, 2.0196534e4), (1e-2, 0.4229226e4), (2e-2, 0.0370902e4)):
        assert engine.sample(light.fluence, r * directions) == pytest.approx(exact, rel=0.01)
    inside = engine.to_cells(light.absorbed / engine.volume) * engine.cell_volume
    centres = np.stack(np.meshgrid(*engine.domain.centres(), indexing="ij"), -1).reshape(-1, 3)
    assert 8 * np.sum(inside[np.linalg.norm(centres, axis=1) < 1e-2]) == pytest.approx(0.5192847, rel=0.01)
    assert abs(light.balance_error) < 1e-10


def test_fibre_tip_emits_around_itself() -> None:
    """All power, centred on the tip wherever it lies between the nodes; a tip in the void is an error."""
    axis = np.linspace(-4e-3, 4e-3, 9)
    solid = np.repeat(np.arange(8) < 6, 64)
    engine = engine_of(axis, axis, axis, solid=solid)
    tip = (Si(0.3e-3), Si(-0.4e-3), Si(0.1e-3))
    emission = Fibre(entry=(Si(0), Si(0), Si(0.05)), tip=tip).emit(engine, uniform(engine), 3.0, Border(1.4))
    assert np.sum(emission.diffuse) == pytest.approx(3.0, abs=1e-12)
    assert emission.diffuse @ engine.points / 3.0 == pytest.approx(np.array(tip), abs=2e-5)
    with pytest.raises(CaseError, match="outside the tissue"):
        Fibre(entry=(Si(0), Si(0), Si(0.05)), tip=(Si(3e-3), Si(0), Si(0))).emit(
            engine, uniform(engine), 3.0, Border(1.4)
        )


@pytest.mark.parametrize(("absorption", "scattering"), [(25.0, 1400.0), (60.0, 800.0)])
def test_point_source_on_the_grid_that_it_is_given(absorption: float, scattering: float) -> None:
    """LGT-01 on cells of a third of a penetration depth, the tip between nodes: 1 % along the axes and across them.

    Light that the fibre hands to the nodes around it, and that fades as differences have it, is 4 to 6 % too strong
    along an axis.
    """
    axis = np.arange(-24.0, 25.0) / 3.0 / np.sqrt(3.0 * absorption * (absorption + scattering))
    engine = engine_of(axis, axis, axis)
    cells = np.ones(len(engine.cell_volume))
    medium = Medium(absorption * cells, 0.0 * engine.volume, scattering * cells, 0.0 * cells)
    tip = np.array([0.37, -0.23, 0.61]) * (axis[1] - axis[0])
    place = (Si(float(tip[0])), Si(float(tip[1])), Si(float(tip[2])))
    fibre = Fibre(entry=(Si(0), Si(0), Si(0.05)), tip=place, radius=Si(0.2e-3))
    emission = fibre.emit(engine, medium, 1.0, Border(1.4))
    faces = dict.fromkeys(("x-", "x+", "y-", "y+", "z-", "z+"), 1.0)
    light = solve_light(engine, medium, [emission], 1.0, faces)
    diffusion = 1.0 / (3.0 * (absorption + scattering))
    rate = np.sqrt(absorption / diffusion)
    distance = np.linalg.norm(engine.points - tip, axis=1)
    exact = np.exp(-rate * distance) / (4.0 * np.pi * diffusion * distance)
    near = (rate * distance > 0.6) & (rate * distance < 5.0)
    assert np.abs(light.fluence / exact - 1.0)[near].max() < 0.01
    assert emission.diffuse.sum() == pytest.approx(1.0, rel=1e-12)
    assert abs(light.balance_error) < 1e-10


def test_line_diffuser() -> None:
    """LGT-01: line source K0(mu r) / (2 pi D) per unit of power and length at 0.5 and 1 cm."""
    axis, length = graded(50e-3, 0.4e-3, 1.06), 20e-3
    along = np.linspace(0, length, 11)  # insulated ends make the line endless
    engine = engine_of(axis, axis, along)
    medium = uniform(engine)
    fibre = Fibre(entry=(Si(0), Si(0), Si(length)), tip=(Si(0), Si(0), Si(0)), diffuser=Si(length), radius=Si(0.05e-3))
    emission = fibre.emit(engine, medium, 100 * length, Border(1.4))  # 1 W/cm
    sides = dict.fromkeys(("x-", "x+", "y-", "y+"), 1.0)
    light = solve_light(engine, medium, [emission], 100 * length, sides)
    for r, exact in ((0.5e-2, 2.452462e4), (1e-2, 0.758136e4)):
        at = np.array([[r, 0, 0.5 * length], [0.6 * r, 0.8 * r, 0.3 * length]])
        assert engine.sample(light.fluence, at) == pytest.approx(exact, rel=0.01)
        assert exact == pytest.approx(100 * k0(MU_EFF * r) / (2 * np.pi * D), rel=1e-5)


def slab_profile(z: Array, a_factor: float) -> Array:
    """Total fluence of a broad beam of 1 W/m2 on a half-space: particular + homogeneous + ballistic part."""
    mu_t = MU_A + MU_S
    particular = MU_S / (MU_A - D * mu_t**2)
    # flux D dphi/dz = phi / (2 A) at z = 0
    free = particular * (-2 * a_factor * D * mu_t - 1) / (1 + 2 * a_factor * D * MU_EFF)
    return particular * np.exp(-mu_t * z) + free * np.exp(-MU_EFF * z) + np.exp(-mu_t * z)


def test_broad_beam() -> None:
    """LGT-03: fluence under a broad beam, partial-current border, n = 1.4; and the diffuse reflectance 0.614888."""
    depth = np.cumsum(np.concatenate([[0.0], 0.05e-3 * 1.035 ** np.arange(120)]))
    side = np.linspace(-0.2e-3, 0.2e-3, 5)
    engine = engine_of(side, side, depth)
    medium = uniform(engine)
    beam = Beam(position=(Si(0), Si(0), Si(-5e-3)), direction=(0, 0, 1), diameter=Si(0.8e-3), specular=0.0)
    emission = beam.emit(engine, medium, 0.25 * np.pi * 0.8e-3**2, Border(1.4))  # 1 W/m2, wider than the column
    assert emission.entry_faces == {"z-"}
    light = solve_light(engine, medium, [emission], 0.25 * np.pi * 0.8e-3**2, {"z-": border_factor(1.4)})
    mean = light.fluence.reshape(engine.domain.shape).mean(axis=(0, 1))
    z = np.array([0, 0.1, 0.3, 0.5, 1.0]) * 1e-2
    exact = [4.997628, 5.180386, 4.087792, 2.943087, 1.238034]
    assert slab_profile(z, border_factor(1.4)) == pytest.approx(exact, rel=1e-5)
    assert np.interp(z, depth, mean) == pytest.approx(exact, rel=0.01)
    reflectance = (light.escaped - emission.escaped) / 0.16e-6
    assert reflectance == pytest.approx(0.614888, rel=0.01)
    assert abs(light.balance_error) < 1e-10


@pytest.mark.parametrize("spacing", [0.5e-3, 1e-3])
def test_unscattered_light_on_cells_of_an_optical_depth(spacing: float) -> None:
    """At the nodes it is what the law of Lambert and Beer says, also at the border, where all of a node's surroundings
    lie deeper than the node; cells are 0.5 and 1 deep, and steps of a third of a cell leave 2 % at most."""
    side, depth = np.arange(-2e-3, 2.01e-3, spacing), np.arange(0.0, 10.5e-3, spacing)
    engine = engine_of(side, side, depth)
    beam = Beam(position=(Si(0), Si(0), Si(-5e-3)), direction=(0, 0, 1), diameter=Si(20e-3), specular=0.0)
    emission = beam.emit(engine, uniform(engine), np.pi * 10e-3**2, Border(1.4))  # 1 W/m2
    on_axis = emission.fluence.reshape(engine.domain.shape)[len(side) // 2, len(side) // 2, :-1]
    exact = np.exp(-(MU_A + MU_S) * depth[:-1])
    assert on_axis == pytest.approx(exact, rel=0.02)
    assert on_axis[1:] == pytest.approx(exact[1:], rel=0.01)


def test_gaussian_beam_profile() -> None:
    """The collimated fluence has the given irradiance on the axis and falls to 1/e2 at half the diameter."""
    axis = np.linspace(-10e-3, 10e-3, 41)
    engine = engine_of(axis, axis, np.linspace(0, 5e-3, 11))
    medium = uniform(engine, 10.0, 30.0)
    beam = Beam(
        position=(Si(0), Si(0), Si(0)), direction=(0, 0, 1), diameter=Si(8e-3), profile="gaussian",
        irradiance=Si(2e4), specular=0.0,
    )  # fmt: skip
    assert beam.own_power == pytest.approx(0.5 * 2e4 * np.pi * 4e-3**2)
    emission = beam.emit(engine, medium, beam.own_power or 0.0, Border(1.4))
    at = np.array([[0, 0, 2.5e-3], [4e-3, 0, 2.5e-3], [0, -4e-3, 2.5e-3]])
    faded = 2e4 * np.exp(-40.0 * 2.5e-3)
    assert engine.sample(emission.fluence, at) == pytest.approx(faded * np.exp([0.0, -2.0, -2.0]), rel=0.04)


def test_oblique_beam_conserves_power_and_finds_the_skin() -> None:
    """A slanted beam onto a ball of tissue in the void: it enters at the skin, and every watt is on the books."""
    axis = np.linspace(-20e-3, 20e-3, 41)
    mid = 0.5 * (axis[1:] + axis[:-1])
    x, y, z = np.meshgrid(mid, mid, mid, indexing="ij")
    solid = (x**2 + y**2 + z**2 < 15e-3**2).ravel()
    engine = engine_of(axis, axis, axis, shares={"tissue": solid.astype(float)}, solid=solid)
    medium = uniform(engine)
    direction = np.array([1.0, 0.5, -2.0])
    position = -15e-3 * direction / np.linalg.norm(direction)
    beam = Beam(position=tuple(Si(c) for c in position), direction=tuple(direction), diameter=Si(6e-3))
    emission = beam.emit(engine, medium, 3.0, Border(1.4))
    assert emission.entry_faces == frozenset()
    assert emission.reflected == pytest.approx(3.0 / 36)  # ((1.4 - 1) / (1.4 + 1))^2 = 1/36
    assert emission.escaped < 1e-6
    total = np.sum(emission.diffuse + emission.absorbed)
    assert total == pytest.approx(3.0 * 35 / 36, rel=1e-7)
    first = (emission.diffuse @ engine.points) / np.sum(emission.diffuse)
    assert np.linalg.norm(first - position * (1 - 1e-3 / 15e-3)) < 1.2e-3  # one free path below the skin
    light = solve_light(engine, medium, [emission], 3.0, border_factors(engine, Border(1.4), emission.entry_faces))
    assert abs(light.balance_error) < 1e-10
    assert light.escaped > 0.3  # backscattered through the skin
    # the same from the opposite side, by symmetry
    other = Beam(position=tuple(Si(-c) for c in position), direction=tuple(-direction), diameter=Si(6e-3))
    mirrored = other.emit(engine, medium, 3.0, Border(1.4))
    assert np.sum(mirrored.diffuse) == pytest.approx(np.sum(emission.diffuse), rel=1e-6)
    with pytest.raises(CaseError, match="misses the tissue"):
        Beam(position=(Si(0), Si(0.1), Si(0)), direction=(1, 0, 0), diameter=Si(1e-3)).emit(
            engine, medium, 1.0, Border(1.4)
        )


def test_a_slanted_beam_is_refracted_at_a_face() -> None:
    """At 60 degrees into n = 1.4: Fresnel's share of unpolarised light is turned back, and first collisions lie a free
    path along the direction that Snell's law gives; steps across the border move their centroid by 2 um."""
    axis, depth = np.linspace(-6e-3, 6e-3, 25), np.linspace(-12e-3, 0.0, 25)
    engine = engine_of(axis, axis, depth)
    sine = np.sin(np.deg2rad(60.0))
    beam = Beam(position=(Si(0), Si(0), Si(0)), direction=(sine, 0.0, -0.5), diameter=Si(1e-3))
    emission = beam.emit(engine, uniform(engine, 400.0, 3600.0), 1.0, Border(1.4))
    inside = np.arcsin(sine / 1.4)
    angle = np.deg2rad(60.0)
    turned = (
        (np.sin(angle - inside) / np.sin(angle + inside)) ** 2 + (np.tan(angle - inside) / np.tan(angle + inside)) ** 2
    ) / 2.0
    assert emission.reflected == pytest.approx(turned, rel=1e-9)
    hits = emission.diffuse + emission.absorbed
    assert np.sum(hits) == pytest.approx(1.0 - turned, rel=1e-7)
    place = hits @ engine.points / np.sum(hits)
    assert place == pytest.approx([np.sin(inside) / 4000.0, 0.0, -np.cos(inside) / 4000.0], abs=2e-6)
    assert emission.entry_faces == {"z+"}


def test_light_that_passes_through() -> None:
    """Clear tissue: the beam leaves with Beer-Lambert's share and is counted as escaped."""
    axis = np.linspace(-4e-3, 4e-3, 9)
    engine = engine_of(axis, axis, axis)
    beam = Beam(position=(Si(-0.01), Si(0), Si(0)), direction=(1, 0, 0), diameter=Si(2e-3), specular=0.0)
    emission = beam.emit(engine, uniform(engine, 50.0, 0.0), 1.0, Border(1.4))
    assert emission.escaped == pytest.approx(np.exp(-50.0 * 8e-3), rel=1e-6)
    assert np.sum(emission.diffuse) == 0.0


TISSUE = Tissue(
    density=Si(1060), heat_capacity=Si(3600), conductivity=Si(0.5), refractive_index=1.4,
    optics=(Optics(wavelength=Si(808e-9), absorption=Si(40.0), reduced_scattering=Si(800.0)),),
)  # fmt: skip


def scene_of(engine: VoxelEngine, payload: Payload | None = None, **tissues: Tissue) -> Scene:
    nothing = np.zeros_like(engine.volume)
    table = Tissues(engine, tissues or {"tissue": TISSUE})
    return Scene(engine, table, payload, Held(nothing > 0, nothing), 600.0, nothing + 37.0)


def loaded(engine: VoxelEngine, radius: float, concentration: float) -> Payload:
    """Particles in a ball around the origin: 1000 m2/kg absorption, 100 m2/kg reduced scattering."""
    inside = np.linalg.norm(engine.points, axis=1) < radius
    return Payload(np.where(inside, concentration, 0.0), optics=lambda wavelength: (1000.0, 100.0))


CUBE = np.linspace(-20e-3, 20e-3, 21)
FIBRE = {"entry": ["0 mm", "0 mm", "20 mm"], "tip": ["0 mm", "0 mm", "0 mm"]}


def heating(**parts: object) -> Photothermal:
    return Photothermal.model_validate({"kind": "photothermal", "wavelength": "808 nm", "power": "2 W", **parts})


def test_particles_take_their_share() -> None:
    """The books close, the window is fine enough, the power reaches the heat grid whole, the switch works."""
    engine = engine_of(CUBE, CUBE, CUBE)
    laser = heating(fibre=FIBRE, on=[["0 s", "60 s"], ["120 s", "180 s"]])
    source = laser.prepare(scene_of(engine, loaded(engine, 8e-3, 0.2)))
    books = {key: reading.value for key, reading in source.summary.items()}
    parts = ("absorbed_tissue", "absorbed_particles", "escaped", "reflected")
    assert sum(books[f"light.{part}"] for part in parts) == pytest.approx(2.0, rel=1e-10)
    assert abs(books["light.balance_error"]) < 1e-10
    mu = np.sqrt(3 * 240.0 * (240.0 + 820.0))
    assert books["light.spacing"] <= 1 / (3 * mu) * 1.001
    assert source.events == (60.0, 120.0, 180.0)
    state = State(10.0, engine.volume, {})
    absorbed = books["light.absorbed_tissue"] + books["light.absorbed_particles"]
    assert np.sum(source.drive(state, 1.0).power) == pytest.approx(absorbed, rel=1e-12)
    assert np.min(source.drive(state, 1.0).power) >= 0.0
    assert np.sum(source.drive(State(70.0, engine.volume, {}), 1.0).power) == 0.0
    density, unit = source.fields["absorbed_power"]
    assert unit == "W/m^3"
    assert density @ engine.volume == pytest.approx(absorbed, rel=1e-12)
    # inside the load the particles take 200 / 240 of what is absorbed, outside nothing
    near = np.linalg.norm(engine.points, axis=1) < 12e-3
    inside = float(np.sum((density * engine.volume)[near]))
    assert 0.75 * inside < books["light.absorbed_particles"] < 200 / 240 * inside

    bare = heating(fibre=FIBRE).prepare(scene_of(engine))
    assert bare.summary["light.absorbed_particles"].value == 0.0
    assert bare.summary["light.escaped"].value > books["light.escaped"]
    assert bare.warnings == ()


def test_window_is_finer_than_the_heat_grid() -> None:
    """On a heat grid of 4 mm, which cannot carry a penetration depth of 3.1 mm, the fluence is right to 1 %."""
    axis = np.linspace(-30e-3, 30e-3, 16)
    engine = engine_of(axis, axis, axis)
    fibre = {"entry": ["2 mm", "2 mm", "30 mm"], "tip": ["2 mm", "2 mm", "2 mm"]}
    source = heating(fibre=fibre).prepare(scene_of(engine))
    mu, d = np.sqrt(3 * 40.0 * 840.0), 1 / (3 * 840.0)
    at = np.array([[14e-3, 2e-3, 2e-3], [2e-3, -10e-3, 2e-3], [2e-3, 2e-3, 14e-3]])
    exact = 2.0 * np.exp(-mu * 12e-3) / (4 * np.pi * d * 12e-3)
    assert engine.sample(source.fields["fluence"][0], at) == pytest.approx(exact, rel=0.01)
    coarse = heating(fibre=fibre, light_spacing="4 mm").prepare(scene_of(engine))
    assert coarse.summary["light.spacing"].value == pytest.approx(4e-3)
    off = engine.sample(coarse.fields["fluence"][0], at) / exact - 1.0
    assert np.all(np.abs(off) > 0.05)  # what the window is for
    assert any("too coarse" in warning for warning in coarse.warnings)
    assert source.warnings == ()


def test_coarse_cap_warns(monkeypatch: pytest.MonkeyPatch) -> None:
    """Too few nodes for the particles' penetration depth: coarser, and said so with numbers."""
    monkeypatch.setattr(window, "MOST_NODES", 12_000)
    engine = engine_of(CUBE, CUBE, CUBE)
    source = heating(fibre=FIBRE).prepare(scene_of(engine, loaded(engine, 8e-3, 1.0)))
    assert source.summary["light.spacing"].value > 1 / (3 * np.sqrt(3 * 1040.0 * 1940.0))
    assert any("too coarse" in warning for warning in source.warnings)
    assert any("diffusion approximation" in warning for warning in source.warnings)  # mu_s' < mu_a
    assert abs(source.summary["light.balance_error"].value) < 1e-10


def test_two_layers() -> None:
    """An absorbing layer under a clear one takes what reaches it; a more absorbing lower layer leaves less outside."""
    x = np.linspace(-10e-3, 10e-3, 21)
    mid = 0.5 * (x[1:] + x[:-1])
    deep = np.broadcast_to(mid < -2e-3, (20, 20, 20)).astype(float).ravel()  # along z
    engine = engine_of(x, x, x, shares={"upper": 1 - deep, "lower": deep})
    dark = TISSUE.model_copy(
        update={"optics": (Optics(wavelength=Si(808e-9), absorption=Si(400.0), reduced_scattering=Si(800.0)),)}
    )
    beam = {"position": ["0 mm", "0 mm", "10 mm"], "direction": [0, 0, -1], "diameter": "6 mm"}
    same = heating(beam=beam).prepare(scene_of(engine, upper=TISSUE, lower=TISSUE))
    layered = heating(beam=beam).prepare(scene_of(engine, upper=TISSUE, lower=dark))

    def in_lower(density: Array) -> float:
        return float(density @ engine.volumes["lower"])

    assert in_lower(layered.fields["absorbed_power"][0]) > 1.5 * in_lower(same.fields["absorbed_power"][0])
    assert layered.summary["light.escaped"].value < same.summary["light.escaped"].value
    assert layered.summary["light.reflected"].value == pytest.approx(2.0 / 36)


def test_bad_input() -> None:
    with pytest.raises(ValidationError, match="no light source"):
        heating()
    with pytest.raises(ValidationError, match="power is missing"):
        Photothermal.model_validate({"kind": "photothermal", "wavelength": "808 nm", "fibre": FIBRE})
    with pytest.raises(ValidationError, match="longer than the way"):
        heating(fibre={**FIBRE, "diffuser": "25 mm"})
    with pytest.raises(ValidationError, match="not both"):
        heating(beam={"position": ["0 mm"] * 3, "direction": [0, 0, 1], "diameter": "5 mm", "power": "1 W",
                      "irradiance": "1 W/cm^2"})  # fmt: skip
    engine = engine_of(CUBE, CUBE, CUBE)
    with pytest.raises(CaseError, match="808 nm"):
        heating(fibre=FIBRE).prepare(scene_of(engine, tissue=TISSUE.model_copy(update={"optics": ()})))
    with pytest.raises(CaseError, match="outside the domain"):
        heating(fibre={**FIBRE, "tip": ["0 mm", "0 mm", "-30 mm"]}).prepare(scene_of(engine))
    with pytest.raises(CaseError, match="no optical properties"):
        heating(fibre=FIBRE).prepare(scene_of(engine, Payload(np.zeros_like(engine.volume))))


def test_what_lies_too_near_to_a_fibre() -> None:
    """Of a point source the share 1 - (1 + m) exp(-m), m = mu_eff l, is absorbed within a transport path l: LGT-01 has
    1.2 %, ten times as much absorption 10 %; cells of a tenth of a path leave 20 % of it."""
    axis = graded(12e-3, 0.1e-3, 1.15)
    engine = engine_of(axis, axis, axis)
    fibre = Fibre(entry=(Si(0), Si(0), Si(12e-3)), tip=(Si(0), Si(0), Si(0)), radius=Si(1e-6))
    lamps = (Lamp(fibre, 1.0),)
    for mu_a, said in ((MU_A, False), (30.0 * MU_A, True)):
        medium = uniform(engine, mu_a, MU_S)
        light = Diffusion().solve(engine, medium, lamps, Border(1.4))
        m = np.sqrt(3.0 * mu_a * (mu_a + MU_S)) / (mu_a + MU_S)
        share, path = near_fibres(engine, medium, light, lamps)
        # in a box of 12 mm some of LGT-01's light escapes
        exact = (1.0 - (1.0 + m) * np.exp(-m)) / (float(np.sum(light.absorbed)))
        assert share == pytest.approx(exact, rel=0.2)
        assert path == pytest.approx(1.0 / (mu_a + MU_S), rel=1e-9)
        doubts = Diffusion().doubts(engine, medium, light, lamps)
        assert any("within one transport path" in doubt for doubt in doubts) == said


def test_probes_read_the_grid_of_the_light(run_case: RunCase) -> None:
    """On a heat grid of 4 mm, the closed form at 2.4 and 3.4 mm from a fibre: the light has cells of 0.5 mm, 10 %."""
    optics = "optics=[{wavelength='808 nm', absorption='1 1/cm', reduced_scattering='10 1/cm'}]"
    probe = "{position=['PLACE','0 mm','0 mm'],fields=['fluence']}"
    probes = f"probes={{a={probe.replace('PLACE', '2.4 mm')}, b={probe.replace('PLACE', '3.4 mm')}}}"
    size = ("anatomy.refine.voxel_size=4 mm", "anatomy.size=48 mm", "bioheat.duration=1 s")
    run = run_case("lgt01", f"tissues.tissue.{optics}", f"tissues.ball.{optics}", probes, *size)
    mu, d = np.sqrt(3 * 100.0 * 1100.0), 1 / 3300.0
    for name, r in (("a", 2.4e-3), ("b", 3.4e-3)):
        exact = run.value("light.power_in") * np.exp(-mu * r) / (4 * np.pi * d * r)
        assert run.value(f"probe.{name}.fluence") == pytest.approx(exact, rel=0.1)
