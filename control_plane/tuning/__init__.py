"""Perf runs: how good a model is under load, measured before it meets traffic."""
