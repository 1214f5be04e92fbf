"""`/users/`: people and what they may do."""

from __future__ import annotations

from typing import Any

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

from control_plane.access.people import (
    RightsChange,
    change_rights,
    get_person,
    locked_person,
    shown_people,
)
from control_plane.access.rights import GIVE_ROLES
from control_plane.access.roles import is_role, roles_of
from control_plane.api.conditions import IF_MATCH, EditableView
from control_plane.api.fields import FlagField, TextField
from control_plane.api.pagination import AllowedOrdering, UsernamePagination
from control_plane.api.registry_filters import DeclaredFilters
from control_plane.api.resource import ResourceView, read_body
from control_plane.domain.access import PUBLISH_CODE, Role

ROLES = [(role.value, role.value) for role in Role]


class UserSerializer(serializers.ModelSerializer[User]):
    """A person as the API shows them; `all_rights`: whatever their roles say."""

    name = serializers.CharField(source="get_full_name")
    active = serializers.BooleanField(source="is_active")
    console = serializers.BooleanField(source="is_staff")
    all_rights = serializers.BooleanField(source="is_superuser")
    roles = serializers.SerializerMethodField()
    groups = serializers.SerializerMethodField()
    publish_code = serializers.SerializerMethodField()
    signs_in_at = serializers.SerializerMethodField()

    class Meta:
        model = User
        fields = (
            "username",
            "name",
            "email",
            "active",
            "console",
            "all_rights",
            "roles",
            "groups",
            "publish_code",
            "signs_in_at",
            "date_joined",
            "last_login",
        )

    def get_roles(self, person: User) -> list[Role]:
        return roles_of(person)

    def get_groups(self, person: User) -> list[str]:
        return sorted(group.name for group in person.groups.all() if not is_role(group))

    def get_publish_code(self, person: User) -> bool:
        """Whether it was given to the person by itself."""
        held = person.user_permissions.all()
        return PUBLISH_CODE in {f"{p.content_type.app_label}.{p.codename}" for p in held}

    def get_signs_in_at(self, person: User) -> list[str]:
        """The identity providers that know them, by issuer."""
        return sorted({identity.issuer for identity in person.identities.all()})


class UserPatch(serializers.Serializer[Any]):
    """What can be changed of a person; what is not named stays."""

    roles = serializers.ListField(
        child=serializers.ChoiceField(choices=list(Role)),
        required=False,
        max_length=len(Role),
        help_text="exactly these",
    )
    groups = serializers.ListField(
        child=TextField(max_length=150),
        required=False,
        max_length=100,
        help_text="exactly these, beside the roles",
    )
    publish_code = FlagField(required=False)
    active = FlagField(required=False, help_text="false: sessions and tokens end at once")
    console = FlagField(required=False, help_text="may log in there")


class UserFilter(FilterSet):
    """People by what they are."""

    role = django_filters.ChoiceFilter(field_name="groups__name", choices=ROLES)
    group = django_filters.CharFilter(field_name="groups__name")
    # A boolean filter of the library takes what it cannot read for no filter at all.
    active = django_filters.ChoiceFilter(
        choices=[("true", "true"), ("false", "false")], method="that_are"
    )

    class Meta:
        model = User
        fields = ()

    def that_are(self, rows: QuerySet[User], name: str, value: str) -> QuerySet[User]:
        return rows.filter(is_active=value == "true")


EXAMPLE = OpenApiExample(
    "ships and operates", value={"roles": ["publisher", "operator"]}, request_only=True
)


class UsersView(ResourceView, ListAPIView[User]):
    """Everybody."""

    read_permission = "auth.view_user"
    queryset = shown_people()
    serializer_class = UserSerializer
    pagination_class = UsernamePagination
    filter_backends = (DeclaredFilters, SearchFilter, AllowedOrdering)
    filterset_class = UserFilter
    search_fields = ("username", "first_name", "last_name", "email")
    ordering_fields = ("username", "date_joined")

    def get_queryset(self) -> QuerySet[User]:
        return shown_people()


class UserView(EditableView):
    """One person."""

    read_permission = "auth.view_user"
    write_permission = GIVE_ROLES
    tag_fields = ("username", "active", "console", "roles", "groups", "publish_code")

    def lock(self, **path: Any) -> object:
        return locked_person(path["name"])

    def shown(self, **path: Any) -> dict[str, Any]:
        return _document(path["name"])

    @extend_schema(responses=UserSerializer)
    def get(self, request: Request, name: str) -> Response:
        """One person."""
        return Response(_document(name))

    @extend_schema(
        request=UserPatch, responses=UserSerializer, parameters=[IF_MATCH], examples=[EXAMPLE]
    )
    def patch(self, request: Request, name: str) -> Response:
        """Changes what a person may do.

        Roles that groups of an identity provider give follow these again at the next sign-in.
        """
        values = read_body(UserPatch, request)
        if "roles" in values:
            values["roles"] = [Role(role) for role in values["roles"]]
        change_rights(username=name, change=RightsChange(**values), by=request.user)
        return Response(_document(name))


def _document(username: str) -> dict[str, Any]:
    return dict(UserSerializer(get_person(username, shown_people())).data)
