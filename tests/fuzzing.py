"""Inputs that nobody meant: strategies for the fuzz tests, and what a command may say to them."""

from __future__ import annotations

import contextlib
import copy
import io
import json
import math
import signal
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from types import FrameType
from typing import Any

from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from thermal.cli import main

LONGEST = 120.0
"""Seconds that one input may take: a good one takes a tenth of a second, on a busy machine some seconds."""
Tree = dict[str, Any]


def explore(count: int, strategy: st.SearchStrategy[Any], check: Callable[[Any], None]) -> None:
    """Call ``check`` with ``count`` generated inputs: the same ones in every quick run, new ones in every long run."""

    def tried(value: Any) -> None:
        with hurried(LONGEST):
            check(value)

    settings(
        max_examples=count,
        deadline=None,
        database=None,
        derandomize=count < 1000,
        print_blob=True,
        phases=(Phase.generate, Phase.shrink),
        suppress_health_check=list(HealthCheck),
    )(given(strategy)(tried))()


@contextlib.contextmanager
def hurried(seconds: float) -> Iterator[None]:
    """Raise ``TimeoutError`` in what takes longer."""

    def late(number: int, frame: FrameType | None) -> None:
        raise TimeoutError(f"not done after {seconds:g} s")

    before = signal.signal(signal.SIGALRM, late)
    signal.setitimer(signal.ITIMER_REAL, seconds)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0.0)
        signal.signal(signal.SIGALRM, before)


def answers(*command: str, allowed: Sequence[int] = (0, 2)) -> tuple[int, str]:
    """Run a command of the command line; it must end with an allowed code, complain in whole lines and never with a
    traceback. Returns the code and what went to standard error."""
    out, err = io.StringIO(), io.StringIO()
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        code = main(list(command))
    said = err.getvalue()
    assert code in allowed, f"exit code {code}: {said}"
    assert "Traceback" not in said
    assert all(line.isprintable() for line in said.splitlines()), said
    if code == 2:
        kinds = {line.partition(": ")[0] for line in said.splitlines()}
        assert kinds in ({"error"}, {"error", "WARNING"}), said
    return code, said


# ------------------------------------------------------------------------------------------------ TOML

QUANTITIES = st.builds(
    lambda number, unit: f"{number} {unit}",
    st.one_of(
        st.integers(-5, 200).map(str),
        st.floats(allow_nan=True, allow_infinity=True).map(repr),
        st.sampled_from(["1e400", "-0", "0", "1e-320", ".5", "5.", "1_000", "0x10", "１", "1,5", "--1", "1e", "+3"]),
    ),
    st.sampled_from(
        ["mm", "m", "cm", "s", "min", "W", "degC", "C", "K", "kg/m^3", "W/m/K", "mg/ml", "1/s", "%", "", "V", "ohm",
         "nm", "W/cm^2", "mm^3", "um", "lightyear", "furlong", "dB", "Hz", "kA/m", "m^2/Pa/s", "mm*mm", "1/mm", "µm",
         "°C", "S/m"]
    ),
)  # fmt: skip
NASTY = st.one_of(
    QUANTITIES,
    st.booleans(),
    st.integers(-3, 12),
    st.sampled_from([2**63, -(2**63), 10**40]),
    st.floats(),
    st.text(max_size=12),
    st.sampled_from(
        ["", " ", "../../etc/passwd", "/dev/zero", "/dev/stdin", "data:../x", "~", "a" * 300, "\x00", "\u202e1 mm",
         "\r\n", "none", "tumour", "liver", "x-", "{{7*7}}", "<script>", "$(id)", "%s%n", "__class__", "inf", "nan",
         "1 mm\n2 mm"]
    ),
    st.lists(st.one_of(QUANTITIES, st.integers(-2, 3), st.text(max_size=4)), max_size=4),
    st.dictionaries(st.text(max_size=6), st.one_of(QUANTITIES, st.integers(), st.booleans()), max_size=3),
    st.lists(st.lists(QUANTITIES, max_size=3), max_size=3),
)  # fmt: skip
"""Values that may stand anywhere."""


def toml(tree: Tree) -> str:
    """A file that holds the tree, however strange its keys and texts are."""
    return "".join(f"{_text(key)} = {_value(value)}\n" for key, value in tree.items())


def _text(text: str) -> str:
    whole = "".join(letter if not 0xD800 <= ord(letter) < 0xE000 else "?" for letter in text)  # TOML has no halves
    return json.dumps(whole).replace("\x7f", "\\u007f")


def _value(value: Any) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, dict):
        return "{" + ", ".join(f"{_text(key)} = {_value(item)}" for key, item in value.items()) + "}"
    if isinstance(value, list):
        return f"[{', '.join(map(_value, value))}]"
    if isinstance(value, float) and not math.isfinite(value):
        return "nan" if math.isnan(value) else "inf" if value > 0 else "-inf"
    return _text(value) if isinstance(value, str) else repr(value)


def places(tree: Any, at: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    """Every key and item within the tree."""
    inner = tree.items() if isinstance(tree, dict) else enumerate(tree) if isinstance(tree, list) else ()
    return [place for key, item in inner for place in ((*at, key), *places(item, (*at, key)))]


@st.composite
def changed(draw: st.DrawFn, trees: Sequence[Tree], fixed: Sequence[str] = ()) -> Tree:
    """One of the trees with one to three things changed: a value, a name, something gone, something twice, something
    taken from another tree. What is below the keys ``fixed`` stays."""
    tree = copy.deepcopy(draw(st.sampled_from(list(trees))))
    other = draw(st.sampled_from(list(trees)))
    for _ in range(draw(st.integers(1, 3))):
        found = [place for place in places(tree) if place[0] not in fixed]
        if not found:
            break
        place = draw(st.sampled_from(found))
        holder: Any = tree
        for key in place[:-1]:
            holder = holder[key]
        last = place[-1]
        deed = draw(st.sampled_from(["value", "value", "value", "gone", "name", "borrowed", "more"]))
        if deed == "value":
            holder[last] = draw(NASTY)
        elif deed == "gone":
            del holder[last]
        elif deed == "borrowed":
            spot = draw(st.sampled_from(places(other)))
            source: Any = other
            for key in spot:
                source = source[key]
            holder[last] = copy.deepcopy(source)
        elif isinstance(holder, dict):
            holder[draw(st.text(max_size=8))] = holder.pop(last) if deed == "name" else draw(NASTY)
        else:
            holder.append(draw(NASTY))
    return tree


# ------------------------------------------------------------------------------------------------ bytes


@st.composite
def damaged(draw: st.DrawFn, wholes: Sequence[bytes]) -> bytes:
    """One of the files with bytes changed, gone, doubled or cut off."""
    data = bytearray(draw(st.sampled_from(list(wholes))))
    for _ in range(draw(st.integers(1, 4))):
        # headers and the ends of files matter most
        at = draw(st.one_of(st.integers(0, min(len(data), 600)), st.integers(0, len(data))))
        deed = draw(st.sampled_from(["set", "set", "set", "cut", "drop", "add", "number"]))
        if deed == "set":
            data[at : at + 1] = bytes([draw(st.integers(0, 255))])
        elif deed == "cut":
            del data[at:]
        elif deed == "drop":
            del data[at : at + draw(st.integers(1, 64))]
        elif deed == "add":
            data[at:at] = draw(st.binary(min_size=1, max_size=40))
        else:
            number = draw(st.sampled_from([0, -1, 2**15 - 1, 2**31 - 1, -(2**31)]))
            data[at : at + 4] = number.to_bytes(4, "little", signed=True)
    return bytes(data)


def write(path: Path, data: bytes | str) -> Path:
    """Write a file and return its path."""
    path.write_bytes(data if isinstance(data, bytes) else data.encode("utf-8", "replace"))
    return path
