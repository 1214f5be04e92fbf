"""What an operator says of the edge, and how he is told that it cannot be."""

from __future__ import annotations

from pathlib import Path

import pytest

from control_plane.adapters.edge.addresses import Addresses
from control_plane.adapters.edge.environment import EdgeSettingsError, edge_options
from control_plane.adapters.edge.files import write_files
from control_plane.domain.edge.fleet import Address, KnownServer
from control_plane.domain.edge.options import EdgeOptions, Tokens

TOKEN = "a-token-of-some-length"


def options(**environment: str) -> EdgeOptions:
    return edge_options(environment, folder=Path("/edge"), admin=Path("/a"))


def test_without_a_word_it_listens_here_and_asks_nobody_who_he_is() -> None:
    usual = options()
    assert (usual.host, usual.http_port, usual.grpc_port) == ("127.0.0.1", 8500, 8501)
    assert (usual.tls, usual.access, usual.limits.per_second) == (None, None, None)


def test_listed_tokens_have_names(tmp_path: Path) -> None:
    listed = tmp_path / "tokens"
    listed.write_text(f"# who token\n\napp {TOKEN}\n")
    assert options(NEREID_EDGE_TOKENS=str(listed)).access == Tokens({TOKEN: "app"})


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("app short\n", "line 1"),
        (f"app {TOKEN} more\n", "line 1"),
        (f"a {TOKEN}\nb {TOKEN}\n", "twice"),
        ("# nobody\n", "lists no token"),
    ],
)
def test_a_list_that_cannot_be_names_its_line_and_no_token(
    text: str, said: str, tmp_path: Path
) -> None:
    listed = tmp_path / "tokens"
    listed.write_text(text)
    with pytest.raises(EdgeSettingsError, match=said) as refused:
        options(NEREID_EDGE_TOKENS=str(listed))
    assert TOKEN not in str(refused.value)


@pytest.mark.parametrize(
    "environment",
    [
        {"NEREID_EDGE_HTTP_PORT": "70000"},
        {"NEREID_EDGE_BIND": "localhost"},
        {"NEREID_EDGE_MAX_BODY": "2GiB"},
        {"NEREID_EDGE_MAX_BODY": "much"},
        {"NEREID_EDGE_REQUESTS_PER_SECOND": "0"},
        {"NEREID_EDGE_CERTIFICATE": __file__},
        {"NEREID_EDGE_KEY": "/nowhere"},
        {"NEREID_EDGE_JWKS": __file__},
        {"NEREID_EDGE_JWKS": __file__, "NEREID_EDGE_TOKENS": __file__},
    ],
)
def test_what_cannot_be_is_refused_by_its_name(environment: dict[str, str]) -> None:
    with pytest.raises(EdgeSettingsError, match="NEREID_EDGE_"):
        options(**environment)


def test_only_what_says_something_else_is_replaced(tmp_path: Path) -> None:
    folder = tmp_path / "edge"
    assert write_files(folder, {"a": b"1", "b": b"1"}) == ["a", "b"]
    assert write_files(folder, {"a": b"1", "b": b"2"}) == ["b"]
    assert sorted(path.name for path in folder.iterdir()) == ["a", "b"], "no draft is left"


def test_a_list_that_cannot_be_read_is_refused_in_words(tmp_path: Path) -> None:
    listed = tmp_path / "tokens"
    listed.write_bytes(b"app \xff\xfe")
    with pytest.raises(EdgeSettingsError, match=r"NEREID_EDGE_TOKENS=.* cannot be read"):
        options(NEREID_EDGE_TOKENS=str(listed))


def test_a_server_that_cannot_be_looked_up_is_left_out_and_one_that_could_stays(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    found = {"known": "10.0.0.7"}

    asked: list[str] = []

    def look_up(host: str, port: int, **_: object) -> list[tuple[object, ...]]:
        asked.append(host)
        if host not in found:
            raise OSError("no such name")
        return [(0, 0, 0, "", (found[host], port))]

    monkeypatch.setattr("socket.getaddrinfo", look_up)
    addresses = Addresses()
    servers = [
        KnownServer(name, f"{name}:1", f"{name}:2", f"{name}:3") for name in ("known", "unknown")
    ]
    for _ in range(2):
        (only,) = addresses.fleet(servers).servers
        assert (only.name, only.grpc) == ("known", Address("10.0.0.7", 2))
        found.clear()
    assert asked == ["known", "unknown"] * 2, "once a look, whatever it answers"
    assert [record.getMessage() for record in caplog.records] == [
        "unknown gets nothing: unknown cannot be looked up: no such name"
    ]
