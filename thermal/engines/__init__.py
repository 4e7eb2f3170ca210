"""Engines: discretised space behind the contract of :mod:`thermal.engine`."""
