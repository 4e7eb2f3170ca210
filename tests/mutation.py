"""Do the tests notice when a formula is wrong? Forty seeded changes of the physics, and the tests that must go red.

    python tests/mutation.py [--seed N] [--count N] [--jobs N] [--only physics/optics.py]

A mutant is one changed operator, comparison, number or sign in the body of a function of a physics kernel, in a copy of
the package. Its tests run until the first one fails: then the mutant is caught. What survives is printed: either a test
is missing, or the change changes nothing (a tolerance of an iteration, a bound that is never reached).
"""

from __future__ import annotations

import argparse
import ast
import os
import random
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from queue import SimpleQueue

ROOT = Path(__file__).parent.parent
SEED, COUNT, LEAST = 1, 40, 36
SMALL = "test_small_formulas.py"
TESTS: dict[str, tuple[str, ...]] = {
    "physics/magnetism.py": ("test_magnetism.py", "test_particle_kinds.py"),
    "physics/hysteresis.py": ("test_particle_kinds.py",),
    "physics/optics.py": (SMALL, "test_particles.py"),
    "physics/mie.py": ("test_particles.py", "test_particle_kinds.py"),
    "physics/far_field.py": (SMALL, "test_rfa.py"),
    "physics/damage/arrhenius.py": (SMALL, "test_damage.py", "test_damage_laws.py"),
    "physics/damage/dose.py": ("test_damage.py", "test_damage_laws.py"),
    "physics/damage/law.py": ("test_damage.py", "test_damage_laws.py"),
    "physics/damage/cell_death.py": ("test_damage_laws.py",),
    "physics/damage/cold.py": (SMALL, "test_damage_laws.py", "test_damage.py"),
    "physics/damage/chemical.py": (SMALL, "test_until.py"),
    "physics/drug/fate.py": (SMALL, "test_drug.py"),
    "physics/drug/release.py": ("test_drug.py",),
    "physics/heating/schedule.py": (SMALL, "test_prescribed.py", "test_cryo.py", "test_generator.py"),
    "physics/heating/microwave.py": ("test_microwave.py",),
    "physics/heating/generator.py": ("test_generator.py",),
    "physics/light/sp3.py": ("test_sp3.py",),
    "physics/delivery/backflow.py": (SMALL, "test_infusion.py"),
    "physics/delivery/kinetics.py": ("test_transport.py", "test_infusion.py"),
    "physics/bioheat.py": (SMALL, "test_march.py"),
}
"""Module of the package -> the test files that are there for it, quick ones first."""
EQUIVALENT: dict[tuple[str, str, str], str] = {
    ("physics/damage/law.py", "steady = np.abs(change) < 1e-9", "1e-9 -> 1.1000000000000001e-09"): (
        "between the two limits the formula of a ramp and that of a steady temperature agree to round-off"
    ),
    (
        "physics/damage/cell_death.py",
        "return np.clip(alive, 0.0, 1.0), np.clip(dead, 0.0, 1.0)",
        "1.0 -> 1.1",
    ): "shares of the three states pass 1 by round-off at most",
}
"""Changes that change nothing, with the reason: (module, its line, change). Others are drawn in their place."""
SWAPS: dict[type[ast.AST], str] = {
    ast.Add: "-", ast.Sub: "+", ast.Mult: "/", ast.Div: "*", ast.Pow: "*",
    ast.Lt: ">=", ast.LtE: ">", ast.Gt: "<=", ast.GtE: "<", ast.Eq: "!=", ast.NotEq: "==",
}  # fmt: skip
CALLS = {"minimum": "maximum", "maximum": "minimum", "exp": "log1p", "sinh": "cosh", "cosh": "sinh", "sqrt": "square",
         "min": "max", "max": "min", "all": "any", "any": "all"}  # fmt: skip


@dataclass(frozen=True)
class Mutant:
    """``old`` at ``start`` (offset in the text of ``module``) becomes ``new``."""

    module: str
    line: int
    start: int
    old: str
    new: str

    def __str__(self) -> str:
        return f"{self.module}:{self.line}: {self.old.strip()} -> {self.new.strip()}"


def mutants(module: str, text: str) -> Iterator[Mutant]:
    """Every change that there is in the bodies of the functions of a module."""
    starts = [0]
    for line in text.encode().splitlines(keepends=True):
        starts.append(starts[-1] + len(line))
    data = text.encode()

    def offset(line: int, column: int) -> int:
        return starts[line - 1] + column

    def between(left: ast.expr, right: ast.expr, operator: ast.AST) -> Iterator[Mutant]:
        assert left.end_lineno is not None
        assert left.end_col_offset is not None
        start, end = offset(left.end_lineno, left.end_col_offset), offset(right.lineno, right.col_offset)
        gap = data[start:end].decode()
        sign = {ast.Add: "+", ast.Sub: "-", ast.Mult: "*", ast.Div: "/", ast.Pow: "**", ast.Lt: "<", ast.LtE: "<=",
                ast.Gt: ">", ast.GtE: ">=", ast.Eq: "==", ast.NotEq: "!="}.get(type(operator))  # fmt: skip
        if sign is not None and gap.count(sign) == 1 and "\n" not in gap:
            yield Mutant(module, left.end_lineno, start, gap, gap.replace(sign, SWAPS[type(operator)]))

    for node in _computing(ast.parse(text)):
        if isinstance(node, ast.BinOp):
            yield from between(node.left, node.right, node.op)
        elif isinstance(node, ast.Compare) and len(node.ops) == 1:
            yield from between(node.left, node.comparators[0], node.ops[0])
        elif isinstance(node, ast.Constant) and type(node.value) in (int, float):
            old = ast.get_source_segment(text, node) or ""
            new = repr(node.value + 1 if isinstance(node.value, int) else node.value * 1.1 or 0.1)
            yield Mutant(module, node.lineno, offset(node.lineno, node.col_offset), old, new)
        elif isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.USub):
            yield Mutant(module, node.lineno, offset(node.lineno, node.col_offset), "-", "+")
        elif isinstance(node, ast.Attribute) and node.attr in CALLS and node.end_col_offset is not None:
            assert node.end_lineno is not None
            start = offset(node.end_lineno, node.end_col_offset) - len(node.attr)
            yield Mutant(module, node.lineno, start, node.attr, CALLS[node.attr])


def _computing(tree: ast.AST) -> Iterator[ast.AST]:
    """Nodes within bodies of functions, but for messages, what is raised, asserted or annotated, and indices."""
    functions = [node for node in ast.walk(tree) if isinstance(node, ast.FunctionDef)]
    todo: list[ast.AST] = [
        statement for function in functions for statement in function.body if not isinstance(statement, ast.FunctionDef)
    ]
    while todo:
        node = todo.pop(0)
        if isinstance(node, (ast.Raise, ast.Assert, ast.JoinedStr, ast.FunctionDef)):
            continue
        yield node
        if isinstance(node, ast.Subscript):
            todo.append(node.value)
        elif isinstance(node, ast.AnnAssign):
            todo += [node.value] if node.value is not None else []
        else:
            todo += list(ast.iter_child_nodes(node))


def named(mutant: Mutant, text: str) -> tuple[str, str, str]:
    """What a mutant is called in ``EQUIVALENT``, wherever its line has moved to in the text of its module."""
    line = text.splitlines()[mutant.line - 1].strip()
    return mutant.module, line, f"{mutant.old.strip()} -> {mutant.new.strip()}"


def chosen(seed: int = SEED, count: int = COUNT) -> list[Mutant]:
    """The seeded list: every module has its share."""
    draw = random.Random(seed)
    pools = {}
    for module in TESTS:
        text = (ROOT / "thermal" / module).read_text()
        found = sorted(mutants(module, text), key=lambda m: (m.start, m.old, m.new))
        pools[module] = [mutant for mutant in draw.sample(found, len(found)) if named(mutant, text) not in EQUIVALENT]
    picked: list[Mutant] = []
    while len(picked) < count:
        for pool in pools.values():
            if pool and len(picked) < count:
                picked.append(pool.pop())
    return picked


def is_caught(mutant: Mutant, folder: Path, tests: Sequence[str]) -> bool:
    """Whether a test fails on the copy of the package in ``folder`` with the mutant in it."""
    path = folder / "thermal" / mutant.module
    whole = path.read_bytes()
    changed = whole[: mutant.start] + mutant.new.encode() + whole[mutant.start + len(mutant.old.encode()) :]
    path.write_bytes(changed)
    try:
        return not passes(folder, tests)
    finally:
        path.write_bytes(whole)


def passes(folder: Path, tests: Sequence[str]) -> bool:
    """Whether the tests pass on the copy of the package; one that hangs does not."""
    command = [sys.executable, "-m", "pytest", "-x", "-q", "-p", "no:cacheprovider", "-p", "no:randomly",
               *(str(folder / "tests" / name) for name in tests)]  # fmt: skip
    environment = {**os.environ, "PYTHONPATH": str(folder), "PYTHONDONTWRITEBYTECODE": "1"}
    try:
        done = subprocess.run(command, capture_output=True, cwd=folder, env=environment, timeout=900, check=False)
    except subprocess.TimeoutExpired:
        return False
    return done.returncode == 0


def copied(folder: Path) -> Path:
    """A copy of what the tests need, with the compiled kernels of the original."""
    for name in ("thermal", "tests", "cases", "meshes"):
        shutil.copytree(ROOT / name, folder / name)
    shutil.copy(ROOT / "pyproject.toml", folder)
    return folder


def check(seed: int = SEED, count: int = COUNT, jobs: int = 1, only: str = "") -> list[tuple[Mutant, bool]]:
    """Every mutant of the list (of modules whose name holds ``only``), and whether it was caught; printed as they come.

    Each of ``jobs`` has a copy of the package of its own.
    """
    results: list[tuple[Mutant, bool]] = []
    picked = [mutant for mutant in chosen(seed, count) if only in mutant.module]
    with tempfile.TemporaryDirectory() as name, ThreadPoolExecutor(jobs) as pool:
        free: SimpleQueue[Path] = SimpleQueue()
        for number in range(jobs):
            free.put(copied(Path(name) / str(number)))

        def judged(mutant: Mutant) -> tuple[Mutant, bool]:
            folder = free.get()
            try:
                return mutant, is_caught(mutant, folder, TESTS[mutant.module])
            finally:
                free.put(folder)

        for mutant, caught in pool.map(judged, picked):
            results.append((mutant, caught))
            print(f"{'caught  ' if caught else 'SURVIVED'} {mutant}", flush=True)
    print(f"{sum(caught for _, caught in results)} of {len(results)} caught")
    return results


def main() -> int:
    parser = argparse.ArgumentParser()
    parser.add_argument("--seed", type=int, default=SEED)
    parser.add_argument("--count", type=int, default=COUNT)
    parser.add_argument("--jobs", type=int, default=1, help="mutants at a time")
    parser.add_argument("--only", default="", help="part of the names of modules")
    given = parser.parse_args()
    results = check(given.seed, given.count, given.jobs, given.only)
    return int(sum(caught for _, caught in results) * COUNT < LEAST * len(results))


if __name__ == "__main__":
    sys.exit(main())
