"""A database's address that is none is refused without a word of it."""

from __future__ import annotations

import pytest

from control_plane.telemetry.address import DatabaseUrlError, database_url


def test_an_address_is_read() -> None:
    url = database_url("postgresql://nereid:a%2Fb@db:5432/n?host=/run/pg")
    assert (url.username, url.password, url.host, url.port) == ("nereid", "a/b", "db", 5432)
    assert (url.database, url.query) == ("n", {"host": "/run/pg"})


@pytest.mark.parametrize("address", ["postgresql://nereid:x@db:hidden/n", "hidden-word"])
def test_what_is_none_is_not_quoted(address: str) -> None:
    with pytest.raises(DatabaseUrlError, match="%2F") as refused:
        database_url(address)
    assert "hidden" not in str(refused.value)
    assert refused.value.__suppress_context__
