"""From a sweep to its members: one case with one set of values each."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from scipy.stats import qmc

from thermal.batch.priors import Prior, as_toml, split, written
from thermal.batch.sweep import MOST, Sample, Sweep
from thermal.case import Case, case_hash, load_case
from thermal.case.describe import digest
from thermal.case.load import shown
from thermal.errors import CaseError
from thermal.physics.materials import resolve_tissue
from thermal.store import input_hashes
from thermal.units import Array, parse

NAME = 16
"""Letters of the hash of a case in the name of its folder."""


LEAN = {"output.series": "false", "output.pictures": "false"}
"""What runs are asked for of which only the zone or the tables are kept."""


@dataclass(frozen=True)
class Member:
    """One run of a sweep: ``values`` are what it sets, as text of TOML by key, the varied ones in ``varied``."""

    case: Path
    anatomy: str | None
    values: Mapping[str, str]
    varied: Mapping[str, str | float]
    """key -> what the index shows; a number in the unit of the prior for what was drawn"""

    def load(self) -> Case:
        """The case. Raises ``CaseError``."""
        return load_case(self.case, [f"{key}={value}" for key, value in self.values.items()], self.anatomy)


@dataclass(frozen=True)
class Named:
    """A member whose case was read and found valid; ``name`` is that of its folder, from the hash of the content."""

    member: Member
    name: str
    anatomy: str
    """hash of the anatomy: runs with the same one share a domain"""


def design(sample: Sample, dimensions: int) -> Array:
    """Points (runs, d) of the unit cube. Raises ``CaseError`` where the count is too small or SALib is missing."""
    if sample.method == "latin_hypercube":
        return np.asarray(qmc.LatinHypercube(dimensions, rng=np.random.default_rng(sample.seed)).random(sample.count))
    each = dimensions + (2 if sample.method == "sobol" else 1)
    base = sample.count // each
    if sample.method == "sobol":
        base = 2 ** int(np.log2(base)) if base else 0
    if base < 2:
        raise CaseError(
            f"sample.count: found {sample.count}; the method {sample.method} needs at least {2 * each} runs for "
            f"{dimensions} priors"
        )
    problem = unit_problem(dimensions)
    try:
        if sample.method == "sobol":
            from SALib.sample import sobol

            return np.asarray(sobol.sample(problem, base, calc_second_order=False, seed=sample.seed))
        from SALib.sample import morris

        return np.asarray(morris.sample(problem, base, seed=sample.seed))
    except ImportError:
        raise CaseError(
            f'sample.method: "{sample.method}" needs SALib, which is not installed: pip install "thermal[uq]", or use '
            '"latin_hypercube"'
        ) from None


def unit_problem(dimensions: int) -> dict[str, object]:
    """The unit cube as SALib describes it."""
    return {"num_vars": dimensions, "names": [f"x{i}" for i in range(dimensions)], "bounds": [[0.0, 1.0]] * dimensions}


def expand(sweep: Sweep, points: Array | None = None) -> list[Member]:
    """All members, in the order of the index; with ``points`` (k, d) of the unit cube, those. Of a search that has no
    points yet, the middle of the priors. Raises ``CaseError``.
    """
    if points is None:
        dimensions = len(sweep.priors)
        points = np.full((1, dimensions), 0.5) if sweep.sample is None else design(sweep.sample, dimensions)
    combinations = 1
    for values in sweep.grid.values():
        combinations *= len(values)
    each = len(points) + (0 if sweep.coarse is None else sweep.coarse.fine)
    total = len(sweep.cases) * max(len(sweep.anatomies), 1) * combinations * max(len(sweep.rows), 1) * each
    if total > MOST:
        raise CaseError(f"{shown(sweep.path)}: asks for {total} runs; at most {MOST} are allowed")
    lean = {} if sweep.keep == "everything" else LEAN
    fixed = {**lean, **{key: as_toml(value) for key, value in sweep.set.items()}}
    members = []
    for case, anatomy in itertools.product(sweep.cases, sweep.anatomies or (None,)):
        path = sweep.path.parent / case
        drawn = _drawn(sweep, path, fixed, anatomy, points) if sweep.priors else [({}, {})]
        for chosen in _chosen(sweep):
            texts = {key: as_toml(value) for key, value in chosen.items()}
            plain = {
                key: value if isinstance(value, (str, int, float)) else texts[key] for key, value in chosen.items()
            }
            for more, some in _grids(sweep, drawn):
                coarser = {key: as_toml(value) for key, value in more.items()}
                members += [
                    Member(path, anatomy, {**fixed, **texts, **values, **coarser}, {**plain, **more, **numbers})
                    for values, numbers in some
                ]
    return members


Drawn = Sequence[tuple[dict[str, str], dict[str, float]]]
"""What each point sets, and what the index shows of it."""


def _grids(sweep: Sweep, drawn: Drawn) -> list[tuple[Mapping[str, Any], Drawn]]:
    """What is set besides on each grid, and the points that are run on it."""
    if sweep.coarse is None:
        return [({}, drawn)]
    chosen = {k: v if isinstance(v, (str, int, float)) else as_toml(v) for k, v in sweep.coarse.set.items()}
    return [(chosen, drawn), ({}, drawn[: sweep.coarse.fine])]


def _chosen(sweep: Sweep) -> Iterator[dict[str, object]]:
    """Every combination of the grid with every row."""
    for combination in itertools.product(*sweep.grid.values()):
        for row in sweep.rows or ({},):
            yield {**dict(zip(sweep.grid, combination, strict=True)), **row}


def _drawn(
    sweep: Sweep, path: Path, fixed: Mapping[str, str], anatomy: str | None, points: Array
) -> list[tuple[dict[str, str], dict[str, float]]]:
    """What each point sets, and what the index shows of it: the number drawn."""
    base = load_case(path, [f"{key}={value}" for key, value in fixed.items()], anatomy)
    columns: list[tuple[str, list[float], list[tuple[str, list[str]]]]] = []
    problems = []
    for number, (name, prior) in enumerate(sweep.priors.items()):
        drawn = prior.at(points[:, number])
        texts = []
        for key in prior.keys or (name,):
            try:
                texts.append((key, _texts(base, key, prior, drawn)))
            except CaseError as error:
                problems += [sweep.placed(f"--set: {problem}") for problem in error.problems]
        heading = f"{name} ({prior.unit})" if prior.unit else name
        columns.append((heading, drawn.tolist(), texts))
    if problems:
        raise CaseError(*problems)
    return [
        (
            {key: values[index] for _, _, texts in columns for key, values in texts},
            {heading: drawn[index] for heading, drawn, _ in columns},
        )
        for index in range(len(points))
    ]


def _texts(base: Case, key: str, prior: Prior, drawn: Array) -> list[str]:
    """What is written to ``key`` for each number drawn."""
    if prior.relative is None:
        return [as_toml(written(value, prior.unit)) if prior.unit else repr(value) for value in drawn.tolist()]
    value, unit = base_value(base, key)
    if prior.relative == "factor":
        return [as_toml(written(value * factor, unit)) for factor in drawn.tolist()]
    step = "K" if unit == "degC" else unit
    try:
        return [as_toml(written(value + parse(written(shift, prior.unit), step), unit)) for shift in drawn.tolist()]
    except ValueError as error:
        raise CaseError(f"{key}: {error}") from None


def base_value(case: Case, key: str) -> tuple[float, str]:
    """Value and unit of a number of the case, or of the library where the case says nothing. Raises ``CaseError``."""
    place: object = case.resolved()
    for part in key.split("."):
        if isinstance(place, list) and len(place) == 1 and not part.isdigit():
            place = place[0]  # one table where there may be several
        if isinstance(place, dict):
            place = place.get(part)
        elif isinstance(place, list) and part.isdigit() and int(part) < len(place):
            place = place[int(part)]
        else:
            place = None
    if isinstance(place, dict) and set(place) == {"value", "unit"}:
        return float(place["value"]), str(place["unit"])
    if isinstance(place, str):
        try:
            return split(place)
        except ValueError as error:
            raise CaseError(f"{key}: {error}") from None
    if place is None and key.startswith("tissues.") and key.count(".") == 2:
        return _of_the_library(case, key)
    raise CaseError(f"{key}: the case has no number there that a factor or a shift could start from; check the key")


def _of_the_library(case: Case, key: str) -> tuple[float, str]:
    _, region, field = key.split(".")
    materials = case.anatomy.build(case.folder).materials
    entry = case.tissues.get(region)
    material = (entry.material if entry is not None else None) or materials.get(region)
    if material is None:
        raise CaseError(f"{key}: the anatomy has no region {region}; its regions are {', '.join(sorted(materials))}")
    _, numbers = resolve_tissue(material, {})
    for number in numbers:
        if number["key"] == field:
            return number["value"], number["unit"]
    raise CaseError(f"{key}: neither the case nor the library has a value for it; give it in the case")


def named(members: Sequence[Member], sweep: Sweep) -> list[Named]:
    """Every member of a sweep read and checked. Raises ``CaseError`` with the problems of all, each said once."""
    found: list[Named] = []
    problems: dict[str, None] = {}
    files: dict[tuple[object, ...], dict[str, str]] = {}
    for member in members:
        try:
            case = member.load()
            anatomy = case.resolved()["anatomy"]
            key = (
                case.folder,
                *(anatomy.get(name) for name in ("segmentation", "ct", "file")),
                str(anatomy.get("tumour")),
            )
            if key not in files:
                files[key] = input_hashes(case)
            names = {name: value for name, value in files[key].items() if name.startswith("anatomy.")}
            found.append(
                Named(member, case_hash(case, files[key])[:NAME], digest({"anatomy": anatomy, "files": names})[:NAME])
            )
        except CaseError as error:
            problems |= dict.fromkeys(map(sweep.placed, error.problems))
    if problems:
        raise CaseError(*problems)
    return found
