"""The pages that ask before a server is cordoned, drained, or opened again."""

from __future__ import annotations

from django.http import HttpRequest, HttpResponse

from control_plane import wiring
from control_plane.console.confirming import Question, ask
from control_plane.console.record_admin import RecordAdmin
from control_plane.endpoints.placements import drain_would
from control_plane.endpoints.selectors import holding
from control_plane.fleet.cordoning import cordon_server, drain_server, uncordon_server
from control_plane.fleet.models import Server

SHOWN = 10
"""Endpoints that a drain is foreseen for; of more the number is said."""


def cordon_page(pages: RecordAdmin, request: HttpRequest, server: Server) -> HttpResponse:
    """Nothing new."""
    holds = server.placements.count()
    stays = f"The {holds} endpoints" if holds != 1 else "The endpoint"
    question = Question(
        title="Cordon",
        heading=f"Cordon {server.name}?",
        consequences=[
            "Nothing new is placed there until it is uncordoned.",
            f"{stays} that it holds stay{'s' if holds == 1 else ''} and serve on."
            if holds
            else "It holds nothing.",
            *(["The drain ends: what has not left yet stays."] if server.draining else []),
        ],
        confirm="Cordon",
        harmless=True,
        obstacle=_already("cordoned") if server.cordoned_at and not server.draining else "",
    )

    def act() -> str:
        cordon_server(name=server.name, actor=_actor(request), now=wiring.clock().now())
        return f"{server.name} is cordoned."

    return ask(pages, request, server, question, act)


def uncordon_page(pages: RecordAdmin, request: HttpRequest, server: Server) -> HttpResponse:
    """Open again."""
    question = Question(
        title="Uncordon",
        heading=f"Uncordon {server.name}?",
        consequences=[
            "Endpoints may be placed there again.",
            "What is meant to be on every server comes back; replicas that moved stay where they "
            "are.",
            *(["The drain ends: what has not left yet stays."] if server.draining else []),
        ],
        confirm="Uncordon",
        harmless=True,
        obstacle="" if server.cordoned_at else _already("open"),
    )

    def act() -> str:
        uncordon_server(name=server.name, actor=_actor(request), now=wiring.clock().now())
        return f"{server.name} is open again."

    return ask(pages, request, server, question, act)


def drain_page(pages: RecordAdmin, request: HttpRequest, server: Server) -> HttpResponse:
    """Empty it: what would become of each endpoint is said before."""
    question = Question(
        title="Drain",
        heading=f"Drain {server.name}?",
        consequences=[
            "Nothing new is placed there, and what it holds moves to other servers.",
            *_becomes(server),
            "Nothing leaves before it serves elsewhere. Uncordon is the way back.",
        ],
        confirm="Drain",
        obstacle=_already("being drained") if server.draining else "",
    )

    def act() -> str:
        drain_server(name=server.name, actor=_actor(request), now=wiring.clock().now())
        return f"{server.name} is being drained. What is left on it stands here."

    return ask(pages, request, server, question, act)


def _becomes(server: Server) -> list[str]:
    """What becomes of each endpoint that it holds."""
    found = drain_would(server, wiring.clock().now(), SHOWN)
    said = [f"{endpoint.name} {what}." for endpoint, what in found]
    more = holding(server.placements.all()).count() - len(found)
    if more > 0:
        said.append(f"And {more} endpoints more.")
    return said or ["It holds nothing."]


def _already(how: str) -> str:
    return f"It is {how} already."


def _actor(request: HttpRequest) -> str:
    return str(request.user.get_username())
