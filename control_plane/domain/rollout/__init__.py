"""Rollouts: from what serves to something new in steps, and back where it does not hold."""
