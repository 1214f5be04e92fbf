"""New versions: from a file of this machine, or from where the server can fetch it."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from os import PathLike
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, TypedDict, Unpack

from nereid.calls.asking import part, read
from nereid.calls.registry import delete_model, ensure_model, wait_version_ready
from nereid.calls.uploads import FROM_BYTES, Sending, push_in_parts
from nereid.errors import ChecksumError, NereidError, ProblemError, VersionRejectedError
from nereid.git import commit_of
from nereid.resources import Version
from nereid.steps import BytesMoved, Steps, Upload, Work
from nereid.unfinished import Unfinished
from nereid.upload import framework_of, sha256_of


class Said(TypedDict, total=False):
    """What may be said of a version."""

    framework: str | None
    """Else told from the file's suffix, or by MLflow."""

    profile: str | None
    overrides: Mapping[str, Any]
    """What it says otherwise than its serving profile, in the same words."""

    version: int | None
    """The number to take, else the next."""

    description: str
    tags: Mapping[str, str]
    metrics: Mapping[str, Any] | None
    """Figures; those of a data set lie in an object of its name."""

    provenance: Mapping[str, Any] | None
    """Such as `run_id`, `git_commit`, `training_data_digest`, `trained_at`."""

    signature: Mapping[str, Any] | None
    """What it takes and gives, where the file does not say (all but ONNX and torch.export)."""

    model_config: Mapping[str, Any] | None
    """What Triton's configuration says of the model beside its serving profile."""

    golden: Sequence[Mapping[str, Any]]
    """Inputs with the outputs that every server has to give before it serves."""


@dataclass(frozen=True)
class How:
    """How a version is sent, and what is waited for."""

    git: bool
    create: bool
    model_description: str
    wait: bool
    timeout: float
    on_bytes: BytesMoved | None
    on_progress: Callable[[Version], None] | None
    in_parts_from: int


def push(
    model: str,
    path: str | Path | Any = None,
    *,
    sample: Any = None,
    tolerance: float = 1e-4,
    source: str | None = None,
    git: bool = True,
    create: bool = False,
    model_description: str = "",
    wait: bool = False,
    timeout: float = 600.0,
    on_bytes: BytesMoved | None = None,
    on_progress: Callable[[Version], None] | None = None,
    in_parts_from: int = FROM_BYTES,
    **said: Unpack[Said],
) -> Steps[Version]:
    """Add the next version: a file or a fitted model that is sent, or a `source` to fetch.

    The file's digest goes along for the server to check, and is compared with what it stored. A
    large file is sent in parts: after a crash or a broken line the same call goes on where it was.

    Args:
        path: a file, or an object of scikit-learn, XGBoost or LightGBM: it becomes ONNX.
        sample: with an object: rows as it takes them. The ONNX model has to answer them as it does,
            no further away than `tolerance * max(1, |value|)`.
        source: in place of a file: `s3://bucket/key`, `file:///…`, `models:/digits@champion`.
        git: say as `git_commit` which commit the working directory stands at, where it is one of
            git and the provenance says none. Never of a source, which was made elsewhere.
        create: make the model (with `model_description`) when it does not exist.
        wait: return it when it is ready, within `timeout` seconds; `on_progress` hears every look.
        in_parts_from: bytes from which on a file is sent in parts.
        said: metrics, tags, description, provenance and what else `Said` has.

    Raises:
        ValueError: neither a file, an object nor a source, or two of them.
        ConversionError, DifferentAnswersError: of an object; nothing was sent.
        ProblemError: the server refused it; a model that this made is not kept.
        ChecksumError: the server stored something else.
        VersionRejectedError, WaitTimeoutError: with `wait`, it did not become ready.
    """
    if (path is None) == (source is None):
        raise ValueError("push a file or a fitted model, or name a source: one of the two")
    how = How(git, create, model_description, wait, timeout, on_bytes, on_progress, in_parts_from)
    if path is not None and not isinstance(path, str | PathLike):
        return _push_fitted(model, path, sample, tolerance, how, said)
    if sample is not None:
        raise ValueError("a sample goes with a fitted model, and a file or source was given")
    return _push(model, None if path is None else Path(path), source, how, said)


def _push_fitted(
    model: str, fitted: Any, sample: Any, tolerance: float, how: How, said: Said
) -> Steps[Version]:
    """The object as an ONNX file, with what its comparison brought: examples and provenance."""
    from nereid.conversion import converted

    with TemporaryDirectory(prefix="nereid-") as folder:
        made = yield Work(lambda: converted(fitted, sample, Path(folder), tolerance))
        told: Said = {
            **said,
            "golden": [*(said.get("golden") or ()), *made.golden],
            "provenance": {**made.provenance, **(said.get("provenance") or {})},
        }
        return (yield from _push(model, made.path, None, how, told))


def _push(
    model: str, path: Path | None, source: str | None, how: How, said: Said
) -> Steps[Version]:
    given = {key: value for key, value in said.items() if value}
    if path is None:
        given["source"] = source
    else:
        given = yield from _about(path, given, how.git)
    new = how.create and (yield from ensure_model(model, how.model_description))
    if path is None:
        sending = read("POST", _versions(model), json=given)
    else:
        sending = _sent(model, path, given, how.on_bytes, how.in_parts_from)
    pushed = yield from _uploaded(model, sending, not_kept=new)
    _check_stored(pushed, given.get("sha256"))
    if not how.wait:
        return pushed
    return (yield from _checked(model, pushed.number, how.timeout, how.on_progress))


def _about(path: Path, said: Mapping[str, Any], git: bool) -> Steps[dict[str, Any]]:
    """What was said, and what the file and its surroundings say where nothing was."""
    digest = yield Work(lambda: sha256_of(path))
    given = {"framework": framework_of(path), **said, "sha256": digest}
    if git and not given.get("provenance", {}).get("git_commit"):
        commit = yield Work(commit_of)
        given["provenance"] = {**commit, **given.get("provenance", {})}
    return {key: value for key, value in given.items() if value}


def _check_stored(pushed: Version, digest: object) -> None:
    if digest and pushed.sha256 and pushed.sha256 != digest:
        raise ChecksumError(
            f"the file has sha256 {digest}, but the server stored {pushed.sha256} "
            f"as {pushed.model}:{pushed.number}"
        )


def _checked(
    model: str, number: int, timeout: float, on_progress: Callable[[Version], None] | None
) -> Steps[Version]:
    """The version when it is ready."""
    checked = yield from wait_version_ready(model, number, timeout=timeout, on_progress=on_progress)
    if checked.state != "ready":
        raise VersionRejectedError(f"{model}:{number}", checked.state, checked.state_reason)
    return checked


def _sent(
    model: str,
    path: Path,
    said: Mapping[str, Any],
    on_bytes: BytesMoved | None,
    in_parts_from: int,
) -> Steps[Any]:
    """The new version's document; a large file goes in parts."""
    size, digest = path.stat().st_size, str(said["sha256"])
    if size >= in_parts_from:
        sending = Sending(path, digest, size, Unfinished(model, digest), on_bytes)
        return push_in_parts(model, sending, said)
    upload = Upload(path, {"metadata": json.dumps(said)}, on_bytes)
    return read("POST", _versions(model), upload=upload)


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


def _versions(model: str) -> str:
    return f"/models/{part(model)}/versions/"
