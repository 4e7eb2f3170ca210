"""What tissue on voxels conducts during the heat march: unfrozen, with ice where it now is, or frozen throughout."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from thermal.engines import heat_kernels, phase_kernels
from thermal.engines.arrays import Box, Real
from thermal.engines.cut_heat import CutFlows, Edges
from thermal.engines.padded import Padded
from thermal.engines.voxel_boxes import hull
from thermal.engines.voxel_runs import Runs
from thermal.enthalpy import BODY_TEMPERATURE
from thermal.heat import HeatProblem
from thermal.units import Array

NOTHING = np.zeros((0, 0, 0))
"""Stands for coefficients that a problem does not have."""


class VoxelConductivity:
    """The coefficients of cells, W m/K (see :mod:`thermal.engines.heat_kernels`), and of the edges beside cut ones."""

    def __init__(self, grid: Padded, problem: HeatProblem) -> None:
        cells = problem.cells
        self._grid, self._rises = grid, cells.rises
        self._frozen = NOTHING if cells.frozen is None else grid.conducting(cells.frozen)
        ice = problem.relation.freezing
        self._melting = (-np.inf, -np.inf) if ice is None else (ice.solidus, ice.liquidus)
        self._ice_box: Box | None = None
        """nodes around which the coefficients with ice are others than those of unfrozen tissue; None if all may be"""
        cuts = problem.cuts
        if cuts is not None and not self.freezes:
            cuts = replace(cuts, frozen=None)
        self.cuts = None if cuts is None else CutFlows(grid, cuts, grid.whole)
        self.warm = grid.cells()
        """of unfrozen tissue"""
        self.icy = grid.cells() if self.freezes else self.warm
        """with ice where it now is"""
        base = grid.conducting(cells.at_37)
        self._base = base if cells.rises else NOTHING
        self._slope = cells.slope.reshape(base.shape) if cells.rises else NOTHING
        self.warm[1:-1, 1:-1, 1:-1] = base
        self._take_cuts()

    @property
    def freezes(self) -> bool:
        """Whether tissue conducts otherwise when it is frozen."""
        return bool(self._frozen.size)

    def now(self, *, cold: bool) -> tuple[Real, Edges]:
        """Of cells and of edges (empty without cut cells); ``cold``: there may be ice."""
        cells = self.icy if cold else self.warm
        if self.cuts is None:
            none = NOTHING.astype(self._grid.dtype)
            return cells, (none, none, none)
        return cells, self.cuts.icy if cold else self.cuts.warm

    def runs(self, inverse: Real) -> Runs:
        """Runs of nodes between which nothing differs that a stage without ice reads, but for what the sink takes."""
        if self.cuts is not None:
            return Runs.none(self._grid.shape, self._grid.dtype)
        cells = self.warm
        if self._rises:  # what follows the temperature differs from place to place
            cells = cells.copy()
            cells[1:-1, 1:-1, 1:-1][self._slope != 0.0] = np.nan
        return Runs.of(cells, self._grid.inverse_squares, inverse)

    def frozen(self) -> tuple[Real, Edges]:
        """As :meth:`now`, with all frozen that can freeze; where there is ice must then be said anew."""
        self.icy[1:-1, 1:-1, 1:-1] = self._frozen
        self._ice_box = None
        if self.cuts is not None:
            self.cuts.freeze(self.icy)
        return self.now(cold=True)

    def thaw(self, temperature: Array) -> None:
        """Take up the conductivity of unfrozen tissue at the ``temperature`` (nodes) degC."""
        if self._rises:
            heat_kernels.fill_conductivity(0, len(self._base), temperature, self._base, self._slope, self.warm)
            self._take_cuts()
        self._ice_box = None

    def _take_cuts(self) -> None:
        """The edges beside cut cells, after the cells."""
        if self.cuts is not None:
            self.cuts.fill_warm(self.warm)

    def follow_ice(self, theta: Real, box: Box) -> None:
        """Take up the conductivity of tissue with ice, which is now in this ``box``; ``theta`` K above body
        temperature."""
        if not self.freezes:
            return
        if self._ice_box is None:
            np.copyto(self.icy, self.warm)
            if self.cuts is not None:
                self.cuts.thaw()
            here = box
        else:
            here = hull(box, self._ice_box)
        self._ice_box = box
        if here[1] == 0:
            return
        solidus, liquidus = (level - BODY_TEMPERATURE for level in self._melting)
        planes = max(int(here[0]) - 1, 1), min(int(here[1]), len(self._frozen) + 1)
        phase_kernels.follow_ice(*planes, theta, self.warm, self._frozen, solidus, liquidus, here, self.icy)
        if self.cuts is not None:
            self.cuts.follow_ice(self.icy, theta, here)
