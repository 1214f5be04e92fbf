"""Addresses of processes: how they are written, and which an operator allows."""

from __future__ import annotations

import pytest

from control_plane.domain.registry.remote import (
    LOOPBACK,
    AllowedRemotes,
    RemoteModel,
    read_remote,
    same_service,
)
from control_plane.domain.violations import InvalidInputError


@pytest.mark.parametrize(
    ("source", "address"),
    [
        ("grpc://127.0.0.1:8001/double", "127.0.0.1:8001"),
        ("grpc://Notebooks.Internal:8001/double", "notebooks.internal:8001"),
        ("grpc://[::1]:8001/double", "[::1]:8001"),
    ],
)
def test_an_address_is_host_port_and_model(source: str, address: str) -> None:
    found = read_remote(source)
    assert (found.address, found.model) == (address, "double")
    assert read_remote(str(found)) == found


@pytest.mark.parametrize(
    "source",
    [
        "grpc://127.0.0.1/double",
        "grpc://127.0.0.1:0x1f/double",
        "grpc://127.0.0.1:99999/double",
        "grpc://127.0.0.1:8001/",
        "grpc://127.0.0.1:8001/a/b",
        "grpc://127.0.0.1:8001/../x",
        "grpc://127.0.0.1:8001/double?x=1",
        "grpc://somebody@127.0.0.1:8001/double",
        "grpc://[::1:8001/double",
        "grpc://a b:8001/double",
        "grpc://-a:8001/double",
        "http://127.0.0.1:8001/double",
        "grpc:unix:/run/docker.sock",
    ],
)
def test_what_is_none_is_refused(source: str) -> None:
    with pytest.raises(InvalidInputError, match="names no process"):
        read_remote(source)


@pytest.mark.parametrize(
    ("allow", "host", "port", "allowed"),
    [
        (LOOPBACK, "127.0.0.1", 8001, True),
        (LOOPBACK, "localhost", 1, True),
        (LOOPBACK, "::1", 8001, True),
        (LOOPBACK, "0:0:0:0:0:0:0:1", 8001, True),
        (LOOPBACK, "169.254.169.254", 80, False),
        (LOOPBACK, "127.0.0.1.nip.io", 8001, False),
        ("notebooks.internal:8001", "notebooks.internal", 8001, True),
        ("notebooks.internal:8001", "notebooks.internal", 8002, False),
        ("notebooks.internal:8001", "x.notebooks.internal", 8001, False),
        ("", "127.0.0.1", 8001, False),
    ],
)
def test_only_what_is_on_the_list_may_be_named(
    allow: str, host: str, port: int, allowed: bool
) -> None:
    remote = RemoteModel(host, port, "double")
    if allowed:
        AllowedRemotes.of(allow).check(remote)
        return
    with pytest.raises(InvalidInputError, match="NEREID_REMOTE_ALLOW"):
        AllowedRemotes.of(allow).check(remote)


@pytest.mark.parametrize("text", ["127.0.0.1", "a:b", "*:8001", "a:0", "10.0.0.0/8:1"])
def test_a_list_that_cannot_be_read_is_no_list(text: str) -> None:
    with pytest.raises(ValueError, match="NEREID_REMOTE_ALLOW"):
        AllowedRemotes.of(text)


@pytest.mark.parametrize(
    ("address", "same"),
    [
        ("localhost:8001", True),
        ("[::1]:8001", True),
        ("127.0.0.1:8002", False),
        ("triton:8001", False),
    ],
)
def test_a_server_is_known_by_any_name_of_this_machine(address: str, same: bool) -> None:
    assert same_service(RemoteModel("127.0.0.1", 8001, "double"), address) is same
