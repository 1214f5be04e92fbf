"""How the console looks and what its side bar offers."""

from __future__ import annotations

UNFOLD = {
    "SITE_TITLE": "Nereid",
    "SITE_HEADER": "Nereid",
    "SITE_SYMBOL": "water",
}
