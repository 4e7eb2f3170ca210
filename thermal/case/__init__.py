"""Case files: schema, reading, and error messages that a user can act on."""

from thermal.case.load import load_case
from thermal.case.schema import Case, case_hash, case_json_schema

__all__ = ["Case", "case_hash", "case_json_schema", "load_case"]
