"""Pipelines: steps that hand tensors on to each other, checked before anything is written."""
