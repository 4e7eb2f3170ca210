"""Commands about the program itself: its library, its schema, its installation."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from cyclopts import Parameter

from thermal.commands.options import DONE, FAILED, Set

if TYPE_CHECKING:
    from thermal.physics.particles import Carrier


def materials(name: str | None = None, /) -> int:
    """List the library, or one entry with the source of every number."""
    from thermal import library
    from thermal.case.report import suggest
    from thermal.errors import CaseError

    if name is None:
        for kind in library.KINDS:
            print(f"{kind}:")
            for entry in library.names(kind):
                print(f"  {entry:<28} {library.about(kind, entry)}")
        return DONE
    homes = [kind for kind in library.KINDS if name in library.names(kind)]
    if not homes:
        everything = [entry for kind in library.KINDS for entry in library.names(kind)]
        raise CaseError(f'materials: "{name}" is not in the library; {suggest(name, everything)}')
    for kind in homes:
        print(f"{name} ({kind}): {library.about(kind, name)}")
        for number in library.sources(kind, name):
            doubt = " [unverified]" if number["unverified"] else ""
            note = f" ({number['note']})" if number["note"] else ""
            print(f"  {number['key']} = {number['value']:g} {number['unit']}{doubt}")
            print(f"      {number['source']}{note}")
        for key, fact in library.facts(kind, name).items():
            known = isinstance(fact, dict)
            doubt = " [unverified]" if known and fact.get("unverified") else ""
            print(f"  {key}: {fact['value'] if known else fact}{doubt}")
            if known:
                print(f"      {library.source_of(kind, fact)}")
    return DONE


def particle(
    name: Annotated[str, Parameter(help="Entry of the library, or a case file that has particles.")],
    /,
    *,
    changes: Set = None,
    spectrum: Annotated[bool, Parameter(negative=(), help="Over wavelengths, as a table and a plot.")] = False,
    wavelength: Annotated[str, Parameter(help="Vacuum wavelength, or from:to:step.")] = "",
    out: Annotated[Path | None, Parameter(name=["--out", "-o"], help="File of the plot (.png, .svg, .pdf).")] = None,
) -> int:
    """What a particle of the library or of a case does to light: absorption per mass, cross-sections, albedo, g."""
    from thermal.physics import particles
    from thermal.physics.particles.spectrum import spectrum as computed

    carrier = _of_case(Path(name), changes or []) if name.endswith(".toml") else particles.carrier(name)
    wavelengths = _wavelengths(wavelength or ("500 nm:1100 nm:10 nm" if spectrum else "808 nm"))
    found = computed(carrier, wavelengths)
    columns = found.table()
    title = name if carrier.material is None or not name.endswith(".toml") else f"{carrier.material} of {name}"
    print(f"{title}: strongest absorption at {found.peak * 1e9:.0f} nm of those listed")
    print("  ".join(f"{heading:>14}" for heading, _ in columns))
    for row in zip(*(values for _, values in columns), strict=True):
        print(
            "  ".join(f"{value:>{max(14, len(heading))}.5g}" for (heading, _), value in zip(columns, row, strict=True))
        )
    for number in particles.Particle(carrier).sources():
        print(f"# {number['key']} = {number['value']:g} {number['unit']}: {number['source']}")
    if spectrum:
        from thermal.view.spectrum import draw_spectrum

        print(f"wrote {draw_spectrum(found, title, out or Path(f'{Path(name).stem}_spectrum.png'))}")
    return DONE


def _of_case(path: Path, changes: Sequence[str]) -> Carrier:
    """The particles of a case. Raises ``CaseError``."""
    from thermal.anatomy.data import resolve
    from thermal.case import load_case
    from thermal.errors import CaseError

    case = load_case(path, changes)
    if case.particles is None:
        raise CaseError(f"{path}: it has no [particles]")
    return case.particles.loaded(lambda name, place: resolve(name, case.folder, place))


def _wavelengths(text: str) -> list[float]:
    """One vacuum wavelength, or a range ``from:to:step`` whose unit may stand at its end alone, in m."""
    from thermal.errors import CaseError
    from thermal.units import parse

    parts = [part.strip() for part in text.split(":")]
    unit = parts[-1].lstrip("0123456789.+-eE ")
    try:
        values = [parse(part if part[-1:].isalpha() else f"{part} {unit}", "m") for part in parts]
    except ValueError as error:
        raise CaseError(f"--wavelength: {error}") from None
    if len(values) == 1:
        return values
    if len(values) != 3 or not (0.0 < values[0] <= values[1] and values[2] > 0.0):
        raise CaseError(f'--wavelength: found "{text}"; write "808 nm", or "500:1100:10 nm" as from:to:step')
    start, end, step = values
    count = int((end - start) / step + 1e-6)
    if count > 10_000:
        raise CaseError(f"--wavelength: {count} wavelengths are too many; take a larger step")
    return [start + i * step for i in range(count + 1)]


def schema() -> int:
    """Print the JSON schema of case files, for editors."""
    import json

    from thermal.case import case_json_schema

    print(json.dumps(case_json_schema(), indent=2))
    return DONE


def doctor() -> int:
    """Check this installation."""
    from thermal.doctor import examine

    broken = False
    for finding in examine():
        word = "ok" if finding.good else "FAILED" if finding.needed else "warning"
        broken |= finding.needed and not finding.good
        print(f"{word:<8}{finding.name}: {finding.text}", flush=True)
    return FAILED if broken else DONE
