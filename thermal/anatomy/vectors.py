"""Vector fields from files: tables (CSV), images (NIfTI) and meshes or grids of VTK; interpolated linearly."""

from __future__ import annotations

import subprocess
import sys
import tempfile
import zlib
from collections.abc import Callable, Mapping
from pathlib import Path

import numpy as np

from thermal.anatomy.data import resolve
from thermal.anatomy.volume import check_size
from thermal.errors import CaseError
from thermal.machine import free_memory
from thermal.sampled import ReadVectors, VectorMap
from thermal.tabular import read_rows
from thermal.units import Array

NEARLY = 1e-6
"""Of the spacing: places of a table that are the same but for rounding, and how far outside still counts as inside."""
OVERHEAD = 8 << 30
"""Bytes of address space that VTK's libraries may have for themselves."""
LONGEST = 600
"""s that VTK may take to read a file."""
COLUMNS = "a line x,y,z,Hx,Hy,Hz and numbers below it"
"""What a table has to hold."""


def reader(base: Path) -> ReadVectors:
    """Reads files whose names are relative to ``base``."""

    def read(name: str, place: str, length: float, array: str | None) -> VectorMap:
        path = resolve(name, base, place)
        label = f'{place} = "{name}"'
        suffixes = "".join(path.suffixes[-2:]).lower() if path.suffix == ".gz" else path.suffix.lower()
        if suffixes not in _READERS:
            raise CaseError(f"{label}: unknown kind of file; expected one of {', '.join(sorted(_READERS))}")
        return _READERS[suffixes](path, label, length, array)

    return read


def _read_table(path: Path, label: str, length: float, array: str | None) -> VectorMap:
    """Columns x, y, z and three components, on a full grid in any order; lines that begin with # are left out."""
    (_, header), *below = read_rows(path, label, COLUMNS)
    header = [word.lower() for word in header]
    try:
        rows = np.array([cells for _, cells in below], dtype=np.float64)
    except ValueError as error:
        raise CaseError(f"{label}: cannot be read as a table ({error}); expected {COLUMNS}") from None
    if header[:3] != ["x", "y", "z"] or len(header) != 6 or rows.ndim != 2 or rows.shape[1:] != (6,):
        raise CaseError(
            f"{label}: columns {', '.join(header)}; expected x, y, z and three components, e.g. x,y,z,Hx,Hy,Hz"
        )
    if not np.isfinite(rows).all():
        raise CaseError(f"{label}: some numbers are not finite; leave no gaps in the grid")
    axes, place = [], []
    for column in rows[:, :3].T * length:
        values, number = _levels(column)
        axes.append(values)
        place.append(number)
    shape = tuple(len(axis) for axis in axes)
    if min(shape) < 2 or np.prod(shape) != len(rows) or len(set(zip(*place, strict=True))) != len(rows):
        raise CaseError(
            f"{label}: {len(rows)} rows are no full grid of {' x '.join(map(str, shape))} places; give every place "
            "once and two or more along each axis, or export scattered points as a VTK mesh"
        )
    values = np.empty((*shape, 3))
    values[tuple(place)] = rows[:, 3:]
    return _on_grid(axes, values, label)


def _levels(column: Array) -> tuple[Array, Array]:
    """The different values of a column, and which of them each entry is."""
    order = np.sort(column)
    steps = np.diff(order)
    gap = NEARLY * max(float(steps.max(initial=0.0)), 1e-300)
    levels = order[np.concatenate([[True], steps > gap])]
    return levels, np.clip(np.searchsorted(levels, column - gap), 0, len(levels) - 1)


def _on_grid(axes: list[Array], values: Array, label: str) -> VectorMap:
    from scipy.interpolate import RegularGridInterpolator

    inner = RegularGridInterpolator(axes, values, bounds_error=False, fill_value=np.nan)
    low, high = np.array([axis[0] for axis in axes]), np.array([axis[-1] for axis in axes])
    slack = NEARLY * np.array([np.diff(axis).max() for axis in axes])

    def sample(points: Array) -> Array:
        near = np.where((points > low - slack) & (points < high + slack), np.clip(points, low, high), points)
        return np.asarray(inner(near))

    return VectorMap(sample, _about(label, low, high))


def _about(label: str, low: Array, high: Array) -> str:
    ranges = [f"{axis} from {1e3 * a:.4g} to {1e3 * b:.4g}" for axis, a, b in zip("xyz", low, high, strict=True)]
    return f"{label} covers {', '.join(ranges)} mm"


def _read_nifti(path: Path, label: str, length: float, array: str | None) -> VectorMap:
    """An image whose last axis has the three components along the axes of the patient (RAS); its header has the unit of
    length."""
    import nibabel
    from nibabel.filebasedimages import ImageFileError
    from scipy.interpolate import RegularGridInterpolator

    try:
        image = nibabel.load(path)
        check_size(image, label, least=8)
        values = np.squeeze(np.asarray(image.dataobj, dtype=np.float64))
        affine = np.array(image.affine, dtype=float)
        unit = image.header.get_xyzt_units()[0]
        affine[:3] *= {"meter": 1.0, "mm": 1e-3, "micron": 1e-6}.get(unit, 1e-3)
        inverse = np.linalg.inv(affine)
    except CaseError:
        raise
    except (ImageFileError, OSError, EOFError, ValueError, TypeError, KeyError, OverflowError, zlib.error) as error:
        raise CaseError(f"{label}: cannot be read as a NIfTI image ({error})") from None
    if values.ndim != 4 or values.shape[3] != 3 or min(values.shape[:3]) < 2:
        raise CaseError(f"{label}: shape {values.shape}; expected three components on the last of four axes")
    last = np.array(values.shape[:3]) - 1.0
    inner = RegularGridInterpolator(
        [np.arange(count) for count in values.shape[:3]], values, bounds_error=False, fill_value=np.nan
    )

    def sample(points: Array) -> Array:
        index = points @ inverse[:3, :3].T + inverse[:3, 3]
        near = np.where((index > -NEARLY) & (index < last + NEARLY), np.clip(index, 0.0, last), index)
        return np.asarray(inner(near))

    corners = np.array(list(np.ndindex(2, 2, 2))) * last @ affine[:3, :3].T + affine[:3, 3]
    return VectorMap(sample, _about(label, corners.min(axis=0), corners.max(axis=0)))


def _read_vtk(path: Path, label: str, length: float, array: str | None) -> VectorMap:
    """Point data with three components of any grid or mesh that VTK reads."""
    import pyvista

    with tempfile.TemporaryDirectory() as folder:
        mesh = pyvista.read(_written_anew(path, Path(folder) / "whole.vtk", label))
    vectors = [name for name in mesh.point_data if mesh.point_data[name].shape[1:] == (3,)]
    if array is None and len(vectors) == 1:
        array = vectors[0]
    if array not in vectors:
        known = ", ".join(vectors) or "none"
        raise CaseError(f"{label}: give field_map.array, the name of point data with three components; there: {known}")
    mesh = mesh.copy()
    chosen = np.asarray(mesh.point_data[array], dtype=np.float64)
    mesh.clear_data()
    mesh.point_data["H"] = chosen

    def sample(points: Array) -> Array:
        cloud = pyvista.PolyData(np.asarray(points, dtype=np.float64) / length).sample(mesh)
        found = np.array(cloud.point_data["H"], dtype=np.float64)
        found[np.asarray(cloud.point_data["vtkValidPointMask"]) == 0] = np.nan
        return found

    low, high = np.reshape(mesh.bounds, (3, 2)).T * length
    return VectorMap(sample, _about(label, low, high))


def _written_anew(path: Path, target: Path, label: str) -> Path:
    """``target``, which holds what VTK reads in ``path``: read by another process, which may die of it."""
    free = free_memory()
    room = OVERHEAD + int(free) if free is not None else -1
    command = [sys.executable, "-P", str(Path(__file__).with_name("vtk_child.py")), str(path), str(target), str(room)]
    try:
        done = subprocess.run(command, capture_output=True, check=False, timeout=LONGEST, stdin=subprocess.DEVNULL)
    except subprocess.TimeoutExpired:
        raise CaseError(f"{label}: VTK has not read it in {LONGEST} s") from None
    if done.returncode != 0 or not target.exists():
        said = [line for line in done.stderr.decode(errors="replace").splitlines() if line.strip()] or ["no word"]
        raise CaseError(f"{label}: cannot be read by VTK ({said[-1].strip()[:200]})")
    return target


_READERS: Mapping[str, Callable[[Path, str, float, str | None], VectorMap]] = {
    ".csv": _read_table,
    ".txt": _read_table,
    ".nii": _read_nifti,
    ".nii.gz": _read_nifti,
    **dict.fromkeys((".vtk", ".vti", ".vtr", ".vts", ".vtu"), _read_vtk),
}
