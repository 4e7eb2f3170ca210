"""Conjugate gradients: right answers, honest failures."""

from __future__ import annotations

import numpy as np
import pytest

from thermal.engine import NotConvergedError
from thermal.engines.linear import conjugate_gradients


def mean(u: np.ndarray) -> np.ndarray:
    """(n,) the mean of ``u`` (n,): its part in the kernel of a chain without ends that hold it."""
    return np.full_like(u, u.mean())


def chain(n: int, ends: float) -> np.ndarray:
    """Graph Laplacian of a chain of n nodes, with ``ends`` added to the first diagonal entry."""
    a = 2.0 * np.eye(n) - np.eye(n, k=1) - np.eye(n, k=-1)
    a[0, 0] = a[-1, -1] = 1.0
    a[0, 0] += ends
    return a


@pytest.mark.parametrize("preconditioned", [False, True])
def test_solves_like_a_direct_solver(preconditioned: bool) -> None:
    rng = np.random.default_rng(1)
    scale = 10.0 ** rng.uniform(-2, 2, 60)
    a = scale[:, None] * (chain(60, 0.5) + 0.1 * np.eye(60)) * scale[None, :]
    rhs = rng.normal(size=60)
    x, iterations = conjugate_gradients(
        lambda u: a @ u,
        rhs,
        (lambda r: r / np.diag(a)) if preconditioned else None,
        tolerance=1e-11,  # at 1e-12 round-off stops one raw matrix in six
        max_iterations=9999,
    )
    assert np.linalg.norm(a @ x - rhs) <= 1e-11 * np.linalg.norm(rhs)
    # the condition number of the unscaled matrix bounds the error; of the raw matrix it is 1e8 times larger
    np.testing.assert_allclose(scale * x, np.linalg.solve(chain(60, 0.5) + 0.1 * np.eye(60), rhs / scale), rtol=1e-6)
    if preconditioned:
        assert iterations <= 70  # Jacobi undoes the scaling: about the dimension (60) in floating point


def test_finite_termination() -> None:
    """In exact arithmetic CG needs one iteration for each distinct eigenvalue."""
    eigenvalues = np.repeat([1.0, 3.0, 10.0], 20)
    q, _ = np.linalg.qr(np.random.default_rng(2).normal(size=(60, 60)))
    a = q @ np.diag(eigenvalues) @ q.T
    _, iterations = conjugate_gradients(lambda u: a @ u, np.ones(60), tolerance=1e-10)
    assert iterations == 3


def test_changing_preconditioner_needs_the_flexible_update() -> None:
    """A preconditioner that alternates between two scalings, which breaks the plain update's conjugacy."""
    n = 200
    a = chain(n, 1.0) + np.diag(np.linspace(0.01, 5, n))
    calls = [0]

    def alternating(r: np.ndarray) -> np.ndarray:
        calls[0] += 1
        return r / np.diag(a) if calls[0] % 2 else r * np.linspace(1, 3, n)

    x, _ = conjugate_gradients(lambda u: a @ u, np.ones(n), alternating, tolerance=1e-10)
    np.testing.assert_allclose(x, np.linalg.solve(a, np.ones(n)), rtol=1e-7)


def test_guess_is_used_and_not_changed() -> None:
    a = chain(50, 1.0)
    rhs = np.ones(50)
    exact = np.linalg.solve(a, rhs)
    guess = exact.copy()
    x, iterations = conjugate_gradients(lambda u: a @ u, rhs, guess=guess, tolerance=1e-10)
    assert iterations == 0
    np.testing.assert_array_equal(x, guess)
    guess[3] += 1.0
    before = guess.copy()
    x, iterations = conjugate_gradients(lambda u: a @ u, rhs, guess=guess, tolerance=1e-10)
    assert iterations > 0
    np.testing.assert_array_equal(guess, before)


def test_pure_neumann_has_zero_mean() -> None:
    a = chain(80, 0.0)
    rhs = np.sin(np.arange(80.0))
    rhs -= rhs.mean()
    x, _ = conjugate_gradients(lambda u: a @ u, rhs, level=mean, guess=np.full(80, 7.0), tolerance=1e-11)
    assert abs(x.mean()) < 1e-12 * np.abs(x).max()
    np.testing.assert_allclose(a @ x, rhs, atol=1e-10)


def test_unbalanced_neumann_is_refused() -> None:
    a = chain(20, 0.0)
    with pytest.raises(NotConvergedError, match="do not balance"):
        conjugate_gradients(lambda u: a @ u, np.ones(20), level=mean)


def test_zero_rhs_gives_zero() -> None:
    x, iterations = conjugate_gradients(lambda u: 2 * u, np.zeros(5), guess=np.ones(5))
    assert iterations == 0
    assert not x.any()


def test_tiny_numbers_converge_like_large_ones() -> None:
    """Fluxes in SI are 1e-11 m3/s: nothing may hang on an absolute threshold."""
    a = chain(30, 1.0) * 1e-13
    rhs = 1e-18 * np.cos(np.arange(30.0))
    x, _ = conjugate_gradients(lambda u: a @ u, rhs, tolerance=1e-11)
    np.testing.assert_allclose(x, np.linalg.solve(a, rhs), rtol=1e-8, atol=1e-14)


@pytest.mark.parametrize(
    ("matrix", "rhs", "match"),
    [
        (chain(400, 1e-3), np.ones(400), "in 20 iterations"),
        (-np.eye(4), np.ones(4), "not positive definite"),
        (np.eye(4), np.array([1, np.nan, 1, 1]), "not finite"),
        (np.full((4, 4), np.nan), np.ones(4), "operator is not positive definite or not finite"),
    ],
)
def test_failures_say_so(matrix: np.ndarray, rhs: np.ndarray, match: str) -> None:
    with pytest.raises(NotConvergedError, match=match):
        conjugate_gradients(lambda u: matrix @ u, rhs, max_iterations=20)


def test_a_guess_that_is_not_finite() -> None:
    with pytest.raises(NotConvergedError, match="operator or the guess"):
        conjugate_gradients(lambda u: 2 * u, np.ones(4), guess=np.array([1, np.inf, 1, 1]))


def test_tolerance_below_round_off_is_an_error() -> None:
    a = chain(500, 1e-6)
    rhs = np.random.default_rng(3).normal(size=500)
    with pytest.raises(NotConvergedError, match="by round-off"):
        conjugate_gradients(lambda u: a @ u, rhs, tolerance=1e-15, max_iterations=5000)
