"""The embedded stack: real servers from PyPI wheels, started and watched by one supervisor."""
