"""Pure rules: dataclasses and functions; no clock, no I/O, no framework."""
