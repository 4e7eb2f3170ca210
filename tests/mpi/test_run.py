"""``mpirun -n 2 thermal run`` gives what ``thermal run`` gives, and ends when the case is bad."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

pytestmark = pytest.mark.mpi
NEEDED = "needs DOLFINx under MPI: pip install 'thermal[mpi]' on Python 3.12 or newer (make test-mpi)"
pytest.importorskip("mpi4py", reason=NEEDED)
from mpi4py import MPI  # noqa: E402, F401  DOLFINx finds its MPI only after this

pytest.importorskip("dolfinx", reason=NEEDED)

from thermal import load_case, simulate  # noqa: E402

ANATOMY = """
numerics = { precision = "double" }
output = { pictures = false, every = "20 s" }
bioheat = { duration = "40 s" }
[anatomy]
kind = "phantom"
size = "36 mm"
voxel_size = "3 mm"
background = "liver"
tumour = "tumour"
shapes = [{ region = "tumour", shape = "sphere", centre = ["0 mm", "0 mm", "0 mm"], radius = "10 mm" }]
"""
IRON = """
schema_version = 1
particles = { material = "iron_oxide_16" }
delivery = { kind = "uniform", region = "tumour", concentration = "5 mg/ml" }
heating = { kind = "magnetic", frequency = "100 kHz", amplitude = "10 kA/m" }
"""
RFA = """
schema_version = 1
[heating]
kind = "rfa"
power = "20 W"
[heating.electrode]
entry = ["0 mm", "0 mm", "17 mm"]
tip = ["0 mm", "0 mm", "-8 mm"]
radius = "0.75 mm"
active_length = "16 mm"
"""


def write(folder: Path, text: str) -> Path:
    """A case whose tables may come in any order."""
    head, _, tail = text.partition("[heating]")
    top, _, tables = ANATOMY.partition("[anatomy]")
    file = folder / "case.toml"
    file.write_text(head + top + "[anatomy]" + tables + ("[heating]" + tail if tail else ""))
    return file


def under_mpirun(ranks: int, *words: str | Path) -> subprocess.CompletedProcess[str]:
    """``thermal`` on several ranks."""
    command = [str(Path(sys.executable).parent / "mpiexec"), "-bind-to", "none", "-n", str(ranks)]
    command += [sys.executable, "-m", "thermal", *map(str, words)]
    one_thread = {**os.environ, "NUMBA_NUM_THREADS": "1", "OMP_NUM_THREADS": "1"}
    return subprocess.run(command, env=one_thread, capture_output=True, text=True, timeout=200)


def summary(folder: Path) -> dict[str, Any]:
    """Values by key."""
    return {key: entry["value"] for key, entry in json.loads((folder / "summary.json").read_text()).items()}


@pytest.mark.parametrize(("text", "tolerance"), [(IRON, 1e-9), (RFA, 1e-4)], ids=["iron", "rfa"])
def test_the_same_summary_on_two_ranks(tmp_path: Path, text: str, tolerance: float) -> None:
    """Nothing is solved for iron but the march; the potential of RFA is solved to 1e-5 by another preconditioner."""
    case = write(tmp_path, text)
    out = tmp_path / "spread"
    done = under_mpirun(2, "run", case, "--set", "numerics.engine=dolfinx", "--out", out, "--quiet")
    assert done.returncode == 0, done.stderr
    simulate(load_case(case), tmp_path / "serial")
    found, alone = summary(out), summary(tmp_path / "serial")
    assert set(found) == set(alone)
    for key, value in alone.items():
        if isinstance(value, float) and key not in ("wall_time", "peak_memory", "ledger.energy_error"):
            nothing = 1e-9 if key.startswith("residual.") else 1e-12  # m: a place on an axis of symmetry is at zero
            assert found[key] == pytest.approx(value, rel=tolerance, abs=nothing), key
    assert found["steps"] == alone["steps"]
    assert found["ledger.energy_error"] < 1e-12


def test_a_bad_case_ends_all_ranks(tmp_path: Path) -> None:
    case = write(tmp_path, IRON.replace("100 kHz", "100 mm"))
    done = under_mpirun(2, "run", case, "--set", "numerics.engine=dolfinx", "--out", tmp_path / "run")
    assert done.returncode == 2
    assert done.stderr.count("heating.frequency") == 1
