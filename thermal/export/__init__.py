"""Run folders for other programs: PVD + VTU or VTKHDF for ParaView, NIfTI for image viewers, STL surfaces, CSV."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path

from thermal.errors import CaseError
from thermal.export.meshes import write_pvd, write_vtkhdf
from thermal.export.surfaces import write_csv, write_stl
from thermal.export.volumes import write_nifti
from thermal.store import Run, read_run

__all__ = ["FORMATS", "export_run"]

FORMATS: Mapping[str, Callable[[Run, Path], Path]] = {
    "pvd": write_pvd,
    "vtkhdf": write_vtkhdf,
    "nifti": write_nifti,
    "stl": write_stl,
    "csv": write_csv,
}
"""Name in ``thermal export --format`` -> writer."""


def export_run(folder: Path | str, format: str = "pvd", out: Path | str | None = None) -> Path:
    """Write the fields of a finished run for other programs and return the file to open.

    ``format``: ``"pvd"`` (one VTU a saved time, coordinates in m, opened through ``series.pvd``), ``"vtkhdf"`` (the
    same in one file), ``"nifti"`` (volumes in patient RAS millimetres; the folder is returned), ``"stl"`` (surfaces of
    zone and regions, likewise) or ``"csv"`` (a table of the nodes). ``out``: where to, by default ``FOLDER/export``.
    Raises ``CaseError`` for an unknown format and for a folder that is not a finished run.
    """
    if format not in FORMATS:
        raise CaseError(f'export: format "{format}" is not known; it is one of {", ".join(sorted(FORMATS))}')
    run = read_run(folder)
    target = Path(out) if out is not None else run.folder / "export"
    target.mkdir(parents=True, exist_ok=True)
    return FORMATS[format](run, target)
