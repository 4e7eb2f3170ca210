"""The elastic skeleton of tissue on tetrahedra: what pore pressure displaces.

``-div(2 mu eps(u) + lambda div(u) I) = -grad p`` with displacements and pressures linear in each cell. The strain of a
cell is even and answers to its mean pressure alone; to what the pressure differs from that within a cell, it answers as
an endless medium does around a point, by ``1 / (lambda + 2 mu)``. So pores take up ``B A^-1 B^T p`` and, for the
differences, conductances ``V / 16 (lambda + 2 mu)`` along the edges of each cell. Without these the storage of single
nodes is a tenth of what it should be, and pressure around a source that few cells resolve rises by too much and turns
negative beside it. Such a term keeps pressure monotone: C. Rodrigo, F. J. Gaspar, X. Hu, L. T. Zikatanov, Comput.
Methods Appl. Mech. Engrg. 298 (2016) 183, doi:10.1016/j.cma.2015.09.019. Forms, dofs and facets are scikit-fem's.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import scipy.sparse as sparse
import skfem
from scipy.sparse.linalg import splu
from skfem.helpers import ddot, div, eye, sym_grad, trace

from thermal.domain import SURFACE
from thermal.engine import Engine, NotConvergedError, Operator
from thermal.engines.aggregation import v_cycle
from thermal.engines.elliptic import GraphSolver
from thermal.engines.graph import GraphOperator
from thermal.engines.linear import conjugate_gradients
from thermal.engines.settling import Settling
from thermal.units import Array, Mask

DIRECT = 16_000
"""Unknown displacements up to which a factorisation is faster than iterations."""
EXACT = 1e-11
"""Residual of iterations, relative."""
FLAT = 1e-6
"""Deviation of a facet's normal from an axis up to which a sliding border counts as perpendicular to it."""

Index = npt.NDArray[np.int64]
Solve = Callable[[Array], Array]


@skfem.BilinearForm  # type: ignore[untyped-decorator]
def _stiffness(u: Any, v: Any, w: Any) -> Any:
    strain = sym_grad(u)
    return 2.0 * w["shear"] * ddot(strain, sym_grad(v)) + ddot(eye(w["lame"] * trace(strain), 3), sym_grad(v))


@skfem.BilinearForm  # type: ignore[untyped-decorator]
def _squeeze(u: Any, q: Any, w: Any) -> Any:
    return q * div(u)


@dataclass(frozen=True)
class MeshSkeleton:
    """See :class:`thermal.engine.Skeleton`. Displacements are those of nodes, numbered by scikit-fem."""

    engine: Engine
    stiffness: Any
    """(k, k) N/m of the displacements that are not held"""
    coupling: Any
    """(n, k) m2: volume of the pores around each node by each of them"""
    within: GraphOperator
    """what pores take up by differences of pressure within cells, m3/Pa"""
    solve: Solve
    """from the load (k,) on the free displacements to these"""
    cycle: Solve | None
    """an approximation of it, symmetric and positive; None where it is a factorisation"""
    free: Index
    """(k,) which displacements these are"""
    nodal: Index
    """(3, n) displacements of nodes"""
    strains: Any
    """(m, 3 n) 1/m: divergence of each cell by each displacement"""

    @staticmethod
    def of(
        engine: Engine,
        mesh: Any,
        elasticity: tuple[Array, Array],
        within: GraphOperator,
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
        moved = skfem.Basis(mesh, skfem.ElementVector(skfem.ElementTetP1()))
        constant = moved.with_element(skfem.ElementTetP0())
        whole = _stiffness.assemble(
            moved, shear=constant.interpolate(elasticity[0]), lame=constant.interpolate(elasticity[1])
        ).tocsr()
        coupling = _squeeze.assemble(moved, moved.with_element(skfem.ElementTetP1())).tocsc()
        strains = sparse.diags_array(1.0 / _volumes(mesh)) @ _squeeze.assemble(moved, constant).tocsr()
        held = _held(moved, borders, loose, sliding)
        if len(held) == 0:
            raise ValueError("nothing holds the tissue: leave a boundary out of free, or let it slide")
        nodal = np.asarray(moved.nodal_dofs, np.int64)
        free = np.setdiff1d(nodal.ravel(), held)
        stiffness = sparse.csr_matrix(whole[free][:, free])
        solve, cycle = _solvers(stiffness, moved, free)
        return MeshSkeleton(
            engine,
            stiffness,
            sparse.csr_matrix(coupling[:, free]),
            within,
            solve,
            cycle,
            free,
            nodal,
            sparse.csr_matrix(strains),
        )

    def displaced(self, pressure: Array) -> Array:
        """(3 n,) m: all displacements under the pore pressure (n,) Pa, none being zero pressure."""
        out = np.zeros(self.nodal.size)
        out[self.free] = self.solve(np.asarray(self.coupling.T @ pressure))
        return out

    def taken_up(self, pressure: Array) -> Array:
        """(n,) m3 by which the pores around each node have grown under the pressure (n,) Pa."""
        return np.asarray(self.coupling @ self.displaced(pressure)[self.free]) + self.within(pressure)

    def strain(self, displacement: Array) -> Array:
        """(m,) relative growth of each cell."""
        return np.asarray(self.strains @ displacement)

    def solver(self, operator: Operator, diagonal: Array, weight: float, near: Array, fixed: Mask) -> Settling:
        """See :meth:`thermal.engine.Skeleton.solver`."""
        free = ~fixed & (self.engine.volume > 0)
        assert isinstance(operator, GraphOperator)
        joined = GraphOperator(operator.graph, operator.conductance + weight * self.within.conductance)
        matrices = self.stiffness, self.coupling
        if self.cycle is None:
            return Settling.direct(*matrices, joined, diagonal, weight, free)
        alone = self.engine.solver(operator, diagonal + near, fixed=fixed)
        assert isinstance(alone, GraphSolver)
        return Settling.iterative(*matrices, joined, diagonal, weight, free, self.cycle, alone.near)

    def at_nodes(self, displacement: Array) -> Array:
        """(n, 3) m."""
        return np.asarray(displacement[self.nodal].T)


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


def _solvers(matrix: Any, basis: Any, free: Index) -> tuple[Solve, Solve | None]:
    """Solves with the stiffness of the free displacements, and a cycle of multigrid where they are iterations."""
    if matrix.shape[0] <= DIRECT:
        factors = splu(sparse.csc_matrix(matrix), permc_spec="MMD_AT_PLUS_A", options={"SymmetricMode": True})
        return lambda load: np.asarray(factors.solve(load)), None
    cycle = v_cycle(matrix, _rigid(basis)[free])
    main = matrix.diagonal()

    def solve(load: Array) -> Array:
        if not load.any():
            return np.zeros_like(load)
        try:
            return conjugate_gradients(lambda u: matrix @ u, load, cycle, None, EXACT, 2000)[0]
        except NotConvergedError:
            return conjugate_gradients(lambda u: matrix @ u, load, lambda r: r / main, None, 1e-8, 20_000)[0]

    return solve, cycle


def _rigid(basis: Any) -> Array:
    """(N, 6) translations and rotations, which a skeleton resists least."""
    x = basis.doflocs - basis.doflocs.mean(axis=1)[:, None]
    along = (_component(basis) == np.arange(3)[:, None]).astype(float)
    turns = [along[b] * x[a] - along[a] * x[b] for a, b in ((0, 1), (1, 2), (2, 0))]
    modes = np.stack([*along, *turns], axis=1)
    return np.asarray(modes / np.abs(modes).max(axis=0))
