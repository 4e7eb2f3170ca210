"""The documentation says what the program does: its cases load, its examples run, its tables are those of the code."""

from __future__ import annotations

import importlib
import importlib.util
import itertools
import re
import shlex
import shutil
import tomllib
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any

import nibabel as nib
import numpy as np
import pytest
from cyclopts import CycloptsError
from scenes import MM, at, cube, scene
from scripts import script
from test_layers import HOMES, LAYERS

from thermal import assemble, enthalpy, load_case, simulate, simulation
from thermal.anatomy.data import resolve
from thermal.batch import Sweep
from thermal.case import Case
from thermal.case.parts import Freezing, Vaporisation
from thermal.cli import app
from thermal.engines import probes
from thermal.errors import CaseError
from thermal.march import steps
from thermal.physics import light, magnetism
from thermal.physics.damage import Arrhenius, Cem43, Cryo
from thermal.physics.delivery import flow, infusion_report, systemic
from thermal.physics.heating import potential
from thermal.physics.light import diffusion, window

ROOT = Path(__file__).parent.parent
PAGES = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").glob("*.md"))]
README_EXAMPLE = "README.md, block 1"


@dataclass(frozen=True)
class Block:
    """A code block of a page."""

    page: Path
    number: int
    language: str
    text: str

    @property
    def name(self) -> str:
        return f"{self.page.name}, block {self.number}"


def blocks(language: str) -> list[Block]:
    found = []
    for page in PAGES:
        fences = re.findall(r"^```(\w+)\n(.*?)^```$", page.read_text(encoding="utf-8"), re.MULTILINE | re.DOTALL)
        texts = [text for kind, text in fences if kind == language]
        found += [Block(page, number, language, text) for number, text in enumerate(texts, 1)]
    return found


def named(items: list[Any]) -> dict[str, Any]:
    return {"argvalues": items, "ids": [getattr(item, "name", str(item)) for item in items]}


def is_complete(block: Block) -> bool:
    return block.text.startswith("schema_version")


def is_library(block: Block) -> bool:
    return block.text.startswith("# thermal/data/")


def is_sweep(block: Block) -> bool:
    return is_complete(block) and "\ncases = [" in block.text


CASES = [block for block in blocks("toml") if is_complete(block) and not is_sweep(block)]
SWEEPS = [block for block in blocks("toml") if is_sweep(block)]
FRAGMENTS = [block for block in blocks("toml") if not is_complete(block) and not is_library(block)]
ENTRIES = [block for block in blocks("toml") if is_library(block)]


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A working folder with the README's case in it, and the repository's cases around."""
    shutil.copytree(ROOT / "cases", tmp_path / "cases")
    here = tmp_path / "cases" / "liver"
    (example,) = [block for block in CASES if block.name == README_EXAMPLE]
    (here / "case.toml").write_text(example.text, encoding="utf-8")
    (patient,) = [block for block in CASES if block.name == "anatomy.md, block 1"]  # which another one there extends
    (here / "patient12.toml").write_text(patient.text, encoding="utf-8")
    monkeypatch.chdir(here)
    return here


# ------------------------------------------------------------------------------------------------ cases in pages


def needs_files(case: Case) -> bool:
    return case.anatomy.kind == "image"


@pytest.mark.parametrize("block", **named(CASES))
def test_complete_cases_are_valid(folder: Path, block: Block) -> None:
    """Each loads; those that need no patient are built and looked at as `thermal validate` does."""
    if "ball.msh" in block.text:
        assert script("make_ball_mesh").main([str(folder / "ball.msh")]) in (0, None)
    if "half.msh" in block.text:
        assert script("make_half_plane").main([str(folder / "half.msh"), "--spacing", "2"]) in (0, None)
    path = folder / "documented.toml"
    path.write_text(block.text, encoding="utf-8")
    case = load_case(path)
    assert case.notes() == ()
    if not needs_files(case):
        simulation.check(case)


BASE = """\
schema_version = 1
anatomy = { kind = "phantom", size = "40 mm", voxel_size = "4 mm", background = "liver", tumour = "tumour", shapes = [
  { region = "tumour", shape = "sphere", centre = ["0 mm", "0 mm", "0 mm"], radius = "8 mm" } ] }
particles = { material = "gold_nanorod_41x10" }
delivery = { kind = "uniform", concentration = "0.1 mg/ml" }
heating = { kind = "photothermal", wavelength = "808 nm", power = "1 W", fibre = {
  entry = ["0 mm", "0 mm", "18 mm"], tip = ["0 mm", "0 mm", "0 mm"] } }
bioheat = { duration = "1 min" }
"""


@pytest.mark.parametrize("block", **named(SWEEPS))
def test_sweeps_are_valid(folder: Path, block: Block) -> None:
    """Every member is a case, on the phantom where the page's own anatomy needs files."""
    from thermal.batch import load_sweep
    from thermal.batch.members import expand

    (folder / "sweep.toml").write_text(block.text.replace('"liver", "phantom"', '"phantom"'), encoding="utf-8")
    sweep = load_sweep("sweep.toml")
    members = expand(sweep if sweep.anatomies else _on(sweep, ("phantom",)))
    assert members
    for member in members[:4]:
        member.load()


def _on(sweep: Sweep, anatomies: tuple[str, ...]) -> Sweep:
    changed = sweep.model_copy(update={"anatomies": anatomies})
    changed._path = sweep.path
    return changed


@pytest.mark.parametrize("block", **named(FRAGMENTS))
def test_fragments_fit_into_a_case(folder: Path, block: Block) -> None:
    (folder / "base.toml").write_text(BASE.replace("= {\n  ", "= { ").replace("[\n  ", "["), encoding="utf-8")
    for name in re.findall(r'file = "(images/[^"]+)"', block.text):  # what other commands of the page have written
        (folder / name).parent.mkdir(parents=True)
        nib.save(nib.Nifti1Image(np.zeros((2, 2, 2), np.float32), np.eye(4)), folder / name)
    for name in re.findall(r'run = "(results/[^"]+)"', block.text):
        (folder / name).mkdir(parents=True)
    path = folder / "fragment.toml"
    path.write_text(f'extends = "base.toml"\n{block.text}', encoding="utf-8")
    simulation.check(load_case(path))


@pytest.mark.parametrize("block", **named(ENTRIES))
def test_library_entries_are_entries(block: Block) -> None:
    """Every number of the example entry has a source, and the entry without its sources is a particle."""
    from pydantic import TypeAdapter

    from thermal import library
    from thermal.physics.particles import AnyParticle

    ((_, entry),) = tomllib.loads(block.text).items()
    entry.pop("about")
    plain = {key: library._plain(item) for key, item in entry.items()}
    assert all("source" in item for item in entry.values() if isinstance(item, dict))
    particle: Any = TypeAdapter(AnyParticle).validate_python(plain)
    assert particle.optics(820e-9)[0] > particle.optics(700e-9)[0]  # it peaks where the entry says


def test_readme_example_gives_the_numbers_that_it_quotes(folder: Path) -> None:
    """Quoted with two or three digits; another version of a dependency may move the last one."""
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    quoted = re.search(r"```text\n(.*?)```", readme, re.DOTALL)
    assert quoted is not None
    run = simulate(load_case("case.toml", overrides=["output.pictures=false"]), folder / "run")
    factors = {"mm": 1e3, "ml": 1e6}
    checked = 0
    for line in quoted.group(1).splitlines():
        key, said, *unit = line.split()
        value = run.value(key)
        if isinstance(value, str):
            assert said == value
        else:
            assert value * factors.get("".join(unit), 1.0) == pytest.approx(float(said), abs=0.06), key
        checked += 1
    assert checked >= 6
    assert run.value("ledger.energy_error") < 1e-12
    linear, eddies = "linear response", "eddy-current"
    warnings = " ".join(run.value("warnings"))
    assert linear in warnings
    assert eddies in warnings


# ------------------------------------------------------------------------------------------------ code in pages


EXAMPLES = [block for block in blocks("python") if block.page.name != "extending.md"]


@pytest.mark.parametrize("block", **named(EXAMPLES))
def test_python_examples_run(
    folder: Path, block: Block, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """With pictures replaced: drawing has tests of its own and may be impossible here."""
    monkeypatch.setattr("thermal.view.aside.Aside.draw", lambda aside, folder: None)
    monkeypatch.setattr("thermal.view.side_by_side.rendering_problem", lambda: "not drawn in this test")
    case = folder / "case.toml"
    case.write_text(
        case.read_text(encoding="utf-8").replace('voxel_size = "2 mm"', 'voxel_size = "5 mm"'), encoding="utf-8"
    )
    exec(compile(block.text, block.name, "exec"), {"__name__": "example"})
    assert capsys.readouterr().out


def test_heat_source_of_the_extension_page(tmp_path: Path) -> None:
    """The thermoseed does what its page says: full power at 37 degC, none at its Curie temperature, off when off."""
    block = of_the_extension_page("heating/thermoseed.py")
    path = tmp_path / "thermoseed.py"
    path.write_text(block.text, encoding="utf-8")
    module = module_of(path)
    seed = module.Thermoseed.model_validate(
        {"kind": "thermoseed", "start": ["-5 mm", "0 mm", "0 mm"], "end": ["5 mm", "0 mm", "0 mm"], "radius": "0.5 mm",
         "power": "0.5 W", "curie_temperature": "55 degC", "on": [["0 s", "60 s"]]}
    )  # fmt: skip
    engine = cube(15 * MM, 1.5 * MM)
    source = seed.prepare(scene(engine))
    cold = source.drive(at(engine, 1.0), 1.0)
    assert cold.power.sum() == pytest.approx(cold.readings["power"].value, rel=1e-12)
    assert 0.2 < cold.readings["power"].value < 0.5  # the rod is warmer than the tissue around it, which is at 37 degC
    assert source.drive(at(engine, 1.0, 55.0), 1.0).power.sum() == pytest.approx(0.0, abs=1e-12)
    assert not source.drive(at(engine, 61.0), 1.0).power.any()
    assert source.events == (60.0,)
    assert seed.devices[0].active is not None
    outside = seed.model_copy(update={"start": (0.1, 0.0, 0.0), "end": (0.11, 0.0, 0.0)})
    with pytest.raises(CaseError, match=r"heating\.start"):
        outside.prepare(scene(engine))
    # the law holds at the rod's own temperature, which the sub-grid resistance sets above that around it
    weights, resistance = engine.spread(seed.devices[0].active)
    power = cold.readings["power"].value
    rod = 37.0 + power * resistance / 0.5
    assert power == pytest.approx(0.5 * (55.0 - rod) / 18.0, rel=1e-9)
    assert weights @ np.ones(len(weights)) == pytest.approx(1.0)


def test_a_run_with_the_heat_source_of_the_extension_page(folder: Path) -> None:
    """All that the page lets one write is enough for a run, which stays below the rod's Curie temperature."""
    path = folder / "thermoseed.py"
    path.write_text(of_the_extension_page("heating/thermoseed.py").text, encoding="utf-8")
    seed = module_of(path).Thermoseed.model_validate(
        {"kind": "thermoseed", "start": ["-5 mm", "0 mm", "0 mm"], "end": ["5 mm", "0 mm", "0 mm"], "radius": "0.5 mm",
         "power": "2 W"}
    )  # fmt: skip
    (folder / "base.toml").write_text(BASE.replace("= {\n  ", "= { ").replace("[\n  ", "["), encoding="utf-8")
    case = load_case("base.toml", overrides=["output.pictures=false"]).model_copy(update={"heating": seed})
    run = simulate(case, folder / "run")
    assert 38.0 < run.value("peak_temperature") < 55.0
    power = run.history["power"][1:]
    assert 0.0 < power[-1] < power[0] < 2.0  # ever less as the rod warms
    assert run.value("ledger.energy_error") < 1e-12


def of_the_extension_page(file: str) -> Block:
    (found,) = [
        block for block in blocks("python")
        if block.page.name == "extending.md" and block.text.startswith(f"# thermal/physics/{file}\n")
    ]  # fmt: skip
    return found


def test_damage_law_of_the_extension_page(tmp_path: Path) -> None:
    """Exact for ramps in any number of steps, up or down; nothing at rest; dead where it says so."""
    path = tmp_path / "excess.py"
    path.write_text(of_the_extension_page("damage/excess.py").text, encoding="utf-8")
    law = module_of(path).Excess(lethal_time="100 s")
    body = np.full(3, 37.0)
    nothing = law.initial(3)
    assert law.accumulate(nothing, body, body, 1e5) is nothing
    for ends, expected in (((37.0, 52.0), 10.0**2 / 30 * 60), ((52.0, 37.0), 10.0**2 / 30 * 60), ((45.0, 45.0), 180.0),
                           ((44.0, 50.0), 300.0)):  # fmt: skip
        for count in (1, 7):
            course = np.linspace(*ends, count + 1)
            value = law.initial(1)
            for start, end in itertools.pairwise(course):
                value = law.accumulate(value, np.array([start]), np.array([end]), 60.0 / count)
            assert value[0] == pytest.approx(expected, rel=1e-12)
    value = np.array([99.0, 100.0, 0.0])
    assert law.survival(value).tolist() == [1.0, 0.0, 1.0]
    assert (law.measure(value, body, 60.0) >= law.level).tolist() == [False, True, False]


def module_of(path: Path) -> ModuleType:
    spec = importlib.util.spec_from_file_location(path.stem, path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    import sys

    sys.modules[path.stem] = module
    spec.loader.exec_module(module)
    return module


COMMANDS = [line.split("#")[0].strip() for block in blocks("sh") for line in block.text.splitlines()]
THERMAL = sorted({line.removeprefix(".venv/bin/") for line in COMMANDS if re.match(r"(\.venv/bin/)?thermal ", line)})


@pytest.mark.parametrize("line", **named(THERMAL))
def test_commands_exist_with_their_options(line: str) -> None:
    words = shlex.split(line.replace("CASE", "case.toml").replace("RUN", "run"))[1:]
    try:
        app.parse_args(words, exit_on_error=False, print_error=False)
    except CycloptsError as error:  # pragma: no cover
        pytest.fail(f"{line}: {error}")


def test_tour_quotes_a_real_message(folder: Path) -> None:
    from thermal.case.templates import templates

    wrong = templates()["gold"].replace('power = "4 W"', 'power = "4 mm"')
    (folder / "my_case.toml").write_text(wrong, encoding="utf-8")
    with pytest.raises(CaseError) as error:
        load_case("my_case.toml")
    (problem,) = error.value.problems
    assert f"error: {problem}" in (ROOT / "docs" / "tour.md").read_text(encoding="utf-8")


# ------------------------------------------------------------------------------------------------ shipped cases

TREATMENTS = sorted(path for path in (ROOT / "cases").glob("[!a]*/*.toml") if path.parent.name != "sweeps")
ANATOMIES = sorted((ROOT / "cases" / "anatomy").glob("*.toml"))


def absent_data(case: Case) -> str:
    """Why the files of an image cannot be read, or nothing."""
    if case.anatomy.kind != "image":
        return ""
    try:
        resolve(case.anatomy.segmentation, case.folder, "anatomy.segmentation")
    except CaseError as error:
        return str(error)
    return ""


def test_there_are_cases() -> None:
    assert {path.stem for path in TREATMENTS} >= {"gold", "iron", "rfa", "cryo"}
    assert {path.stem for path in ANATOMIES} >= {"liver", "phantom"}


@pytest.mark.parametrize("anatomy", **named([path.stem for path in ANATOMIES]))
@pytest.mark.parametrize("path", **named(TREATMENTS))
def test_shipped_cases_are_valid(path: Path, anatomy: str) -> None:
    """Every treatment on every anatomy."""
    case = load_case(path, anatomy=anatomy)
    assert case.title
    assert case.notes() == ()
    reason = absent_data(case)
    if reason:
        pytest.skip(reason)
    simulation.check(case)


# ------------------------------------------------------------------------------------------------ tables and links


def reference() -> ModuleType:
    return module_of(ROOT / "docs" / "generate_reference.py")


def test_case_reference_is_that_of_the_schema() -> None:
    written = (ROOT / "docs" / "case-reference.md").read_text(encoding="utf-8")
    if written != reference().page():  # not as an assertion: the difference of two long pages says nothing
        pytest.fail("docs/case-reference.md is out of date; run: python docs/generate_reference.py")


def test_every_key_of_the_schema_has_words() -> None:
    from thermal.case.describe import field_docs, models_within
    from thermal.case.expected import Expected

    silent = [
        f"{model.__name__}.{key}"
        for model in models_within(Expected(Case))
        for key in model.model_fields
        if key not in reference().NOUNS and key not in field_docs(model)
    ]
    assert silent == []


def test_layers_of_the_architecture_page_are_those_that_are_tested() -> None:
    page = (ROOT / "docs" / "architecture.md").read_text(encoding="utf-8")
    table = re.search(r"^## Layers.*?^```text\n(.*?)^```$", page, re.MULTILINE | re.DOTALL)
    assert table is not None
    written = [set(line.split()) for line in table.group(1).splitlines()]
    tested = [{part for part in line if not part.startswith("__")} for line in LAYERS]
    assert written == [line for line in tested if line]


def test_homes_of_other_packages_are_those_that_are_tested() -> None:
    page = (ROOT / "docs" / "architecture.md").read_text(encoding="utf-8")
    kept = page[page.index("Imports of other packages") :].partition("\n\n")[0]
    for library in ("numba", "skfem", "pyamg", "dolfinx", "petsc4py", "mpi4py", "pyvista", "h5py", "pint"):
        assert f"`{library}`" in kept
        assert all(f"`{home}`" in kept for home in HOMES[library])


def test_numbers_of_the_physics_page_are_those_of_the_code() -> None:
    """Choices that are quoted with their value, written here as the page writes them."""
    page = " ".join((ROOT / "docs" / "physics.md").read_text(encoding="utf-8").split())
    case = load_case(TREATMENTS[0], anatomy="phantom")
    freezing, boiling, arrhenius = Freezing(), Vaporisation(), Arrhenius()
    frequency, energy = arrhenius.constants
    quoted = [
        f"by whole powers of {steps.FRONT_GROWTH:g} with $({steps.FRONT_TOLERANCE:g}\\,\\tau/e_f)^{{1/2}}$",
        f"up to {steps.FRONT_STEP:g} s",
        f"a step with more than ${steps.FRONT_BEARABLE * steps.FRONT_TOLERANCE:g}\\,\\tau$ is done again",
        f"\\min\\{{{steps.GROWTH:g}, \\max\\{{0.2,\\ {steps.SAFETY:g}\\,",
        f"$a = \\sqrt{{({probes.REACH_IN_SPACINGS:g}\\,h)^2 + ({probes.REACH_IN_RADII:g}\\,r)^2}}$",
        f"({freezing.solidus:g} to {freezing.liquidus:g} °C)",
        f"\\cdot {assemble.VAPORISATION_HEAT / 1e6:g}$ MJ/kg over {boiling.start:g} to {boiling.end:g} °C",
        f"$\\rho_b = {case.bioheat.blood_density:g}$ kg/m³ and $c_b = {case.bioheat.blood_heat_capacity:g}$ J/kg/K",
        f"not below {100 * enthalpy.LEAST:g} % of",
        f"default of {100 * systemic.MEDIAN_TUMOUR_FRACTION:g} % is the median",
        f"port pressure of $10^{np.log10(infusion_report.OPENING_PRESSURE):.0f}$ Pa",
        f"where all but {100 * window.MINOR_SHARE:g} % of the power",
        f"$\\mu_s' < {diffusion.DIFFUSIVE_RATIO:g}\\,\\mu_a$",
        f"$10^{{{np.log10(flow.PRESSURE_TOLERANCE):.0f}}}$, $10^{{{np.log10(light.CLOSED):.0f}}}$ and "
        f"$10^{{{np.log10(potential.TOLERANCE):.0f}}}$",
        f"falls smoothly to {100 * potential.DRY_SHARE:g} % at {potential.DRY:g} °C",
        f"changed by more than {100 * potential.RESOLVE_ABOVE:g} %",
        f"({magnetism.IRON_SHARE:g} in magnetite)",
        f"`onset` = {arrhenius.onset:g} °C",
        f"$A = {frequency / 1e39:g}\\cdot10^{{39}}$ 1/s and $E_a = {energy / 1e3:g}$ kJ/mol",
        f"dead from {Cem43().threshold:g} min on",
        f"`lethal_temperature`, {Cryo().lethal_temperature:g} °C by default",
    ]
    missing = [text for text in quoted if text not in page]
    assert not missing, missing


@pytest.mark.parametrize("page", **named(PAGES))
def test_links_lead_somewhere(page: Path) -> None:
    text = re.sub(r"```.*?```", "", page.read_text(encoding="utf-8"), flags=re.DOTALL)
    for target in re.findall(r"(?<!!)\[[^\]]*\]\(([^)\s]+)\)", text):
        name = target.partition("#")[0]
        if name and "://" not in name:
            assert (page.parent / name).exists(), f"{page.name}: {target}"


@pytest.mark.parametrize("page", **named(PAGES))
def test_files_that_a_page_names_exist(page: Path) -> None:
    """But those that its own examples make; and the constants that are said to stand in them do."""
    text = page.read_text(encoding="utf-8")
    made = set(re.findall(r"^# (thermal/\S+\.py)$", text, re.MULTILINE)) | {"tests/test_thermoseed.py"}
    for name in set(re.findall(r"`((?:thermal|tests|docs|meshes|cases|benchmarks)/[\w./-]+)`", text)) - made:
        assert (ROOT / name.removesuffix("/NAME")).exists(), f"{page.name}: {name}"
    for constant, name in re.findall(r"`(_?[A-Z_]{4,})` of\s+`([\w/]+\.py)`", text):
        assert re.search(rf"^{constant}\b", (ROOT / name).read_text(encoding="utf-8"), re.MULTILINE), (constant, name)


def test_names_of_the_api_page_exist_and_say_what_they_are() -> None:
    names = re.findall(r"^\.\. auto\w+:: (\S+)$", (ROOT / "docs" / "api.md").read_text(encoding="utf-8"), re.MULTILINE)
    assert len(names) > 30
    for name in names:
        home, _, what = name.rpartition(".")
        assert getattr(importlib.import_module(home), what).__doc__, name


def test_every_catalogue_case_is_listed() -> None:
    page = (ROOT / "docs" / "verification.md").read_text(encoding="utf-8")
    titles = [tomllib.loads(path.read_text(encoding="utf-8")).get("title", "")
              for path in sorted((ROOT / "tests" / "catalogue").glob("*.toml"))]  # fmt: skip
    names = {match.group() for title in titles if (match := re.match(r"[A-Z0-9]+-\d+", title))}
    missing = sorted(name for name in names if name not in page)
    assert not missing, f"not in docs/verification.md: {', '.join(missing)}"


def test_version_is_the_same_everywhere() -> None:
    version = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]["version"]
    assert f"\nversion: {version}\n" in (ROOT / "CITATION.cff").read_text(encoding="utf-8")
    assert f"## [{version}]" in (ROOT / "CHANGELOG.md").read_text(encoding="utf-8")


def test_tests_named_in_the_verification_page_exist() -> None:
    page = (ROOT / "docs" / "verification.md").read_text(encoding="utf-8")
    named_tests = re.findall(r"`(test_\w+\.py)::(test_\w+)`", page)
    assert len(named_tests) > 50
    for file, test in named_tests:
        assert f"def {test}(" in (ROOT / "tests" / file).read_text(encoding="utf-8"), f"{file}::{test}"
