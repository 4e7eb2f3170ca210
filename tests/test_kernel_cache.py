"""Compiled kernels on disk: processes that start together never mix them up, damaged files are made anew."""

from __future__ import annotations

import itertools
import threading
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from thermal.engines import compiled
from thermal.engines.kernel_cache import Variants

STAMP = (1.0, 100)
STEPS = ("_load_index", "_save_data", "_save_index")


def variants(folder: Path, stamp: tuple[float, int] = STAMP) -> Any:
    return Variants(str(folder), "kernel", stamp)


def in_turns(folder: Path, order: tuple[str, ...]) -> None:
    """Two processes save a variant each; who does the next step on the disk is said by ``order``."""
    turns, moved = list(order), threading.Condition()

    def taking_turns(name: str, step: Any) -> Any:
        def wait(*arguments: Any) -> Any:
            with moved:
                assert moved.wait_for(lambda: turns[:1] == [name], timeout=10.0)
                result = step(*arguments)
                turns.pop(0)
                moved.notify_all()
                return result

        return wait

    def save(name: str) -> None:
        cache = variants(folder)
        for step in STEPS:
            setattr(cache, step, taking_turns(name, getattr(cache, step)))
        cache.save((name,), f"code of {name}")

    threads = [threading.Thread(target=save, args=(name,)) for name in "ab"]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert turns == []


@pytest.mark.parametrize("order", sorted(set(itertools.permutations("aaabbb"))), ids="".join)
def test_two_at_once_never_mix_their_variants(order: tuple[str, ...], tmp_path: Path) -> None:
    """In whatever order their steps fall: at worst one of them is compiled again."""
    in_turns(tmp_path, order)
    after = variants(tmp_path)
    found = {name: after.load((name,)) for name in "ab"}
    assert all(code in (None, f"code of {name}") for name, code in found.items()), found
    assert any(found.values())
    for name in "ab":
        after.save((name,), f"code of {name}")
        assert variants(tmp_path).load((name,)) == f"code of {name}"


def test_a_variant_of_an_older_source_is_not_found(tmp_path: Path) -> None:
    variants(tmp_path).save(("a",), "old")
    newer = variants(tmp_path, (2.0, 101))
    assert newer.load(("a",)) is None
    newer.save(("a",), "new")
    assert newer.load(("a",)) == "new"


@pytest.mark.parametrize("ending", [".nbi", ".nbc"])
@pytest.mark.parametrize("left", [0, 30])
def test_files_cut_short_by_a_loss_of_power_are_made_anew(ending: str, left: int, tmp_path: Path) -> None:
    cache = variants(tmp_path)
    cache.save(("a",), "x" * 100)
    (damaged,) = tmp_path.glob(f"*{ending}")
    damaged.write_bytes(damaged.read_bytes()[:left])
    assert cache.load(("a",)) is None
    cache.save(("a",), "x" * 100)
    assert cache.load(("a",)) == "x" * 100


def test_a_disk_that_takes_nothing_only_costs_the_next_compilation(tmp_path: Path) -> None:
    cache = variants(tmp_path / "missing")
    cache.save(("a",), "code")  # no such folder, as of one that cannot be written
    assert cache.load(("a",)) is None


def test_kernels_run_where_no_folder_can_be_written() -> None:
    """As in an installation that others own, without a home: a function without a file has no folder."""
    made: dict[str, Any] = {}
    exec("def doubled(x):\n    return 2.0 * x", made)
    assert compiled.compiled_serial(made["doubled"])(np.arange(3.0)).tolist() == [0.0, 2.0, 4.0]
