"""The database's address, read without saying what stands in it: it has a password."""

from __future__ import annotations

import sqlalchemy as sa
from sqlalchemy.exc import ArgumentError

SETTING = "DATABASE_URL"


class DatabaseUrlError(ValueError):
    """What should be the address of a database is none."""


def database_url(address: str) -> sa.URL:
    """An address such as `postgresql://user:password@host:5432/name`, or `…@/name?host=/folder`.

    Raises:
        DatabaseUrlError: it is none; its words have nothing of it.
    """
    try:
        return sa.make_url(address)
    except (ArgumentError, ValueError):
        # What these say quotes a piece of it.
        raise DatabaseUrlError(
            f"{SETTING} is no address of a database: postgresql://user:password@host:5432/name, "
            "where / : @ ? # % in a password are written as %2F %3A %40 %3F %23 %25"
        ) from None
