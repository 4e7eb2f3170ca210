"""What a process knows of its MPI rank, and what it says where there is no DOLFINx."""

from __future__ import annotations

import pickle
import sys
from pathlib import Path

import half_planes
import meshio
import nibabel
import numpy as np
import pytest
from test_march import cube

from thermal import assemble, load_case
from thermal.batch import run_batch
from thermal.commands.cases import _idle_ranks
from thermal.engines import ranks
from thermal.errors import CaseError


@pytest.mark.parametrize(("rank", "size"), ranks.VARIABLES)
def test_rank_is_read_from_what_mpirun_says(monkeypatch: pytest.MonkeyPatch, rank: str, size: str) -> None:
    for names in ranks.VARIABLES:
        for name in names:
            monkeypatch.delenv(name, raising=False)
    assert ranks.place() == (0, 1)
    monkeypatch.setenv(rank, "2")
    assert ranks.place() == (0, 1)  # half of it is not enough
    monkeypatch.setenv(size, "3")
    assert ranks.place() == (2, 3)


def test_without_dolfinx_the_case_is_refused_with_advice(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "thermal.engines.team", None)
    domain = cube(2).domain
    with pytest.raises(CaseError, match=r"numerics.engine: DOLFINx is not to be had.*pip install 'thermal\[mpi\]'"):
        assemble.spread_over_ranks(domain)


def test_other_ranks_without_dolfinx_say_so_and_end(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setitem(sys.modules, "thermal.engines.team", None)
    monkeypatch.setattr(ranks, "place", lambda: (1, 2))
    assert ranks.help_the_first() == 2
    assert "rank 1:" in capsys.readouterr().err
    ranks.dismiss_the_others()  # nobody to dismiss: no error


def test_a_batch_is_refused_on_several_ranks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its processes would take themselves for ranks, and wait for ever."""
    anatomy = '{ kind = "phantom", size = "8 mm", voxel_size = "2 mm", background = "liver" }'
    (tmp_path / "a.toml").write_text(f'schema_version = 1\nanatomy = {anatomy}\nbioheat = {{ duration = "1 s" }}\n')
    sweep = tmp_path / "sweep.toml"
    sweep.write_text('schema_version = 1\ncases = ["a.toml"]\n[grid]\n"bioheat.duration" = ["1 s", "2 s"]\n')
    monkeypatch.setattr(ranks, "place", lambda: (0, 3))
    with pytest.raises(CaseError, match="on 3 ranks, but its runs are processes of their own"):
        run_batch(sweep, tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_a_serial_engine_on_several_ranks_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ranks, "place", lambda: (0, 3))
    anatomy = '{ kind = "phantom", size = "8 mm", voxel_size = "2 mm", background = "liver" }'
    file = tmp_path / "a.toml"
    file.write_text(f'schema_version = 1\nanatomy = {anatomy}\nbioheat = {{ duration = "1 s" }}\n')
    (said,) = _idle_ranks(load_case(file))
    assert said.startswith("3 ranks were started, but")
    assert not _idle_ranks(load_case(file, ["numerics.engine=dolfinx"]))


def test_domains_can_be_sent_to_other_ranks(tmp_path: Path) -> None:
    """Of every kind that a case may have: the first rank builds them, the others get them."""
    points, cells = half_planes.rectangle(np.array([0.0, 1e-2]), np.array([-1e-2, 0.0, 1e-2]))
    everywhere, face = {"liver": lambda r, z: r >= 0.0}, {"side": lambda r, z: r > 9e-3}
    half_planes.write(tmp_path / "half.msh", points, cells, everywhere, face)
    corners = np.array([[0, 0, 0], [9, 0, 0], [0, 9, 0], [0, 0, 9.0]])
    meshio.Mesh(corners, [("tetra", np.array([[0, 1, 2, 3]]))], cell_data={"region": [np.array([1])]}).write(
        tmp_path / "tetra.vtu"
    )
    labels = np.ones((12, 12, 12), np.uint8)
    labels[3:9, 3:9, 3:9] = 2
    nibabel.Nifti1Image(labels, np.diag([2.0, 2.0, 2.0, 1.0])).to_filename(tmp_path / "labels.nii")
    kinds = {
        "phantom": '{ kind = "phantom", size = "8 mm", voxel_size = "2 mm", background = "liver", shapes = '
        '[{ region = "cyst", shape = "sphere", centre = ["0 mm", "0 mm", "0 mm"], radius = "3 mm" }] }',
        "image": '{ kind = "image", segmentation = "labels.nii", labels = { liver = 1, cyst = 2 }, voxel_size = '
        '"2 mm", window = "20 mm", centre = ["12 mm", "12 mm", "12 mm"] }',
        "tetrahedra": '{ kind = "mesh", file = "tetra.vtu", regions = { liver = 1 }, length_unit = "mm" }',
        "half-plane": '{ kind = "mesh", file = "half.msh", half_plane = "xy", length_unit = "mm" }',
    }
    for kind, table in kinds.items():
        file = tmp_path / f"{kind}.toml"
        file.write_text(f'schema_version = 1\nanatomy = {table}\nbioheat = {{ duration = "1 s" }}\n')
        case = load_case(file)
        domain = case.anatomy.build(case.folder).domain
        sent = pickle.loads(pickle.dumps(domain))
        assert type(sent) is type(domain), kind
        assert list(sent.shares) == list(domain.shares), kind
        for name, share in domain.shares.items():
            np.testing.assert_array_equal(sent.shares[name], share)
