"""MR thermometry by the shift of the proton resonance (PRFS): phase images, and the temperatures that they tell of."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Literal

import numpy as np

from thermal import library
from thermal.units import Array, Duration, Mask, Number, Spec, quantity

GYROMAGNETIC = 42.577478518e6
"""Hz/T of the proton (CODATA 2018)."""
FAINT = 3.0
"""Signal over noise below which a phase means nothing."""
COLDEST = 0.25
"""Share of the body's voxels that the drift is taken from (chosen)."""
FATTY = 0.3
"""Share of fat from which the phase of a voxel no longer follows its temperature (chosen)."""


class Thermometry(Spec):
    """How temperature images are taken."""

    modality: Literal["thermometry"] = "thermometry"
    """kind of image"""
    field: Annotated[float, *quantity("", gt=0, le=20)] = 1.5
    """of the magnet, T"""
    echo: Duration = 0.01
    """echo time"""
    snr: Annotated[float, *quantity("", gt=0, le=1e9)] = 30.0
    """of tissue in the magnitude image at the echo time, without particles"""
    period: Duration = 10.0
    """from one image to the next"""
    lag: Annotated[float, *quantity("s", ge=0, le=600)] = 5.0
    """from the temperature to the image that shows it"""
    drift: Number = 0.0
    """of the field, ppm per hour"""
    corrected: bool = True
    """take the drift off by the mean of the voxels that nothing heats"""

    @property
    def per_kelvin(self) -> float:
        """Phase in rad per K of water: 2 pi gamma alpha B0 TE."""
        return phase_per_kelvin(self.field, self.echo)

    @property
    def deviation(self) -> float:
        """Standard deviation of a temperature in tissue without particles, K."""
        return float(np.sqrt(2.0) / (self.snr * abs(self.per_kelvin)))


def coefficient(tissue: str = "water") -> float:
    """Shift of the resonance per K relative to the field (the library's ``water`` or ``fat``)."""
    number, _ = library.values("imaging", "thermometry")[tissue].split()
    return float(number) * 1e-6


def phase_per_kelvin(field: float, echo: float, tissue: str = "water") -> float:
    """Phase in rad per K at a ``field`` in T and an ``echo`` time in s: 2 pi gamma alpha B0 TE."""
    return 2.0 * np.pi * GYROMAGNETIC * coefficient(tissue) * field * echo


@dataclass(frozen=True)
class Scenery:
    """What a scanner sees besides temperature: ``signal`` (a, b, c), one in tissue, what ``iron`` leaves of it
    (a, b, c), and the share of ``fat`` (a, b, c)."""

    signal: Array
    iron: Array
    fat: Array

    def reliable(self, snr: float) -> Mask:
        """(a, b, c) where a phase can be read as a temperature."""
        return (self.signal * self.iron * snr >= FAINT) & (self.fat < FATTY * np.maximum(self.signal, 1e-9))


def show(how: Thermometry, scenery: Scenery, rise: Array, hours: float, chance: np.random.Generator) -> Array:
    """One complex image (a, b, c): water turns with its temperature, fat does not.

    ``rise``: K above the first image; ``hours`` since then, over which the field drifts.
    """
    drift = 2.0 * np.pi * GYROMAGNETIC * how.drift * 1e-6 * hours * how.field * how.echo
    water = scenery.signal - scenery.fat
    turned = water * np.exp(1j * how.per_kelvin * rise) + scenery.fat
    noise = chance.standard_normal((2, *rise.shape)) / how.snr
    return np.asarray(scenery.iron * turned * np.exp(1j * drift) + noise[0] + 1j * noise[1])


def turn(before: Array, after: Array) -> Array:
    """Phase in rad from one complex image to another, between -pi and pi: of the complex product, not of phases."""
    return np.asarray(np.angle(after * np.conj(before)))


@dataclass
class Reader:
    """Reads one image after another; what it holds is the phase since the first.

    The turn from each image to the next is added up, so that the phase may pass pi; that of two images that are more
    than half a turn apart is not known.
    """

    how: Thermometry
    first: Array
    reliable: Mask
    """voxels whose phase counts; elsewhere the temperature is NaN"""
    quiet: Mask
    """voxels that nothing heats"""

    def __post_init__(self) -> None:
        self._last = self.first
        self._phase = np.zeros(self.first.shape)

    @property
    def state(self) -> tuple[Array, Array]:
        """The phase so far and the last image, both (a, b, c)."""
        return self._phase, self._last

    @state.setter
    def state(self, state: tuple[Array, Array]) -> None:
        self._phase, self._last = state

    def read(self, image: Array) -> Array:
        """Rise of the temperature since the first image, K (a, b, c)."""
        self._phase = self._phase + turn(self._last, image)
        # the sum of turns is the turn since the first image up to whole turns, and has its noise
        whole = np.round((self._phase - turn(self.first, image)) / (2.0 * np.pi))
        self._phase = turn(self.first, image) + 2.0 * np.pi * whole
        self._last = image
        return np.where(self.reliable, self.corrected(self._phase) / self.how.per_kelvin, np.nan)

    def corrected(self, shown: Array) -> Array:
        """A phase or a rise (a, b, c) less what it is where nothing heats: the mean there, weighed by the square of the
        signal, since a median of temperatures in noise would follow what little warms."""
        still = self._still
        if not still.any():
            return shown
        return np.asarray(shown - np.average(shown[still], weights=np.abs(self.first[still]) ** 2))

    @property
    def common(self) -> float:
        """K, standard deviation by noise of what :meth:`corrected` takes off, which all voxels have in common."""
        signal = float((np.abs(self.first[self._still]) ** 2).sum())
        return self.how.deviation / np.sqrt(signal) if signal > 0.0 else 0.0

    @property
    def _still(self) -> Mask:
        return self.quiet & self.reliable & self.how.corrected


def coldest(warmth: Array, body: Mask) -> Mask:
    """(a, b, c) the share :data:`COLDEST` of the body's voxels that is the least warm, by any measure of it."""
    return np.asarray(body & (warmth <= np.quantile(warmth[body], COLDEST))) if body.any() else body


def highest_within(means: Array) -> Array:
    """The highest temperature inside each voxel, (a, b, c), from the means over voxels, which cut off peaks.

    Of fourth order along each axis: the value at the middle of a voxel is (26 m0 - m-1 - m1) / 24 of the means, that on
    the face between two (7 m0 + 7 m1 - m-1 - m2) / 12; the highest of the 27 points in and around a voxel is taken.
    Voxels without a temperature (NaN) stay so, and beside them the nearest mean stands for theirs.
    """
    shown = np.isfinite(means)
    points = [np.where(shown, means, np.nan)]
    for axis in range(means.ndim):
        points = [point for before in points for point in _along(before, axis)]
    return np.where(shown, np.max(points, axis=0), np.nan)


def _along(values: Array, axis: int) -> tuple[Array, Array, Array]:
    """At the middle and at both faces of voxels along an axis, from the means along it."""

    def shifted(by: int) -> Array:
        moved = np.take(values, np.clip(np.arange(values.shape[axis]) + by, 0, values.shape[axis] - 1), axis)
        return np.where(np.isfinite(moved), moved, values)

    far, left, right, beyond = (shifted(by) for by in (-2, -1, 1, 2))
    middle = (26.0 * values - left - right) / 24.0
    return middle, (7.0 * (left + values) - far - right) / 12.0, (7.0 * (values + right) - left - beyond) / 12.0
