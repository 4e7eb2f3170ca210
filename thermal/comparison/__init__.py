"""Treatments side by side: one table, one figure, one 3-D picture.

The numbers are those that each run measured and wrote into its summary; nothing is measured again here.
"""

from thermal.comparison.run import compare, describe, write_comparison
from thermal.comparison.tables import Comparison, as_csv, as_json, as_markdown
from thermal.comparison.work import RunCase, jobs_that_fit, run_one

__all__ = [
    "Comparison",
    "RunCase",
    "as_csv",
    "as_json",
    "as_markdown",
    "compare",
    "describe",
    "jobs_that_fit",
    "run_one",
    "write_comparison",
]
