"""`/api/v1/…`; every path answers with and without its trailing slash."""

from __future__ import annotations

from django.urls import URLPattern, re_path
from django.views import View

from control_plane.api.aliases_resource import AliasesView, AliasView
from control_plane.api.all_versions_resource import AllVersionsView
from control_plane.api.analysis_runs_resource import AnalysisLooksView, AnalysisRunView
from control_plane.api.analysis_simulations_resource import AnalysisSimulationsView
from control_plane.api.analysis_templates_resource import (
    AnalysisTemplatesView,
    AnalysisTemplateView,
)
from control_plane.api.audit_resource import AuditView
from control_plane.api.budget_resource import BudgetView
from control_plane.api.changes_resource import (
    ApproveView,
    ChangesView,
    ChangeView,
    RejectView,
    WithdrawView,
)
from control_plane.api.deliveries_resource import (
    DeliveriesView,
    DeliveryView,
    EventTypesView,
    RedeliverView,
)
from control_plane.api.diagnosis_resource import DiagnosisView
from control_plane.api.download_resource import DownloadView
from control_plane.api.endpoints_resource import EndpointsView, EndpointView
from control_plane.api.export_resource import ExportView
from control_plane.api.feedback_resource import FeedbackView
from control_plane.api.grants_resource import GrantsView, GrantView
from control_plane.api.health_resource import HealthView
from control_plane.api.kpis_resource import KpisView
from control_plane.api.kpis_tries_resource import KpisTriesView, KpisTryView
from control_plane.api.lint_resource import LintView, VersionFindingsView
from control_plane.api.models_resource import ModelsView, ModelView
from control_plane.api.perf_runs_resource import (
    PerfFileView,
    PerfRunAcceptView,
    PerfRunCancelView,
    PerfRunsView,
    PerfRunView,
)
from control_plane.api.pipelines_resource import (
    PipelineCheckView,
    PipelineRevisionsView,
    PipelineRevisionView,
    PipelinesView,
    PipelineView,
)
from control_plane.api.placements_resource import PlacementPlanView, PlacementView
from control_plane.api.policy_resource import KillView, PlanView, PolicyView, RollbackView
from control_plane.api.profiles_resource import ProfilesView, ProfileView
from control_plane.api.recordings_resource import (
    RecordingStopView,
    RecordingsView,
    RecordingView,
)
from control_plane.api.replays_resource import ReplaysView
from control_plane.api.revisions_resource import RevisionsView, RevisionView
from control_plane.api.rollout_controls_resource import (
    RolloutAbortView,
    RolloutApproveView,
    RolloutPauseView,
    RolloutPromoteView,
    RolloutResumeView,
    RolloutRetryView,
    RolloutSkipView,
)
from control_plane.api.rollouts_resource import RolloutEventsView, RolloutsView, RolloutView
from control_plane.api.scheduling_resource import CordonView, DrainView, UncordonView
from control_plane.api.servers_resource import ServersView, ServerView
from control_plane.api.tokens_resource import CurrentTokenView, TokensView, TokenView
from control_plane.api.tunes_resource import TuneApplyView, TuneCancelView, TunesView, TuneView
from control_plane.api.uploads_resource import UploadsView, UploadView
from control_plane.api.users_resource import UsersView, UserView
from control_plane.api.version_state_resource import ArchiveView, UnarchiveView
from control_plane.api.versions_resource import VersionsView, VersionView
from control_plane.api.webhooks_resource import (
    WebhookRotateView,
    WebhooksView,
    WebhookTestView,
    WebhookView,
)

app_name = "api"

# Whatever stands there is looked up, and a name that cannot exist is a clear 404. Control
# characters are left out: the database cannot even be asked for a NUL.
NAME = r"(?P<name>[^/\x00-\x1f\x7f]+)"
ID = r"(?P<token_id>[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12})"
ROLLOUT = ID.replace("token_id", "rollout_id")
RUN = ID.replace("token_id", "run_id")
GRANT = ID.replace("token_id", "grant_id")
NUMBER = r"(?P<number>[0-9]{1,9})"
# A version's number, or an alias: @champion.
VERSION = r"(?P<number>[0-9]{1,9}|@[^/\x00-\x1f\x7f]+)"
DELIVERY = ID.replace("token_id", "delivery_id")
PERF_FILE = r"(?P<level>[0-9]{1,4})/(?P<file>[a-z]{1,20}\.[a-z]{1,8})"
ALIAS = NAME.replace("name", "alias")
RECORDING = NAME.replace("name", "recording")


def at(pattern: str, view: type[View], name: str) -> URLPattern:
    """A path with an optional slash behind it."""
    return re_path(rf"^{pattern}/?\Z", view.as_view(), name=name)


urlpatterns = [
    at(r"health", HealthView, "health"),
    at(r"diagnosis", DiagnosisView, "diagnosis"),
    at(r"models", ModelsView, "models"),
    at(rf"models/{NAME}", ModelView, "model"),
    at(r"versions", AllVersionsView, "all_versions"),
    at(rf"models/{NAME}/versions", VersionsView, "versions"),
    at(rf"models/{NAME}/versions/{VERSION}", VersionView, "version"),
    at(rf"models/{NAME}/versions/{VERSION}/download", DownloadView, "download"),
    at(rf"models/{NAME}/versions/{VERSION}/archive", ArchiveView, "archive"),
    at(rf"models/{NAME}/versions/{VERSION}/unarchive", UnarchiveView, "unarchive"),
    at(rf"models/{NAME}/versions/{VERSION}/export", ExportView, "export"),
    at(rf"models/{NAME}/versions/{VERSION}/findings", VersionFindingsView, "findings"),
    at(rf"models/{NAME}/aliases", AliasesView, "aliases"),
    at(rf"models/{NAME}/aliases/{ALIAS}", AliasView, "alias"),
    at(r"profiles", ProfilesView, "profiles"),
    at(rf"profiles/{NAME}", ProfileView, "profile"),
    at(rf"endpoints/{NAME}/replays", ReplaysView, "replays"),
    at(r"lint", LintView, "lint"),
    at(r"analysis-simulations", AnalysisSimulationsView, "analysis-simulations"),
    at(r"pipelines", PipelinesView, "pipelines"),
    at(rf"pipelines/{NAME}", PipelineView, "pipeline"),
    at(rf"pipelines/{NAME}/check", PipelineCheckView, "pipeline-check"),
    at(rf"pipelines/{NAME}/revisions", PipelineRevisionsView, "pipeline-revisions"),
    at(rf"pipelines/{NAME}/revisions/{NUMBER}", PipelineRevisionView, "pipeline-revision"),
    at(r"endpoints", EndpointsView, "endpoints"),
    at(rf"endpoints/{NAME}", EndpointView, "endpoint"),
    at(rf"endpoints/{NAME}/policy", PolicyView, "policy"),
    at(rf"endpoints/{NAME}/plan", PlanView, "plan"),
    at(rf"endpoints/{NAME}/placement", PlacementView, "placement"),
    at(rf"endpoints/{NAME}/placement/plan", PlacementPlanView, "placement-plan"),
    at(rf"endpoints/{NAME}/rollback", RollbackView, "rollback"),
    at(rf"endpoints/{NAME}/kill", KillView, "kill"),
    at(rf"endpoints/{NAME}/feedback", FeedbackView, "feedback"),
    at(rf"endpoints/{NAME}/kpis", KpisView, "kpis"),
    at(rf"endpoints/{NAME}/kpis/tries", KpisTriesView, "kpis-tries"),
    at(rf"endpoints/{NAME}/kpis/tries/{NUMBER}", KpisTryView, "kpis-try"),
    at(rf"endpoints/{NAME}/recordings", RecordingsView, "recordings"),
    at(rf"endpoints/{NAME}/recordings/{RECORDING}", RecordingView, "recording"),
    at(rf"endpoints/{NAME}/recordings/{RECORDING}/stop", RecordingStopView, "recording-stop"),
    at(rf"endpoints/{NAME}/budget", BudgetView, "budget"),
    at(rf"endpoints/{NAME}/changes", ChangesView, "changes"),
    at(rf"endpoints/{NAME}/changes/{NUMBER}", ChangeView, "change"),
    at(rf"endpoints/{NAME}/changes/{NUMBER}/approve", ApproveView, "approve"),
    at(rf"endpoints/{NAME}/changes/{NUMBER}/reject", RejectView, "reject"),
    at(rf"endpoints/{NAME}/changes/{NUMBER}/withdraw", WithdrawView, "withdraw"),
    at(rf"endpoints/{NAME}/revisions", RevisionsView, "revisions"),
    at(rf"endpoints/{NAME}/revisions/{NUMBER}", RevisionView, "revision"),
    at(r"rollouts", RolloutsView, "rollouts"),
    at(rf"rollouts/{ROLLOUT}", RolloutView, "rollout"),
    at(rf"rollouts/{ROLLOUT}/events", RolloutEventsView, "rollout-events"),
    at(rf"rollouts/{ROLLOUT}/promote", RolloutPromoteView, "rollout-promote"),
    at(rf"rollouts/{ROLLOUT}/skip", RolloutSkipView, "rollout-skip"),
    at(rf"rollouts/{ROLLOUT}/pause", RolloutPauseView, "rollout-pause"),
    at(rf"rollouts/{ROLLOUT}/resume", RolloutResumeView, "rollout-resume"),
    at(rf"rollouts/{ROLLOUT}/abort", RolloutAbortView, "rollout-abort"),
    at(rf"rollouts/{ROLLOUT}/retry", RolloutRetryView, "rollout-retry"),
    at(rf"rollouts/{ROLLOUT}/approve", RolloutApproveView, "rollout-approve"),
    at(r"analysis-templates", AnalysisTemplatesView, "analysis-templates"),
    at(rf"analysis-templates/{NAME}", AnalysisTemplateView, "analysis-template"),
    at(rf"analysis-runs/{RUN}", AnalysisRunView, "analysis-run"),
    at(rf"analysis-runs/{RUN}/looks", AnalysisLooksView, "analysis-looks"),
    at(r"uploads", UploadsView, "uploads"),
    at(r"uploads/(?P<upload>[0-9a-f-]{36})", UploadView, "upload"),
    at(r"servers", ServersView, "servers"),
    at(rf"servers/{NAME}", ServerView, "server"),
    at(rf"servers/{NAME}/cordon", CordonView, "server-cordon"),
    at(rf"servers/{NAME}/uncordon", UncordonView, "server-uncordon"),
    at(rf"servers/{NAME}/drain", DrainView, "server-drain"),
    at(r"perf-runs", PerfRunsView, "perf-runs"),
    at(rf"perf-runs/{NUMBER}", PerfRunView, "perf-run"),
    at(rf"perf-runs/{NUMBER}/cancel", PerfRunCancelView, "perf-run-cancel"),
    at(rf"perf-runs/{NUMBER}/accept", PerfRunAcceptView, "perf-run-accept"),
    at(rf"perf-runs/{NUMBER}/files/{PERF_FILE}", PerfFileView, "perf-file"),
    at(r"tunes", TunesView, "tunes"),
    at(rf"tunes/{NUMBER}", TuneView, "tune"),
    at(rf"tunes/{NUMBER}/cancel", TuneCancelView, "tune-cancel"),
    at(rf"tunes/{NUMBER}/apply", TuneApplyView, "tune-apply"),
    at(r"audit", AuditView, "audit"),
    at(r"tokens", TokensView, "tokens"),
    at(r"tokens/current", CurrentTokenView, "current_token"),
    at(rf"tokens/{ID}", TokenView, "token"),
    at(r"webhook-events", EventTypesView, "webhook-events"),
    at(r"webhooks", WebhooksView, "webhooks"),
    at(rf"webhooks/{NAME}", WebhookView, "webhook"),
    at(rf"webhooks/{NAME}/test", WebhookTestView, "webhook-test"),
    at(rf"webhooks/{NAME}/rotate", WebhookRotateView, "webhook-rotate"),
    at(rf"webhooks/{NAME}/deliveries", DeliveriesView, "deliveries"),
    at(rf"webhooks/{NAME}/deliveries/{DELIVERY}", DeliveryView, "delivery"),
    at(rf"webhooks/{NAME}/deliveries/{DELIVERY}/redeliver", RedeliverView, "redeliver"),
    at(r"users", UsersView, "users"),
    at(rf"users/{NAME}", UserView, "user"),
    at(r"grants", GrantsView, "grants"),
    at(rf"grants/{GRANT}", GrantView, "grant"),
]
