"""Fair comparisons: equal protocol time, or the same goal for each treatment's own controller."""

from __future__ import annotations

from pathlib import Path

import pytest
from conftest import CATALOGUE

from thermal import compare, load_case
from thermal.comparison.protocol import AFTER, Protocol
from thermal.errors import CaseError
from thermal.physics.heating import Cryo, Rfa

BASELINES = Path(__file__).parent.parent / "cases" / "baselines"


def test_equal_time_for_heat_and_cold() -> None:
    """RFA of 12 min and two freezes of 10 min with a thaw of 5 min, both for 18 min: the second freeze is cut to 3."""
    protocol = Protocol(time=1080.0)
    hot, cold = (protocol.of(load_case(BASELINES / f"{name}.toml")) for name in ("rfa_single", "cryo_single"))
    assert isinstance(hot.heating, Rfa)
    assert isinstance(cold.heating, Cryo)
    assert hot.heating.on == ((0.0, 1080.0),)
    assert [cycle.freeze for cycle in cold.heating.cycles] == [600.0, pytest.approx(180.0)]
    assert hot.bioheat.duration == cold.bioheat.duration == 1080.0 + AFTER
    assert hot.name == "rfa_single"


def test_a_course_of_knots_is_cut() -> None:
    table = {"kind": "cryo", "probes": [{"centre": ["0 mm", "0 mm", "0 mm"], "radius": "1 mm"}]}
    spec = Cryo.model_validate({**table, "schedule": [["0 s", "-100 degC"], ["500 s", "off"]]})
    assert spec.lasting(300.0).schedule == ((0.0, -100.0), (300.0, "off"))
    short = Cryo.model_validate(
        {**table, "temperature": "-100 degC", "cooldown": "60 s", "cycles": [{"freeze": "100 s", "thaw": "50 s"}]}
    )
    with pytest.raises(CaseError, match="leaves nothing of a freeze"):
        short.lasting(50.0)


def test_no_heat_is_left_as_it_is() -> None:
    case = load_case(BASELINES / "ethanol.toml")
    assert Protocol(time=60.0, margin=0.005).of(case) is case


@pytest.mark.parametrize("bad", [{"time": 0.0}, {"margin": 0.02}, {"margin": -0.001}])
def test_impossible_protocols(bad: dict[str, float]) -> None:
    with pytest.raises(CaseError, match="compare: a "):
        Protocol(**bad)


def test_a_comparison_with_one_goal(tmp_path: Path) -> None:
    """Two powers, one goal: the stronger is there sooner; the table and the notes say so."""
    paths = []
    for name, power in (("weak", "12 W"), ("strong", "15 W")):
        path = tmp_path / f"{name}.toml"
        head = f'schema_version = 1\nextends = "{CATALOGUE / "until.toml"}"\ntitle = "{name}"\n'
        path.write_text(f'{head}[heating]\npower = "{power}"\n', encoding="utf-8")
        paths.append(path)
    found = compare(paths, tmp_path / "out", protocol=Protocol(time=600.0, margin=0.001))
    first, second = (t.run.value("treatment.covered_at") for t in found.treatments)
    assert first > second
    assert any("the same goal: the tumour and 1 mm" in note and "within 10 min" in note for note in found.notes)
    assert "Goal reached after (min)" in str(found)
