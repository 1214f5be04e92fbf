"""Django's settings, all from the environment; `python -m stack env` prints a running stack's."""

from __future__ import annotations

import os
from pathlib import Path

from django.core.exceptions import ImproperlyConfigured

from control_plane.adapters.secret_files import SecretFileError, with_secrets
from control_plane.audit.logs import LogSettingsError, logging_config
from control_plane.domain.placement.labels import parse_labels
from control_plane.domain.placement.memory import parse_bytes
from control_plane.domain.registry.allowed_parameters import AllowedParameters
from control_plane.domain.registry.remote import LOOPBACK, AllowedRemotes
from control_plane.domain.routing.headers import ForwardedHeaders
from control_plane.domain.webhooks.addresses import Allowed
from control_plane.settings.csp import content_security_policy
from control_plane.settings.hosts import allowed_hosts
from control_plane.settings.mlflow import MlflowSettingsError, mlflow_access
from control_plane.settings.oidc import oidc, password_login, public_url
from control_plane.settings.prometheus import PrometheusSettingsError, prometheus_access
from control_plane.settings.stores import StoreSettingsError, stores
from control_plane.settings.throttles import store, throttles, trusted_proxies
from control_plane.settings.unfold import UNFOLD  # noqa: F401 - read by django-unfold
from control_plane.telemetry.address import DatabaseUrlError, database_url

BASE_DIR = Path(__file__).resolve().parents[2]


try:
    ENVIRONMENT = with_secrets(os.environ)
except SecretFileError as error:
    raise ImproperlyConfigured(str(error)) from error


def _required(name: str) -> str:
    try:
        return ENVIRONMENT[name]
    except KeyError:
        raise ImproperlyConfigured(
            f"{name} is not set. `make serve` sets it for what it starts; for a shell of your "
            'own beside a running stack: eval "$(python -m stack env)"'
        ) from None


def _database(address: str) -> dict[str, object]:
    """Django's form of a database URL; `?host=/socket/folder` is understood."""
    try:
        url = database_url(address)
    except DatabaseUrlError as error:
        raise ImproperlyConfigured(str(error)) from None
    return {
        "ENGINE": "django.db.backends.postgresql",
        "NAME": url.database or "",
        "USER": url.username or "",
        "PASSWORD": url.password or "",
        "HOST": url.host or "",
        "PORT": str(url.port or ""),
        # A network that lets nothing through must not hold a node for a quarter of an hour.
        "OPTIONS": {"connect_timeout": "5", "tcp_user_timeout": "10000"}
        | {key: str(value) for key, value in url.query.items()},
        "CONN_MAX_AGE": 60,
        "CONN_HEALTH_CHECKS": True,
    }


SECRET_KEY = _required("NEREID_SECRET_KEY")
DEBUG = False
ALLOWED_HOSTS = allowed_hosts(os.environ)
CSRF_TRUSTED_ORIGINS = [o for o in os.environ.get("NEREID_CSRF_ORIGINS", "").split(",") if o]

NEREID_HOME = Path(os.environ.get("NEREID_HOME", BASE_DIR / ".nereid")).resolve()
NEREID_ARTIFACTS = NEREID_HOME / "artifacts"
NEREID_NODE_NAME = os.environ.get("NEREID_NODE_NAME", "local")
NEREID_MODEL_REPOSITORY = Path(
    os.environ.get(
        "NEREID_MODEL_REPOSITORY",
        BASE_DIR / "model_repository" / "live"
        if NEREID_HOME == BASE_DIR / ".nereid"
        else NEREID_HOME / "model_repository" / "live",
    )
)
NEREID_NODE_STATE = NEREID_HOME / "nodes" / NEREID_NODE_NAME / "state"
# Where the Triton beside this node says which arm answered which request.
NEREID_REQUEST_LOG = Path(
    os.environ.get("NEREID_REQUEST_LOG") or NEREID_NODE_STATE.parent / "answered"
)
# What that Triton's router is asked to record, and what it recorded.
NEREID_RECORDINGS_ASKED = Path(
    os.environ.get("NEREID_RECORDINGS_ASKED") or NEREID_NODE_STATE.parent / "recordings-asked"
)
NEREID_RECORDINGS = Path(
    os.environ.get("NEREID_RECORDINGS") or NEREID_NODE_STATE.parent / "recordings"
)
NEREID_TRITON_URL = os.environ.get("NEREID_TRITON_URL", "127.0.0.1:8000")
NEREID_TRITON_GRPC = os.environ.get("NEREID_TRITON_GRPC", "127.0.0.1:8001")
NEREID_TRITON_METRICS = os.environ.get("NEREID_TRITON_METRICS", "http://127.0.0.1:8002/metrics")
NEREID_TRITON_CONTROL_KEY = ENVIRONMENT.get("NEREID_TRITON_CONTROL_KEY", "")
NEREID_TRITON_SHM_KEY = ENVIRONMENT.get("NEREID_TRITON_SHM_KEY", "")
NEREID_TRITON_BACKENDS = os.environ.get("NEREID_TRITON_BACKENDS", "")
NEREID_HARDWARE = os.environ.get("NEREID_HARDWARE", "")
# Models on our Triton that Nereid did not load: `report` tells of them, `unload` unloads them.
NEREID_FOREIGN_MODELS = os.environ.get("NEREID_FOREIGN_MODELS") or "report"
NEREID_SERVER_CONFIG = os.environ.get("NEREID_SERVER_CONFIG", "")
NEREID_LAB = os.environ.get("NEREID_LAB") == "1"
# Where the node beside a Triton says whether it may be sent requests.
NEREID_BIND = os.environ.get("NEREID_BIND") or "127.0.0.1"
NEREID_NODE_PORT = int(os.environ.get("NEREID_NODE_PORT") or 8003)
# Where balancers find the gate: beside its Triton, where nothing else is said.
NEREID_NODE_GATE = os.environ.get("NEREID_NODE_GATE") or (
    f"{NEREID_TRITON_URL.rpartition(':')[0]}:{NEREID_NODE_PORT}"
)
# How long it says yes while nothing is heard of the control plane; empty: as long as all is there.
NEREID_GATE_TRUST_S = float(os.environ.get("NEREID_GATE_TRUST_S") or 0) or None
NEREID_TOOLS = os.environ.get("NEREID_TOOLS", "")
NEREID_ACCELERATOR = os.environ.get("NEREID_ACCELERATOR", "cpu")

if NEREID_FOREIGN_MODELS not in ("report", "unload"):
    raise ImproperlyConfigured(
        f"NEREID_FOREIGN_MODELS={NEREID_FOREIGN_MODELS}: there is report, and unload"
    )
try:
    NEREID_SERVER_LABELS = parse_labels(os.environ.get("NEREID_SERVER_LABELS", ""))
    NEREID_SERVER_MEMORY = parse_bytes(os.environ.get("NEREID_SERVER_MEMORY", ""))
    NEREID_ALLOW_PARAMETERS = AllowedParameters.of(os.environ.get("NEREID_ALLOW_PARAMETERS", ""))
    NEREID_REMOTE_ALLOW = AllowedRemotes.of(os.environ.get("NEREID_REMOTE_ALLOW") or LOOPBACK)
    NEREID_WEBHOOK_ALLOW = Allowed.of(os.environ.get("NEREID_WEBHOOK_ALLOW", ""))
    NEREID_FORWARDED_HEADERS = ForwardedHeaders.of(os.environ.get("NEREID_FORWARD_HEADERS", ""))
except ValueError as error:
    raise ImproperlyConfigured(str(error)) from error

DATABASES = {"default": _database(_required("DATABASE_URL"))}
DATABASE_URL = _required("DATABASE_URL")
CELERY_BROKER_URL = ENVIRONMENT.get("CELERY_BROKER_URL", "")

INSTALLED_APPS = [
    "control_plane.console",  # before unfold: its templates come first
    "unfold.apps.BasicAppConfig",
    "unfold.contrib.filters",
    "control_plane.console.admin_config.ConsoleAdminConfig",
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "django.contrib.sessions",
    "django.contrib.messages",
    "django.contrib.staticfiles",
    "rest_framework",
    "django_filters",
    "drf_spectacular",
    "drf_spectacular_sidecar",
    "control_plane.audit",
    "control_plane.access",
    "control_plane.idempotency",
    "control_plane.webhooks",
    "control_plane.fleet",
    "control_plane.registry",
    "control_plane.endpoints",
    "control_plane.analysis",
    "control_plane.rollouts",
    "control_plane.tuning",
    "control_plane.api",
]

MIDDLEWARE = [
    "control_plane.api.request_id.RequestIdMiddleware",
    "django.middleware.security.SecurityMiddleware",
    "csp.middleware.CSPMiddleware",
    "whitenoise.middleware.WhiteNoiseMiddleware",
    "django.contrib.sessions.middleware.SessionMiddleware",
    "django.middleware.common.CommonMiddleware",
    "django.middleware.csrf.CsrfViewMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
    "control_plane.access.denials.DenialsMiddleware",
    "control_plane.console.legible.LegibleAddressMiddleware",
    "django.contrib.messages.middleware.MessageMiddleware",
    "django.middleware.clickjacking.XFrameOptionsMiddleware",
]

TEMPLATES = [
    {
        "BACKEND": "django.template.backends.django.DjangoTemplates",
        "APP_DIRS": True,
        "OPTIONS": {
            "context_processors": [
                "django.template.context_processors.request",
                "django.contrib.auth.context_processors.auth",
                "django.contrib.messages.context_processors.messages",
            ]
        },
    }
]

ROOT_URLCONF = "control_plane.urls"
WSGI_APPLICATION = "control_plane.wsgi.application"
APPEND_SLASH = False  # the API answers with and without; a redirect would drop a PUT's body
LOGIN_URL = "admin:login"
AUTHENTICATION_BACKENDS = ["control_plane.access.backend.AccessBackend"]
AUTH_PASSWORD_VALIDATORS = [
    {"NAME": "django.contrib.auth.password_validation.MinimumLengthValidator"},
    {"NAME": "django.contrib.auth.password_validation.CommonPasswordValidator"},
]

LANGUAGE_CODE = "en"
FORMAT_MODULE_PATH = "control_plane.console.formats"
TIME_ZONE = "UTC"
USE_TZ = True

STATIC_URL = "static/"
WHITENOISE_USE_FINDERS = True  # no collectstatic step between a checkout and a running console
FILE_UPLOAD_MAX_MEMORY_SIZE = 4 << 20
DATA_UPLOAD_MAX_MEMORY_SIZE = 16 << 20
DATA_UPLOAD_MAX_NUMBER_FIELDS = 8000  # the form of the largest policy has some 5,600
NEREID_MAX_UPLOAD_BYTES = int(os.environ.get("NEREID_MAX_UPLOAD_BYTES") or 20 << 30)
NEREID_UPLOAD_QUOTA_BYTES = int(os.environ.get("NEREID_UPLOAD_QUOTA_BYTES") or 100 << 30)
NEREID_UPLOAD_QUOTA_COUNT = int(os.environ.get("NEREID_UPLOAD_QUOTA_COUNT") or 50)
NEREID_UPLOAD_EXPIRY_S = int(os.environ.get("NEREID_UPLOAD_EXPIRY_S") or 24 * 3600)
NEREID_SOURCE_ROOTS = [r for r in os.environ.get("NEREID_SOURCE_ROOTS", "").split(",") if r]
NEREID_S3_ENDPOINT = os.environ.get("NEREID_S3_ENDPOINT", "")
try:
    _STORES = stores(os.environ, NEREID_HOME)
except StoreSettingsError as error:
    raise ImproperlyConfigured(str(error)) from error
# None: in NEREID_ARTIFACTS.
NEREID_ARTIFACT_STORE = _STORES.artifacts
NEREID_ARTIFACT_CACHE = _STORES.artifact_cache
NEREID_ARTIFACT_CACHE_BYTES = _STORES.artifact_cache_bytes
# Where what was recorded is kept: the API, the workers and the nodes write it, no Triton reads it.
NEREID_RECORDING_STORE = _STORES.recordings
NEREID_RECORDING_CACHE = _STORES.recording_cache
try:
    NEREID_MLFLOW = mlflow_access(os.environ)
except MlflowSettingsError as error:
    raise ImproperlyConfigured(str(error)) from error
try:
    NEREID_PROMETHEUS = prometheus_access(os.environ)
except PrometheusSettingsError as error:
    raise ImproperlyConfigured(str(error)) from error
NEREID_INSPECTION_MEMORY_BYTES = int(os.environ.get("NEREID_INSPECTION_MEMORY_BYTES") or 8 << 30)

NEREID_OIDC = oidc(os.environ)
NEREID_PASSWORD_LOGIN = password_login(os.environ, NEREID_OIDC)
NEREID_PUBLIC_URL = public_url(os.environ)

SESSION_COOKIE_HTTPONLY = True
SESSION_COOKIE_SAMESITE = "Lax"
# Known to be reached over TLS alone: then the cookies go over nothing else.
SESSION_COOKIE_SECURE = CSRF_COOKIE_SECURE = NEREID_PUBLIC_URL.startswith("https://")
CONTENT_SECURITY_POLICY = content_security_policy([NEREID_OIDC.origin] if NEREID_OIDC else [])
SECURE_CONTENT_TYPE_NOSNIFF = True
X_FRAME_OPTIONS = "DENY"

NEREID_THROTTLES = throttles(os.environ)
NEREID_THROTTLE_STORE = store(ENVIRONMENT)
NEREID_TRUSTED_PROXIES = trusted_proxies(os.environ)

REST_FRAMEWORK = {
    "DEFAULT_AUTHENTICATION_CLASSES": [
        "control_plane.api.authentication.TokenAuthentication",
        "rest_framework.authentication.SessionAuthentication",
    ],
    "DEFAULT_PERMISSION_CLASSES": ["control_plane.api.permissions.RecordPermission"],
    "DEFAULT_THROTTLE_CLASSES": ["control_plane.api.throttling.CallerThrottle"],
    "DEFAULT_RENDERER_CLASSES": ["rest_framework.renderers.JSONRenderer"],
    "DEFAULT_PAGINATION_CLASS": "control_plane.api.pagination.NamePagination",
    "DEFAULT_FILTER_BACKENDS": ["rest_framework.filters.SearchFilter"],
    "DEFAULT_SCHEMA_CLASS": "control_plane.api.schema.DocumentedSchema",
    "EXCEPTION_HANDLER": "control_plane.api.errors.problem_response",
}

SPECTACULAR_SETTINGS = {
    "TITLE": "Nereid",
    "DESCRIPTION": "Moves traffic safely between model versions on NVIDIA Triton.",
    "VERSION": "1.0.0",
    "SERVE_INCLUDE_SCHEMA": False,
    "SERVE_PERMISSIONS": ["rest_framework.permissions.AllowAny"],
    "SWAGGER_UI_DIST": "SIDECAR",
    "SWAGGER_UI_FAVICON_HREF": "SIDECAR",
    "REDOC_DIST": "SIDECAR",
    "COMPONENT_SPLIT_REQUEST": True,
    "SCHEMA_PATH_PREFIX": "/api/v1",
    "ENUM_NAME_OVERRIDES": {
        "BackendKindEnum": ["native", "python"],
        "ChangeStateEnum": "control_plane.endpoints.models.CHANGE_STATES",
        "DeliveryStateEnum": "control_plane.webhooks.models.State",
        "KindEnum": ["model", "endpoint"],
        "PerfKindEnum": "control_plane.tuning.models.KINDS",
        "RecordingStateEnum": "control_plane.tuning.recording_record.STATES",
        "PerfStateEnum": "control_plane.tuning.models.STATES",
        "ObjectiveEnum": "control_plane.tuning.models.OBJECTIVES",
        "RoleEnum": "control_plane.access.models.ROLES",
        "RolloutStateEnum": "control_plane.rollouts.models.STATES",
        "TrialKindEnum": "control_plane.tuning.models.TRIAL_KINDS",
        "TrialStateEnum": "control_plane.tuning.models.TRIAL_STATES",
        "TuneStateEnum": "control_plane.tuning.models.TUNE_STATES",
        "WebhookStateEnum": "control_plane.webhooks.models.STATES",
    },
    "POSTPROCESSING_HOOKS": [
        "drf_spectacular.hooks.postprocess_schema_enums",
        "control_plane.api.policy_schema.add_component",
        "control_plane.api.rollout_schema.add_component",
        "control_plane.api.perf_schema.add_components",
        "control_plane.api.tune_schema.add_components",
        "control_plane.api.document.complete",
    ],
}

try:
    LOGGING = logging_config(os.environ)
except LogSettingsError as error:
    raise ImproperlyConfigured(str(error)) from error
