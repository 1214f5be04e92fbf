"""Models, versions and aliases."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import httpx

from nereid.calls.asking import ask, at_most, listed, looking, made, part, read
from nereid.calls.uploads import FROM_BYTES, Sending, push_in_parts
from nereid.errors import (
    ChecksumError,
    NereidError,
    ProblemError,
    VersionRejectedError,
    WaitTimeoutError,
)
from nereid.resources import Alias, Model, Version
from nereid.steps import BytesMoved, Send, Steps, Upload, Work
from nereid.unfinished import Unfinished
from nereid.upload import framework_of, sha256_of

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


def push(
    model: str,
    path: str | Path,
    *,
    metrics: Mapping[str, Any] | None = None,
    provenance: Mapping[str, Any] | None = None,
    framework: str | None = None,
    profile: str | None = None,
    version: int | None = None,
    create: bool = False,
    description: str = "",
    wait: bool = False,
    timeout: float = 600.0,
    on_bytes: BytesMoved | None = None,
    signature: Mapping[str, Any] | None = None,
    golden: Sequence[Mapping[str, Any]] = (),
    in_parts_from: int = FROM_BYTES,
) -> Steps[Version]:
    """Upload a file as the next version; the server validates it afterwards.

    The digest goes along for the server to check, and is compared with what it stored. A large
    file is sent in parts: after a crash or a broken line the same call goes on where it was.

    Args:
        framework: else told from the file's suffix.
        version: the number to take, else the next.
        signature: what it takes and gives, where the file does not say (TorchScript, Python).
        golden: inputs with the outputs that every server has to give before it serves.
        in_parts_from: bytes from which on a file is sent in parts.
        create: make the model (with `description`) when it does not exist.
        wait: return the version when it is ready, within `timeout` seconds.

    Raises:
        ProblemError: the server refused it; a model that this made is not kept.
        ChecksumError: the server stored something else.
        VersionRejectedError, WaitTimeoutError: with `wait`, it did not become ready.
    """
    path = Path(path)
    digest = yield Work(lambda: sha256_of(path))
    metadata = {
        "sha256": digest,
        "framework": framework or framework_of(path),
        "profile": profile,
        "version": version,
        "metrics": dict(metrics or {}),
        "provenance": dict(provenance or {}),
        "signature": dict(signature or {}),
        "golden": [dict(example) for example in golden],
    }
    said = {key: value for key, value in metadata.items() if value}
    new = create and (yield from ensure_model(model, description))
    sent = _sent(model, path, digest, said, on_bytes, in_parts_from)
    pushed = yield from _uploaded(model, sent, not_kept=new)
    if pushed.sha256 and pushed.sha256 != digest:
        raise ChecksumError(
            f"{path} has sha256 {digest}, but the server stored {pushed.sha256} "
            f"as {model}:{pushed.number}"
        )
    return (yield from _checked(model, pushed.number, timeout)) if wait else pushed


def _checked(model: str, number: int, timeout: float) -> Steps[Version]:
    """The version when it is ready."""
    checked = yield from wait_version_ready(model, number, timeout=timeout)
    if checked.state != "ready":
        raise VersionRejectedError(f"{model}:{number}", checked.state, checked.state_reason)
    return checked


def _sent(
    model: str,
    path: Path,
    digest: str,
    said: Mapping[str, Any],
    on_bytes: BytesMoved | None,
    in_parts_from: int,
) -> Steps[Any]:
    """The new version's document; a large file goes in parts."""
    size = path.stat().st_size
    if size >= in_parts_from:
        sending = Sending(path, digest, size, Unfinished(model, digest), on_bytes)
        return push_in_parts(model, sending, said)
    upload = Upload(path, {"metadata": json.dumps(said)}, on_bytes)
    return read("POST", f"/models/{part(model)}/versions/", upload=upload)


def _uploaded(model: str, sent: Steps[Any], *, not_kept: bool) -> Steps[Version]:
    """The new version; without one, a model that was made for it goes again."""
    try:
        raw = yield from sent
    except ProblemError:
        if not_kept:
            with contextlib.suppress(NereidError):
                yield from delete_model(model)
        raise
    return Version.from_json(raw)


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
