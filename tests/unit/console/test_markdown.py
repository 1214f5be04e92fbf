"""Markdown of strangers: shown as it is meant, and harmless."""

from __future__ import annotations

import pytest

from control_plane.console.markdown import html_of


def test_it_is_shown_as_it_is_meant() -> None:
    text = "# Digits\n\n**8 x 8** pixels, see [the paper](https://example.org)\n\n- one\n\n`x`"
    html = html_of(text)
    for part in ("<h1>Digits</h1>", "<strong>8 x 8</strong>", "<li>one</li>", "<code>x</code>"):
        assert part in html
    assert 'href="https://example.org" rel="noopener noreferrer nofollow"' in html
    assert "<table>" in html_of("|a|b|\n|-|-|\n|1|2|")


@pytest.mark.parametrize(
    "text",
    [
        "<script>alert(1)</script>",
        "a <img src=x onerror=alert(1)> b",
        "<a href='javascript:alert(1)'>x</a>",
        "[x](javascript:alert(1))",
        "[x](JaVaScRiPt:alert(1))",
        "[x](data:text/html,<script>alert(1)</script>)",
        "[x](//elsewhere.example)",
        "<javascript:alert(1)>",
        "![x](https://elsewhere.example/x.png)",
        "[x](https://a.example 'onmouseover=\"alert(1)')",
        '```"><script>alert(1)</script>\n```',
    ],
)
def test_and_does_nothing(text: str) -> None:
    html = html_of(text)
    for tag in ("<script", "<img", "<iframe", 'href="javascript', 'href="data', 'href="//'):
        assert tag not in html.lower()
    assert 'onmouseover="' not in html


def test_a_hostile_nesting_is_rendered_in_time() -> None:
    assert html_of(">" * 5000 + "x" + "[" * 4000)
