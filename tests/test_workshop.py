"""What cases that follow each other share: counted, and the same as without sharing."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from batches import altered

from thermal import load_case, simulate
from thermal.anatomy.phantom import Phantom
from thermal.physics.delivery.infusion import Infusion
from thermal.simulation.workshop import Workshop

CASE = altered(
    bioheat='{ duration = "30 s" }',
    output="{ series = false, pictures = false }",
    delivery='{ kind = "infusion", entry = ["15 mm", "0 mm", "0 mm"], tip = ["0 mm", "0 mm", "0 mm"], '
    'port_radius = "2 mm", flow = "0.1 ml/min", duration = "1 min", concentration = "5 mg/ml" }',
)
CHANGES = (
    ([], 1),
    (["tissues.liver.conductivity=0.6 W/m/K"], 1),
    (["tissues.tumour.perfusion=0.001 1/s", "heating.amplitude=10 kA/m"], 1),
    (["tissues.tumour.porosity=0.3"], 2),
    (["tissues.liver.heat_capacity=3000 J/kg/K"], 2),
    (["delivery.concentration=6 mg/ml"], 3),
    (["delivery.washout=1", "tissues.tumour.perfusion=0.001 1/s"], 4),
    (["delivery.washout=1", "tissues.tumour.perfusion=0.002 1/s"], 5),
)
"""What a case sets, and how many deliveries were done by then: only what a delivery reads makes another one."""


def test_deliveries_are_done_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "case.toml").write_text(CASE)
    calls = {"anatomy": 0, "delivery": 0}

    def counted(name: str, kind: Any, method: str) -> None:
        done = getattr(kind, method)

        def call(*arguments: Any, **options: Any) -> Any:
            calls[name] += 1
            return done(*arguments, **options)

        monkeypatch.setattr(kind, method, call)

    counted("anatomy", Phantom, "build")
    counted("delivery", Infusion, "deliver")
    workshop = Workshop(2)
    for number, (changes, deliveries) in enumerate(CHANGES):
        case = load_case(tmp_path / "case.toml", changes)
        shared = simulate(case, tmp_path / f"{number}", workshop=workshop)
        assert calls == {"anatomy": 1, "delivery": deliveries}, changes
        if number == 2:  # two things shared, and two of its own
            before = dict(calls)
            alone = simulate(case, tmp_path / "alone")
            calls |= before
            assert {k: v for k, v in shared.summary.items() if k not in ("wall_time", "peak_memory")} == {
                k: v for k, v in alone.summary.items() if k not in ("wall_time", "peak_memory")
            }
