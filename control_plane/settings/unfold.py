"""How the console looks and what its side bar offers."""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import Any

from django.http import HttpRequest
from django.templatetags.static import static
from django.urls import reverse_lazy


def environment(request: HttpRequest) -> list[str]:
    """The label beside the page's title: NEREID_ENVIRONMENT, so nobody mistakes production."""
    name = os.environ.get("NEREID_ENVIRONMENT", "local")
    return [name, "danger" if name.startswith("prod") else "info"]


def _file(name: str) -> Callable[[HttpRequest], str]:
    """The URL of a static file, known once Django is up."""
    return lambda request: static(f"console/{name}")


def _page(title: str, icon: str, record: str) -> dict[str, Any]:
    """A record's list in the side bar, for those who may see it."""

    def offered(request: HttpRequest) -> bool:
        from control_plane.console.rights import sees  # settings are read before there are apps

        return sees(request.user, record)

    app, model = record.split(".")
    return {
        "title": title,
        "icon": icon,
        "link": reverse_lazy(f"admin:{app}_{model}_changelist"),
        "permission": offered,
    }


NAVIGATION = [
    {
        "items": [
            {"title": "Overview", "icon": "monitoring", "link": reverse_lazy("admin:index")},
        ],
    },
    {
        "title": "Traffic",
        "separator": True,
        "items": [
            _page("Endpoints", "alt_route", "endpoints.endpoint"),
            _page("Rollouts", "rocket_launch", "rollouts.rollout"),
            _page("Analyses", "monitoring", "analysis.analysisrun"),
            _page("Analysis templates", "query_stats", "analysis.analysistemplate"),
            _page("Changes", "rule", "endpoints.changerequest"),
            _page("Revisions", "history_edu", "endpoints.revision"),
            _page("Placements", "lan", "endpoints.placement"),
        ],
    },
    {
        "title": "Registry",
        "separator": True,
        "items": [
            _page("Models", "deployed_code", "registry.model"),
            _page("Versions", "layers", "registry.modelversion"),
            _page("Serving profiles", "tune", "registry.profile"),
            _page("Pipelines", "account_tree", "registry.pipeline"),
            _page("Artifacts", "inventory_2", "registry.artifact"),
        ],
    },
    {
        "title": "Fleet",
        "separator": True,
        "items": [
            _page("Servers", "dns", "fleet.server"),
            _page("Perf runs", "speed", "tuning.perfrun"),
            _page("Tunes", "tune", "tuning.tune"),
            _page("Recordings", "fiber_manual_record", "tuning.recording"),
        ],
    },
    {
        "title": "Access",
        "separator": True,
        "items": [
            _page("Audit", "history", "audit.auditevent"),
            {
                "title": "API tokens",
                "icon": "key",
                "link": reverse_lazy("admin:access_apitoken_changelist"),
            },
            _page("Users", "person", "auth.user"),
            _page("Groups", "group", "auth.group"),
            _page("Grants", "how_to_reg", "access.grant"),
            _page("Webhooks", "webhook", "webhooks.webhook"),
            _page("Deliveries", "outbox", "webhooks.delivery"),
        ],
    },
]

UNFOLD = {
    "SITE_TITLE": "Nereid",
    "SITE_HEADER": "Nereid",
    "SITE_SUBHEADER": "traffic between versions",
    "SITE_URL": None,
    "SITE_ICON": _file("nereid.svg"),
    "SITE_FAVICONS": [
        {"rel": "icon", "type": "image/svg+xml", "sizes": "any", "href": _file("nereid.svg")}
    ],
    "SHOW_HISTORY": True,
    "SHOW_VIEW_ON_SITE": False,
    "ENVIRONMENT": "control_plane.settings.unfold.environment",
    "DASHBOARD_CALLBACK": "control_plane.console.home.dashboard",
    "STYLES": [
        _file(f"{name}.css") for name in ("console", "registry", "rollouts", "perf", "sign_in")
    ],
    "SCRIPTS": [_file("console.js")],
    "LOGIN": {
        "image": _file("sea.svg"),
        "form": "control_plane.console.password_form.PasswordForm",
    },
    "BORDER_RADIUS": "8px",
    "COLORS": {
        "primary": {
            "50": "oklch(97.9% .017 195)",
            "100": "oklch(95% .038 195)",
            "200": "oklch(90.2% .065 196)",
            "300": "oklch(83.5% .094 198)",
            "400": "oklch(74.5% .112 202)",
            "500": "oklch(64.5% .111 208)",
            "600": "oklch(52.5% .096 213)",
            "700": "oklch(46.8% .084 216)",
            "800": "oklch(40.3% .07 219)",
            "900": "oklch(35.2% .058 222)",
            "950": "oklch(26.5% .045 225)",
        },
    },
    "COMMAND": {"search_models": True, "show_history": False},
    "SIDEBAR": {
        "show_search": True,
        "command_search": True,
        "show_all_applications": False,
        "navigation": NAVIGATION,
    },
}
