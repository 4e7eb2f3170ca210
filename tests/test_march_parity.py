"""Two implementations of the heat march held against each other through a whole march, step sizes included."""

from __future__ import annotations

from typing import Any

import engine_problems
import numpy as np
import pytest
from test_march import bioheat

from thermal.domain import MeshDomain, VoxelDomain
from thermal.engines.mesh import MeshEngine
from thermal.engines.operator_heat import OperatorStepper
from thermal.engines.spectrum import fastest_mode
from thermal.engines.voxel import VoxelEngine
from thermal.heat import HeatProblem, HeatStepper, Precision
from thermal.march import Control, Loop
from thermal.physics.plain import PlainSource
from thermal.physics.scene import Drive, Held, State
from thermal.units import Array


class VoxelsByOperator(VoxelEngine):
    """The voxel engine marched by its conductance operator."""

    def stepper(self, problem: HeatProblem, precision: Precision) -> HeatStepper:
        return OperatorStepper(self, problem)


class MeshByOperator(MeshEngine):
    """The mesh engine marched by its conductance operator."""

    def stepper(self, problem: HeatProblem, precision: Precision) -> HeatStepper:
        weight = fastest_mode(self, self.conductance(problem.cells.at_37), problem)
        return OperatorStepper(self, problem, weight=weight)


class SingleMesh(MeshEngine):
    """The mesh engine in single precision, whatever is asked for."""

    def stepper(self, problem: HeatProblem, precision: Precision) -> HeatStepper:
        return super().stepper(problem, "single")


def figures(engine: VoxelEngine | MeshEngine) -> dict[str, Any]:
    return dict(engine_problems.march(engine_problems.Alone(engine)))


@pytest.mark.parametrize(
    ("domain", "fused", "plain"),
    [
        (engine_problems.hexahedra(), VoxelEngine, VoxelsByOperator),
        (engine_problems.tetrahedra(), MeshEngine, MeshByOperator),
    ],
)
def test_fused_kernels_and_the_operator_march_alike(domain: VoxelDomain | MeshDomain, fused: Any, plain: Any) -> None:
    """Heated, damaged, freezing, perfused: the same steps and stages, and fields to the round-off of both."""
    kernels, operator = figures(fused(domain)), figures(plain(domain))
    assert (kernels["coldest"] < -8.0).sum() > 30
    assert (kernels["arrhenius"] > 1.0).sum() > 3
    np.testing.assert_array_equal(kernels["counts"], operator["counts"])
    for name in ("temperature", "coldest", "arrhenius", "cem43", "energy"):
        scale = np.ptp(kernels[name])
        np.testing.assert_allclose(operator[name], kernels[name], rtol=0, atol=1e-12 * scale, err_msg=name)


@pytest.mark.parametrize(
    ("domain", "fused", "plain"),
    [
        (engine_problems.hexahedra(), VoxelEngine, VoxelsByOperator),
        (engine_problems.tetrahedra(), MeshEngine, MeshByOperator),
    ],
)
def test_fused_kernels_and_the_operator_leap_alike(domain: VoxelDomain | MeshDomain, fused: Any, plain: Any) -> None:
    """Nothing follows the temperature: one step to what is saved, one to the end."""
    kernels, operator = (
        dict(engine_problems.constant(engine_problems.Alone(engine(domain)))) for engine in (fused, plain)
    )
    assert kernels["leaps"][0] == 2
    np.testing.assert_array_equal(kernels["leaps"], operator["leaps"])
    for name in ("leaped temperature", "leaped energy"):
        np.testing.assert_allclose(
            operator[name], kernels[name], rtol=0, atol=1e-12 * np.ptp(kernels[name]), err_msg=name
        )


@pytest.mark.parametrize(
    ("domain", "fused", "plain"),
    [
        (engine_problems.hexahedra(), VoxelEngine, VoxelsByOperator),
        (engine_problems.tetrahedra(), MeshEngine, MeshByOperator),
    ],
)
def test_moments_beside_nodes_on_a_ramp_are_alike(domain: VoxelDomain | MeshDomain, fused: Any, plain: Any) -> None:
    """The flow at the end of a step is that with what was prescribed during it, not with what is prescribed next."""

    def kept(engine: VoxelEngine | MeshEngine) -> list[Array]:
        n, clamp = engine.volume.size, engine.areas["x-" if "x-" in engine.areas else "west"] > 0

        def act(state: State, step: float) -> Drive:
            return Drive(np.zeros(n), held=lambda time: Held(clamp, np.full(n, 37.0 + 2.0 * time)))

        march = Loop(bioheat(engine), PlainSource(act), {}, Control(1e-6, 1.5), 6.0, None, (0.7, 2.2, 3.1))
        saves = []
        for progress in march.march(march.start(np.full(n, 37.0))):
            saves += [moment.state.temperature.copy() for moment, saved in march.moments(progress) if saved]
        return saves

    kernels, operator = kept(fused(domain)), kept(plain(domain))
    assert len(kernels) == 3
    np.testing.assert_allclose(operator, kernels, rtol=0, atol=1e-11)


@pytest.mark.parametrize(
    ("domain", "fused", "plain"),
    [
        (engine_problems.hexahedra(), VoxelEngine, VoxelsByOperator),
        (engine_problems.tetrahedra(), MeshEngine, MeshByOperator),
    ],
)
def test_walls_that_move_are_alike(domain: VoxelDomain | MeshDomain, fused: Any, plain: Any) -> None:
    """Through liquid, ice and thaw, with a cut border on voxels, moments within steps included."""
    kernels, operator = (
        dict(engine_problems.walls(engine_problems.Alone(engine(domain)))) for engine in (fused, plain)
    )
    assert kernels["coldest by walls"].min() == -40.0
    for name, values in kernels.items():
        np.testing.assert_allclose(operator[name], values, rtol=0, atol=1e-11 * np.ptp(values), err_msg=name)


def test_a_mesh_in_single_precision() -> None:
    """Five digits of the temperature after the whole march; energy is kept as in double precision."""
    domain = engine_problems.tetrahedra()
    single, double = figures(SingleMesh(domain)), figures(MeshEngine(domain))
    np.testing.assert_allclose(single["temperature"], double["temperature"], atol=1e-5 * np.ptp(double["temperature"]))
