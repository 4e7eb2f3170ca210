"""Error bands: they hold the true error, say what they compared with, and survive interruptions."""

from __future__ import annotations

import itertools
import signal
from functools import partial
from pathlib import Path

import catalogue_reference as theory
import numpy as np
import pytest
from conftest import CATALOGUE
from scenes import cube
from scipy.optimize import brentq
from scripts import script

from thermal import load_case, simulate, simulation
from thermal.anatomy.grid import Refine, Window, coarser, make_axes
from thermal.cli import main
from thermal.comparison.measures import MEASURES
from thermal.engines.voxel_heat import VoxelStepper
from thermal.errors import CaseError
from thermal.heat import Stepped
from thermal.simulation import accuracy
from thermal.simulation.accuracy import band, estimate, times
from thermal.simulation.accuracy import companion as make_companion
from thermal.simulation.envelope import Found, extremes
from thermal.store import Run, RunFolder, read_run
from thermal.units import Array
from thermal.zone import Extent, measure_zone

BODY, MM = 37.0, 1e-3
TISSUE = theory.Tissue(0.5, 1060.0 * 3600.0, 6.4e-3 * 4.18e6)
ISOTHERM = 46.0  # degC; above it Omega passes one within minutes, so it is the border of the zone
ON = ("numerics.error_estimate=true", f"damage.arrhenius.onset={ISOTHERM} degC")


def run(folder: Path, name: str, *overrides: str) -> Run:
    return simulate(load_case(CATALOGUE / f"{name}.toml", [*ON, *overrides]), folder / name)


# ------------------------------------------------------------------------------------------------ the arithmetic


@pytest.mark.parametrize(("order", "ratio", "safety"), [(2, 1.3, 3.0), (2, 0.5, 3.0), (1, 2.0, 1.25), (1, 1.6, 1.25)])
def test_a_band_is_three_errors_of_second_order_and_no_less_than_one_and_a_quarter_of_first(
    order: int, ratio: float, safety: float
) -> None:
    def value(h: float) -> float:
        return 5.0 + 0.3 * h**order

    assert band(value(1.0), value(ratio), ratio) == pytest.approx(safety * 0.3)


# ------------------------------------------------------------------------------------------------ agreement by luck


def ball_at(x: float, spacing: float, radius: float = 9 * MM) -> Found:
    """A zone around a place on the x axis, in a tumour of 8 mm about the origin; its measure falls by 1 K/mm."""
    engine = cube(16 * MM, spacing, {"tumour": lambda at: np.clip(0.5 + (8 * MM - norm(at)) / spacing, 0.0, 1.0)})
    measure = (radius - norm(engine.points - [x, 0.0, 0.0])) / MM
    return Found(engine, Extent(measure, 0.0), BODY + measure, "tumour")


def norm(at: Array) -> Array:
    return np.asarray(np.linalg.norm(at, axis=1))


def bands_of(own: Found, other: Found, ratio: float) -> dict[str, float]:
    """As if both runs had the same totals."""
    case = load_case(CATALOGUE / "pen07.toml")
    totals = measure_zone(own.engine, *own.zone, "tumour").as_readings()
    totals |= {"peak_temperature": (float(own.hottest.max()), "degC")}
    made = accuracy.Companion(case, ratio, "another grid")
    same = {key: entry(value) for key, (value, _) in totals.items()}
    found = estimate(totals, made, same, partial(extremes, own, other)).entries
    return {key: found[f"error.{key}"][0] for key in accuracy.QUANTITIES}


@pytest.mark.parametrize(("own", "other"), [(2 * MM, 3.2 * MM), (3.2 * MM, 2 * MM)])
def test_zones_of_one_size_that_lie_elsewhere_have_bands(own: float, other: float) -> None:
    """1 mm apart, the borders are half a millimetre apart in the mean."""
    ratio = other / own
    bands = bands_of(ball_at(0.5 * MM, own), ball_at(-0.5 * MM, other), ratio)
    factor = times(ratio)
    once = 4.0 * np.pi * (9 * MM) ** 2 * 0.5 * MM
    assert 0.8 * once * factor < bands["zone.volume"] < 3.0 * once * factor
    assert bands["zone.tumour_coverage"] > 0.1
    assert bands["zone.minimum_margin"] == pytest.approx(1 * MM * factor, rel=0.3)


@pytest.mark.parametrize(("own", "other"), [(2 * MM, 3.2 * MM), (3.2 * MM, 2 * MM)])
def test_fields_that_agree_have_no_bands(own: float, other: float) -> None:
    """But for what is bent between the nodes of the finer grid: h^2 / 8 r in each direction across the radius."""
    bands = bands_of(ball_at(MM, own), ball_at(MM, other), other / own)
    bent = times(other / own) * (2 * MM) ** 2 / (4.0 * 8 * MM)
    assert bands["zone.volume"] < 4.0 * np.pi * (9 * MM) ** 2 * bent
    assert bands["zone.minimum_margin"] < bent


def test_bands_hold_where_a_point_in_perfused_tissue_lies_off_the_grid(tmp_path: Path) -> None:
    """PEN-06 in a grid where the volumes of both runs differ by a thirtieth of what they are off."""
    where, power = ["0.9 mm", "0.3 mm", "-0.2 mm"], 1.0
    made = run(
        tmp_path, "pen06", 'anatomy.origin=["-30 mm", "-30 mm", "-30 mm"]', "anatomy.voxel_size=5.333333 mm",
        'anatomy.refine={centre=["1.42 mm","0.9 mm","0.26 mm"],size="24 mm",voxel_size="2 mm",growth=1.566}',
        f'heating.sources=[{{shape="point",position={where},power="{power} W"}}]',
        'damage.laws=["isotherm"]', "damage.isotherm.lethal_temperature=50 degC", 'zone.law="isotherm"',
    )  # fmt: skip

    def rise(r: float) -> float:
        return theory.point_source(TISSUE, power, r, 300.0)

    radius = float(brentq(lambda r: rise(r) - 13.0, 1 * MM, 10 * MM))
    volume = 4.0 / 3.0 * np.pi * radius**3
    coarse = read_run(made.folder / "companion").value("zone.volume")
    off = abs(made.value("zone.volume") - volume)
    assert band(made.value("zone.volume"), coarse, made.value("error.ratio")) < off  # what luck would have
    assert off <= made.value("error.zone.volume") < volume


# ------------------------------------------------------------------------------------------------ true errors


def border(rise: object, low: float, high: float) -> float:
    """Radius of the isotherm of the zone, m."""
    return float(brentq(lambda r: rise(r) - (ISOTHERM - BODY), low, high))  # type: ignore[operator]


@pytest.mark.parametrize("h", ["1 mm", "2 mm"])
def test_bands_hold_the_true_error_of_a_heated_ball(tmp_path: Path, h: str) -> None:
    """PEN-03 at rest: peak, zone, cover and margin are known from the isotherm."""
    made = run(tmp_path, "pen03", f"anatomy.refine.voxel_size={h}")

    def rise(r: float) -> float:
        return float(theory.heated_ball(TISSUE, 5e5, 10 * MM, r))

    radius = border(rise, 1 * MM, 10 * MM)
    truth = {
        "peak_temperature": BODY + rise(0.0),
        "zone.volume": np.pi / 6.0 * radius**3,  # an eighth of the ball
        "zone.tumour_coverage": (radius / (10 * MM)) ** 3,
        "zone.minimum_margin": radius - 10 * MM,
    }
    for key, true in truth.items():
        half = made.value(f"error.{key}")
        assert abs(made.value(key) - true) <= half, key
    assert made.value("error.peak_temperature") < 0.2 * rise(0.0)  # a band that says something
    assert made.value("error.zone.volume") < 0.5 * truth["zone.volume"]
    assert made.value("warnings") == []


@pytest.mark.parametrize("h", ["1 mm", "2 mm"])
def test_bands_hold_the_true_error_of_a_gaussian_source(tmp_path: Path, h: str) -> None:
    made = run(tmp_path, "pen07", f"anatomy.refine.voxel_size={h}")

    def rise(r: float) -> float:
        return float(theory.gaussian_source(TISSUE, 5e6, 5 * MM, r, 0.0, 3000.0, 3))

    assert abs(made.value("peak_temperature") - BODY - rise(0.0)) <= made.value("error.peak_temperature")
    volume = np.pi / 6.0 * border(rise, 1 * MM, 30 * MM) ** 3
    assert abs(made.value("zone.volume") - volume) <= made.value("error.zone.volume") < 0.2 * volume
    assert "error.zone.tumour_coverage" not in made.summary  # there is no tumour


def test_bands_shrink_with_the_square_of_the_spacing(tmp_path: Path) -> None:
    """On grids whose companions are coarser by the same ratio."""
    runs = [run(tmp_path / h, "pen07", f"anatomy.refine.voxel_size={h} mm") for h in ("1.6", "3.2")]
    assert runs[0].value("error.ratio") == pytest.approx(runs[1].value("error.ratio"))
    bands = [each.value("error.peak_temperature") for each in runs]
    assert 2.5 < bands[1] / bands[0] < 6.0  # four, with what is not yet asymptotic


def ball(folder: Path, half_plane: bool, *options: str) -> Run:
    """The heated ball on tetrahedra or on triangles of a half-plane."""
    mesh, write = folder / "ball.msh", script("make_half_plane" if half_plane else "make_ball_mesh").write
    folder.mkdir(exist_ok=True)
    write(mesh, 10.0, 45.0, *((2.5,) if half_plane else (2, (0.0, 0.0, 0.0))))
    plane = ("anatomy.half_plane=xy",) if half_plane else ()
    return run(folder, "pen03_mesh", f"anatomy.file={mesh}", "output.every=800 s", *plane, *options)


@pytest.mark.parametrize("half_plane", [False, True])
def test_bands_of_a_mesh_hold_the_true_error(tmp_path: Path, half_plane: bool) -> None:
    """PEN-03 at rest; what the mesh does not show, the round border between its nodes, is in no band."""
    made = ball(tmp_path, half_plane)
    radius = border(lambda r: float(theory.heated_ball(TISSUE, 5e5, 10 * MM, r)), 1 * MM, 10 * MM)
    truth = {
        "peak_temperature": BODY + float(theory.heated_ball(TISSUE, 5e5, 10 * MM, 0.0)),
        "zone.volume": 4.0 * np.pi / 3.0 * radius**3,
    }
    for key, true in truth.items():
        assert abs(made.value(key) - true) <= made.value(f"error.{key}"), key
    assert made.value("error.ratio") == 0.5
    assert made.value("error.companion") == (
        f"every cell divided into {4 if half_plane else 8} and time steps 2 times shorter"
    )
    assert not any("error_estimate" in warning for warning in made.value("warnings"))
    other = read_run(made.folder / "companion")
    assert other.resolved["anatomy"]["refinements"] == 1
    assert other.value("steps") > made.value("steps")


def test_on_a_mesh_too_large_to_divide_the_steps_alone_are_longer_and_it_says_so(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("thermal.anatomy.mesh._MOST_COMPANION", 1000)
    made = ball(tmp_path, False, "bioheat.duration=100 s")
    assert any("too large to divide" in warning for warning in made.value("warnings"))
    assert "on the same mesh" in made.value("error.companion")
    assert 1.1 < made.value("error.ratio") <= 2.0
    assert made.value("steps") > read_run(made.folder / "companion").value("steps")
    tight = ball(tmp_path / "tight", False, "bioheat.duration=100 s", "numerics.temperature_tolerance=0.0002 K")
    off = abs(made.value("peak_temperature") - tight.value("peak_temperature"))
    assert off <= made.value("error.peak_temperature") < 0.5


def test_steps_that_cannot_be_longer_give_no_band() -> None:
    case = load_case(CATALOGUE / "pen07.toml")
    made = accuracy.Companion(case, None, "time steps 2 times longer on the same mesh")
    coarse = {"steps": {"value": 100, "unit": ""}, "zone.volume": {"value": 2.0, "unit": "m^3"}}
    found = estimate({"steps": (104, ""), "zone.volume": (1.0, "m^3")}, made, coarse, alike)
    assert "error.zone.volume" not in found.entries
    assert any("only 1.04 times longer" in warning for warning in found.warnings)


def entry(value: float) -> dict[str, object]:
    return {"value": value, "unit": ""}


def alike(times: float) -> tuple[dict[str, float], ...]:
    """Fields that do not differ."""
    return ()


def test_an_empty_zone_has_no_band() -> None:
    """Nought in both runs would be a band of nought, whatever the temperatures may be off by."""
    made = accuracy.Companion(load_case(CATALOGUE / "pen07.toml"), 1.5, "larger voxels")
    fine = {"zone.volume": (0.0, "m^3"), "zone.minimum_margin": (-0.004, "m"), "peak_temperature": (45.0, "degC")}
    coarse = {key: entry(value) for key, (value, _) in fine.items()} | {"peak_temperature": entry(44.0)}
    found = estimate(fine, made, coarse, alike)
    assert [key for key in found.entries if "zone" in key] == []
    assert "error.peak_temperature" in found.entries
    assert [("zone is empty" in warning) for warning in found.warnings] == [True]


@pytest.mark.parametrize(("peak", "stated"), [(99.7, False), (98.0, True), (120.0, True)])
def test_a_peak_that_boils_in_both_runs_has_no_band(peak: float, stated: bool) -> None:
    """Between 99 and 100 degC it is the latent heat that tells them apart."""
    case = load_case(CATALOGUE / "ste06.toml")
    made = accuracy.Companion(case, 1.5, "larger voxels")
    found = estimate({"peak_temperature": (peak, "degC")}, made, {"peak_temperature": entry(99.6)}, alike)
    assert ("error.peak_temperature" in found.entries) == stated
    assert any("boils in both runs" in warning for warning in found.warnings) != stated


def test_a_quantity_that_only_one_run_has_is_named() -> None:
    made = accuracy.Companion(load_case(CATALOGUE / "pen07.toml"), 1.5, "larger voxels")
    coarse = {"zone.volume": {"value": 2.0, "unit": "m^3"}, "zone.minimum_margin": {"value": None, "unit": "m"}}
    found = estimate({"zone.volume": (1.0, "m^3"), "zone.minimum_margin": (0.001, "m")}, made, coarse, alike)
    assert found.entries["error.zone.volume"] == (pytest.approx(2.5), "m^3")
    assert "error.zone.minimum_margin" not in found.entries
    assert any("zone.minimum_margin" in warning for warning in found.warnings)


# ------------------------------------------------------------------------------------------------ the coarser grid


@pytest.mark.parametrize("count", [14, 15, 16, 28, 30, 47, 60])
def test_a_coarser_grid_keeps_the_parity_of_its_cells(count: int) -> None:
    axes, _ = make_axes(Window((0.0, 0.0, 0.0), (0.06, 0.06, 0.06), (0.06 / count,) * 3))
    made = coarser(axes, (0.06 / count,) * 3, None)
    again, _ = make_axes(Window((0.0, 0.0, 0.0), (0.06, 0.06, 0.06), made.changes["voxel_size"]))
    fewer = len(again[0]) - 1
    assert made.ratio == pytest.approx(count / fewer)
    assert 1.5 - 1e-9 <= made.ratio <= 2.2
    assert (count - fewer) % 2 == 0


def test_axes_of_one_cell_stay_and_do_not_count() -> None:
    axes, _ = make_axes(Window((0.0, 0.0, 0.0), (0.06, 0.001, 0.001), (0.001, 0.001, 0.001)))
    made = coarser(axes, (0.001, 0.001, 0.001), None)
    assert made.ratio == pytest.approx(1.5)
    assert made.changes["voxel_size"] == pytest.approx((0.0015, 0.001, 0.001))
    single, _ = make_axes(Window((0.0, 0.0, 0.0), (0.003, 0.001, 0.001), (0.001, 0.001, 0.001)))
    with pytest.raises(CaseError, match=r"numerics\.error_estimate: a grid of 3 x 1 x 1 voxels"):
        coarser(single, (0.001, 0.001, 0.001), None)


def test_refined_boxes_and_what_is_around_them_are_coarser_alike() -> None:
    size, base = (0.08, 0.08, 0.08), (0.004, 0.004, 0.004)
    refine = Refine.model_construct(
        centre=(0.04, 0.04, 0.04), size=(0.02, 0.02, 0.02), voxel_size=(0.001, 0.001, 0.001), growth=1.2
    )
    axes, _ = make_axes(Window((0.0, 0.0, 0.0), size, base, refine))
    made = coarser(axes, base, refine)
    again, _ = make_axes(Window((0.0, 0.0, 0.0), size, made.changes["voxel_size"], made.changes["refine"]))
    for fine, coarse in zip(axes, again, strict=True):
        assert np.diff(coarse).min() / np.diff(fine).min() == pytest.approx(made.ratio, rel=0.02)
        assert np.diff(coarse).max() / np.diff(fine).max() == pytest.approx(made.ratio, rel=0.1)
        assert made.ratio * (len(coarse) - 1) == pytest.approx(len(fine) - 1, rel=0.1)


def test_the_grid_of_the_light_is_coarser_too() -> None:
    case = load_case(CATALOGUE / "two_fibres.toml")
    prepared = simulation.prepare(case, lambda stage, share: None)
    made = make_companion(case, prepared.anatomy.domain, prepared.source)
    assert made.ratio is not None
    used = prepared.source.summary["light.spacing"].value
    assert made.case.heating.light_spacing == pytest.approx(made.ratio * used)  # type: ignore[union-attr]


def test_a_coarser_run_that_is_refused_says_why_the_run_is(tmp_path: Path) -> None:
    """A layer that takes 30 % of its nodes' volume on the grid of the run, and 20 % on the coarser one."""
    path = tmp_path / "thin.toml"
    layer = """
shapes = [{ shape = "box", region = "blood", centre = ["0 mm", "0 mm", "0 mm"], size = ["12 mm", "12 mm", "1.2 mm"] }]
[heating]
kind = "temperature"
region = "blood"
schedule = [["0 s", "60 degC"]]
"""
    start, end = CASE.index("[heating]"), CASE.index("[bioheat]")
    path.write_text(CASE[:start] + layer.lstrip() + CASE[end:])
    out = tmp_path / "out"
    with pytest.raises(
        CaseError, match=r"numerics\.error_estimate: no run with voxels of 3 x 3 x 3 mm.*quarter of any"
    ):
        simulate(load_case(path), out)
    assert not out.exists()
    assert simulate(load_case(path, ["numerics.error_estimate=false"]), out).value("peak_temperature") > 59.0


# ------------------------------------------------------------------------------------------------ folders


CASE = """\
schema_version = 1
[anatomy]
kind = "phantom"
size = "12 mm"
voxel_size = "2 mm"
background = "liver"
[heating]
kind = "prescribed"
sources = [{ shape = "gaussian", centre = ["0 mm", "0 mm", "0 mm"], sigma = "3 mm", peak = "4 W/cm^3" }]
[bioheat]
duration = "60 s"
[numerics]
error_estimate = true
[output]
pictures = false
checkpoint = "1 ms"
"""


@pytest.fixture
def case_file(tmp_path: Path) -> Path:
    path = tmp_path / "small.toml"
    path.write_text(CASE)
    return path


@pytest.mark.parametrize("after", [1, 4, 12, 20])
def test_an_interrupted_run_ends_as_if_it_had_not_been(
    tmp_path: Path, case_file: Path, monkeypatch: pytest.MonkeyPatch, after: int
) -> None:
    """Interrupted in the coarser run and in the run itself."""
    case = load_case(case_file)
    whole = simulate(case, tmp_path / "whole")
    steps = int(whole.value("steps")) + int(read_run(whole.folder / "companion").value("steps"))
    assert steps > 22
    counter = itertools.count()
    advance = VoxelStepper.advance

    def interrupted(self: VoxelStepper, step: float, stages: int, bearable: float) -> Stepped:
        stepped = advance(self, step, stages, bearable)
        if next(counter) == after:
            signal.raise_signal(signal.SIGINT)  # amid a step, when the arrays are already those of its end
        return stepped

    out = tmp_path / "out"
    monkeypatch.setattr(VoxelStepper, "advance", interrupted)
    with pytest.raises(KeyboardInterrupt):
        simulate(case, out)
    monkeypatch.setattr(VoxelStepper, "advance", advance)
    with RunFolder.open(out, case, resume=True) as folder:
        simulate(case, folder)
    assert _numbers(read_run(out)) == _numbers(whole)


def _numbers(run: Run) -> dict[str, object]:
    return {k: v for k, v in run.summary.items() if k not in ("wall_time", "peak_memory")}


def test_the_coarser_run_is_made_again_only_when_the_run_is(tmp_path: Path, case_file: Path) -> None:
    case, out = load_case(case_file), tmp_path / "out"
    simulate(case, out)
    companion = out / "companion"
    first = (companion / "summary.json").stat().st_mtime_ns
    with RunFolder.open(out, case, resume=True) as folder:
        assert folder.finished
    with RunFolder.open(out, case, force=True) as folder:
        assert not companion.exists()
        simulate(case, folder)
    assert (companion / "summary.json").stat().st_mtime_ns != first
    assert read_run(companion).resolved["numerics"]["error_estimate"] is False


def test_the_bands_are_printed_and_compared(
    tmp_path: Path, case_file: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    case_file.write_text(CASE.replace("error_estimate = true", ""))
    assert main(["run", str(case_file), "--out", str(tmp_path / "out"), "--error-estimate"]) == 0
    printed = capsys.readouterr().out
    assert "voxels of 3 x 3 x 3 mm and time steps 1.5 times longer" in printed
    result = read_run(tmp_path / "out")
    peak, half = result.value("peak_temperature"), result.value("error.peak_temperature")
    assert f"{peak:.4g} degC +/- {half:.2g} degC" in printed
    assert result.resolved["numerics"]["error_estimate"] is True
    measure = next(measure for measure in MEASURES if measure.keys == ("peak_temperature",))
    assert measure.text(result.summary) == f"{peak:.1f} ± {half:.2g}"
    bare = {key: entry for key, entry in result.summary.items() if not key.startswith("error.")}
    assert measure.text(bare) == f"{peak:.1f}"
