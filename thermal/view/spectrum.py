"""A particle's spectrum as a picture."""

from __future__ import annotations

from pathlib import Path

from thermal.physics.particles.spectrum import Spectrum
from thermal.view.sheet import save, sheet


def draw_spectrum(found: Spectrum, title: str, path: Path) -> Path:
    """Absorption and reduced scattering per mass over the wavelength, written to ``path``."""
    with sheet(8.0, 5.0, title=title) as figure:
        axes = figure.add_axes((0.11, 0.15, 0.85, 0.7))
        nanometres = found.wavelength * 1e9
        axes.plot(nanometres, found.absorption / 100.0, label="absorption")
        axes.plot(nanometres, found.reduced_scattering / 100.0, label="reduced scattering")
        axes.axvline(found.peak * 1e9, linewidth=0.8, linestyle=":", color="0.5")
        axes.annotate(f"{found.peak * 1e9:.0f} nm", (found.peak * 1e9, 0.0), xytext=(4, 4), textcoords="offset points")
        axes.set_xlabel("vacuum wavelength, nm")
        axes.set_ylabel(f"1/cm per mg of {found.mass_of} per ml")
        axes.set_ylim(bottom=0.0)
        axes.legend(frameon=False)
        return save(figure, path)
