"""The Content-Security-Policy of every page: all assets are ours, and no script is inline.

Unfold's Alpine.js makes functions of the expressions in its templates, which needs
`unsafe-eval`; its colours are a `<style>` and some widgets have style attributes, which need
`unsafe-inline` for styles. A page that needs less says so (`control_plane.urls`).
"""

from __future__ import annotations

from csp.constants import NONE, SELF, UNSAFE_EVAL, UNSAFE_INLINE

CONTENT_SECURITY_POLICY = {
    "DIRECTIVES": {
        "default-src": [SELF],
        "script-src": [SELF, UNSAFE_EVAL],
        "style-src": [SELF, UNSAFE_INLINE],
        "img-src": [SELF, "data:"],
        "object-src": [NONE],
        "base-uri": [NONE],
        "frame-ancestors": [NONE],
    }
}
