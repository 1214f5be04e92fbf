"""`/endpoints/{name}/feedback/`: what callers say of the answers they got."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

from drf_spectacular.utils import OpenApiParameter, PolymorphicProxySerializer, extend_schema
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response

from control_plane import wiring
from control_plane.api.fields import TextField, WholeNumberField, read_moment
from control_plane.api.resource import ResourceView, link, read_object
from control_plane.domain.access import REPORT_FEEDBACK, Kind
from control_plane.domain.violations import InvalidInputError, Violation
from control_plane.endpoints.feedback import report_feedback
from control_plane.endpoints.selectors import get_endpoint
from control_plane.telemetry.feedback import WAIT, Report

MOST = 1_000
MOST_ANSWERS = 1_000_000
SHOWN = timedelta(days=1)

SINCE = OpenApiParameter(
    "since", datetime, description="Received since then (RFC 3339); a day, unless you say."
)


class FeedbackReport(serializers.Serializer[Any]):
    """What is said of answers: of one request by its id, or of an arm's in numbers."""

    outcome = serializers.RegexField(
        r"\A[a-z0-9]([a-z0-9_-]{0,61}[a-z0-9])?\Z",
        help_text="a word of yours for what can be true of an answer: `correct`, `sold`",
    )
    request_id = TextField(
        required=False,
        max_length=256,
        help_text="the `id` that the request had; its first report of an outcome stands",
    )
    arm = TextField(
        required=False,
        max_length=200,
        help_text="the arm's name, or the physical model that answers carry as `nereid_arm`",
    )
    value = WholeNumberField(
        required=False,
        min_value=0,
        max_value=1,
        help_text="of one answer: 1 it was so, 0 it was not",
    )
    count = WholeNumberField(
        required=False, min_value=0, help_text="of `of` answers, how many it was true of"
    )
    of = WholeNumberField(required=False, min_value=1, max_value=MOST_ANSWERS)

    def validate_request_id(self, text: str) -> str:
        if not text.isprintable():
            raise serializers.ValidationError("it has characters that cannot be printed")
        return text

    def validate(self, attrs: dict[str, Any]) -> dict[str, Any]:
        if "request_id" not in attrs and "arm" not in attrs:
            raise serializers.ValidationError("of which answers? name a request_id or an arm")
        numbers = attrs.keys() & {"count", "of"}
        if ("value" in attrs) == bool(numbers) or len(numbers) == 1:
            raise serializers.ValidationError("say either value, or both count and of")
        if numbers and "request_id" in attrs:
            raise serializers.ValidationError("of one request there is one answer: say its value")
        if numbers and attrs["count"] > attrs["of"]:
            raise serializers.ValidationError(
                {"count": f"{attrs['count']} of {attrs['of']} answers cannot be"}
            )
        return attrs


class FeedbackTaken(serializers.Serializer[Any]):
    """What became of the reports."""

    counted = serializers.IntegerField(help_text="for the arm that they are about")
    waiting = serializers.IntegerField(
        help_text="of requests that no server has named the arm of yet; it is asked for "
        f"{WAIT // timedelta(minutes=1)} minutes"
    )
    repeated = serializers.IntegerField(
        help_text="of a request and outcome that was reported before: nothing was changed"
    )
    status_url = serializers.URLField(help_text="what the endpoint's arms were told in all")


class FeedbackCountSerializer(serializers.Serializer[Any]):
    """An outcome of an arm's answers."""

    arm = serializers.CharField(help_text="the physical model")
    outcome = serializers.CharField()
    count = serializers.IntegerField()
    of = serializers.IntegerField()


class FeedbackShown(serializers.Serializer[Any]):
    """What was said of an endpoint's answers."""

    since = serializers.DateTimeField()
    results = FeedbackCountSerializer(many=True)
    waiting = serializers.IntegerField(help_text="reports that wait for their arm")
    unresolved = serializers.IntegerField(
        help_text="reports of requests that no server knew: they count for no arm"
    )


class FeedbackView(ResourceView):
    """Feedback on an endpoint's answers."""

    kind = Kind.ENDPOINT
    read_permission = "endpoints.view_endpoint"
    write_permission = REPORT_FEEDBACK
    counted_as_write = False  # applications report each answer

    @extend_schema(responses=FeedbackShown, parameters=[SINCE])
    def get(self, request: Request, name: str) -> Response:
        """What was said, by arm and outcome, and how much of it no arm is known of."""
        endpoint = get_endpoint(name)
        now = wiring.clock().now()
        said = request.query_params.get("since")
        since = now - SHOWN if said is None else read_moment(said, "/since")
        summary = wiring.telemetry().feedback_summary(endpoint.name, since, now)
        body = {
            "since": since,
            "results": summary.counts,
            "waiting": summary.waiting,
            "unresolved": summary.unresolved,
        }
        return Response(FeedbackShown(body).data)

    @extend_schema(
        request=PolymorphicProxySerializer(
            component_name="Feedback",
            serializers=[FeedbackReport, FeedbackReport(many=True)],
            resource_type_field_name=None,
            many=False,
        ),
        responses={200: FeedbackTaken, 202: FeedbackTaken},
    )
    def post(self, request: Request, name: str) -> Response:
        """Takes what is said of answers: one report, or a list of up to 1000, all or none.

        202 where some wait for their arm: a server that answered the request names it, usually
        within two seconds.
        """
        reports = [_report(body) for body in _bodies(request.data)]
        written = report_feedback(
            name=name, reports=reports, store=wiring.telemetry(), clock=wiring.clock()
        )
        body = {
            "counted": written.counted,
            "waiting": written.waiting,
            "repeated": written.repeated,
            "status_url": link(request, "feedback", name=name),
        }
        return Response(body, status=202 if written.waiting else 200)


def _bodies(data: object) -> list[dict[str, Any]]:
    if not isinstance(data, list):
        return [read_object(FeedbackReport, data)]
    if not 1 <= len(data) <= MOST:
        detail = f"a list of 1 to {MOST} reports, not of {len(data)}"
        raise InvalidInputError([Violation("", "length", detail)])
    return [read_object(FeedbackReport, each, f"/{i}") for i, each in enumerate(data)]


def _report(body: dict[str, Any]) -> Report:
    return Report(
        outcome=body["outcome"],
        of=body.get("of", 1),
        count=body.get("count", body.get("value", 0)),
        arm=body.get("arm") or None,
        request_id=body.get("request_id") or None,
    )
