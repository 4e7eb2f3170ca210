"""Formulas that no larger test leans on closely enough to notice when they are wrong (``mutation.py`` found them)."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from catalogue_runs import MM
from scenes import cube, nothing_held

from thermal import load_case, simulate
from thermal.physics.damage import Chemical
from thermal.physics.far_field import far_nodes, held_or_far
from thermal.physics.optics import gold_index, gold_permittivity
from thermal.physics.scene import Held

CARRIERS = Path(__file__).parent.parent / "cases" / "carriers"


def test_electrons_that_hit_the_surface_of_gold() -> None:
    """Haiss 2007, by hand at 800 nm: vF = 1.4e6 m/s over 42 nm, and over a chord of 10 nm besides."""
    omega = 2.0 * np.pi * 299_792_458.0 / 800e-9
    bulk = 1.4e6 / 42e-9
    plasma = 9.0 / 6.582119569e-16  # 1/s, of 9 eV
    small = bulk + 0.33 * 1.4e6 / 10e-9
    added = plasma**2 / (omega**2 + 1j * omega * bulk) - plasma**2 / (omega**2 + 1j * omega * small)
    found = gold_permittivity(800e-9, 0.33, 10e-9) - gold_index(800e-9) ** 2
    assert complex(found) == pytest.approx(complex(added), rel=1e-9)
    assert found.imag > 0.5  # it broadens the resonance
    assert complex(gold_permittivity(800e-9)) == complex(gold_index(800e-9) ** 2)


def test_far_away_are_the_faces_of_the_window_and_no_other_border() -> None:
    hole = cube(6 * MM, 1 * MM, solid=lambda p: (np.linalg.norm(p, axis=1) > 2 * MM).astype(float))
    outer = np.abs(hole.points).max(axis=1) > 6 * MM - 1e-9
    assert (hole.areas["surface"] > 0).sum() > 0
    np.testing.assert_array_equal(far_nodes(hole), outer)
    np.testing.assert_array_equal(held_or_far(hole, nothing_held(hole)).mask, outer)
    some = Held(hole.points[:, 0] > 5 * MM, np.ones(hole.volume.shape))
    assert held_or_far(hole, some) is some


def test_who_survives_an_agent() -> None:
    """Everyone where it did not last, nobody where it did, whatever its surplus."""
    spec = Chemical.model_validate({"hold": "60 s", "lethal_concentration": "50 mg/ml"})
    law = spec.bind(np.array([49.0, 50.0, 200.0, 200.0]))
    assert law.survival(np.array([60.0, 60.0, 60.0, 59.0])).tolist() == [1.0, 0.0, 0.0, 1.0]
    assert law.shown(np.array([60.0, 60.0, 60.0, 59.0])).tolist() == [49.0, 50.0, 200.0, 0.0]


def test_what_a_tumour_keeps_of_a_drug(tmp_path: Path) -> None:
    """The share that was released in the tumour, from the fields; coarse, for it is a matter of sums alone."""
    sets = ("anatomy.voxel_size=6 mm", "output.pictures=false", "output.series=false", "bioheat.duration=2 min")
    run = simulate(load_case(CARRIERS / "liposome_thermosensitive.toml", sets, "phantom"), tmp_path / "run")
    released = run.value("drug.tumour_released_fraction")
    assert 0.05 < released < 0.999
    assert run.value("drug.tumour_taken_up") > 0.0
    assert run.value("drug.tumour_taken_up") + run.value("drug.healthy_taken_up") == pytest.approx(
        run.value("drug.taken_up"), rel=1e-9
    )
