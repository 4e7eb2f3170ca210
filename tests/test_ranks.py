"""What a process knows of its MPI rank, and what it says where there is no DOLFINx."""

from __future__ import annotations

import sys

import pytest
from test_march import cube

from thermal import assemble
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
    monkeypatch.setitem(sys.modules, "thermal.engines.shared", None)
    domain = cube(2).domain
    with pytest.raises(CaseError, match=r"numerics.engine: DOLFINx is not to be had.*pip install 'thermal\[mpi\]'"):
        assemble.spread_over_ranks(domain)


def test_other_ranks_without_dolfinx_say_so_and_end(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setitem(sys.modules, "thermal.engines.shared", None)
    monkeypatch.setattr(ranks, "place", lambda: (1, 2))
    assert ranks.help_the_first() == 2
    assert "rank 1:" in capsys.readouterr().err
    ranks.dismiss_the_others()  # nobody to dismiss: no error
