"""The control plane's REST API as calls to be awaited."""

from __future__ import annotations

import asyncio
from types import TracebackType
from typing import Any, Self, TypeVar

import httpx

from nereid import config
from nereid.calls import (
    access,
    approvals,
    exporting,
    exporting_pipelines,
    fleet,
    importing,
    importing_pipelines,
    linting,
    perf,
    pushing,
    registry,
    traffic,
    trying,
)
from nereid.calls import analysis as analysis_calls
from nereid.calls import feedback as feedback_calls
from nereid.calls import kpis as kpis_calls
from nereid.calls import pipelines as pipelines_calls
from nereid.calls import profiles as profiles_calls
from nereid.calls import recordings as recording_calls
from nereid.calls import rollouts as rollouts_calls
from nereid.calls import tunes as tunes_calls
from nereid.calls import webhooks as webhooks_calls
from nereid.described import awaited
from nereid.retries import Retry, attempts
from nereid.steps import Pause, Send, Step, Steps, drive_async
from nereid.wire import options, sending

T = TypeVar("T")


class AsyncClient:
    """`Client` for programs that await: the same calls, with the same arguments and errors.

    >>> from nereid import AsyncClient
    >>> async with AsyncClient() as nereid:
    ...     digits, servers = await asyncio.gather(nereid.model("digits"), nereid.servers())
    """

    def __init__(
        self,
        api: str | None = None,
        token: str | None = None,
        *,
        retry: Retry | None = None,
        transport: httpx.AsyncBaseTransport | None = None,
    ) -> None:
        if api is None or token is None:
            found = config.resolve(api, token)
            api, token = found.api, found.token
        self.api = config.origin(api)
        self.retry = retry or Retry()
        self._http = httpx.AsyncClient(**options(self.api, token), transport=transport)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        await self.close()

    async def close(self) -> None:
        await self._http.aclose()

    # Models and versions

    models = awaited(registry.models)
    model = awaited(registry.model)
    create_model = awaited(registry.create_model)
    ensure_model = awaited(registry.ensure_model)
    update_model = awaited(registry.update_model)
    delete_model = awaited(registry.delete_model)
    versions = awaited(registry.versions)
    version = awaited(registry.version)
    find_versions = awaited(registry.find_versions)
    update_version = awaited(registry.update_version)
    archive_version = awaited(registry.archive_version)
    unarchive_version = awaited(registry.unarchive_version)
    delete_version = awaited(registry.delete_version)
    aliases = awaited(registry.aliases)
    alias = awaited(registry.alias)
    set_alias = awaited(registry.set_alias)
    delete_alias = awaited(registry.delete_alias)
    push = awaited(pushing.push)
    download = awaited(registry.download)
    wait_version_ready = awaited(registry.wait_version_ready)

    # Endpoints and their policies

    endpoints = awaited(traffic.endpoints)
    endpoint = awaited(traffic.endpoint)
    create_endpoint = awaited(traffic.create_endpoint)
    ensure_endpoint = awaited(traffic.ensure_endpoint)
    delete_endpoint = awaited(traffic.delete_endpoint)
    policy = awaited(traffic.policy)
    put_policy = awaited(traffic.put_policy)
    plan = awaited(traffic.plan)
    rollback = awaited(traffic.rollback)
    kill = awaited(traffic.kill)
    revisions = awaited(traffic.revisions)
    served_at = awaited(traffic.served_at)
    wait_endpoint = awaited(traffic.wait_endpoint)

    # Rollouts, and what they measure

    rollouts = awaited(rollouts_calls.rollouts)
    rollout = awaited(rollouts_calls.rollout)
    start_rollout = awaited(rollouts_calls.start_rollout)
    send_rollout = awaited(rollouts_calls.send_rollout)
    promote_rollout = awaited(rollouts_calls.promote_rollout)
    skip_rollout_step = awaited(rollouts_calls.skip_rollout_step)
    pause_rollout = awaited(rollouts_calls.pause_rollout)
    resume_rollout = awaited(rollouts_calls.resume_rollout)
    abort_rollout = awaited(rollouts_calls.abort_rollout)
    retry_rollout = awaited(rollouts_calls.retry_rollout)
    approve_rollout = awaited(rollouts_calls.approve_rollout)
    rollout_events = awaited(rollouts_calls.rollout_events)
    wait_rollout = awaited(rollouts_calls.wait_rollout)
    analysis_templates = awaited(analysis_calls.analysis_templates)
    analysis_template = awaited(analysis_calls.analysis_template)
    put_analysis_template = awaited(analysis_calls.put_analysis_template)
    delete_analysis_template = awaited(analysis_calls.delete_analysis_template)
    analysis_run = awaited(analysis_calls.analysis_run)
    analysis_looks = awaited(analysis_calls.analysis_looks)
    simulate = awaited(trying.simulate)
    replay = awaited(trying.replay)

    # What callers say of answers

    feedback = awaited(feedback_calls.feedback)
    send_feedback = awaited(feedback_calls.send_feedback)
    feedback_summary = awaited(feedback_calls.feedback_summary)
    kpis = awaited(kpis_calls.kpis)
    try_finding = awaited(kpis_calls.try_finding)
    finding_try = awaited(kpis_calls.finding_try)
    wait_finding_try = awaited(kpis_calls.wait_finding_try)
    recordings = awaited(recording_calls.recordings)
    recording = awaited(recording_calls.recording)
    start_recording = awaited(recording_calls.start_recording)
    stop_recording = awaited(recording_calls.stop_recording)
    delete_recording = awaited(recording_calls.delete_recording)
    wait_recording = awaited(recording_calls.wait_recording)

    # What waits for a second person

    set_four_eyes = awaited(approvals.set_four_eyes)
    changes = awaited(approvals.changes)
    change = awaited(approvals.change)
    approve_change = awaited(approvals.approve_change)
    reject_change = awaited(approvals.reject_change)
    withdraw_change = awaited(approvals.withdraw_change)
    wait_change = awaited(approvals.wait_change)

    # Servers, and who did what

    servers = awaited(fleet.servers)
    server = awaited(fleet.server)
    diagnosis = awaited(fleet.diagnosis)
    mark_server = awaited(fleet.mark_server)
    delete_server = awaited(fleet.delete_server)
    cordon_server = awaited(fleet.cordon_server)
    uncordon_server = awaited(fleet.uncordon_server)
    drain_server = awaited(fleet.drain_server)
    wait_drained = awaited(fleet.wait_drained)
    label_server = awaited(fleet.label_server)
    placement = awaited(fleet.placement)
    put_placement = awaited(fleet.put_placement)
    delete_placement = awaited(fleet.delete_placement)
    plan_placement = awaited(fleet.plan_placement)
    audit = awaited(fleet.audit)

    # Pipelines

    pipelines = awaited(pipelines_calls.pipelines)
    pipeline = awaited(pipelines_calls.pipeline)
    pipeline_revisions = awaited(pipelines_calls.pipeline_revisions)
    put_pipeline = awaited(pipelines_calls.put_pipeline)
    check_pipeline = awaited(pipelines_calls.check_pipeline)
    delete_pipeline = awaited(pipelines_calls.delete_pipeline)

    # Perf runs

    perf_runs = awaited(perf.perf_runs)
    perf_run = awaited(perf.perf_run)
    start_perf_run = awaited(perf.start_perf_run)
    cancel_perf_run = awaited(perf.cancel_perf_run)
    accept_perf_run = awaited(perf.accept_perf_run)
    wait_perf_run = awaited(perf.wait_perf_run)

    # Tunes

    tunes = awaited(tunes_calls.tunes)
    tune = awaited(tunes_calls.tune)
    start_tune = awaited(tunes_calls.start_tune)
    cancel_tune = awaited(tunes_calls.cancel_tune)
    apply_tune = awaited(tunes_calls.apply_tune)
    wait_tune = awaited(tunes_calls.wait_tune)

    # Serving profiles

    profiles = awaited(profiles_calls.profiles)
    profile = awaited(profiles_calls.profile)
    put_profile = awaited(profiles_calls.put_profile)
    delete_profile = awaited(profiles_calls.delete_profile)

    # Triton repositories

    plan_import = awaited(importing.plan_import)
    import_model = awaited(importing.import_model)
    import_pipelines = awaited(importing_pipelines.import_pipelines)
    plan_export = awaited(exporting.plan_export)
    export_version = awaited(exporting_pipelines.export_version)
    write_export = awaited(exporting.write_export)

    # The linter

    lint_models = awaited(linting.lint_models)
    lint_profile = awaited(linting.lint_profile)
    lint_version = awaited(linting.lint_version)
    lint_endpoint = awaited(linting.lint_endpoint)

    # Tokens, people, and what these may do

    tokens = awaited(access.tokens)
    current_token = awaited(access.current_token)
    create_token = awaited(access.create_token)
    revoke_token = awaited(access.revoke_token)
    users = awaited(access.users)
    user = awaited(access.user)
    update_user = awaited(access.update_user)
    give_role = awaited(access.give_role)
    take_role = awaited(access.take_role)
    grants = awaited(access.grants)
    give_grant = awaited(access.give_grant)
    take_grant = awaited(access.take_grant)

    # Webhooks

    webhooks = awaited(webhooks_calls.webhooks)
    webhook = awaited(webhooks_calls.webhook)
    create_webhook = awaited(webhooks_calls.create_webhook)
    update_webhook = awaited(webhooks_calls.update_webhook)
    delete_webhook = awaited(webhooks_calls.delete_webhook)
    test_webhook = awaited(webhooks_calls.test_webhook)
    rotate_webhook = awaited(webhooks_calls.rotate_webhook)
    deliveries = awaited(webhooks_calls.deliveries)
    delivery = awaited(webhooks_calls.delivery)
    redeliver = awaited(webhooks_calls.redeliver)
    wait_delivery = awaited(webhooks_calls.wait_delivery)
    webhook_events = awaited(webhooks_calls.webhook_events)

    # Carrying calls out

    async def run(self, steps: Steps[T]) -> T:
        """Carries out a call of `nereid.calls`, or one of your own."""
        return await drive_async(steps, self._do)

    async def _do(self, step: Step) -> Any:
        if isinstance(step, Send):
            return await drive_async(attempts(step, self.retry), self._once)
        return await self._once(step)

    async def _once(self, step: Step) -> Any:
        if isinstance(step, Pause):
            return await asyncio.sleep(step.seconds)
        if not isinstance(step, Send):
            return await asyncio.to_thread(step.do)
        with sending(step, self.api) as arguments:
            if step.save_to is None:
                return await self._http.request(step.method, step.path, **arguments)
            async with self._http.stream(step.method, step.path, **arguments) as response:
                if not response.is_success:
                    await response.aread()
                    return response
                with step.save_to.open("wb") as file:
                    async for chunk in response.aiter_bytes():
                        file.write(chunk)
                return response
