"""NVIDIA's perf_analyzer: where it comes from, and how it is run."""
