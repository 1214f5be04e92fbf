"""Which Prometheus the metrics of analyses may ask, and as whom."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import urlsplit

URL = "NEREID_PROMETHEUS_URL"
TOKEN = "NEREID_PROMETHEUS_TOKEN"  # noqa: S105 - the variable's name


class PrometheusSettingsError(ValueError):
    """What is set cannot be used; the words name the variable, never a secret."""


@dataclass(frozen=True)
class PrometheusAccess:
    """A server, and what is shown to it."""

    url: str
    token: str = field(default="", repr=False)


def prometheus_access(env: Mapping[str, str]) -> PrometheusAccess | None:
    """What the environment says; None where no Prometheus is named.

    Raises:
        PrometheusSettingsError: the address is none, holds a password, or the token's file cannot
            be read.
    """
    url = env.get(URL, "").strip()
    if not url:
        return None
    try:
        parts = urlsplit(url)
        _ = parts.port
    except ValueError as error:
        raise PrometheusSettingsError(f"{URL} is no address: {error}") from error
    if parts.username or parts.password:
        detail = f"holds a user or password, and addresses are shown: use {TOKEN}"
        raise PrometheusSettingsError(f"{URL} {detail}")
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise PrometheusSettingsError(f"{URL}={url}: name a server by http:// or https://")
    if parts.query or parts.fragment:
        raise PrometheusSettingsError(f"{URL}={url}: an address without ? and #")
    return PrometheusAccess(url.rstrip("/"), _token(env))


def _token(env: Mapping[str, str]) -> str:
    path = env.get(f"{TOKEN}_FILE", "")
    if env.get(TOKEN) or not path:
        return env.get(TOKEN, "")
    try:
        return Path(path).read_text().strip()
    except (OSError, UnicodeError) as error:
        raise PrometheusSettingsError(f"{TOKEN}_FILE={path} cannot be read: {error}") from error
