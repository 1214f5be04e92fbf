"""Rollouts: from what an endpoint serves to something new, step by step."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from nereid.calls.asking import at_most, listed, looking, part, read
from nereid.errors import WaitTimeoutError
from nereid.rollouts import Rollout, RolloutEvent
from nereid.steps import Steps


def rollouts(
    endpoint: str | None = None,
    *,
    state: str | None = None,
    active: bool | None = None,
    most: int | None = None,
) -> Steps[list[Rollout]]:
    """Rollouts, newest first; `active` ones are under way, or promoted and watched."""
    said = None if active is None else str(active).lower()
    raw = yield from at_most(most, "/rollouts/", endpoint=endpoint, state=state, active=said)
    return [Rollout.from_json(one) for one in raw]


def rollout(rollout_id: str) -> Steps[Rollout]:
    """One rollout: where it stands and why, its evidence, and what may be done to it now."""
    return Rollout.from_json((yield from read("GET", _path(rollout_id))))


def start_rollout(
    endpoint: str,
    to: Mapping[str, Any],
    *,
    strategy: str = "canary",
    steps: Sequence[Mapping[str, Any]] | None = None,
    shadow: Mapping[str, Any] | None = None,
    analysis: Sequence[str] | None = None,
    harm_budget: int | None = None,
    watch: str | None = None,
    dry_run: bool = False,
    supersede: bool = False,
    reason: str | None = None,
) -> Steps[Rollout]:
    """Start a rollout, as ``start_rollout("digits", {"model": "digits", "version": 2})``.

    It begins at once; `wait_rollout` sees how it ends. Where the endpoint has the four-eyes rule
    it waits as ``awaitingApproval`` for a second person.

    Args:
        to: a model and version (or an alias, ``@champion``), or a pipeline and revision.
        strategy: ``canary``, ``blueGreen``, ``progressive`` or ``shadowFirst``.
        steps: of the canary, or after the copies of ``shadowFirst``, such as
            ``{"setWeight": 5}``, ``{"analysis": {}}`` and ``{"pause": {"duration": "60s"}}``; by
            default those that come with Nereid.
        shadow: of ``shadowFirst``, such as ``{"percent": 20, "compare": "logits"}``, and
            ``"shadowAnalysis": {"template": "shadow"}``, which judges the copies.
        analysis: names of the templates that watch what was promoted.
        harm_budget: the failed attempts on the candidate that it may cost at most.
        watch: how long it may return after its promotion, such as ``10m``.
        dry_run: it measures, and decides nothing by it.
        supersede: takes the one that is under way there back first.
    """
    inner: dict[str, Any] = {} if steps is None else {"steps": [dict(step) for step in steps]}
    inner |= shadow or {}
    if analysis is not None:
        inner["analysis"] = {"templates": list(analysis)}
    body: dict[str, Any] = {"endpoint": endpoint, "to": dict(to), "strategy": {strategy: inner}}
    if harm_budget is not None:
        body["harmBudget"] = {"failedRequests": harm_budget}
    if watch is not None:
        body["watch"] = watch
    flags = {"dryRun": dry_run, "supersede": supersede}
    body |= {key: True for key, on in flags.items() if on}
    if reason:
        body["reason"] = reason
    return (yield from send_rollout(body))


def send_rollout(document: Mapping[str, Any]) -> Steps[Rollout]:
    """Start a rollout by its whole document, as the API takes it."""
    return Rollout.from_json((yield from read("POST", "/rollouts/", json=dict(document))))


def promote_rollout(rollout_id: str, reason: str | None = None) -> Steps[Rollout]:
    """Skip what steps are left; of one that is promoted, end the watch."""
    return (yield from _control(rollout_id, "promote", reason))


def skip_rollout_step(rollout_id: str, reason: str | None = None) -> Steps[Rollout]:
    """Leave the present step for the next one."""
    return (yield from _control(rollout_id, "skip", reason))


def pause_rollout(rollout_id: str, reason: str | None = None) -> Steps[Rollout]:
    """Hold it where it is until somebody resumes it."""
    return (yield from _control(rollout_id, "pause", reason))


def resume_rollout(rollout_id: str, reason: str | None = None) -> Steps[Rollout]:
    """Let it go on where it was paused; what was inconclusive is measured anew."""
    return (yield from _control(rollout_id, "resume", reason))


def abort_rollout(rollout_id: str, reason: str | None = None) -> Steps[Rollout]:
    """Take it back, by the routers alone."""
    return (yield from _control(rollout_id, "abort", reason))


def retry_rollout(rollout_id: str, reason: str | None = None) -> Steps[Rollout]:
    """Begin anew what ended without being promoted, with what is left of its harm budget."""
    return (yield from _control(rollout_id, "retry", reason))


def approve_rollout(rollout_id: str, reason: str | None = None) -> Steps[Rollout]:
    """Let it go on where it waits for an approval; under four eyes another person does."""
    return (yield from _control(rollout_id, "approve", reason))


def rollout_events(rollout_id: str) -> Steps[list[RolloutEvent]]:
    """Everything that happened to it, newest first."""
    return [
        RolloutEvent.from_json(raw) for raw in (yield from listed(f"{_path(rollout_id)}events/"))
    ]


def wait_rollout(
    rollout_id: str,
    *,
    watched: bool = False,
    timeout: float = 3600.0,
    on_progress: Callable[[Rollout], None] | None = None,
) -> Steps[Rollout]:
    """Wait until it is promoted or taken back: look at which it is (`promoted`).

    Args:
        watched: wait for the end of the watch too, in which it may still return.
        on_progress: is told of every look.

    Raises:
        WaitTimeoutError: it is still under way; it goes on.
    """

    def done(seen: Rollout) -> bool:
        return seen.taken_back or (seen.promoted and not (watched and seen.active))

    seen = yield from looking(lambda: rollout(rollout_id), done, timeout, on_progress)
    if not done(seen):
        raise WaitTimeoutError(
            f"rollout {seen.number} of {seen.endpoint} is still {seen.state} ({seen.reason}) after "
            f"{timeout:g} s; it goes on: look with `nereid rollout status {seen.endpoint}`"
        )
    return seen


def _control(rollout_id: str, name: str, reason: str | None) -> Steps[Rollout]:
    body = {"reason": reason} if reason else {}
    raw = yield from read("POST", f"{_path(rollout_id)}{name}/", json=body)
    return Rollout.from_json(raw)


def _path(rollout_id: str) -> str:
    return f"/rollouts/{part(str(rollout_id))}/"
