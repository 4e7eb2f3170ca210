"""Names of what a run folder holds."""

STATUS, RESOLVED, PROVENANCE, SUMMARY = "status", "resolved.json", "provenance.json", "summary.json"
HISTORY, FIELDS, LOG, CASE_FILE, FRAMES = "history.csv", "fields.h5", "log.txt", "case.toml", "frames"
DELIVERY, PILOT = "delivery.csv", "pilot.json"
"""What was delivered when; what a pilot did and learned. Only some runs have them."""
COMPANION = "companion"
"""Run folder within a run folder: the run on another grid that an error estimate compares with."""
