"""A taken port is named, with its variable and its holder, before anything starts."""

import os
import socket

import pytest

from stack.ports import PortError, free_port, require_free


def test_a_taken_port_is_named_with_its_variable_and_holder() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        with pytest.raises(PortError) as refusal:
            require_free("127.0.0.1", {"NEREID_HTTP_PORT": port})
    message = str(refusal.value)
    assert f"port {port} is taken" in message
    assert f"(pid {os.getpid()})" in message
    assert "set NEREID_HTTP_PORT to another one" in message


def test_every_problem_is_listed_at_once() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        free = free_port()
        wanted = {
            "NEREID_HTTP_PORT": port,
            "NEREID_TRITON_HTTP_PORT": free,
            "NEREID_TRITON_GRPC_PORT": free,
        }
        with pytest.raises(PortError) as refusal:
            require_free("127.0.0.1", wanted)
    lines = str(refusal.value).splitlines()
    assert len(lines) == 2
    assert "NEREID_TRITON_GRPC_PORT and NEREID_TRITON_HTTP_PORT are both" in lines[1]


def test_an_address_of_another_machine_is_said_to_be_one() -> None:
    with pytest.raises(PortError, match=r"NEREID_BIND=192\.0\.2\.1 is no address of this machine"):
        require_free("192.0.2.1", {"NEREID_HTTP_PORT": free_port()})


def test_a_port_whose_last_connection_lingers_is_free() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        with socket.create_connection(("127.0.0.1", port)):
            accepted, _ = server.accept()
            accepted.close()  # the server closes first, so its side goes to TIME_WAIT
    require_free("127.0.0.1", {"NEREID_HTTP_PORT": port})
