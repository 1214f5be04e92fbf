"""Signing in with the identity provider that the settings name, and ending its session too."""

from __future__ import annotations

import logging
from datetime import timedelta
from typing import Any
from urllib.parse import urlencode, urlsplit

from django.conf import settings
from django.contrib import admin
from django.contrib.auth.models import User
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.shortcuts import render
from django.urls import reverse
from django.utils.http import url_has_allowed_host_and_scheme
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_GET

from control_plane import wiring
from control_plane.access.identities import admit
from control_plane.access.logins import has_to_wait, note_refusal, sign_in
from control_plane.access.throttle import address_of, caller_address, throttle
from control_plane.domain.identity import NotAdmittedError, Person, read_person
from control_plane.ports.identity import (
    BEGUN_FOR_S,
    IdentityProvider,
    Proof,
    ProviderAwayError,
    ProviderRefusedError,
    StateMismatchError,
)
from control_plane.settings.oidc import OidcSettings

logger = logging.getLogger(__name__)

SESSION = "signed_in_at_provider"
MAX_HINT = 3000
"""Of an ID token in an address: with a longer one the provider asks which session is meant."""


def offered(request: HttpRequest) -> dict[str, Any]:
    """What the login page offers; `next` goes along to the provider and back."""
    said: OidcSettings | None = settings.NEREID_OIDC
    if said is None:
        return {"passwords": settings.NEREID_PASSWORD_LOGIN, "provider": None}
    query = urlencode({"next": request.GET["next"]}) if request.GET.get("next") else ""
    address = f"{reverse('admin:oidc_begin')}{'?' if query else ''}{query}"
    provider = {"name": said.name, "url": address}
    return {"passwords": settings.NEREID_PASSWORD_LOGIN, "provider": provider}


@never_cache
@require_GET
def begin(request: HttpRequest) -> HttpResponse:
    """Sends the browser to the provider."""
    provider, said = _configured()
    if provider is None or said is None:
        return _refused(request, 404, "Passwords alone", "No identity provider is set up here.")
    if wait := throttle().count("anonymous", address_of(request)):
        return too_many(request, wait)
    try:
        callback = _absolute(request, reverse("admin:oidc_callback"))
        address = provider.begin(request.session, callback, safe_next(request))
    except ProviderAwayError as error:
        return _away(request, said, error)
    if not request.user.is_authenticated:
        # Anybody can begin: what comes to nothing is not kept for the days of a session.
        request.session.set_expiry(BEGUN_FOR_S)
    return HttpResponseRedirect(address)


@never_cache
@require_GET
def callback(request: HttpRequest) -> HttpResponse:
    """Takes up what the browser brings back from the provider."""
    provider, said = _configured()
    if provider is None or said is None:
        return _refused(request, 404, "Passwords alone", "No identity provider is set up here.")
    if wait := has_to_wait(request):
        return too_many(request, wait)
    person: Person | None = None
    try:
        proof = provider.finish(request.session, request.GET.dict())
        person = read_person(proof.claims, said.issuer, said.rules.groups_claim)
        user = admit(person, said.rules)
    except ProviderAwayError as error:
        return _away(request, said, error)
    except StateMismatchError as error:
        # Neither counted nor recorded: any page of the web can have a browser come here, and would
        # shut out everybody behind its address. It proves nothing about anybody either.
        logger.info("%s from %s: %s", said.issuer, caller_address(request), error)
        return _refused(request, *_in_words(said, error))
    except (ProviderRefusedError, NotAdmittedError) as error:
        who = {"subject": person.subject, "name": person.username} if person else None
        note_refusal(request, by=said.issuer, why=str(error), said=who)
        return _refused(request, *_in_words(said, error))
    return _welcome(request, user, said, proof)


def _welcome(request: HttpRequest, user: User, said: OidcSettings, proof: Proof) -> HttpResponse:
    sign_in(request, user, said.issuer)
    # Roles follow the groups at each sign-in: a session that never ends would keep old ones. A
    # moment and no number of seconds, which would begin anew with every write to the session.
    request.session.set_expiry(wiring.clock().now() + timedelta(seconds=said.session_s))
    hint = proof.id_token if len(proof.id_token) <= MAX_HINT else ""
    request.session[SESSION] = {"end_session": proof.end_session, "hint": hint}
    return HttpResponseRedirect(proof.next_page)


def provider_logout(request: HttpRequest, held: Any) -> str:
    """Where the session at the provider is ended; empty where there is no such place.

    Args:
        held: what the console's session said of it (`SESSION`), read before it was ended.
    """
    said: OidcSettings | None = settings.NEREID_OIDC
    address = str(held.get("end_session") or "") if isinstance(held, dict) else ""
    parts = urlsplit(address)
    # The Content-Security-Policy names the issuer's origin alone: nowhere else a browser would go.
    if said is None or f"{parts.scheme}://{parts.netloc}" != said.origin:
        return ""
    query = {
        "client_id": said.client_id,
        "post_logout_redirect_uri": _absolute(request, reverse("admin:login")),
    }
    if held.get("hint"):
        query["id_token_hint"] = held["hint"]
    return f"{address}{'&' if parts.query else '?'}{urlencode(query)}"


def safe_next(request: HttpRequest) -> str:
    """The page that was asked for, where it is one of ours; else the overview."""
    wanted = request.GET.get("next", "")
    ours = url_has_allowed_host_and_scheme(
        wanted, allowed_hosts={request.get_host()}, require_https=request.is_secure()
    )
    return wanted if ours else reverse("admin:index")


def too_many(request: HttpRequest, wait: int) -> HttpResponse:
    """The page for an address that has to wait."""
    context = {**admin.site.each_context(request), "wait": wait}
    page = render(request, "console/too_many.html", context, status=429)
    page["Retry-After"] = str(wait)
    return page


def _configured() -> tuple[IdentityProvider | None, OidcSettings | None]:
    return wiring.identity_provider(), settings.NEREID_OIDC


def _absolute(request: HttpRequest, path: str) -> str:
    return (
        f"{settings.NEREID_PUBLIC_URL}{path}"
        if settings.NEREID_PUBLIC_URL
        else request.build_absolute_uri(path)
    )


def _away(request: HttpRequest, said: OidcSettings, error: Exception) -> HttpResponse:
    logger.warning("%s: %s", said.issuer, error)
    return _refused(
        request,
        503,
        f"{said.name} does not answer",
        f"Signing in needs it, and {error}. Try again in a minute; if it stays so, tell whoever "
        "runs it. Who is signed in already stays so.",
    )


def _in_words(said: OidcSettings, error: Exception) -> tuple[int, str, str]:
    """Status, what went wrong, and what to do."""
    if isinstance(error, StateMismatchError):
        where = f" at {settings.NEREID_PUBLIC_URL}" if settings.NEREID_PUBLIC_URL else ""
        words = (
            "It was begun in another browser or at another address of the console, was finished "
            f"already, or took longer than an hour. Begin it again{where}."
        )
        return 400, "This sign-in was not begun here", words
    if isinstance(error, ProviderRefusedError):
        words = f"It says: {error}. Try again; if it stays so, show this page to whoever runs it."
        return 403, f"{said.name} did not sign you in", words
    words = (
        f"{said.name} knows you, but {error}. Ask an admin of Nereid, or sign in there as somebody "
        "else."
    )
    return 403, "You may not come in", words


def _refused(request: HttpRequest, status: int, what: str, words: str) -> HttpResponse:
    context = {**admin.site.each_context(request), **offered(request), "what": what}
    context |= {"words": words, "request_id": getattr(request, "request_id", "")}
    return render(request, "console/not_signed_in.html", context, status=status)
