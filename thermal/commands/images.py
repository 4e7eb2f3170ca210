"""``thermal image`` and ``thermal quantify``: what scanners would show of a run, and what images tell."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

from cyclopts import Parameter

from thermal.commands.options import DONE

if TYPE_CHECKING:
    from thermal.units import Array, Spec

Modality = Literal["ct", "mr", "thermometry", "visibility", "emission"]
Changes = Annotated[
    list[str] | None,
    Parameter(
        name="--set", negative=(), help="Change how it is taken: key=value, e.g. period='\"5 s\"'. May be repeated."
    ),
]


def image(
    run: Path,
    /,
    *,
    modality: Modality,
    kvp: Annotated[float | None, Parameter(help="Tube voltage of a CT.")] = None,
    noise: Annotated[float | None, Parameter(help="Standard deviation of a CT voxel, HU.")] = None,
    snr: Annotated[float | None, Parameter(help="Signal over noise of MR.")] = None,
    field: Annotated[float | None, Parameter(help="Of the magnet, T.")] = None,
    voxel: Annotated[
        str | None, Parameter(help="Edge of the voxels, e.g. '2 mm'; default: as fine as the run.")
    ] = None,
    seed: Annotated[int, Parameter(help="Of the noise.")] = 1,
    set: Changes = None,
    out: Annotated[Path | None, Parameter(name=["--out", "-o"], help="Folder; default: RUN/images/MODALITY.")] = None,
) -> int:
    """Make the images of a finished run that an operator would see: NIfTI and DICOM in patient space."""
    from thermal.imaging.acquire import MODALITIES, image_run
    from thermal.store import read_run
    from thermal.units import parse

    given = {"kvp": kvp, "noise": noise, "snr": snr, "field": field}
    how = acquisition(MODALITIES[modality][0], {k: v for k, v in given.items() if v is not None}, set, modality)
    spacing = None if voxel is None else _length(voxel, parse)
    made = image_run(read_run(run), how, out, spacing=spacing, seed=seed)  # type: ignore[arg-type]
    for text, value in made.readings.items():
        print(f"  {text:<52} {value}")
    for path in made.files if len(made.files) <= 8 else made.files[:8]:
        print(f"wrote {path}")
    if len(made.files) > 8:
        print(f"and {len(made.files) - 8} more beside them")
    return DONE


def _length(text: str, parse: Any) -> float:
    from thermal.errors import CaseError

    try:
        length = float(parse(text, "m"))
    except ValueError as error:
        raise CaseError(f"--voxel: {error}") from None
    if not 1e-4 <= length <= 0.1:
        raise CaseError(f"--voxel: found {length * 1e3:g} mm; expected 0.1 to 100 mm")
    return length


def acquisition(kind: type[Spec], given: dict[str, Any], changes: list[str] | None, place: str) -> Spec:
    """How an image is taken, from options and ``--set key=value``. Raises ``CaseError``."""
    import tomllib

    from pydantic import ValidationError

    from thermal.errors import CaseError

    known: dict[str, Any] = dict(given)
    for text in changes or ():
        key, sign, value = text.partition("=")
        try:
            known[key.strip()] = tomllib.loads(f"x = {value}")["x"] if sign else None
        except tomllib.TOMLDecodeError:
            known[key.strip()] = value.strip()  # a word or a quantity without its quotes
    try:
        return kind.model_validate(known)
    except ValidationError as error:
        keys = ", ".join(name for name in kind.model_fields if name != "modality")
        raise CaseError(
            *(
                f"{place}: {'.'.join(map(str, item['loc'])) or 'all'}: {item['msg']}; its keys are: {keys or 'none'}"
                for item in error.errors()
            )
        ) from None


def quantify(
    before: Path,
    after: Path,
    *more: Annotated[Path, Parameter(help="Later scans, for the clearance.")],
    out: Annotated[Path | None, Parameter(name=["--out", "-o"], help="Folder; default: quantity beside AFTER.")] = None,
    element: Annotated[str, Parameter(help="gold, iron or iodine, where the images do not say.")] = "",
    kvp: Annotated[float | None, Parameter(help="Tube voltage, where the images do not say.")] = None,
    sensitivity: Annotated[float | None, Parameter(help="HU per mg/ml as calibrated.")] = None,
    noise: Annotated[
        float | None, Parameter(help="Standard deviation of a voxel, HU; default: as known, or estimated.")
    ] = None,
    within: Annotated[Path | None, Parameter(help="Mask: count the mass inside it only.")] = None,
    times: Annotated[str, Parameter(help="Of AFTER and each later scan, e.g. '0 h,24 h,168 h'.")] = "",
    set: Changes = None,
) -> int:
    """From images before and after an infusion to a map of the concentration with its uncertainty, and the mass."""
    from thermal.errors import CaseError
    from thermal.imaging.quantify import quantify as invert
    from thermal.imaging.quantify import read_shown, read_within, write_quantity

    changes: dict[str, Any] = {"kvp": kvp} if kvp is not None else {}
    if sensitivity is not None:
        changes["sensitivity"] = sensitivity
    for text in set or ():
        import tomllib

        try:
            changes |= tomllib.loads(text)
        except tomllib.TOMLDecodeError:
            raise CaseError(f"--set: found {text}; write key=value, e.g. echoes=[0.001, 0.002] in SI units") from None
    at = _times(times, 1 + len(more)) if more or times else None
    mask = None if within is None else read_within(within)
    first = read_shown(before, "BEFORE")
    found = [
        invert(first, read_shown(path, "AFTER"), element=element, noise=noise, within=mask, changes=changes)
        for path in (after, *more)
    ]
    folder = out if out is not None else after.parent / "quantity"
    now = found[0]
    for path in write_quantity(now, folder, {"Before": str(before), "After": str(after)}):
        print(f"wrote {path}")
    errors = f"+/- {now.noise * 1e6:.3g} (noise) +/- {now.calibration * 1e6:.3g} (calibration)"
    print(f"  mass              {now.mass * 1e6:.5g} mg {errors}")
    if within is None and now.noise > 0.2 * abs(now.mass):
        print("                    the noise of all voxels is in it: --within MASK counts those that matter")
    print(f"  surely seen from  {now.floor:.4g} mg/ml in a voxel (3 sd): delivery.floor of a case that heats this map")
    print(f"  spread in voxels  up to {now.partial.max():.4g} mg/ml (partial volume)")
    if now.resampled:
        print(
            f"  BEFORE has other voxels: interpolated at those of AFTER, {now.unseen * 1e6:.4g} ml of which it does "
            "not show; what moved between the two is taken for particles"
        )
    if now.lost > 0.0:
        print(f"  only a lower limit in {now.lost * 1e6:.4g} ml: the mass is at least that given")
    if at is not None:
        _clearance(found, at)
    return DONE


def _times(text: str, scans: int) -> Array:
    import numpy as np

    from thermal.errors import CaseError
    from thermal.units import parse

    try:
        at = np.array([parse(one.strip(), "s") for one in text.split(",")])
    except ValueError as error:
        raise CaseError(f"--times: {error}") from None
    if scans < 2:
        raise CaseError("--times: a clearance needs a later scan too; give it after AFTER")
    if len(at) != scans:
        raise CaseError(f"--times: found {len(at)} times; expected {scans}, for AFTER and each later scan")
    return at


def _clearance(found: list[Any], at: Array) -> None:
    import numpy as np

    from thermal.imaging.quantify import fit_clearance

    fit = fit_clearance(at, np.array([q.mass for q in found]), np.array([q.noise for q in found]))
    for time, quantity in zip(at, found, strict=True):
        print(f"  {time / 3600.0:8.4g} h        {quantity.mass * 1e6:.5g} mg")
    spread = f"+/- {fit.error / 3600.0:.2g}" if np.isfinite(fit.error) else "(error unknown: no noise, two scans)"
    print(f"  half-life         {fit.half_life / 3600.0:.5g} h {spread}")
