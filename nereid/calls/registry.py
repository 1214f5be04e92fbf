"""Models, versions and aliases."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import httpx

from nereid.calls.asking import ask, at_most, listed, looking, made, part, read
from nereid.errors import ChecksumError, ProblemError, WaitTimeoutError
from nereid.resources import Alias, Model, Version
from nereid.steps import Send, Steps, Work
from nereid.upload import sha256_of

UNDECIDED = frozenset({"uploading", "validating"})


def models(search: str | None = None, **filters: str | None) -> Steps[list[Model]]:
    """All models; `search` in name, description and owner.

    Args:
        filters: `owner`, `tag` (`team` or `team:vision`), `alias`, `state`, `framework`.
    """
    found = yield from listed("/models/", search=search, **filters)
    return [Model.from_json(raw) for raw in found]


def model(name: str) -> Steps[Model]:
    """One model."""
    return Model.from_json((yield from read("GET", f"/models/{part(name)}/")))


def create_model(
    name: str, description: str = "", owner: str = "", tags: Mapping[str, str] | None = None
) -> Steps[Model]:
    """Add a model; without an owner it is the caller's."""
    body: dict[str, Any] = {"name": name, "description": description}
    body |= {"owner": owner} if owner else {}
    body |= {"tags": dict(tags)} if tags else {}
    return Model.from_json((yield from read("POST", "/models/", json=body)))


def ensure_model(name: str, description: str = "") -> Steps[bool]:
    """Create the model unless it exists; True when this call made it."""
    return (yield from made(lambda: model(name), lambda: create_model(name, description)))


def update_model(name: str, **changes: Any) -> Steps[Model]:
    """Change `description`, `owner`, `tags` or `sla`; what is not named stays.

    Tags and service level are merged: a None in them removes an entry.
    """
    return Model.from_json((yield from read("PATCH", f"/models/{part(name)}/", json=changes)))


def delete_model(name: str) -> Steps[None]:
    """Remove a model that has no versions."""
    yield from ask("DELETE", f"/models/{part(name)}/")


def versions(model: str, **filters: str | None) -> Steps[list[Version]]:
    """The versions of a model, newest first.

    Args:
        filters: `state`, `framework`, `profile`, `tag`, `alias`, `created_by`, `search` and
            `metric`, a threshold such as `accuracy>=0.95` or `holdout-2026/accuracy>=0.95`.
    """
    path = f"/models/{part(model)}/versions/"
    return [Version.from_json(raw) for raw in (yield from listed(path, **filters))]


def find_versions(limit: int | None = None, **filters: str | None) -> Steps[list[Version]]:
    """Versions of all models, newest first; all that fit, or the newest `limit`.

    Args:
        filters: those of `versions`, and `model`.
    """
    found = yield from at_most(limit, "/versions/", **filters)
    return [Version.from_json(raw) for raw in found]


def version(model: str, number: int | str) -> Steps[Version]:
    """One version, by its number or an alias: `3`, `"@champion"`."""
    return Version.from_json((yield from read("GET", _version(model, number))))


def update_version(model: str, number: int | str, **changes: Any) -> Steps[Version]:
    """Change `description`, and add `tags`, `metrics` and `provenance`.

    They are merged: a None in tags or metrics removes an entry; of the provenance only what is
    still empty is taken.
    """
    return Version.from_json((yield from read("PATCH", _version(model, number), json=changes)))


def archive_version(model: str, number: int | str, reason: str = "") -> Steps[Version]:
    """Take a version out of use. One that serves, or has an alias, is refused (409)."""
    path = f"{_version(model, number)}archive/"
    return Version.from_json((yield from read("POST", path, json={"reason": reason})))


def unarchive_version(model: str, number: int | str, reason: str = "") -> Steps[Version]:
    """Bring an archived version back: it is validated anew, then ready or rejected."""
    path = f"{_version(model, number)}unarchive/"
    return Version.from_json((yield from read("POST", path, json={"reason": reason})))


def delete_version(model: str, number: int | str) -> Steps[None]:
    """Remove a version that no revision uses and no alias points to."""
    yield from ask("DELETE", _version(model, number))


def aliases(model: str) -> Steps[list[Alias]]:
    """The aliases of a model."""
    path = f"/models/{part(model)}/aliases/"
    return [Alias.from_json(raw) for raw in (yield from listed(path))]


def alias(model: str, alias: str) -> Steps[Alias]:
    """Where an alias points."""
    path = f"/models/{part(model)}/aliases/{part(alias)}/"
    return Alias.from_json((yield from read("GET", path)))


def set_alias(model: str, alias: str, version: int) -> Steps[Alias]:
    """Point an alias to a version, from wherever it pointed before."""
    path = f"/models/{part(model)}/aliases/{part(alias)}/"
    return Alias.from_json((yield from read("PUT", path, json={"version": version})))


def delete_alias(model: str, alias: str) -> Steps[None]:
    """Remove an alias; the version stays."""
    yield from ask("DELETE", f"/models/{part(model)}/aliases/{part(alias)}/")


def download(model: str, number: int, path: str | Path) -> Steps[Path]:
    """Save a version's file; it appears whole, with the digest that the server has, or not at all.

    Raises:
        ChecksumError: what arrived is not what the server has.
    """
    path = Path(path)
    wanted = yield from version(model, number)
    partial = path.with_name(f".{path.name}.part")
    try:
        response: httpx.Response = yield Send(
            "GET", f"{_version(model, number)}download", save_to=partial
        )
        if not response.is_success:
            raise ProblemError.from_response(response)
        digest = yield Work(lambda: sha256_of(partial))
        if digest != wanted.sha256:
            raise ChecksumError(f"{model}:{number} has sha256 {wanted.sha256}, {digest} arrived")
        partial.replace(path)
    finally:
        partial.unlink(missing_ok=True)
    return path


def wait_version_ready(
    model: str,
    number: int,
    *,
    timeout: float = 120.0,
    on_progress: Callable[[Version], None] | None = None,
) -> Steps[Version]:
    """Wait until validation has an outcome. The outcome may be ``rejected``: look at it."""
    seen = yield from looking(
        lambda: version(model, number), lambda v: v.state not in UNDECIDED, timeout, on_progress
    )
    if seen.state in UNDECIDED:
        raise WaitTimeoutError(f"{model}:{number} is still {seen.state} after {timeout:g} s")
    return seen


def _version(model: str, number: int | str) -> str:
    return f"/models/{part(model)}/versions/{part(str(number))}/"
