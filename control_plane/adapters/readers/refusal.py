"""How a reader says no."""

from __future__ import annotations


class RefusedError(Exception):
    """Why the file is not taken, in words for who sent it."""
