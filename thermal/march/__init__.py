"""Time integration of the bioheat equation: the loop, the moments within its steps, and the sizes of the steps."""

from thermal.march.loop import Loop
from thermal.march.moment import Progress
from thermal.march.steps import Control

__all__ = ["Control", "Loop", "Progress"]
