"""Tables in files of others: what is read of them, and that what cannot be is refused in a short line."""

from __future__ import annotations

from pathlib import Path

import nibabel
import numpy as np
import pytest
from scenes import tumour_in_liver

from thermal import load_case
from thermal.cli import main
from thermal.errors import MOST_LETTERS, CaseError
from thermal.simulation import check
from thermal.store.history import read_history
from thermal.tabular import read_rows

GOOD = "a,b\n1,2\n3,4\n"
MEASURED = """
[particles]
material = "iron_oxide_16"
[delivery]
kind = "systemic"
injected_mass = "50 mg"
region = "liver"
after = "1 h"
measured = "t.csv"
"""
OPTICS = """
[particles]
kind = "gold_sphere"
diameter = "20 nm"
optical_constants = { name = "mine", source = "mine", file = "t.csv" }
[delivery]
kind = "uniform"
concentration = "0.1 mg/ml"
[heating]
kind = "photothermal"
wavelength = "808 nm"
power = "1 W"
fibre = { entry = ["10 mm", "10 mm", "19 mm"], tip = ["10 mm", "10 mm", "10 mm"] }
"""
MAP = """
[particles]
material = "iron_oxide_16"
[delivery]
kind = "uniform"
concentration = "1 mg/ml"
[heating]
kind = "magnetic"
frequency = "100 kHz"
field_map = { file = "t.csv" }
"""
PLACES = [f"{x},{y},{z},0,0,1" for x in (-1, 1) for y in (-1, 1) for z in (-1, 1)]
KINDS = {
    "measured": (MEASURED, "time [h],tumour [mg/ml],liver [mg/ml]\n0,1,2\n2,1,1\n"),
    "optics": (OPTICS, "wavelength_nm,n,k\n400,1.4,1.9\n1100,0.2,7\n"),
    "map": (MAP, "x,y,z,Hx,Hy,Hz\n" + "\n".join(PLACES) + "\n"),
}


@pytest.mark.parametrize(
    "text",
    [GOOD, GOOD.replace(",", ";"), GOOD.replace(",", "\t"), GOOD.replace(",", "  "), "\ufeff" + GOOD,
     GOOD.replace("\n", "\r\n"), "# said\n\n" + GOOD + ",\n", '"a", "b"\n"1", "2"\n3,4'],
)  # fmt: skip
def test_forms_of_a_table(tmp_path: Path, text: str) -> None:
    (tmp_path / "t.csv").write_bytes(text.encode())
    rows = read_rows(tmp_path / "t.csv", "t", "numbers")
    assert [cells for _, cells in rows] == [["a", "b"], ["1", "2"], ["3", "4"]]
    lines = text.splitlines()
    assert all(cells[0] in lines[number - 1] for number, cells in rows)


DAMAGED: dict[str, bytes] = {
    "empty": b"",
    "nothing but zeros": bytes(1000),
    "no UTF-8": b"\xe9\xff,1,1\n",
    "UTF-16": KINDS["map"][1].encode("utf-16"),
    "a cell without end": b"a,b,c\n" + b"1" * 200_000 + b",1,1\n",
    "a quote without end": b'a,b,c\n"1,' + b"1" * 200_000,
    "a header without end": b"x" * 500_000 + b"\n1\n",
    "thousands of columns": b"," * 5000 + b"a\n" + b"1," * 5000,
    "a header alone": b"time [h],tumour [mg/ml]\n",
}


@pytest.mark.parametrize("kind", KINDS)
def test_damaged_tables_are_refused_in_a_line(tmp_path: Path, capsys: pytest.CaptureFixture[str], kind: str) -> None:
    """Exit code 2 and no more letters than somebody reads; whole ones are accepted."""
    table, good = KINDS[kind]
    (tmp_path / "case.toml").write_text(tumour_in_liver(20, 4, 6) + table + '[bioheat]\nduration = "1 s"\n')
    (tmp_path / "t.csv").write_text(good)
    load_case(tmp_path / "case.toml")
    cut = good[: good.rindex(",")].encode()  # within the last row
    for name, data in {**DAMAGED, "cut": cut, "words": good.replace("1", "one").encode()}.items():
        (tmp_path / "t.csv").write_bytes(data)
        assert main(["validate", str(tmp_path / "case.toml")]) == 2, name
        said = capsys.readouterr().err
        assert "t.csv" in said or "case.toml:" in said, name
        assert said.startswith("error: "), name
        assert len(said) < MOST_LETTERS, name


def test_a_column_has_one_name(tmp_path: Path) -> None:
    (tmp_path / "t.csv").write_text("wavelength_nm,n,k,n\n400,1,2,3\n500,1,2,3\n")
    with pytest.raises(CaseError, match="names the column n twice"):
        read_rows(tmp_path / "t.csv", "t", "numbers")
    with pytest.raises(CaseError, match="has 40 bytes, and may have 39"):
        read_rows(tmp_path / "t.csv", "t", "numbers", largest=39)
    with pytest.raises(CaseError, match="is no file"):
        read_rows(tmp_path, "t", "numbers")


@pytest.mark.parametrize("data", [b"time [s],\xff\n0,1\n", b'time [s],a\n0,"' + b"1" * 200_000 + b'"\n', b"time\n"])
def test_a_damaged_history_is_refused(tmp_path: Path, data: bytes) -> None:
    (tmp_path / "history.csv").write_bytes(data)
    with pytest.raises(CaseError, match=r"history\.csv: (cannot be read|is damaged)"):
        read_history(tmp_path / "history.csv")


IMAGED = """
[particles]
material = "iron_oxide_16"
[delivery]
kind = "systemic"
injected_mass = "50 mg"
region = "liver"
after = "1 h"
heterogeneity = { map = "t.nii" }
"""


@pytest.mark.parametrize("table", [IMAGED, IMAGED[: IMAGED.index("kind")] + 'kind = "image"\nfile = "t.nii"\n'])
def test_an_image_of_particles_is_looked_at_before_the_start(tmp_path: Path, table: str) -> None:
    """By ``thermal validate``: one that is whole, one that is none, one with infinite voxels."""
    (tmp_path / "case.toml").write_text(tumour_in_liver(20, 4, 6) + table + '[bioheat]\nduration = "1 s"\n')
    case = load_case(tmp_path / "case.toml")
    values = np.ones((10, 10, 10), np.float32)
    values[0, 0, 0] = np.nan
    nibabel.save(nibabel.Nifti1Image(values, np.diag([2.0, 2.0, 2.0, 1.0])), tmp_path / "t.nii")
    check(case)
    values[1, 1, 1] = np.inf
    nibabel.save(nibabel.Nifti1Image(values, np.diag([2.0, 2.0, 2.0, 1.0])), tmp_path / "t.nii")
    with pytest.raises(CaseError, match="1 of its voxels are infinite"):
        check(case)
    (tmp_path / "t.nii").write_text("no image")
    with pytest.raises(CaseError, match="cannot be read as a NIfTI image"):
        check(case)
