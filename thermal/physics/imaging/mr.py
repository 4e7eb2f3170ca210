"""MR: decay of the signal by iron (R2*), over a row of gradient echoes."""

from __future__ import annotations

from typing import Annotated, Literal, Self

import numpy as np
from pydantic import Field, model_validator

from thermal import library
from thermal.physics.imaging.ct import Measured
from thermal.units import Array, Duration, Fraction, Spec, parse, quantity

FLOOR = 3.0
"""Signal over noise below which an echo is not used: its magnitude is mostly noise, and its logarithm is biased."""


class Mr(Spec):
    """How MR images of the decay are taken: magnitudes at several echo times."""

    modality: Literal["mr"] = "mr"
    """kind of image"""
    field: Annotated[float, *quantity("", gt=0, le=20)] = 1.5
    """of the magnet, T"""
    echoes: tuple[Duration, ...] = Field(default=(0.001, 0.002, 0.004, 0.008, 0.016), min_length=2)
    """echo times, in order"""
    snr: Annotated[float, *quantity("", gt=0, le=1e9)] = 50.0
    """signal of tissue at echo time zero over the noise of either channel; "1e9": next to none"""
    relaxivity: Annotated[float, *quantity("", gt=0, le=1e5)] | None = None
    """R2* in 1/s per mmol/l of iron; default: the library's"""
    calibration: Fraction = 0.3
    """standard error of the relaxivity relative to it: it depends on how the particles lie together"""

    @model_validator(mode="after")
    def _ordered(self) -> Self:
        if list(self.echoes) != sorted(set(self.echoes)):
            raise ValueError("echoes must be given in order, each once")
        return self

    def decay_by(self, element: str) -> float:
        """R2* in 1/s per kg/m3 of ``element``; zero for what does not show."""
        if element != "iron":
            return 0.0
        known = library.values("imaging", "iron")
        relaxivity = self.relaxivity if self.relaxivity is not None else parse(known["r2_star"], "1/s")
        return relaxivity / parse(known["molar_mass"], "kg/mol")

    def show(self, tissue: Array, concentration: Array, element: str, chance: np.random.Generator) -> Array:
        """Magnitudes (a, b, c, echoes), one for tissue without decay: S = exp(-TE R2*) in complex noise.

        ``tissue``: R2* (a, b, c) in 1/s without particles, infinite where there is no signal.
        """
        rate = (tissue + self.decay_by(element) * concentration)[..., None]
        clean = np.exp(-np.asarray(self.echoes) * rate)
        noise = chance.standard_normal((2, *clean.shape)) / self.snr
        return np.asarray(np.hypot(clean + noise[0], noise[1]))

    def lost_above(self, element: str, tissue: float) -> float:
        """kg/m3 from which fewer than two echoes are above the noise, where tissue decays at ``tissue`` 1/s."""
        per = self.decay_by(element)
        return float("inf") if per == 0.0 else (np.log(self.snr / FLOOR) / self.echoes[1] - tissue) / per


def fit_decay(magnitude: Array, echoes: Array, noise: float) -> tuple[Array, Array]:
    """R2* (...,) 1/s and its standard deviation from magnitudes (..., echoes); NaN where fewer than two echoes count.

    Least squares on the logarithm, over the first echoes that lie above :data:`FLOOR`; all alike in weight, so that
    noise does not choose. The mean logarithm of a Rician magnitude is ln S + E1(S^2 / 2 sigma^2) / 2, exponentially
    near to ln S: the fit has no bias where signal is well above noise, unlike one of the magnitudes.
    """
    above = np.cumprod(magnitude > np.maximum(FLOOR * noise, 1e-37), axis=-1).astype(bool)
    count = above.sum(axis=-1)
    echo = np.where(above, echoes, 0.0)
    mean = echo.sum(axis=-1) / np.maximum(count, 1)
    lever = np.where(above, echoes - mean[..., None], 0.0)
    spread = np.where(count >= 2, (lever**2).sum(axis=-1), np.nan)
    signal = np.where(above, magnitude, 1.0)
    rate = -(lever * np.log(signal)).sum(axis=-1) / spread
    error = np.sqrt((lever**2 * (noise / signal) ** 2).sum(axis=-1)) / spread
    return np.asarray(rate), np.asarray(error)


def invert(before: Array, after: Array, echoes: Array, per: float, noise: float, calibration: float = 0.0) -> Measured:
    """Concentration from magnitudes (a, b, c, echoes) before and after; ``per``: R2* in 1/s per kg/m3.

    Where the signal is lost after and was there before, the concentration is at least the value given, that of a signal
    at the noise in the second echo, and its error is infinite. Where there never was a signal it is zero, likewise.
    """
    if not per > 0.0:
        raise ValueError("what was given does not shorten T2*: MR of the decay sees iron only")
    (base, base_error), (rate, rate_error) = (fit_decay(image, echoes, noise) for image in (before, after))
    lost = np.isfinite(base) & ~np.isfinite(rate)
    floor = np.maximum(FLOOR * noise, 1e-37)
    least = (np.log(np.maximum(before[..., 0], floor) / floor) / echoes[1] - np.nan_to_num(base)) / per
    change = np.where(lost, np.maximum(least, 0.0), np.nan_to_num((rate - base) / per))
    error = np.hypot(base_error, rate_error) / per
    return Measured(change, np.where(np.isfinite(error), error, np.inf), ~np.isfinite(error), calibration)
