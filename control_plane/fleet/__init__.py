"""Servers: each a Triton with a node beside it."""
