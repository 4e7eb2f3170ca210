"""Stages of the heat march on voxels without ice or vapour: linear in the change of the step."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numba as nb
import numpy as np

from thermal.engines.arrays import Box, Real
from thermal.engines.linear_stage import linear_stages, slabs, together
from thermal.engines.moving import Driven
from thermal.engines.padded import Padded
from thermal.engines.voxel_boxes import Contact
from thermal.engines.voxel_conductivity import VoxelConductivity
from thermal.engines.voxel_runs import Runs
from thermal.engines.watched import Watched
from thermal.heat import BUDGET, HeatProblem
from thermal.scheme import Scheme
from thermal.units import Array, Mask

PROBES = BUDGET.index("probes")


class VoxelLiquid:
    """What they need besides coefficients: which nodes lose heat through the border of the body and to probes."""

    def __init__(self, grid: Padded, problem: HeatProblem, conducting: VoxelConductivity) -> None:
        self._grid, self._conducting = grid, conducting
        nodes = np.flatnonzero(problem.film)
        self._nodes, self._filmed = nodes, grid.places(nodes)
        self._films = self._film = problem.film[nodes]
        self._touched = True
        self.touch([], [])

    def release(self, free: Mask) -> None:
        """Take up which nodes are free (n,): the others give nothing to films as their temperature moves."""
        self._film = self._films * free[self._nodes]
        self._touched = True

    def touch(self, contacts: Sequence[Contact], conductances: Sequence[Array]) -> None:
        """Take up the probes of a step, with the conductance (t,) W/K to the nodes that each touches."""
        if not (contacts or self._touched):
            return
        self._touched = bool(contacts)
        places = np.concatenate([self._filmed, *(contact.places for contact in contacts)])
        self._driven = [
            Driven(contact.places, contact.touch.change * g)
            for contact, g in zip(contacts, conductances, strict=True)
            if contact.touch.change != 0.0
        ]
        losses = np.zeros((2, len(places)))
        losses[0, : len(self._film)] = self._film
        losses[1, len(self._film) :] = np.concatenate([np.zeros(0), *conductances])
        planes, rows, columns = (count + 2 for count in self._grid.shape)
        self._watched = Watched(places, losses, rows * columns, planes)

    def stages(
        self,
        scheme: Scheme,
        step: float,
        lines: Array,
        fields: tuple[Runs, Real, Real, Real, Real, Real],
        box: Box,
    ) -> Iterator[Array]:
        """Do all on the ``fields``: runs, sink, inverse capacity, first rate, here and before, the last two of which
        change places with every stage.

        Gives, for each, the lines (W) of the ledger of the stage before; ``lines`` are those at the start of the step.
        """
        number, later, driven = self._grid.dtype, scheme.later, self._driven
        runs, sink, inverse, first, here, before = fields
        bounds = slabs(box, nb.get_num_threads())
        cuts = self._conducting.cuts
        most = together(bounds) if cuts is None and not driven else 1
        weights = np.array([(s.mu, s.nu, s.now * step, (s.now + s.start) * step) for s in later], number)
        for done in range(0, len(later), most):
            group = weights[done : done + most]
            seen = self._watched.room(len(group), number)
            sums = np.empty((len(group), 2, box[1] - box[0], box[3] - box[2]))
            if cuts is None:
                linear_stages(
                    self._conducting.warm,
                    *self._grid.inverse_squares,
                    runs,
                    sink,
                    inverse,
                    first,
                    here,
                    before,
                    group,
                    bounds,
                    box,
                    self._watched.places,
                    self._watched.first,
                    seen,
                    sums,
                )
            else:
                seen[0] = here.ravel()[self._watched.places]
                cuts.linear_stage((sink, inverse, first, here, before), tuple(group[0]), box, sums[0])
            known = lines
            if driven:
                flat = inverse.ravel(), before.ravel()
                given = sum(probe.add(scheme.shares[done], group[0, 2], *flat) for probe in driven)
                known = lines + given * np.eye(len(BUDGET))[PROBES]
            if len(group) % 2:
                here, before = before, here
            held, lost = sums.sum(axis=(2, 3)).T
            yield from known - self._watched.lines(held, lost, seen)
