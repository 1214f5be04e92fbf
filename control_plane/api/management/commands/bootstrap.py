"""`manage.py bootstrap`: what a new stack needs before anybody can use it."""

from __future__ import annotations

import json
import secrets
from typing import Any

from django.contrib.auth import get_user_model
from django.core.management.base import BaseCommand, CommandParser
from django.db import transaction
from django.utils import timezone

from control_plane import wiring
from control_plane.access.models import ApiToken
from control_plane.access.services import issue_token, revoke_token
from control_plane.fleet.joining import register_own_server

LOCAL_TOKEN = "local stack"  # noqa: S105 - the token's label, not the token


class Command(BaseCommand):
    """Admin user, a fresh local token, this machine's server, today's partitions."""

    help = (
        "Makes the admin user (once), revokes the last local token and makes a new one, and "
        "registers the server beside this control plane. Prints one line of JSON."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument(
            "--no-server",
            action="store_true",
            help="there is none beside it: the servers of a fleet register themselves",
        )

    def handle(self, *args: Any, **options: Any) -> None:
        wiring.telemetry().keep_partitions(timezone.now().date())
        with transaction.atomic():
            user, password = _admin()
            for last in ApiToken.objects.filter(name=LOCAL_TOKEN, revoked_at=None):
                revoke_token(token=last, actor="bootstrap", now=timezone.now())
            _, token = issue_token(
                user=user, name=LOCAL_TOKEN, actor="bootstrap", now=timezone.now()
            )
        server = None if options["no_server"] else register_own_server(actor="bootstrap")
        line = {
            "username": user.get_username(),
            "password": password,
            "token": token,
            "server": server.name if server else None,
        }
        self.stdout.write(json.dumps(line))


def _admin() -> tuple[Any, str | None]:
    """The admin user, and the password where it was made just now."""
    users = get_user_model().objects
    user = users.filter(username="admin").first()
    if user is not None:
        return user, None
    password = secrets.token_urlsafe(12)
    return users.create_superuser(username="admin", password=password), password
