"""Whom a run stands on: every source of its numbers once, and the methods it used, no others."""

from __future__ import annotations

import tomllib
from importlib import resources
from pathlib import Path

import pytest

from thermal import load_case, simulate
from thermal.cite import citations
from thermal.cli import main
from thermal.store import Run

CASE = """
schema_version = 1
{heating}
bioheat = {{ duration = "5 s" }}
[anatomy]
kind = "phantom"
size = "20 mm"
voxel_size = "4 mm"
background = "liver"
tumour = "tumour"
shapes = [{{ region = "tumour", shape = "sphere", centre = ["0 mm", "0 mm", "0 mm"], radius = "6 mm" }}]
"""
MAGNETIC = """heating = { kind = "magnetic", frequency = "100 kHz", amplitude = "10 kA/m" }
particles = { material = "iron_oxide_16" }
delivery = { kind = "uniform", region = "tumour", concentration = "5 mg/ml" }"""
PRESCRIBED = (
    'heating = { kind = "temperature", region = "tumour", schedule = [["0 s", "37 degC"], ["5 s", "50 degC"]] }'
)


def run_of(folder: Path, heating: str) -> Run:
    (folder / "case.toml").write_text(CASE.format(heating=heating))
    return simulate(load_case(folder / "case.toml"), folder / "run")


def test_every_number_counts_once(tmp_path: Path) -> None:
    run = run_of(tmp_path, MAGNETIC)
    methods, sources = citations(run)
    assert sum(source.numbers for source in sources) == run.value("library.numbers")
    assert sum(source.unverified for source in sources) == run.value("library.unverified")
    assert [s.numbers for s in sources] == sorted((s.numbers for s in sources), reverse=True)
    assert len({source.text for source in sources}) == len(sources)
    assert any("Rosensweig" in method.text for method in methods)
    assert any("Pennes" in method.text for method in methods)


def test_no_method_that_was_not_used(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run = run_of(tmp_path, PRESCRIBED)
    assert not any("Rosensweig" in method.text or "Baxter" in method.text for method in citations(run)[0])
    assert main(["cite", str(run.folder)]) == 0
    assert "Pennes" in capsys.readouterr().out


def test_conditions_name_keys_of_the_schema() -> None:
    """A misspelt condition would never hold."""
    from thermal.case import case_json_schema

    known = str(case_json_schema())
    methods = tomllib.loads((resources.files("thermal") / "data" / "methods.toml").read_text(encoding="utf-8"))[
        "method"
    ]
    for method in methods:
        for key in method.get("when", {}):
            assert all(f"'{part}'" in known for part in key.split(".")), key
