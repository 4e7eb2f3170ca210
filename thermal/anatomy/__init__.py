"""Anatomies: each kind is a specification that builds a domain with named regions."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from thermal.anatomy.built import Anatomy
from thermal.anatomy.image import Image
from thermal.anatomy.mesh import Mesh
from thermal.anatomy.phantom import Phantom

AnatomyEntry = Annotated[Image | Phantom | Mesh, Field(discriminator="kind")]
"""The ``[anatomy]`` table of a case: ``kind`` is ``"image"``, ``"phantom"`` or ``"mesh"``."""

__all__ = ["Anatomy", "AnatomyEntry", "Image", "Mesh", "Phantom"]
