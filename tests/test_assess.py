"""Assessment of a zone seen in an image, against closed forms of balls."""

from __future__ import annotations

import json
from pathlib import Path

import nibabel
import numpy as np
import pytest
from sample_run import CENTRE, TUMOUR_RADIUS, write_sample

from thermal.cli import main
from thermal.errors import CaseError
from thermal.guidance.assess import assess, read_segmented, write_assessment
from thermal.store import Run, read_run
from thermal.zone import share_of

SEEN, AWAY = 0.012, 0.005
"""m, radius of the zone that is seen, and how far its centre lies from the tumour's, along x."""


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Run:
    return read_run(write_sample(tmp_path_factory.mktemp("assessed") / "run", cells=40))


def write_ball(path: Path, *, lps: bool = False, radius: float = SEEN) -> Path:
    """A mask of 1 mm voxels, with the first two axes to the right and front, or to the left and back."""
    edge = 70
    affine = np.diag([1.0, 1.0, 1.0, 1.0])
    affine[:3, 3] = 1e3 * CENTRE - 0.5 * edge
    if lps:
        affine[:2] *= -1.0
        affine[:2, 3] = 1e3 * CENTRE[:2] + 0.5 * edge
    index = np.indices((edge, edge, edge)).reshape(3, -1)
    at = affine[:3, :3] @ index + affine[:3, 3:]
    away = np.linalg.norm(at.T - 1e3 * (CENTRE + np.array([AWAY, 0.0, 0.0])), axis=1)
    mask = (away < 1e3 * radius).astype(np.uint8).reshape(edge, edge, edge)
    image = nibabel.Nifti1Image(mask, affine)
    image.set_sform(affine, 1)
    nibabel.save(image, path)
    return path


def lens(a: float, b: float, d: float) -> float:
    """Volume common to two balls whose centres are ``d`` apart."""
    return np.pi * (a + b - d) ** 2 * (d**2 + 2 * d * (a + b) - 3 * (a - b) ** 2) / (12 * d)


@pytest.mark.parametrize("lps", [False, True])
def test_a_zone_beside_the_tumour(run: Run, tmp_path: Path, lps: bool) -> None:
    """Two balls: what is common to them, and the margin on the far side; a mask is half a voxel (0.5 mm) wrong."""
    image = read_segmented(write_ball(tmp_path / "ball.nii.gz", lps=lps), None)
    found = assess(run, image).readings
    whole = 4.0 / 3.0 * np.pi * TUMOUR_RADIUS**3
    left = whole - lens(TUMOUR_RADIUS, SEEN, AWAY)
    assert found["zone.minimum_margin"][0] == pytest.approx(SEEN - TUMOUR_RADIUS - AWAY, abs=5e-4)
    assert found["residual_tumour"][0] == pytest.approx(left, rel=0.1)  # 0.2 mm of its border of 3 cm2 each way
    assert found["residual.x"][0] < CENTRE[0] - 0.005  # on the side that the zone does not reach
    assert found["zone.volume"][0] == pytest.approx(image.values.sum() * image.voxel_volume, rel=1e-3)  # of its level
    assert found["zone.volume"][0] == pytest.approx(4.0 / 3.0 * np.pi * SEEN**3, rel=0.02)  # of voxels that are counted
    assert 0.7 < found["agreement.dice"][0] < 0.9


def test_the_same_zone_agrees_with_itself(run: Run, tmp_path: Path) -> None:
    """What was written as NIfTI and DICOM SEG is read again as the same zone, within a voxel of 1.1 to 2 mm."""
    own = assess(run)
    write_assessment(own, tmp_path)
    seen = []
    for path, label in ((tmp_path / "zone.nii.gz", None), (tmp_path / "assessment.dcm", 2)):
        found = assess(run, read_segmented(path, label)).readings
        assert found["agreement.dice"][0] > 0.95
        assert found["agreement.hausdorff_distance"][0] < 2e-3
        assert found["agreement.mean_surface_distance"][0] < 5e-4
        assert found["zone.volume"][0] == pytest.approx(own.readings["zone.volume"][0], rel=0.02)  # of whole voxels
        assert found["residual_tumour"][0] == pytest.approx(own.readings["residual_tumour"][0], rel=0.05)
        seen.append(found)
    for name in ("target.residual", "residual_tumour"):
        assert seen[0][name][0] == pytest.approx(seen[1][name][0], rel=1e-3)  # a level found to 1e-3
    with pytest.raises(CaseError, match="overlap"):
        read_segmented(tmp_path / "assessment.dcm", None)
    with pytest.raises(CaseError, match="no segment 9"):
        read_segmented(tmp_path / "assessment.dcm", 9)


def test_a_next_step_covers_what_it_says(run: Run, tmp_path: Path) -> None:
    """The planned zone is an ellipsoid (14, 11, 12 mm) and may be moved: by the closed form what is left lies in it."""
    found = assess(run, read_segmented(write_ball(tmp_path / "ball.nii.gz"), None), margin=0.0)
    assert len(found.steps) == 1
    step = found.steps[0]
    assert step.covers > 0.999
    points, share = found.patient.engine.points, share_of(found.patient.engine, "tumour")
    left = points[(share >= 0.5) & (found.zone.measure < found.zone.level)]
    inside = (
        np.linalg.norm((left - CENTRE - step.shift) / [0.014, 0.011, 0.012], axis=1) <= 1.02
    )  # linear between nodes
    assert inside.mean() > 0.99
    assert len(left) > 20


def test_a_covered_tumour_needs_nothing(run: Run, tmp_path: Path) -> None:
    found = assess(run, read_segmented(write_ball(tmp_path / "ball.nii.gz", radius=0.022), None), margin=0.005)
    assert found.readings["residual_tumour"][0] == 0.0
    assert found.steps == ()
    assert "are covered" in found.verdict


def test_the_map_of_margins(run: Run, tmp_path: Path) -> None:
    """On the tumour's border the margin of the ball of 12 mm goes from -3 to 7 mm, by how far it lies along x."""
    found = assess(run, read_segmented(write_ball(tmp_path / "ball.nii.gz"), None))
    margin = found.maps["margin"]
    near = np.argwhere(np.isfinite(margin))
    at = near * found.patient.grid.spacing + found.patient.grid.affine[:3, 3]
    expected = 1e3 * (SEEN - np.linalg.norm(at - CENTRE - np.array([AWAY, 0.0, 0.0]), axis=1))
    assert np.abs(margin[tuple(near.T)] - expected).max() < 1.5  # half a voxel of the mask and a cell
    assert np.abs(margin[tuple(near.T)] - expected).mean() < 0.3


def test_which_label_is_the_zone(tmp_path: Path) -> None:
    """One of several is chosen, one alone need not be; what is no label but a share counts from one half on."""
    ball = nibabel.load(write_ball(tmp_path / "ball.nii.gz"))
    mask = np.asarray(ball.dataobj)

    def read(values: np.ndarray, label: int | None) -> np.ndarray:
        nibabel.save(nibabel.Nifti1Image(values, ball.affine), tmp_path / "other.nii.gz")
        return np.asarray(read_segmented(tmp_path / "other.nii.gz", label).values)

    several = 7 * mask
    several[:10] = 3
    np.testing.assert_array_equal(read(several, 7), mask)
    np.testing.assert_array_equal(read(7 * mask, None), mask)
    np.testing.assert_array_equal(read((0.2 + 0.6 * mask).astype(np.float32), None), mask)
    with pytest.raises(CaseError, match=r"holds the labels 3, 7; say which of them is the zone: --label"):
        read(several, None)
    with pytest.raises(CaseError, match="nothing above 0"):
        read(0 * mask, None)


def test_command(run: Run, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    ball = write_ball(tmp_path / "ball.nii.gz")
    command = ["assess", str(run.folder), "--against", str(ball), "--out", str(tmp_path / "out")]
    assert main(command) == 0
    printed = capsys.readouterr().out
    assert "ml of the tumour" in printed
    table = json.loads((tmp_path / "out" / "assessment.json").read_text())
    covers = [step["covers"] for step in table["next_steps"]]
    assert covers == sorted(covers)
    assert covers[-1] > 0.8  # of tumour and margin, 14 ml, by three zones of 8 ml at most
    assert main([*command, "--label", "7"]) == 2
    assert "it holds 1" in capsys.readouterr().err
    assert main([*command, "--margin", "5 cm"]) == 2
    assert main(["assess", str(run.folder), "--against", str(tmp_path / "no.nii.gz")]) == 2
