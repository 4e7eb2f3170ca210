"""Stages of the heat march on voxels with ice or vapour: flows at the temperature of the enthalpy so far."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from thermal.engines import phase_kernels
from thermal.engines.ahead import same_nodes
from thermal.engines.arrays import Box, Real
from thermal.engines.padded import Padded
from thermal.engines.voxel_boxes import Contact, box_of, box_of_rows
from thermal.engines.voxel_conductivity import NOTHING, VoxelConductivity
from thermal.enthalpy import BODY_TEMPERATURE
from thermal.heat import Action, HeatProblem, HeatState
from thermal.scheme import Stage, mean_error
from thermal.units import Array, Mask


class VoxelPhases:
    """What stages need where tissue may be frozen or boiling, besides the conductivity: knots and steady heat."""

    def __init__(self, grid: Padded, problem: HeatProblem, conducting: VoxelConductivity) -> None:
        self._grid, self._problem, self._conducting = grid, problem, conducting
        relation = problem.relation
        ice_width = ice_ratio = steam_width = NOTHING
        solidus = self._liquidus = -np.inf
        onset = dry = np.inf
        if (ice := relation.freezing) is not None:
            ice_width, ice_ratio = grid.shaped(ice.width), grid.shaped(ice.ratio)
            solidus, self._liquidus = ice.solidus - BODY_TEMPERATURE, ice.liquidus - BODY_TEMPERATURE
        if (steam := relation.boiling) is not None:
            steam_width = grid.shaped(steam.width)
            onset, dry = steam.start - BODY_TEMPERATURE, steam.end - BODY_TEMPERATURE
        self._knots = (ice_width, ice_ratio, solidus, self._liquidus, steam_width, onset, dry)
        self._theta = grid.nodes() if conducting.freezes or steam_width.size else NOTHING.astype(grid.dtype)
        """K above body temperature"""
        self._blood = self._power = NOTHING.astype(grid.dtype)  # made by the first step with ice or vapour
        self._steady_of: tuple[Array, Mask | None] = np.zeros(0), None
        """power and free nodes of these arrays"""

    def take_ice(self, temperature: Array) -> None:
        """Take up the conductivity of tissue with ice where it is at the ``temperature`` (n,) degC."""
        now = self._grid.shaped(temperature)
        np.subtract(now, BODY_TEMPERATURE, out=self._theta[1:-1, 1:-1, 1:-1], casting="same_kind")
        self._conducting.follow_ice(self._theta, box_of(now < self._problem.relation.liquid[0]))

    def begin(self, action: Action, inverse: Real) -> None:
        """Take up what stays the same from stage to stage of a step; nodes of the body that are free are those with an
        ``inverse`` capacity."""
        problem, grid = self._problem, self._grid
        power, free = self._steady_of
        moved = not same_nodes(action.free, free)
        if moved:
            self._blood, self._power = grid.nodes(), grid.nodes()
            free = action.free
            self._within = (inverse[1:-1, 1:-1, 1:-1] > 0.0).ravel()
            border = np.where(self._within, problem.border - BODY_TEMPERATURE * problem.film, 0.0)
            self._border = float(border.sum())
            self._passive = border if border.any() else NOTHING
            film = np.where(self._within, problem.film, 0.0)
            self._loss = grid.fill(film)
            self._filmed = grid.places(np.flatnonzero(film))
            self._outside = np.flatnonzero(~self._within)
        if moved or power is not action.power:
            self._steady_of = action.power, free
            self._wasted = float(action.power[self._outside].sum())
            acting = action.power + self._passive if self._passive.size else action.power
            self._power[1:-1, 1:-1, 1:-1] = grid.shaped(acting)
            self._power.ravel()[grid.places(self._outside)] = 0.0
        blood = self._blood[1:-1, 1:-1, 1:-1]
        np.multiply(grid.shaped(action.blood), self._within.reshape(grid.shape), out=blood, casting="same_kind")

    def stage(
        self,
        stage: Stage,
        share: float,
        step: float,
        v: Array,
        fields: tuple[Real, Real, Real, Real],
        contacts: Sequence[Contact],
        box: Box,
    ) -> Array:
        """Do one from the state ``v`` (n,) K on the ``fields``: inverse capacity, first rate, here, before; it begins
        when a ``share`` of the step is over.

        Returns the lines (W) of blood, border, probes and held nodes of the stage before.
        """
        grid, number, theta = self._grid, self._grid.dtype, self._theta
        inverse, first, here, before = fields
        begin, end = int(box[0]), int(box[1])
        ice = np.empty((box[1] - box[0], box[3] - box[2], 2), np.int64)
        phase_kernels.stage_temperature(begin, end, self._grid.shaped(v), here, *self._knots, box, theta, ice)
        self._conducting.follow_ice(theta, box_of_rows(ice[..., 0], ice[..., 1]))
        steady, sink = self._power, self._loss
        bare = [(c.places, steady.ravel()[c.places], sink.ravel()[c.places]) for c in contacts]
        probes = 0.0
        for contact in contacts:
            near = theta.ravel()[contact.places].astype(np.float64)
            g = contact.conductance(near + BODY_TEMPERATURE, share)
            offset = contact.touch.at(share).temperature - BODY_TEMPERATURE
            steady.ravel()[contact.places] += g * offset
            sink.ravel()[contact.places] += g
            probes += float((g * (offset - near)).sum())
        sums = np.empty((box[1] - box[0], box[3] - box[2], 2))
        work = (steady, self._blood, sink, inverse, first, here, before)
        levels = (number(self._problem.arterial_temperature - BODY_TEMPERATURE), number(self._liquidus))
        weights = (number(stage.mu), number(stage.nu), number(stage.now * step), number(stage.start * step))
        cells, cuts = self._conducting.icy, self._conducting.cuts
        if cuts is None:
            phase_kernels.phase_stage(
                begin, end, theta, cells, *grid.inverse_squares, *work[:3], *levels, *work[3:], *weights, box, sums
            )
        else:
            cuts.phase_stage(theta, work, (*levels, *weights), box, sums)
        for places, power, loss in bare:
            steady.ravel()[places], sink.ravel()[places] = power, loss
        held, blood = float(sums[..., 0].sum()), float(sums[..., 1].sum())
        by_film = self._loss.ravel()[self._filmed] * theta.ravel()[self._filmed]
        border = self._border - float(by_film.sum(dtype=np.float64))
        return np.array([blood, border, probes, -held - self._wasted])

    def error(self, step: float, v: Array, fields: tuple[Real, Real, Real, Real]) -> float:
        """Local error of a step from the state ``v`` (n,) K: how far temperatures may be off, K; root of the mean
        square over the heat moved.

        ``fields``: inverse capacity, rate at the start, change, rate at the end.
        """
        nx, ny, _ = self._grid.shape
        sums = np.empty((nx, ny, 2))
        inverse, first, change, last = fields
        phase_kernels.phase_error(0, nx, self._grid.shaped(v), inverse, first, change, last, step, *self._knots, sums)
        square, moved = float(sums[..., 0].sum()), float(sums[..., 1].sum())
        return mean_error(square, moved)

    def add_up(self, state: HeatState, change: Real, share: float, inverse: Real) -> None:
        """Take over the change of v of a step, with ``share`` of its magnitude added."""
        phase_kernels.add_up_phases(
            0,
            self._grid.shape[0],
            self._grid.shaped(state.take_content(self._problem.relation)),
            change,
            share,
            *self._knots,
            inverse,
            self._grid.shaped(state.temperature),
            self._grid.shaped(state.coldest),
            self._grid.shaped(state.hottest),
        )
