"""Fixtures that several kinds of tests share."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, settings

from tests.support.environment import HOME
from tests.support.sharing import place_in_line

# How fast an example is drawn says how busy the machine is, and nothing of the project.
settings.register_profile("nereid", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("nereid")


@pytest.hookimpl(trylast=True)  # after pytest-django's order, which goes across files
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Files one after the other, those that take long first."""
    items.sort(key=lambda item: place_in_line(item.nodeid))


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> Any:
    """Where several processes share a run."""
    from tests.support.sharing import Shared

    return Shared(config, log)


def pytest_configure() -> None:
    """Takes from the tests what a process does once, and they for each person or client."""
    from django.conf import settings as django_settings

    # A real hash takes a third of a second.
    django_settings.PASSWORD_HASHERS = ["django.contrib.auth.hashers.MD5PasswordHasher"]
    # Static files are looked up when they are asked for: a walk through all of them takes as long.
    django_settings.WHITENOISE_AUTOREFRESH = True


def pytest_sessionfinish() -> None:
    """Leaves nothing behind."""
    shutil.rmtree(HOME, ignore_errors=True)


@pytest.fixture(scope="session")
def postgres(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The URL of a throw-away PostgreSQL."""
    from stack.postgres import EmbeddedPostgres

    with EmbeddedPostgres(tmp_path_factory.mktemp("pg") / "data", durable=False) as server:
        yield server.url


@pytest.fixture(scope="session")
def django_db_modify_db_settings(postgres: str) -> None:
    """pytest-django's hook: its test database lies in the throw-away PostgreSQL."""
    from django.db import connections

    from control_plane.settings import _database

    connections["default"].settings_dict.update(_database(postgres))


@pytest.fixture(scope="session")
def django_db_keepdb() -> bool:
    """The database goes with its server: there is nothing to drop first."""
    return True


@pytest.fixture(scope="session")
def django_db_setup(django_db_setup: None, django_db_blocker: Any) -> None:
    """Tests with real commits empty every table afterwards, and the audit record refuses that.

    Its own tests put the guard back.
    """
    from django.db import connection

    with django_db_blocker.unblock(), connection.cursor() as cursor:
        cursor.execute("ALTER TABLE audit_auditevent DISABLE TRIGGER audit_event_no_truncate")


@pytest.fixture(scope="session")
def broker(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The URL of a throw-away broker."""
    from stack.broker import EmbeddedBroker

    with EmbeddedBroker(tmp_path_factory.mktemp("broker")) as server:
        yield server.url


@pytest.fixture(scope="session")
def serving_stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[object]:
    """A whole running stack with the sample on it, started as a person starts it."""
    from tests.support.serving import ServingStack

    stack = ServingStack(Path(tmp_path_factory.mktemp("stack")))
    stack.start()
    yield stack
    stack.stop()


@pytest.fixture(scope="session")
def oidc_process() -> Iterator[Any]:
    """An OpenID Connect provider as a process of its own."""
    from tests.support.oidc_provider import oidc_provider

    with oidc_provider() as provider:
        yield provider


@pytest.fixture
def oidc(oidc_process: Any, settings: Any) -> Any:
    """That provider, whole and without people, and a control plane that is set up for it."""
    from control_plane.settings.csp import content_security_policy
    from control_plane.settings.oidc import oidc as read_settings
    from tests.support.oidc_provider import CLIENT_ID, CLIENT_SECRET

    oidc_process.knows()
    oidc_process.does_wrong("nothing")
    settings.NEREID_OIDC = read_settings(
        {
            "NEREID_OIDC_ISSUER": oidc_process.issuer,
            "NEREID_OIDC_NAME": "Test ID",
            "NEREID_OIDC_CLIENT_ID": CLIENT_ID,
            "NEREID_OIDC_CLIENT_SECRET": CLIENT_SECRET,
            "NEREID_OIDC_ROLES": '{"vision": "publisher", "platform": ["operator", "viewer"]}',
        }
    )
    settings.CONTENT_SECURITY_POLICY = content_security_policy([oidc_process.issuer])
    return oidc_process
