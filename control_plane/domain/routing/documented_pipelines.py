"""Pipelines in a policy document that are written as versions are: `digits-png:2`.

Models and pipelines share one namespace, so a name says by itself which it is, and whoever types
one need not. What is stored says it.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from typing import Any

from control_plane.domain.routing.policy import MAX_ARMS


def named_models(document: object) -> set[str]:
    """Every name that an arm gives as its model."""
    return {arm["model"] for arm in _arms(document) if isinstance(arm.get("model"), str)}


def with_pipelines(document: object, pipelines: Collection[str]) -> object:
    """The document with `pipeline` and `revision` where an arm's model is a pipeline."""
    if not pipelines or not isinstance(document, Mapping):
        return document
    return {**document, "arms": [_told_apart(arm, pipelines) for arm in document["arms"]]}


def _told_apart(arm: Any, pipelines: Collection[str]) -> Any:
    if not isinstance(arm, Mapping) or arm.get("model") not in pipelines:
        return arm
    if arm.get("pipeline") is not None or arm.get("revision") is not None:
        return arm  # the reader says what is wrong
    rest = {key: value for key, value in arm.items() if key not in ("model", "version")}
    return {**rest, "pipeline": arm["model"], "revision": arm.get("version")}


def _arms(document: object) -> Iterator[Mapping[str, Any]]:
    arms = document.get("arms") if isinstance(document, Mapping) else None
    if isinstance(arms, list) and len(arms) <= MAX_ARMS:  # else the reader refuses it
        yield from (arm for arm in arms if isinstance(arm, Mapping))
