"""What is run: the works with their sizes and limits of error, and the programs that run them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

OURS = "thermal"
"""Environment of our own programs: the Python that runs the benchmark."""


@dataclass(frozen=True)
class Engine:
    """One way to run a program: ``environment``, ``script``, its ``options``, and MPI ``ranks`` (0: without MPI).

    ``ordinary``: by the steps of cases in which something follows the temperature.
    ``largest``: greatest size of each work that is tried; beyond, the row says why not.
    """

    name: str
    environment: str
    script: str
    options: str = ""
    ranks: int = 0
    ordinary: bool = False
    largest: Mapping[str, int] = field(default_factory=dict)

    @property
    def peer(self) -> bool:
        """Whether it is somebody else's."""
        return self.environment != OURS


@dataclass(frozen=True)
class Work:
    """One work: ``key`` and ``size`` as the programs take them, and the largest error that counts (``limit``).

    ``steps``: options of the peers, ``control``: ours, ``ordinary``: ours for ordinary steps; each the fastest that
    were found to keep the error within the limit.
    """

    key: str
    size: int
    title: str
    limit: float
    engines: tuple[Engine, ...]
    steps: str = ""
    control: str = ""
    ordinary: str = ""

    def options(self, engine: Engine) -> list[str]:
        """What ``engine`` is started with after key and size; its own options outweigh those of the work."""
        ours = self.ordinary if engine.ordinary else self.control
        return [*(self.steps if engine.peer else ours).split(), *engine.options.split()]


TOO_SLOW = {"gaussian": 80}
MEDIA = ("smooth", "poor inclusions", "good inclusions", "needle", "noise")

VOXEL_SINGLE = Engine("thermal voxel, float32", OURS, "ours.py", "--precision single")
VOXEL_DOUBLE = Engine("thermal voxel, float64", OURS, "ours.py", "--precision double")
VOXEL_ORDINARY = Engine("thermal voxel, float32, ordinary steps", OURS, "ours.py", "--precision single", ordinary=True)
MESH_ORDINARY = Engine("thermal mesh, float32, ordinary steps", OURS, "ours.py", "--precision single", ordinary=True)
MESH_SINGLE = Engine("thermal mesh, float32", OURS, "ours.py", "--precision single")
MESH_DOUBLE = Engine("thermal mesh, float64", OURS, "ours.py", "--precision double")
STEADY = Engine("thermal voxel", OURS, "ours.py")

DOLFINX = Engine("DOLFINx/PETSc, 2 ranks", "dolfinx", "peer_dolfinx.py", ranks=2)
DOLFINX_ALONE = Engine("DOLFINx/PETSc, 1 rank", "dolfinx", "peer_dolfinx.py", ranks=1)
DOLFINX_FULL = Engine("DOLFINx/PETSc, 2 ranks, full Q1", "dolfinx", "peer_dolfinx.py", "--mass consistent", ranks=2)
DOLFINX_EVEN = Engine(
    "DOLFINx/PETSc, 2 ranks, full Q1, steps of 5 s to 1e-8",
    "dolfinx",
    "peer_dolfinx.py",
    "--mass consistent --steps 5 --tolerance 1e-8",
    ranks=2,
)
SKFEM = Engine("scikit-fem + SciPy CG", "scikit-fem", "peer_skfem.py", largest=TOO_SLOW)
SKFEM_AMG = Engine("scikit-fem + PyAMG", "scikit-fem", "peer_skfem.py", "--precondition pyamg", largest=TOO_SLOW)
NGSOLVE = Engine("NGSolve, 2 threads", "ngsolve", "peer_ngsolve.py", largest=TOO_SLOW)
SFEPY = Engine("sfepy + SciPy CG", "sfepy", "peer_sfepy.py", largest={**TOO_SLOW, "tetrahedra": 27})
FIPY = Engine("FiPy", "fipy", "peer_fipy.py", largest={"gaussian": 40})
PETSC = Engine("PETSc CG + GAMG, 2 ranks", "dolfinx", "peer_dolfinx.py", ranks=2)
PYAMG = Engine("SciPy CG + PyAMG", "scikit-fem", "peer_skfem.py", largest=dict.fromkeys(MEDIA, 100))

ON_VOXELS = (VOXEL_SINGLE, VOXEL_DOUBLE)
QUICK_ON_BRICKS = (*ON_VOXELS, VOXEL_ORDINARY, DOLFINX, DOLFINX_FULL, DOLFINX_ALONE, SKFEM, SKFEM_AMG, NGSOLVE, SFEPY)
# FiPy takes longer than all the others together
FOR_BRICKS = (*QUICK_ON_BRICKS[:5], DOLFINX_EVEN, *QUICK_ON_BRICKS[5:], FIPY)
FOR_TETRAHEDRA = (MESH_SINGLE, MESH_DOUBLE, MESH_ORDINARY, DOLFINX, DOLFINX_ALONE, SKFEM, SKFEM_AMG, NGSOLVE, SFEPY)
STEADY_ONES = (STEADY, PETSC, PYAMG)


OURS_EXACT = "--tolerance 0.02 --max_step 300"
OURS_EXACT_COARSE = "--tolerance 0.1 --max_step 300"
OURS_EXACT_ON_TETRAHEDRA = "--tolerance 0.2 --max_step 300"
"""Nothing depends on the temperature here, so our steps are exact in time and end where the error is looked at."""
ORDINARY = "--steady 0 --tolerance 0.1 --max_step 60"
EVEN = "--tolerance 1e-6 --steps 5"
LATER_LONGER = "--tolerance 1e-6 --steps 5:120,10"
SHORT_AT_FIRST = "--tolerance 1e-6 --steps 2.5:10,5"
ON_TETRAHEDRA = "--tolerance 1e-6 --steps 5:60,10"


def gaussian(
    size: int, limit: float, engines: tuple[Engine, ...], steps: str = EVEN, control: str = OURS_EXACT
) -> Work:
    """The perfused Gaussian on ``size``^3 bricks."""
    title = f"perfused Gaussian, {size}^3 cells"
    return Work("gaussian", size, title, limit, engines, steps, control, ORDINARY)


def tetrahedra(size: int, tolerance: float = 0.018) -> Work:
    """The heterogeneous tetrahedra, with the tolerance of our ordinary steps in K."""
    title = f"heterogeneous tetrahedra, {(size + 1) ** 3} nodes"
    ordinary = f"--steady 0 --tolerance {tolerance:g} --max_step 40"
    return Work("tetrahedra", size, title, 0.02, FOR_TETRAHEDRA, ON_TETRAHEDRA, OURS_EXACT_ON_TETRAHEDRA, ordinary)


def elliptic(size: int) -> list[Work]:
    """All media."""
    return [Work(name, size, f"elliptic {size}^3, {name}", 1.01e-8, STEADY_ONES) for name in MEDIA]


LIVER = Work("liver", 0, "the liver's gold case, whole", 1e-6, (Engine("thermal run", OURS, "ours.py"),))

QUICK = [gaussian(40, 0.8, QUICK_ON_BRICKS), tetrahedra(27, 0.012), *elliptic(64)]
FULL = [
    gaussian(80, 0.2, FOR_BRICKS, LATER_LONGER, OURS_EXACT_COARSE),
    gaussian(160, 0.05, FOR_BRICKS, SHORT_AT_FIRST),
    gaussian(100, 0.2, ON_VOXELS, control=OURS_EXACT_COARSE),
    gaussian(200, 0.05, ON_VOXELS),
    tetrahedra(57),
    tetrahedra(99),
    *elliptic(200),
    LIVER,
]
