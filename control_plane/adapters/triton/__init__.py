"""Triton: its control API, its metrics, its configuration text."""
