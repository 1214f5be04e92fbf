"""Recordings of what callers sent."""

from __future__ import annotations

import uuid

from django.db import models

from control_plane.domain.access import AccessPath, Kind
from control_plane.domain.perf.recording import GOING_ON, RecordingRequest, RecordingState
from control_plane.fleet.models import Server

STATES = [(state.value, state.value) for state in RecordingState]


class Recording(models.Model):
    """Requests of an endpoint, as one server's router saw them, for perf runs to send again.

    `key` names it between node and router. What was recorded is a file under `digest` in a store of
    its own; `facts` are what may be shown of it (`domain.perf.recording.facts_of`).
    """

    access_path = AccessPath(Kind.ENDPOINT, "endpoint")

    id = models.BigAutoField(primary_key=True)
    key = models.UUIDField(default=uuid.uuid4, unique=True, editable=False)
    name = models.CharField(max_length=63, unique=True)
    endpoint = models.CharField(max_length=63)
    server = models.ForeignKey(
        Server, null=True, on_delete=models.SET_NULL, related_name="recordings"
    )
    server_name = models.CharField("server", max_length=63)
    most_requests = models.PositiveIntegerField()
    most_bytes = models.PositiveIntegerField()
    length_us = models.BigIntegerField(help_text="how long it goes on at most, in microseconds")
    parts = models.PositiveIntegerField(help_text="of 10,000 requests")
    batched = models.BooleanField(default=False, help_text="the endpoint takes batches")

    state = models.CharField(max_length=16, choices=STATES, default=RecordingState.QUEUED)
    reason = models.TextField(blank=True, default="waiting for its node")
    requests = models.PositiveIntegerField(default=0, help_text="recorded so far")
    size = models.PositiveIntegerField(default=0, help_text="bytes recorded so far")
    digest = models.CharField(max_length=64, blank=True, help_text="sha256 of its file")
    facts = models.JSONField(default=dict, blank=True)
    asked_by = models.CharField(max_length=150)
    stopped_by = models.CharField(max_length=150, blank=True)
    created_at = models.DateTimeField("asked", auto_now_add=True)
    started_at = models.DateTimeField(null=True, blank=True)
    ends_at = models.DateTimeField(null=True, blank=True)
    finished_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        ordering = ("-id",)
        constraints = (
            models.UniqueConstraint(
                fields=["endpoint"],
                condition=models.Q(state__in=[state.value for state in GOING_ON]),
                name="recording_one_at_a_time",
            ),
            models.CheckConstraint(
                condition=models.Q(state__in=[state.value for state in RecordingState]),
                name="recording_state_known",
            ),
            models.CheckConstraint(
                condition=models.Q(state=RecordingState.READY) & ~models.Q(digest="")
                | ~models.Q(state=RecordingState.READY) & models.Q(digest=""),
                name="recording_ready_has_its_file",
            ),
        )

    def __str__(self) -> str:
        return self.name

    @property
    def over(self) -> bool:
        return self.state not in GOING_ON

    @property
    def asked(self) -> RecordingRequest:
        """What was asked for, as a value."""
        return RecordingRequest(
            name=self.name,
            server=self.server_name,
            requests=self.most_requests,
            bytes=self.most_bytes,
            length=self.length_us,
            parts=self.parts,
        )
