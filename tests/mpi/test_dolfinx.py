"""The dolfinx engine does what the voxel and the mesh engine do, on any number of ranks; and as DOLFINx's forms say."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest

pytestmark = pytest.mark.mpi
NEEDED = "needs DOLFINx under MPI: pip install 'thermal[mpi]' on Python 3.12 or newer (make test-mpi)"
pytest.importorskip("mpi4py", reason=NEEDED)
from mpi4py import MPI  # noqa: E402, F401  DOLFINx finds its MPI only after this

dolfinx = pytest.importorskip("dolfinx", reason=NEEDED)

import engine_problems as problems  # noqa: E402
import ufl  # noqa: E402

from thermal.domain import Ball, MeshDomain  # noqa: E402
from thermal.engine import Engine, NotConvergedError  # noqa: E402
from thermal.engines.dolfinx import DolfinxEngine  # noqa: E402
from thermal.engines.mesh import MeshEngine  # noqa: E402
from thermal.engines.shared import SharedEngine  # noqa: E402

PARITY = 1e-10
"""Of the range of a field: solves to 1e-13 of the load of well-conditioned problems, sums in another order."""
SCRIPT = Path(problems.__file__)


@pytest.fixture(scope="session")
def by_ranks(tmp_path_factory: pytest.TempPathFactory) -> Any:
    """Figures of a problem under ``mpirun``, computed once for each number of ranks."""

    @lru_cache
    def folder(ranks: int) -> Path:
        out = tmp_path_factory.mktemp(f"ranks_{ranks}")
        command = [str(Path(sys.executable).parent / "mpiexec"), "-bind-to", "none", "-n", str(ranks)]
        command += [sys.executable, "-m", "mpi4py", str(SCRIPT), str(out)]
        one_thread = {**os.environ, "NUMBA_NUM_THREADS": "1", "OMP_NUM_THREADS": "1"}
        done = subprocess.run(command, env=one_thread, capture_output=True, text=True, timeout=300)
        assert done.returncode == 0, done.stderr[-3000:]
        return out

    def figures(problem: str, ranks: int) -> problems.Figures:
        with np.load(folder(ranks) / f"{problem}.npz") as found:
            return dict(found)

    return figures


serial = lru_cache(problems.by_serial_engine)


@pytest.mark.parametrize("ranks", [1, 2, 3])
@pytest.mark.parametrize("problem", ["hexahedra", "tetrahedra", "triangles", "electrode"])
def test_any_number_of_ranks_equals_the_serial_engine(by_ranks: Any, problem: str, ranks: int) -> None:
    expected, found = serial(problem), by_ranks(problem, ranks)
    assert set(found) == set(expected)
    far = {}
    for name, values in expected.items():
        assert found[name].shape == values.shape, name
        if name == "energy error":
            assert found[name][0] < 1e-12
            continue
        size = max(float(np.ptp(values)), 1e-3 * float(np.abs(values).max()), 1e-300)
        difference = float(np.abs(found[name] - values).max()) / size
        if not difference < PARITY:
            far[name] = difference
    assert not far


def test_the_march_freezes_damages_and_stops_perfusion() -> None:
    """The problem is what it says it is."""
    for problem in ("hexahedra", "tetrahedra", "triangles"):
        figures = serial(problem)
        assert (figures["coldest"] < -8.0).sum() > 30
        assert (figures["arrhenius"] > 1.0).sum() > 3
        assert np.abs(figures["energy"]).min() > 1.0


@pytest.mark.parametrize("ranks", [1, 2])
def test_resistance_of_thin_electrodes(by_ranks: Any, ranks: int) -> None:
    """RF-01 (ball of 1.5 mm) and RF-06 (line of 0.75 mm) on cells of 1.5 mm, within the bounds of the lattice tests."""
    figures = by_ranks("electrode", ranks)
    assert figures["ball resistance"][0] == pytest.approx(1 / (4 * np.pi * 0.33 * 1.5e-3), rel=0.01)
    assert figures["line resistance"][0] == pytest.approx(np.log(30 / 0.75) / (2 * np.pi * 0.33), rel=0.02)


@pytest.mark.parametrize("problem", ["hexahedra", "tetrahedra", "triangles"])
def test_operator_and_volume_are_those_of_the_forms(problem: str) -> None:
    """DOLFINx assembles the same from UFL: vertex quadrature on hexahedra, any on tetrahedra, 2 pi r on triangles."""
    engine = DolfinxEngine(problems.PROBLEMS[problem][0]())
    spread = engine.distribution
    mesh = spread.mesh
    space, cellwise = (dolfinx.fem.functionspace(mesh, element) for element in (("Lagrange", 1), ("DG", 0)))
    np.testing.assert_array_equal(space.dofmap.list, mesh.geometry.dofmaps[0])  # nodes are numbered alike
    solid = engine.cell_volume > 0
    coefficient, body = dolfinx.fem.Function(cellwise), dolfinx.fem.Function(cellwise)
    k = 10 ** np.random.default_rng(0).uniform(-2, 2, len(solid))
    cell_dofs = cellwise.dofmap.list[:, 0]
    coefficient.x.array[cell_dofs], body.x.array[cell_dofs] = np.where(solid, k, 0.0), solid
    u, v = ufl.TrialFunction(space), ufl.TestFunction(space)
    dx, ring = ufl.dx(metadata={"quadrature_rule": "vertex", "quadrature_degree": 1}), 1.0
    if problem == "triangles":
        dx, ring = ufl.dx, 2.0 * np.pi * ufl.SpatialCoordinate(mesh)[0]
    energy = ring * coefficient * ufl.inner(ufl.grad(u), ufl.grad(v)) * dx
    stiffness = dolfinx.fem.assemble_matrix(dolfinx.fem.form(energy))
    expected = stiffness.to_dense()
    operator = engine.conductance(k)
    found = np.stack([operator(unit) for unit in np.eye(len(engine.volume))], axis=1)
    assert np.abs(found - expected).max() < 1e-13 * np.abs(expected).max()
    lumped = dolfinx.fem.assemble_vector(dolfinx.fem.form(ring * body * v * dx)).array
    np.testing.assert_allclose(engine.volume, lumped, atol=1e-13 * lumped.max())


def test_poroelastic_tissue_gives_way_as_on_the_mesh_engine() -> None:
    """The skeleton works on the first rank, whose operators have others beside them."""
    axis = np.linspace(0.0, 1e-2, 4)
    points = np.stack(np.meshgrid(axis, axis, axis, indexing="ij"), axis=-1).reshape(-1, 3)
    cells = problems.cut_into_tetrahedra((4, 4, 4))
    domain = MeshDomain(points, cells, {"tissue": np.ones(len(cells))})
    held, found = points[:, 0] < 1e-9, []
    for engine in (MeshEngine(domain), SharedEngine(domain)):
        ones = np.ones(len(cells))
        soft = engine.skeleton(5e3 * ones, 7.5e3 * ones, (), ())
        operator = engine.conductance(1e-12 * ones)
        solve = soft.solver(operator, np.zeros(len(points)), 1e-2, 1e-2 * engine.volume / 17.5e3, held)
        found.append(solve(1e-5 * engine.volume, 1e-9))
    np.testing.assert_allclose(found[1], found[0], atol=1e-7 * np.abs(found[0]).max())


def test_all_ranks_hear_of_what_one_gives() -> None:
    """A node whose row is no number would drop out of a solve; ranks that go on alone would wait for ever."""
    command = [str(Path(sys.executable).parent / "mpiexec"), "-bind-to", "none", "-n", "3"]
    command += [sys.executable, "-m", "mpi4py", str(Path(__file__).parent / "bad_parts.py")]
    path = os.pathsep.join([str(SCRIPT.parent), os.environ.get("PYTHONPATH", "")])
    one_thread = {**os.environ, "NUMBA_NUM_THREADS": "1", "OMP_NUM_THREADS": "1", "PYTHONPATH": path}
    done = subprocess.run(command, env=one_thread, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr[-3000:]
    expected = {
        "coefficient": r"1 of 1430 cells have a coefficient .*, the first is cell \d+ with nan",
        "coefficients": r"a coefficient of shape \(\d+,\) does not fit",
        "diagonal": r"the diagonal .* at 1 of 1848 nodes, the first is node \d+ with nan",
        "negative": r"at 1 of 1848 nodes, the first is node \d+ with -1",
        "diagonals": r"the diagonal of a linear solve has the shape",
        "load": r"the right-hand side .* is not finite at 1 of 1848 nodes, the first is node \d+ with inf",
        "loads": r"the right-hand side of a linear solve has the shape",
        "guesses": r"the guess of a linear solve has the shape",
        "masks": r"the mask of prescribed nodes has the shape",
        "no load": r"the right-hand side of a linear solve is not finite at 1 of 1848 nodes",
        "no value": r"a prescribed value of a linear solve is not finite at 1 of 1848 nodes",
        "no guess": r"the guess of a linear solve is not finite at 1 of 1848 nodes",
        "whole numbers": r"^$",
        "sampled": r"a field of nodes has the shape \(\d+,\), which does not fit",
        "no places": r"points of the shape \(2, 2\) are none in space",
        "one place": r"^$",
        "amounts": r"amounts of the shape \(2,\) do not fit 1 points",
        "no amount": r"1 of 1 amounts are not finite",
        "shares": r"a field of nodes has the shape",
        "no level": r"the level is NaN",
        "surfaces": r"a field of nodes has the shape",
        "too deep": r"a field of nodes has the shape \(\d+, 2\)",
        "tolerance": r"the tolerance of a linear solve is 0",
        "outside": r"^$",
    }
    told = json.loads(done.stdout)
    assert set(told) == set(expected)
    for what, words in expected.items():
        assert len(set(told[what])) == 1, (what, told[what])
        assert re.search(words, told[what][0]), (what, told[what])


def test_satisfies_the_contract_and_says_what_is_wrong() -> None:
    engine = DolfinxEngine(problems.tetrahedra())
    contract: Engine = engine
    n = len(engine.volume)
    assert contract.window(np.zeros(3), np.ones(3), 0.1).engine is engine
    operator = contract.conductance(np.ones(len(engine.cell_volume)))
    assert not operator(np.full(n, 37.0)).any()  # exactly: differences of equals
    with pytest.raises(NotConvergedError, match="do not balance"):
        contract.solve(operator, np.zeros(n), engine.volume)
    nowhere = engine.take(2.0 * (np.arange(engine.distribution.size) == 3))
    with pytest.raises(ValueError, match=r"1 of 513 nodes carry a load .* node 3 with 2: it cannot go anywhere"):
        contract.solve(contract.conductance(np.zeros(len(engine.cell_volume))), np.zeros(n), nowhere)
    with pytest.raises(NotConvergedError, match="round-off"):
        contract.solve(operator, engine.volume, np.random.default_rng(0).random(n), tolerance=1e-19)
    with pytest.raises(ValueError, match=r"\(1, 2, 900\) mm lies outside the mesh"):
        contract.sample(np.ones(n), np.array([[1e-3, 2e-3, 0.9]]))
    with pytest.raises(ValueError, match=r"probe .* lies outside the mesh"):
        contract.contact(Ball((1e-3, 2e-3, 0.9), 1e-3))
    with pytest.raises(ValueError, match="carried by one process"):
        engine.transport(operator, engine.points[:, 0], carriage=None)
