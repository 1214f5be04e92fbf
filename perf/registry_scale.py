"""How long the control plane takes to answer from a registry of 10,000 models x 20 versions.

    python -m perf.registry_scale [--models 10000] [--versions 20] [--runs 60] [--json figures.json]

Seeds a throw-away PostgreSQL, lets 24 endpoints serve seeded versions, and asks for lists, searches
and pages in this process, through every middleware: a figure is the time at the server, without a
network. Queries are counted apart from the timing. The goal is a p95 under 100 ms each.
"""

from __future__ import annotations

import argparse
import json
import logging
import os
import statistics
import tempfile
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from stack.postgres import EmbeddedPostgres

GOAL_MS = 100.0
ENDPOINTS = 24
WARM_UP = 3


@dataclass(frozen=True)
class Figure:
    """One address: milliseconds at the server, and queries of the database.

    `cpu` is the median of what this process worked for it, which a busy machine leaves as it is.
    """

    what: str
    p50: float
    p95: float
    cpu: float
    queries: int


class NoQueue:
    """Nobody works behind this control plane."""

    def reconcile(self, **_: Any) -> None: ...

    def validate(self, **_: Any) -> None: ...

    def command(self, **_: Any) -> None: ...


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--models", type=int, default=10_000)
    parser.add_argument("--versions", type=int, default=20)
    parser.add_argument("--runs", type=int, default=60)
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    with (
        tempfile.TemporaryDirectory() as folder,
        EmbeddedPostgres(Path(folder) / "data", durable=False) as postgres,
    ):
        prepare(postgres.url, folder)
        seconds = fill(options.models, options.versions)
        figures = [measure(what, ask, options.runs) for what, ask in addresses().items()]
    show(figures, options.models, options.versions, seconds)
    if options.json:
        options.json.write_text(json.dumps([asdict(figure) for figure in figures], indent=2))


def prepare(url: str, folder: str) -> None:
    """Django over that database, migrated, as a process of its own would have it."""
    os.environ |= {
        "DATABASE_URL": url,
        "NEREID_HOME": folder,
        "NEREID_SECRET_KEY": "only for this benchmark",
        "NEREID_ALLOWED_HOSTS": "testserver",
        "DJANGO_SETTINGS_MODULE": "control_plane.settings",
    }
    import django

    django.setup()
    from django.core.management import call_command

    from control_plane import wiring
    from control_plane.telemetry import migrate

    logging.getLogger("alembic").setLevel(logging.WARNING)
    call_command("migrate", verbosity=0)
    migrate.migrate(url)
    wiring.queue = NoQueue  # type: ignore[assignment]


def fill(models: int, versions: int) -> float:
    """Seeds the registry, and lets endpoints serve some of it; returns the seconds it took."""
    from django.db import connection

    from control_plane import wiring
    from control_plane.endpoints.services import create_endpoint
    from control_plane.registry.seeding import PREFIX, seed

    began = time.monotonic()
    seed(models=models, versions=versions)
    for i in range(1, min(ENDPOINTS, models) + 1):
        arms = [
            {"model": f"{PREFIX}{i:05}", "version": number, "weight": weight, "primary": first}
            for number, weight, first in ((1, 90, True), (versions, 10, False))
        ]
        create_endpoint(
            name=f"endpoint-{i:02}",
            actor="seed",
            queue=wiring.queue(),
            print_config=wiring.print_config,
            policy={"arms": arms if versions > 1 else [{**arms[0], "weight": 100}]},
        )
    with connection.cursor() as cursor:
        cursor.execute("ANALYZE")
    return time.monotonic() - began


def addresses() -> dict[str, Callable[[], Any]]:
    """What is asked for, by somebody who may see everything."""
    from django.contrib.auth import get_user_model
    from django.test import Client
    from django.urls import reverse

    from control_plane.registry.models import Model
    from control_plane.registry.seeding import PREFIX

    client = Client()
    client.force_login(get_user_model().objects.create_superuser("perf"))
    last = Model.objects.filter(name__startswith=PREFIX).order_by("-name")[0]
    middle = Model.objects.get(name=f"{PREFIX}{int(last.name[-5:]) // 2 or 1:05}")
    models = reverse("admin:registry_model_changelist")
    versions = reverse("admin:registry_modelversion_changelist")
    serving = Model.objects.get(name=f"{PREFIX}00001")
    api = "/api/v1/models/"
    every = "/api/v1/versions/"
    paths = {
        "API: models, 50": api,
        "API: models, newest first": f"{api}?ordering=-created_at",
        "API: search by name": f"{api}?search={middle.name}",
        "API: search, nothing found": f"{api}?search=nowhere",
        "API: models by tag": f"{api}?tag=team:speech",
        "API: models by alias": f"{api}?alias=champion",
        "API: one model": f"{api}{middle.name}/",
        "API: versions of a model": f"{api}{middle.name}/versions/",
        "API: versions by a figure": f"{api}{middle.name}/versions/?metric=accuracy>=0.85",
        "API: all versions": every,
        "API: rejected versions of all models": f"{every}?state=rejected",
        "API: rejected, by one person": f"{every}?state=rejected&created_by=person-100",
        "API: somebody's versions": f"{every}?created_by=person-7",
        "API: versions with a rare tag": f"{every}?tag=incident:4711",
        "API: versions with a common tag": f"{every}?tag=stage:trial",
        "API: versions with a tag that none has": f"{every}?tag=nothing",
        "API: versions of a framework that none has": f"{every}?framework=torchscript",
        "API: versions by their model's name": f"{every}?search={middle.name}",
        "API: versions, search finds nothing": f"{every}?search=nowhere",
        "API: versions, search finds all": f"{every}?search=seeded",
        "console: home": reverse("admin:index"),
        "console: models": models,
        "console: models, last page": f"{models}?p={(Model.objects.count() - 1) // 50 + 1}",
        "console: search for a model": f"{models}?q={middle.name}",
        "console: a model's page": reverse("admin:registry_model_change", args=[middle.pk]),
        "console: page of one that serves": reverse(
            "admin:registry_model_change", args=[serving.pk]
        ),
        "console: versions": versions,
        "console: search for versions": f"{versions}?q={middle.name}",
        "console: a version's page": reverse(
            "admin:registry_modelversion_change", args=[middle.versions.all()[0].pk]
        ),
    }
    return {what: _asker(client, path) for what, path in paths.items()}


def _asker(client: Any, path: str) -> Callable[[], Any]:
    def ask() -> Any:
        response = client.get(path)
        if response.status_code != 200:
            raise RuntimeError(f"{path} answered {response.status_code}")
        return response.content

    return ask


def measure(what: str, ask: Callable[[], Any], runs: int) -> Figure:
    """Percentiles over the runs, after a few that warm the caches."""
    from django.db import connection
    from django.test.utils import CaptureQueriesContext

    for _ in range(WARM_UP):
        ask()
    with CaptureQueriesContext(connection) as caught:
        ask()
    queries = len(caught)
    times, worked = [], []
    for _ in range(max(runs, 2)):
        began, worked_before = time.perf_counter(), time.thread_time()
        ask()
        times.append(1000 * (time.perf_counter() - began))
        worked.append(1000 * (time.thread_time() - worked_before))
    p95 = statistics.quantiles(times, n=20, method="inclusive")[-1]
    return Figure(what, statistics.median(times), p95, statistics.median(worked), queries)


def show(figures: list[Figure], models: int, versions: int, seconds: float) -> None:
    console = Console()
    title = f"{models:,} models x {versions} versions (seeded in {seconds:.0f} s)"
    table = Table("asked", "p50 ms", "p95 ms", "cpu ms", "queries", "", title=title)
    for figure in figures:
        good = figure.p95 < GOAL_MS
        word = "[green]✓[/]" if good else f"[red]over {GOAL_MS:.0f} ms[/]"
        times = (f"{ms:.1f}" for ms in (figure.p50, figure.p95, figure.cpu))
        table.add_row(figure.what, *times, str(figure.queries), word)
    console.print(table)


if __name__ == "__main__":
    main()
