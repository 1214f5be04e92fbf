"""While an upgrade is under way the version before works on the new schema: migrations only add."""

from __future__ import annotations

import importlib
import inspect
from collections.abc import Iterator
from types import ModuleType

import pytest
from django.db import migrations, models
from django.db.migrations.loader import MigrationLoader
from django.db.migrations.operations.base import Operation

BEFORE = {
    "access": 4,
    "analysis": 5,
    "audit": 3,
    "endpoints": 17,
    "fleet": 11,
    "idempotency": 1,
    "registry": 17,
    "rollouts": 6,
    "tuning": 6,
    "webhooks": 1,
}
"""The numbers up to which migrations were written before stacks were upgraded while they run."""

CONTRACTS = "CONTRACTS"
"""A migration module says by it which version stopped using what it takes away, and so may."""

TAKES_AWAY = (
    migrations.DeleteModel,
    migrations.RenameModel,
    migrations.RemoveField,
    migrations.RenameField,
    migrations.AlterModelTable,
)


def ours() -> Iterator[tuple[str, ModuleType, list[Operation]]]:
    """The migrations of this project that came since, with what they do."""
    for (app, name), found in MigrationLoader(None).disk_migrations.items():
        number = name.partition("_")[0]
        module = inspect.getmodule(type(found))
        if module is None or not module.__name__.startswith("control_plane."):
            continue
        if number.isdecimal() and int(number) > BEFORE.get(app, 0):
            yield f"{app}.{name}", importlib.import_module(module.__name__), found.operations


def what_breaks(operation: Operation, *, new_tables: frozenset[str]) -> str:
    """Why the version before could not go on after this; empty where it can."""
    if isinstance(operation, TAKES_AWAY):
        return f"{type(operation).__name__} takes away what the version before asks for"
    if not isinstance(operation, migrations.AddField | migrations.AlterField):
        return ""
    if operation.model_name_lower in new_tables:
        return ""
    where = f"{operation.model_name}.{operation.name}"
    if isinstance(operation.field, models.ManyToManyField) or operation.field.null:
        return ""
    if operation.field.has_db_default():
        return ""
    if isinstance(operation, migrations.AddField):
        return f"{where}: the version before writes rows without it: give it a db_default"
    return ""


def made_here(operations: list[Operation]) -> frozenset[str]:
    return frozenset(o.name_lower for o in operations if isinstance(o, migrations.CreateModel))


def test_every_migration_lets_the_version_before_go_on() -> None:
    found = [
        f"{name}: {wrong}"
        for name, module, operations in ours()
        if not getattr(module, CONTRACTS, "")
        for operation in operations
        if (wrong := what_breaks(operation, new_tables=made_here(operations)))
    ]
    assert not found, "; ".join(found) + (
        f". Where the version before uses it no longer, say so: {CONTRACTS} = 'unused since …'"
    )


def test_every_app_is_looked_at() -> None:
    apps = {app for app, _ in MigrationLoader(None).disk_migrations}
    assert apps >= set(BEFORE)


@pytest.mark.parametrize(
    ("operation", "breaks"),
    [
        (migrations.RemoveField("server", "lab"), True),
        (migrations.RenameField("server", "lab", "bench"), True),
        (migrations.DeleteModel("server"), True),
        (migrations.AddField("server", "noted", models.TextField(default="")), True),
        (migrations.AddField("server", "noted", models.TextField(db_default="")), False),
        (migrations.AddField("server", "noted", models.TextField(null=True)), False),
        (migrations.AddField("fresh", "noted", models.TextField()), False),
        (migrations.CreateModel("other", []), False),
    ],
)
def test_what_takes_away_is_found(operation: Operation, breaks: bool) -> None:
    assert bool(what_breaks(operation, new_tables=frozenset({"fresh"}))) == breaks
