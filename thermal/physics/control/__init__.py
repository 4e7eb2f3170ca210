"""Controllers: from how far the tissue is from its limits to the share of the power that is let through."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from thermal.physics.control.kinds import BangBang, Pid, Predictive

ControllerEntry = Annotated[BangBang | Pid | Predictive, Field(discriminator="kind")]
"""What may stand in ``[control.controller]``."""

__all__ = ["BangBang", "ControllerEntry", "Pid", "Predictive"]
