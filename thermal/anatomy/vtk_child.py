"""Read a file by VTK and write it anew: run as a program of its own, for VTK ends the process that gives it a bad file.

    python vtk_child.py SOURCE TARGET.vtk ROOM

Imports nothing of this package. ``ROOM``: bytes of memory that it may take.
"""

from __future__ import annotations

import resource
import sys


def main(source: str, target: str, room: int) -> None:
    """Keep the mesh, or all blocks as one."""
    _, most = resource.getrlimit(resource.RLIMIT_AS)
    limits = [limit for limit in (room, most) if limit != resource.RLIM_INFINITY]
    resource.setrlimit(resource.RLIMIT_AS, (min(limits, default=resource.RLIM_INFINITY), most))
    import pyvista

    mesh = pyvista.read(source)
    if isinstance(mesh, pyvista.MultiBlock):
        mesh = mesh.combine()
    mesh.save(target)


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2], int(sys.argv[3]))
