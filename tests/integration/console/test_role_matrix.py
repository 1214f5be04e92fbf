"""Every page of the console x every role: who looks, who writes, and which buttons there are.

The pages come from the console's own register: a new record without a line in `MAY` fails here.
What is refused writes nothing, but that somebody tried.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from django.contrib import admin as django_admin
from django.contrib.auth.models import Group, User
from django.test import Client
from django.urls import reverse

from control_plane.access import throttle as throttling
from control_plane.access.models import Grant
from control_plane.access.roles import role_group
from control_plane.audit.models import AuditEvent
from control_plane.domain.access import Role
from control_plane.endpoints.models import Endpoint
from tests.integration.console.conftest import logged_in
from tests.integration.console.test_pages import everything  # noqa: F401 - a fixture
from tests.support.untouched import refused

NOBODY: frozenset[Role] = frozenset()
EVERYBODY = frozenset(Role)
PUBLISHERS = frozenset({Role.PUBLISHER, Role.ADMIN})
OPERATORS = frozenset({Role.OPERATOR, Role.ADMIN})
ADMINS = frozenset({Role.ADMIN})

# record -> who may look, make, change, delete it
MAY = {
    "registry.model": (EVERYBODY, PUBLISHERS, NOBODY, ADMINS),
    "registry.modelversion": (EVERYBODY, PUBLISHERS, NOBODY, PUBLISHERS),
    "registry.artifact": (EVERYBODY, NOBODY, NOBODY, NOBODY),
    "registry.profile": (EVERYBODY, OPERATORS, OPERATORS, OPERATORS),
    "registry.pipeline": (EVERYBODY, NOBODY, NOBODY, NOBODY),
    "tuning.recording": (EVERYBODY, NOBODY, NOBODY, OPERATORS),  # they go with their endpoint
    "endpoints.endpoint": (EVERYBODY, OPERATORS, OPERATORS, OPERATORS),
    "endpoints.changerequest": (EVERYBODY, NOBODY, OPERATORS, NOBODY),
    "endpoints.revision": (EVERYBODY, NOBODY, NOBODY, NOBODY),
    "endpoints.placement": (EVERYBODY, NOBODY, NOBODY, NOBODY),
    "rollouts.rollout": (EVERYBODY, NOBODY, NOBODY, NOBODY),
    "analysis.analysistemplate": (EVERYBODY, OPERATORS, OPERATORS, OPERATORS),
    "analysis.analysisrun": (EVERYBODY, NOBODY, NOBODY, NOBODY),
    "tuning.perfrun": (EVERYBODY, NOBODY, NOBODY, NOBODY),
    "tuning.tune": (EVERYBODY, NOBODY, NOBODY, NOBODY),
    "fleet.server": (EVERYBODY, NOBODY, NOBODY, ADMINS),
    "audit.auditevent": (EVERYBODY, NOBODY, NOBODY, NOBODY),
    "access.apitoken": (EVERYBODY, EVERYBODY, NOBODY, NOBODY),
    "access.grant": (ADMINS, ADMINS, NOBODY, ADMINS),
    "webhooks.delivery": (ADMINS, NOBODY, NOBODY, NOBODY),
    "webhooks.webhook": (ADMINS, ADMINS, ADMINS, ADMINS),
    "auth.user": (ADMINS, ADMINS, ADMINS, NOBODY),
    "auth.group": (ADMINS, ADMINS, ADMINS, ADMINS),
}
# page of its own -> who may open it and send its form
PAGES = {
    "endpoints_endpoint_edit_policy": OPERATORS,
    "endpoints_endpoint_roll_back": OPERATORS,
    "endpoints_endpoint_kill_switch": OPERATORS,
    "endpoints_endpoint_try_it": OPERATORS,
    "endpoints_endpoint_four_eyes_rule": OPERATORS,
    "endpoints_endpoint_start_rollout": OPERATORS,
    "endpoints_endpoint_measure": PUBLISHERS | OPERATORS,
    "endpoints_endpoint_figures": EVERYBODY,
    "endpoints_endpoint_try_finding": PUBLISHERS | OPERATORS,
    "endpoints_endpoint_record_requests": OPERATORS,
    "endpoints_endpoint_place_servers": OPERATORS,
    "tuning_recording_stop": OPERATORS,
    "registry_modelversion_measure": PUBLISHERS | OPERATORS,
    "registry_pipeline_measure": PUBLISHERS | OPERATORS,
    "tuning_perfrun_accept": PUBLISHERS | OPERATORS,
    "tuning_perfrun_cancel": PUBLISHERS | OPERATORS,
    "registry_modelversion_tune": PUBLISHERS | OPERATORS,
    "tuning_tune_cancel": PUBLISHERS | OPERATORS,
    "tuning_tune_apply": OPERATORS,
    "endpoints_revision_go_back": OPERATORS,
    **{
        f"rollouts_rollout_{control}": OPERATORS
        for control in ("approve", "resume", "retry", "pause", "skip", "promote", "abort")
    },
    "fleet_server_cordon": OPERATORS,
    "fleet_server_drain": OPERATORS,
    "fleet_server_uncordon": OPERATORS,
    "registry_model_edit": PUBLISHERS,
    "registry_model_upload_version": PUBLISHERS,
    "registry_modelversion_edit": PUBLISHERS,
    "registry_modelversion_archive": PUBLISHERS,
    "registry_modelversion_unarchive": PUBLISHERS,
    "webhooks_delivery_send_again": ADMINS,
    "webhooks_webhook_send_test": ADMINS,
    "webhooks_webhook_rotate": ADMINS,
    "access_apitoken_revoke": ADMINS,  # another's; one's own, everybody
}
BUTTONS = (
    b"Edit policy",
    b"Start a rollout",
    b"Promote now",
    b"Roll back",
    b"Everything to the primary",
    b"Save",
    b"Delete",
)


def console(role: Role) -> Client:
    client = logged_in(f"the-{role}", is_staff=True)
    User.objects.get(username=f"the-{role}").groups.add(role_group(role))
    return client


@pytest.fixture(autouse=True)
def every_attempt_is_recorded(settings: Any) -> Iterator[None]:
    settings.NEREID_THROTTLES = {"denials": "1000000/minute"}
    throttling.throttle.cache_clear()
    yield
    throttling.throttle.cache_clear()


def send(client: Client, page: str, role: Role, let_in: bool) -> int:
    """The status of an empty form, which leaves no trace but one where it is refused."""
    with contextlib.nullcontext() if let_in else refused(by=f"the-{role}"):
        return int(client.post(page, {}).status_code)


def test_every_page_has_a_line() -> None:
    registered = {model._meta.label_lower: pages for model, pages in registry().items()}
    assert registered.keys() == MAY.keys()
    own = {
        f"{label.replace('.', '_')}_{action}"
        for label, pages in registered.items()
        for action in pages.actions_detail
    }
    assert own == PAGES.keys()


def row_of(page: str, everything: Callable[[str], Any]) -> Any:  # noqa: F811
    """The row that a page of its own is about."""
    return everything(page.rsplit("_", page.count("_") - 1)[0].replace("_", "."))


def one_of(record: str, everything: Callable[[str], Any]) -> Any:  # noqa: F811
    """A row that those who may look at the record see, whoever they are."""
    if record == "auth.user":  # no superuser: only another one changes those
        return User.objects.get_or_create(username="cleo")[0]
    if record == "auth.group":  # no role: those stay
        return Group.objects.get_or_create(name="operators")[0]
    if record == "access.grant":
        made = Grant.objects.first()
        cleo = one_of("auth.user", everything)
        return made or Grant.objects.create(user=cleo, role="viewer", kind="model", name="digits")
    if record == "audit.auditevent":  # about no person
        return AuditEvent.objects.filter(object_type="model").first()
    return everything(record)


def registry() -> dict[Any, Any]:
    return django_admin.site._registry


@pytest.mark.parametrize("role", list(Role))
def test_who_looks_and_who_writes(
    role: Role,
    everything: Callable[[str], Any],  # noqa: F811
) -> None:
    client = console(role)
    for record, (look, make, change, delete) in MAY.items():
        row = one_of(record, everything)
        if record == "access.apitoken" and role is not Role.ADMIN:
            continue  # the one there is belongs to somebody else
        base = f"admin:{record.replace('.', '_')}"
        listed = client.get(reverse(f"{base}_changelist")).status_code
        assert (listed == 200) is (role in look), record
        shown = client.get(reverse(f"{base}_change", args=[row.pk])).status_code
        assert (shown == 200) is (role in look), record
        for verb, who in (("add", make), ("change", change), ("delete", delete)):
            args = [] if verb == "add" else [row.pk]
            sent = send(client, reverse(f"{base}_{verb}", args=args), role, role in who)
            assert (sent != 403) is (role in who), f"{verb} {record}"


@pytest.mark.parametrize("role", list(Role))
@pytest.mark.usefixtures("telemetry_there")  # one of them measures what figures say
def test_who_opens_the_pages_of_their_own(
    role: Role,
    everything: Callable[[str], Any],  # noqa: F811
) -> None:
    client = console(role)
    for page, who in PAGES.items():
        # Its own page may have switched it on: then nobody goes back alone to what never served.
        Endpoint.objects.update(four_eyes=False)
        there = reverse(f"admin:{page}", args=[row_of(page, everything).pk])
        assert (client.get(there).status_code == 403) is (role not in who), page
        assert (send(client, there, role, role in who) == 403) is (role not in who), page


@pytest.mark.usefixtures("telemetry_there")
def test_no_form_is_taken_from_another_page(everything: Callable[[str], Any]) -> None:  # noqa: F811
    """Of an admin's browser: the session comes along by itself, the form's token does not."""
    logged_in("the-boss", is_staff=True, is_superuser=True)
    browser = Client(enforce_csrf_checks=True)
    browser.force_login(User.objects.get(username="the-boss"))
    pages = [reverse(f"admin:{page}", args=[row_of(page, everything).pk]) for page in PAGES]
    for record in MAY:
        base, row = f"admin:{record.replace('.', '_')}", one_of(record, everything)
        pages += [reverse(f"{base}_{verb}", args=[row.pk]) for verb in ("change", "delete")]
        pages += [reverse(f"{base}_add"), reverse(f"{base}_changelist")]
    for page in pages:
        with refused(by="the-boss"):
            assert browser.post(page, {}).status_code == 403, page


def test_a_viewer_sees_no_button_that_writes(
    digits: Endpoint,
    everything: Callable[[str], Any],  # noqa: F811
) -> None:
    viewer, operator = console(Role.VIEWER), console(Role.OPERATOR)
    pages = [
        reverse("admin:index"),
        *(
            reverse(
                f"admin:{record.replace('.', '_')}_change", args=[one_of(record, everything).pk]
            )
            for record in MAY
            if Role.VIEWER in MAY[record][0] and record != "access.apitoken"
        ),
    ]
    for page in pages:
        content = viewer.get(page).content
        assert [word for word in BUTTONS if word in content] == [], page
    assert b"Edit policy" in operator.get(reverse("admin:index")).content
    page = operator.get(reverse("admin:endpoints_endpoint_change", args=[digits.pk])).content
    for word in (b"Edit policy", b"Roll back", b"Save", b"Delete"):
        assert word in page
