"""Answers that are kept for callers who ask again: `Idempotency-Key`."""
