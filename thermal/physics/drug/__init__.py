"""What particles carry besides themselves: a drug or anything like it, its release and what becomes of it."""

from __future__ import annotations

from thermal.physics.drug.fate import Drug
from thermal.physics.drug.payload import DrugPayload
from thermal.physics.drug.release import ArrheniusRelease, ConstantRelease, Release, SigmoidRelease

__all__ = ["ArrheniusRelease", "ConstantRelease", "Drug", "DrugPayload", "Release", "SigmoidRelease"]
