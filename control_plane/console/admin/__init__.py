"""The records' pages: Django's autodiscovery imports this package, and each module registers."""

from control_plane.console.admin import (
    access,
    analysis,
    audit,
    changes,
    deliveries,
    endpoints,
    fleet,
    grants,
    pipelines,
    profiles,
    registry,
    revisions,
    rollouts,
    tokens,
    versions,
    webhooks,
)

__all__ = [
    "access",
    "analysis",
    "audit",
    "changes",
    "deliveries",
    "endpoints",
    "fleet",
    "grants",
    "pipelines",
    "profiles",
    "registry",
    "revisions",
    "rollouts",
    "tokens",
    "versions",
    "webhooks",
]
