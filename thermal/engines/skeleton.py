"""The elastic skeleton of tissue on tetrahedra: what pore pressure displaces.

``-div(2 mu eps(u) + lambda div(u) I) = -grad p``: displacements linear in each cell and one bubble in it, under
linear pressures, are the stable pair of D. N. Arnold, F. Brezzi, M. Fortin (Calcolo 21 (1984) 337,
doi:10.1007/BF02576171). A bubble has no part in the equilibrium of the nodes, as its mean gradient is zero, so it is
solved for in its cell. Forms, dofs and facets are scikit-fem's. Pressure and divergence meet in one form, so the volume
that pores take up is symmetric in the pressure: ``B A^-1 B^T``.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt
import pyamg
import scipy.sparse as sparse
import skfem
from scipy.sparse.linalg import splu
from skfem.helpers import ddot, div, eye, sym_grad, trace

from thermal.domain import SURFACE
from thermal.engine import Engine, NotConvergedError, Operator, Solver
from thermal.engines.linear import conjugate_gradients
from thermal.units import Array, Mask

DIRECT = 12_000
"""Unknown displacements up to which a factorisation is faster than iterations."""
EXACT = 1e-11
"""Residual of iterations, relative."""
INNER, OUTER = 1e-3, 200
"""Tolerance of the preconditioner's solves, and iterations around it."""
FLAT = 1e-6
"""Deviation of a facet's normal from an axis up to which a sliding border counts as perpendicular to it."""

Index = npt.NDArray[np.int64]


@skfem.BilinearForm  # type: ignore[untyped-decorator]
def _stiffness(u: Any, v: Any, w: Any) -> Any:
    strain = sym_grad(u)
    return 2.0 * w["shear"] * ddot(strain, sym_grad(v)) + ddot(eye(w["lame"] * trace(strain), 3), sym_grad(v))


@skfem.BilinearForm  # type: ignore[untyped-decorator]
def _squeeze(u: Any, q: Any, w: Any) -> Any:
    return q * div(u)


@dataclass(frozen=True)
class MeshSkeleton:
    """See :class:`thermal.engine.Skeleton`. Displacements are those of nodes and bubbles, numbered by scikit-fem."""

    engine: Engine
    coupling: Any
    """(n, size) m2: volume of the pores around each node by each displacement"""
    solve: Callable[[Array], Array]
    """from the load on the free displacements of nodes to these"""
    free: Index
    """displacements of nodes that are not held"""
    bubbles: Index
    """(3, m) displacements of bubbles"""
    softness: Array
    """(m, 3, 3) m/N: of each bubble"""
    nodal: Index
    """(3, n) displacements of nodes"""
    strains: Any
    """(m, size) 1/m: mean divergence of each cell by each displacement"""

    @staticmethod
    def of(
        engine: Engine,
        mesh: Any,
        elasticity: tuple[Array, Array],
        borders: Mapping[str, Index],
        loose: Sequence[str],
        sliding: Sequence[str],
    ) -> MeshSkeleton:
        """``mesh``: a ``skfem.MeshTet``; ``elasticity``: shear moduli and Lame constants (m,) Pa; ``borders``:
        triangles (f, 3) by name.

        The outer surface is held, but where a border is ``loose`` (moves freely) or ``sliding`` (along itself). Raises
        ``ValueError`` for unknown borders and for sliding ones that are not perpendicular to an axis.
        """
        for name in (*loose, *sliding):
            if name not in borders:
                raise ValueError(f'"{name}" is no boundary of this mesh; it has {", ".join(sorted(borders))}')
        moved = skfem.Basis(mesh, skfem.ElementVector(skfem.ElementTetMini()))
        constant = moved.with_element(skfem.ElementTetP0())
        whole = _stiffness.assemble(
            moved, shear=constant.interpolate(elasticity[0]), lame=constant.interpolate(elasticity[1])
        ).tocsr()
        coupling = _squeeze.assemble(moved, moved.with_element(skfem.ElementTetP1())).tocsr()
        strains = sparse.diags_array(1.0 / _volumes(mesh)) @ _squeeze.assemble(moved, constant).tocsr()
        nodal, bubbles = np.asarray(moved.nodal_dofs, np.int64), np.asarray(moved.interior_dofs, np.int64)
        held = _held(moved, borders, loose, sliding)
        if len(held) == 0:
            raise ValueError("nothing holds the tissue: leave a boundary out of free, or let it slide")
        free = np.setdiff1d(nodal.ravel(), held)
        blocks = np.stack([[np.asarray(whole[bubbles[a], bubbles[b]]).ravel() for b in range(3)] for a in range(3)])
        return MeshSkeleton(
            engine,
            sparse.csr_matrix(coupling),
            _solver(sparse.csr_matrix(whole[free][:, free]), moved, free),
            free,
            bubbles,
            np.linalg.inv(np.moveaxis(blocks, 2, 0)),
            nodal,
            sparse.csr_matrix(strains),
        )

    def displaced(self, pressure: Array) -> Array:
        """(size,) m: all displacements under the pore pressure (n,) Pa, none being zero pressure."""
        load = np.asarray(self.coupling.T @ pressure)
        out = np.zeros_like(load)
        out[self.free] = self.solve(load[self.free])
        out[self.bubbles] = np.einsum("mab,bm->am", self.softness, load[self.bubbles])
        return out

    def taken_up(self, displacement: Array) -> Array:
        """(n,) m3 by which the pores around each node have grown."""
        return np.asarray(self.coupling @ displacement)

    def strain(self, displacement: Array) -> Array:
        """(m,) relative growth of each cell."""
        return np.asarray(self.strains @ displacement)

    def solver(self, operator: Operator, diagonal: Array, weight: float, near: Array, fixed: Mask) -> CoupledSolver:
        """See :meth:`thermal.engine.Skeleton.solver`."""
        local = self.engine.solver(operator, diagonal + near, fixed=fixed)
        return CoupledSolver(self, operator, diagonal, weight, local, ~fixed & (self.engine.volume > 0))

    def at_nodes(self, displacement: Array) -> Array:
        """(n, 3) m."""
        return np.asarray(displacement[self.nodal].T)


@dataclass(frozen=True)
class CoupledSolver:
    """Conjugate gradients on the pressure: ``B A^-1 B^T`` is positive as K is. The preconditioner lets each node give
    way alone (fixed stress), which is what an endless medium does around a point."""

    skeleton: MeshSkeleton
    operator: Operator
    diagonal: Array
    weight: float
    local: Solver
    free: Mask

    def solve(
        self, rhs: Array, *, values: Array | None = None, guess: Array | None = None, tolerance: float = 1e-9
    ) -> Array:
        """See :meth:`thermal.engine.Solver.solve`; held values are zero."""
        assert values is None or not values.any()
        load = np.where(self.free, rhs, 0.0)
        zero = np.zeros_like(load)

        def near(residual: Array) -> Array:
            return self.local.solve(residual, values=zero, tolerance=INNER)

        return conjugate_gradients(self._apply, load, near, guess, tolerance, OUTER)[0]

    def _apply(self, pressure: Array) -> Array:
        grown = self.skeleton.taken_up(self.skeleton.displaced(pressure))
        image = self.operator(pressure) + self.diagonal * pressure + self.weight * grown
        return np.where(self.free, image, 0.0)

    def adapted(self, operator: Operator, diagonal: Array) -> CoupledSolver:
        """See :meth:`thermal.engine.Solver.adapted`."""
        return replace(self, operator=operator, diagonal=diagonal)


def _volumes(mesh: Any) -> Array:
    corners = mesh.p.T[mesh.t.T]
    return np.asarray(np.abs(np.linalg.det(corners[:, 1:] - corners[:, :1])) / 6.0)


def _held(basis: Any, borders: Mapping[str, Index], loose: Sequence[str], sliding: Sequence[str]) -> Index:
    """Numbers of the displacements that are zero."""
    mesh = basis.mesh
    number = {tuple(nodes): place for place, nodes in enumerate(np.sort(mesh.facets.T, axis=1).tolist())}

    def facets(name: str) -> set[int]:
        return {number[tuple(nodes)] for nodes in np.sort(borders[name], axis=1).tolist()}

    still = facets(SURFACE) if SURFACE in borders else set(mesh.boundary_facets().tolist())
    for name in (*loose, *sliding):
        still -= facets(name)
    found = [basis.get_dofs(np.array(sorted(still), np.int64)).flatten()] if still else []
    for name in sliding:
        own = np.array(sorted(facets(name)), np.int64)
        touched = basis.get_dofs(own).flatten()
        found.append(touched[_component(basis)[touched] == _axis(mesh, own, name)])
    return np.unique(np.concatenate(found)).astype(np.int64) if found else np.zeros(0, np.int64)


def _component(basis: Any) -> Index:
    """(N,) the axis along which each displacement counts."""
    along = np.empty(basis.N, np.int64)
    for axis in range(3):
        along[basis.nodal_dofs[axis]] = axis
        along[basis.interior_dofs[axis]] = axis
    return along


def _axis(mesh: Any, facets: Index, name: str) -> int:
    """The axis that all facets are perpendicular to."""
    a, b, c = (mesh.p.T[mesh.facets[corner, facets]] for corner in range(3))
    normal = np.cross(b - a, c - a)
    normal = np.abs(normal / np.linalg.norm(normal, axis=1)[:, None])
    axis = int(np.argmax(normal[0]))
    if np.any(normal[:, axis] < 1.0 - FLAT):
        raise ValueError(f'"{name}" cannot slide: it is not a plane perpendicular to x, y or z; hold it or set it free')
    return axis


def _solver(matrix: Any, basis: Any, free: Index) -> Callable[[Array], Array]:
    """Solves with the stiffness of the free displacements."""
    if matrix.shape[0] <= DIRECT:
        factors = splu(sparse.csc_matrix(matrix), permc_spec="MMD_AT_PLUS_A", options={"SymmetricMode": True})
        return lambda load: np.asarray(factors.solve(load))
    cycle = pyamg.smoothed_aggregation_solver(matrix, B=_rigid(basis)[free]).aspreconditioner(cycle="V")
    main = matrix.diagonal()

    def solve(load: Array) -> Array:
        if not load.any():
            return np.zeros_like(load)
        try:
            return conjugate_gradients(lambda u: matrix @ u, load, cycle.matvec, None, EXACT, 2000)[0]
        except NotConvergedError:
            return conjugate_gradients(lambda u: matrix @ u, load, lambda r: r / main, None, 1e-8, 20_000)[0]

    return solve


def _rigid(basis: Any) -> Array:
    """(N, 6) translations and rotations, which a skeleton resists least."""
    x = basis.doflocs - basis.doflocs.mean(axis=1)[:, None]
    along = (_component(basis) == np.arange(3)[:, None]).astype(float)
    turns = [along[b] * x[a] - along[a] * x[b] for a, b in ((0, 1), (1, 2), (2, 0))]
    modes = np.stack([*along, *turns], axis=1)
    return np.asarray(modes / np.abs(modes).max(axis=0))
