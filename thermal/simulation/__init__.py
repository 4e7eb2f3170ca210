"""One case from start to end: anatomy, delivery, heating, bioheat with damage, zone, summary."""

from thermal.simulation.conclusion import conclude
from thermal.simulation.course import follow
from thermal.simulation.preparation import Prepared, Report, build, check, prepare
from thermal.simulation.run import simulate

__all__ = ["Prepared", "Report", "build", "check", "conclude", "follow", "prepare", "simulate"]
