"""The ablation zone in numbers: size, cover and margin of the tumour, shape, what else was lost, what two share."""

from thermal.zone.distance import Distance, triangle_areas
from thermal.zone.measure import Zone, grown, measure_zone
from thermal.zone.overlap import Agreement, Extent, common, compare_zones, dice, share_of

__all__ = [
    "Agreement",
    "Distance",
    "Extent",
    "Zone",
    "common",
    "compare_zones",
    "dice",
    "grown",
    "measure_zone",
    "share_of",
    "triangle_areas",
]
