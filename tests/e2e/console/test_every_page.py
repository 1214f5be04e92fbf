"""Every page of the console, in light, in the dark and on a phone, on a registry after a year.

The addresses come from the console's own register: a new page is visited without a line here, and
an address that is none says so in `NO_PAGES`. `PAGE_PICTURES=folder` keeps a picture of
each.
"""

from __future__ import annotations

import os
import re
import shlex
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from django.contrib import admin
from django.urls import URLPattern, URLResolver, get_resolver, reverse
from playwright.sync_api import Browser, BrowserContext, Page

from nereid import Client
from tests.support.crowd import AWAY, GUARDED, LONG
from tests.support.serving import CHECKOUT, ServingStack

CHECKS = (CHECKOUT / "tests/support/page_checks.js").read_text()
SAMPLES = CHECKOUT / "model_repository" / "samples" / "digits"
MANY_ARMS = "digits-in-four-arms-of-a-rather-long-name"
PHONE = {"width": 390, "height": 844}
DESK = {"width": 1440, "height": 900}
MODES: dict[str, dict[str, Any]] = {
    "light": {"viewport": DESK, "color_scheme": "light"},
    "dark": {"viewport": DESK, "color_scheme": "dark"},
    "phone": {"viewport": PHONE, "color_scheme": "light", "has_touch": True},
}
PATIENCE_MS = 180_000
"""A page is judged by what it shows, however busy the machine is."""

NO_PAGES = {
    "logout": "a button, not an address",
    "login": "whoever is logged in is led on; visited apart",
    "app_list": "the side bar takes its place",
    "autocomplete": "JSON",
    "jsi18n": "a script",
    "search": "a part of a page",
    "view_on_site": "leads elsewhere",
    "live": "a part of a page",
    "live_endpoint": "a part of a page",
    "live_charts": "a part of a page",
    "live_server": "a part of a page",
    "live_webhook": "a part of a page",
    "live_rollout": "a part of a page",
    "live_perf_run": "a part of a page",
    "live_tune": "a part of a page",
    "registry_model_aliases": "takes a POST",
    "registry_model_upload_version": "leads to the form of a version",
    "auth_user_password_change": "asked of a person, below",
    "registry_profile_built_in": "asked by its name, below",
    "analysis_analysistemplate_built_in": "asked by its name, below",
}
"""Addresses of the register that are no pages, and why."""

# record -> searches whose first row is worth a look beside the list's own first
STORIES = {
    "registry.model": (f"q={LONG}", f"q={MANY_ARMS}"),
    "registry.modelversion": tuple(
        f"q={LONG}&state__exact={state}" for state in ("ready", "rejected", "archived")
    ),
    "endpoints.endpoint": (f"q={MANY_ARMS}", f"q={GUARDED}"),
    "endpoints.revision": (f"q={MANY_ARMS}",),
    "rollouts.rollout": tuple(
        f"state__exact={state}" for state in ("analysing", "rolledBack", "inconclusive")
    ),
    "analysis.analysisrun": ("phase__exact=Failed",),
    "fleet.server": (f"q={AWAY}",),
    "tuning.tune": tuple(f"state__exact={state}" for state in ("running", "failed")),
    "tuning.perfrun": tuple(f"state__exact={state}" for state in ("running", "failed")),
    "webhooks.webhook": ("q=night-shift", "q=old-board"),
    "webhooks.delivery": tuple(f"state__exact={state}" for state in ("delivered", "failed")),
    "auth.user": ("q=maximilian",),
}


@pytest.fixture(scope="module")
def crowded(serving_stack: ServingStack) -> ServingStack:
    """The shared stack with an endpoint of many arms, and everything of `tests.support.crowd`."""
    with Client(serving_stack.api, serving_stack.token) as nereid:
        nereid.ensure_model(MANY_ARMS, "Four arms")
        for i in range(len(nereid.versions(MANY_ARMS)), 5):  # the fifth for a rollout
            nereid.push(
                MANY_ARMS,
                SAMPLES / f"v{1 + i % 2}" / "model.onnx",
                metrics={"accuracy": 0.9 + i / 100, "holdout-2026-north": {"accuracy": 0.8}},
                wait=True,
            )
        nereid.ensure_endpoint(MANY_ARMS)
        accepted = nereid.put_policy(MANY_ARMS, many_arms(), etag="*")
        nereid.wait_endpoint(MANY_ARMS, generation=accepted.generation)
        if nereid.ensure_endpoint(GUARDED):
            accepted = nereid.put_policy(GUARDED, two_arms(), etag="*")
            nereid.wait_endpoint(GUARDED, generation=accepted.generation)
    printed = subprocess.run(
        [sys.executable, "-m", "stack", "env"],
        env=serving_stack.environment,
        cwd=CHECKOUT,
        check=True,
        capture_output=True,
        text=True,
    ).stdout
    # `export NAME=value` lines, for a shell to read.
    words = [word for word in shlex.split(printed) if "=" in word]
    inside = serving_stack.environment | dict(word.split("=", 1) for word in words)
    seed = [sys.executable, "-m", "tests.support.crowd"]
    subprocess.run(seed, env=inside, cwd=CHECKOUT, check=True)
    return serving_stack


def two_arms() -> dict[str, Any]:
    return {
        "arms": [
            {"name": "stable", "model": MANY_ARMS, "version": 1, "weight": 90, "primary": True},
            {"name": "candidate", "model": MANY_ARMS, "version": 2, "weight": 10},
        ]
    }


def many_arms() -> dict[str, Any]:
    weights = {1: 70, 2: 15.5, 3: 10, 4: 4.5}
    arms = [
        {
            "name": f"candidate-number-{number}-of-summer",
            "model": MANY_ARMS,
            "version": number,
            "weight": weight,
            "primary": number == 1,
        }
        for number, weight in weights.items()
    ]
    tenants = {"header:x-tenant-id": {"in": ["acme", "globex-corporation-of-cypress-creek"]}}
    return {
        "arms": arms,
        "sticky": {"key": "header:x-user-id"},
        "rules": [{"when": tenants, "arm": arms[2]["name"]}],
        "shadow": [{"arm": arms[3]["name"], "percent": 20, "compare": "logits"}],
    }


class Visit:
    """A tab that looks at pages and keeps what is wrong with each."""

    def __init__(self, context: BrowserContext, origin: str, mode: str) -> None:
        self.page: Page = context.new_page()
        self.page.set_default_timeout(PATIENCE_MS)
        self.faults: list[str] = []
        self._origin, self._mode = origin, mode
        self._said: list[str] = []
        self.page.on("pageerror", lambda error: self._said.append(str(error)))
        self.page.on("console", lambda m: m.type == "error" and self._said.append(m.text))
        folder = os.environ.get("PAGE_PICTURES")
        self._folder = Path(folder) if folder else None

    def look(self, path: str, name: str, until: str = "body") -> None:
        self._said.clear()
        answer = self.page.goto(f"{self._origin}{path}", wait_until="load")
        self.page.locator(until).first.wait_for()
        self.judge(name, answer.status if answer else 0)

    def judge(self, name: str, status: int = 200) -> None:
        """Asks the page that is shown; its own refusal is said on the browser's console too."""
        if status >= 500:
            self.faults.append(f"{name}: answered {status}")
        said = [text for text in self._said if status < 400 or "Failed to load" not in text]
        found = self.page.evaluate(CHECKS, self._mode == "phone")
        self.faults += [f"{name}, {self._mode}: {fault}" for fault in [*found, *said]]
        self._said.clear()
        if self._folder is not None:
            self._folder.mkdir(parents=True, exist_ok=True)
            file = self._folder / f"{re.sub('[^a-z0-9]+', '-', name.lower())}-{self._mode}.png"
            self.page.screenshot(path=str(file), full_page=True)

    def rows(self, record: str) -> list[str]:
        """The keys of the rows worth a look, the list's first one first."""
        listed = reverse(f"admin:{record.replace('.', '_')}_changelist")
        found: list[str] = []
        for query in ("", *STORIES.get(record, ())):
            self.page.goto(f"{self._origin}{listed}?{query}")
            links = self.page.locator("#result_list a[href*='/change/']")
            if links.count():
                href = links.first.get_attribute("href") or ""
                found.append(href.split("/change/")[0].rpartition("/")[2])
        return list(dict.fromkeys(found))


def addresses() -> Iterator[tuple[str, bool]]:
    """(name, whether it is about a record) of every address of the register."""
    get_resolver().url_patterns  # noqa: B018 - fills the register

    def walk(patterns: list[Any]) -> Iterator[URLPattern]:
        for pattern in patterns:
            if isinstance(pattern, URLResolver):
                yield from walk(pattern.url_patterns)
            elif pattern.name:
                yield pattern

    seen: set[str] = set()
    for pattern in walk(admin.site.urls[0]):
        if pattern.name not in seen:
            seen.add(str(pattern.name))
            yield str(pattern.name), bool(pattern.pattern.regex.groups)


def record_of(name: str) -> str:
    """`registry.model` for `registry_model_change`."""
    labels = {model._meta.label_lower.replace(".", "_"): model for model in admin.site._registry}
    fitting = [label for label in labels if name.startswith(f"{label}_")]
    return str(labels[max(fitting, key=len)]._meta.label_lower) if fitting else ""


def test_addresses_that_are_no_pages_are_addresses() -> None:
    names = {name for name, _ in addresses()}
    assert NO_PAGES.keys() <= names


@pytest.mark.long
@pytest.mark.timeout(1800)
@pytest.mark.parametrize("mode", MODES)
def test_every_page_is_fit_to_be_seen(
    mode: str, browser: Browser, session: Any, crowded: ServingStack
) -> None:
    context = browser.new_context(storage_state=session, **MODES[mode])
    visit = Visit(context, crowded.api, mode)
    keys = {
        model._meta.label_lower: visit.rows(model._meta.label_lower)
        for model in admin.site._registry
    }
    for name, about_a_record in addresses():
        if name in NO_PAGES:
            continue
        if not about_a_record:
            visit.look(reverse(f"admin:{name}"), name)
            continue
        for i, key in enumerate(keys[record_of(name)]):
            visit.look(reverse(f"admin:{name}", args=[key]), f"{name} {i}" if i else name)
    for record in keys:
        listed = reverse(f"admin:{record.replace('.', '_')}_changelist")
        visit.look(f"{listed}?q=nothing-is-called-so", f"{record} nothing")
    endpoint = reverse("admin:endpoints_endpoint_edit_policy", args=[keys["endpoints.endpoint"][1]])
    visit.look(endpoint, "policy")
    visit.page.get_by_label("Weight, %").first.fill("60")
    visit.page.get_by_role("button", name="Give the rest to the primary").click()
    visit.page.get_by_role("button", name="Preview plan").click()
    visit.page.get_by_role("heading", name="What applying this does").wait_for()
    visit.judge("policy previewed")
    version = reverse("admin:registry_modelversion_edit", args=[keys["registry.modelversion"][1]])
    visit.look(version, "version edited")
    visit.page.get_by_label("Figure", exact=True).first.fill("much")
    visit.page.get_by_role("button", name="Save").click()
    visit.page.get_by_text("is no number").wait_for()
    visit.judge("version refused", 400)
    visit.look("/console/nothing/", "not found")
    visit.look("/api/docs/", "api docs", until=".opblock")
    served = reverse("admin:endpoints_revision_what_served")
    visit.look(f"{served}?endpoint=digits", "served digits")
    built_in = reverse("admin:registry_profile_built_in", args=["priority"])
    visit.look(built_in, "profile built in")
    built_in = reverse("admin:analysis_analysistemplate_built_in", args=["default"])
    visit.look(built_in, "template built in")
    begin = reverse("admin:endpoints_endpoint_start_rollout", args=[keys["endpoints.endpoint"][1]])
    visit.look(begin, "rollout to start")
    visit.page.get_by_label("What the step says").first.fill("much")
    visit.page.get_by_role("button", name="See what will happen").click()
    visit.page.get_by_text("is not a percent").wait_for()
    visit.judge("rollout refused", 400)
    visit.page.get_by_label("What the step says").first.fill("1")
    visit.page.get_by_role("button", name="See what will happen").click()
    visit.page.get_by_role("heading", name="What will happen").wait_for()
    visit.judge("rollout foreseen")
    context.close()
    stranger = browser.new_context(**MODES[mode])
    outside = Visit(stranger, crowded.api, mode)
    outside.look(reverse("admin:login"), "login")
    stranger.close()
    assert [*visit.faults, *outside.faults] == []
