"""Samples on a coarser grid, corrected by the few of them that were run on the fine one too."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from thermal.units import Array


@dataclass(frozen=True)
class Corrected:
    """What the fine grid would give: ``values`` (r,), and by how much one of them is probably off."""

    values: Array
    error: float
    """root of the mean square of what each pair says against the fit to the others"""


def correct(coarse: Array, fine: Array) -> Corrected:
    """Values of an outcome on the fine grid from those on the coarse one.

    ``coarse`` (r,); ``fine`` (r,), NaN where there was no such run. The fine values are taken to be a + b times the
    coarse ones, a and b by least squares over the pairs: the control variate of multi-fidelity sampling
    (B. Peherstorfer, K. Willcox, M. Gunzburger, SIAM Rev. 60 (2018) 550-591, doi:10.1137/16M1082469). Where the coarse
    values do not differ, a alone.
    """
    paired = np.isfinite(fine)
    x, y = coarse[paired], fine[paired]
    slope = bool(np.ptp(x) > 1e-9 * np.abs(x).max())
    columns = np.stack([np.ones_like(x), x - x.mean()] if slope else [np.ones_like(x)], axis=1)
    fit = np.linalg.lstsq(columns, y, rcond=None)[0]
    leverage = np.sum(columns * np.linalg.pinv(columns).T, axis=1)
    left_out = (y - columns @ fit) / np.maximum(1.0 - leverage, 1e-12)
    whole = fit[0] + (fit[1] * (coarse - x.mean()) if slope else 0.0 * coarse)
    if y.min() >= 0.0 and y.max() <= 1.0 and coarse.min() >= 0.0 and coarse.max() <= 1.0:
        whole = np.clip(whole, 0.0, 1.0)  # a share stays one
    return Corrected(np.where(paired, fine, whole), float(np.sqrt(np.mean(left_out**2))))


def paired(coarse: Array, fine: Array, outcomes: Mapping[str, Array]) -> dict[str, Array]:
    """Outcomes of fine runs (k,) in the order of the coarse ones (r,), NaN where there was none.

    ``coarse`` (r, d) and ``fine`` (k, d): what was drawn for each.
    """
    places = {tuple(row): number for number, row in enumerate(fine.tolist())}
    order = np.array([places.get(tuple(row), -1) for row in coarse.tolist()])
    return {name: np.where(order >= 0, values[order], np.nan) for name, values in outcomes.items()}
