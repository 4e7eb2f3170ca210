"""Light that is solved again as tissue whitens."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from conftest import RunCase
from scenes import MM, cube, scene, tissues

from thermal.case import load_case
from thermal.errors import CaseError
from thermal.physics.heating.photothermal import Photothermal
from thermal.physics.scene import State
from thermal.simulation import simulate

LIVING = {"wavelength": "808 nm", "absorption": "0.4 1/cm", "reduced_scattering": "6 1/cm"}
WHITENS = {**LIVING, "coagulated_reduced_scattering": "18 1/cm", "coagulated_absorption": "0.3 1/cm"}
WHITE = {"wavelength": "808 nm", "absorption": "0.3 1/cm", "reduced_scattering": "18 1/cm"}


def laser(**changes: object) -> Photothermal:
    fibre = {"entry": ["0 mm", "0 mm", "12 mm"], "tip": ["0 mm", "0 mm", "0 mm"]}
    table = {"kind": "photothermal", "wavelength": "808 nm", "power": "2 W", "fibre": fibre, "light_spacing": "1.5 mm"}
    return Photothermal.model_validate({**table, **changes})


def test_tissue_that_has_coagulated_is_another_tissue() -> None:
    """Where all has coagulated, the light of the white tissue; Omega = 1 lies between."""
    engine = cube(12 * MM, 1.5 * MM)
    nothing = np.zeros(engine.volume.shape)
    source = laser(coagulation_update="10 s").prepare(scene(engine, tissues(engine, optics=[WHITENS])))
    living = laser().prepare(scene(engine, tissues(engine, optics=[LIVING])))
    white = laser().prepare(scene(engine, tissues(engine, optics=[WHITE])))
    assert source.events[:3] == (10.0, 20.0, 30.0)

    def power(at: float, omega: float) -> np.ndarray:
        return source.drive(State(at, nothing + 37.0, {"arrhenius": nothing + omega}), 1.0).power

    first = living.drive(State(0.0, nothing, {}), 1.0).power
    np.testing.assert_allclose(power(0.0, 0.0), first, rtol=1e-9, atol=1e-15)
    np.testing.assert_allclose(power(9.0, 60.0), first, rtol=1e-9, atol=1e-15)  # not due yet
    last = white.drive(State(0.0, nothing, {}), 1.0).power
    np.testing.assert_allclose(power(10.0, 60.0), last, rtol=1e-9, atol=1e-15)
    assert np.max(last) > 1.2 * np.max(first)  # light is held back around the fibre
    books = {key: reading.value for key, reading in source.summary.items()}
    assert books["light.absorbed_tissue"] == pytest.approx(float(np.sum(last)), rel=1e-9)
    parts = ("absorbed_tissue", "absorbed_particles", "escaped", "reflected")
    assert sum(books[f"light.{part}"] for part in parts) == pytest.approx(2.0, rel=1e-9)

    kept = source.memory()
    partly = power(20.0, 1.0)
    assert np.max(first) < np.max(partly) < np.max(last)
    later = source.memory()
    source.recall(kept)
    np.testing.assert_allclose(power(19.0, 60.0), last, rtol=1e-9, atol=1e-15)
    source.recall(later)
    assert np.array_equal(power(25.0, 60.0), partly)  # bit for bit, so that a resumed run is the same


def test_light_that_is_solved_once_has_no_history() -> None:
    engine = cube(12 * MM, 3 * MM)
    assert laser(light_spacing="3 mm").prepare(scene(engine, tissues(engine, optics=[WHITENS]))).memory() == {}


def test_what_is_missing() -> None:
    engine = cube(12 * MM, 3 * MM)
    with pytest.raises(CaseError, match="coagulated_reduced_scattering"):
        laser(coagulation_update="10 s").prepare(scene(engine, tissues(engine, optics=[LIVING])))
    source = laser(coagulation_update="10 s").prepare(scene(engine, tissues(engine, optics=[WHITENS])))
    with pytest.raises(CaseError, match=r"not among damage\.laws"):
        source.drive(State(10.0, engine.volume, {}), 1.0)


def test_a_run_whitens(run_case: RunCase, tmp_path: Path) -> None:
    """Two fibres hot enough to coagulate: with whitening less light reaches the point between them.

    3 % at the start: the grid is finer for what will whiten.
    """
    white = (
        'tissues.tissue.optics=[{wavelength="980 nm", absorption="0.5 1/cm", reduced_scattering="6 1/cm", '
        'coagulated_reduced_scattering="18 1/cm"}]'
    )
    powers = ("heating.fibre.0.power=10 W", "heating.fibre.1.power=10 W")
    options = ("bioheat.duration=32 s", "anatomy.refine.voxel_size=1 mm", *powers)
    plain = run_case("two_fibres", *options)
    changed = run_case("two_fibres", *options, white, "heating.coagulation_update=30 s")
    assert changed.value("probe.middle.fluence") < 0.7 * plain.value("probe.middle.fluence")
    assert changed.value("light.balance_error") == pytest.approx(0.0, abs=1e-9)
    history = changed.history["probe.middle.fluence"]
    assert history[0] == pytest.approx(plain.value("probe.middle.fluence"), rel=0.03)
    assert history[-1] < history[0]
    with pytest.raises(CaseError, match="no tissue is said to change"):
        simulate(
            load_case(Path(__file__).parent / "catalogue/two_fibres.toml", ("heating.coagulation_update=1 s",)),
            tmp_path / "run",
        )
