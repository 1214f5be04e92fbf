"""Rollouts: their records, what people do to them, and the look that takes each a step further."""
