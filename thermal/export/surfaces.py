"""Surfaces as STL, and a table of the nodes as CSV."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from thermal.export.names import file_name
from thermal.store import Run
from thermal.store.files import atomic
from thermal.view.cells import body_nodes, node_places
from thermal.view.surfaces import region_surface
from thermal.view.treated import zone_surface


def write_stl(run: Run, folder: Path) -> Path:
    """Write closed surfaces in patient RAS millimetres: ``ablation_zone.stl`` and a file a region.

    Regions without a surface (of no volume) are left out, and so is a zone in which nothing was destroyed.
    """
    surfaces = {"ablation_zone": zone_surface(run)}
    surfaces |= {name: region_surface(run.domain, np.asarray(share)) for name, share in run.domain.shares.items()}
    for name, surface in surfaces.items():
        path = folder / f"{file_name(name)}.stl"
        path.unlink(missing_ok=True)
        if surface.n_cells:
            with atomic(path) as scratch:
                closed = surface.triangulate().clean(tolerance=0.0, polys_to_lines=False)  # no triangle without area
                closed.compute_normals(cell_normals=True, point_normals=False).save(scratch)
    return folder


def write_csv(run: Run, folder: Path) -> Path:
    """Write ``fields.csv``: a row a node of the body with its place (mm, RAS) and every static field."""
    body = np.flatnonzero(body_nodes(run.domain))
    columns = [f"{axis} (mm)" for axis in "xyz"]
    columns += [f"{name} ({field.unit})" if field.unit else name for name, field in run.static.items()]
    values = np.column_stack(
        [node_places(run.domain)[body], *(np.asarray(f.values)[body] for f in run.static.values())]
    )
    with atomic(folder / "fields.csv") as scratch:
        np.savetxt(scratch, values, fmt="%.9g", delimiter=",", header=",".join(columns), comments="")
    return folder / "fields.csv"
