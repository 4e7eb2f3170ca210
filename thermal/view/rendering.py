"""Whether this machine can draw in 3-D without a window, found out once and without risk to the run."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from functools import lru_cache

SYSTEM_LIBRARIES = ("libegl1", "libgl1", "libxrender1")
"""Debian packages that off-screen rendering with the VTK wheel needs."""

_WINDOW = "VTK_DEFAULT_OPENGL_WINDOW"
_BACK_ENDS = ("vtkEGLRenderWindow", "vtkOSOpenGLRenderWindow")
_VTK_PREFIX = re.compile(r"^.*?\|\s*")
"""Time, thread and place in the source that VTK puts before its messages."""
LONGEST_REASON = 120
_PROBE = """
import sys
import vtkmodules.vtkRenderingFreeType
import vtkmodules.vtkRenderingOpenGL2
import vtkmodules.vtkRenderingUI
from vtkmodules.vtkFiltersSources import vtkSphereSource
from vtkmodules.vtkRenderingCore import vtkActor, vtkPolyDataMapper, vtkRenderer, vtkRenderWindow
from vtkmodules.vtkRenderingCore import vtkWindowToImageFilter

window, renderer = vtkRenderWindow(), vtkRenderer()
window.SetOffScreenRendering(1)
window.SetSize(64, 64)
renderer.SetBackground(1.0, 1.0, 1.0)
window.AddRenderer(renderer)
sphere, mapper, actor = vtkSphereSource(), vtkPolyDataMapper(), vtkActor()
mapper.SetInputConnection(sphere.GetOutputPort())
actor.SetMapper(mapper)
actor.GetProperty().SetColor(1.0, 0.0, 0.0)
renderer.AddActor(actor)
window.Render()
picture = vtkWindowToImageFilter()
picture.SetInput(window)
picture.ReadFrontBufferOff()
picture.Update()
lowest, highest = picture.GetOutput().GetPointData().GetScalars().GetRange(1)
sys.exit(0 if lowest < 100 and highest > 200 else 3)
"""
"""A red sphere on white, with what pyvista loads of VTK that needs system libraries, and no more: it costs a second."""


class RenderingError(RuntimeError):
    """Nothing can be drawn on this machine; the message says why and what to install."""


@lru_cache(maxsize=1)
def _probe() -> tuple[dict[str, str], str | None]:
    """Environment variables under which a subprocess rendered a sphere, and the reason when none worked."""
    attempts: list[dict[str, str]]
    if os.environ.get("DISPLAY") or _WINDOW in os.environ or not sys.platform.startswith("linux"):
        attempts = [{}]
    else:
        attempts = [{_WINDOW: name} for name in _BACK_ENDS]
    said = ""
    for settings in attempts:
        try:
            done = subprocess.run(
                [sys.executable, "-P", "-c", _PROBE],
                env={**os.environ, **settings},
                capture_output=True,
                text=True,
                timeout=120,
                check=False,
            )
        except subprocess.TimeoutExpired:
            said = said or "the test picture took longer than two minutes"
            continue
        except OSError as error:
            return {}, f"no subprocess could be started to test rendering ({error})"
        if done.returncode == 0:
            return settings, None
        lines = [_VTK_PREFIX.sub("", line).strip() for line in done.stderr.splitlines() if line.strip()]
        lines = [line for line in lines if "OSMesa" not in line]  # the last resort, which the VTK wheel does not have
        blank = "the test picture came out blank" if done.returncode >= 0 else "VTK crashed"
        said = said or (lines[-1] if lines else f"{blank}, exit {done.returncode}")
    advice = (
        f"install the system libraries: apt-get install {' '.join(SYSTEM_LIBRARIES)}"
        if sys.platform.startswith("linux")
        else "check the graphics driver"
    )
    reason = f" ({said[:LONGEST_REASON]})" if said else ""
    return {}, f"off-screen rendering does not work here{reason}; {advice}"


def rendering_problem() -> str | None:
    """Why no 3-D picture can be drawn here, with advice; ``None`` when it works.

    Missing system libraries can end the interpreter inside VTK, so a subprocess draws a test picture; asked once
    a process.
    """
    return _probe()[1]


def require_rendering() -> None:
    """Get VTK ready to draw without a window. Raises ``RenderingError`` where that is impossible."""
    settings, problem = _probe()
    if problem is not None:
        raise RenderingError(problem)
    for name, value in settings.items():  # read by VTK when its first window opens; there is no call for it
        os.environ.setdefault(name, value)


def display_problem() -> str | None:
    """Why no window can be opened here; ``None`` when there is a display."""
    if not sys.platform.startswith("linux") or os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY"):
        return None
    return "no display to open a window on; write a picture instead: thermal view ... --screenshot picture.png"
