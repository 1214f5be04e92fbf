"""Which version of Nereid the control plane is."""

from __future__ import annotations

from importlib import metadata

try:
    VERSION = metadata.version("nereid")
except metadata.PackageNotFoundError:  # run from a checkout that is not installed
    VERSION = "0.1.0"
