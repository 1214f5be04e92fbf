"""Parts of pages that the browser asks for anew every few seconds."""

from __future__ import annotations

from typing import Any

from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.urls import reverse
from django.utils.http import urlencode


def part(request: HttpRequest, template: str, context: dict[str, Any]) -> HttpResponse:
    """The part, which no browser keeps."""
    response = render(request, template, context)
    response["Cache-Control"] = "no-store"
    return response


def to_login(page: str) -> HttpResponse:
    """The whole page goes to the login: a redirect would put the login into this part."""
    query = urlencode({"next": page})
    return HttpResponse(headers={"HX-Redirect": f"{reverse('admin:login')}?{query}"})
