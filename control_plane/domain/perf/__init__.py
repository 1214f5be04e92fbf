"""Perf runs: what is asked of a server, how it is measured level by level, what came of it."""
