"""What a new control plane is given, with a server beside it and without one."""

from __future__ import annotations

import json
from io import StringIO

import pytest
from django.core.management import call_command

from control_plane.fleet.models import Server


@pytest.mark.django_db
@pytest.mark.parametrize(("flags", "servers"), [((), ["local"]), (("--no-server",), [])])
def test_a_server_is_registered_where_there_is_one(
    flags: tuple[str, ...], servers: list[str], telemetry: object
) -> None:
    """Of a fleet each registers itself: one that is nobody would count as not reachable."""
    out = StringIO()
    call_command("bootstrap", *flags, stdout=out)
    said = json.loads(out.getvalue())
    assert said["token"]
    assert said["server"] == (servers[0] if servers else None)
    assert list(Server.objects.values_list("name", flat=True)) == servers
