import socket

from control_plane.settings.hosts import LOOPBACK, allowed_hosts


def test_loopback_is_all_by_default() -> None:
    assert allowed_hosts({}) == list(LOOPBACK)


def test_bound_elsewhere_the_machine_answers_to_its_own_names() -> None:
    hosts = allowed_hosts({"NEREID_BIND": "0.0.0.0"})
    assert {socket.gethostname(), "127.0.0.1"} <= set(hosts)
    assert "*" not in hosts


def test_what_is_said_is_all() -> None:
    assert allowed_hosts({"NEREID_ALLOWED_HOSTS": "a.example, b.example"}) == [
        "a.example",
        "b.example",
    ]
