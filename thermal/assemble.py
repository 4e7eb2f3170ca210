"""From a case to arrays: engine, tissues, boundaries and the bioheat problem."""

from __future__ import annotations

import importlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from typing import Any

import numpy as np

from thermal.anatomy import Anatomy
from thermal.case import Case
from thermal.case.parts import (
    Boundary,
    ConvectiveBoundary,
    FixedBoundary,
    FluxBoundary,
    Freezing,
    InsulatedBoundary,
    Vaporisation,
)
from thermal.case.report import nearest
from thermal.domain import FACES, SURFACE, AxisymmetricDomain, CutEdges, Domain, MeshDomain, VoxelDomain
from thermal.engine import Engine
from thermal.enthalpy import Conductivity, CutConductivity, Enthalpy, PhaseChange
from thermal.errors import CaseError
from thermal.heat import WORKING
from thermal.library import Sourced
from thermal.nodes import region_nodes
from thermal.physics.bioheat import Bioheat, Surroundings
from thermal.physics.materials import resolve_tissue
from thermal.physics.scene import Held
from thermal.physics.tissue import Tissue, Tissues
from thermal.units import Array, Mask

ENGINES: Mapping[type, tuple[str, str]] = {
    VoxelDomain: ("thermal.engines.voxel", "VoxelEngine"),
    MeshDomain: ("thermal.engines.mesh", "MeshEngine"),
    AxisymmetricDomain: ("thermal.engines.axisymmetric", "AxisymmetricEngine"),
}
"""Kind of domain -> module and name of its engine, imported when the first of its kind is made."""

Mix = Callable[[Mapping[str, float]], Array]
"""One number a region -> their mean at the nodes (n,)."""

VAPORISATION_HEAT = 2.257e6  # J/kg of water at 100 degC and 1 atm (IAPWS-95: 2256.5 kJ/kg)


def make_engine(anatomy: Anatomy, kind: str = "serial") -> Engine:
    """The engine for this kind of domain: in this process alone, or (``dolfinx``) by all ranks of an MPI run.

    Raises ``CaseError`` when there is no DOLFINx here, or when it has no way to spread this domain.
    """
    module, name = ENGINES[type(anatomy.domain)]
    make = getattr(importlib.import_module(module), name) if kind == "serial" else spread_over_ranks
    engine: Engine = make(anatomy.domain)
    return engine


def spread_over_ranks(domain: Domain) -> Any:
    """The engine whose steady solves and heat march all ranks do together. Raises ``CaseError`` where there is none."""
    try:
        from thermal.engines.shared import SharedEngine
    except ImportError as error:
        raise CaseError(
            f"numerics.engine: DOLFINx is not to be had here ({error}); pip install 'thermal[mpi]' on Python 3.12 or "
            'newer, or leave engine = "serial"'
        ) from None
    try:
        return SharedEngine(domain)
    except ValueError as error:
        raise CaseError(f"numerics.engine: {error}") from None


def make_tissues(case: Case, anatomy: Anatomy, engine: Engine) -> tuple[Tissues, list[Sourced]]:
    """Tissue of every region and where each of its numbers comes from.

    Raises ``CaseError`` for entries that name no region and for regions without properties.
    """
    regions = dict(anatomy.materials)
    problems = [
        f"tissues.{name}: names no region of the anatomy; its regions are {_listed(name, sorted(regions))}"
        for name in case.tissues
        if name not in regions and name not in anatomy.absent
    ]
    problems += [
        f"bioheat.embolisation.{name}: names no region of the anatomy; its regions are {', '.join(sorted(regions))}"
        for name in case.bioheat.embolisation
        if name not in regions and name not in anatomy.absent
    ]
    by_region: dict[str, Tissue] = {}
    provenance: list[Sourced] = []
    for region, material in regions.items():
        entry = case.tissues.get(region)
        overrides = {} if entry is None else {name: getattr(entry, name) for name in entry.model_fields_set}
        name = overrides.pop("material", None) or material
        try:
            tissue, sources = resolve_tissue(name, overrides)
        except CaseError as error:
            place = f"tissues.{region}" if entry is not None else anatomy.named_at.get(region, f"tissues.{region}")
            problems += [f"{place}: {problem}" for problem in error.problems]
            continue
        left = case.bioheat.embolisation.get(region, 1.0)
        by_region[region] = tissue if left == 1.0 else tissue.model_copy(update={"perfusion": left * tissue.perfusion})
        provenance += [{**source, "key": f"tissues.{region}.{source['key']}"} for source in sources]
    if problems:
        raise CaseError(*problems)
    return Tissues(engine, by_region, case.bioheat.freezing != "off"), provenance


def without_volume(case: Case, anatomy: Anatomy) -> tuple[str, ...]:
    """What to say of tissues that the case describes and the window does not hold."""
    return tuple(
        f"tissues.{name}: this region has no volume in the window, so the entry plays no part"
        for name in case.tissues
        if name in anatomy.absent and name not in anatomy.materials
    )


def initial_temperature(case: Case, tissues: Tissues) -> Array:
    """(n,) degC; a table of regions is mixed by volume. Raises ``CaseError`` for unknown regions."""
    given = case.bioheat.initial_temperature
    if isinstance(given, float):
        return np.full_like(tissues.engine.volume, given)
    unknown = [name for name in given if name not in tissues.by_region]
    if unknown:
        known = sorted(tissues.by_region)
        where = "bioheat.initial_temperature"
        raise CaseError(*(f"{where}.{name}: names no region; regions: {_listed(name, known)}" for name in unknown))
    default = case.bioheat.arterial_temperature
    mixed = tissues.mix_nodes({region: given.get(region, default) for region in tissues.by_region})
    return np.where(tissues.engine.volume > 0, mixed, default)


def _entries(case: Case, engine: Engine) -> Iterator[tuple[str, Boundary, Array | None, Mask]]:
    """Name, entry, lumped areas (None for a region) and nodes of every boundary, the general before the particular."""
    order = sorted(case.boundaries, key=lambda name: name != "faces")
    for name in order:
        entry = case.boundaries[name]
        if name == "faces":
            if FACES[0] not in engine.areas:
                raise CaseError(f"boundaries.faces: a mesh has no window faces; its boundaries are {_known(engine)}")
            for face in FACES:
                if face not in case.boundaries:
                    yield face, entry, engine.areas[face], engine.areas[face] > 0
        elif name in engine.areas:
            areas = engine.areas[name]
            if engine.total(areas) <= 0.0 and not isinstance(entry, InsulatedBoundary):
                others = ", ".join(other for other, found in engine.areas.items() if engine.total(found) > 0.0)
                raise CaseError(
                    f"boundaries.{name}: has no area in this window, so it would do nothing; those that have some: "
                    f"{others}; choose one of them, delete it, or move the window"
                )
            yield name, entry, areas, areas > 0
        elif name in engine.volumes:
            if isinstance(entry, InsulatedBoundary):
                raise CaseError(f'boundaries.{name}: a region can only be "fixed"; only a surface can be insulated')
            yield name, entry, None, region_nodes(engine, name)
        else:
            known = _listed(name, [*engine.areas, *engine.volumes])
            raise CaseError(f"boundaries.{name}: names no boundary and no region; known are {known}")


def _listed(word: str, choices: Sequence[str]) -> str:
    """All choices, and the one that was probably meant by ``word``."""
    near = nearest(word, [*choices, "faces"] if FACES[0] in choices else choices)
    return ", ".join(choices) + (f'; did you mean "{near}"?' if near else "")


def _known(engine: Engine) -> str:
    return ", ".join([*engine.areas, *engine.volumes])


def held_field(case: Case, engine: Engine, field: str) -> Held:
    """Nodes where ``[boundaries]`` holds ``field`` (potential, pressure or concentration)."""
    mask = np.zeros(engine.volume.shape, dtype=bool)
    value = np.zeros(engine.volume.shape)
    regions = []
    for name, entry, areas, nodes in _entries(case, engine):
        given = getattr(entry, field)
        if given is not None:
            mask |= nodes
            value[nodes] = given
            regions += [name] if areas is None else []
    return Held(mask, value, with_border(engine, regions))


def with_border(engine: Engine, regions: Sequence[str]) -> tuple[str, ...]:
    """Those of some held ``regions`` whose border is known better than by their nodes."""
    return tuple(name for name in dict.fromkeys(regions) if engine.held_edges(name) is not None)


def default_border(engine: Engine) -> tuple[str, ...]:
    """Boundaries that are held at the initial temperature unless the case says otherwise: where the body was cut."""
    return FACES if FACES[0] in engine.areas else (SURFACE,)


def cut_nodes(case: Case, engine: Engine) -> Mask:
    """(n,) nodes where the body is cut and the case says nothing of the heat there: they keep their temperature."""
    thermal = {
        name
        for name, entry, *_ in _entries(case, engine)
        if not (isinstance(entry, FixedBoundary) and entry.temperature is None)
    }
    mask = np.zeros(engine.volume.shape, dtype=bool)
    for name in default_border(engine):
        if name not in thermal and (name != SURFACE or not thermal & set(engine.areas)):
            mask |= engine.areas[name] > 0
    return mask


def make_surroundings(case: Case, tissues: Tissues, initial: Array) -> Surroundings:
    """Thermal boundaries; by default the cuts through the body keep their initial temperature and skin is insulated."""
    engine = tissues.engine
    mask = cut_nodes(case, engine)
    value = initial
    film = load = np.broadcast_to(0.0, initial.shape)
    regions = []
    for name, entry, areas, nodes in _entries(case, engine):
        if isinstance(entry, FixedBoundary) and entry.temperature is not None:
            mask |= nodes
            value = np.where(nodes, entry.temperature, value)
            regions += [name] if areas is None else []
        elif isinstance(entry, ConvectiveBoundary | FluxBoundary):
            if areas is None:
                raise CaseError(f'boundaries.{name}: a region can only be "fixed"; heat flux needs a surface')
            if isinstance(entry, ConvectiveBoundary):
                film = film + entry.coefficient * areas
                load = load + entry.coefficient * entry.temperature * areas
            else:
                load = load + entry.flux * areas
    for region, tissue in tissues.by_region.items():
        if tissue.temperature is not None:
            nodes = region_nodes(engine, region)
            mask |= nodes
            value = np.where(nodes, tissue.temperature, value)
            regions.append(region)
    return Surroundings(film, load, Held(mask & (engine.volume > 0), value, with_border(engine, regions)))


def make_bioheat(case: Case, tissues: Tissues, initial: Array) -> Bioheat:
    """The bioheat problem. Raises ``CaseError`` with all that delivery and heating miss in this anatomy."""
    check_treatment(case, tissues)
    engine, blood = tissues.engine, case.bioheat
    regions = tissues.by_region
    surroundings = make_surroundings(case, tissues, initial)
    ever_held = _ever_held(case, tissues)
    held = with_border(engine, ever_held)
    mix = partial(_mix_outside, tissues, held, _standing_for(engine, held)) if held else tissues.mix_nodes
    cold = _gets_cold(case, initial, surroundings)
    freezing, frozen_capacity = _freezing(case, tissues, mix) if cold else (None, None)

    def capacity() -> Array:
        return _at_nodes(mix, tissues, {name: t.density * t.heat_capacity for name, t in regions.items()})

    carried = blood.blood_density * blood.blood_heat_capacity
    flows = {name: carried * t.perfusion for name, t in regions.items()}
    perfusion = engine.volume * mix(flows)
    if ever_held:  # whoever holds a node pays for what blood takes there: for that around the region, not within
        around = engine.volume * tissues.mix_nodes({**flows, **dict.fromkeys(ever_held, 0.0)})
        perfusion = np.where(_standing_for(engine, ever_held), around, perfusion)
    metabolic = np.broadcast_to(0.0, initial.shape)
    if blood.metabolism:
        metabolic = engine.volume * mix({name: t.metabolic_heat for name, t in regions.items()})
    conducting = tissues.like_around(held, ("conductivity", "conductivity_slope", "frozen_conductivity"))
    return Bioheat(
        engine,
        Enthalpy.build(capacity(), freezing, frozen_capacity, _boiling(case, tissues, mix)),
        lambda: engine.volume * capacity(),
        _conductivity(conducting, freezing, at_nodes=False),
        lambda: _conductivity(conducting, freezing, at_nodes=True),
        perfusion.astype(_working(case)),
        blood.arterial_temperature,
        metabolic,
        surroundings,
        _cuts(conducting, freezing, [engine.held_edges(region) for region in held]),
    )


def _working(case: Case) -> type[np.floating[Any]]:
    """Numbers of the working precision of the march."""
    return WORKING[case.numerics.working]


def _ever_held(case: Case, tissues: Tissues) -> tuple[str, ...]:
    """Regions that are held at a temperature and never released: as boundaries, tissues, or by the heating."""
    by_boundary = [
        name
        for name, entry in case.boundaries.items()
        if name in tissues.by_region and isinstance(entry, FixedBoundary) and entry.temperature is not None
    ]
    by_tissue = [name for name, tissue in tissues.by_region.items() if tissue.temperature is not None]
    lasting = () if case.bioheat.until is not None else case.heating.acting
    return tuple(dict.fromkeys([*by_boundary, *by_tissue, *(region for part in lasting for region in part.holds)]))


def _standing_for(engine: Engine, held: Sequence[str]) -> Mask:
    """(n,) nodes that stand for any of the regions."""
    return np.asarray(np.any([region_nodes(engine, region) for region in held], axis=0))


def _mix_outside(tissues: Tissues, held: Sequence[str], inside: Mask, values: Mapping[str, float]) -> Array:
    """Nodal mixture, in which ``held`` regions have a part only at the nodes that stand for them, ``inside``."""
    outside = tissues.mix_nodes({**values, **dict.fromkeys(held, 0.0)})
    return np.where(inside, tissues.mix_nodes(values), outside)


def check_treatment(case: Case, tissues: Tissues) -> None:
    """Raise ``CaseError`` with everything that delivery and heating need and this anatomy does not have."""
    problems: list[str] = []
    for part in (case.delivery, case.heating):
        try:
            part.check(tissues)
        except CaseError as error:
            problems += error.problems
    if problems:
        raise CaseError(*problems)


def _at_nodes(mix: Mix, tissues: Tissues, values: Mapping[str, float]) -> Array:
    """Nodal mixture; one outside the body, where it divides zero."""
    return np.where(tissues.engine.volume > 0, mix(values), 1.0)


def _gets_cold(case: Case, initial: Array, surroundings: Surroundings) -> bool:
    """Whether anything draws tissue to where it begins to freeze; else ice would only be looked for in every step.

    Heat that flows by differences of temperature, and sources that only give, leave nothing colder than the coldest of
    what there is at the start, around and within.
    """
    given = case.bioheat.freezing
    if not isinstance(given, Freezing):
        return False
    held = surroundings.held
    coldest = min(
        case.heating.coldest,
        case.bioheat.arterial_temperature,
        float(np.min(initial)),
        float(np.min(held.value, where=held.mask, initial=np.inf)),
    )
    around = surroundings.load - surroundings.film * given.liquidus  # W into tissue that begins to freeze
    return coldest <= given.liquidus or bool((around < 0.0).any())


def _freezing(case: Case, tissues: Tissues, mix: Mix) -> tuple[PhaseChange | None, Array | None]:
    """Freezing of the tissues where all of them have the data for it."""
    given = case.bioheat.freezing
    if not isinstance(given, Freezing):
        return None, None
    latent, frozen = {}, {}
    for name, tissue in tissues.by_region.items():
        if tissue.frozen_conductivity is None or tissue.frozen_heat_capacity is None or tissue.latent_heat is None:
            return None, None
        latent[name] = tissue.density * tissue.latent_heat
        frozen[name] = tissue.density * tissue.frozen_heat_capacity
    return PhaseChange(given.solidus, given.liquidus, _at_nodes(mix, tissues, latent)), _at_nodes(mix, tissues, frozen)


def _boiling(case: Case, tissues: Tissues, mix: Mix) -> PhaseChange | None:
    """Vaporisation of tissue water where all tissues have their water content."""
    given = case.bioheat.vaporisation
    fractions = {name: tissue.water_fraction for name, tissue in tissues.by_region.items()}
    if not isinstance(given, Vaporisation) or any(fraction is None for fraction in fractions.values()):
        return None
    latent = {
        name: tissue.density * (tissue.water_fraction or 0.0) * VAPORISATION_HEAT
        for name, tissue in tissues.by_region.items()
    }
    return PhaseChange(given.start, given.end, _at_nodes(mix, tissues, latent))


def _cuts(tissues: Tissues, freezing: PhaseChange | None, held: Sequence[CutEdges | None]) -> CutConductivity | None:
    """How edges beside cut cells, and those that the borders of held regions cut, conduct at 37 degC and frozen."""
    engine, regions = tissues.engine, tissues.by_region
    warm = CutEdges.product(engine.cut_edges({name: tissue.conductivity for name, tissue in regions.items()}), *held)
    if freezing is None:
        return None if warm is None else CutConductivity(warm)
    cold = engine.cut_edges({name: tissue.frozen_conductivity or 0.0 for name, tissue in regions.items()})
    frozen = CutEdges.product(cold, *held)
    return CutConductivity.of(warm, frozen, freezing.start, freezing.end)


def _conductivity(tissues: Tissues, freezing: PhaseChange | None, *, at_nodes: bool) -> Conductivity:
    mix = tissues.mix_nodes if at_nodes else tissues.mix_cells
    regions = tissues.by_region
    at_37 = mix({name: tissue.conductivity for name, tissue in regions.items()})
    change = mix({name: tissue.conductivity * tissue.conductivity_slope for name, tissue in regions.items()})
    slope = np.divide(change, at_37, out=np.zeros_like(change), where=at_37 > 0)
    if freezing is None:
        return Conductivity(at_37, slope)
    frozen = mix({name: tissue.frozen_conductivity or 0.0 for name, tissue in regions.items()})
    return Conductivity(at_37, slope, frozen, freezing.start, freezing.end)
