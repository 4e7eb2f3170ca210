"""A small run folder with known analytic content, in the documented layout, for tests of what reads run folders.

A liver window of 60 mm, a tumour sphere of radius 10 mm, a vein (cylinder), a needle, a hot ellipsoid around the tumour
and a round particle cloud. The ablation zone is the ellipsoid with the semi-axes ``zone_axes``.
"""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np

from thermal.domain import Domain, Line, MeshDomain, VoxelDomain
from thermal.physics.scene import Device
from thermal.store.fields import Field, Fields, KeptFrames, write_fields
from thermal.units import Array

CENTRE = np.array([0.010, -0.005, 0.020])  # m
HALF = 0.030
TUMOUR_RADIUS = 0.010
CLOUD_RADIUS = 0.008
TIMES = np.array([0.0, 60.0, 120.0, 300.0, 600.0])
TETRAHEDRA = ((0, 1, 7, 3), (0, 1, 5, 7), (0, 2, 3, 7), (0, 2, 7, 6), (0, 4, 7, 5), (0, 4, 6, 7))  # Kuhn, of a cube


def ellipsoid_volume(axes: tuple[float, float, float]) -> float:
    return 4.0 / 3.0 * np.pi * float(np.prod(axes))


def write_sample(
    folder: Path,
    *,
    kind: str = "voxel",
    cells: int = 30,
    zone_axes: tuple[float, float, float] = (0.014, 0.011, 0.012),
    title: str = "Gold nanorods, 808 nm",
    law: str = "arrhenius",
    cold: bool = False,
    particles: bool = True,
    shift: tuple[float, float, float] = (0.0, 0.0, 0.0),
    background: tuple[Array, Array] | None = None,
    grows: bool = False,
) -> Path:
    """Write the folder and return it. ``shift`` moves the tumour (m), to make another anatomy.

    ``grows``: keep the zone over time too, an ellipsoid that is ``grown_share`` as large as at the end.
    """
    folder.mkdir(parents=True, exist_ok=True)
    edge = np.linspace(-HALF, HALF, cells + 1)
    graded = np.sign(edge) * HALF * (0.6 * np.abs(edge / HALF) + 0.4 * (edge / HALF) ** 2)
    axes = [c + a for c, a in zip(CENTRE, (graded, edge, edge), strict=True)]  # one axis is not uniform
    points = np.stack(np.meshgrid(*axes, indexing="ij"), axis=-1).reshape(-1, 3)
    n = cells + 1
    i, j, k = (a.ravel() for a in np.meshgrid(*[np.arange(cells)] * 3, indexing="ij"))
    corners = np.stack(
        [((i + a) * n + j + b) * n + k + c for a in (0, 1) for b in (0, 1) for c in (0, 1)], axis=1
    )  # corner number = 4a + 2b + c
    if kind == "mesh":
        corners = np.concatenate([corners[:, list(t)] for t in TETRAHEDRA])
    tumour_centre = CENTRE + np.asarray(shift)
    middle = points[corners].mean(axis=1)
    depth = TUMOUR_RADIUS - np.linalg.norm(middle - tumour_centre, axis=1)
    width = 2 * HALF / cells
    tumour = np.clip(0.5 + depth / width, 0.0, 1.0) if kind == "voxel" else (depth > 0).astype(float)
    off_axis = np.linalg.norm((middle - CENTRE - np.array([-0.018, 0.0, 0.0]))[:, :2], axis=1)
    vein = np.where(off_axis < 0.004, 1.0 - tumour, 0.0)
    spleen = np.where((middle[:, 2] > CENTRE[2] + 0.018) & (middle[:, 0] > CENTRE[0] + 0.01), 1.0 - tumour - vein, 0.0)
    solid = np.ones(len(middle), dtype=bool)
    if kind == "voxel":
        solid = middle[:, 1] < CENTRE[1] + 0.027  # air in front of the skin
        tumour, vein, spleen = (np.where(solid, a, 0.0) for a in (tumour, vein, spleen))
    liver = np.where(solid, 1.0 - tumour - vein - spleen, 0.0)

    r = np.linalg.norm((points - tumour_centre) / np.asarray(zone_axes), axis=1)
    cloud = 10.0 * np.exp(-np.log(2.0) * (np.linalg.norm(points - tumour_centre, axis=1) / CLOUD_RADIUS) ** 2)
    rise = -80.0 if cold else 40.0
    regions = {"liver": liver, "tumour": tumour, "hepatic_vein": vein, "spleen": spleen}
    domain: Domain = MeshDomain(points, corners.astype(np.int64), regions)
    if kind == "voxel":
        domain = VoxelDomain((axes[0], axes[1], axes[2]), regions, solid)
    static = {"zone": Field(10.0 * (1.0 - r), "K") if cold else Field(2.0 - r, "")}
    if particles:
        static["concentration"] = Field(cloud, "kg/m^3")
    grown = 1.0 - np.exp(-TIMES / 100.0)
    tip, entry = tumour_centre, tumour_centre + np.array([0.0, 0.024, 0.012])
    shape = Line(tuple(entry.tolist()), tuple(tip.tolist()), 0.0006)
    fields = Fields(
        domain=domain,
        title=title,
        tumour="tumour",
        zone_field="zone",
        zone_level=0.0 if cold else 1.0,
        zone_law=law,
        static=static,
        devices=(Device("cryoprobe" if cold else "needle", "needle", shape),),
        times=TIMES,
        frames=KeptFrames(
            [37.0 + rise * share * np.exp(-(r**2)) for share in grown],
            [
                static["zone"].values - (10.0 if cold else 1.0) * (1.0 - grown_share(time)) - 1e-5
                for time in (TIMES if grows else ())
            ],
        ),
        background=background,
    )
    write_fields(folder / "fields.h5", fields)
    _write_text(folder, zone_axes, law, cold, particles, title, rise)
    if grows:
        lines = (folder / "history.csv").read_text().splitlines()
        rows = {float(line.partition(",")[0]): line for line in lines[1:]}
        for time in TIMES:
            rows[time] += f",{ellipsoid_volume(zone_axes) * grown_share(time) ** 3}"
        text = "\n".join(
            [f"{lines[0]},zone.volume [m^3]", *(r if r.count(",") == 5 else f"{r}," for r in rows.values())]
        )
        (folder / "history.csv").write_text(f"{text}\n")
    return folder


def grown_share(time: float) -> float:
    """Size of the zone at a time as a share of that at the end."""
    return float((1.0 - np.exp(-time / 100.0)) / (1.0 - np.exp(-TIMES[-1] / 100.0)))


def _write_text(
    folder: Path,
    zone_axes: tuple[float, float, float],
    law: str,
    cold: bool,
    particles: bool,
    title: str,
    rise: float,
) -> None:
    zone, tumour = ellipsoid_volume(zone_axes), ellipsoid_volume((TUMOUR_RADIUS,) * 3)
    inner = min(1.0, float(np.prod([min(a / TUMOUR_RADIUS, 1.0) for a in zone_axes])))
    peak = 37.0 if cold else 37.0 + rise * (1.0 - np.exp(-6.0))
    lowest = 37.0 + rise * (1.0 - np.exp(-6.0)) if cold else 37.0
    summary: dict[str, tuple[object, str]] = {
        "zone.law": (law, ""),
        "zone.volume": (zone, "m^3"),
        "zone.tumour_coverage": (inner, ""),
        "zone.minimum_margin": (min(zone_axes) - TUMOUR_RADIUS, "m"),
        "zone.healthy_volume": (zone - inner * tumour, "m^3"),
        "zone.tumour_volume": (tumour, "m^3"),
        "zone.longest_diameter": (2 * max(zone_axes), "m"),
        "zone.shortest_diameter": (2 * min(zone_axes), "m"),
        "duration": (600.0, "s"),
        "energy.source": (-3000.0 if cold else 1200.0, "J"),
        "energy.probes": (0.0, "J"),
        "warnings": (["fluence near the fibre is uncertain"], ""),
        "peak_temperature": (peak, "degC"),
        "lowest_temperature": (lowest, "degC"),
        "ledger.energy_error": (3.2e-12, ""),
        "wall_time": (7.3, "s"),
    }
    if particles:
        summary |= {"ledger.mass_error": (1.1e-14, ""), "dose.given": (2e-6, "kg"), "dose.tumour": (1.1e-6, "kg")}
    (folder / "summary.json").write_text(json.dumps({k: {"value": v, "unit": u} for k, (v, u) in summary.items()}))
    (folder / "resolved.json").write_text(json.dumps(_resolved(title, cold, particles)))
    (folder / "status").write_text(json.dumps({"state": "done", "message": ""}))
    (folder / "provenance.json").write_text("{}")
    rows = ["time [s],peak_temperature [degC],lowest_temperature [degC],probe.edge.temperature [degC],power [W]"]
    for time in np.linspace(0.0, 600.0, 61):
        grown = rise * (1.0 - np.exp(-time / 100.0))
        rows.append(f"{time},{37 + max(grown, 0.0)},{37 + min(grown, 0.0)},{37 + 0.5 * grown},{0.0 if cold else 2.0}")
    (folder / "history.csv").write_text("\n".join(rows) + "\n")


def _resolved(title: str, cold: bool, particles: bool) -> dict[str, object]:
    resolved: dict[str, object] = {"title": title, "tissues": {"hepatic_vein": {"temperature": None}}}
    resolved["heating"] = {"kind": "cryo" if cold else "photothermal" if particles else "rfa"}
    resolved["delivery"] = {"kind": "infusion" if particles else "none"}
    resolved["particles"] = {"material": "gold_nanorod"} if particles else None
    return resolved
