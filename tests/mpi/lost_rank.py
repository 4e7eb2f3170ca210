"""The command line, of which one rank fails amid a step: ``mpirun -n 2 python lost_rank.py RANK run CASE ...``."""

from __future__ import annotations

import sys
from typing import Any

from thermal.cli import main
from thermal.engines.ranks import place
from thermal.engines.team import Team


def fail(*given: Any) -> None:
    """As where memory is short."""
    raise MemoryError("no room for the step")


if __name__ == "__main__":
    if place()[0] == int(sys.argv[1]):
        Team.begin = fail  # type: ignore[method-assign]
    sys.exit(main(sys.argv[2:]))
