"""The mutation check is one: its list is sound, and a wrong formula turns its tests red. See ``mutation.py``."""

from __future__ import annotations

import ast

import mutation
import pytest
from mutation import COUNT, EQUIVALENT, LEAST, ROOT, TESTS, chosen, mutants, named


def test_the_list_is_the_same_every_time_and_each_mutant_is_a_program() -> None:
    picked = chosen()
    assert picked == chosen()
    assert len(set(picked)) == COUNT
    assert {mutant.module for mutant in picked} == set(TESTS)
    for mutant in picked:
        whole = (ROOT / "thermal" / mutant.module).read_bytes()
        assert whole[mutant.start :].startswith(mutant.old.encode())
        changed = whole[: mutant.start] + mutant.new.encode() + whole[mutant.start + len(mutant.old.encode()) :]
        assert ast.dump(ast.parse(changed)) != ast.dump(ast.parse(whole))


def test_what_is_left_out_is_there() -> None:
    """Each change that is said to change nothing is one of those that could be drawn, and is not."""
    there = {
        named(mutant, text)
        for module in TESTS
        for text in [(ROOT / "thermal" / module).read_text()]
        for mutant in mutants(module, text)
    }
    assert set(EQUIVALENT) <= there
    taken = {named(mutant, (ROOT / "thermal" / mutant.module).read_text()) for mutant in chosen()}
    assert not taken & set(EQUIVALENT)


def test_what_may_be_changed() -> None:
    text = 'def f(x):\n    "1 + 1"\n    if x < 2:\n        raise ValueError(f"{x + 3}")\n    return -x * np.exp(4.0)\n'
    found = {str(mutant).partition(": ")[2] for mutant in mutants("m.py", text)}
    assert found == {"< -> >=", "2 -> 3", "- -> +", "* -> /", "exp -> log1p", "4.0 -> 4.4"}


@pytest.mark.slow
@pytest.mark.timeout(0)
def test_nine_of_ten_wrong_formulas_are_caught() -> None:
    results = mutation.check()
    survivors = [str(mutant) for mutant, caught in results if not caught]
    assert len(results) - len(survivors) >= LEAST, survivors
