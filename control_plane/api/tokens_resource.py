"""`/tokens/`."""

from __future__ import annotations

from datetime import timedelta
from typing import Any
from uuid import UUID

from django.core.exceptions import PermissionDenied
from django.db.models import Q, QuerySet
from drf_spectacular.utils import OpenApiExample, OpenApiParameter, extend_schema
from rest_framework import serializers
from rest_framework.generics import ListAPIView
from rest_framework.request import Request
from rest_framework.response import Response

from control_plane import wiring
from control_plane.access.models import ApiToken
from control_plane.access.services import issue_token, revoke_token
from control_plane.access.tokens import get_token, may_revoke, tokens_of
from control_plane.api.fields import MomentField, TextField
from control_plane.api.pagination import CreatedPagination
from control_plane.api.permissions import TokenPermission
from control_plane.api.resource import ResourceView, link, read_body
from control_plane.domain.access import Role, Scope
from control_plane.domain.violations import InvalidInputError, NotFoundError, Violation

LIFETIME = timedelta(days=90)
STATES = ("live", "expired", "revoked")
STATE = OpenApiParameter("state", enum=STATES, description="Only tokens in this state.")


class TokenSerializer(serializers.ModelSerializer[ApiToken]):
    """A token as the API shows it, never in clear; `names` null: on every name."""

    user = serializers.CharField(source="user.username")
    role = serializers.ChoiceField(choices=list(Role))
    names = serializers.SerializerMethodField()
    state = serializers.SerializerMethodField()

    class Meta:
        model = ApiToken
        fields = (
            "id",
            "name",
            "user",
            "role",
            "names",
            "state",
            "created_at",
            "expires_at",
            "revoked_at",
            "last_used_at",
        )

    def get_names(self, token: ApiToken) -> list[str] | None:
        return token.names or None

    def get_state(self, token: ApiToken) -> str:
        return token.state(wiring.clock().now())


class NewTokenSerializer(TokenSerializer):
    """A token just made: the only answer that has it in clear."""

    token = serializers.CharField(help_text="shown this once")

    class Meta(TokenSerializer.Meta):
        fields = (*TokenSerializer.Meta.fields, "token")  # type: ignore[assignment]


class TokenRequest(serializers.Serializer[Any]):
    """What makes a token."""

    name = TextField(max_length=100, help_text="what will use it")
    role = serializers.ChoiceField(
        choices=list(Role), help_text="caps what its user may do; admin: no cap"
    )
    names = serializers.ListField(
        child=TextField(max_length=63),
        required=False,
        allow_null=True,
        allow_empty=False,
        default=None,
        max_length=100,
        help_text="only these models and endpoints; null: all",
    )
    expires_at = MomentField(
        required=False, allow_null=True, help_text="in 90 days, unless it is said; null: never"
    )


EXAMPLE = OpenApiExample(
    "a training job",
    value={"name": "nightly training", "role": "publisher", "names": ["digits"]},
    request_only=True,
)


class TokensView(ResourceView, ListAPIView[ApiToken]):
    """API tokens: one's own, for an admin all."""

    queryset = ApiToken.objects.none()
    serializer_class = TokenSerializer
    pagination_class = CreatedPagination
    permission_classes = (TokenPermission,)
    ordering_fields = ("created_at", "name")
    search_fields = ("name", "user__username")

    @extend_schema(parameters=[STATE])
    def get(self, request: Request) -> Response:
        """The tokens, newest first."""
        return self.list(request)

    def get_queryset(self) -> QuerySet[ApiToken]:
        if getattr(self, "swagger_fake_view", False):
            return ApiToken.objects.none()
        return _in_state(tokens_of(self.request.user), self.request.query_params.get("state"))

    @extend_schema(request=TokenRequest, responses={201: NewTokenSerializer}, examples=[EXAMPLE])
    def post(self, request: Request) -> Response:
        """Makes a token of the caller; the answer alone has it in clear."""
        body = read_body(TokenRequest, request)
        now = wiring.clock().now()
        token, clear = issue_token(
            user=request.user,
            name=body["name"],
            actor=self.actor,
            now=now,
            expires_at=body.get("expires_at", now + LIFETIME),
            scope=Scope(Role(body["role"]), frozenset(body["names"] or ())),
        )
        document = {**TokenSerializer(token).data, "token": clear}
        headers = {
            "Location": link(request, "token", token_id=token.id),
            "Cache-Control": "no-store",
        }
        return Response(document, status=201, headers=headers)


class CurrentTokenView(ResourceView):
    """The token that the request came with."""

    permission_classes = (TokenPermission,)

    @extend_schema(responses=TokenSerializer)
    def get(self, request: Request) -> Response:
        """What the token that is used here is for, and until when."""
        if not isinstance(request.auth, ApiToken):
            raise NotFoundError("this request came without a token")
        return Response(TokenSerializer(request.auth).data)


class TokenView(ResourceView):
    """One token."""

    permission_classes = (TokenPermission,)

    @extend_schema(responses=TokenSerializer)
    def get(self, request: Request, token_id: UUID) -> Response:
        """One token."""
        return Response(TokenSerializer(get_token(request.user, token_id)).data)

    @extend_schema(responses={204: None})
    def delete(self, request: Request, token_id: UUID) -> Response:
        """Revokes it: whatever uses it is refused from now on. It stays in the list, revoked."""
        token = get_token(request.user, token_id)
        if not may_revoke(request.user, token):
            raise PermissionDenied("only its owner or an admin revokes a token")
        revoke_token(token=token, actor=self.actor, now=wiring.clock().now())
        return Response(status=204)


def _in_state(rows: QuerySet[ApiToken], state: str | None) -> QuerySet[ApiToken]:
    if state is None:
        return rows
    if state not in STATES:
        detail = f"{state[:80]!r}: a token is {', '.join(STATES)}"
        raise InvalidInputError([Violation("/state", "invalid", detail)])
    if state == "revoked":
        return rows.exclude(revoked_at=None)
    now = wiring.clock().now()
    live = Q(expires_at=None) | Q(expires_at__gt=now)
    return rows.filter(live if state == "live" else ~live, revoked_at=None)
