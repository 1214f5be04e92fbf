"""The control plane's REST API as Python calls."""

from __future__ import annotations

import time
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
from nereid.described import AlsoOfTheClass, blocking
from nereid.retries import Retry, attempts
from nereid.steps import Pause, Send, Step, Steps, drive
from nereid.wire import options, sending

T = TypeVar("T")


class Client:
    """One control plane, one identity.

    >>> from nereid import Client
    >>> with Client() as nereid:
    ...     standing = nereid.policy("digits")
    ...     accepted = nereid.put_policy("digits", {"arms": [...]}, etag=standing.etag)
    ...     nereid.wait_endpoint("digits", generation=accepted.generation)

    Without arguments address and token are found as the command finds them (`nereid.config`). It
    may be shared by threads. What each call does and raises is said in `nereid.calls`.
    """

    def __init__(
        self,
        api: str | None = None,
        token: str | None = None,
        *,
        retry: Retry | None = None,
        transport: httpx.BaseTransport | None = None,
    ) -> None:
        if api is None or token is None:
            found = config.resolve(api, token)
            api, token = found.api, found.token
        self.api = config.origin(api)
        self.retry = retry or Retry()
        self._http = httpx.Client(**options(self.api, token), transport=transport)

    @classmethod
    def from_environment(cls, api: str | None = None, token: str | None = None) -> Self:
        """The same as `Client(api, token)`, in words."""
        return cls(api, token)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def close(self) -> None:
        self._http.close()

    # Models and versions

    models = blocking(registry.models)
    model = blocking(registry.model)
    create_model = blocking(registry.create_model)
    ensure_model = blocking(registry.ensure_model)
    update_model = blocking(registry.update_model)
    delete_model = blocking(registry.delete_model)
    versions = blocking(registry.versions)
    version = blocking(registry.version)
    find_versions = blocking(registry.find_versions)
    update_version = blocking(registry.update_version)
    archive_version = blocking(registry.archive_version)
    unarchive_version = blocking(registry.unarchive_version)
    delete_version = blocking(registry.delete_version)
    aliases = blocking(registry.aliases)
    alias = blocking(registry.alias)
    set_alias = blocking(registry.set_alias)
    delete_alias = blocking(registry.delete_alias)
    push = AlsoOfTheClass(pushing.push)
    download = blocking(registry.download)
    wait_version_ready = blocking(registry.wait_version_ready)

    # Endpoints and their policies

    endpoints = blocking(traffic.endpoints)
    endpoint = blocking(traffic.endpoint)
    create_endpoint = blocking(traffic.create_endpoint)
    ensure_endpoint = blocking(traffic.ensure_endpoint)
    delete_endpoint = blocking(traffic.delete_endpoint)
    policy = blocking(traffic.policy)
    put_policy = blocking(traffic.put_policy)
    plan = blocking(traffic.plan)
    rollback = blocking(traffic.rollback)
    kill = blocking(traffic.kill)
    revisions = blocking(traffic.revisions)
    served_at = blocking(traffic.served_at)
    wait_endpoint = blocking(traffic.wait_endpoint)

    # Rollouts, and what they measure

    rollouts = blocking(rollouts_calls.rollouts)
    rollout = blocking(rollouts_calls.rollout)
    start_rollout = blocking(rollouts_calls.start_rollout)
    send_rollout = blocking(rollouts_calls.send_rollout)
    promote_rollout = blocking(rollouts_calls.promote_rollout)
    skip_rollout_step = blocking(rollouts_calls.skip_rollout_step)
    pause_rollout = blocking(rollouts_calls.pause_rollout)
    resume_rollout = blocking(rollouts_calls.resume_rollout)
    abort_rollout = blocking(rollouts_calls.abort_rollout)
    retry_rollout = blocking(rollouts_calls.retry_rollout)
    approve_rollout = blocking(rollouts_calls.approve_rollout)
    rollout_events = blocking(rollouts_calls.rollout_events)
    wait_rollout = blocking(rollouts_calls.wait_rollout)
    analysis_templates = blocking(analysis_calls.analysis_templates)
    analysis_template = blocking(analysis_calls.analysis_template)
    put_analysis_template = blocking(analysis_calls.put_analysis_template)
    delete_analysis_template = blocking(analysis_calls.delete_analysis_template)
    analysis_run = blocking(analysis_calls.analysis_run)
    analysis_looks = blocking(analysis_calls.analysis_looks)
    simulate = blocking(trying.simulate)
    replay = blocking(trying.replay)

    # What callers say of answers

    feedback = blocking(feedback_calls.feedback)
    send_feedback = blocking(feedback_calls.send_feedback)
    feedback_summary = blocking(feedback_calls.feedback_summary)
    kpis = blocking(kpis_calls.kpis)
    try_finding = blocking(kpis_calls.try_finding)
    finding_try = blocking(kpis_calls.finding_try)
    wait_finding_try = blocking(kpis_calls.wait_finding_try)
    recordings = blocking(recording_calls.recordings)
    recording = blocking(recording_calls.recording)
    start_recording = blocking(recording_calls.start_recording)
    stop_recording = blocking(recording_calls.stop_recording)
    delete_recording = blocking(recording_calls.delete_recording)
    wait_recording = blocking(recording_calls.wait_recording)

    # What waits for a second person

    set_four_eyes = blocking(approvals.set_four_eyes)
    changes = blocking(approvals.changes)
    change = blocking(approvals.change)
    approve_change = blocking(approvals.approve_change)
    reject_change = blocking(approvals.reject_change)
    withdraw_change = blocking(approvals.withdraw_change)
    wait_change = blocking(approvals.wait_change)

    # Servers, and who did what

    servers = blocking(fleet.servers)
    server = blocking(fleet.server)
    diagnosis = blocking(fleet.diagnosis)
    mark_server = blocking(fleet.mark_server)
    delete_server = blocking(fleet.delete_server)
    cordon_server = blocking(fleet.cordon_server)
    uncordon_server = blocking(fleet.uncordon_server)
    drain_server = blocking(fleet.drain_server)
    wait_drained = blocking(fleet.wait_drained)
    label_server = blocking(fleet.label_server)
    placement = blocking(fleet.placement)
    put_placement = blocking(fleet.put_placement)
    delete_placement = blocking(fleet.delete_placement)
    plan_placement = blocking(fleet.plan_placement)
    audit = blocking(fleet.audit)

    # Pipelines

    pipelines = blocking(pipelines_calls.pipelines)
    pipeline = blocking(pipelines_calls.pipeline)
    pipeline_revisions = blocking(pipelines_calls.pipeline_revisions)
    put_pipeline = blocking(pipelines_calls.put_pipeline)
    check_pipeline = blocking(pipelines_calls.check_pipeline)
    delete_pipeline = blocking(pipelines_calls.delete_pipeline)

    # Perf runs

    perf_runs = blocking(perf.perf_runs)
    perf_run = blocking(perf.perf_run)
    start_perf_run = blocking(perf.start_perf_run)
    cancel_perf_run = blocking(perf.cancel_perf_run)
    accept_perf_run = blocking(perf.accept_perf_run)
    wait_perf_run = blocking(perf.wait_perf_run)

    # Tunes

    tunes = blocking(tunes_calls.tunes)
    tune = blocking(tunes_calls.tune)
    start_tune = blocking(tunes_calls.start_tune)
    cancel_tune = blocking(tunes_calls.cancel_tune)
    apply_tune = blocking(tunes_calls.apply_tune)
    wait_tune = blocking(tunes_calls.wait_tune)

    # Serving profiles

    profiles = blocking(profiles_calls.profiles)
    profile = blocking(profiles_calls.profile)
    put_profile = blocking(profiles_calls.put_profile)
    delete_profile = blocking(profiles_calls.delete_profile)

    # Triton repositories

    plan_import = blocking(importing.plan_import)
    import_model = blocking(importing.import_model)
    import_pipelines = blocking(importing_pipelines.import_pipelines)
    plan_export = blocking(exporting.plan_export)
    export_version = blocking(exporting_pipelines.export_version)
    write_export = blocking(exporting.write_export)

    # The linter

    lint_models = blocking(linting.lint_models)
    lint_profile = blocking(linting.lint_profile)
    lint_version = blocking(linting.lint_version)
    lint_endpoint = blocking(linting.lint_endpoint)

    # Tokens, people, and what these may do

    tokens = blocking(access.tokens)
    current_token = blocking(access.current_token)
    create_token = blocking(access.create_token)
    revoke_token = blocking(access.revoke_token)
    users = blocking(access.users)
    user = blocking(access.user)
    update_user = blocking(access.update_user)
    give_role = blocking(access.give_role)
    take_role = blocking(access.take_role)
    grants = blocking(access.grants)
    give_grant = blocking(access.give_grant)
    take_grant = blocking(access.take_grant)

    # Webhooks

    webhooks = blocking(webhooks_calls.webhooks)
    webhook = blocking(webhooks_calls.webhook)
    create_webhook = blocking(webhooks_calls.create_webhook)
    update_webhook = blocking(webhooks_calls.update_webhook)
    delete_webhook = blocking(webhooks_calls.delete_webhook)
    test_webhook = blocking(webhooks_calls.test_webhook)
    rotate_webhook = blocking(webhooks_calls.rotate_webhook)
    deliveries = blocking(webhooks_calls.deliveries)
    delivery = blocking(webhooks_calls.delivery)
    redeliver = blocking(webhooks_calls.redeliver)
    wait_delivery = blocking(webhooks_calls.wait_delivery)
    webhook_events = blocking(webhooks_calls.webhook_events)

    # Carrying calls out

    def run(self, steps: Steps[T]) -> T:
        """Carries out a call of `nereid.calls`, or one of your own."""
        return drive(steps, self._do)

    def _do(self, step: Step) -> Any:
        if isinstance(step, Send):
            return drive(attempts(step, self.retry), self._once)
        return self._once(step)

    def _once(self, step: Step) -> Any:
        if isinstance(step, Pause):
            return time.sleep(step.seconds)
        if not isinstance(step, Send):
            return step.do()
        with sending(step, self.api) as arguments:
            if step.save_to is None:
                return self._http.request(step.method, step.path, **arguments)
            with self._http.stream(step.method, step.path, **arguments) as response:
                if not response.is_success:
                    response.read()
                    return response
                with step.save_to.open("wb") as file:
                    for chunk in response.iter_bytes():
                        file.write(chunk)
                return response
