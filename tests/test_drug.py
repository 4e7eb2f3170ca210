"""What particles carry: its release by temperature, and where it goes."""

from __future__ import annotations

import itertools
import signal
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from pydantic import TypeAdapter
from scenes import MM, cube
from scipy.integrate import quad, solve_ivp

from thermal.case import load_case
from thermal.errors import CaseError
from thermal.physics.drug import Drug, DrugPayload, Release
from thermal.physics.drug.fate import CARRIED, CLEARED, EXPOSURE, FREE, TAKEN_UP
from thermal.physics.particles import Particle
from thermal.simulation import simulate
from thermal.store import RunFolder, read_run
from thermal.units import GAS_CONSTANT, ZERO_CELSIUS

CATALOGUE = Path(__file__).parent / "catalogue"
CARRIERS = CATALOGUE.parent.parent / "cases" / "carriers"

ARRHENIUS = {"kind": "arrhenius", "rate": "1e-3 1/s", "at": "37 degC", "activation_energy": "100 kJ/mol"}
SIGMOID = {
    "kind": "sigmoid", "cold_rate": "1e-4 1/s", "hot_rate": "0.1 1/s", "midpoint": "41 degC", "width": "0.5 K",
}  # fmt: skip
CONSTANT = {"kind": "constant", "rate": "2e-3 1/s"}


def release(**table: Any) -> Any:
    return TypeAdapter(Release).validate_python(table)


def rate_of(table: dict[str, str]) -> Any:
    """k(T) written out from the formulas of the documentation."""
    return {
        "constant": lambda T: 2e-3,
        "arrhenius": lambda T: 1e-3 * np.exp(-1e5 / GAS_CONSTANT * (1 / (T + ZERO_CELSIUS) - 1 / (37 + ZERO_CELSIUS))),
        "sigmoid": lambda T: 1e-4 + (0.1 - 1e-4) / (1 + np.exp(-(T - 41) / 0.5)),
    }[table["kind"]]


@pytest.mark.parametrize("table", [CONSTANT, ARRHENIUS, SIGMOID], ids=lambda table: table["kind"])
@pytest.mark.parametrize("ends", [(37, 37), (41, 41 + 1e-6), (37, 45), (60, 38), (20, 100)])
def test_release_over_a_ramp_is_the_integral_of_its_rate(table: dict[str, str], ends: tuple[float, float]) -> None:
    """Against adaptive quadrature; 1e-8 is the error of both, of the quadrature and of the ramp by Gauss-Legendre."""
    start, end = ends
    found = release(**table).gathered(np.array([float(start)]), np.array([float(end)]), 20.0)[0]
    k = rate_of(table)
    expected, _ = quad(lambda s: k(start + s * (end - start)), 0.0, 1.0, epsrel=1e-11, epsabs=0, points=[0.25, 0.5])
    assert found == pytest.approx(20.0 * expected, rel=1e-8)


@pytest.mark.parametrize(
    ("k", "uptake", "clearance"),
    [(2e-3, 2e-3, 1e-3), (2e-3, 1e-3, 1e-3), (2e-3, 0.0, 0.0), (0.0, 1e-3, 0.0), (5.0, 1e-9, 0.0), (1e-7, 0.5, 0.5)],
)
def test_fate_follows_its_equations(k: float, uptake: float, clearance: float) -> None:
    """One step of 300 s against a solver of the ordinary differential equations, to its tolerance."""
    payload = DrugPayload.model_validate({
        "drug": "drug", "loading": 0.1, "free_share": 0.3, "release": {"kind": "constant", "rate": f"{k} 1/s"},
        "uptake": f"{uptake} 1/s", "clearance": f"{clearance} 1/s",
    })  # fmt: skip
    drug = payload.bind(np.array([0.0, 50.0]), np.ones(2), np.zeros(2), None)
    assert list(drug.nodes) == [1]
    body = np.full(2, 37.0)
    found = drug.accumulate(drug.initial(), body, body, 300.0)[:, 0]

    def change(_: float, y: Any) -> list[float]:
        return [-k * y[0], k * y[0] - (uptake + clearance) * y[1], uptake * y[1], clearance * y[1], y[1]]

    exact = solve_ivp(change, (0, 300), [3.5, 1.5, 0, 0, 0], "Radau", rtol=1e-10, atol=1e-13).y[:, -1]
    for row, value in zip((CARRIED, FREE, TAKEN_UP, CLEARED, EXPOSURE), exact, strict=True):
        assert found[row] == pytest.approx(value, rel=1e-7, abs=1e-11)
    assert found[[CARRIED, FREE, TAKEN_UP, CLEARED]].sum() == pytest.approx(5.0, rel=1e-15)


def test_isothermal_case_has_the_closed_form(tmp_path: Path) -> None:
    """c = c0 e^(-kt), and Bateman's solution for what is free; exact in time, so to round-off of some sixty steps."""
    run = simulate(load_case(CATALOGUE / "release.toml", ("output.every=47 s",)), tmp_path / "run")
    k, loss, t = rate_of(ARRHENIUS)(42.0), 3e-3, 600.0
    carried, free = 0.4 * np.exp(-k * t), 0.1 * np.exp(-loss * t)
    free += 0.4 * k / (loss - k) * (np.exp(-k * t) - np.exp(-loss * t))
    lost = 0.5 - carried - free
    expected = {
        "temperature": 42.0, "drug_in_carrier": carried, "drug_released": 1 - carried / 0.5, "drug_free": free,
        "drug_taken_up": lost * 2 / 3, "drug_exposure": lost / loss,
    }  # fmt: skip
    for name, value in expected.items():
        assert run.value(f"probe.centre.{name}") == pytest.approx(value, rel=1e-9), name
        assert run.fields.static[name].values == pytest.approx(value, rel=1e-9)
    killed = run.fields.static["drug_killed"].values
    assert killed == pytest.approx(1 - np.exp(-lost / loss / 50.0), rel=1e-9)
    volume = (4e-3) ** 3
    assert run.value("drug.loaded") == pytest.approx(0.5 * volume, rel=1e-12)
    assert run.value("drug.cleared") == pytest.approx(lost / 3 * volume, rel=1e-9)
    assert run.value("ledger.drug_error") < 1e-14
    assert 47.0 in run.history.time  # a moment within a step
    early = run.history["probe.centre.drug_free"][list(run.history.time).index(47.0)]
    exact = 0.1 * np.exp(-loss * 47) + 0.4 * k / (loss - k) * (np.exp(-k * 47) - np.exp(-loss * 47))
    assert early == pytest.approx(exact, rel=1e-9)
    halfway = run.history["probe.centre.drug_in_carrier"][np.argmin(np.abs(run.history.time - 300.0))]
    assert halfway == pytest.approx(0.4 * np.exp(-k * 300.0), rel=1e-9)


def test_what_is_free_stays_where_nothing_flows(tmp_path: Path) -> None:
    """Embolised tissue clears nothing, coagulated tissue neither."""
    still = ("bioheat.embolisation.tissue=0", "particles.payload.uptake=0 1/s")
    run = simulate(load_case(CATALOGUE / "release.toml", still), tmp_path / "closed")
    assert run.value("drug.cleared") == 0.0
    hot = ('heating.schedule=[["0 s", "90 degC"]]', "bioheat.perfusion_stops=true",
           "bioheat.initial_temperature=90 degC", "damage.arrhenius.parameters=jacques_liver")  # fmt: skip
    run = simulate(load_case(CATALOGUE / "release.toml", hot), tmp_path / "dead")
    assert run.value("drug.cleared") < 0.01 * run.value("drug.loaded")
    assert run.value("drug.taken_up") > 0.5 * run.value("drug.loaded")


@pytest.mark.parametrize("name", ["liposome_thermosensitive", "micelle_thermosensitive", "silica_mesoporous"])
def test_carriers_of_drugs_in_a_heated_tumour(name: str, tmp_path: Path) -> None:
    """Warm carriers open, cold ones do not, silica does not care; no drug is lost or made."""
    case = load_case(CARRIERS / f"{name}.toml", ("anatomy.voxel_size=6 mm", "output.pictures=false"))
    run = simulate(case, tmp_path / "run")
    assert run.value("ledger.drug_error") < 1e-13
    static = run.fields.static
    there = static["concentration"].values > 0
    hottest, released = static["highest_temperature"].values[there], static["drug_released"].values[there]
    transition = case.particles.payload.release
    if transition.kind == "constant":
        assert released == pytest.approx(-np.expm1(-transition.rate * 600.0), rel=1e-9)
    else:
        cold, warm = hottest < transition.midpoint - 4 * transition.width, hottest > transition.midpoint + 5
        assert cold.any()
        assert warm.any()
        assert released[cold].max() < 0.5 < 2 * released[warm].min()
        assert released[warm].min() > 2 * released[cold].max()


def test_numbers_of_a_payload_have_their_sources() -> None:
    """Those of the library keep theirs, those of the case are the case's; what the case leaves open stays."""
    case = load_case(CARRIERS / "liposome_thermosensitive.toml", ("particles.payload.loading=0.08",))
    assert case.particles is not None
    payload = case.particles.payload
    assert payload.loading == 0.08
    assert payload.release.kind == "sigmoid"
    told = {number["key"]: number["source"] for number in Particle(case.particles).sources()}
    assert told["particles.payload.loading"] == "case"
    assert "41" in told["particles.payload.release.hot_rate"]
    assert len(told) == 7
    later = load_case(CARRIERS / "liposome_thermosensitive.toml", ("particles.payload.release.midpoint=43 degC",))
    assert later.particles is not None
    assert later.particles.payload.release == payload.release.model_copy(update={"midpoint": 43.0})
    slow = '{kind="constant", rate="1e-4 1/s"}'
    other = load_case(CARRIERS / "liposome_thermosensitive.toml", (f"particles.payload.release={slow}",))
    assert other.particles is not None
    assert other.particles.payload.release == release(kind="constant", rate="1e-4 1/s")


def test_diffusion_spreads_by_two_d_t() -> None:
    """On a grid the second moment of a cloud grows by 2 D t an axis to round-off, and nothing is lost or negative."""
    engine, diffusivity = cube(10 * MM, 1 * MM), 1e-9
    there = (np.linalg.norm(engine.points, axis=1) < 2.5 * MM).astype(float)
    payload = DrugPayload.model_validate(
        {"drug": "drug", "loading": 1.0, "free_share": 1.0, "diffusivity": "1e-9 m^2/s"}
    )
    spread = engine.conductance(np.full(len(engine.cell_volume), diffusivity))
    drug = payload.bind(there, engine.volume, np.zeros_like(there), None, spread)
    state, body = drug.initial(), np.full(len(there), 37.0)
    for _ in range(30):
        state = drug.accumulate(state, body, body, 20.0)
    free, first = drug.fields(state)["drug_free"][0], there
    x = engine.points[:, 0]
    before, after = (float(engine.volume @ (f * x**2)) / float(engine.volume @ f) for f in (first, free))
    assert after - before == pytest.approx(2 * diffusivity * 600.0, rel=1e-4)  # the cloud's tail is at the wall
    assert free.min() >= 0.0
    assert drug.readings(state, 0.0)["ledger.drug_error"].value < 1e-13


class Uphill:
    """Three nodes, two of which conduct uphill, as an obtuse tetrahedron does."""

    matrix = np.array([[1.0, -1.2, 0.2], [-1.2, 2.4, -1.2], [0.2, -1.2, 1.0]])
    diagonal = np.diag(matrix).copy()
    bound = np.abs(matrix).sum(axis=1)

    def __call__(self, u: Any) -> Any:
        return self.matrix @ u

    def dissipation(self, u: Any) -> Any:
        return np.zeros(3)


def test_diffusion_stays_positive_on_bad_tetrahedra() -> None:
    payload = DrugPayload.model_validate({"drug": "drug", "loading": 1.0, "free_share": 1.0, "diffusivity": "1 m^2/s"})
    drug = payload.bind(np.array([1.0, 0.0, 0.0]), np.ones(3), np.zeros(3), None, Uphill())
    state, body = drug.initial(), np.full(3, 37.0)
    for _ in range(100):
        state = drug.accumulate(state, body, body, 0.1)
        assert state[FREE].min() >= 0.0
        assert state[FREE].sum() == pytest.approx(1.0, rel=1e-14)
    assert state[FREE] == pytest.approx(1 / 3, rel=0.01)


def test_a_resumed_run_goes_on_with_its_drug(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Bit for bit."""
    case = load_case(
        CATALOGUE / "release.toml", ("particles.payload.diffusivity=1e-10 m^2/s", "numerics.max_step=10 s")
    )
    whole = simulate(case, tmp_path / "whole")
    counter, accumulate = itertools.count(), Drug.accumulate

    def interrupted(self: Drug, *state: Any) -> Any:
        if next(counter) == 20:
            signal.raise_signal(signal.SIGINT)
        return accumulate(self, *state)

    monkeypatch.setattr(Drug, "accumulate", interrupted)
    with pytest.raises(KeyboardInterrupt):
        simulate(case, tmp_path / "run")
    monkeypatch.setattr(Drug, "accumulate", accumulate)
    with RunFolder.open(tmp_path / "run", case, resume=True) as folder:
        assert folder.resuming
        simulate(case, folder)
    resumed = read_run(tmp_path / "run")
    for key in ("drug.free", "drug.taken_up", "probe.centre.drug_exposure"):
        assert resumed.value(key) == whole.value(key)


def test_a_probe_for_a_drug_that_is_not_there() -> None:
    with pytest.raises(CaseError, match="carry nothing"):
        load_case(CARRIERS / "gold_nanorod.toml", ('probes.edge.fields=["drug_free"]',))
