"""The library: every number has a source and parses, every tissue has what each modality needs."""

from __future__ import annotations

import numpy as np
import pytest

from thermal import cli, library
from thermal.errors import CaseError
from thermal.physics.materials import TissueEntry, perfusion_rate, resolve_tissue
from thermal.physics.particles import Particle, carrier
from thermal.units import Si, parse

EVERYTHING = [(kind, name) for kind in library.KINDS for name in library.names(kind)]
FOR = {
    "heat": ("density", "heat_capacity", "conductivity"),
    "radiofrequency": ("electrical_conductivity", "electrical_conductivity_slope", "water_fraction"),
    "cold": ("frozen_conductivity", "frozen_heat_capacity", "latent_heat"),
    "light": ("refractive_index",),
    "infusion": ("porosity", "hydraulic_conductivity"),
}
ABDOMEN = ("adrenal_gland", "blood", "bone", "bone_cancellous", "cartilage", "colon", "esophagus", "fat", "gallbladder",
           "heart", "kidney", "liver", "lung", "muscle", "pancreas", "prostate", "skin", "small_bowel", "spinal_cord",
           "spleen", "stomach", "tumour", "urinary_bladder", "water")  # fmt: skip
ELSEWHERE = ("agar", "brain", "brain_grey", "brain_white", "thyroid_gland", "trachea")


@pytest.mark.parametrize(("kind", "name"), EVERYTHING)
def test_every_number_has_a_source(kind, name):
    numbers = library.sources(kind, name)
    assert numbers
    assert library.about(kind, name)
    for number in numbers:
        assert np.isfinite(number["value"])
        assert len(number["source"]) > 20, f"{number['key']}: a source, not a key of the table: {number['source']}"
        remembered = any(word in number["source"] for word in ("memory", "estimate", "remembered"))
        assert not remembered or number["unverified"], number
        assert len(number["note"]) != 1


@pytest.mark.parametrize(("kind", "name"), EVERYTHING)
def test_every_leaf_is_listed(kind, name):
    """Nothing numeric hides beside the leaves: whatever has a unit is in ``sources``."""
    listed = {number["key"].partition("[")[0].partition(".")[0] for number in library.sources(kind, name)}
    bare = set(library.values(kind, name)) - listed
    assert bare <= {"kind", "mass_of", "immobilised"}


@pytest.mark.parametrize("name", [*ABDOMEN, *ELSEWHERE])
def test_every_tissue_serves_every_modality(name):
    tissue, _ = resolve_tissue(name, {})
    for keys in FOR.values():
        for key in keys:
            assert getattr(tissue, key) is not None, key
    assert any(abs(row.wavelength - 808e-9) < 1e-9 for row in tissue.optics)
    assert tissue.density * tissue.heat_capacity == pytest.approx(3.3e6, rel=0.6)
    assert tissue.frozen_heat_capacity < tissue.heat_capacity or name == "bone"
    assert tissue.latent_heat == pytest.approx(tissue.water_fraction * 334e3, rel=0.01)


def test_the_list_above_is_complete():
    assert {*ABDOMEN, *ELSEWHERE} == set(library.names("tissues"))


def test_label_tables_name_tissues_of_the_library():
    import re
    from importlib.resources import files

    for path in (files("thermal") / "data").iterdir():
        if path.name.startswith("labels_"):
            named = set(re.findall(r'tissue = "(\w+)"', path.read_text(encoding="utf-8")))
            assert named
            assert named <= set(library.names("tissues"))


def test_liver_is_the_published_liver():
    liver, sources = resolve_tissue("liver", {})
    assert (liver.density, liver.heat_capacity) == (1079, 3540)
    assert liver.conductivity == pytest.approx(0.519, abs=1e-3)
    assert liver.perfusion == pytest.approx(1.547e-2, rel=1e-3)
    assert liver.electrical_conductivity == pytest.approx(0.1481, abs=1e-4)
    by_key = {number["key"]: number for number in sources}
    assert "IT'IS" in by_key["density"]["source"]
    assert by_key["perfusion"]["unit"] == "ml/min/kg"
    assert by_key["optics[808 nm].absorption"]["unverified"]
    assert resolve_tissue("kidney", {})[0].perfusion == pytest.approx(6.74e-2, rel=1e-3)


def test_oxygenated_blood_absorbs_as_its_haemoglobin():
    """2.303 e x / 66500 with e = 848 1/cm/M at 808 nm (Moaveni, between 800 and 810 nm) and 150 g/l: 4.4 1/cm."""
    blood, _ = resolve_tissue("blood", {})
    near = next(row for row in blood.optics if abs(row.wavelength - 808e-9) < 1e-9)
    assert near.absorption == pytest.approx(2.303 * 848 * 150 / 66500 * 100, rel=0.01)


@pytest.mark.parametrize("name", library.names("particles"))
def test_every_particle_can_be_made(name):
    particle = Particle(carrier(name))
    assert (particle.optics is None and particle.specific_absorption_rate is None) == (
        particle.carrier.kind in ("solute", "vortex_disc")
    )
    told = [number["key"] for number in particle.sources() if number["key"] != "particles.optical_constants"]
    assert len(told) == len(library.sources("particles", name))


def test_facts_are_for_people_alone(capsys):
    """They are shown, but are no value and no number of a run."""
    assert "facts" not in library.values("particles", "vortex_disc")
    assert not any(number["key"].startswith("facts") for number in library.sources("particles", "silica_mesoporous"))
    assert cli.main(["materials", "silica_mesoporous"]) == 0
    told = capsys.readouterr().out
    assert "surface: 1480 m2/g" in told
    assert "payload.release.rate = 4e-06 1/s [unverified]" in told


def test_unknown_names_get_a_hint():
    with pytest.raises(CaseError, match="did you mean liver"):
        library.entry("tissues", "livr")
    with pytest.raises(CaseError, match=r"known: .*liver"):
        library.entry("tissues", "zzz")
    with pytest.raises(CaseError, match="gold_nanorod_41x10"):
        carrier("gold_nanorod_40x10")
    with pytest.raises(ValueError, match="tissues"):
        library.names("tissue")


def test_tables_are_read_only():
    gold = library.table("johnson_christy")
    assert [len(column) for column in gold.values()] == [49, 49, 49]
    assert np.all(np.diff(gold["wavelength_um"]) > 0)
    with pytest.raises(ValueError, match="read-only"):
        gold["n"][0] = 1.0


# ------------------------------------------------------------------------------------------------ perfusion


@pytest.mark.parametrize(
    ("text", "rate"),
    [("0.0155 1/s", 0.0155), ("0.93 1/min", 0.0155), ("860 ml/min/kg", 860e-6 * 1079 / 60), ("1.05 kg/m^3/s", 1e-3),
     ("86 ml/min/(100 g)", 860e-6 * 1079 / 60), ("0 1/s", 0.0), ("1.55 %/s", 0.0155)],
)  # fmt: skip
def test_perfusion_in_three_families(text, rate):
    assert perfusion_rate(text, 1079.0) == pytest.approx(rate, rel=1e-12, abs=0)


@pytest.mark.parametrize("text", ["3 m", "0.0155", "-1 1/s", "860 ml/min", "fast", "5 W/m^3/K", "1e9 1/s"])
def test_impossible_perfusions_are_found_at_the_door(text):
    with pytest.raises(ValueError, match="perfusion"):
        perfusion_rate(text, 1079.0)
    with pytest.raises(ValueError, match="perfusion"):
        TissueEntry.model_validate({"perfusion": text})


def test_perfusion_needs_a_unit():
    with pytest.raises(ValueError, match="has no unit"):
        TissueEntry.model_validate({"perfusion": 0.0155})
    assert TissueEntry(perfusion=Si(0.01)).perfusion == "0.01 1/s"  # type: ignore[arg-type]


# ------------------------------------------------------------------------------------------------ case over library


def test_a_case_overrides_the_library():
    entry = TissueEntry.model_validate(
        {"density": "1000 kg/m^3", "perfusion": "600 ml/min/kg", "temperature": "36 degC"}
    )
    given = {key: getattr(entry, key) for key in entry.model_fields_set}
    tissue, sources = resolve_tissue("liver", given)
    assert (tissue.density, tissue.heat_capacity, tissue.temperature) == (1000, 3540, 36)
    assert tissue.perfusion == pytest.approx(0.01)  # per mass of the tissue as the case has it
    by_key = {number["key"]: number for number in sources}
    assert (by_key["density"]["source"], by_key["density"]["unit"]) == ("case", "kg/m^3")
    assert (by_key["perfusion"]["value"], by_key["perfusion"]["unit"]) == (pytest.approx(0.01), "1/s")
    assert by_key["temperature"]["unit"] == "degC"
    assert "IT'IS" in by_key["heat_capacity"]["source"]
    assert len(by_key) == len(sources)


def test_library_perfusion_follows_the_density_of_the_case():
    assert resolve_tissue("liver", {"density": 2158.0})[0].perfusion == pytest.approx(860e-6 * 2158 / 60, rel=1e-3)


def test_a_given_conductivity_is_constant():
    tissue, sources = resolve_tissue("liver", {"conductivity": 0.5, "electrical_conductivity": "0.33 S/m"})
    assert tissue.conductivity_slope == 0
    assert tissue.electrical_conductivity_slope is None
    assert not any("slope" in number["key"] for number in sources)
    kept, _ = resolve_tissue("liver", {"conductivity": 0.5, "conductivity_slope": "0.001 1/K"})
    assert kept.conductivity_slope == pytest.approx(0.001)
    assert resolve_tissue("liver", {})[0].conductivity_slope > 0


def test_optics_are_merged_by_wavelength():
    row = {"wavelength": "805 nm", "absorption": "1 1/cm", "reduced_scattering": "9 1/cm"}
    tissue, sources = resolve_tissue("liver", {"optics": [row]})
    assert sorted(round(found.wavelength * 1e9) for found in tissue.optics) == [532, 805, 1064]
    keys = {number["key"]: number["source"] for number in sources}
    assert keys["optics[805 nm].absorption"] == "case"
    assert "optics[808 nm].absorption" not in keys
    assert "optics[1064 nm].absorption" in keys


def test_a_tissue_without_a_library():
    own = {"density": "1060 kg/m^3", "heat_capacity": "3600 J/kg/K", "conductivity": "0.5 W/m/K"}
    tissue, sources = resolve_tissue("sample", own)
    assert (tissue.density, tissue.perfusion, tissue.latent_heat, tissue.optics) == (1060, 0.0, None, ())
    assert {number["source"] for number in sources} == {"case"}
    with pytest.raises(CaseError, match='"sample" is not in the library'):
        resolve_tissue("sample", {"density": "1060 kg/m^3"})
    with pytest.raises(CaseError, match="heat_capacity, conductivity not given"):
        resolve_tissue(None, {"density": "1060 kg/m^3"})


def test_bad_overrides_are_case_errors():
    with pytest.raises(CaseError, match=r"density: .*expected a density"):
        resolve_tissue("liver", {"density": "3 m"})
    with pytest.raises(CaseError, match="densty"):
        resolve_tissue("liver", {"densty": "3 m"})


def test_infusion_pressures_are_bearable():
    """Literal resting conductivities give 0.5 MPa (see the note in the library); the library's values do not."""
    tumour, _ = resolve_tissue("tumour", {})
    flow, cavity = parse("3 ul/min", "m^3/s"), 0.25e-3
    assert flow / (4 * np.pi * 3.098e-14 * cavity) == pytest.approx(5.14e5, rel=2e-3)
    assert flow / (4 * np.pi * tumour.hydraulic_conductivity * cavity) < 2e4
