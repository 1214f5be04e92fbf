"""`/grants/`: roles on single names."""

from __future__ import annotations

from typing import Any
from uuid import UUID

import django_filters
from django.contrib.auth.models import User
from django.db.models import QuerySet
from django_filters.rest_framework import FilterSet
from drf_spectacular.utils import OpenApiExample, extend_schema
from rest_framework import serializers
from rest_framework.filters import SearchFilter
from rest_framework.generics import ListAPIView
from rest_framework.request import Request
from rest_framework.response import Response

from control_plane.access.models import KINDS, ROLES, Grant
from control_plane.access.people import get_grant, get_group
from control_plane.access.rights import GIVE_ROLES, give_grant, take_grant
from control_plane.api.fields import TextField
from control_plane.api.pagination import AllowedOrdering, CreatedPagination
from control_plane.api.registry_filters import DeclaredFilters
from control_plane.api.resource import ResourceView, link, read_body
from control_plane.domain.access import Kind, Role, Target
from control_plane.domain.violations import InvalidInputError, Violation


class GrantSerializer(serializers.ModelSerializer[Grant]):
    """A grant as the API shows it: for a `user` or a `group`, the other is null."""

    user = serializers.CharField(source="user.username", default=None, allow_null=True)
    group = serializers.CharField(source="group.name", default=None, allow_null=True)
    role = serializers.ChoiceField(choices=list(Role))
    kind = serializers.ChoiceField(choices=list(Kind))

    class Meta:
        model = Grant
        fields = ("id", "user", "group", "role", "kind", "name", "created_at", "created_by")


class GrantRequest(serializers.Serializer[Any]):
    """What makes a grant: name a `user` or a `group`."""

    user = TextField(max_length=150, required=False, allow_null=True, default=None)
    group = TextField(max_length=150, required=False, allow_null=True, default=None)
    role = serializers.ChoiceField(choices=list(Role))
    kind = serializers.ChoiceField(choices=list(Kind))
    name = TextField(max_length=63, help_text="the model's or endpoint's; it need not exist yet")


class GrantFilter(FilterSet):
    """Grants by whose they are and what they are about."""

    user = django_filters.CharFilter(field_name="user__username")
    group = django_filters.CharFilter(field_name="group__name")
    role = django_filters.ChoiceFilter(choices=ROLES)
    kind = django_filters.ChoiceFilter(choices=KINDS)
    name = django_filters.CharFilter()

    class Meta:
        model = Grant
        fields = ()


EXAMPLE = OpenApiExample(
    "a team moves the traffic of one endpoint",
    value={"group": "vision", "role": "operator", "kind": "endpoint", "name": "digits"},
    request_only=True,
)


class GrantsView(ResourceView, ListAPIView[Grant]):
    """All grants."""

    read_permission = "access.view_grant"
    write_permission = GIVE_ROLES
    queryset = Grant.objects.select_related("user", "group")
    serializer_class = GrantSerializer
    pagination_class = CreatedPagination
    filter_backends = (DeclaredFilters, SearchFilter, AllowedOrdering)
    filterset_class = GrantFilter
    search_fields = ("name", "user__username", "group__name")
    ordering_fields = ("created_at", "name")

    def get_queryset(self) -> QuerySet[Grant]:
        return Grant.objects.select_related("user", "group")

    @extend_schema(request=GrantRequest, responses={201: GrantSerializer}, examples=[EXAMPLE])
    def post(self, request: Request) -> Response:
        """Gives a person or a group a role on one name."""
        body = read_body(GrantRequest, request)
        user, group = body["user"], body["group"]
        grant = give_grant(
            user=None if user is None else _named("user", user, User.objects.filter(username=user)),
            group=None if group is None else _named("group", group, get_group(group)),
            role=Role(body["role"]),
            target=Target(Kind(body["kind"]), body["name"]),
            actor=self.actor,
        )
        headers = {"Location": link(request, "grant", grant_id=grant.id)}
        return Response(GrantSerializer(grant).data, status=201, headers=headers)


class GrantView(ResourceView):
    """One grant."""

    read_permission = "access.view_grant"
    write_permission = GIVE_ROLES

    @extend_schema(responses=GrantSerializer)
    def get(self, request: Request, grant_id: UUID) -> Response:
        """One grant."""
        return Response(GrantSerializer(get_grant(grant_id)).data)

    @extend_schema(responses={204: None})
    def delete(self, request: Request, grant_id: UUID) -> Response:
        """Takes it away: tokens of those who had it lose it at once too."""
        take_grant(grant=get_grant(grant_id), actor=self.actor)
        return Response(status=204)


def _named(field: str, name: str, found: Any) -> Any:
    """That person or group.

    Raises:
        InvalidInputError: there is none of the name.
    """
    one = found.first() if isinstance(found, QuerySet) else found
    if one is None:
        detail = f"there is no {field} called {name[:80]!r}"
        raise InvalidInputError([Violation(f"/{field}", "unknown", detail)])
    return one
