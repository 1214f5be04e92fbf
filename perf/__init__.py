"""Benchmarks: each prints its figures, and what they are held against, in one run."""
