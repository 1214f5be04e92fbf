"""The Content-Security-Policy of every page: all assets are ours, and no script is inline.

Unfold's Alpine.js makes functions of the expressions in its templates, which needs
`unsafe-eval`; its colours are a `<style>` and some widgets have style attributes, which need
`unsafe-inline` for styles. A page that needs less says so (`control_plane.urls`).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from csp.constants import NONE, SELF, UNSAFE_EVAL, UNSAFE_INLINE


def content_security_policy(providers: Sequence[str] = ()) -> dict[str, Any]:
    """django-csp's setting.

    Args:
        providers: origins of identity providers. Browsers hold `form-action` against redirects
            too, and the form that logs out leads on to where the provider's session is ended.
    """
    return {
        "DIRECTIVES": {
            "default-src": [SELF],
            "script-src": [SELF, UNSAFE_EVAL],
            "style-src": [SELF, UNSAFE_INLINE],
            "img-src": [SELF, "data:"],
            "form-action": [SELF, *providers],
            "frame-src": [NONE],
            "worker-src": [NONE],
            "object-src": [NONE],
            "base-uri": [NONE],
            "frame-ancestors": [NONE],
        }
    }
