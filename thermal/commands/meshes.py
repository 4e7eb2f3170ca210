"""``thermal mesh``: from the voxels of a case to tetrahedra."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

from cyclopts import Parameter

from thermal.commands.options import DONE, AnatomyName, Set


def mesh(
    case: Path,
    /,
    *,
    out: Annotated[Path | None, Parameter(name=["--out", "-o"], help="File; default: NAME.msh.")] = None,
    mesher: Annotated[
        Literal["gmsh", "tetwild"] | None, Parameter(help="Default: Gmsh, and fTetWild where that fails.")
    ] = None,
    set: Set = None,
    anatomy: AnatomyName = None,
) -> int:
    """Fill the regions of an image or a phantom with tetrahedra that share borders, and write the case on them."""
    from thermal.anatomy.tetrahedra import EACH, fill
    from thermal.case import load_case
    from thermal.errors import CaseError
    from thermal.guidance.case_file import case_text
    from thermal.store.files import atomic, write_text

    read = load_case(case, list(set or ()), anatomy)
    built = read.anatomy.build(read.folder)
    path = out if out is not None else Path(f"{read.name}.msh")
    if path.suffix != ".msh":
        raise CaseError(f'--out: found "{path}"; meshes are written as .msh')
    found = fill(built, mesher)
    path.parent.mkdir(parents=True, exist_ok=True)
    with atomic(path) as scratch:
        found.write(scratch)
    for text in found.tried:
        print(f"  tried {text}")
    print(f"  {found.mesher}: {len(found.cells)} tetrahedra, {len(found.points)} nodes")
    for name, (before, after) in found.volumes.items():
        doubt = "" if abs(after - before) <= EACH * before else "   thin: give it by voxels, or use smaller ones"
        print(f"  {name:<32} {1e6 * before:10.4g} ml {1e6 * after:10.4g} ml {after / before - 1.0:+8.1%}{doubt}")
    resolved = read.resolved()
    tissues = {name: dict(entry) for name, entry in (resolved.get("tissues") or {}).items() if name in found.regions}
    for name in found.regions:
        if built.materials[name] != name:
            tissues.setdefault(name, {}).setdefault("material", built.materials[name])
            if tissues[name]["material"] is None:
                tissues[name]["material"] = built.materials[name]
    shape = {"kind": "mesh", "file": str(path.resolve()), "length_unit": "m", "tumour": built.tumour}
    text = case_text({**resolved, "anatomy": shape, "tissues": tissues}, read.folder,
                     f"{case.name} on tetrahedra, by thermal mesh.", read.title)  # fmt: skip
    write_text(path.with_suffix(".toml"), text)
    print(f"wrote {path} and {path.with_suffix('.toml')}")
    return DONE
