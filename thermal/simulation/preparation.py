"""Everything before time starts: from a case to arrays that can be marched in time."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import numpy as np

from thermal.anatomy import Anatomy, vectors
from thermal.anatomy.data import resolve
from thermal.assemble import (
    check_treatment,
    held_field,
    initial_temperature,
    make_bioheat,
    make_surroundings,
    make_tissues,
    without_volume,
)
from thermal.case import Case
from thermal.engine import Engine
from thermal.enthalpy import Nodes
from thermal.imaging.grid import image_reader
from thermal.library import Sourced
from thermal.machine import give_back
from thermal.march import Control, Loop, Progress
from thermal.physics.bioheat import Bioheat
from thermal.physics.delivery import Delivered, Imaged, Site
from thermal.physics.delivery.shaft import open_share
from thermal.physics.drug import Drug
from thermal.physics.particles import AnyParticle, Particle
from thermal.physics.scene import Mapped, Payload, Scene, Source
from thermal.physics.tissue import Tissues
from thermal.simulation.earlier import Earlier
from thermal.simulation.effort import Effort, effort_warnings
from thermal.simulation.places import check_places, ill_sized, inner_boundaries, nothing_free, overlapping
from thermal.simulation.results import Spot, locate_probes
from thermal.simulation.until import Endable
from thermal.simulation.workshop import Workshop
from thermal.store import input_hashes
from thermal.units import Array
from thermal.zone import Extent

Report = Callable[[str, float], None]
"""Called with the stage and the share of it that is done (0..1)."""


@dataclass(frozen=True)
class Prepared:
    """A case ready to be marched in time."""

    case: Case
    anatomy: Anatomy
    engine: Engine
    tissues: Tissues
    delivered: Delivered
    source: Source
    loop: Loop
    initial: Array
    library: list[Sourced]
    warnings: tuple[str, ...]
    earlier: Earlier | None = None

    @cached_property
    def solid(self) -> Nodes:
        """Nodes that have a volume."""
        return np.flatnonzero(self.engine.volume > 0)

    @cached_property
    def probes(self) -> dict[str, Spot]:
        """The probe points, located."""
        return locate_probes(self.case, self.engine)

    def start(self) -> Progress:
        """The state at time zero: that of healthy tissue, or as an earlier treatment left it."""
        start = self.loop.start(self.initial)
        return start if self.earlier is None else self.earlier.begin(start, self.loop.laws)

    def zone(self, moment: Progress) -> Extent:
        """The ablation zone at a moment, by the law of the case; that of an earlier treatment included."""
        law = self.loop.laws[self.case.zone_law.kind]
        measure = law.measure(moment.state.damage[law.kind], moment.hottest, moment.state.time)
        return Extent(measure if self.earlier is None else self.earlier.zone(law, measure), law.level)

    def drug_fields(self, progress: Progress) -> dict[str, tuple[Array, str]]:
        """Those of what the particles carry: name -> nodal values (n,) and their unit."""
        drug = self.loop.drug
        return {} if drug is None or progress.drug is None else drug.fields(progress.drug)


@dataclass(frozen=True)
class Examined:
    """A case that was looked at without solving: notes for the user, and what a run of it will take."""

    notes: tuple[str, ...]
    effort: Effort


def check(case: Case) -> list[str]:
    """Build the anatomy and look at everything that can be checked without solving.

    Returns notes for the user. Raises ``CaseError`` with all problems that were found.
    """
    found = examine(case)
    return [*found.notes, str(found.effort)]


def examine(case: Case, workshop: Workshop | None = None) -> Examined:
    """The same, with what a run will take in numbers."""
    anatomy, engine, tissues, _ = build(case, workshop)
    initial = initial_temperature(case, tissues)
    bioheat = make_bioheat(case, tissues, initial)
    check_places(case, engine)
    input_hashes(case)
    _read_inputs(case, engine)
    if isinstance(case.heating, Mapped):
        case.heating.check_maps(vectors.reader(case.folder), engine.points[engine.volume > 0.0])
    early = _early_warnings(case, anatomy, engine, bioheat)
    notes = (*anatomy.notes, *(f"warning: {text}" for text in early))
    return Examined(notes, Effort.of(case, engine))


def _read_inputs(case: Case, engine: Engine) -> None:
    """Read what the particles and the delivery name. Raises ``CaseError`` for what they cannot use."""
    _particles(case)
    if isinstance(case.delivery, Imaged):
        for name, place in case.delivery.images:
            image_reader(engine, case.folder)(name, place, 0.0)


def _particles(case: Case) -> AnyParticle | None:
    """Those of the case, with the tables that their files hold."""
    if case.particles is None:
        return None
    return case.particles.loaded(lambda name, place: resolve(name, case.folder, place))


def _early_warnings(case: Case, anatomy: Anatomy, engine: Engine, bioheat: Bioheat) -> tuple[str, ...]:
    """What can be doubted before anything is computed."""
    return (
        *without_volume(case, anatomy),
        *ill_sized(case, engine),
        *overlapping(case),
        *inner_boundaries(case, engine),
        *nothing_free(engine, bioheat.surroundings.held.mask),
    )


def build(case: Case, workshop: Workshop | None = None) -> tuple[Anatomy, Engine, Tissues, list[Sourced]]:
    """Anatomy, engine and tissues of a case."""
    anatomy, engine = (workshop or Workshop()).ground(case)
    tissues, library = make_tissues(case, anatomy, engine)
    return anatomy, engine, tissues, library


def prepare(case: Case, report: Report, workshop: Workshop | None = None) -> Prepared:
    """Everything before time starts: anatomy, particles delivered, heat source prepared."""
    report("anatomy", 0.0)
    workshop = workshop or Workshop()
    anatomy, engine, tissues, library = build(case, workshop)
    check_places(case, engine)
    initial = initial_temperature(case, tissues)
    check_treatment(case, tissues)
    make_surroundings(case, tissues, initial)  # what is wrong with them is said before the delivery takes its time
    site = Site(
        engine,
        tissues,
        anatomy.tumour or "",
        held_field(case, engine, "pressure"),
        held_field(case, engine, "concentration"),
        image_reader(engine, case.folder),
    )
    delivered = workshop.delivered(
        case,
        tissues,
        lambda read: case.delivery.deliver(replace(site, tissues=read), lambda share: report("delivery", share)),
    )
    give_back()
    bioheat = make_bioheat(case, tissues, initial)  # after the delivery, which needs the memory
    if delivered.perfusion is not None:
        bioheat = bioheat.perfused(delivered.perfusion)
    earlier = Earlier.of(case, engine, anatomy.domain)
    if earlier is not None:
        delivered = earlier.particles(case, delivered, engine)
    payload, drug, particles = None, None, _particles(case)
    if particles is not None:
        particle = Particle(particles)
        library += particle.sources()
        payload = Payload(
            delivered.bulk,
            particle.optics,
            particle.specific_absorption_rate,
            particle.agitation,
            particle.emission,
            particle.heat_share,
            particle.reshaped,
            particle.doubts,
        )
        drug = _bind_drug(case, tissues, delivered, site.tumour_volume)
    report("heating", 0.0)
    scene = Scene(
        engine,
        tissues,
        payload,
        held_field(case, engine, "potential"),
        case.bioheat.duration,
        initial,
        read_vectors=vectors.reader(case.folder),
    )
    source: Source = case.heating.prepare(scene)
    bodies = [device.shape for device in source.devices if device.active is not None]
    if bodies:
        bioheat = bioheat.perfused(engine.to_nodes(open_share(engine, bodies)))
    if case.bioheat.until is not None:
        source = Endable.of(source, case, anatomy.tumour)
    library += source.library
    laws = {name: law.bind(delivered.bulk) for name, law in case.damage.chosen().items()}
    numerics = case.numerics
    for law in laws.values():
        library += law.sources()
    loop = Loop(
        bioheat,
        source,
        laws,
        Control(numerics.temperature_tolerance, numerics.max_step, numerics.first_step, numerics.working),
        case.bioheat.duration,
        case.perfusion_law,
        output_times(case),
        source.ticks,
        drug,
    )
    early = _early_warnings(case, anatomy, engine, bioheat)
    warnings = (
        *case.notes(),
        *anatomy.warnings,
        *early,
        *effort_warnings(case, bioheat, initial),
        *delivered.warnings,
        *source.warnings,
    )
    return Prepared(case, anatomy, engine, tissues, delivered, source, loop, initial, library, warnings, earlier)


def _bind_drug(case: Case, tissues: Tissues, delivered: Delivered, tumour: Array) -> Drug | None:
    """What the delivered particles carry, if anything; ``tumour`` (n,) m3."""
    load = case.particles.payload if case.particles is not None else None
    if load is None:
        return None
    perfused = tissues.mix_nodes({name: case.bioheat.embolisation.get(name, 1.0) for name in tissues.by_region})
    if delivered.perfusion is not None:
        perfused = perfused * delivered.perfusion
    engine, diffusion = tissues.engine, None
    if load.diffusivity > 0.0:
        diffusion = engine.conductance(tissues.mix_cells(dict.fromkeys(tissues.by_region, load.diffusivity)))
    return load.bind(delivered.bulk, engine.volume, tumour, perfused, diffusion)


def output_times(case: Case) -> tuple[float, ...]:
    """Times in s of the kept temperature fields, the end included."""
    duration, every = case.bioheat.duration, case.output.every
    return (*(every * np.arange(1, int(np.ceil(duration / every - 1e-9)))).tolist(), duration)


def provenance_table(prepared: Prepared) -> Mapping[str, Any]:
    """Library numbers that the run uses, with their sources, and the files that the anatomy was made of."""
    return {
        "numbers": prepared.library,
        "anatomy": {"notes": list(prepared.anatomy.notes), "files": [list(pair) for pair in prepared.anatomy.sources]},
    }
