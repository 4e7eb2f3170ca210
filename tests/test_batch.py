"""Sweeps: what they expand to, what survives a killed process, and what the statistics say."""

from __future__ import annotations

import importlib.util
import json
import os
import signal
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pytest
from batches import CASE, GRID, index, until, written

from thermal import load_case, run_batch, simulate
from thermal.batch import load_sweep, statistics
from thermal.batch.folder import BatchFolder, Outcome
from thermal.batch.members import Named, base_value, design, expand, named
from thermal.batch.priors import Lognormal, Normal, Triangular, Uniform
from thermal.batch.search import miss, start
from thermal.batch.statistics import Table, sensitivity, write_statistics
from thermal.batch.sweep import Goal, Sample
from thermal.cli import main
from thermal.errors import CaseError
from thermal.store import read_run
from thermal.view.treated import zone_label

DRAWN = """
schema_version = 1
cases = ["ball.toml"]
keep = "zone"
sample = { method = "latin_hypercube", count = 9, seed = 4 }
[priors."tissues.liver.perfusion"]
distribution = "lognormal"
median = 1.0
spread = 1.3
relative = "factor"
source = "a test"
[priors.placement]
keys = ["anatomy.shapes.0.centre.0"]
distribution = "normal"
mean = "0 mm"
sd = "1 mm"
relative = "shift"
"""


def numbers(summary: Any) -> dict[str, Any]:
    return {key: entry for key, entry in summary.items() if key not in ("wall_time", "peak_memory")}


# ------------------------------------------------------------------------------------------------ the sweep file


def test_a_grid_is_every_combination(tmp_path: Path) -> None:
    members = expand(load_sweep(written(tmp_path, GRID)))
    assert [tuple(member.varied.values()) for member in members] == [
        ("4 mg/ml", "10 kA/m"), ("4 mg/ml", "20 kA/m"), ("8 mg/ml", "10 kA/m"), ("8 mg/ml", "20 kA/m"),
    ]  # fmt: skip
    assert members[2].load().resolved()["delivery"]["concentration"] == {"value": 8.0, "unit": "kg/m^3"}


def test_rows_belong_together_and_set_holds_for_all(tmp_path: Path) -> None:
    text = 'schema_version = 1\ncases = ["ball.toml"]\nset = { "bioheat.duration" = "60 s" }\n'
    text += '[[rows]]\n"heating.amplitude" = "10 kA/m"\n"heating.frequency" = "200 kHz"\n'
    text += '[[rows]]\n"heating.amplitude" = "20 kA/m"\n"heating.frequency" = "50 kHz"\n'
    cases = [member.load() for member in expand(load_sweep(written(tmp_path, text)))]
    heating = [case.resolved()["heating"] for case in cases]
    assert [(h["amplitude"]["value"], h["frequency"]["value"]) for h in heating] == [(10e3, 200e3), (20e3, 50e3)]
    assert [case.bioheat.duration for case in cases] == [60.0, 60.0]


def test_draws_follow_their_priors_and_their_seed(tmp_path: Path) -> None:
    path = written(tmp_path, DRAWN)
    members, again = expand(load_sweep(path)), expand(load_sweep(path))
    assert [m.values for m in members] == [m.values for m in again]
    resolved = [member.load().resolved() for member in members]
    library, unit = base_value(load_case(tmp_path / "ball.toml"), "tissues.liver.perfusion")
    factors = [float(member.varied["tissues.liver.perfusion"]) for member in members]
    for case, factor in zip(resolved, factors, strict=True):
        value, own = case["tissues"]["liver"]["perfusion"].split()
        assert (float(value), own) == (pytest.approx(library * factor, rel=1e-12), unit)
    # one draw in each ninth of the distribution
    middle = sorted(np.floor(9 * np.array([_share(factor) for factor in factors])))
    assert middle == list(range(9))
    shifts = [float(member.varied["placement (mm)"]) for member in members]
    placed = [case["anatomy"]["shapes"][0]["centre"][0]["value"] for case in resolved]
    assert placed == pytest.approx([1e-3 * shift for shift in shifts], abs=1e-15)
    path.write_text(DRAWN.replace("seed = 4", "seed = 5"))
    assert [m.values for m in expand(load_sweep(path))] != [m.values for m in members]


def _share(factor: float) -> float:
    from scipy import stats

    return float(stats.truncnorm.cdf(np.log(factor) / np.log(1.3), -3.0, 3.0))


@pytest.mark.parametrize(
    ("prior", "mean", "sd"),
    [
        (Uniform(distribution="uniform", low="2 mm", high="6 mm"), 4.0, 4.0 / np.sqrt(12.0)),
        (Triangular(distribution="triangular", low=0.0, mode=3.0, high=3.0), 2.0, np.sqrt(0.5)),
        (Normal(distribution="normal", mean="5 W", sd="2 W"), 5.0, 2.0 * np.sqrt(0.9733369)),
        (Lognormal(distribution="lognormal", median=2.0, spread=1.0001), 2.0, 2.0e-4 * np.sqrt(0.9733369)),
    ],
)
def test_moments_of_the_distributions(prior: Any, mean: float, sd: float) -> None:
    """0.97334 is the variance of a normal distribution cut at three standard deviations."""
    values = prior.at((np.arange(200_000) + 0.5) / 200_000)
    assert values.mean() == pytest.approx(mean, rel=1e-4)
    assert values.std() == pytest.approx(sd, rel=1e-3)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (("[grid]", "[gird]"), 'sweep.toml:4: gird: unknown key (found a table); did you mean "grid"?'),
        (('cases = ["ball.toml"]', 'cases = ["bal.toml"]'), 'did you mean'),
        (('"heating.amplitude"', '"heating.amplitud"'), "heating.amplitud: unknown key"),
        (('["10 kA/m", "20 kA/m"]', '["10 kA/m", "20 kW"]'), '"20 kW" is'),
        (('["10 kA/m", "20 kA/m"]', "[]"), "expected at least 1"),
        (("[grid]", 'sample = { method = "sobol", count = 99 }\n[grid]'), "priors and sample belong together"),
    ],
)  # fmt: skip
def test_bad_sweeps_are_told_before_anything_is_made(tmp_path: Path, change: tuple[str, str], words: str) -> None:
    path = written(tmp_path, GRID.replace(*change))
    with pytest.raises(CaseError) as caught:
        run_batch(path, tmp_path / "out")
    assert words in str(caught.value)
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (('sd = "1 mm"', 'sd = "1 cm"'), "is given in several units (cm, mm); write all in one"),
        (('sd = "1 mm"', 'sd = "0 mm"'), "is no distribution"),
        (('"anatomy.shapes.0.centre.0"', '"anatomy.shapes.7.centre.0"'), "the case has no number there"),
        (("median = 1.0", 'median = "1 1/s"'), "is a factor and has the unit"),
        (
            ('method = "latin_hypercube", count = 9', 'method = "sobol", count = 7'),
            "needs at least 8 runs for 2 priors",
        ),
        (('distribution = "normal"', 'distribution = "gaussian"'), "uniform"),
    ],
)
def test_bad_priors_are_told(tmp_path: Path, change: tuple[str, str], words: str) -> None:
    with pytest.raises(CaseError) as caught:
        run_batch(written(tmp_path, DRAWN.replace(*change)), tmp_path / "out")
    assert words in str(caught.value)


# ------------------------------------------------------------------------------------------------ running


@pytest.fixture(scope="module")
def grid(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The grid, run by two processes."""
    folder = tmp_path_factory.mktemp("grid")
    done = run_batch(written(folder, GRID), folder / "out", jobs=2)
    assert done.failed == {}
    return folder


def test_a_batch_says_what_single_runs_say(grid: Path, tmp_path: Path) -> None:
    """The processes share anatomy and delivery between runs; the numbers are those of runs that share nothing."""
    for number, row in enumerate(index(grid / "out")):
        chosen = [f"{key}={row[key]}" for key in ("delivery.concentration", "heating.amplitude")]
        alone = simulate(load_case(grid / "ball.toml", chosen), tmp_path / str(number))
        assert numbers(alone.summary) == numbers(read_run(grid / "out" / "runs" / row["run"]).summary)
        assert float(row["peak_temperature (degC)"]) == alone.value("peak_temperature")


def test_finished_work_is_not_done_again_and_what_is_broken_is(grid: Path) -> None:
    folder = grid / "out"
    first, *others = sorted((folder / "runs").iterdir())
    before = {run: (run / "summary.json").stat().st_mtime_ns for run in (first, *others)}
    damaged = bytearray((first / "fields.h5").read_bytes())
    damaged[len(damaged) // 2] ^= 1
    (first / "fields.h5").write_bytes(bytes(damaged))
    done = run_batch(grid / "sweep.toml", folder)
    assert (done.reused, len(done.outcomes), done.failed) == (3, 4, {})
    assert [run for run in before if (run / "summary.json").stat().st_mtime_ns != before[run]] == [first]
    assert run_batch(grid / "sweep.toml", folder).reused == 4


def test_one_batch_a_folder(grid: Path) -> None:
    held = BatchFolder.open(grid / "out")
    try:
        with pytest.raises(CaseError, match="is in use by process"):
            run_batch(grid / "sweep.toml", grid / "out")
    finally:
        held.lock.release()


def test_a_failed_run_stops_no_other(tmp_path: Path) -> None:
    """A tumour outside the window is found only when the anatomy is built."""
    text = GRID.partition("[grid]")[0]
    text += '[grid]\n"anatomy.shapes.0.radius" = ["8 mm", "0.01 mm", "7 mm"]\n'
    done = run_batch(written(tmp_path, text), tmp_path / "out")
    rows = index(tmp_path / "out")
    assert [row["status"] for row in rows] == ["done", "failed", "done"]
    assert done.failed == {rows[1]["run"]: rows[1]["message"]}
    again = run_batch(tmp_path / "sweep.toml", tmp_path / "out")
    assert again.reused == 2


def test_what_was_not_kept_of_finished_runs_is_made_again(tmp_path: Path) -> None:
    """Runs of which the tables alone are left cannot say where tissue is ablated; what is kept beyond need serves."""
    drawn = DRAWN.partition("[priors.placement]")[0].replace("count = 9", "count = 2")
    path = written(tmp_path, drawn.replace('"zone"', '"summary"'))
    assert run_batch(path, tmp_path / "out").reused == 0
    path.write_text(drawn)
    made = run_batch(path, tmp_path / "out")
    assert (made.reused, made.failed) == (0, {})
    assert tmp_path / "out" / "probability_0" in made.files
    for text in (drawn, drawn.replace('"zone"', '"summary"')):
        path.write_text(text)
        assert run_batch(path, tmp_path / "out").reused == 2


SOUGHT = """
schema_version = 1
cases = ["ball.toml"]
keep = "summary"
[search]
count = 25
seed = 3
[search.goals."probe.middle.temperature"]
equal = "TARGET degC"
within = "0.1 K"
[priors.amplitude]
keys = ["heating.amplitude"]
distribution = "uniform"
low = "5 kA/m"
high = "25 kA/m"
"""


@pytest.mark.slow
def test_a_search_finds_what_was_measured_and_goes_on(tmp_path: Path) -> None:
    """The field that explains a thermometer; heating grows with its square, so the answer is known."""
    probed = (
        CASE.replace("2 min", "10 s")
        + '[probes.middle]\nposition = ["0 mm", "0 mm", "0 mm"]\nfields = ["temperature"]\n'
    )
    (tmp_path / "truth.toml").write_text(probed)
    truth = simulate(load_case(tmp_path / "truth.toml", ["heating.amplitude=14 kA/m"]), tmp_path / "truth")
    seen = truth.value("probe.middle.temperature")
    path = written(tmp_path, SOUGHT.replace("TARGET", f"{seen}"), probed)
    done = run_batch(path, tmp_path / "out")
    best = json.loads((tmp_path / "out" / "search.json").read_text())["best"]
    costs = [entry.cost for entry in done.tried]
    assert costs == sorted(costs)
    assert best["run"] == done.tried[0].named.name
    # twenty runs of one number over 20 kA/m, in four generations that contract: a fifth of even spacing
    assert best["set"]["amplitude (kA/m)"] == pytest.approx(14.0, abs=0.2)
    assert {row["status"] for row in index(tmp_path / "out")} == {"done"}
    lost = sorted((tmp_path / "out" / "runs").iterdir())[0]
    (lost / "summary.json").write_text("{}")  # damaged: found by its hash and done again
    again = run_batch(path, tmp_path / "out")
    assert again.reused == len(again.outcomes) - 1
    assert [(entry.named.name, entry.cost) for entry in again.tried] == [
        (entry.named.name, entry.cost) for entry in done.tried
    ]


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (("count = 25", "count = 8"), "expected at least 10, two generations"),
        (('within = "0.1 K"', 'within = "0.1 mm"'), "is a length"),
        (('equal = "TARGET degC"\n', ""), "either equal, or at_least and at_most"),
        (("probe.middle", "probe.midle"), "the summary has no such number"),
        (('cases = ["ball.toml"]', 'cases = ["ball.toml", "ball.toml"]'), "one case on one anatomy"),
    ],
)
def test_bad_searches_are_told(tmp_path: Path, change: tuple[str, str], words: str) -> None:
    probed = (
        CASE.replace("2 min", "10 s")
        + '[probes.middle]\nposition = ["0 mm", "0 mm", "0 mm"]\nfields = ["temperature"]\n'
    )
    text = SOUGHT.replace(*change).replace("TARGET", "60")
    with pytest.raises(CaseError, match=words):
        run_batch(written(tmp_path, text, probed), tmp_path / "out")


def test_validate_says_what_a_sweep_asks_for(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = written(tmp_path, GRID)
    assert main(["validate", str(path)]) == 0
    said = capsys.readouterr().out
    assert "sweep.toml: valid sweep of 4 runs" in said
    assert "heating.amplitude: 2 values, 10 kA/m, 20 kA/m" in said
    assert "ball: 1,331 nodes: a run takes about 0.4 GB of memory and, by a rough guess, about" in said
    assert main(["validate", str(written(tmp_path, DRAWN))]) == 0
    said = capsys.readouterr().out
    assert "valid sweep of 9 runs" in said
    # a lognormal distribution ends at three standard deviations of the logarithm: 1.3 ** 3 = 2.197
    assert "tissues.liver.perfusion: 0.4552 to 2.197 times its value, 1 in the middle" in said
    assert "anatomy.shapes.0.centre.0: -3 to 3 mm more than its value" in said


@pytest.mark.parametrize(
    ("sweep", "words"),
    [
        (GRID.replace("heating.amplitude", "heating.amplitud"), "sweep.toml:6: heating.amplitud: unknown key"),
        (GRID.replace('"10 kA/m"', '"10 mm"'), 'sweep.toml:6: heating.amplitude: "10 mm" is a length; expected'),
        (GRID.replace('["4 mg/ml", "8 mg/ml"]', "[]"), 'sweep.toml:5: grid."delivery.concentration": has 0 entries'),
        (GRID.replace('"ball.toml"', '"bal.toml"'), 'bal.toml: no such file; did you mean "'),
        (DRAWN.replace("centre.0", "centr.0"), "sweep.toml:12: anatomy.shapes.0.centr.0: the case has"),
        (DRAWN.replace('mean = "0 mm"', 'mean = "90 mm"'), "delete it (with tissues.liver.perfusion = "),
        (
            GRID + '[[rows]]\n"heating.amplitude" = "1 kA/m"\n',
            "sweep.toml: sweep: heating.amplitude is set by grid and by rows; leave it to one of them",
        ),
    ],
)
def test_what_is_wrong_with_a_sweep_has_its_place(
    sweep: str, words: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["validate", str(written(tmp_path, sweep))]) == 2
    assert words in capsys.readouterr().err


def test_cases_and_sweeps_are_told_apart(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = written(tmp_path, GRID)
    assert main(["run", str(path)]) == 2
    assert "sweep.toml:3: cases: is a list of cases, so the file is a sweep" in capsys.readouterr().err
    assert main(["batch", str(tmp_path / "ball.toml")]) == 2
    assert "anatomy: belongs to a case; expected a sweep" in capsys.readouterr().err
    assert main(["validate", str(path), "--set", "heating.amplitude=1 kA/m"]) == 2
    assert "is a sweep, which --set and --anatomy do not change" in capsys.readouterr().err


def test_limits_cost_only_beyond(tmp_path: Path) -> None:
    goal = Goal(at_least="5 mm", at_most="10 mm", within="2 mm")
    misses = [miss(goal, 1e-3 * value, "m", "zone.minimum_margin") for value in (1.0, 5.0, 7.0, 10.0, 11.0)]
    assert misses == pytest.approx([2.0, 0.0, 0.0, 0.0, 0.5], abs=1e-12)


def test_the_index_as_parquet(grid: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """The same columns, numbers as numbers; without pyarrow none is left that is not true."""
    parquet = pytest.importorskip("pyarrow.parquet")
    rows = index(grid / "out")
    table = parquet.read_table(grid / "out" / "index.parquet")
    assert table.column_names == list(rows[0])
    for name in ("run", "heating.amplitude", "status"):
        assert table[name].to_pylist() == [row[name] for row in rows]
    for name in ("zone.volume (m^3)", "peak_temperature (degC)"):
        assert table[name].to_pylist() == [float(row[name]) for row in rows]
    assert table["message"].to_pylist() == [""] * 4
    copy = tmp_path / "index.parquet"
    copy.write_bytes(b"of another batch")
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    held = BatchFolder.open(tmp_path)
    try:
        assert held.write_index([], {}) == [tmp_path / "index.csv"]
    finally:
        held.lock.release()
    assert not copy.exists()


SBATCH = """\
#!/bin/sh
# What sbatch does, on this machine: the script is run in the background.
cp "$1" "{folder}/$$.job"
setsid sh "{folder}/$$.job" >"{folder}/$$.log" 2>&1 &
echo $! >>"{folder}/pids"
echo "Submitted batch job $!"
"""
SCANCEL = "#!/bin/sh\nkill -- -$1\n"


def test_slurm_jobs_do_the_same(grid: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Through dask-jobqueue, with programs that stand in for sbatch and scancel and run the job scripts here."""
    if importlib.util.find_spec("dask_jobqueue") is None:  # importing it here would change what Ctrl-C does
        pytest.skip("dask-jobqueue is not installed")
    for name, text in (("sbatch", SBATCH.format(folder=tmp_path)), ("scancel", SCANCEL)):
        program = tmp_path / "bin" / name
        program.parent.mkdir(exist_ok=True)
        program.write_text(text)
        program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path / 'bin'}:{os.environ['PATH']}")
    options = {"memory": "2GB", "walltime": "00:20:00", "interface": "lo"}
    before = signal.getsignal(signal.SIGINT)
    done = run_batch(written(tmp_path, GRID), tmp_path / "out", jobs=2, slurm=options)
    assert done.failed == {}
    assert signal.getsignal(signal.SIGINT) is before
    assert len(list(tmp_path.glob("*.job"))) >= 2
    for one, other in zip(index(tmp_path / "out"), index(grid / "out"), strict=True):
        assert (one["run"], one["zone.volume (m^3)"]) == (other["run"], other["zone.volume (m^3)"])
    until(lambda: not any(Path(f"/proc/{pid}").exists() for pid in (tmp_path / "pids").read_text().split()))


def test_the_script_of_a_slurm_job(capsys: pytest.CaptureFixture[str]) -> None:
    if importlib.util.find_spec("dask_jobqueue") is None:  # importing it here would change what Ctrl-C does
        pytest.skip("dask-jobqueue is not installed")
    words = " ".join(
        f"--slurm {text}" for text in ("memory=4GB", "walltime=03:00:00", "queue=short", "interface=lo")
    ).split()
    assert main(["batch", "sweep.toml", "--script", *words]) == 0
    script = capsys.readouterr().out
    for line in ("#SBATCH -p short", "#SBATCH --cpus-per-task=1", "#SBATCH --mem=4G", "#SBATCH -t 03:00:00"):
        assert line in script
    assert "--nthreads 1" in script
    assert main(["batch", "sweep.toml", "--script", "--slurm", "memory"]) == 2
    assert 'found "memory"; expected KEY=VALUE' in capsys.readouterr().err
    assert main(["batch", "sweep.toml", "--script", "--slurm", "walltime=03:00:00"]) == 2
    assert "how much memory" in capsys.readouterr().err
    assert main(["batch", "sweep.toml", "--script", "--slurm", "memory=1GB", "--slurm", "kores=2"]) == 2
    assert "kores" in capsys.readouterr().err


# ------------------------------------------------------------------------------------------------ statistics


def test_probability_is_the_share_of_runs_that_ablate(tmp_path: Path) -> None:
    text = DRAWN.partition("[priors.placement]")[0]
    done = run_batch(written(tmp_path, text), tmp_path / "out")
    assert done.failed == {}
    made = read_run(tmp_path / "out" / "probability_0")
    assert zone_label(made) == "ablation zone (Arrhenius damage in 95 % of the runs or more)"
    probability = made.static["probability_of_ablation"].values
    runs = [
        simulate(member.load(), tmp_path / f"r{i}")
        for i, member in enumerate(expand(load_sweep(tmp_path / "sweep.toml")))
    ]
    ablated = [run.static[run.zone_field].values >= run.zone_level for run in runs]
    np.testing.assert_allclose(probability, np.mean(ablated, axis=0), atol=1e-12)
    assert 0.0 < probability.mean() < 1.0
    assert {row["status"] for row in index(tmp_path / "out")} == {"done"}
    assert not list((tmp_path / "out").glob("runs/*/fields.h5"))
    entry = json.loads((tmp_path / "out" / "statistics.json").read_text())["groups"][0]
    volumes = [run.value("zone.volume") for run in runs]
    assert entry["quantiles"]["zone.volume"]["50%"] == pytest.approx(np.median(volumes), rel=1e-12)
    assert entry["sensitivity"]["peak_temperature"]["tissues.liver.perfusion"][0] < -0.9  # blood cools


def table(points: Any, values: Any) -> Table:
    names = [f"x{i}" for i in range(points.shape[1])]
    members: list[Named] = []
    return Table("a test", members, points, names, {"outcome": values}, {"outcome": ""}, True)


def test_sobol_shares_of_a_product() -> None:
    """y = x0 + 2 x1 x2 on the unit cube, total indices from its variance: 1/12, and of the product 4 (1/9 - 1/16)."""
    sample = Sample(method="sobol", count=5 * 4096, seed=2)
    points = design(sample, 3)
    found = sensitivity(sample, table(points, points[:, 0] + 2.0 * points[:, 1] * points[:, 2]))["outcome"]
    product = 4.0 * (1.0 / 9.0 - 1.0 / 16.0)
    total = 1.0 / 12.0 + product
    alone = 4.0 * (0.25 / 12.0)  # the variance that x1 alone explains, and likewise x2
    expected = [1.0 / 12.0 / total, (product - alone) / total, (product - alone) / total]
    assert [found[name][0] for name in ("x0", "x1", "x2")] == pytest.approx(expected, abs=0.01)


def test_morris_effects_of_a_line() -> None:
    sample = Sample(method="morris", count=80, seed=2)
    points = design(sample, 3)
    found = sensitivity(sample, table(points, points @ np.array([3.0, -2.0, 0.0])))["outcome"]
    assert [found[name][0] for name in ("x0", "x1", "x2")] == pytest.approx([3.0, 2.0, 0.0], abs=1e-9)


@pytest.mark.parametrize("method", ["sobol", "morris"])
def test_a_design_with_a_run_missing_says_nothing(method: Literal["sobol", "morris"]) -> None:
    sample = Sample(method=method, count=64, seed=2)
    points = design(sample, 3)
    whole = table(points, points @ np.array([3.0, -2.0, 1.0]))
    assert set(sensitivity(sample, whole)) == {"outcome"}
    short = {name: values[1:] for name, values in whole.outcomes.items()}
    assert sensitivity(sample, replace(whole, inputs=points[1:], outcomes=short, complete=False)) == {}


def test_statistics_need_all_runs_of_a_design(tmp_path: Path) -> None:
    """With a run missing, Sobol's measures would be wrong without a word; they are left out."""
    text = DRAWN.replace('method = "latin_hypercube", count = 9', 'method = "sobol", count = 8').replace(
        '"zone"', '"summary"'
    )
    sweep = load_sweep(written(tmp_path, text))
    members = named(expand(sweep), sweep)
    rng = np.random.default_rng(0)
    outcomes = {
        m.name: Outcome(m.name, "done", "", {"zone.volume": {"value": float(rng.random()), "unit": "m^3"}})
        for m in members
    }
    write_statistics(sweep, members, outcomes, tmp_path)
    groups = json.loads((tmp_path / "statistics.json").read_text())["groups"]
    assert set(groups[0]["sensitivity"]) == {"zone.volume"}
    first = members[0].name
    outcomes[first] = Outcome(first, "failed", "a reason")
    write_statistics(sweep, members, outcomes, tmp_path)
    groups = json.loads((tmp_path / "statistics.json").read_text())["groups"]
    assert "sensitivity" not in groups[0]
    assert "a reason" in (tmp_path / "report.md").read_text()


assert statistics.FEWEST == 8  # the design above has just as many runs


@pytest.mark.realdata
@pytest.mark.parametrize(
    "path", sorted((Path(__file__).parent.parent / "cases" / "sweeps").glob("*.toml")), ids=lambda path: path.stem
)
def test_the_sweeps_of_the_repository_are_valid(path: Path) -> None:
    sweep = load_sweep(path)
    points = None if sweep.search is None else start(sweep.search, len(sweep.priors))
    members = named(expand(sweep, points), sweep)
    assert len({member.name for member in members}) == len(members) >= 10
