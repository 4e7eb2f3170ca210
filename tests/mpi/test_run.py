"""``mpirun -n 2 thermal run`` gives what ``thermal run`` gives, and ends when the case is bad."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import h5py
import half_planes
import numpy as np
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


def under_mpirun(
    ranks: int, *words: str | Path, program: tuple[str, ...] = ("-m", "thermal")
) -> subprocess.CompletedProcess[str]:
    """``thermal``, or another Python ``program``, on several ranks."""
    command = [str(Path(sys.executable).parent / "mpiexec"), "-bind-to", "none", "-n", str(ranks)]
    command += [sys.executable, *program, *map(str, words)]
    one_thread = {**os.environ, "NUMBA_NUM_THREADS": "1", "OMP_NUM_THREADS": "1"}
    return subprocess.run(command, env=one_thread, capture_output=True, text=True, timeout=200)


def summary(folder: Path) -> dict[str, Any]:
    """Values by key."""
    return {key: entry["value"] for key, entry in json.loads((folder / "summary.json").read_text()).items()}


def agree(one: Path, other: Path) -> None:
    """Summaries to 1e-9, fields to 1e-10 of their range: solves to 1e-11 or less, sums in another order."""
    found, expected = summary(one), summary(other)
    assert set(found) == set(expected)
    for key, value in expected.items():
        if isinstance(value, float) and key not in ("wall_time", "peak_memory", "ledger.energy_error"):
            # a place on an axis of symmetry is at zero, as far as a nanometre
            nothing = 1e-9 if key.startswith("residual.") else 1e-12
            assert found[key] == pytest.approx(value, rel=1e-9, abs=nothing), key
    assert found["steps"] == expected["steps"]
    assert found["ledger.energy_error"] < 1e-12
    with h5py.File(one / "fields.h5") as fields, h5py.File(other / "fields.h5") as others:
        assert set(fields["static"]) == set(others["static"])
        for name in others["static"]:
            here, there = fields["static"][name][()], others["static"][name][()]
            assert np.abs(here - there).max() <= 1e-10 * max(float(np.ptp(there)), 1e-30), name


EXACT = RFA.replace('power = "20 W"', 'power = "20 W"\npotential_tolerance = 1e-12')


@pytest.mark.parametrize("text", [IRON, EXACT], ids=["iron", "rfa"])
def test_the_same_on_two_ranks_as_on_the_voxel_engine(tmp_path: Path, text: str) -> None:
    case = write(tmp_path, text)
    single = "numerics.precision=single"  # which this engine does not know
    done = under_mpirun(2, "run", case, "--engine", "dolfinx", "--set", single, "--out", tmp_path / "spread", "--quiet")
    assert done.returncode == 0, done.stderr
    simulate(load_case(case), tmp_path / "serial")
    agree(tmp_path / "spread", tmp_path / "serial")


def test_the_same_on_three_ranks_as_on_the_axisymmetric_engine(tmp_path: Path) -> None:
    points, triangles = half_planes.rectangle(np.linspace(0.0, 18e-3, 13), np.linspace(-18e-3, 18e-3, 25))
    parts = {"tumour": lambda r, z: np.hypot(r, z) < 8e-3, "liver": lambda r, z: r >= 0.0}
    half_planes.write(tmp_path / "half.msh", points, triangles, parts, {})
    case = write(tmp_path, EXACT)
    head, _, rest = case.read_text().partition("[anatomy]")
    table = '[anatomy]\nkind = "mesh"\nfile = "half.msh"\nhalf_plane = "xy"\nlength_unit = "mm"\ntumour = "tumour"\n'
    case.write_text(head + table + rest[rest.index("[heating]") :])
    done = under_mpirun(3, "run", case, "--engine", "dolfinx", "--out", tmp_path / "spread", "--quiet")
    assert done.returncode == 0, done.stderr
    simulate(load_case(case), tmp_path / "serial")
    agree(tmp_path / "spread", tmp_path / "serial")


def test_loose_solves_do_not_depend_on_the_number_of_ranks(tmp_path: Path) -> None:
    """The potential of RFA is solved to 1e-5 serially; multigrid leaves something else on any number of ranks."""
    case = write(tmp_path, RFA)
    for ranks in (1, 3):
        done = under_mpirun(ranks, "run", case, "--engine", "dolfinx", "--out", tmp_path / str(ranks), "--quiet")
        assert done.returncode == 0, done.stderr
    agree(tmp_path / "1", tmp_path / "3")


def killed(ranks: int, case: Path, out: Path) -> None:
    """Begin a run on several ranks, and kill -9 one of those that help as soon as there is a checkpoint."""
    command = [str(Path(sys.executable).parent / "mpiexec"), "-bind-to", "none", "-n", str(ranks), sys.executable, "-m",
               "thermal", "run", str(case), "--engine", "dolfinx", "--out", str(out), "--quiet"]  # fmt: skip
    run = subprocess.Popen(command, env={**os.environ, "NUMBA_NUM_THREADS": "1", "OMP_NUM_THREADS": "1"})
    end = time.monotonic() + 300.0
    while not (out / "checkpoint.npz").exists():
        assert run.poll() is None
        assert time.monotonic() < end
        time.sleep(0.02)
    first = int(json.loads((out / "lock").read_text())["pid"])
    helpers = [pid for pid in _python_of(case) if pid != first]
    assert len(helpers) == ranks - 1
    os.kill(helpers[0], signal.SIGKILL)
    assert run.wait(60) != 0
    while Path(f"/proc/{first}").exists():
        assert time.monotonic() < end
        time.sleep(0.02)


def _python_of(case: Path) -> list[int]:
    """Processes whose program is Python and whose command names the case."""
    found = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                words = (entry / "cmdline").read_bytes().split(b"\0")
            except OSError:
                continue
            if Path(words[0].decode()).name.startswith("python") and str(case).encode() in words:
                found.append(int(entry.name))
    return found


@pytest.mark.parametrize("ranks", [1, 3])
def test_killed_on_two_ranks_and_resumed_on_another_number(tmp_path: Path, ranks: int) -> None:
    """A checkpoint holds whole fields in the order of the domain's nodes, whatever the number of ranks."""
    case = write(tmp_path, IRON.replace("schema_version", "# slowly, with a checkpoint a step\nschema_version"))
    text = case.read_text().replace('every = "20 s"', 'every = "20 s", checkpoint = "1 ms"')
    case.write_text(text.replace('precision = "double"', 'precision = "double", max_step = "0.2 s"'))
    out = tmp_path / "spread"
    killed(2, case, out)
    done = under_mpirun(ranks, "run", case, "--engine", "dolfinx", "--out", out, "--quiet", "--resume")
    assert done.returncode == 0, done.stderr
    assert json.loads((out / "provenance.json").read_text())["resumed"]
    simulate(load_case(case), tmp_path / "serial")
    found, alone = summary(out), summary(tmp_path / "serial")
    for key in ("peak_temperature", "zone.volume", "energy.source", "energy.perfusion", "energy.stored", "steps"):
        assert found[key] == pytest.approx(alone[key], rel=1e-9), key
    assert found["ledger.energy_error"] < 1e-12


def test_a_bad_case_ends_all_ranks(tmp_path: Path) -> None:
    case = write(tmp_path, IRON.replace("100 kHz", "100 mm"))
    done = under_mpirun(2, "run", case, "--set", "numerics.engine=dolfinx", "--out", tmp_path / "run")
    assert done.returncode == 2
    assert done.stderr.count("heating.frequency") == 1


@pytest.mark.parametrize("rank", ["0", "1"])
def test_an_error_that_meets_one_rank_alone_ends_all(tmp_path: Path, rank: str) -> None:
    """The others wait for it in the midst of a step, where nothing can dismiss them."""
    case = write(tmp_path, IRON)
    program = str(Path(__file__).parent / "lost_rank.py"), rank
    done = under_mpirun(2, "run", case, "--engine", "dolfinx", "--out", tmp_path / "run", "--quiet", program=program)
    assert done.returncode == 1
    assert "MemoryError: no room for the step" in done.stderr
    if rank == "0":
        assert json.loads((tmp_path / "run" / "status").read_text())["state"] == "failed"
