"""What an operator says of the edge, from the environment."""

from __future__ import annotations

from collections.abc import Mapping
from ipaddress import ip_address
from pathlib import Path

from control_plane.domain.edge.options import (
    LARGEST_BODY,
    EdgeOptions,
    Jwt,
    Limits,
    Tls,
    Tokens,
)
from control_plane.domain.placement.memory import parse_bytes

HTTP_PORT, GRPC_PORT = 8500, 8501
LONGEST_TOKEN = 4096


class EdgeSettingsError(ValueError):
    """The environment asks for an edge that cannot be; names the variable."""


def edge_options(environment: Mapping[str, str], *, folder: Path, admin: Path) -> EdgeOptions:
    """The edge that the environment asks for; files that it names are looked at.

    Args:
        folder: where its files are written.
        admin: the socket of its administration.

    Raises:
        EdgeSettingsError: a number out of its bounds, a file that is missing, or half of a pair.
    """
    return EdgeOptions(
        host=_host(environment),
        http_port=_number(environment, "NEREID_EDGE_HTTP_PORT", HTTP_PORT, most=65_535),
        grpc_port=_number(environment, "NEREID_EDGE_GRPC_PORT", GRPC_PORT, most=65_535),
        folder=str(folder.absolute()),
        admin=str(admin.absolute()),
        limits=_limits(environment),
        tls=_tls(environment),
        access=_access(environment),
    )


def _host(environment: Mapping[str, str]) -> str:
    text = environment.get("NEREID_EDGE_BIND") or environment.get("NEREID_BIND") or "127.0.0.1"
    try:
        return str(ip_address(text.strip("[]")))
    except ValueError:
        raise EdgeSettingsError(f"NEREID_EDGE_BIND={text}: an IP address, no name") from None


def _limits(environment: Mapping[str, str]) -> Limits:
    usual = Limits()
    per_second = environment.get("NEREID_EDGE_REQUESTS_PER_SECOND")
    return Limits(
        body_bytes=_bytes(environment, "NEREID_EDGE_MAX_BODY", usual.body_bytes),
        at_once=_number(environment, "NEREID_EDGE_REQUESTS_AT_ONCE", usual.at_once),
        connections=_number(environment, "NEREID_EDGE_CONNECTIONS", usual.connections),
        per_second=_number(environment, "NEREID_EDGE_REQUESTS_PER_SECOND", 0)
        if per_second
        else None,
        timeout_s=_number(environment, "NEREID_EDGE_TIMEOUT_S", usual.timeout_s),
    )


def _tls(environment: Mapping[str, str]) -> Tls | None:
    certificate = _file(environment, "NEREID_EDGE_CERTIFICATE")
    key = _file(environment, "NEREID_EDGE_KEY")
    if certificate is None and key is None:
        return None
    if certificate is None or key is None:
        missing = "NEREID_EDGE_KEY" if certificate else "NEREID_EDGE_CERTIFICATE"
        raise EdgeSettingsError(f"TLS needs a certificate and its key: {missing} is not set")
    return Tls(str(certificate), str(key))


def _access(environment: Mapping[str, str]) -> Jwt | Tokens | None:
    keys = _file(environment, "NEREID_EDGE_JWKS")
    listed = _file(environment, "NEREID_EDGE_TOKENS")
    if keys and listed:
        raise EdgeSettingsError("NEREID_EDGE_JWKS and NEREID_EDGE_TOKENS are both set: choose one")
    if listed:
        return _tokens(listed)
    if keys is None:
        return None
    issuer = environment.get("NEREID_EDGE_JWT_ISSUER")
    if not issuer:
        raise EdgeSettingsError("NEREID_EDGE_JWKS needs NEREID_EDGE_JWT_ISSUER: whose tokens count")
    named = environment.get("NEREID_EDGE_JWT_AUDIENCES", "").split(",")
    return Jwt(str(keys), issuer, tuple(one.strip() for one in named if one.strip()))


def _tokens(path: Path) -> Tokens:
    """`NAME TOKEN` a line; empty lines and those that begin with # are none."""
    try:
        lines = path.read_text().splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise EdgeSettingsError(f"NEREID_EDGE_TOKENS={path} cannot be read: {error}") from None
    found: dict[str, str] = {}
    names: set[str] = set()
    for number, line in enumerate(lines, start=1):
        words = line.split()
        if not words or words[0].startswith("#"):
            continue
        # No part of what is wrong is printed: it may be a secret.
        if len(words) != 2 or not 16 <= len(words[1]) <= LONGEST_TOKEN:
            raise EdgeSettingsError(
                f"NEREID_EDGE_TOKENS, line {number}: a name and a token of 16 characters or more"
            )
        if words[0] in names or words[1] in found:
            raise EdgeSettingsError(f"NEREID_EDGE_TOKENS, line {number}: it is there twice")
        names.add(words[0])
        found[words[1]] = words[0]
    if not found:
        raise EdgeSettingsError("NEREID_EDGE_TOKENS: the file lists no token: nobody could call")
    return Tokens(found)


def _file(environment: Mapping[str, str], name: str) -> Path | None:
    if not environment.get(name):
        return None
    path = Path(environment[name]).expanduser().absolute()
    if not path.is_file():
        raise EdgeSettingsError(f"{name}={path}: there is no such file")
    return path


def _number(environment: Mapping[str, str], name: str, usual: int, *, most: int = 1_000_000) -> int:
    text = environment.get(name)
    if not text:
        return usual
    if not text.isdecimal() or not 0 < int(text) <= most:
        raise EdgeSettingsError(f"{name}={text}: a whole number from 1 to {most}")
    return int(text)


def _bytes(environment: Mapping[str, str], name: str, usual: int) -> int:
    text = environment.get(name)
    if not text:
        return usual
    try:
        size = parse_bytes(text)
    except ValueError as error:
        raise EdgeSettingsError(f"{name}={text}: {error}") from None
    if size is None or not 0 < size <= LARGEST_BODY:
        raise EdgeSettingsError(f"{name}={text}: 1 to {LARGEST_BODY} bytes (1GiB)")
    return size
