"""Names for the shell's completion, asked of the server; quietly nothing where it is not there."""

from __future__ import annotations

from collections.abc import Callable, Iterable

import httpx

from nereid.cli.session import Session
from nereid.client import Client
from nereid.errors import NereidError
from nereid.retries import NEVER


def endpoint_names(incomplete: str) -> list[str]:
    """The endpoints whose name begins so."""
    return _names(incomplete, lambda client: (e.name for e in client.endpoints()))


def model_names(incomplete: str) -> list[str]:
    """The models whose name begins so."""
    return _names(incomplete, lambda client: (m.name for m in client.models(search=incomplete)))


def pipeline_names(incomplete: str) -> list[str]:
    """The pipelines whose name begins so."""
    return _names(incomplete, lambda client: (p.name for p in client.pipelines(search=incomplete)))


def profile_names(incomplete: str) -> list[str]:
    """The serving profiles whose name begins so."""
    return _names(incomplete, lambda client: (p.name for p in client.profiles(search=incomplete)))


def rollout_names(incomplete: str) -> list[str]:
    """The endpoints that had a rollout lately, and the ids of those, that begin so."""

    def found(client: Client) -> Iterable[str]:
        for rollout in client.rollouts(most=100):
            yield rollout.endpoint
            if incomplete[:1].isalnum():
                yield rollout.id

    return _names(incomplete, found)


def template_names(incomplete: str) -> list[str]:
    """The analysis templates whose name begins so."""
    return _names(incomplete, lambda client: (t.name for t in client.analysis_templates()))


def server_names(incomplete: str) -> list[str]:
    """The servers whose name begins so."""
    return _names(incomplete, lambda client: (s.name for s in client.servers()))


def usernames(incomplete: str) -> list[str]:
    """The people whose name begins so."""
    return _names(incomplete, lambda client: (u.username for u in client.users(search=incomplete)))


def _names(incomplete: str, look: Callable[[Client], Iterable[str]]) -> list[str]:
    session = Session()
    try:
        found = session.credentials()
        # Whoever presses Tab does not wait: one attempt.
        with Client(found.api, found.token, retry=NEVER, transport=session.transport) as client:
            return sorted({name for name in look(client) if name.startswith(incomplete)})
    except (NereidError, httpx.HTTPError, OSError):
        return []
