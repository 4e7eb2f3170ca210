"""What makes a comparison doubtful."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

import numpy as np

from thermal.store import Run
from thermal.units import Array
from thermal.view import style
from thermal.view.cells import box, cell_centres, cell_volumes
from thermal.view.treatment import Treatment

if TYPE_CHECKING:
    pass

VOLUME_TOLERANCE = 0.02  # relative; the same tumour on two grids of a labelled image differs by less

PLACE_TOLERANCE = 0.5  # mm, of the tumour's centre and of the corners of the window


def anatomy_differences(treatments: Sequence[Treatment]) -> list[str]:
    """Sentences on treatments whose tumour or window is not that of the first; empty when all share one anatomy."""
    notes = []
    first, *others = [(t, *_anatomy_figures(t.run)) for t in treatments]
    for treatment, volume, centre, window in others:
        differing = []
        if abs(volume - first[1]) > VOLUME_TOLERANCE * max(volume, first[1]):
            differing.append(f"the tumour has {volume * 1e6:.2f} ml, not {first[1] * 1e6:.2f} ml")
        elif np.linalg.norm(centre - first[2]) > PLACE_TOLERANCE:
            differing.append(f"the tumour lies {np.linalg.norm(centre - first[2]):.1f} mm away")
        if np.abs(window - first[3]).max() > PLACE_TOLERANCE:
            differing.append("the computed window is another")
        if differing:
            notes.append(
                f"DIFFERENT ANATOMY: in {treatment.title} {' and '.join(differing)} (against {first[0].title}); "
                "the zones of these two must not be compared"
            )
    return notes


def _anatomy_figures(run: Run) -> tuple[float, Array, Array]:
    """Tumour volume (m3), its centre (3,) mm, corners of the window (3, 2) mm."""
    domain = run.domain
    share = domain.shares.get(run.tumour)
    window = box(domain)
    if share is None:
        return 0.0, window.mean(axis=1), window
    weight = cell_volumes(domain) * share
    centres = cell_centres(domain)
    total = float(weight.sum())
    return total, (weight @ centres / total if total > 0.0 else window.mean(axis=1)), window


def doubts(treatments: Iterable[Treatment]) -> list[str]:
    """What the runs themselves warn of and the reader of the table must know."""
    notes = []
    laws = {t.run.zone_law for t in treatments}
    if len(laws) > 1:
        used = ", ".join(sorted(style.law_words(law) for law in laws))
        notes.append(f"the zones are judged by different criteria of death ({used}), each after its own kind of injury")
    for treatment in treatments:
        touches = treatment.run.summary.get("zone.touches_boundary", {}).get("value")
        if touches:
            notes.append(f"{treatment.title}: the zone reaches the border of the window, so its size is a lower bound")
    return notes
