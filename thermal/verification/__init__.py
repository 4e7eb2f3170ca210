"""Verification: problems with a known answer, run through case files, and what came out beside what must."""

from thermal.verification.catalogue import Catalogue, load_catalogue
from thermal.verification.checks import Check, Finding
from thermal.verification.run import verify
from thermal.verification.table import page, text

__all__ = ["Catalogue", "Check", "Finding", "load_catalogue", "page", "text", "verify"]
