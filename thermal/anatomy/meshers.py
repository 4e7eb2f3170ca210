"""Programs that fill labelled surfaces with tetrahedra; both are optional and are called by their own interfaces."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from thermal.units import Array

Index = npt.NDArray[np.int64]
COARSE = 2.0
"""Edge of the tetrahedra of fTetWild over that of the voxels."""
SHELL = 0.1
"""How far fTetWild may move a surface, over the edge of the voxels."""


class NoMeshError(Exception):
    """A mesher failed, or is not installed; the message says why."""


@dataclass(frozen=True)
class Surface:
    """Triangles between labels: ``points`` (n, 3) m, ``triangles`` (f, 3), and the labels on both ``sides`` (f, 2), the
    smaller first, 0 outside; ``edge`` m is that of the voxels."""

    points: Array
    triangles: Index
    sides: Index
    edge: float


Mesher = Callable[[Surface, Callable[[Array], Index]], tuple[Array, Index, Index]]
"""From a surface, and what tells the label at points (q, 3), to points (n, 3), cells (m, 4) and their labels (m,)."""


def by_gmsh(surface: Surface, label_at: Callable[[Array], Index]) -> tuple[Array, Index, Index]:
    """HXT of Gmsh: C. Marot, J. Pellerin, J.-F. Remacle, Int. J. Numer. Methods Eng. 117 (2019) 967-990.

    The surface between each two labels becomes a face of the volumes on both sides. Raises :class:`NoMeshError`.
    """
    try:
        import gmsh
    except (ImportError, OSError) as error:
        raise NoMeshError(f'Gmsh cannot be loaded ({error}); pip install "thermal[mesh]"') from None
    gmsh.initialize(interruptible=False)
    try:
        gmsh.option.setNumber("General.Terminal", 0)
        gmsh.option.setNumber("Mesh.Algorithm3D", 10)
        gmsh.model.add("labels")
        pairs, which = np.unique(surface.sides, axis=0, return_inverse=True)
        for number in range(len(pairs)):
            gmsh.model.addDiscreteEntity(2, number + 1)
            if number == 0:
                tags = np.arange(1, len(surface.points) + 1)
                gmsh.model.mesh.addNodes(2, 1, tags, surface.points.ravel())
            own = surface.triangles[which.ravel() == number] + 1
            gmsh.model.mesh.addElementsByType(number + 1, 2, [], own.ravel())
        gmsh.model.mesh.reclassifyNodes()
        labels = [int(label) for label in np.unique(pairs) if label > 0]
        for label in labels:
            faces = [number + 1 for number, pair in enumerate(pairs) if label in pair]
            gmsh.model.geo.addVolume([gmsh.model.geo.addSurfaceLoop(faces)], label)
        gmsh.model.geo.synchronize()
        gmsh.model.mesh.generate(3)
        tags, coordinates, _ = gmsh.model.mesh.getNodes()
        place = np.zeros(int(tags.max()) + 1, dtype=np.int64)
        place[tags.astype(np.int64)] = np.arange(len(tags))
        cells = [gmsh.model.mesh.getElementsByType(4, tag=label)[1].astype(np.int64) for label in labels]
    except Exception as error:  # Gmsh raises nothing more special
        raise NoMeshError(f"Gmsh: {error}") from None
    finally:
        gmsh.finalize()
    counts = [len(own) // 4 for own in cells]
    if not sum(counts):
        raise NoMeshError("Gmsh: filled none of the volumes")
    return coordinates.reshape(-1, 3), place[np.concatenate(cells)].reshape(-1, 4), np.repeat(labels, counts)


def by_tetwild(surface: Surface, label_at: Callable[[Array], Index]) -> tuple[Array, Index, Index]:
    """fTetWild: Y. Hu, T. Schneider, B. Wang, D. Zorin, D. Panozzo, ACM Trans. Graph. 39 (2020) 117.

    It keeps surfaces within a shell and never fails, but knows no labels: each cell takes that at its middle. Its own
    filter would drop regions inside others, and is switched off. Raises :class:`NoMeshError`.
    """
    try:
        import pytetwild
    except (ImportError, OSError) as error:
        raise NoMeshError(f'pytetwild cannot be loaded ({error}); pip install "thermal[mesh]"') from None
    diagonal = float(np.linalg.norm(np.ptp(surface.points, axis=0)))
    try:
        points, cells = pytetwild.tetrahedralize(
            surface.points, surface.triangles.astype(np.int32), edge_length_abs=COARSE * surface.edge,
            epsilon=SHELL * surface.edge / diagonal, disable_filtering=True,
        )  # fmt: skip
    except Exception as error:  # whatever its C++ throws
        raise NoMeshError(f"fTetWild: {error}") from None
    cells = np.asarray(cells, dtype=np.int64)
    labels = label_at(np.asarray(points)[cells].mean(axis=1))
    return np.asarray(points, dtype=float), cells[labels > 0], labels[labels > 0]
