"""Two implementations of the heat march held against each other through a whole march, step sizes included."""

from __future__ import annotations

from typing import Any

import engine_problems
import numpy as np

from thermal.engines.operator_heat import OperatorStepper
from thermal.engines.voxel import VoxelEngine
from thermal.heat import HeatProblem, HeatStepper, Precision


class ByOperator(VoxelEngine):
    """The voxel engine marched by its conductance operator."""

    def stepper(self, problem: HeatProblem, precision: Precision) -> HeatStepper:
        return OperatorStepper(self, problem)


def figures(engine: VoxelEngine) -> dict[str, Any]:
    return dict(engine_problems.march(engine_problems.Alone(engine)))


def test_fused_kernels_and_the_operator_march_alike() -> None:
    """Heated, damaged, freezing, perfused: the same steps and stages, and fields to the round-off of both."""
    domain = engine_problems.hexahedra()
    fused, plain = figures(VoxelEngine(domain)), figures(ByOperator(domain))
    assert (fused["coldest"] < -8.0).sum() > 30
    assert (fused["arrhenius"] > 1.0).sum() > 3
    np.testing.assert_array_equal(fused["counts"], plain["counts"])
    for name in ("temperature", "coldest", "arrhenius", "cem43", "energy"):
        np.testing.assert_allclose(plain[name], fused[name], rtol=0, atol=1e-12 * np.ptp(fused[name]), err_msg=name)
