"""Fixtures and rules for all tests."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable
from pathlib import Path

import pytest

from thermal.anatomy.data import VARIABLE, data_folders
from thermal.machine import cores
from thermal.store import Run

BODY_CT = ("body_ct_3mm.nii.gz", "body_labels_3mm.nii.gz")
"""What the tests marked ``realdata`` need, all in one folder."""
CATALOGUE = Path(__file__).parent / "catalogue"


def body_ct_folder() -> Path | None:
    """Where the body CT lies: in ``$THERMAL_DATA``, else in the user's cache."""
    return next((folder for folder in data_folders() if all((folder / name).is_file() for name in BODY_CT)), None)


def pytest_configure() -> None:
    """Ctrl-C interrupts also where tests run in the background: a shell starts such programs with it ignored."""
    signal.signal(signal.SIGINT, signal.default_int_handler)
    if hasattr(signal, "SIGHUP"):  # nohup has it ignored, and programs that tests start would inherit that
        signal.signal(signal.SIGHUP, signal.SIG_DFL)
    if "PYTEST_XDIST_WORKER" in os.environ:
        _side_by_side(int(os.environ["PYTEST_XDIST_WORKER_COUNT"]))


def _side_by_side(count: int) -> None:
    """A worker of several (``pytest -n``) has its share of the cores."""
    import numba

    from thermal.engines.threads import find_tbb

    find_tbb()
    numba.set_num_threads(min(numba.config.NUMBA_NUM_THREADS, max(1, cores() // count)))


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Slow tests run only when asked for (``-m slow``, or by name), tests on the body CT only where there is one."""
    if not config.option.markexpr and not any("::" in argument for argument in config.args):
        slow = [item for item in items if "slow" in item.keywords]
        if slow:
            config.hook.pytest_deselected(items=slow)
            items[:] = [item for item in items if "slow" not in item.keywords]
    found = body_ct_folder()
    looked = " and ".join(str(folder) for folder in data_folders())
    reason = f"no body CT in {looked}; run meshes/fetch_body_ct.py or set {VARIABLE}"
    for item in items:
        if found is None and "realdata" in item.keywords:
            item.add_marker(pytest.mark.skip(reason=reason))


@pytest.fixture(scope="session")
def results(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder for runs that several tests look at."""
    return tmp_path_factory.mktemp("results")


RunCase = Callable[..., Run]


@pytest.fixture(scope="session")
def run_case(results: Path) -> RunCase:
    """Run ``tests/catalogue/NAME.toml`` with overrides (``"table.key=value"``), once for all tests that ask for it."""
    from thermal import load_case, simulate  # not before the workers are set up

    done: dict[tuple[str, ...], Run] = {}

    def run(name: str, *overrides: str) -> Run:
        key = (name, *overrides)
        if key not in done:
            done[key] = simulate(load_case(CATALOGUE / f"{name}.toml", overrides), results / f"{len(done):03d}_{name}")
        return done[key]

    return run
