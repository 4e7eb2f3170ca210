"""Golden numbers: what each shipped case gave when somebody last looked at its numbers and found them right.

A file ``tests/golden/GROUP-CASE.toml`` names a case of ``cases/``, how it is run (coarse, on the phantom), the
tolerance and its reason, and holds the reviewed numbers. ``make golden`` runs all, renews the numbers and prints what
changed; ``make golden CASES="liver-gold"`` some of them. Only the table ``[values]`` is rewritten.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from thermal import load_case, simulate
from thermal.case import Case
from thermal.simulation.workshop import Workshop
from thermal.store import Run

ROOT = Path(__file__).parent.parent
FOLDER = Path(__file__).parent / "golden"
ALWAYS = ("output.pictures=false", "output.series=false")
COARSE = "anatomy.voxel_size=4 mm"
KEYS = (
    "peak_temperature", "lowest_temperature", "zone.volume", "zone.tumour_coverage", "zone.minimum_margin",
    "dose.tumour", "dose.tumour_fraction", "heating.power", "energy.source", "energy.perfusion", "drug.released",
    "steps", "stages",
)  # fmt: skip
"""Entries of the summary that are kept, where a case has them."""
SCALES = {"degC": 10.0, "m": 5e-3, "m^3": 1e-6, "kg": 1e-7, "J": 1.0, "W": 0.1, "": 0.1}
"""Unit -> the size below which a difference counts absolutely: a margin of 0.01 mm has no four digits."""
COUNTS, COUNTED = ("steps", "stages"), 0.03
"""What is counted, and the share that it may change by: where the last digits decide, a step is taken twice."""
REASON = (
    "other processors sum in another order, which changes the last digits; where an iterative solve stops (1e-6) and a "
    "step is chosen this may grow to 1e-4"
)
HEAD = """\
# The numbers are renewed by `make golden`; look at what it prints before you commit them.
case = "{case}"
{anatomy}set = {set}
tolerance = {tolerance:g}
reason = "{reason}"
"""


@dataclass(frozen=True)
class Golden:
    """One golden file."""

    path: Path
    case: str
    """below cases/"""
    anatomy: str | None
    set: tuple[str, ...]
    tolerance: float
    """relative, to the value or to the scale of its unit, whichever is larger"""
    reason: str
    values: Mapping[str, tuple[float, str]]
    """key of the summary -> value, unit"""

    @property
    def name(self) -> str:
        return self.path.stem

    def load(self) -> Case:
        return load_case(ROOT / "cases" / self.case, (*ALWAYS, *self.set), self.anatomy)

    def differences(self, found: Mapping[str, tuple[float, str]]) -> list[str]:
        """A line for each number that is not what it was, and for what came and went."""
        lines = []
        for key, (value, unit) in self.values.items():
            if key not in found or found[key][1] != unit:
                lines.append(f"{key}: was {value:g} {unit}, is {found.get(key, 'gone')}")
                continue
            tolerance = COUNTED if key in COUNTS else self.tolerance
            now, allowed = found[key][0], tolerance * max(abs(value), SCALES[unit])
            if not abs(now - value) <= allowed:
                share = f", {100 * (now / value - 1):+.2g} %" if value else ""
                far = abs(now - value) / allowed
                lines.append(f"{key}: {value:.6g} -> {now:.6g} {unit}{share} ({far:.3g} tolerances)")
        return lines + [f"{key}: new, {found[key][0]:.6g} {found[key][1]}" for key in found if key not in self.values]


def read(path: Path) -> Golden:
    data = tomllib.loads(path.read_text(encoding="utf-8"))
    values = {key: (float(row["value"]), row["unit"]) for key, row in data.get("values", {}).items()}
    return Golden(
        path, data["case"], data.get("anatomy"), tuple(data["set"]), data["tolerance"], data["reason"], values
    )


def goldens() -> list[Golden]:
    return [read(path) for path in sorted(FOLDER.glob("*.toml"))]


def numbers(run: Run) -> dict[str, tuple[float, str]]:
    """What a golden file keeps of a run."""
    found = {key: run.summary[key] for key in KEYS if key in run.summary}
    return {key: (float(row["value"]), row["unit"]) for key, row in found.items() if row["value"] is not None}


def runnable() -> list[Path]:
    """Every case of ``cases/`` that can be run; published set-ups have numbers of their own (``expected.toml``)."""
    found = [path for path in (ROOT / "cases").rglob("*.toml") if path.name != "expected.toml"]
    return sorted(path for path in found if not {"anatomy", "sweeps", "published"} & set(path.parts))


def file_of(case: Path) -> Path:
    return FOLDER / f"{'-'.join(case.relative_to(ROOT / 'cases').with_suffix('').parts)}.toml"


def begin(case: Path) -> Golden:
    """An empty golden file for a case that has none: on the coarse phantom."""
    return Golden(file_of(case), case.relative_to(ROOT / "cases").as_posix(), "phantom", (COARSE,), 1e-3, REASON, {})


def write(golden: Golden, values: Mapping[str, tuple[float, str]]) -> None:
    """Replace the numbers; the head stays as somebody wrote it."""
    if golden.path.exists():
        head = golden.path.read_text(encoding="utf-8").partition("\n[values]")[0] + "\n"
    else:
        texts = ", ".join(f'"{text}"' for text in golden.set)
        head = HEAD.format(
            case=golden.case,
            anatomy=f'anatomy = "{golden.anatomy}"\n' if golden.anatomy else "",
            set=f"[{texts}]",
            tolerance=golden.tolerance,
            reason=golden.reason,
        )
    rows = [f'"{key}" = {{ value = {value:.8g}, unit = "{unit}" }}' for key, (value, unit) in values.items()]
    golden.path.write_text(head.rstrip("\n") + "\n\n[values]\n" + "\n".join(rows) + "\n", encoding="utf-8")


def main(arguments: Sequence[str]) -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("names", nargs="*", help="golden files without their ending; default: all")
    parser.add_argument("--check", action="store_true", help="print what changed and leave the files as they are")
    chosen = parser.parse_args(arguments)
    known = {golden.name: golden for golden in goldens()}
    known |= {file_of(case).stem: begin(case) for case in runnable() if file_of(case).stem not in known}
    unknown = [name for name in chosen.names if name not in known]
    if unknown:
        parser.error(f"no case {', '.join(unknown)}; known: {', '.join(sorted(known))}")
    changed = 0
    workshop = Workshop()
    with tempfile.TemporaryDirectory() as folder:
        for name in sorted(chosen.names or known):
            golden = known[name]
            found = numbers(simulate(golden.load(), Path(folder) / name, workshop=workshop))
            lines = golden.differences(found)
            changed += bool(lines)
            print(f"{name}: {'changed' if lines else 'as before'}", flush=True)
            for line in lines:
                print(f"  {line}", flush=True)
            if lines and not chosen.check:
                write(golden, found)
    print(f"{changed} of {len(chosen.names or known)} changed" + (", none written" if chosen.check else ""))
    return int(chosen.check and changed > 0)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
