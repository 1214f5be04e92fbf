"""`/health/`: open to everybody, says nothing secret."""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Any

from django.db import connection
from drf_spectacular.utils import extend_schema
from rest_framework import serializers
from rest_framework.permissions import AllowAny
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from control_plane import wiring
from control_plane.fleet.models import Server
from control_plane.fleet.selectors import server_status

logger = logging.getLogger(__name__)


class HealthSerializer(serializers.Serializer[Any]):
    """`status` is ok or failing, `checks` says what of."""

    status = serializers.CharField()
    checks = serializers.DictField(child=serializers.CharField())


class HealthView(APIView):
    """Whether the control plane can do its work."""

    permission_classes = (AllowAny,)
    authentication_classes = ()
    throttle_classes = ()  # whoever watches us is never told to come back later

    @extend_schema(responses={200: HealthSerializer, 503: HealthSerializer})
    def get(self, request: Request) -> Response:
        """200 when database and broker answer, else 503; servers are told, and do not count."""
        checks = {"database": _check(_database), "broker": _check(_broker)}
        healthy = all(state == "ok" for state in checks.values())
        checks["servers"] = _check(_servers)
        body = {"status": "ok" if healthy else "failing", "checks": checks}
        return Response(body, status=200 if healthy else 503)


def _check(probe: Callable[[], str]) -> str:
    try:
        return probe()
    except Exception as error:  # any failure at all is what this page is there to show
        logger.warning("health: %s", error)
        return "failing"


def _database() -> str:
    with connection.cursor() as cursor:
        cursor.execute("SELECT 1 FROM endpoints_endpoint LIMIT 1")
    return "ok"


def _broker() -> str:
    with wiring.celery_app().connection_for_write() as broker:
        broker.ensure_connection(max_retries=1, interval_start=0.1, timeout=2)
    return "ok"


def _servers() -> str:
    now = wiring.clock().now()
    states = [server_status(server, now)[0] for server in Server.objects.all()]
    ready = states.count("Ready")
    return "ok" if states and ready == len(states) else f"{ready} of {len(states)} ready"
