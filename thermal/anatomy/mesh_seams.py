"""Faces of a mesh's border that hardly anybody means to be one: cracks, hanging nodes, a hole along the axis."""

from __future__ import annotations

import numpy as np

from thermal.anatomy.built import DOUBT
from thermal.anatomy.mesh_checks import Index, spot
from thermal.anatomy.mesh_file import Form
from thermal.units import Array, Mask

CLOSE = 0.01
"""Widest gap between two faces that face each other, as a share of the smaller one's size, that looks unmeant."""
BEHIND = -1e-6
"""The same of faces that reach into each other by round-off."""
OPPOSITE = -0.9
"""Largest cosine between their normals; where a curved border was meshed twice they are not quite opposite."""
THIN_HOLE = 0.05
"""Radius of a hole along the axis, as a share of the segments around it, below which it looks unmeant."""
_OBLIQUE = (0.62, 0.55, 0.56)
"""A direction that hardly any face contains."""
NEAREST = 6
"""Neighbours among which a face's counterpart is looked for: of two unlike ones the larger has the smaller near its
middle."""


def seams(points: Array, outer: Index, form: Form) -> tuple[str, ...]:
    """What to say of ``outer`` faces (f, d), turned outward, that lie upon others without sharing their nodes."""
    at = points[:, [0, 2]] if form.dimension == 2 else points
    centre, normal, size = _planes(at[outer])
    if not _doubtful(centre, normal, size):
        return ()
    from scipy.spatial import cKDTree  # slow to import

    _, near = cKDTree(centre).query(centre, k=np.arange(2, min(NEAREST + 1, len(outer)) + 1))
    one, other = np.repeat(np.arange(len(outer)), near.shape[1]), near.ravel()
    gap = np.einsum("ij,ij->i", normal[one], centre[other] - centre[one]) / np.minimum(size[one], size[other])
    facing = np.einsum("ij,ij->i", normal[one], normal[other]) < OPPOSITE
    pair = np.flatnonzero(facing & (gap > BEHIND) & (gap < CLOSE))
    one, other = one[pair], other[pair]
    over = _covers(at[outer[one]], normal[one], centre[other]) | _covers(at[outer[other]], normal[other], centre[one])
    found = np.unique(np.concatenate([one[over], other[over]]))
    if not found.size:
        return ()
    return (
        f"{DOUBT}{found.size} {form.facet} of the outer border lie upon others without sharing their nodes, the first "
        f"at {spot(points[outer[found[0]]].mean(axis=0))}: hanging nodes or a crack, through which no heat passes, and "
        'which count as "surface"; unless a gap is meant, let the mesh conform there (in Gmsh: BooleanFragments before '
        "meshing, Coherence Mesh after)",
    )


def _doubtful(centre: Array, normal: Array, size: Array) -> bool:
    """Whether any faces lie nearly in one plane and look in opposite directions, wherever they are: on bodies without a
    seam hardly any do, for those on opposite sides lie in planes apart."""
    dimension = centre.shape[1]
    looks = normal @ np.array(_OBLIQUE[:dimension]) > 0.0
    one_way = np.where(looks, 1.0, -1.0)[:, None] * normal
    away = np.einsum("ij,ij->i", one_way, centre - centre.mean(axis=0)) / (5.0 * CLOSE * np.median(size))
    for shift in (0.0, 0.5):  # what one division cuts apart, the other does not
        parts = np.floor(np.column_stack([5.0 * one_way, away]) + shift).astype(np.int64)
        key = parts @ (1 << np.array([*[56, 51, 46][:dimension], 0]))
        if np.isin(key[looks], key[~looks]).any():
            return True
    return False


def thin_hole(points: Array, outer: Index) -> tuple[str, ...]:
    """What to say of ``outer`` segments (f, 2) of a half-plane, (r, 0, z), that run along the axis without lying on
    it."""
    radius = points[outer, 0]
    length = np.linalg.norm(points[outer[:, 1]] - points[outer[:, 0]], axis=1)
    found = np.flatnonzero((radius > 0.0).all(axis=1) & (radius < THIN_HOLE * length[:, None]).all(axis=1))
    if not found.size:
        return ()
    widest = float(radius[found].max())
    return (
        f"{DOUBT}{found.size} segments of the outer border run along the axis at r = {1e3 * widest:.3g} mm or less, "
        f'the first at {spot(points[outer[found[0]]].mean(axis=0))}: they count as "surface" around a hole thinner '
        f"than {THIN_HOLE:g} of their length; put their nodes at r = 0, or mesh the hole finely",
    )


def _planes(corners: Array) -> tuple[Array, Array, Array]:
    """Of faces (f, d, d): their centres (f, d), unit normals (f, d), outward as the corners are turned, and sizes (f,),
    m."""
    sides = corners[:, 1:] - corners[:, :1]
    if corners.shape[2] == 2:
        normal, dimension = np.stack([sides[:, 0, 1], -sides[:, 0, 0]], axis=1), 1
    else:
        normal, dimension = np.cross(sides[:, 0], sides[:, 1]), 2
    extent = np.linalg.norm(normal, axis=1)
    return corners.mean(axis=1), normal / extent[:, None], extent ** (1.0 / dimension)


def _covers(corners: Array, normal: Array, place: Array) -> Mask:
    """(p,) whether each face, with corners (p, d, d) and a unit normal (p, d), has a place (p, d) before or behind
    it."""
    sides = np.concatenate([corners[:, 1:] - corners[:, :1], normal[:, None]], axis=1)
    along = np.linalg.solve(np.swapaxes(sides, 1, 2), (place - corners[:, 0])[:, :, None])[:, :-1, 0]
    return np.asarray(np.minimum(along.min(axis=1), 1.0 - along.sum(axis=1)) > 0.0)
