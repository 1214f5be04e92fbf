"""Envoy: the program, what an operator says of it, and the files that it reads."""
