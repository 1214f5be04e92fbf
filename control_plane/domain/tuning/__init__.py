"""Tuning: which serving configuration of a version does best on a server, measured sparingly."""
