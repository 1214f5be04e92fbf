"""Which MLflow tracking server versions may be fetched from, and as whom."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import urlsplit

URI = "NEREID_MLFLOW_TRACKING_URI"


class MlflowSettingsError(ValueError):
    """What is set cannot be used; the words name the variable, never a secret."""


@dataclass(frozen=True)
class MlflowAccess:
    """A tracking server, and what is shown to it."""

    uri: str
    token: str = field(default="", repr=False)
    username: str = ""
    password: str = field(default="", repr=False)


def mlflow_access(env: Mapping[str, str]) -> MlflowAccess | None:
    """What the environment says; None where no tracking server is named.

    Secrets stand in `NEREID_MLFLOW_TOKEN` or `…_PASSWORD`, or in the file that the variable with
    `_FILE` behind it names.

    Raises:
        MlflowSettingsError: the address is none, holds a password, or a file cannot be read.
    """
    uri = env.get(URI, "").strip()
    if not uri:
        return None
    try:
        parsed = urlsplit(uri)
        _ = parsed.port
    except ValueError as error:
        raise MlflowSettingsError(f"{URI} is no address: {error}") from error
    if parsed.username or parsed.password:
        raise MlflowSettingsError(
            f"{URI} holds a user or password, and addresses are shown: use "
            "NEREID_MLFLOW_USERNAME and NEREID_MLFLOW_PASSWORD"
        )
    if parsed.scheme not in ("http", "https") or not parsed.hostname:
        raise MlflowSettingsError(f"{URI}={uri}: name a tracking server by http:// or https://")
    if parsed.query or parsed.fragment:
        raise MlflowSettingsError(f"{URI}={uri}: an address without ? and #")
    return MlflowAccess(
        uri.rstrip("/"),
        token=_secret(env, "NEREID_MLFLOW_TOKEN"),
        username=env.get("NEREID_MLFLOW_USERNAME", ""),
        password=_secret(env, "NEREID_MLFLOW_PASSWORD"),
    )


def _secret(env: Mapping[str, str], name: str) -> str:
    path = env.get(f"{name}_FILE", "")
    if env.get(name) or not path:
        return env.get(name, "")
    try:
        return Path(path).read_text().strip()
    except (OSError, UnicodeError) as error:
        raise MlflowSettingsError(f"{name}_FILE={path} cannot be read: {error}") from error
