"""The conductance operator of the dolfinx engine: an exchange of ghosts, then the rows of one process."""

from __future__ import annotations

from dataclasses import dataclass

from thermal.engines.distribution import Distribution
from thermal.engines.local_rows import LocalOperator
from thermal.units import Array


@dataclass(frozen=True)
class DolfinxOperator:
    """Conductances of the edges at this rank's nodes; see :class:`thermal.engine.Operator`."""

    distribution: Distribution
    local: LocalOperator

    @property
    def diagonal(self) -> Array:
        """(n,) sum of the conductances of each node."""
        return self.local.diagonal

    @property
    def bound(self) -> Array:
        """(n,) b with ``u . K u <= sum b u^2``."""
        return self.local.bound

    def bound_by(self, weight: Array) -> Array:
        """See :meth:`thermal.engines.spectrum.Weighted.bound_by`."""
        return self.local.bound_by(self.distribution.with_ghosts(weight))

    def __call__(self, u: Array) -> Array:
        """K u, (n,) -> (n,)."""
        return self.local(self.distribution.with_ghosts(u))

    def dissipation(self, u: Array) -> Array:
        """(n,) half of ``G_ij (u_i - u_j)^2`` over the edges of each node."""
        return self.local.dissipation(self.distribution.with_ghosts(u))
