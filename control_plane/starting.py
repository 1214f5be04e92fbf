"""How a process of Nereid's begins."""

from __future__ import annotations

import contextlib
import gc
import os
from collections.abc import Iterator

import django


def set_up() -> None:
    """Django with this project's settings, unless the environment names others.

    Raises:
        ImproperlyConfigured: what a setting lacks.
    """
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "control_plane.settings")
    with collector_resting():
        django.setup()


@contextlib.contextmanager
def collector_resting() -> Iterator[None]:
    """For the imports of a process that begins: nothing of them is garbage.

    The collector would go over all of it several times meanwhile, a quarter of the time that it
    takes, and afterwards at each full collection. What is there at the end is left out for good.
    """
    gc.disable()
    try:
        yield
    finally:
        gc.enable()
        gc.freeze()
