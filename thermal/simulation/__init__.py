"""One case from start to end: anatomy, delivery, heating, bioheat with damage, zone, summary."""

from thermal.simulation.conclusion import conclude
from thermal.simulation.course import follow
from thermal.simulation.effort import Effort
from thermal.simulation.preparation import Prepared, Report, build, check, examine, prepare
from thermal.simulation.run import simulate

__all__ = ["Effort", "Prepared", "Report", "build", "check", "conclude", "examine", "follow", "prepare", "simulate"]
