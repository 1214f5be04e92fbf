"""Nereid's client: ship model versions, move traffic between them, ask them questions.

>>> from nereid import Client
>>> with Client() as nereid:
...     for endpoint in nereid.endpoints():
...         print(endpoint.name, endpoint.status)
"""

from __future__ import annotations

from nereid import webhooks
from nereid.administration import AuditEvent, Grant, NewToken, Server, Token, User
from nereid.approvals import ChangeRequest
from nereid.async_client import AsyncClient
from nereid.client import Client
from nereid.config import Credentials, Stack, find_stack, resolve
from nereid.deliveries import Attempt, Delivery, EventType, Webhook, WebhookWithSecret
from nereid.errors import (
    ChecksumError,
    ConversionError,
    DifferentAnswersError,
    FieldError,
    InferenceError,
    NereidError,
    NotConfiguredError,
    ProblemError,
    UnreachableError,
    VersionRejectedError,
    WaitTimeoutError,
)
from nereid.feedback import FeedbackCount, FeedbackSummary, FeedbackTaken
from nereid.kpi_resources import ArmKpis, EndpointKpis, Opportunity, StepKpis
from nereid.perf_resources import PerfLevel, PerfRun
from nereid.placing import Placing
from nereid.policy import PolicySyntaxError, policy_document
from nereid.resources import (
    Accepted,
    Alias,
    Arm,
    Endpoint,
    Model,
    Place,
    Plan,
    Policy,
    Profile,
    Revision,
    Signature,
    Tensor,
    Version,
)
from nereid.retries import Retry
from nereid.rollouts import (
    AnalysisRun,
    AnalysisTemplate,
    Look,
    MetricLook,
    Rollout,
    RolloutEvent,
    RolloutRun,
    RolloutStep,
)
from nereid.tune_resources import Tune, TunePoint, TuneResult, TuneTrial
from nereid.version import __version__

__all__ = [
    "Accepted",
    "Alias",
    "AnalysisRun",
    "AnalysisTemplate",
    "Arm",
    "ArmKpis",
    "AsyncClient",
    "Attempt",
    "AuditEvent",
    "ChangeRequest",
    "ChecksumError",
    "Client",
    "ConversionError",
    "Credentials",
    "Delivery",
    "DifferentAnswersError",
    "Endpoint",
    "EndpointKpis",
    "EventType",
    "FeedbackCount",
    "FeedbackSummary",
    "FeedbackTaken",
    "FieldError",
    "Grant",
    "InferenceError",
    "Look",
    "MetricLook",
    "Model",
    "NereidError",
    "NewToken",
    "NotConfiguredError",
    "Opportunity",
    "PerfLevel",
    "PerfRun",
    "Place",
    "Placing",
    "Plan",
    "Policy",
    "PolicySyntaxError",
    "ProblemError",
    "Profile",
    "Retry",
    "Revision",
    "Rollout",
    "RolloutEvent",
    "RolloutRun",
    "RolloutStep",
    "Server",
    "Signature",
    "Stack",
    "StepKpis",
    "Tensor",
    "Token",
    "Tune",
    "TunePoint",
    "TuneResult",
    "TuneTrial",
    "UnreachableError",
    "User",
    "Version",
    "VersionRejectedError",
    "WaitTimeoutError",
    "Webhook",
    "WebhookWithSecret",
    "__version__",
    "find_stack",
    "policy_document",
    "resolve",
    "webhooks",
]
