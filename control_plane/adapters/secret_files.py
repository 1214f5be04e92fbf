"""Secrets of the environment, or of files that it names: `NEREID_SECRET_KEY_FILE=/run/secrets/…`.

A process's environment is read by whoever sees `/proc`, and is printed by crash reports; a file is
what Docker and Kubernetes hand secrets over as.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

SECRETS = (
    "NEREID_SECRET_KEY",
    "NEREID_TRITON_CONTROL_KEY",
    "NEREID_TRITON_SHM_KEY",
    "DATABASE_URL",
    "CELERY_BROKER_URL",
)


class SecretFileError(ValueError):
    """A secret's file cannot be used; the words name the variable, never a secret."""


def with_secrets(environment: Mapping[str, str]) -> dict[str, str]:
    """The environment with the secrets that lie in files, and without the names of those files.

    It can be handed on: who gets it finds each secret set in one way.

    Raises:
        SecretFileError: one is set in both ways, or its file cannot be read or is empty.
    """
    found = dict(environment)
    for name in SECRETS:
        path = found.pop(f"{name}_FILE", "")
        if not path:
            continue
        if environment.get(name):
            raise SecretFileError(f"{name} and {name}_FILE are both set: set one")
        try:
            text = Path(path).read_text().strip()
        except (OSError, UnicodeDecodeError) as error:
            raise SecretFileError(f"{name}_FILE={path} cannot be read: {error}") from None
        if not text:
            raise SecretFileError(f"{name}_FILE={path} is empty")
        found[name] = text
    return found
