"""`manage.py seed_registry`: a registry as large as a company's, for benchmarks."""

from __future__ import annotations

from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from control_plane.domain.violations import ConflictError
from control_plane.registry.seeding import seed


class Command(BaseCommand):
    """Models and versions without files, named `seeded-…`; they are validated by nobody."""

    help = "Fills a registry for benchmarks: models named seeded-00001 and on, without files."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--models", type=int, default=10_000)
        parser.add_argument("--versions", type=int, default=20, help="of each model")

    def handle(self, *args: Any, **options: Any) -> None:
        if options["models"] < 1 or options["versions"] < 1:
            raise CommandError("at least one model with at least one version")
        try:
            models, versions = seed(models=options["models"], versions=options["versions"])
        except ConflictError as refusal:
            raise CommandError(str(refusal)) from refusal
        self.stdout.write(f"{models} models, {versions} versions")
