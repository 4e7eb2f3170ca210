"""Pictures: surfaces in ``scene``, sheets drawn off-screen in ``pictures``, a window in ``interactive``."""

from thermal.view.interactive import show
from thermal.view.pictures import draw
from thermal.view.rendering import RenderingError, rendering_problem

__all__ = ["RenderingError", "draw", "rendering_problem", "show"]
