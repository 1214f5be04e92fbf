"""Markdown as people write it, as HTML that can do nothing.

Raw HTML is shown as text, links lead to the web or to mail, and pictures are left out: the
console loads nothing from elsewhere.
"""

from __future__ import annotations

from typing import Any

from django.utils.safestring import SafeString, mark_safe
from markdown_it import MarkdownIt

_SCHEMES = ("https://", "http://", "mailto:", "/", "#")


def _leads_somewhere_known(url: str) -> bool:
    return url.lower().startswith(_SCHEMES) and not url.startswith("//")


def _open_link(self: Any, tokens: Any, index: int, options: Any, env: Any) -> str:
    tokens[index].attrSet("rel", "noopener noreferrer nofollow")
    tokens[index].attrSet("class", "n-link")
    return str(self.renderToken(tokens, index, options, env))


_markdown = MarkdownIt("commonmark", {"html": False}).enable("table").disable("image")
_markdown.validateLink = _leads_somewhere_known  # type: ignore[method-assign]
_markdown.add_render_rule("link_open", _open_link)


def html_of(text: str) -> SafeString:
    """The text as HTML; everything of it that is no Markdown is escaped."""
    return mark_safe(_markdown.render(text))  # noqa: S308 - the renderer escapes, tests hold it
