"""The `nereid` command."""

from __future__ import annotations

import sys

# Importing a module of commands registers them, in the order that --help shows.
from nereid.cli import (
    analysis,
    audit,
    changes,
    doctor,
    endpoints,
    exporting,
    feedback,
    grants,
    importing,
    infer,
    kpis,
    lint,
    login,
    models,
    perf,
    pipelines,
    place,
    profiles,
    push,
    recordings,
    records,
    rollout_start,
    rollouts,
    scheduling,
    servers,
    tokens,
    traffic,
    trying,
    tune,
    users,
    versions,
    webhooks,
)
from nereid.cli.app import run
from nereid.cli.session import Session

__all__ = [
    "Session",
    "analysis",
    "audit",
    "changes",
    "doctor",
    "endpoints",
    "exporting",
    "feedback",
    "grants",
    "importing",
    "infer",
    "kpis",
    "lint",
    "login",
    "main",
    "models",
    "perf",
    "pipelines",
    "place",
    "profiles",
    "push",
    "recordings",
    "records",
    "rollout_start",
    "rollouts",
    "run",
    "scheduling",
    "servers",
    "tokens",
    "traffic",
    "trying",
    "tune",
    "users",
    "versions",
    "webhooks",
]


def main() -> None:
    sys.exit(run(sys.argv[1:]))
