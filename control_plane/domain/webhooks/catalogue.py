"""The catalogue of events: what they are called, when they come, which deed each one tells.

Types only join; one that is here stays, and so do the fields of its payload (`payload`).
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class EventType:
    """One type. `action` is the audit record's word for the deed, empty where nobody did it."""

    name: str
    words: str
    action: str = ""

    @property
    def subject(self) -> str:
        """What it is about: the part of the name before the dot."""
        return self.name.partition(".")[0]


PING = "webhook.ping"

CATALOGUE = (
    EventType("model.created", "A model was made.", "model.create"),
    EventType("model.updated", "What is said of a model was changed.", "model.update"),
    EventType("model.deleted", "A model was deleted.", "model.delete"),
    EventType("version.created", "A version was pushed; it is checked next.", "version.create"),
    EventType("version.updated", "What is said of a version was changed.", "version.update"),
    EventType("version.ready", "A version was checked and can serve.", "version.ready"),
    EventType("version.rejected", "A version cannot serve; `reason` says why.", "version.rejected"),
    EventType("version.archived", "A version was taken out of use.", "version.archive"),
    EventType(
        "version.unarchived", "A version was brought back; it is checked anew.", "version.unarchive"
    ),
    EventType("version.deleted", "A version was deleted.", "version.delete"),
    EventType("alias.set", "An alias points to another version.", "alias.set"),
    EventType("alias.deleted", "An alias was removed.", "alias.delete"),
    EventType("profile.created", "A serving profile was added.", "profile.create"),
    EventType(
        "profile.updated",
        "A serving profile has a new revision; what serves stays.",
        "profile.update",
    ),
    EventType("profile.deleted", "A serving profile was deleted.", "profile.delete"),
    EventType("pipeline.created", "A pipeline was made.", "pipeline.create"),
    EventType(
        "pipeline.updated", "A pipeline has a new revision; what serves stays.", "pipeline.update"
    ),
    EventType("pipeline.deleted", "A pipeline was deleted.", "pipeline.delete"),
    EventType("endpoint.created", "An endpoint was made.", "endpoint.create"),
    EventType("endpoint.updated", "What is said of an endpoint was changed.", "endpoint.update"),
    EventType(
        "endpoint.policy",
        "An endpoint has another policy, or goes back to one; it is being carried out.",
        "endpoint.policy",
    ),
    EventType(
        "endpoint.kill", "All of an endpoint's requests go to its primary arm.", "endpoint.kill"
    ),
    EventType(
        "endpoint.four_eyes", "The four-eyes rule was switched on or off.", "endpoint.four_eyes"
    ),
    EventType(
        "endpoint.change_requested",
        "A change of an endpoint's traffic waits for a second person.",
        "endpoint.change_request",
    ),
    EventType(
        "endpoint.change_approved",
        "A second person let a change through.",
        "endpoint.change_approve",
    ),
    EventType(
        "endpoint.change_rejected", "A second person refused a change.", "endpoint.change_reject"
    ),
    EventType(
        "endpoint.change_withdrawn", "Its author took a change back.", "endpoint.change_withdraw"
    ),
    EventType(
        "endpoint.change_superseded",
        "Something else took the place of a change that waited.",
        "endpoint.change_supersede",
    ),
    EventType(
        "endpoint.rollout", "A rollout moved an endpoint's traffic a step.", "endpoint.rollout"
    ),
    EventType(
        "endpoint.budget_burning",
        "An endpoint's error budget burns too fast: `reason` says how fast, and how urgent it is.",
    ),
    EventType("endpoint.budget_calm", "An endpoint's error budget burns too fast no more."),
    EventType("endpoint.deleted", "An endpoint is taken off every server.", "endpoint.delete"),
    EventType("rollout.started", "A rollout was started.", "rollout.start"),
    EventType("rollout.approved", "A person let a rollout go on.", "rollout.approve"),
    EventType("rollout.retried", "A rollout that had ended begins anew.", "rollout.retry"),
    EventType("rollout.paused", "A rollout rests, by its steps or by hand."),
    EventType("rollout.awaiting_approval", "A rollout waits for a person to let it go on."),
    EventType(
        "rollout.inconclusive", "A rollout could not be decided, and waits for a person to say."
    ),
    EventType("rollout.promoted", "The candidate answers everything; it may be watched still."),
    EventType("rollout.finished", "A promoted rollout is watched no more."),
    EventType("rollout.rolling_back", "A rollout is being taken back; `reason` says why."),
    EventType("rollout.rolled_back", "A rollout was taken back: what served before serves."),
    EventType("rollout.aborted", "A person ended a rollout, or moved the traffic by hand."),
    EventType("rollout.failed", "A rollout could not be carried out; what served before serves."),
    EventType(
        "analysis_template.created", "An analysis template was added.", "analysis_template.create"
    ),
    EventType(
        "analysis_template.updated",
        "An analysis template has a new revision; runs under way go on by theirs.",
        "analysis_template.update",
    ),
    EventType(
        "analysis_template.deleted", "An analysis template was deleted.", "analysis_template.delete"
    ),
    EventType("perf_run.finished", "A perf run is over: it succeeded, failed, or was cancelled."),
    EventType("revision.healthy", "An endpoint's newest revision serves on every server."),
    EventType("revision.degraded", "A revision serves, but not everywhere or not with everything."),
    EventType(
        "revision.failed", "A change cannot be carried out; what served before goes on serving."
    ),
    EventType("server.registered", "A server joined, or has other addresses.", "server.register"),
    EventType("server.lost", "Nothing was heard of a server for 15 seconds."),
    EventType("server.back", "A server that was lost is heard of again."),
    EventType(
        "server.drifted",
        "Something was changed by hand on a server: `after` says what, and if it is put right.",
        "server.drift",
    ),
    EventType("server.deleted", "A server was removed.", "server.delete"),
    EventType("token.created", "An API token was made.", "token.create"),
    EventType("token.revoked", "An API token was revoked.", "token.revoke"),
    EventType("grant.created", "Somebody was given a role on one name.", "grant.create"),
    EventType("grant.deleted", "A grant was taken away.", "grant.delete"),
    EventType(PING, "Somebody asked for a test; it comes whatever the webhook wants."),
)

BY_NAME = {event.name: event for event in CATALOGUE}

BY_ACTION = {event.action: event for event in CATALOGUE if event.action}
"""The audit record's word -> the event. What is not in it, outsiders are not told."""

TYPES = tuple(event.name for event in CATALOGUE)
