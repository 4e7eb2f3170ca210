"""``thermal report``: everything about one or several runs in one file."""

from thermal.report.write import write_report

__all__ = ["write_report"]
