"""Intravenous and intra-arterial delivery, and the accounting of doses."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from pydantic import TypeAdapter, ValidationError
from scenes import MM, ball, cube, site, tissues
from scipy.integrate import solve_ivp

from thermal.case import load_case
from thermal.errors import CaseError
from thermal.physics.delivery import DeliveryEntry, Site, Systemic

REGIONS = {"tumour": ball(4 * MM), "liver": lambda x: 1.0 - ball(4 * MM)(x)}
BLOOD = {"tumour": {"perfusion": "0.002 1/s"}, "liver": {"perfusion": "0.01 1/s"}}


def entry(**table: Any) -> Any:
    return TypeAdapter(DeliveryEntry).validate_python(table)


def where(perfused: dict[str, dict[str, str]] | None = None) -> Site:
    engine = cube(8 * MM, 1 * MM, REGIONS)
    kept = tissues(engine, {**(BLOOD if perfused is None else perfused), "tissue": {"perfusion": "0 1/s"}})
    return site(engine, kept, tumour="tumour")


def value(found: Any, key: str) -> float:
    return float(found.readings[key].value)


MEASURED = {
    "kind": "systemic", "injected_mass": "100 mg", "after": "24 h", "follow_up": "7 d",
    "organs": {"liver": {"share": 0.5, "volume": "1.5 l", "half_life": "40 h"}},
    "measured": {
        "tumour": [["0 h", "0 mg/ml"], ["24 h", "0.5 mg/ml"], ["7 d", "0.1 mg/ml"]],
        "plasma": [["0 h", "33 ug/ml"], ["24 h", "2 ug/ml"], ["7 d", "0 ug/ml"]],
        "liver": [["0 h", "0 ug/ml"], ["24 h", "40 ug/ml"], ["7 d", "10 ug/ml"]],
    },
}  # fmt: skip


def test_measured_concentrations_take_the_place_of_compartments() -> None:
    place = where()
    found = entry(**MEASURED).deliver(place)
    tumour = place.tumour_volume.sum()
    assert value(found, "dose.tumour") == pytest.approx(0.5 * tumour, rel=1e-12)
    assert value(found, "dose.blood") == pytest.approx(2e-3 * 3e-3, rel=1e-12)
    assert value(found, "dose.organ.liver") == pytest.approx(40e-3 * 1.5e-3, rel=1e-12)
    assert value(found, "dose.follow_up.tumour") == pytest.approx(0.1 * tumour, rel=1e-12)
    assert value(found, "dose.follow_up.liver") == pytest.approx(10e-3 * 1.5e-3, rel=1e-12)
    assert value(found, "ledger.mass_error") < 1e-14
    for row in found.history:
        assert sum(reading.value for name, reading in row.items() if name != "time") == pytest.approx(1e-4, rel=1e-12)
        assert all(reading.value >= -1e-18 for reading in row.values())
    assert found.history[-1]["time"].value == 7 * 86400


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"after": None}, "say with after"),
        ({"follow_up": "9 d"}, "measure longer"),
        ({"measured": {"tumour": [["2 h", "1 mg/ml"], ["1 h", "2 mg/ml"]]}}, "times have to rise"),
        ({"measured": {"kidney": [["0 h", "1 mg/ml"], ["8 d", "2 mg/ml"]]}}, "neither"),
        ({"measured": {"tumour": [["0 h", "1 mg/ml"]]}}, "at least 2"),
    ],
)
def test_tables_that_cannot_be_meant(change: dict[str, Any], words: str) -> None:
    with pytest.raises(ValidationError, match=words):
        entry(**{**MEASURED, **change})


def test_more_than_was_given_cannot_be_measured() -> None:
    table = {"plasma": [["0 h", "90 ug/ml"], ["8 d", "0 ug/ml"]]}
    with pytest.raises(CaseError, match=r"hold 2.* % of injected_mass|hold .* % of injected_mass"):
        entry(**{**MEASURED, "measured": table, "after": "1 h", "injected_mass": "10 mg"}).deliver(where())


BY_VEIN = """schema_version = 1
anatomy = { kind = "phantom", size = "20 mm", voxel_size = "2 mm", background = "liver" }
particles = { material = "iron_oxide" }
heating = { kind = "none" }
bioheat = { duration = "1 s" }

[delivery]
kind = "systemic"
injected_mass = "50 mg"
region = "liver"
after = "24 h"
measured = "m.csv"
"""


def test_a_table_in_a_file(tmp_path: Path) -> None:
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "m.csv").write_text(
        "# measured\ntime [h],tumour [mg/ml],plasma [ug/ml]\n0,0,10\n24,0.5,\n48,0.1,0\n"
    )
    (tmp_path / "data" / "base.toml").write_text(BY_VEIN)
    (tmp_path / "case.toml").write_text('schema_version = 1\nextends = "data/base.toml"\n')
    delivery = load_case(tmp_path / "case.toml").delivery
    assert isinstance(delivery, Systemic)
    assert delivery.measured["tumour"] == ((0.0, 0.0), (86400.0, 0.5), (172800.0, 0.1))
    np.testing.assert_allclose(delivery.measured["plasma"], [(0.0, 0.01), (172800.0, 0.0)], rtol=1e-14)
    for text, words in (
        ("time,tumour [mg/ml]\n0,1\n", "has no unit"),
        ("tumour [mg/ml],time [h]\n1,0\n", "first column"),
        ("time [h],tumour [mg/ml]\n", "no rows"),
        ("time [h],tumour [mg/ml]\n0\n", "1 cells"),
    ):
        (tmp_path / "data" / "m.csv").write_text(text)
        with pytest.raises(CaseError, match=words):
            load_case(tmp_path / "case.toml")
    (tmp_path / "data" / "m.csv").unlink()
    with pytest.raises(CaseError, match="cannot be read"):
        load_case(tmp_path / "case.toml")


# ------------------------------------------------------------------------------------------- intravenous


def test_compartments_follow_their_equations() -> None:
    """Blood, tumour and liver over two days, against a solver of the ordinary differential equations."""
    table = {
        "kind": "systemic", "injected_mass": "100 mg", "after": "48 h", "blood_half_life": "5 h",
        "tumour_half_life": "30 h", "organs": {"liver": {"share": 0.5, "volume": "1.5 l", "half_life": "5 h"}},
    }  # fmt: skip
    found = entry(**table).deliver(where())
    k, out = np.log(2) / 5, np.log(2) / 30

    def rates(_: float, a: Any) -> list[float]:
        blood, tumour, liver, *_ = a
        return [-k * blood, 0.007 * k * blood - out * tumour, 0.5 * k * blood - k * liver, 0.493 * k * blood,
                out * tumour + k * liver]  # fmt: skip

    blood, tumour, liver, rest, cleared = solve_ivp(rates, (0, 48), [1, 0, 0, 0, 0], rtol=1e-10, atol=1e-14).y[:, -1]
    given = 100e-6
    expected = {"blood": blood, "tumour": tumour, "organ.liver": liver, "elsewhere_in_body": rest, "cleared": cleared}
    for name, share in expected.items():
        assert value(found, f"dose.{name}") == pytest.approx(given * share, rel=1e-6), name
    assert value(found, "ledger.mass_error") < 1e-14
    assert found.history[-1]["liver"].value == pytest.approx(given * liver, rel=1e-6)


def test_defaults_bring_the_published_median_to_the_tumour_and_most_to_the_liver() -> None:
    found = entry(kind="systemic", injected_mass="100 mg").deliver(where())
    assert value(found, "dose.tumour_fraction") == pytest.approx(0.007, rel=1e-12)
    assert value(found, "dose.organ.liver") == pytest.approx(60e-6, rel=1e-12)
    volume = float(where().engine.volumes["liver"].sum())
    assert value(found, "dose.region.liver") == pytest.approx(60e-6 * volume / 1.5e-3, rel=1e-9)


def test_uptake_at_the_rim() -> None:
    """With a rim the middle gets less than the surface; the mass is the same, the variation tells."""
    even = entry(kind="systemic", injected_mass="100 mg", organs={}).deliver(where())
    rim = entry(kind="systemic", injected_mass="100 mg", organs={}, rim="1 mm").deliver(where())
    assert value(rim, "dose.tumour") == pytest.approx(value(even, "dose.tumour"), rel=1e-12)
    assert value(even, "dose.tumour_variation") < 1e-6
    assert value(rim, "dose.tumour_variation") > 0.3
    at = np.array([[0, 0, 0], [3, 0, 0]]) * MM
    middle, near = where().engine.sample(rim.bulk, at)
    assert near / middle > np.exp(1.5)


def test_toxic_organ_doses_are_said() -> None:
    organs = {"liver": {"share": 0.9, "volume": "1.5 l", "tolerated": "10 ug/ml"}}
    found = entry(kind="systemic", injected_mass="100 mg", organs=organs).deliver(where())
    assert any("delivery.organs.liver" in warning for warning in found.warnings)
    with pytest.raises(ValidationError, match=r"take 190\.7 % of the dose"):
        entry(kind="systemic", injected_mass="1 mg", organs={**organs, "spleen": {"share": 1.0, "volume": "0.2 l"}})


# ------------------------------------------------------------------------------------------- intra-arterial


def test_arterial_flow_shares_the_dose() -> None:
    """Tumour and host take it by perfusion, arterial part, extraction and volume; the rest goes on or ran back."""
    place = where()
    found = entry(
        kind="intra_arterial", injected_mass="10 mg", reflux=0.1, tumour_extraction=0.8, host_extraction=0.5
    ).deliver(place)
    tumour, liver = (float(place.engine.volumes[name].sum()) for name in ("tumour", "liver"))
    streams = 0.9 * 0.002 * tumour, 0.25 * 0.01 * liver
    per_flow = 9e-6 / sum(streams)
    assert value(found, "dose.tumour") == pytest.approx(0.8 * streams[0] * per_flow, rel=1e-12)
    assert value(found, "dose.region.liver") == pytest.approx(0.5 * streams[1] * per_flow, rel=1e-9)
    assert value(found, "dose.refluxed") == pytest.approx(1e-6, rel=1e-12)
    lines = sum(value(found, f"dose.{name}") for name in ("in_window", "refluxed", "systemic_spill"))
    assert lines == pytest.approx(10e-6, rel=1e-12)
    assert value(found, "ledger.mass_error") < 1e-12
    assert found.perfusion is None


def test_territory_and_regions_bound_what_is_fed() -> None:
    found = entry(
        kind="intra_arterial", injected_mass="10 mg",
        territory={"centre": ["6 mm", "0 mm", "0 mm"], "radius": "4 mm"},
    ).deliver(where())  # fmt: skip
    points = where().engine.points
    away = np.linalg.norm(points - np.array([6, 0, 0]) * MM, axis=1)
    assert not found.bulk[away > 4 * MM].any()
    assert found.bulk[(away < 3 * MM)].all()
    with pytest.raises(CaseError, match="feeds no perfused tissue"):
        entry(
            kind="intra_arterial", injected_mass="1 mg",
            territory={"centre": ["1 m", "0 mm", "0 mm"], "radius": "1 mm"},
        ).deliver(where())  # fmt: skip


def test_embolisation_leaves_the_portal_flow() -> None:
    """TAE: the tumour keeps a tenth of its perfusion, the host three quarters; half of it is back after a half-time."""
    closed = entry(kind="intra_arterial", injected_mass="10 mg", embolisation={}).deliver(where())
    engine = where().engine
    assert closed.perfusion is not None
    inner, outer = engine.sample(closed.perfusion, np.array([[0, 0, 0], [7, 7, 7]]) * MM)
    assert inner == pytest.approx(0.1, rel=1e-12)
    assert outer == pytest.approx(0.75, rel=1e-12)
    later = entry(
        kind="intra_arterial", injected_mass="10 mg", wait="1 h", embolisation={"recanalisation": "1 h"}
    ).deliver(where())
    assert engine.sample(later.perfusion, np.zeros((1, 3)))[0] == pytest.approx(0.55, rel=1e-12)
    dilute = entry(kind="intra_arterial", injected_mass="10 mg", embolisation={"full_dose": "1000 mg/ml"}).deliver(
        where()
    )
    assert engine.sample(dilute.perfusion, np.zeros((1, 3)))[0] > 0.9


# ------------------------------------------------------------------------------------------- accounting


def test_doses_as_a_clinician_reads_them() -> None:
    """Half of the tumour at twice the threshold, the other half empty."""
    halves = {"tumour": ball(4 * MM), "left": lambda x: (1 - ball(4 * MM)(x)) * (x[:, 0] < 0)}
    engine = cube(8 * MM, 1 * MM, halves)
    place = site(engine, tissues(engine), tumour="tumour")
    even = entry(kind="uniform", concentration="4 mg/ml", threshold="2 mg/ml").deliver(place)
    tumour = float(engine.volumes["tumour"].sum())
    given = value(even, "dose.given")
    assert value(even, "dose.tumour") == pytest.approx(4 * tumour, rel=1e-12)
    assert value(even, "dose.tumour_fraction_per_mass") == pytest.approx(4 / given / 1060, rel=1e-12)
    assert value(even, "dose.healthy") == pytest.approx(given - 4 * tumour, rel=1e-12)
    assert value(even, "dose.region.left") == pytest.approx(4 * float(engine.volumes["left"].sum()), rel=1e-12)
    assert value(even, "dose.tumour_coverage") == 1.0
    assert [value(even, f"dose.tumour_concentration_p{p}") for p in (10, 50, 90)] == pytest.approx([4, 4, 4])
    missed = entry(kind="uniform", region="left", concentration="4 mg/ml", threshold="2 mg/ml").deliver(place)
    assert value(missed, "dose.tumour_coverage") == 0.0
    assert value(missed, "dose.region.left") == pytest.approx(value(missed, "dose.given"), rel=1e-12)
    assert "dose.region.tissue" not in missed.readings


def test_a_window_larger_than_the_organ_holds_no_more_than_went_there() -> None:
    engine = cube(20 * MM, 2 * MM, {"tumour": ball(5 * MM)})
    spec = {"kind": "systemic", "injected_mass": "40 mg", "organs": {"tissue": {"share": 0.5, "volume": "10 ml"}}}
    delivery: Any = TypeAdapter(DeliveryEntry).validate_python(spec)
    found = delivery.deliver(site(engine, tumour="tumour"))
    assert found.readings["dose.organ.tissue"].value == pytest.approx(20e-6, rel=1e-12)
    assert found.readings["dose.region.tissue"].value == pytest.approx(20e-6, rel=1e-12)
