"""Perf runs and tunes: how good a model is under load, and how it is best served."""
