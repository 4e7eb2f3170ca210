"""Which MPI rank this process is, and what the ranks beside the first do: wait for work until they are dismissed.

A command runs as a whole on the first rank. The others help its engine (:mod:`thermal.engines.shared`) with what takes
the time. Nothing here needs MPI until ``mpirun`` has started more than one process.
"""

from __future__ import annotations

import os
import sys

VARIABLES = (("PMI_RANK", "PMI_SIZE"), ("OMPI_COMM_WORLD_RANK", "OMPI_COMM_WORLD_SIZE"))
"""What the starters of MPICH (also Intel's) and of Open MPI tell each process."""


def place() -> tuple[int, int]:
    """Rank of this process and number of ranks; (0, 1) when nothing started several."""
    for rank, size in VARIABLES:
        if rank in os.environ and size in os.environ:
            return int(os.environ[rank]), int(os.environ[size])
    return 0, 1


def help_the_first() -> int:
    """Work for the first rank until it is done; the exit code of this process."""
    try:
        from thermal.engines.team import Team
    except ImportError as error:
        print(f"rank {place()[0]}: {error}; runs on several ranks need: pip install 'thermal[mpi]'", file=sys.stderr)
        return 2
    Team.world().follow()
    return 0


def dismiss_the_others() -> None:
    """Let the other ranks go; nothing when there are none."""
    if place()[1] > 1:
        try:
            from thermal.engines.team import Team
        except ImportError:
            return  # they said so themselves and are gone
        Team.world().dismiss()
