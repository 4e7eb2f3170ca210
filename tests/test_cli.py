"""The command line: what it prints and the exit codes that scripts rely on."""

from __future__ import annotations

import errno
import io
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from thermal.case import Case, load_case
from thermal.case.templates import templates
from thermal.cli import main
from thermal.engine import NotConvergedError
from thermal.errors import CaseError
from thermal.progress import PlainLines, progress
from thermal.store import RunFolder
from thermal.store.files import read_json

CASE = """\
schema_version = 1
title = "box"
[anatomy]
kind = "phantom"
size = "20 mm"
voxel_size = "5 mm"
background = "liver"
[heating]
kind = "prescribed"
sources = [{ shape = "region", region = "liver", density = "0.1 W/cm^3" }]
[bioheat]
duration = "10 s"
[probes.middle]
position = ["0 mm", "0 mm", "0 mm"]
[output]
pictures = false
"""

Simulation = Callable[[Case, RunFolder, Any], None]


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "box.toml").write_text(CASE)
    return tmp_path


@pytest.fixture
def pretend(monkeypatch: pytest.MonkeyPatch) -> Callable[[Simulation], None]:
    """Put another function in the place of ``simulate``."""

    def replace(simulation: Simulation) -> None:
        monkeypatch.setattr("thermal.simulation.simulate", simulation)

    return replace


def failing(error: BaseException) -> Simulation:
    def simulate(case: Case, folder: RunFolder, report: Any) -> None:
        raise error

    return simulate


# ------------------------------------------------------------------------------------------------ run


def test_run_and_run_again(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["run", "box.toml"]) == 0
    first = capsys.readouterr()
    assert "box: results/box" in first.out
    assert "probe.middle.temperature" in first.out
    assert "For research, not for clinical decisions." in first.out
    assert "box: bioheat 100 %" in first.err
    summary = read_json(here / "results" / "box" / "summary.json")
    assert summary["probe.middle.temperature"]["unit"] == "degC"
    assert {"case.toml", "resolved.json", "provenance.json", "history.csv", "fields.h5", "status"} <= set(
        os.listdir(here / "results" / "box")
    )
    assert main(["run", "box.toml"]) == 0
    assert "already done" in capsys.readouterr().out
    assert main(["run", "box.toml", "--force", "--quiet"]) == 0
    assert capsys.readouterr().out == ""


def test_another_case_in_the_same_folder_is_refused(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["run", "box.toml", "-o", "out", "-q"]) == 0
    assert main(["run", "box.toml", "-o", "out", "-q", "--set", "bioheat.duration=5 s"]) == 2
    assert "bioheat.duration: 10 s -> 5 s" in capsys.readouterr().err
    assert main(["run", "box.toml", "-o", "out", "-q", "--set", "bioheat.duration=5 s", "--force"]) == 0
    assert read_json(here / "out" / "resolved.json")["bioheat"]["duration"]["value"] == 5.0


@pytest.mark.parametrize(
    ("error", "code", "words", "state"),
    [
        (CaseError("heating.power: too much", "probes.middle: outside"), 2, "toml:8: heating.power: too much", None),
        (NotConvergedError("pressure: 1e-3; refine"), 3, "not converged: pressure: 1e-3; refine", "failed"),
        (ZeroDivisionError("division by zero"), 1, "failed: ZeroDivisionError: division by zero", "failed"),
        (OSError(28, "No space left on device"), 1, "No space left on device", "failed"),
        (MemoryError(), 1, "failed: MemoryError", "failed"),
        (KeyboardInterrupt(), 130, "thermal run box.toml --out out --resume", "interrupted"),
    ],
)  # fmt: skip
def test_exit_codes(
    here: Path,
    pretend: Callable[[Simulation], None],
    capsys: pytest.CaptureFixture[str],
    error: BaseException,
    code: int,
    words: str,
    state: str | None,
) -> None:
    pretend(failing(error))
    assert main(["run", "box.toml", "--out", "out"]) == code
    said = capsys.readouterr().err
    assert words in said
    assert "Traceback" not in said
    if state is None:
        assert not (here / "out").exists()
        assert "box.toml:13: probes.middle: outside" in said
    else:
        assert read_json(here / "out" / "status")["state"] == state
    if code in (1, 3):
        assert "(log: out/log.txt)" in said
        assert "Traceback" in (here / "out" / "log.txt").read_text()


def test_debug_shows_the_traceback(
    here: Path, pretend: Callable[[Simulation], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    pretend(failing(ZeroDivisionError("x")))
    monkeypatch.setenv("THERMAL_DEBUG", "1")
    with pytest.raises(ZeroDivisionError):
        main(["run", "box.toml"])


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["run"], "CASE"),
        (["run", "box.toml", "--colour"], "--colour"),
        (["runn", "box.toml"], "runn"),
        (["run", "none.toml"], "no such file"),
        (["run", "."], "is a folder"),
        (["run", "box.toml", "--resume", "--force"], "contradict"),
        (["run", "box.toml", "--anatomy", "phantom"], "extends no anatomy file"),
        (["run", "box.toml", "--set", "heating.powr=3 W"], "--set: heating.powr: unknown key"),
        (["run", "box.toml", "--set"], "--set"),
        (["validate"], "no case given"),
        (["compare"], "nothing given"),
        (["compare", "none.toml"], "none.toml"),
        (["view", "none.toml"], "no such file"),
        (["export", "none"], "no such run folder"),
        (["export", "."], "is no run folder"),
        (["materials", "livr"], 'did you mean "liver"'),
        (["init", "goldd", "x.toml"], 'did you mean "gold"'),
        (["init", "box.toml"], "exists and is left as it is"),
        (["init", "a", "b", "c"], "found 3 names"),
    ],
)
def test_bad_use_is_exit_code_2(here: Path, capsys: pytest.CaptureFixture[str], words: list[str], said: str) -> None:
    before = (here / "box.toml").read_text()
    assert main(words) == 2
    captured = capsys.readouterr()
    assert said in captured.err + captured.out
    assert (here / "box.toml").read_text() == before
    assert not (here / "results").exists()


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_an_interrupt_that_a_library_turns_into_an_error_of_its_own_is_one(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], number: signal.Signals
) -> None:
    """As pydantic does while it reads the schema."""

    def parse_args(*words: Any, **options: Any) -> Any:
        try:
            signal.raise_signal(number)
        except KeyboardInterrupt as interrupt:
            raise ValueError("Error building validator") from interrupt

    monkeypatch.setattr("thermal.cli.app", SimpleNamespace(parse_args=parse_args))
    assert main(["validate", "box.toml"]) == 130
    assert capsys.readouterr().err == "\ninterrupted; nothing was left half written\n"


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP])
def test_a_terminated_run_can_go_on_and_ends_the_same(here: Path, number: signal.Signals) -> None:
    """A signal in the middle: 130, checkpoint, --resume; temperatures equal to the last digit."""
    text = (
        CASE.replace('"10 s"', '"2 min"')
        .replace('"5 mm"', '"2 mm"')
        .replace("[output]", '[numerics]\nmax_step = "1 s"\n[output]')
    )
    (here / "box.toml").write_text(text)
    command = [sys.executable, "-m", "thermal", "run", "box.toml", "--out", "cut"]
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True) as run:
        assert run.stderr is not None
        for line in run.stderr:
            if "bioheat 10 %" in line:
                run.send_signal(number)
                break
        said = run.stderr.read()
        assert run.wait(60) == 130
    assert "go on with: thermal run box.toml --out cut --resume" in said
    assert read_json(here / "cut" / "status")["state"] == "interrupted"
    assert main(["run", "box.toml", "--out", "cut", "-q"]) == 2
    assert main(["run", "box.toml", "--out", "cut", "-q", "--resume"]) == 0
    assert main(["run", "box.toml", "--out", "whole", "-q"]) == 0
    ends = [read_json(here / name / "summary.json") for name in ("cut", "whole")]
    for key in ("peak_temperature", "probe.middle.temperature", "zone.volume", "steps", "energy.source"):
        assert ends[0][key] == ends[1][key], key
    assert (here / "cut" / "history.csv").read_text() == (here / "whole" / "history.csv").read_text()


# ------------------------------------------------------------------------------------------------ other commands


def test_validate_says_all_of_all(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (here / "bad.toml").write_text(CASE.replace("duration", "duratoin").replace('"5 mm"', '"5 s"'))
    (here / "worse.toml").write_text("= 3")
    assert main(["validate", "box.toml"]) == 0
    assert "box.toml: valid" in capsys.readouterr().out
    assert main(["validate", "bad.toml", "box.toml", "worse.toml"]) == 2
    captured = capsys.readouterr()
    assert "box.toml: valid" in captured.out
    assert "bad.toml:6: anatomy.voxel_size" in captured.err
    assert 'bad.toml:12: bioheat.duratoin: unknown key (found "10 s"); did you mean "duration"?' in captured.err
    assert "worse.toml:1: no valid TOML" in captured.err
    assert "2 of 3 files have problems" in captured.err


def test_validate_looks_at_the_built_anatomy(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["validate", "box.toml", "--set", 'probes.middle.position=["90 mm", "0 mm", "0 mm"]']) == 2
    assert "probes.middle.position" in capsys.readouterr().err


@pytest.mark.parametrize("name", sorted(templates()))
def test_every_template_is_a_valid_case(here: Path, name: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["init", name, "mine.toml"]) == 0
    assert main(["validate", "mine.toml"]) == 0
    assert load_case("mine.toml").notes() == ()
    assert main(["init"]) == 0
    assert name in capsys.readouterr().out


def test_init_chooses_names(here: Path) -> None:
    assert main(["init", "mine.toml"]) == 0
    assert main(["init", "gold"]) == 0
    assert (here / "mine.toml").read_text().startswith("# A known power density")
    assert 'kind = "photothermal"' in (here / "gold.toml").read_text()


def test_materials_lists_sources(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["materials"]) == 0
    listed = capsys.readouterr().out
    assert "tissues:" in listed
    assert "particles:" in listed
    assert main(["materials", "liver"]) == 0
    assert "density = 1079 kg/m^3" in capsys.readouterr().out


def test_schema_is_json(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["schema"]) == 0
    schema = json.loads(capsys.readouterr().out)
    assert {"anatomy", "heating", "extends"} <= set(schema["then"]["properties"])
    assert {"anatomy", "heating"} <= set(schema["else"]["properties"])


def test_help_names_the_commands_and_the_purpose(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--help"]) == 0
    shown = capsys.readouterr().out
    for name in ("init", "validate", "run", "compare", "view", "export", "materials", "schema", "doctor"):
        assert name in shown
    assert "For research, not for clinical decisions." in shown
    assert main(["--version"]) == 0


def test_doctor_looks_at_everything(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["doctor"]) == 0
    shown = capsys.readouterr().out
    for name in ("python", "packages", "compiled kernels", "pictures", "data", "disk", "memory"):
        assert f"{name}: " in shown


# ------------------------------------------------------------------------------------------------ plumbing


def test_importing_the_package_is_cheap() -> None:
    code = "import sys, thermal; print(*sorted({'numpy', 'pydantic', 'numba', 'pyvista'} & set(sys.modules)))"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout == "\n"


def test_bad_cases_are_found_without_the_engines(here: Path) -> None:
    (here / "bad.toml").write_text(CASE.replace("duration", "duratoin"))
    code = """
import sys
from thermal.cli import main
assert main(["validate", "bad.toml"]) == 2
print(*sorted({"numba", "pyvista", "scipy.sparse", "skfem", "matplotlib", "h5py", "miepython"} & set(sys.modules)))
"""
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout == "\n"


def test_names_of_the_package() -> None:
    import thermal

    assert callable(thermal.load_case)
    assert callable(thermal.simulate)
    assert isinstance(thermal.__version__, str)
    with pytest.raises(AttributeError):
        _ = thermal.nothing


def test_plain_progress_speaks_every_tenth() -> None:
    stream = io.StringIO()
    with progress("case", stream=stream) as report:
        assert isinstance(report, PlainLines)
        for step in range(1001):
            report("bioheat", step / 1000)
        report("pictures", 0.0)
    lines = stream.getvalue().splitlines()
    assert len(lines) == 12
    assert lines[0] == "case: bioheat"
    assert lines[1].startswith("case: bioheat 10 %, about ")
    assert lines[10].startswith("case: bioheat 100 %")
    with progress("case", quiet=True, stream=stream) as report:
        report("bioheat", 0.5)
    assert len(stream.getvalue().splitlines()) == 12


def test_a_terminal_gets_a_bar_that_vanishes() -> None:
    """Of the stage at hand; nothing of it stays when the work is done."""

    class Terminal(io.StringIO):
        def isatty(self) -> bool:
            return True

    stream = Terminal()
    with progress("case", stream=stream) as report:
        report("anatomy", 0.5)
        report("bioheat", 0.25)
        time.sleep(0.3)  # it draws ten times a second
    said = stream.getvalue()
    assert "case: bioheat" in said
    assert "25%" in said
    assert said.endswith("\x1b[2K")  # which erases the line


def test_a_closed_pipe_is_no_failure() -> None:
    command = f"{sys.executable} -m thermal schema | head -1"
    done = subprocess.run(["bash", "-o", "pipefail", "-c", command], capture_output=True, text=True, check=False)
    assert done.returncode == 0
    assert done.stderr == ""


def test_interrupting_before_anything_is_done(here: Path) -> None:
    """Ctrl-C while the program still starts: no traceback."""
    program = "import sys; print(flush=True); from thermal.__main__ import main; sys.exit(main())"
    with subprocess.Popen(
        [sys.executable, "-c", program, "run", "box.toml"], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as run:
        assert run.stdout is not None
        run.stdout.readline()  # from here on it is the program that starts, not Python
        time.sleep(0.3)
        run.send_signal(signal.SIGINT)
        _, said = run.communicate(timeout=60)
    assert run.returncode in (130, 0, -signal.SIGINT)
    assert "Traceback" not in said
    if run.returncode == 130:
        assert "interrupted" in said


def test_a_failure_that_cannot_even_be_logged_is_told(
    here: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The disk is full, and with it the folder of temporary files."""

    def full(*_: object, **__: object) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), "somewhere/summary.json")

    monkeypatch.setattr("thermal.case.load.read_file", full)
    monkeypatch.setattr("tempfile.NamedTemporaryFile", full)
    assert main(["validate", "box.toml"]) == 1
    said = capsys.readouterr().err
    assert said.startswith("failed: somewhere/summary.json: No space left on device (there is no log")
    assert len(said.splitlines()) == 1


@pytest.mark.parametrize("place", ["box.toml/x", "loop/x", "n" * 300])
def test_places_that_cannot_be_written_to_are_refused(
    here: Path, capsys: pytest.CaptureFixture[str], place: str
) -> None:
    """By every command that writes, in a line without a log: below a file, below a link to itself, too long a name."""
    (here / "loop").symlink_to(here / "loop")
    assert main(["run", "box.toml", "--out", "out", "--quiet"]) == 0
    capsys.readouterr()
    for command in (
        ["run", "box.toml", "--out", place], ["compare", "out", "--out", place], ["assess", "out", "--out", place],
        ["image", "out", "--modality", "ct", "--out", place], ["report", "out", "-o", f"{place}.html"],
        ["init", "gold", f"{place}.toml"], ["mesh", "box.toml", "--out", f"{place}.msh"],
        ["view", "out", "--screenshot", f"{place}.png"],
    ):  # fmt: skip
        assert main(command) == 2, command
        said = capsys.readouterr().err.splitlines()
        assert len([line for line in said if line.startswith("error: ")]) == 1, command
        assert not any("log:" in line for line in said), command


def test_a_comparison_that_cannot_be_written_is_refused_first(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["compare", "box.toml", "--out", "box.toml"]) == 2
    assert "box.toml: cannot be written to (File exists); choose another folder" in capsys.readouterr().err
