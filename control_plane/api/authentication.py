"""Bearer tokens for DRF."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from django.utils import timezone
from drf_spectacular.extensions import OpenApiAuthenticationExtension
from rest_framework.authentication import BaseAuthentication, get_authorization_header
from rest_framework.exceptions import AuthenticationFailed, Throttled
from rest_framework.request import Request

from control_plane.access.denials import note_refused_token
from control_plane.access.models import ApiToken, Bearer, token_digest
from control_plane.access.throttle import address_of, throttle

_USE_NOTED_EVERY = timedelta(minutes=1)


class TokenAuthentication(BaseAuthentication):
    """`Authorization: Bearer nrd_…`; the request's user is the token's `Bearer`."""

    def authenticate(self, request: Request) -> tuple[Any, ApiToken] | None:
        words = get_authorization_header(request).split()
        if not words or words[0].lower() != b"bearer":
            return None
        if len(words) != 2:
            raise AuthenticationFailed("the header is: Authorization: Bearer <token>")
        now = timezone.now()
        digest = token_digest(words[1].decode("latin-1"))
        token = ApiToken.objects.select_related("user").filter(digest=digest).first()
        if token is None or token.state(now) != "live" or not token.user.is_active:
            note_refused_token(request._request, token)
            # What guesses is slowed down; a token that is good is never kept waiting for it.
            if wait := throttle().count("guesses", address_of(request._request)):
                raise Throttled(wait, detail="too many tokens from your address were not valid")
            raise AuthenticationFailed("this token is not known, has expired or was revoked")
        # Once a minute is enough to see what is in use, and spares a write per request.
        if token.last_used_at is None or now - token.last_used_at > _USE_NOTED_EVERY:
            ApiToken.objects.filter(id=token.id).update(last_used_at=now)
        return Bearer.of(token), token

    def authenticate_header(self, request: Request) -> str:
        return 'Bearer realm="nereid"'


class TokenScheme(OpenApiAuthenticationExtension):
    """How the OpenAPI document describes the tokens."""

    target_class = TokenAuthentication
    name = "token"

    def get_security_definition(self, auto_schema: Any) -> dict[str, str]:
        return {"type": "http", "scheme": "bearer"}
