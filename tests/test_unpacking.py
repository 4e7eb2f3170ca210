"""Small files that stand for large ones are refused before they are unfolded."""

from __future__ import annotations

import base64
import lzma
import re
import zlib
from collections.abc import Callable
from pathlib import Path

import meshio
import numpy as np
import pytest

from thermal.anatomy import mesh_file
from thermal.anatomy.mesh_file import read_mesh
from thermal.errors import CaseError
from thermal.store.checkpoint import Checkpoint, load_checkpoint, save_checkpoint


def bomb(path: Path, pack: Callable[[bytes], bytes], compressor: str) -> None:
    """A tetrahedron whose coordinates, so it is said, unfold to 16 MB."""
    points = np.array([[0.0, 0.0, 0.0], [1.0, 0.0, 0.0], [0.0, 1.0, 0.0], [0.0, 0.0, 1.0]])
    meshio.write(path, meshio.Mesh(points, [("tetra", np.array([[0, 1, 2, 3]]))]))
    packed = pack(bytes(2**24))
    header = np.array([1, 2**24, 2**24, len(packed)], dtype=np.uint32).tobytes()
    text = base64.b64encode(header).decode() + base64.b64encode(packed).decode()
    whole = path.read_text().replace("vtkZLibDataCompressor", compressor)
    path.write_text(re.sub(r"(<Points>.*?<DataArray[^>]*>).*?(</DataArray>)", rf"\g<1>{text}\g<2>", whole, flags=re.S))


@pytest.mark.parametrize(
    ("pack", "compressor"), [(zlib.compress, "vtkZLibDataCompressor"), (lzma.compress, "vtkLZMADataCompressor")]
)
def test_a_mesh_that_unfolds_without_end(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, pack: Callable[[bytes], bytes], compressor: str
) -> None:
    path = tmp_path / "bomb.vtu"
    bomb(path, pack, compressor)
    assert path.stat().st_size < 1e5
    monkeypatch.setattr(mesh_file, "LARGEST", 1e6)
    with pytest.raises(CaseError, match="what it has packed takes more than 1 MB; use a coarser mesh"):
        read_mesh(path, "anatomy.file")
    meshio.write(path, meshio.Mesh(np.eye(4)[:, :3], [("tetra", np.array([[0, 1, 2, 3]]))]))
    assert len(read_mesh(path, "anatomy.file").points) == 4  # what is small is read as before


def test_a_packed_checkpoint_is_none(tmp_path: Path) -> None:
    """Those of runs are not; this one would unfold to whatever its writer liked."""
    save_checkpoint(tmp_path, Checkpoint({"temperature": np.zeros(1000)}, {"step": 3}))
    assert load_checkpoint(tmp_path)[0] is not None
    path = tmp_path / "checkpoint.npz"
    with np.load(path) as stored:
        arrays = dict(stored)
    np.savez_compressed(path, **arrays)
    found, notes = load_checkpoint(tmp_path)
    assert found is None
    assert "is packed" in notes[0]


@pytest.mark.parametrize("record", [b"[]", b"[" * 100_000, b"{}", b'{"sha256": []}'])
def test_a_checkpoint_with_another_record_is_damaged(tmp_path: Path, record: bytes) -> None:
    np.savez(tmp_path / "checkpoint.npz", __meta__=np.frombuffer(record, dtype=np.uint8))
    found, notes = load_checkpoint(tmp_path)
    assert found is None
    assert "is damaged" in notes[0]
