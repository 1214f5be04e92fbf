#!/usr/bin/env python
"""Django's command line."""

import contextlib
import sys

from django.core.exceptions import ImproperlyConfigured
from django.core.management import execute_from_command_line

from control_plane.starting import set_up

if __name__ == "__main__":
    # What is missing the command itself says, and `help` needs nothing.
    with contextlib.suppress(ImproperlyConfigured):
        set_up()
    execute_from_command_line(sys.argv)
