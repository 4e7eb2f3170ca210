"""``thermal control`` and ``thermal assess``: a treatment that is watched, and what came of it."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

from thermal.commands.options import DONE, PURPOSE, AnatomyName, Force, Quiet, Set


def assess(
    run: Path,
    /,
    *,
    against: Annotated[
        Path | None,
        Parameter(help="Zone seen after the treatment: NIfTI, DICOM SEG or series; default: the run's own."),
    ] = None,
    label: Annotated[
        int | None, Parameter(help="Label or segment that is the zone; needed where there are several.")
    ] = None,
    margin: Annotated[str, Parameter(help="Wanted around the tumour, in its organ.")] = "5 mm",
    out: Annotated[Path | None, Parameter(name=["--out", "-o"], help="Folder; default: RUN/assessment.")] = None,
) -> int:
    """Margins, residual tumour, agreement with the plan, and where a next treatment covers the rest."""
    from thermal.errors import CaseError
    from thermal.guidance.assess import assess as judge
    from thermal.guidance.assess import read_segmented, write_assessment
    from thermal.store import read_run
    from thermal.units import parse

    try:
        wanted = parse(margin, "m")
    except ValueError as error:
        raise CaseError(f"--margin: {error}") from None
    image = None if against is None else read_segmented(against, label)
    result = read_run(run)
    found = judge(result, image, wanted)
    folder = out if out is not None else result.folder / "assessment"
    for path in write_assessment(found, folder):
        print(f"wrote {path}")
    for name, (value, unit) in found.readings.items():
        if name.startswith(("zone.volume", "zone.tumour", "zone.min", "margin.", "residual", "agreement", "target")):
            factor, shown = {"m": (1e3, "mm"), "m^3": (1e6, "ml")}.get(unit, (1.0, unit))
            print(f"  {name:<40} {value * factor:.4g} {shown}")
    print(f"  {found.verdict}")
    for number, step in enumerate(found.steps, 1):
        x, y, z = (1e3 * s for s in step.shift)
        print(
            f"  next {number}: the planned zone moved by ({x:.1f}, {y:.1f}, {z:.1f}) mm (RAS), covers {step.covers:.1%}"
        )
    print(PURPOSE)
    return DONE


def _draw(folder: Path) -> None:
    """Draw plan and control; a machine without graphics gets no picture, and is told so."""
    try:
        from thermal.view.controlled import draw_control
    except ImportError as error:  # a system library that VTK is linked to
        logging.getLogger("thermal").warning("no picture: %s; thermal doctor says what to install", error)
        return
    print(f"wrote {draw_control(folder)}")


def _kept(excess: float) -> str:
    return f"passed by {excess:.2f} K" if excess > 0.0 else f"kept with {-excess:.2f} K to spare"


def control(
    case: Path,
    /,
    *,
    out: Annotated[Path | None, Parameter(name=["--out", "-o"], help="Folder; default: results/NAME.")] = None,
    set: Set = None,
    anatomy: AnatomyName = None,
    force: Force = False,
    quiet: Quiet = False,
) -> int:
    """Treat a patient who is not as the case says, by the plan and under control ([control]); goes on where it was."""
    from thermal.guidance.control import control_case
    from thermal.progress import progress

    try:
        with progress("control", quiet) as report:
            found = control_case(case, out, set=set, anatomy=anatomy, progress=report, force=force)
    except KeyboardInterrupt as error:
        error.add_note("the same command goes on where it stopped")
        raise
    for time, estimate in found.estimates.items():
        print(f"  at {time:g} s: {estimate.text()}")
    for name, treated in (("by the plan", found.open), ("controlled", found.closed)):
        needle = treated.run.summary.get("delivery.port_pressure")
        print(
            f"  {name:<12} heated {treated.heated_for / 60.0:5.1f} min, tumour covered {treated.coverage:7.2%}, margin "
            f"{1e3 * float(treated.run.value('zone.minimum_margin')):6.2f} mm, healthy tissue lost "
            f"{1e6 * float(treated.run.value('zone.healthy_volume')):6.2f} ml, limits {_kept(treated.excess)}"
            + ("" if needle is None else f", needle {1e-3 * float(needle['value']):.0f} kPa")
        )
    if -found.caution < found.open.excess <= 0.0:
        taken = found.caution + found.open.excess
        print(f"  the plan was to keep {found.caution:g} K off every limit; that it took up {taken:.2f} K nobody saw")
    folder = found.closed.run.folder.parent
    print(f"wrote {folder / 'control.json'}")
    if found.closed.run.resolved["output"]["pictures"]:
        _draw(folder)
    print(PURPOSE)
    return DONE


def plan(
    case: Path,
    /,
    *,
    out: Annotated[Path | None, Parameter(name=["--out", "-o"], help="Folder; default: results/NAME_plan.")] = None,
    set: Set = None,
    anatomy: AnatomyName = None,
    quiet: Quiet = False,
) -> int:
    """Search for the placement and power of a case ([plan]) that cover tumour and margin; goes on where it stopped."""
    from thermal.guidance.plan import plan_case
    from thermal.progress import progress

    try:
        with progress("plan", quiet) as report:
            found = plan_case(case, out, set=set, anatomy=anatomy, progress=report)
    except KeyboardInterrupt as error:
        error.add_note("the same command goes on with what is not done yet")
        raise
    print(f"  {found.ways} straight ways to the middle of the tumour are clear")
    for name, trial in (("as the case says", found.default), ("best", found.best)):
        print(
            f"  {name:<17} target covered {trial.readings['target_coverage']:7.2%}, tumour "
            f"{trial.readings['tumour_coverage']:7.2%}, margin {1e3 * trial.readings['minimum_margin']:6.2f} mm, peak "
            f"{trial.readings['peak_temperature']:.1f} degC"
        )
    if found.misplaced:
        chance = found.robust
        print(
            f"  misplaced         target covered {chance['target_coverage_mean']:7.2%} in the mean, "
            f"{chance['target_coverage_p10']:.2%} in nine of ten; tumour whole in {chance['complete']:.0%} of trials"
        )
    where = found.best.where
    print(f"  power {where.power:.3g}, time {where.time:.3g} of those of the case; aim, mm (RAS): "
          + ", ".join(f"{1e3 * x:.1f}" for x in where.aim))  # fmt: skip
    for key, factor in where.factors.items():
        print(f"  {key} times {factor:.3g}")
    print(f"wrote {found.file}: thermal run {found.file}")
    print(PURPOSE)
    return DONE
