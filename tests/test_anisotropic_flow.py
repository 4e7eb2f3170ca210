"""Tissue that conducts fluid better in some directions: tensors on voxels and tetrahedra against the point source."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import test_mesh_engine as meshes
from scenes import MM, cube, site, tissues
from test_delivery import UL_MIN, infusion

from thermal.domain import MeshDomain, VoxelDomain
from thermal.engines import oblique
from thermal.engines.mesh import MeshEngine
from thermal.engines.voxel import VoxelEngine
from thermal.physics.delivery.flow import conductivity_to_a_point
from thermal.physics.scene import Held
from thermal.physics.tissue import HydraulicAnisotropy
from thermal.units import Array

TILTED = ((1.0, 2.0, 0.5), (-2.0, 1.0, 0.0))
MILD = HydraulicAnisotropy(ratios=(3.0, 1.0, 0.5), directions=TILTED)
STRONG = HydraulicAnisotropy(ratios=(20.0, 1.0, 2.0), directions=TILTED)


def full(tensor: Array) -> Array:
    """(3, 3) of (6,)."""
    xx, yy, zz, yz, xz, xy = tensor
    return np.array([[xx, xy, xz], [xy, yy, yz], [xz, yz, zz]])


def point_source(tensor: Array, at: Array) -> Array:
    """Pressure of a unit source at the origin in an endless medium: 1 / (4 pi sqrt(det K) sqrt(r . K^-1 r))."""
    k = full(tensor)
    distance = np.sqrt(np.einsum("qi,ij,qj->q", at, np.linalg.inv(k), at))
    return np.asarray(1.0 / (4.0 * np.pi * np.sqrt(np.linalg.det(k)) * distance))


@pytest.mark.parametrize("given", [MILD, STRONG])
def test_links_make_up_the_tensor(given: HydraulicAnisotropy) -> None:
    """The energy of a linear field is exact in the middle of an even medium, and no conductance is negative."""
    spacings = (np.full(14, 1.0), np.full(14, 1.5), np.full(14, 0.8))
    found = oblique.links(np.tile(given.tensor, (14**3, 1)), spacings)
    here, volume, whole = (7, 7, 7), 1.0 * 1.5 * 0.8, np.zeros((3, 3))
    for link in found:
        assert link.conductance.min() >= 0.0
        step = np.array(link.offset) * [1.0, 1.5, 0.8]
        whole += link.conductance[here] * np.outer(step, step)
    np.testing.assert_allclose(whole, volume * full(given.tensor), rtol=1e-12, atol=1e-12)


def test_even_tensor_is_the_plain_operator() -> None:
    engine = cube(5 * MM, 1 * MM)
    tensors = np.tile([2.0, 2.0, 2.0, 0.0, 0.0, 0.0], (1000, 1))
    u = np.random.default_rng(1).uniform(size=engine.volume.size)
    plain = engine.conductance(np.full(1000, 2.0))
    np.testing.assert_allclose(
        engine.tensor_conductance(tensors)(u), plain(u), atol=1e-15 * np.abs(plain(u)).max() * 10
    )


def test_linear_pressure_is_exact_on_graded_voxels_and_tetrahedra() -> None:
    axis = np.array([0.0, 1.0, 2.1, 3.2, 4.3, 5.3, 6.3]) * MM
    voxels = VoxelEngine(VoxelDomain((axis, 1.1 * axis, axis), {"all": np.ones(216)}, np.ones(216, dtype=bool)))
    mesh = MeshEngine(MeshDomain(*meshes.cube(6), {}))
    slope = np.array([1.0, -2.0, 0.7])
    flat = HydraulicAnisotropy(ratios=(3.0, 1.0, 0.5), directions=((2.0, 1.0, 0.0), (-1.0, 2.0, 0.0)))
    for engine, given in ((voxels, flat), (mesh, MILD)):
        operator = engine.tensor_conductance(np.tile(given.tensor, (len(engine.cell_volume), 1)))
        low, high = engine.bounds
        inner = np.all((engine.points > low + 1e-9) & (engine.points < high - 1e-9), axis=1)
        u = engine.points @ slope
        energy = slope @ full(given.tensor) @ slope * engine.volume.sum()
        assert np.abs(operator(u))[inner].max() < 1e-12 * np.abs(operator(u)).max()
        assert u @ operator(u) == pytest.approx(energy, rel=1e-12)


def held(engine: Any, tensor: Array, flow: float) -> Held:
    """The exact pressure on the border."""
    low, high = engine.bounds
    border = np.any((engine.points < low + 1e-9) | (engine.points > high - 1e-9), axis=1)
    return Held(
        border, np.where(border, flow * point_source(tensor, np.where(border[:, None], engine.points, 1.0)), 0.0)
    )


def rod(given: HydraulicAnisotropy, size: str = "1e-12 m^2/Pa/s") -> dict[str, Any]:
    return {"hydraulic_conductivity": size, "hydraulic_anisotropy": given}


@pytest.mark.parametrize(("given", "error"), [(MILD, 0.02), (STRONG, 0.08)])
def test_pressure_of_a_point_source(given: HydraulicAnisotropy, error: float) -> None:
    """Within (h/r)^2 at four to eight voxels in the metric of the tensor, and of second order."""
    tensor, flow = 1e-12 * given.tensor, 3 * UL_MIN
    off = []
    for spacing in (1.0, 0.5):
        engine = cube(10 * MM, spacing * MM)
        place = site(engine, tissues(engine, **rod(given)), pressure=held(engine, tensor, flow))
        found = infusion(flow="3 ul/min", duration="1 s", port_radius="0.5 mm").deliver(place)
        at = np.array([[4, 0, 0], [0, 5, 0], [3, 3, 3], [-3, 4, 0], [0, -4, 5]]) * MM
        pressure = engine.sample(found.fields["pressure"][0], at) / (flow * point_source(tensor, at))
        off.append(np.abs(pressure - 1.0).max())
    assert off[0] < error
    assert off[1] < 0.5 * off[0]


@pytest.mark.parametrize("given", [MILD, STRONG])
def test_pressure_in_the_port(given: HydraulicAnisotropy) -> None:
    """Q / (4 pi a) times Carlson's R_F(k2 k3, k3 k1, k1 k2): the capacity of the ellipsoid that the ball is to the
    tensor; the lattice is known to 5 % where the kernel is a few voxels wide."""
    from scipy.special import elliprf

    tensor, flow = 1e-12 * given.tensor, 3 * UL_MIN
    a, b, c = 1e-12 * np.array(given.ratios)
    exact = flow * elliprf(b * c, c * a, a * b) / (4 * np.pi * 1e-3)
    engine = cube(10 * MM, 1 * MM)
    place = site(engine, tissues(engine, **rod(given)), pressure=held(engine, tensor, flow))
    found = infusion(flow="3 ul/min", duration="1 s", port_radius="1 mm").deliver(place)
    assert found.readings["delivery.port_pressure"].value == pytest.approx(exact, rel=0.05)


def test_resistance_of_an_even_tensor() -> None:
    np.testing.assert_allclose(conductivity_to_a_point(np.array([[2.0, 2.0, 2.0, 0, 0, 0], [0.0] * 6])), [2.0, 0.0])


@pytest.mark.parametrize("given", [MILD, STRONG])
def test_infusate_spreads_as_an_ellipsoid(given: HydraulicAnisotropy) -> None:
    """Its half axes are as the roots of the principal values, so second moments are as the values; nothing is lost and
    nothing is above the infusate."""
    engine = cube(8 * MM, 0.5 * MM)
    tensor, flow = 1e-12 * given.tensor, 5 * UL_MIN
    place = site(engine, tissues(engine, **rod(given)), pressure=held(engine, tensor, flow))
    found = infusion(flow="5 ul/min", duration="4 min", port_radius="0.5 mm").deliver(place)
    assert found.readings["ledger.mass_error"].value < 1e-12
    pore, _ = found.fields["pore_concentration"]
    assert pore.min() >= 0.0
    assert pore.max() <= 10.0 * (1 + 1e-9)
    mass = found.bulk * engine.volume
    moments = np.einsum("n,ni,nj->ij", mass, engine.points, engine.points) / mass.sum()
    values, vectors = np.linalg.eigh(moments)
    longest = np.array(TILTED[0]) / np.linalg.norm(TILTED[0])
    assert abs(vectors[:, 2] @ longest) > 0.99
    ratio = max(given.ratios) / sorted(given.ratios)[1]
    assert values[2] / values[1] == pytest.approx(ratio, rel=0.3)  # a voxel of smearing on the short axes


def test_pressure_of_a_point_source_on_tetrahedra() -> None:
    points, cells = meshes.cube(20, 20 * MM)
    engine: Any = MeshEngine(MeshDomain(points, cells, {"tissue": np.ones(len(cells))}, {}))
    tensor, flow = 1e-12 * MILD.tensor, 3 * UL_MIN
    place = site(engine, tissues(engine, **rod(MILD)), pressure=held(engine, tensor, flow))
    found = infusion(flow="3 ul/min", duration="5 min", port_radius="1 mm").deliver(place)
    at = np.array([[5, 0, 0], [0, 6, 0], [3, 3, 3], [-3, 4, 0]]) * MM
    exact = flow * point_source(tensor, at)
    np.testing.assert_allclose(engine.sample(found.fields["pressure"][0], at), exact, rtol=0.05)  # (h/r)^2
    assert found.readings["ledger.mass_error"].value < 1e-12
    assert found.fields["pore_concentration"][0].min() >= 0.0
    assert found.fields["pore_concentration"][0].max() <= 10.0 * (1 + 1e-6)


def test_a_thin_capsule_is_not_jumped_over() -> None:
    """A shell of one voxel that conducts a ten-thousandth stops the infusate, although links are longer than it."""

    def shell(x: Array) -> Array:
        return np.abs(np.abs(x).max(axis=1) - 4.5 * MM) < 0.4 * MM

    engine = cube(10 * MM, 1 * MM, {"capsule": shell})
    tight = {"capsule": {"hydraulic_conductivity": "1e-16 m^2/Pa/s", "hydraulic_anisotropy": None}}
    place = site(engine, tissues(engine, tight, **rod(STRONG)))
    found = infusion(flow="1 ul/min", duration="1 s").deliver(place)
    pressure, _ = found.fields["pressure"]
    outside = np.abs(engine.points).max(axis=1) > 5.5 * MM
    assert pressure[outside].max() < 1e-2 * pressure.max()


def test_directions_have_to_be_perpendicular() -> None:
    with pytest.raises(ValueError, match="45 degrees apart"):
        HydraulicAnisotropy(ratios=(2.0, 1.0, 1.0), directions=((1.0, 0.0, 0.0), (1.0, 1.0, 0.0)))
    askew = HydraulicAnisotropy(ratios=(1e7, 1.0, 1.0), directions=((1.0, 2**0.5, 3**0.5), (-(2**0.5), 1.0, 0.0)))
    with pytest.raises(ValueError, match="lower the ratio"):
        oblique.links(askew.tensor[None], (np.ones(1), np.ones(1), np.ones(1)))


def test_tensors_are_refused_where_they_are_unknown() -> None:
    from test_transport import half_plane

    engine: Any = half_plane(4)
    with pytest.raises(ValueError, match="voxels and tetrahedra"):
        engine.tensor_conductance(np.tile(MILD.tensor, (len(engine.cell_volume), 1)))
