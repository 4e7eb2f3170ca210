"""Many cases in one go: sweeps as data, runs side by side, what they say together."""

from thermal.batch.run import Batch, run_batch
from thermal.batch.sweep import Sweep, load_sweep

__all__ = ["Batch", "Sweep", "load_sweep", "run_batch"]
