"""Celery: each task is one call into the control plane."""
